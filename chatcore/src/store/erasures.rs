//! People who were erased: what of them a store still has, and how it forgets their names.

use async_trait::async_trait;

use super::{ChannelInfo, StoreError, SweepTurn};
use crate::model::id::{ChannelId, Seq, UserId};
use crate::model::message::Erasure;

/// A person who was erased.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErasedUser {
    /// The person.
    pub user: UserId,
    /// What becomes of their messages.
    pub erasure: Erasure,
    /// Whether nothing is left to do.
    pub done: bool,
}

impl ErasedUser {
    /// Returns a person whose erasure is done or not.
    #[must_use]
    pub fn new(user: UserId, erasure: Erasure, done: bool) -> Self {
        Self { user, erasure, done }
    }
}

/// What a person has left in one part of a channel's log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traces {
    /// The channel. The person may also be a member of it.
    pub channel: ChannelInfo,
    /// The last event of the part, or [`Seq::MAX`] if it is the rest of the log.
    pub through: Seq,
    /// Their messages in that part that are not deleted, in order.
    pub messages: Vec<Seq>,
    /// The messages to which they have added an emoji by an event in that part, and still have: each with the emoji, in
    /// the order of the events.
    pub reactions: Vec<(Seq, String)>,
}

impl Traces {
    /// Returns no traces in the part of a channel's log that ends with `through`.
    #[must_use]
    pub fn new(channel: ChannelInfo, through: Seq) -> Self {
        Self { channel, through, messages: Vec::new(), reactions: Vec::new() }
    }
}

/// The answer of [`Erasures::next_traces`]. Exhaustive on purpose: whoever asks must handle each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextTraces {
    /// What comes next.
    Found(Traces),
    /// Writes that began before the erasure are not over, and may still leave something. Ask again a moment later.
    Later,
    /// No log has anything that was not covered.
    Nothing,
}

/// People who were erased.
///
/// [`Chat::erase_user`](crate::Chat::erase_user) begins an erasure. The chat then goes through the logs that the person
/// has written to, part by part: it asks for the [next traces](Self::next_traces), appends what takes them away, and has
/// that part [covered](Self::cover_traces), which also moves the store's own mark of how far the erasure is. So it goes
/// on after a crash, in any process. At the end it is [ended](Self::end_erasure).
///
/// # Laws
/// Once [`begin_erasure`](Self::begin_erasure) has returned, and until [`readmit`](Self::readmit), on every handle:
///
/// - `users`, `members` and the people of a direct channel have the person as [`User::erased`](crate::User::erased), and
///   `find_users` does not find them. `put_user` and `put_profile` change nothing.
/// - An append of theirs that leaves something is refused, whenever it began: see
///   [`AppendBody::suits_erased`](super::AppendBody::suits_erased). Nobody adds them to a channel. `join_open` enters
///   nobody and returns false, and `mark_read` and `mark_unread` move no marker. A new channel with them, or made by
///   them, is an error.
/// - No upload of theirs is entered or changed: `put_upload_within` returns false.
///
/// Once a part of a log is [covered](Self::cover_traces), no call returns their name from it. Once the erasure is ended,
/// no row of the store has it, but in texts that people wrote.
#[async_trait]
pub trait Erasures: Send + Sync + 'static {
    /// Begins to erase a person, who need not be stored. Of one whose erasure is under way with the same choice it
    /// changes nothing. Any other begins again, with this choice: tombstones stay.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be written.
    async fn begin_erasure(&self, user: &UserId, erasure: Erasure) -> Result<(), StoreError>;

    /// Returns a person who was erased and not readmitted.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    async fn erased_user(&self, user: &UserId) -> Result<Option<ErasedUser>, StoreError>;

    /// Returns up to `limit` people whose erasure is under way.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    async fn erasures(&self, limit: usize) -> Result<Vec<ErasedUser>, StoreError>;

    /// Returns what the person has left in the next part of a log that is not [covered](Self::cover_traces). The part
    /// has at most `limit` events of theirs, or about as many events as that if the store finds them by reading the log.
    /// The cost does not grow with the logs to which they have never written.
    ///
    /// [`NextTraces::Nothing`] if their erasure is not under way.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    async fn next_traces(&self, user: &UserId, limit: usize) -> Result<NextTraces, StoreError>;

    /// Takes the person's name out of a channel's entry, its members and the part of its log that ends with `through`,
    /// and moves the mark behind that. With [`Erasure::Tombstones`] it also [redacts](super::EventKind::redact) the
    /// person's edits in that part whose message is deleted, or no longer there since the log was trimmed. Does nothing if
    /// the mark is there already, or if no erasure is under way. No event's [`Check`](super::Check) changes.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be written.
    async fn cover_traces(&self, user: &UserId, channel: ChannelId, through: Seq) -> Result<(), StoreError>;

    /// Removes the person's read markers, discards the uploads that no message has, and notes that the erasure is done.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be written.
    async fn end_erasure(&self, user: &UserId) -> Result<(), StoreError>;

    /// Lets somebody have the id of a person again whose erasure is done, and returns true. What that person left stays
    /// under [`User::ERASED`](crate::User::ERASED). Returns false, and changes nothing, if their erasure is under way, or
    /// if they were not erased.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be written.
    async fn readmit(&self, user: &UserId) -> Result<bool, StoreError>;

    /// Takes the turn to erase. Returns `None` while another process has it. Like
    /// [`sweep_turn`](super::AttachmentIndex::sweep_turn), it may end early: two processes that erase the same person at
    /// once do their work twice.
    ///
    /// A store that is not [`shared`](super::EventStore::shared) needs no turns: this implementation always returns one.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    async fn erasure_turn(&self) -> Result<Option<SweepTurn>, StoreError> {
        Ok(Some(SweepTurn::free()))
    }
}
