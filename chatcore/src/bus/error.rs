//! Why a bus did not take a message.

use std::error::Error as StdError;

/// Why a message was not published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BusError {
    /// The message is too large.
    #[error("a message of {bytes} bytes is too large for the bus: it takes {limit}")]
    TooLarge {
        /// The message's size in bytes.
        bytes: usize,
        /// The limit, [`BusLimits::max_bytes`](crate::bus::BusLimits::max_bytes).
        limit: usize,
    },
    /// The partition does not exist.
    #[error("no partition {partition}: the bus has {partitions}, from 0")]
    NoSuchPartition {
        /// The partition.
        partition: u8,
        /// The number of partitions, [`BusLimits::partitions`](crate::bus::BusLimits::partitions).
        partitions: u8,
    },
    /// The bus has no connection, or it failed.
    #[error("the bus is unavailable")]
    Unavailable(#[source] Option<Box<dyn StdError + Send + Sync>>),
}

impl BusError {
    /// Makes an error of a bus that is unavailable because of `source`.
    #[must_use]
    pub fn unavailable(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Unavailable(Some(source.into()))
    }
}
