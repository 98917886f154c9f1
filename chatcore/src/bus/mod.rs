//! How the processes of one chat tell each other what happened: the trait [`Bus`], and [`LocalBus`].
//!
//! The store has the truth, and a bus carries hints about it. So a bus may lose what it carries: the receiver finds out
//! and reads the store. `testkit::bus_conformance!` tests the laws of any implementation.

pub(crate) mod envelope;
mod error;
mod feed;
mod local;
pub(crate) mod peers;
pub(crate) mod sender;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

pub use self::error::BusError;
pub use self::feed::Feed;
pub use self::local::LocalBus;

__settings! {
    /// What a bus can carry. The engine's envelopes keep to it.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use chatcore::bus::BusLimits;
    ///
    /// let limits = BusLimits::default().with_max_bytes(7_900).with_min_interval(Duration::from_millis(10));
    /// assert_eq!(limits.partitions, 64);
    /// ```
    pub struct BusLimits {
        /// The most bytes per message.
        max_bytes, with_max_bytes: usize = 900 << 10;
        /// The shortest time between two messages of one sender. The engine gathers what happens meanwhile.
        min_interval, with_min_interval: Duration = Duration::ZERO;
        /// The number of partitions, which are 0, 1, 2 …. At least 1.
        partitions, with_partitions: u8 = 64;
    }
}

impl BusLimits {
    /// Checks a message before an adapter sends it.
    ///
    /// # Errors
    /// [`BusError::TooLarge`] and [`BusError::NoSuchPartition`].
    pub fn check(&self, partition: u8, bytes: &Bytes) -> Result<(), BusError> {
        if bytes.len() > self.max_bytes {
            return Err(BusError::TooLarge { bytes: bytes.len(), limit: self.max_bytes });
        }
        if partition >= self.partitions {
            return Err(BusError::NoSuchPartition { partition, partitions: self.partitions });
        }
        Ok(())
    }
}

/// What a subscriber of a bus gets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BusEvent {
    /// A message, from this process or another.
    Message {
        /// The partition that it was published to.
        partition: u8,
        /// Its bytes, as they were published.
        bytes: Bytes,
    },
    /// Messages may have been lost, and none can be relied on to come until [`Restored`](Self::Restored).
    Disrupted,
    /// Messages come again, from now on.
    Restored,
}

/// A way for the processes of one chat to tell each other what happened.
///
/// # Laws
/// - A message reaches every subscriber of every process, also of the one that published it; or it is lost. If the bus
///   knows that one may be lost, it says [`BusEvent::Disrupted`].
/// - A message arrives as it was published, and nothing arrives that was not.
/// - Memory is bounded, also with a subscriber that reads nothing. Such a subscriber loses messages and is told so. It
///   delays nobody.
///
/// Most buses keep the order of one sender's messages per partition. One that doesn't costs the receivers more reads of
/// the store, and no more.
///
/// A bus needs the trust of the database: whoever can publish can make every process show invented messages.
///
/// ```
/// use bytes::Bytes;
/// use chatcore::bus::{Bus, BusEvent, LocalBus};
/// use futures::StreamExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let bus = LocalBus::new();
/// let mut events = bus.subscribe();
/// bus.publish(7, Bytes::from_static(b"news")).await?;
/// let news = BusEvent::Message { partition: 7, bytes: Bytes::from_static(b"news") };
/// assert_eq!(events.next().await, Some(news));
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Publishes a message to every subscriber, at most once. Never waits for one of them.
    ///
    /// `Ok` means that the bus has taken the message, not that anyone has received it.
    ///
    /// # Errors
    /// - [`BusError::TooLarge`] and [`BusError::NoSuchPartition`], as by [`limits`](Self::limits)
    /// - [`BusError::Unavailable`] if the bus has no connection, or it failed; whether the message was sent is unknown
    ///
    /// # Cancel safety
    /// If the future is dropped, the message is published or not.
    async fn publish(&self, partition: u8, bytes: Bytes) -> Result<(), BusError>;

    /// Returns everything that is published from now on, by any process, including this one. The stream ends when the
    /// bus is dropped.
    ///
    /// A stream begins with [`BusEvent::Disrupted`] if the bus is disrupted now. Otherwise `Disrupted` and `Restored`
    /// alternate; only a subscriber that was too slow may be told `Disrupted` more than once.
    fn subscribe(&self) -> BoxStream<'static, BusEvent>;

    /// Returns what the bus can carry. It never changes.
    fn limits(&self) -> BusLimits;

    /// Returns whether the bus reaches other processes, as all but those within one process do. Such a bus is of use
    /// only with a store that those processes share.
    fn crosses_processes(&self) -> bool {
        true
    }
}

#[async_trait]
impl<B: Bus + ?Sized> Bus for Arc<B> {
    async fn publish(&self, partition: u8, bytes: Bytes) -> Result<(), BusError> {
        (**self).publish(partition, bytes).await
    }

    fn subscribe(&self) -> BoxStream<'static, BusEvent> {
        (**self).subscribe()
    }

    fn limits(&self) -> BusLimits {
        (**self).limits()
    }

    fn crosses_processes(&self) -> bool {
        (**self).crosses_processes()
    }
}
