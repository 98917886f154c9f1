//! The bus: a client of NATS, one wildcard subscription, and the probe.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, ServerAddr, Subscriber};
use async_trait::async_trait;
use bytes::Bytes;
use chatcore::FailureLog;
use chatcore::bus::{Bus, BusError, BusEvent, BusLimits};
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::config::Builder;
use crate::error::ConnectError;
use crate::path::Path;

/// The most bytes per message: room for the largest event, and far below the server's default of 1 MiB. With
/// [`SUBSCRIPTION_CAPACITY`] it bounds what the client keeps.
const MAX_BYTES: usize = 64 << 10;

/// The number of partitions, each a subject.
const PARTITIONS: u8 = 64;

/// The messages that may wait between the client and the task that takes them, which never waits itself.
const SUBSCRIPTION_CAPACITY: usize = 8_192;

/// The time between two pings. A connection is dead after the second without an answer.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// How long [`Builder::connect`] waits for the first probe.
const FIRST_CONNECT: Duration = Duration::from_secs(5);

/// The time after which another probe is sent.
const PROBE_AGAIN: Duration = Duration::from_secs(1);

/// How long a message may wait for room in the client.
const SEND: Duration = Duration::from_secs(1);

/// A [`Bus`] on NATS, for processes that share a store. See the [crate](crate) for what it does.
///
/// Dropping it closes its connection. While NATS is away, the client's task stays until it has connected once more.
pub struct NatsBus {
    path: Arc<Path>,
    client: Client,
    /// What a partition's number follows.
    prefix: String,
    limits: BusLimits,
    _tasks: JoinSet<()>,
}

impl NatsBus {
    /// Connects to the servers at `url` with the default settings: `nats://127.0.0.1:4222`, or several with commas.
    ///
    /// # Errors
    /// [`ConnectError`] if the URL is invalid. If no server can be reached now, the bus is disrupted until one can be.
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        Self::builder(url).connect().await
    }

    /// Returns the settings of a bus at `url`, at their defaults.
    pub fn builder(url: &str) -> Builder {
        Builder::new(url)
    }

    pub(crate) async fn open(
        servers: Vec<ServerAddr>,
        namespace: &str,
        options: ConnectOptions,
    ) -> Result<Self, ConnectError> {
        let path = Arc::new(Path::new());
        let failures = FailureLog::new();
        let (watched, log) = (Arc::downgrade(&path), failures.clone());
        let client = options
            .ping_interval(PING_INTERVAL)
            .subscription_capacity(SUBSCRIPTION_CAPACITY)
            .max_reconnects(None)
            .retry_on_initial_connect()
            .event_callback(move |event| {
                hear(&watched, &log, &event);
                std::future::ready(())
            })
            .connect(servers)
            .await
            .map_err(|error| ConnectError::Client(Box::new(error)))?;
        let prefix = format!("chatcore.{namespace}.");
        let subscribed = client.subscribe(format!("{prefix}*")).await;
        let subscription = subscribed.map_err(|error| ConnectError::Client(Box::new(error)))?;
        let mut tasks = JoinSet::new();
        tasks.spawn(receive(Arc::clone(&path), subscription, prefix.len()));
        tasks.spawn(probe(Arc::clone(&path), client.clone(), format!("{prefix}probe")));
        let mut events = path.feed.subscribe();
        let restored =
            async { while events.next().await.is_some_and(|event| event != BusEvent::Restored) {} };
        if timeout(FIRST_CONNECT, restored).await.is_err() {
            failures.limited(DISRUPTED, "no server has answered yet");
        }
        // Smaller ones are refused by the client, until it is connected.
        let max_bytes = MAX_BYTES.min(client.max_payload());
        let limits = BusLimits::default().with_max_bytes(max_bytes).with_partitions(PARTITIONS);
        Ok(Self { path, client, prefix, limits, _tasks: tasks })
    }
}

#[async_trait]
impl Bus for NatsBus {
    async fn publish(&self, partition: u8, bytes: Bytes) -> Result<(), BusError> {
        self.limits.check(partition, &bytes)?;
        if self.path.is_disrupted() {
            // The client would keep it and send it late.
            return Err(BusError::Unavailable(None));
        }
        let sent = self.client.publish(format!("{}{partition}", self.prefix), bytes);
        timeout(SEND, sent).await.map_err(BusError::unavailable)?.map_err(BusError::unavailable)
    }

    fn subscribe(&self) -> BoxStream<'static, BusEvent> {
        self.path.feed.subscribe()
    }

    fn limits(&self) -> BusLimits {
        self.limits.clone()
    }
}

impl fmt::Debug for NatsBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsBus")
            .field("prefix", &self.prefix)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// The kind of the line in the log.
const DISRUPTED: &str = "the NATS bus carries nothing";

/// Takes what the client tells of its connection.
fn hear(path: &Weak<Path>, failures: &FailureLog, event: &Event) {
    let Some(path) = path.upgrade() else { return };
    match event {
        Event::Connected => path.changed.notify_one(),
        Event::Disconnected | Event::SlowConsumer(_) | Event::ServerError(_) | Event::Closed => {
            if path.disrupt() {
                failures.limited(DISRUPTED, event);
            }
        }
        // Attempts to connect that failed, and a server that asks its clients to leave.
        Event::ClientError(_) | Event::LameDuckMode | Event::Draining => {}
    }
}

/// Takes what comes, without ever waiting for anything else. `prefix` is the length of what a subject's last part
/// follows.
async fn receive(path: Arc<Path>, mut subscription: Subscriber, prefix: usize) {
    while let Some(message) = subscription.next().await {
        let last = message.subject.get(prefix..).unwrap_or_default();
        if last == "probe" {
            if path.came_back(&message.payload) {
                tracing::info!("the NATS bus carries messages");
            }
        } else if let Some(partition) = last.parse().ok().filter(|partition| *partition < PARTITIONS) {
            path.feed.message(partition, message.payload);
        } else {
            tracing::debug!("a message is not of a chatcore bus");
        }
    }
}

/// Sends probes while the path is disrupted.
async fn probe(path: Arc<Path>, client: Client, subject: String) {
    loop {
        let number = getrandom::u64().unwrap_or_default();
        match path.probe(number) {
            Some(payload) => {
                // If it fails, the next one follows.
                let _ = timeout(SEND, client.publish(subject.clone(), payload)).await;
                let _ = timeout(PROBE_AGAIN, path.changed.notified()).await;
            }
            None => path.changed.notified().await,
        }
    }
}
