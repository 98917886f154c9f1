//! Durable consumers: how far an app's own programs have read the logs of all channels.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{ChannelInfo, PageLimit, StoreError};
use crate::model::id::{ChannelId, ConsumerName, Position};

/// Where a new consumer starts to read. Exhaustive on purpose: a store must handle every choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum StartAt {
    /// At the first event of each channel.
    #[default]
    Beginning,
    /// After the last event of each channel that exists now. Of later channels, it reads every event.
    End,
}

/// The right to move a consumer's positions, from [`Consumers::take_consumer`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// The consumer.
    pub consumer: ConsumerName,
    /// The number of this lease. Each later lease of the consumer has a greater one.
    pub generation: u64,
}

impl Lease {
    /// Returns a lease of `consumer` with this number.
    #[must_use]
    pub fn new(consumer: ConsumerName, generation: u64) -> Self {
        Self { consumer, generation }
    }
}

/// A channel whose log has something that a consumer has not read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct News {
    /// The channel.
    pub channel: ChannelInfo,
    /// How far the consumer has read its log. It may be invalid in the log by now.
    pub position: Position,
}

impl News {
    /// Returns news of `channel` for a consumer that has read its log up to `position`.
    #[must_use]
    pub fn new(channel: ChannelInfo, position: Position) -> Self {
        Self { channel, position }
    }

    /// Returns the weight of the item: that of its channel.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.channel.weight()
    }
}

/// A page of [`News`], ordered by channel id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewsPage {
    /// The channels.
    pub news: Vec<News>,
    /// Whether there are further channels after these.
    pub more: bool,
}

impl NewsPage {
    /// Returns a page of these channels. `more` says whether there are others after them.
    #[must_use]
    pub fn new(news: Vec<News>, more: bool) -> Self {
        Self { news, more }
    }
}

/// The durable consumers: of each, how far it has read each channel's log, which channels have news for it, and who
/// reads for it at the moment.
///
/// # Laws
/// - Once an event is visible to any read, its channel is in the [`news`](Self::news) of every consumer until the
///   consumer's position is after it. So is a channel whose log has got a new epoch. A channel may also be there
///   without anything new, until the next [`advance`](Self::advance) to its head.
/// - The cost of `news` depends on the channels that it returns, not on how many exist.
/// - Of all leases of a consumer, only the last one moves its positions.
/// - A lease ends by the store's own clock, not by those of the processes.
#[async_trait]
pub trait Consumers: Send + Sync + 'static {
    /// Enters a consumer that starts at `start`, unless there is one with this name or there are `most` consumers.
    /// Returns whether there is one now. Simultaneous calls on any handles never create more than `most`.
    ///
    /// The cost may grow with the number of channels.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be written.
    async fn create_consumer_within(
        &self,
        name: &ConsumerName,
        start: StartAt,
        most: usize,
    ) -> Result<bool, StoreError>;

    /// Returns the names of all consumers, sorted.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    async fn consumers(&self) -> Result<Vec<ConsumerName>, StoreError>;

    /// Removes a consumer with its positions and leases. Returns whether there was one.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be written.
    async fn remove_consumer(&self, name: &ConsumerName) -> Result<bool, StoreError>;

    /// Takes a new lease of a consumer for `term`, which is at most an hour. Returns `None` while `another` holder has
    /// one: a holder is a random number of its own, which gets a new lease at any time, so a call whose answer was lost
    /// can be repeated.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be written or has no such consumer.
    async fn take_consumer(
        &self,
        name: &ConsumerName,
        holder: u64,
        term: Duration,
    ) -> Result<Option<Lease>, StoreError>;

    /// Extends a lease to `term` from now. Returns false, and changes nothing, if a later lease was taken or the
    /// consumer was removed. A lease that has ended is extended too, if no later one was taken.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be written.
    async fn renew_lease(&self, lease: &Lease, term: Duration) -> Result<bool, StoreError>;

    /// Ends a lease, so that another holder can take one at once. Does nothing if a later one was taken.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be written.
    async fn end_lease(&self, lease: &Lease) -> Result<(), StoreError>;

    /// Returns a page of the channels with news for a consumer, with ids after `after`, ordered by id. The position in a
    /// channel that the consumer has not read is the start of its log, `seq` 0. A consumer that does not exist has no
    /// news.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    async fn news(
        &self,
        name: &ConsumerName,
        after: ChannelId,
        limit: PageLimit,
    ) -> Result<NewsPage, StoreError>;

    /// Sets the positions of a consumer in these channels, all or none. Channels that don't exist are passed over.
    /// Returns false, and changes nothing, if a later lease was taken or the consumer was removed.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be written.
    async fn advance(&self, lease: &Lease, positions: &[(ChannelId, Position)]) -> Result<bool, StoreError>;
}
