//! The servers that are compared, and how a process becomes one.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chatcore::store::Store;
use chatcore::{ChannelName, Chat, Identity, Limits, MemoryStore, User};
use chatcore_hyper::web::Allowance;
use chatcore_hyper::{ChatService, Config, ServerConfig, Unauthorized, serve};
use chatcore_redb::RedbStore;
use futures::StreamExt;
use http::request::Parts;

use crate::floor::Sends;
use crate::process::{pin, raise_open_files};
use crate::{floor_epoll, floor_tokio, wire};

/// The number of channels created concurrently, so that a durable store batches them.
const CREATED_AT_ONCE: usize = 512;

/// The channels whose first members are known before the load, and how many each has. At the first publish of a new
/// person the store notes the person and that they have joined, which a steady load does not do.
const KNOWN_CHANNELS: usize = 200;
const KNOWN_MEMBERS: usize = 10;

/// A server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    EpollEach,
    Epoll,
    Tokio,
    ChatcoreMemory,
    ChatcoreRedb,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] =
        [Self::EpollEach, Self::Epoll, Self::Tokio, Self::ChatcoreMemory, Self::ChatcoreRedb];

    /// The name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::EpollEach => "epoll-each",
            Self::Epoll => "epoll",
            Self::Tokio => "tokio",
            Self::ChatcoreMemory => "chatcore-memory",
            Self::ChatcoreRedb => "chatcore-redb",
        }
    }

    /// The title in a table.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::EpollEach => "bare epoll, one frame per send",
            Self::Epoll => "bare epoll, pending frames in one send (the floor)",
            Self::Tokio => "the floor on tokio",
            Self::ChatcoreMemory => "chatcore, memory",
            Self::ChatcoreRedb => "chatcore, redb",
        }
    }
}

/// Serves until the parent process ends. `arguments` are the name, the number of channels, an optional core, and a
/// folder.
pub(crate) fn run(arguments: &[String]) {
    let [name, channels, cores, folder] = arguments else {
        panic!("serve <name> <channels> <cores> <folder>")
    };
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name).expect("a server of that name");
    let channels = channels.parse().unwrap();
    let cores: Vec<usize> = cores.split(',').filter_map(|core| core.parse().ok()).collect();
    if !cores.is_empty() {
        pin(&cores);
    }
    raise_open_files();
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // The backlog of std is 128: a storm of connects needs more.
    rustix::net::listen(&listener, 4_096).unwrap();
    match kind {
        Kind::EpollEach | Kind::Epoll => {
            print_port(&listener);
            let sends = if kind == Kind::Epoll { Sends::Pending } else { Sends::One };
            floor_epoll::run(&listener, channels, sends);
        }
        _ => run_tokio(kind, listener, channels, Path::new(folder)),
    }
}

/// The default runtime of tokio, with a worker for each core that the process may use.
#[tokio::main]
async fn run_tokio(kind: Kind, listener: TcpListener, channels: usize, folder: &Path) {
    listener.set_nonblocking(true).unwrap();
    match kind {
        Kind::ChatcoreMemory => run_chatcore(MemoryStore::new(), listener, channels).await,
        Kind::ChatcoreRedb => {
            run_chatcore(RedbStore::open(folder.join("chat.redb")).unwrap(), listener, channels).await;
        }
        _ => {
            print_port(&listener);
            floor_tokio::run(tokio::net::TcpListener::from_std(listener).unwrap(), channels).await;
        }
    }
}

/// Serves the real service. Limits that the load would reach are raised; everything else has its default.
async fn run_chatcore(store: impl Store, listener: TcpListener, channels: usize) {
    let mut limits = Limits::default();
    limits.commands_per_second = 1_000_000;
    limits.command_burst = u32::MAX;
    limits.bytes_per_second = u64::MAX;
    limits.byte_burst = u64::MAX;
    limits.message_bytes_per_day = u64::MAX;
    limits.appends_per_user = usize::MAX;
    limits.subscriptions_per_user = usize::MAX;
    limits.connections_per_user = usize::MAX;
    limits.channels = limits.channels.max(channels);
    limits.loaded_channels = limits.loaded_channels.max(channels);
    limits.channel_idle = Duration::from_secs(3_600);
    let store = Arc::new(store);
    let chat = Chat::builder(Arc::clone(&store)).limits(limits).build();
    let host = User::new("u_host", "host").unwrap();
    futures::stream::iter(0..channels)
        .map(|n| {
            let (chat, store, host) = (&chat, &store, &host);
            async move {
                let name = ChannelName::new(&format!("c{n}")).unwrap();
                let channel = chat.ensure_channel(&name, "", host).await.unwrap();
                let members = if n < KNOWN_CHANNELS { KNOWN_MEMBERS } else { 0 };
                for member in 0..members {
                    let id = format!("u_{}", n + member * channels);
                    let user = User::new(&id, &id).unwrap();
                    store.put_user(&user).await.unwrap();
                    store.join_open(channel.id, &user).await.unwrap();
                }
            }
        })
        .buffer_unordered(CREATED_AT_ONCE)
        .collect::<()>()
        .await;
    let config = Config::default()
        // The client answers no pings.
        .with_silence(Duration::from_secs(3_600))
        .with_ping_interval(Duration::from_secs(3_600))
        // All members connect from one address.
        .with_handshakes(Allowance::new(1_000_000, Duration::from_nanos(1)));
    let server = ServerConfig::default().with_connections_per_address(usize::MAX);
    let service = ChatService::builder(chat, async |request: &Parts| {
        let user = wire::user_of(request.uri.query().unwrap_or_default()).ok_or(Unauthorized)?;
        Ok::<_, Unauthorized>(Identity::new(User::new(user, user).map_err(|_| Unauthorized)?))
    });
    print_port(&listener);
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    serve(listener, service.config(config).build()).with_config(server).await.unwrap();
}

fn print_port(listener: &TcpListener) {
    println!("{}", listener.local_addr().unwrap().port());
    std::io::stdout().flush().unwrap();
}
