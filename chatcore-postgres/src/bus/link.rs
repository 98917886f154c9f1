//! The two connections of a bus, opened again whenever one fails.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chatcore::FailureLog;
use chatcore::bus::Feed;
use futures::StreamExt;
use sha2::{Digest, Sha256};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_postgres::types::Type;
use tokio_postgres::{AsyncMessage, Client};

use super::{Payload, probe};
use crate::config::Builder;
use crate::database::{Connector, Messages, Params};
use crate::error::{ConnectError, Failure};

/// How long a new link's first probe may take.
const FIRST_PROBE: Duration = Duration::from_secs(2);
/// The time between two probes.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);
/// The pause before the first new attempt to connect. Each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause before a new attempt, plus up to a quarter by chance.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// The longest name that PostgreSQL distinguishes, in bytes.
const NAME_BYTES: usize = 63;

/// What the bus and the task that keeps its connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) feed: Feed,
    /// Held for a few instructions, never across an await.
    sender: Mutex<Option<Arc<Sender>>>,
    /// The number of the last probe that came back.
    returned: watch::Sender<u64>,
}

impl Shared {
    /// Returns what sends, or `None` if the bus is disrupted.
    pub(super) fn sender(&self) -> Option<Arc<Sender>> {
        self.lock().clone()
    }

    /// Lets messages pass by a link that was probed.
    pub(super) fn restored(&self, link: &Link) {
        *self.lock() = Some(Arc::clone(&link.sender));
        self.feed.restored();
    }

    fn disrupted(&self) {
        *self.lock() = None;
        self.feed.disrupted();
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Sender>>> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, payload: &str) {
        match Payload::parse(payload) {
            Payload::Message(bytes) => self.feed.message(0, bytes),
            Payload::Probe(number) => {
                self.returned.send_replace(number);
            }
            Payload::Unknown => tracing::debug!("a notification is not of a chatcore bus"),
        }
    }
}

/// The connection that notifies.
pub(super) struct Sender {
    client: Client,
    name: Arc<str>,
    answer_timeout: Duration,
    /// Told when a notification failed.
    failed: Notify,
}

impl Sender {
    /// Notifies all listeners in a transaction of its own, which does not wait for the disk: all transactions that
    /// notify share a lock until their commit. If it fails, the link is renewed.
    pub(super) async fn notify(&self, payload: &str) -> Result<(), Failure> {
        const SQL: &str = "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)";
        let name = &*self.name;
        let params: Params<'_> = &[(&name, Type::TEXT), (&payload, Type::TEXT)];
        let outcome = within(self.answer_timeout, self.client.query_typed(SQL, params)).await;
        if outcome.is_err() {
            self.failed.notify_one();
        }
        outcome.map(drop)
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A listener and a sender, between which notifications pass.
pub(super) struct Link {
    sender: Arc<Sender>,
    /// Kept open: the connection ends with it.
    _listener: Client,
    /// The tasks that drive both connections. Each ends with its connection.
    driving: JoinSet<Failure>,
}

impl Link {
    /// Sends a probe and waits until it comes back.
    async fn probe(&self, shared: &Shared, patience: Duration) -> Result<(), Failure> {
        const LOST: &str = "a notification did not come back: the bus needs direct connections to the primary, \
             without a pooler in transaction mode (Builder::listen_url)";
        let number = getrandom::u64().map_err(|_| Failure::Broken("the system has no randomness"))?;
        self.sender.notify(&probe(number)).await?;
        let mut returned = shared.returned.subscribe();
        let came_back = returned.wait_for(|returned| *returned == number);
        timeout(patience, came_back).await.map_or(Err(Failure::Broken(LOST)), |_| Ok(()))
    }

    /// Returns when one of the connections has failed.
    async fn broken(&mut self, shared: &Shared) -> Failure {
        loop {
            tokio::select! {
                Some(ended) = self.driving.join_next() => {
                    return ended.unwrap_or(Failure::Broken("the task of a connection has panicked"));
                }
                () = self.sender.failed.notified() => return Failure::Broken("a notification could not be sent"),
                () = sleep(PROBE_INTERVAL) => {}
            }
            if let Err(failure) = self.probe(shared, self.sender.answer_timeout).await {
                return failure;
            }
        }
    }
}

/// What opens links, one after the other.
pub(super) struct Links {
    connector: Connector,
    config: tokio_postgres::Config,
    /// The name that the bus listens to.
    name: Arc<str>,
    connect_timeout: Duration,
    answer_timeout: Duration,
}

impl Links {
    pub(super) fn new(builder: &Builder) -> Result<(Shared, Self), ConnectError> {
        let config = builder.bus_config()?;
        let links = Self {
            connector: config.connector()?,
            config: config.connection,
            name: name_of(&builder.schema).into(),
            connect_timeout: builder.connect_timeout,
            answer_timeout: builder.answer_timeout,
        };
        let (returned, _) = watch::channel(0);
        let shared = Shared { feed: Feed::default(), sender: Mutex::default(), returned };
        shared.disrupted();
        Ok((shared, links))
    }

    /// Opens both connections, and sees that a notification passes. Before that, the bus counts as disrupted.
    pub(super) async fn connect(&self, shared: &Arc<Shared>) -> Result<Link, Failure> {
        let mut driving = JoinSet::new();
        let (listener, messages) = self.open().await?;
        driving.spawn(drive(messages, Some(Arc::clone(shared))));
        // The name needs no escapes, only quotes.
        let listen = format!("LISTEN \"{}\"", self.name);
        within(self.answer_timeout, listener.batch_execute(&listen)).await?;
        let (client, messages) = self.open().await?;
        driving.spawn(drive(messages, None));
        let (name, answer_timeout) = (Arc::clone(&self.name), self.answer_timeout);
        let sender = Arc::new(Sender { client, name, answer_timeout, failed: Notify::new() });
        let link = Link { sender, _listener: listener, driving };
        link.probe(shared, FIRST_PROBE).await?;
        Ok(link)
    }

    async fn open(&self) -> Result<(Client, Messages), Failure> {
        within(self.connect_timeout, self.connector.open(&self.config)).await
    }

    /// Keeps the bus connected for ever, from the outcome of the first attempt.
    pub(super) async fn keep(self, shared: Arc<Shared>, first: Result<Link, Failure>) {
        let failures = FailureLog::new();
        let mut attempt = first;
        let mut pause = FIRST_PAUSE;
        let mut disrupted = false;
        loop {
            let failure = match attempt {
                Ok(mut link) => {
                    shared.restored(&link);
                    if disrupted {
                        tracing::info!(bus = &*self.name, "the PostgreSQL bus is connected again");
                    }
                    (disrupted, pause) = (false, FIRST_PAUSE);
                    link.broken(&shared).await
                }
                Err(failure) => failure,
            };
            shared.disrupted();
            if !disrupted {
                failures.failed("the PostgreSQL bus carries nothing", &self.name, &failure);
            }
            disrupted = true;
            sleep(pause + pause / 4 * getrandom::u32().map_or(0, |chance| chance % 256) / 256).await;
            pause = LONGEST_PAUSE.min(pause * 2);
            attempt = self.connect(&shared).await;
        }
    }
}

/// Drives a connection to its end, and gives what it notifies of to `listening`.
async fn drive(mut messages: Messages, listening: Option<Arc<Shared>>) -> Failure {
    while let Some(message) = messages.next().await {
        match (message, &listening) {
            (Ok(AsyncMessage::Notification(heard)), Some(shared)) => shared.hear(heard.payload()),
            (Ok(_), _) => {}
            (Err(error), _) => return error.into(),
        }
    }
    Failure::Broken("the server has closed a connection")
}

/// Bounds a call of the database.
async fn within<T>(
    bound: Duration,
    call: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Failure> {
    Ok(timeout(bound, call).await.map_err(|_| Failure::Timeout)??)
}

/// Returns the name that a schema's bus listens to. Long ones have a hash, since PostgreSQL would cut them.
fn name_of(schema: &str) -> String {
    const ENDING: &str = "_bus";
    if schema.len() + ENDING.len() <= NAME_BYTES {
        return format!("{schema}{ENDING}");
    }
    let hash = Sha256::digest(schema.as_bytes());
    let hash: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let kept = NAME_BYTES - ENDING.len() - hash.len() - 1;
    // A schema's name is ASCII.
    format!("{}_{hash}{ENDING}", &schema[..kept])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_has_a_name_of_its_own() {
        assert_eq!(name_of("chatcore"), "chatcore_bus");
        assert_eq!(name_of(&"a".repeat(59)), format!("{}_bus", "a".repeat(59)));
        let long = |last: &str| name_of(&format!("{}{last}", "a".repeat(62)));
        assert_eq!(long("b").len(), NAME_BYTES);
        assert_ne!(long("b"), long("c"));
    }
}
