//! A server as an app would start it: a store, a chat, the service and a real socket.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use chatcore::blob::FolderBlobs;
use chatcore::protocol::Form;
use chatcore::store::Store;
use chatcore::{
    Action, ChannelName, Chat, ChatBuilder, Denied, Identity, Limits, MemoryStore, OpenPolicy, Policy, User,
};
use chatcore_hyper::{ChatService, Config, ServerConfig, Unauthorized, serve};
use chatcore_postgres::PostgresStore;
use chatcore_redb::RedbStore;
use http::request::Parts;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::client::Client;
use crate::must;
use crate::postgres::Postgres;
use crate::proxy::Proxy;

/// The store of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// [`MemoryStore`].
    Memory,
    /// [`RedbStore`], in its own folder.
    Redb,
    /// [`PostgresStore`], in its own database.
    Postgres,
}

impl Backend {
    /// Opens a new store, with its file in `folder` if it has one.
    ///
    /// # Panics
    /// If that fails.
    pub async fn open(self, folder: &Path) -> Arc<dyn Store> {
        match self {
            Self::Memory => Arc::new(MemoryStore::new()),
            Self::Redb => Arc::new(RedbStore::open(folder.join("chat.redb")).expect("a new store opens")),
            Self::Postgres => {
                let database = Postgres::shared().await.database().await;
                Arc::new(PostgresStore::connect(&database.url()).await.expect("a new database opens"))
            }
        }
    }
}

/// The settings of a server.
#[derive(Debug, Default)]
pub struct Setup {
    /// The limits of the chat.
    pub limits: Limits,
    /// The limits of connections.
    pub config: Config,
    /// The limits of the HTTP server.
    pub http: ServerConfig,
}

/// A running server at `/chat`. The header `x-user` names the user of a request.
#[derive(Debug)]
pub struct Server {
    /// Its address.
    pub addr: SocketAddr,
    /// Its chat.
    pub chat: Chat,
    /// Its policy.
    pub rules: Rules,
    shutdown: Option<oneshot::Sender<()>>,
    running: JoinHandle<std::io::Result<()>>,
    folder: TempDir,
}

impl Server {
    /// Starts a server with default settings, on a store in memory.
    pub async fn start() -> Self {
        Self::with(|_| ()).await
    }

    /// Starts a server on a store in memory.
    pub async fn with(edit: impl FnOnce(&mut Setup)) -> Self {
        Self::on(Backend::Memory, edit).await
    }

    /// Starts a server.
    pub async fn on(backend: Backend, edit: impl FnOnce(&mut Setup)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = backend.open(folder.path()).await;
        Self::over(store, folder, edit).await
    }

    /// Starts a server on a given store.
    pub async fn over(store: impl Store, folder: TempDir, edit: impl FnOnce(&mut Setup)) -> Self {
        let rules = Rules::default();
        Self::run(Chat::builder(store).policy(rules.clone()), folder, rules, edit).await
    }

    /// Starts a server on a store in memory with a policy of the test's own. Its [`rules`](Self::rules) rule nothing.
    pub async fn under(policy: impl Policy) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let chat = Chat::builder(MemoryStore::new()).policy(policy);
        Self::run(chat, folder, Rules::default(), |_| ()).await
    }

    /// Starts two servers that are one chat: on one PostgreSQL, which is their bus too. Their ways to the bus lead
    /// through the proxy.
    ///
    /// # Panics
    /// If one of them does not start.
    pub async fn two(edit: impl Fn(&mut Setup)) -> ([Self; 2], Proxy) {
        let database = Postgres::shared().await.database().await;
        let proxy = Proxy::start(database.server().addr()).await.expect("a proxy");
        let mut servers = Vec::new();
        for _ in 0..2 {
            let settings = PostgresStore::builder(&database.url()).listen_url(&database.url_at(proxy.addr()));
            let bus = settings.bus().await.expect("valid settings");
            let store = settings.connect().await.expect("a database opens");
            let folder = tempfile::tempdir().expect("a temporary folder");
            let rules = Rules::default();
            let chat = Chat::builder(store).bus(bus).policy(rules.clone());
            servers.push(Self::run(chat, folder, rules, &edit).await);
        }
        (servers.try_into().expect("invariant: two were started"), proxy)
    }

    async fn run(chat: ChatBuilder, folder: TempDir, rules: Rules, edit: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = Setup::default();
        edit(&mut setup);
        let Setup { limits, config, http } = setup;
        let blobs = FolderBlobs::open(folder.path().join("blobs")).await.expect("a new folder opens");
        let chat = chat.blobs(blobs).limits(limits).base("/chat").build();
        let service = ChatService::builder(chat.clone(), who)
            .allow_origin("https://app.example")
            .expect("an origin")
            .config(config)
            .build();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("a bound listener");
        let (shutdown, stopped) = oneshot::channel::<()>();
        let draining = chat.clone();
        let server = serve(listener, service).with_config(http).with_graceful_shutdown(async move {
            // If the server is dropped, it stops without draining.
            if stopped.await.is_ok() {
                draining.drain();
            }
        });
        let running = tokio::spawn(server.into_future());
        Self { addr, chat, rules, shutdown: Some(shutdown), running, folder }
    }

    /// Returns the folder for its data. Its attachments are in `blobs`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Connects a user.
    pub async fn client(&self, name: &str) -> Client {
        Client::connect(self.addr, name).await
    }

    /// Connects a client that reads messages in this form.
    pub async fn client_in(&self, name: &str, form: Form) -> Client {
        Client::connect_in(self.addr, name, form).await
    }

    /// Connects a user and subscribes to a channel, which is created if it does not exist.
    pub async fn member(&self, name: &str, channel: &str) -> Client {
        let mut client = self.client(name).await;
        client.ask(serde_json::json!({"type": "create_channel", "name": channel})).await;
        client.ok(serde_json::json!({"type": "subscribe", "channel": channel})).await;
        client
    }

    /// Drains and stops.
    ///
    /// # Panics
    /// If the server fails or does not stop.
    pub async fn stop(mut self) {
        self.begin_stop();
        must("the server stops", &mut self.running).await.expect("no panic").expect("no failure");
    }

    /// Begins to drain.
    pub fn begin_stop(&mut self) {
        if let Some(shutdown) = self.shutdown.take() {
            let _ = shutdown.send(());
        }
    }
}

async fn who(parts: &Parts) -> Result<Identity, Unauthorized> {
    let name = parts.headers.get("x-user").and_then(|name| name.to_str().ok()).ok_or(Unauthorized)?;
    let user = User::new(&format!("u_{name}"), name).map_err(|_| Unauthorized)?;
    Ok(Identity::new(user))
}

/// Allows everything, except that `guest` only reads, that only `root` sees `secret`, and what a test forbids.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    forbidden: Arc<Mutex<HashSet<(String, String)>>>,
}

impl Rules {
    /// Forbids a user to list, read and write a channel. Nobody is notified.
    ///
    /// # Panics
    /// If another thread has panicked here.
    pub fn forbid(&self, name: &str, channel: &str) {
        let mut forbidden = self.forbidden.lock().expect("no panic under this lock");
        forbidden.insert((format!("u_{name}"), channel.to_owned()));
    }

    fn is_forbidden(&self, user: &str, channel: &ChannelName) -> bool {
        let forbidden = self.forbidden.lock().expect("no panic under this lock");
        !forbidden.is_empty() && forbidden.contains(&(user.to_owned(), channel.as_str().to_owned()))
    }
}

impl Policy for Rules {
    fn authorize(&self, identity: &Identity, action: Action<'_>) -> Result<(), Denied> {
        let user = identity.user.id.as_str();
        let secret = match action {
            Action::List(channel)
            | Action::CreateChannel(channel)
            | Action::Read(channel)
            | Action::Write(channel) => {
                if self.is_forbidden(user, channel) {
                    return Err(Denied);
                }
                channel.as_str() == "secret"
            }
            _ => false,
        };
        let writes = matches!(action, Action::Write(_) | Action::CreateChannel(_));
        if (secret && user != "u_root") || (writes && user == "u_guest") {
            return Err(Denied);
        }
        OpenPolicy.authorize(identity, action)
    }
}
