//! A bus by LISTEN and NOTIFY.

mod link;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use chatcore::bus::{Bus, BusError, BusEvent, BusLimits};
use futures::stream::BoxStream;
use tokio::task::JoinHandle;

use self::link::{Links, Shared};
use crate::config::{Builder, check_schema};
use crate::error::ConnectError;

/// The most bytes per payload. PostgreSQL takes 7,999.
const PAYLOAD_BYTES: usize = 7_900;

/// The shortest time between two messages of one process: every one of them wakes every listener, and takes a lock that
/// all commits with a notification share.
const MIN_INTERVAL: Duration = Duration::from_millis(10);

/// A [`Bus`] in the database that the store uses, by LISTEN and NOTIFY: no further server is needed. It suits up to about
/// eight processes.
///
/// - Each schema is a bus of its own.
/// - It has two connections of its own, to the primary, which no pool lends to anyone. See
///   [`Builder::listen_url`](crate::Builder::listen_url) if there is a pooler.
/// - A notification commits without waiting for the disk, after the commit that it tells of.
/// - The way from NOTIFY to LISTEN is tried at the start and every ten seconds. If a notification does not come back, or a
///   connection ends, subscribers get [`BusEvent::Disrupted`], one line in the log says why, and the bus connects again
///   until it succeeds.
/// - While it is disrupted, it takes no message.
///
/// Dropping it closes its connections.
///
/// ```no_run
/// use chatcore::bus::Bus;
/// use chatcore_postgres::PostgresStore;
///
/// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
/// let settings = PostgresStore::builder("postgres://chat:secret@localhost/app");
/// let bus = settings.bus().await?;
/// let store = settings.connect().await?;
/// # let _ = bus.subscribe();
/// # drop(store);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PostgresBus {
    shared: Arc<Shared>,
    limits: BusLimits,
    keeping: JoinHandle<()>,
}

impl Builder {
    /// Connects a bus for the processes that use this schema. If the database can't be reached now, or does not deliver
    /// notifications, the bus is disrupted until it can be.
    ///
    /// # Errors
    /// [`ConnectError`] if the settings are invalid.
    pub async fn bus(&self) -> Result<PostgresBus, ConnectError> {
        check_schema(&self.schema)?;
        let (shared, links) = Links::new(self)?;
        let shared = Arc::new(shared);
        // It is a large future.
        let first = Box::pin(links.connect(&shared)).await;
        if let Ok(link) = &first {
            shared.restored(link);
        }
        let keeping = tokio::spawn(links.keep(Arc::clone(&shared), first));
        let max_bytes = PAYLOAD_BYTES / 4 * 3;
        let limits =
            BusLimits::default().with_max_bytes(max_bytes).with_min_interval(MIN_INTERVAL).with_partitions(1);
        Ok(PostgresBus { shared, limits, keeping })
    }
}

impl Drop for PostgresBus {
    fn drop(&mut self) {
        self.keeping.abort();
    }
}

#[async_trait]
impl Bus for PostgresBus {
    async fn publish(&self, partition: u8, bytes: Bytes) -> Result<(), BusError> {
        self.limits.check(partition, &bytes)?;
        let sender = self.shared.sender().ok_or(BusError::Unavailable(None))?;
        sender.notify(&STANDARD_NO_PAD.encode(&bytes)).await.map_err(BusError::unavailable)
    }

    fn subscribe(&self) -> BoxStream<'static, BusEvent> {
        self.shared.feed.subscribe()
    }

    fn limits(&self) -> BusLimits {
        self.limits.clone()
    }
}

/// What a payload is.
enum Payload {
    Message(Bytes),
    /// A probe with its number.
    Probe(u64),
    /// Something that no bus has sent.
    Unknown,
}

impl Payload {
    fn parse(text: &str) -> Self {
        match text.strip_prefix('?') {
            Some(number) => u64::from_str_radix(number, 16).map_or(Self::Unknown, Self::Probe),
            None => STANDARD_NO_PAD.decode(text).map_or(Self::Unknown, |bytes| Self::Message(bytes.into())),
        }
    }
}

/// Returns the payload of a probe.
fn probe(number: u64) -> String {
    format!("?{number:x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_a_message_a_probe_or_unknown() {
        let largest = vec![0xff; PAYLOAD_BYTES / 4 * 3];
        let text = STANDARD_NO_PAD.encode(&largest);
        assert_eq!(text.len(), PAYLOAD_BYTES);
        assert!(matches!(Payload::parse(&text), Payload::Message(bytes) if bytes == largest));
        assert!(matches!(Payload::parse(""), Payload::Message(bytes) if bytes.is_empty()));
        assert!(matches!(Payload::parse(&probe(u64::MAX)), Payload::Probe(u64::MAX)));
        for unknown in ["?", "?x", "not base64!", "é", "A"] {
            assert!(matches!(Payload::parse(unknown), Payload::Unknown), "{unknown}");
        }
    }
}
