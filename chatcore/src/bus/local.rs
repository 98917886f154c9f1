//! A bus within one process.

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::bus::{Bus, BusError, BusEvent, BusLimits, Feed};

/// A bus for several [`Chat`](crate::Chat)s in one process, such as those of a test.
///
/// It keeps [`Feed::EVENTS`] and [`Feed::BYTES`] for subscribers that are behind.
#[derive(Debug, Default)]
pub struct LocalBus {
    feed: Feed,
    limits: BusLimits,
}

impl LocalBus {
    /// Returns a bus with the default [`BusLimits`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns a bus with the limits of another kind of bus.
    #[must_use]
    pub fn with_limits(limits: BusLimits) -> Self {
        Self { feed: Feed::default(), limits }
    }
}

#[async_trait]
impl Bus for LocalBus {
    async fn publish(&self, partition: u8, bytes: Bytes) -> Result<(), BusError> {
        self.limits.check(partition, &bytes)?;
        self.feed.message(partition, bytes);
        Ok(())
    }

    fn subscribe(&self) -> BoxStream<'static, BusEvent> {
        self.feed.subscribe()
    }

    fn limits(&self) -> BusLimits {
        self.limits.clone()
    }

    fn crosses_processes(&self) -> bool {
        false
    }
}
