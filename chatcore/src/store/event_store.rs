//! The channels' logs.

use std::time::Duration;

use async_trait::async_trait;

use super::{AppendError, Found, PageLimit, StoreError, search_by_scan};
use crate::model::append::Append;
use crate::model::check::Check;
use crate::model::event::Event;
use crate::model::id::{ChannelId, Epoch, Position, Seq};
use crate::model::message::Message;
use crate::model::query::SearchQuery;
use crate::model::time::Timestamp;

/// How long a store recognizes the nonce of a pruned message, counted from the message's time: 24 hours. The
/// nonce of a message that is kept is always recognized.
pub const NONCE_LIFE: Duration = Duration::from_secs(24 * 3_600);

/// What an `Ok` of [`EventStore::append`] means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// The event is kept until this process ends.
    Process,
    /// The event was synced to the disk before the answer, so it survives the process and a loss of power.
    Disk,
}

/// The outcome of one [`Append`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Appended {
    /// The event's position in the log. For a duplicate, the position of the first one.
    pub seq: Seq,
    /// When the store accepted it. For a duplicate, the time of the first one.
    pub at: Timestamp,
    /// The log's epoch.
    pub epoch: Epoch,
    /// Whether this author had already used this nonce in this channel. Then nothing was stored.
    pub duplicate: bool,
}

impl Appended {
    /// Returns the outcome of an item that was stored.
    #[must_use]
    pub fn new(seq: Seq, at: Timestamp, epoch: Epoch) -> Self {
        Self { seq, at, epoch, duplicate: false }
    }

    /// Returns the outcome of an item whose nonce the author had already used: `seq` and `at` are those of the first.
    #[must_use]
    pub fn duplicate(seq: Seq, at: Timestamp, epoch: Epoch) -> Self {
        Self { seq, at, epoch, duplicate: true }
    }
}

/// The end of a channel's log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Head {
    /// The log's epoch.
    pub epoch: Epoch,
    /// The last event's `seq`, or 0 for none.
    pub seq: Seq,
    /// The last event's check, [`Check::START`] for an empty log, or `None` if that event was pruned.
    pub check: Option<Check>,
}

impl Head {
    /// Returns the head of a log whose last event has this `seq` and check.
    #[must_use]
    pub fn new(epoch: Epoch, seq: Seq, check: Option<Check>) -> Self {
        Self { epoch, seq, check }
    }

    /// Returns the head as a position.
    #[must_use]
    pub fn position(&self) -> Position {
        Position::new(self.epoch.clone(), self.seq).with_check(self.check)
    }
}

/// The answer of [`EventStore::after`] for a position.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Replay {
    /// The events right after the position.
    Events {
        /// The events in order, as many as the page takes. Empty at the head.
        events: Vec<Event>,
        /// Whether the log goes on after them.
        more: bool,
    },
    /// The position is not valid in this log: it has another epoch, is trimmed, is past the head, or has a check
    /// that is not that of the event at its `seq`.
    Reset(Head),
}

/// Messages in their current state, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// The messages.
    pub messages: Vec<Message>,
    /// Whether the page ends before the last message of those that it was asked for: older ones for
    /// [`messages_before`](EventStore::messages_before), newer ones for [`messages_after`](EventStore::messages_after).
    pub more: bool,
}

impl Page {
    /// Returns a page of these messages. `more` says whether there are others beyond it.
    #[must_use]
    pub fn new(messages: Vec<Message>, more: bool) -> Self {
        Self { messages, more }
    }
}

/// The channels' logs.
///
/// # Laws
/// - `seq` runs 1, 2, 3 … in each channel, with no gap and no reuse within an epoch, whatever fails.
/// - Once n is visible to any read, all of ≤ n is.
/// - The time of an event is [`Timestamp::following`] that of the one before it.
/// - The same (channel, author, nonce) gets the same `seq` and is stored once, while the message is kept and for
///   at least [`NONCE_LIFE`].
/// - After a delete no read returns the message's text, its edits' texts or its attachments.
/// - The log and the current messages change in one transaction.
///
/// The repository's `examples` have a store of an app's own, with the laws as its tests. The engine calls one so:
///
/// ```
/// use chatcore::store::{Append, AppendBody, Directory, EventStore, PageLimit};
/// use chatcore::{ChannelName, MemoryStore, Nonce, Seq, User};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MemoryStore::new();
/// let ann = User::new("u_ann", "Ann")?;
/// let general = store.create_channel(&ChannelName::new("general")?, "", &ann).await?.into_channel();
/// let body = AppendBody::message(Nonce::random(), "Hello!");
/// let appended = store.append(vec![Append::new(general.id, ann, body)]).await;
/// assert_eq!(appended.len(), 1, "an answer for each item");
/// let newest = store.messages_before(general.id, Seq::MAX, PageLimit::new(100, 512 << 10)).await?;
/// assert_eq!(newest.messages[0].text, "Hello!");
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait EventStore: Send + Sync + 'static {
    /// Appends a batch, and returns an answer per item, in the batch's order. Items are applied in that order. An
    /// item that is refused gets no `seq` and does not disturb the others.
    ///
    /// # Errors
    /// An item gets an [`AppendError`]. After [`AppendError::Store`] its outcome is unknown: a publish may be
    /// repeated with its nonce.
    ///
    /// # Cancel safety
    /// If the future is dropped, each item is either stored whole or not at all.
    async fn append(&self, batch: Vec<Append>) -> Vec<Result<Appended, AppendError>>;

    /// Appends as [`append`](Self::append) does, without waiting for anything, and adds an answer per item to `answers`.
    /// Returns false, and takes nothing, if the store would have to wait, for a disk or a network, as this default does.
    ///
    /// Implement it for a store that keeps everything in memory: it saves each batch a future, a timer and two lists.
    #[expect(unused_variables, reason = "the names are documentation")]
    fn append_at_once(
        &self,
        batch: &mut dyn Iterator<Item = Append>,
        answers: &mut Vec<Result<Appended, AppendError>>,
    ) -> bool {
        false
    }

    /// Returns a page of the events after `position`, in order, or a reset if the position is not valid. A
    /// position with a check is compared with the event at its `seq` ([`Position::fits`]). At `seq` 0 the check is
    /// [`Check::START`].
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read or has no such channel.
    async fn after(
        &self,
        channel: ChannelId,
        position: &Position,
        limit: PageLimit,
    ) -> Result<Replay, StoreError>;

    /// Returns for each of `positions`, in order, what [`after`](Self::after) returns for it, or `None` if the channel
    /// does not exist. Each has a page of its own, bounded by `limit`. The pages may belong to different moments.
    ///
    /// A chat repairs many channels by it. This implementation calls [`heads`](Self::heads) once, and `after` for each
    /// position. A store for which each call is a round trip should answer all in one.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    async fn after_many(
        &self,
        positions: &[(ChannelId, Position)],
        limit: PageLimit,
    ) -> Result<Vec<Option<Replay>>, StoreError> {
        let channels: Vec<_> = positions.iter().map(|(channel, _)| *channel).collect();
        let heads = self.heads(&channels).await?;
        let mut replays = Vec::with_capacity(positions.len());
        for ((channel, position), head) in positions.iter().zip(heads) {
            replays.push(match head {
                Some(_) => Some(self.after(*channel, position, limit).await?),
                None => None,
            });
        }
        Ok(replays)
    }

    /// Returns a page of the newest messages with `seq` less than `before`, including tombstones. The page is
    /// filled from the newest message, and sorted oldest first.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read. A channel that does not exist has no messages.
    async fn messages_before(
        &self,
        channel: ChannelId,
        before: Seq,
        limit: PageLimit,
    ) -> Result<Page, StoreError>;

    /// Returns a page of the oldest messages with `seq` greater than `after`, including tombstones. The page is filled
    /// from the oldest message, and sorted oldest first.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read. A channel that does not exist has no messages.
    async fn messages_after(
        &self,
        channel: ChannelId,
        after: Seq,
        limit: PageLimit,
    ) -> Result<Page, StoreError>;

    /// Returns a page of the newest messages before `before` that match in their current state. Deleted messages
    /// never match. A call may search only a part of the log; if that part or the page ends, the answer says where
    /// to go on. The engine never asks for a page of no items.
    ///
    /// A store needs no search of its own: this implementation reads [`SEARCH_SCAN`](super::SEARCH_SCAN) messages or
    /// [`SEARCH_BYTES`](super::SEARCH_BYTES) of texts per call, and compares them off the async threads. A store with
    /// an index must return the same messages, may search further back, and must also compare off the async threads.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read. A channel that does not exist has no messages.
    async fn search(
        &self,
        channel: ChannelId,
        query: &SearchQuery,
        before: Seq,
        limit: PageLimit,
    ) -> Result<Found, StoreError> {
        search_by_scan(self, channel, query, before, limit).await
    }

    /// Returns a message in its current state, or `None` if `seq` is not a message.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    async fn message(&self, channel: ChannelId, seq: Seq) -> Result<Option<Message>, StoreError>;

    /// Returns the head of each channel's log, in the order of `channels`. `None` for a channel that does not
    /// exist.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    async fn heads(&self, channels: &[ChannelId]) -> Result<Vec<Option<Head>>, StoreError>;

    /// Trims a log: removes every event and message with `seq` up to and including `through`. The attachments of
    /// removed messages become [`UploadState::Discarded`](super::UploadState::Discarded). A nonce is kept after its
    /// message until it is [`NONCE_LIFE`] old at `now`. A nonce with a time after `now` counts as dated `now`, since
    /// the clock was wrong then.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be written.
    async fn prune(&self, channel: ChannelId, through: Seq, now: Timestamp) -> Result<(), StoreError>;

    /// Returns what an acknowledgement of this store means.
    fn durability(&self) -> Durability;

    /// Returns whether processes on several machines may have the store at the same time. Default false, as for a
    /// file that one process locks, or for memory. A chat on many nodes needs a shared store.
    fn shared(&self) -> bool {
        false
    }
}
