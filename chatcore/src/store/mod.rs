//! What keeps the truth: the traits that a store implements, and [`MemoryStore`].
//!
//! A store is three traits over one database: [`EventStore`] the channels' logs, [`Directory`] who and what
//! exists, [`AttachmentIndex`] what was uploaded. They share transactions (an append takes attachments), so
//! one type implements all three, and is then a [`Store`]. `testkit::store_conformance!` holds their laws as
//! tests for any implementation.

pub mod blob;
mod error;
mod memory;
mod page;
mod scan;

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use self::error::{AppendError, StoreError};
pub use self::memory::MemoryStore;
pub use self::page::{Filling, PageLimit};
pub use self::scan::{Found, SEARCH_BYTES, SEARCH_SCAN, search_by_scan};
use crate::model::check::Check;
use crate::model::event::{Append, Event};
use crate::model::id::{AttachmentId, ChannelId, Epoch, Position, Seq, UserId};
use crate::model::message::{Attachment, FIXED_WEIGHT, Message, User};
use crate::model::name::ChannelName;
use crate::model::query::SearchQuery;
use crate::model::time::Timestamp;

/// How long a store recognizes the nonce of a pruned message, counted from the message's time: 24 hours. The
/// nonce of a message that is kept is always recognized.
pub const NONCE_LIFE: Duration = Duration::from_secs(24 * 3_600);

/// What an `Ok` of [`EventStore::append`] stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// Kept until this process ends.
    Process,
    /// Synced to the disk before the answer: it outlives the process and the machine's power.
    Disk,
}

/// What the store did with one [`Append`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The event's place in the log; of a duplicate, the first one's.
    pub seq: Seq,
    /// When the store took it; of a duplicate, the first one's.
    pub at: Timestamp,
    /// The log's life.
    pub epoch: Epoch,
    /// Whether this author had already used this nonce in this channel: then nothing was stored.
    pub duplicate: bool,
}

/// Where a channel's log ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The log's life.
    pub epoch: Epoch,
    /// The last event's `seq`; 0 for none.
    pub seq: Seq,
    /// The last event's check; [`Check::START`] for none; `None` if that event was pruned.
    pub check: Option<Check>,
}

impl Head {
    /// Returns the head as a position.
    #[must_use]
    pub fn position(&self) -> Position {
        Position::new(self.epoch.clone(), self.seq).with_check(self.check)
    }
}

/// What [`EventStore::after`] has for a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replay {
    /// What comes right after the position.
    Events {
        /// The events in order, as many as the page takes; none at the head.
        events: Vec<Event>,
        /// Whether the log goes on after them.
        more: bool,
    },
    /// The position says nothing about this log: another epoch, trimmed, beyond the head, or with a check that is not
    /// that of the event at its `seq`.
    Reset(Head),
}

/// Messages as they stand now, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The messages.
    pub messages: Vec<Message>,
    /// Whether there are older ones.
    pub more: bool,
}

/// Messages that [`Directory::unread`] looks at in a channel: the newest ones.
pub const UNREAD_SCAN: u64 = 1_000;

/// Messages that [`Directory::unread`] looks at in a channel that the user has never read: about a page.
pub const UNREAD_SCAN_NEW: u64 = 100;

/// How far somebody has read a channel, at one moment. The default is that of an empty log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// The read marker; 0 for none.
    pub read: Seq,
    /// How many messages come after it, up to and with `head`, that the user has to read.
    pub messages: u64,
    /// The log's head at which they were counted; 0 for an empty log.
    pub head: Seq,
}

impl Unread {
    /// Returns how many of the newest messages are looked at for one who has read up to `read`.
    #[must_use]
    pub fn scan(read: Seq) -> u64 {
        if read == 0 { UNREAD_SCAN_NEW } else { UNREAD_SCAN }
    }
}

/// The channels' logs.
///
/// # Laws
/// - `seq` runs 1, 2, 3 … in each channel, with no gap and no reuse within an epoch, whatever fails.
/// - Once n is visible to any read, all of ≤ n is.
/// - The time of an event is [`Timestamp::following`] that of the one before it.
/// - Same (channel, author, nonce): same `seq`, stored once, for as long as the message is kept and for 24
///   hours at least.
/// - After a delete no read returns the message's text, its edits' texts or its attachments.
/// - The log and the folded messages change in one transaction.
#[async_trait]
pub trait EventStore: Send + Sync + 'static {
    /// Appends a batch, and answers each item in the batch's order. Items are applied in that order; an
    /// item that is refused takes no `seq` and does not disturb the others.
    ///
    /// # Errors
    /// An item gets an [`AppendError`]. After [`AppendError::Store`] its outcome is unknown: a publish may
    /// be repeated with its nonce.
    ///
    /// # Cancel safety
    /// A dropped future leaves each item either stored whole or not at all.
    async fn append(&self, batch: Vec<Append>) -> Vec<Result<Appended, AppendError>>;

    /// Returns a page of the events after `position`, in order, or says that there is no such position. A position with
    /// a check is compared with the event at its `seq` ([`Position::fits`]); at `seq` 0 the check is [`Check::START`].
    ///
    /// # Errors
    /// [`StoreError`] where the store can't be read or has no such channel.
    async fn after(
        &self,
        channel: ChannelId,
        position: &Position,
        limit: PageLimit,
    ) -> Result<Replay, StoreError>;

    /// Returns a page of the newest messages with `seq` below `before`, tombstones included. It is filled from the
    /// newest on, and stands oldest first.
    ///
    /// # Errors
    /// [`StoreError`] where the store can't be read. A channel that does not exist has no messages.
    async fn messages_before(
        &self,
        channel: ChannelId,
        before: Seq,
        limit: PageLimit,
    ) -> Result<Page, StoreError>;

    /// Returns a page of the newest messages below `before` that match as they stand now. Deleted ones never match.
    /// One call may look through a part of the log only; where that or the page ends, the answer says where to go on.
    /// A page of no items is not asked for.
    ///
    /// A store needs no search of its own: this one reads [`SEARCH_SCAN`] messages or [`SEARCH_BYTES`] of texts per
    /// call, and compares them off the async threads. One that has an index answers the same, from further back; it
    /// compares off the async threads too.
    ///
    /// # Errors
    /// [`StoreError`] where the store can't be read. A channel that does not exist has no messages.
    async fn search(
        &self,
        channel: ChannelId,
        query: &SearchQuery,
        before: Seq,
        limit: PageLimit,
    ) -> Result<Found, StoreError> {
        search_by_scan(self, channel, query, before, limit).await
    }

    /// Returns one message as it stands now; `None` where `seq` is not a message.
    ///
    /// # Errors
    /// [`StoreError`] where the store can't be read.
    async fn message(&self, channel: ChannelId, seq: Seq) -> Result<Option<Message>, StoreError>;

    /// Returns where each channel's log ends, in the order of `channels`; `None` for one that does not exist.
    ///
    /// # Errors
    /// [`StoreError`] where the store can't be read.
    async fn heads(&self, channels: &[ChannelId]) -> Result<Vec<Option<Head>>, StoreError>;

    /// Trims a log: removes every event and message with `seq` up to and with `through`. The attachments
    /// of removed messages become [`UploadState::Discarded`]. A nonce outlives its message until it is [`NONCE_LIFE`]
    /// old at `now`; one of a time after `now` counts as of `now`, since the clock was wrong then.
    ///
    /// # Errors
    /// [`StoreError`] where the store can't be written.
    async fn prune(&self, channel: ChannelId, through: Seq, now: Timestamp) -> Result<(), StoreError>;

    /// Says what an acknowledgement of this store stands for.
    fn durability(&self) -> Durability;
}

/// A channel's entry in the directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelInfo {
    /// The store's key.
    pub id: ChannelId,
    /// The name, unique in its spelling and, among those of this version, in its look.
    pub name: ChannelName,
    /// What it is about; may be empty.
    pub topic: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// Who created it.
    pub created_by: User,
}

impl ChannelInfo {
    /// Returns about how many bytes it takes: 256, and the UTF-8 bytes of its name, its topic, and its creator's id
    /// and name.
    #[must_use]
    pub fn weight(&self) -> usize {
        let Self { name, topic, created_by, .. } = self;
        let by = created_by.id.as_str().len() + created_by.name.len();
        FIXED_WEIGHT + name.as_str().len() + topic.len() + by
    }
}

/// Channels of the directory, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelPage {
    /// The channels.
    pub channels: Vec<ChannelInfo>,
    /// Whether others come after them.
    pub more: bool,
}

/// What [`Directory::create_channel`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// The channel is new.
    New(ChannelInfo),
    /// The name was taken already, by this one, whose name looks the same.
    Exists(ChannelInfo),
}

impl Created {
    /// Returns the channel that has the name, new or not.
    #[must_use]
    pub fn into_channel(self) -> ChannelInfo {
        match self {
            Self::New(info) | Self::Exists(info) => info,
        }
    }
}

/// Who and what exists: channels, users, and how far each has read.
#[async_trait]
pub trait Directory: Send + Sync + 'static {
    /// Returns a page of the channels whose names come after `after`, or of all, by name. Names are compared byte by
    /// byte. `after` needs not be a channel's name.
    ///
    /// # Errors
    /// [`StoreError`] where the store can't be read.
    async fn channels(
        &self,
        after: Option<&ChannelName>,
        limit: PageLimit,
    ) -> Result<ChannelPage, StoreError>;

    /// Returns how many channels there are.
    ///
    /// # Errors
    /// [`StoreError`] where the store can't be read.
    async fn channel_count(&self) -> Result<usize, StoreError>;

    /// Returns the channel of that name: the one that is spelt so, or else the one whose name is the same for people
    /// ([`ChannelName::is_same_as`]).
    ///
    /// # Errors
    /// [`StoreError`] where the store can't be read.
    async fn channel(&self, name: &ChannelName) -> Result<Option<ChannelInfo>, StoreError>;

    /// Creates a channel with an empty log of a new epoch, if no channel's name looks the same ([`ChannelName::look`]) and
    /// there are fewer than `most` channels; `None` if none looks the same and there are as many. Of several calls at once
    /// for names that look the same, exactly one gets [`Created::New`], and however many calls there are at once, on
    /// whatever handles, there are never more than `most` channels by them.
    ///
    /// Channels of an earlier version may look the same: each of them is found as it is spelt, and the first of them
    /// also by names that are the same.
    ///
    /// # Errors
    /// [`StoreError`] where the store can't be written.
    async fn create_channel_within(
        &self,
        name: &ChannelName,
        topic: &str,
        by: &User,
        most: usize,
    ) -> Result<Option<Created>, StoreError>;

    /// Creates a channel as [`create_channel_within`](Self::create_channel_within) does, without a bound.
    ///
    /// # Errors
    /// [`StoreError`] where the store can't be written.
    async fn create_channel(
        &self,
        name: &ChannelName,
        topic: &str,
        by: &User,
    ) -> Result<Created, StoreError> {
        let created = self.create_channel_within(name, topic, by, usize::MAX).await?;
        created.ok_or_else(|| StoreError::new("the store holds as many channels as it can"))
    }

    /// Moves a read marker forward to `seq` (never back, never past the head), and returns where it is now.
    /// A crash may lose the newest moves.
    ///
    /// # Errors
    /// [`StoreError`] where the store can't be written or has no such channel.
    async fn mark_read(&self, user: &UserId, channel: ChannelId, seq: Seq) -> Result<Seq, StoreError>;

    /// Moves a read marker back (never forward), so that what begins at `seq` is unread again, and returns where it is
    /// now. A crash may lose the newest moves.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be written or has no such channel.
    async fn mark_unread(&self, user: &UserId, channel: ChannelId, seq: Seq) -> Result<Seq, StoreError>;

    /// Returns, in the order of `channels`, how far the user has read, how many messages after that they have to
    /// read, and the head up to which they are counted. The three are one view of the channel, whatever is appended
    /// meanwhile: who counts on from `head` counts no message twice and misses none. Of a channel that does
    /// not exist all are 0.
    ///
    /// What a user has to read is the messages after their marker that others wrote and that are not deleted. Only the
    /// channel's newest messages are looked at, tombstones and the user's own among them: [`UNREAD_SCAN`] of them, and
    /// [`UNREAD_SCAN_NEW`] if the marker is 0. So the answer costs the same however long the log is.
    ///
    /// # Errors
    /// [`StoreError`] where the store can't be read.
    async fn unread(&self, user: &UserId, channels: &[ChannelId]) -> Result<Vec<Unread>, StoreError>;

    /// Remembers a user under the display name they have now.
    ///
    /// # Errors
    /// [`StoreError`] where the store can't be written.
    async fn put_user(&self, user: &User) -> Result<(), StoreError>;

    /// Returns those of `ids` that were ever remembered.
    ///
    /// # Errors
    /// [`StoreError`] where the store can't be read.
    async fn users(&self, ids: &[UserId]) -> Result<HashMap<UserId, User>, StoreError>;
}

/// Where an upload is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UploadState {
    /// Bytes may still be arriving. It can't be attached or read.
    Receiving,
    /// Whole, and not used yet.
    Ready,
    /// Part of the message with this `seq`.
    Attached(Seq),
    /// Its message was deleted or pruned: the bytes wait to be removed.
    Discarded,
}

/// An uploaded file, from its first byte to its removal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// The file as messages show it. Its id is the blob's key too.
    pub attachment: Attachment,
    /// The channel it was uploaded to.
    pub channel: ChannelId,
    /// That channel's name, for the policy to be asked by.
    pub channel_name: ChannelName,
    /// Who uploaded it, the only one who may attach it.
    pub owner: UserId,
    /// When the upload began.
    pub at: Timestamp,
    /// Where it is in its life.
    pub state: UploadState,
}

/// Bytes of files: those of one owner, and all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileBytes {
    /// Those of one owner.
    pub owner: u64,
    /// All.
    pub all: u64,
}

impl FileBytes {
    /// As many as can be counted.
    pub const MAX: Self = Self { owner: u64::MAX, all: u64::MAX };
}

/// What was uploaded. The bytes themselves are the [`BlobStore`](crate::store::blob::BlobStore)'s.
///
/// An upload is entered before its first byte is stored and forgotten after its last byte is gone, so that a
/// crash in between leaves nothing that [`reclaimable`](Self::reclaimable) does not find.
#[async_trait]
pub trait AttachmentIndex: Send + Sync + 'static {
    /// Enters an upload, or replaces what was entered under its id, and returns true. If that takes more bytes than
    /// before, and more than `most` are taken then, by its owner or in all, it changes nothing and returns false. What a
    /// file takes is its [`Attachment::size`], in whatever state it is, until it is forgotten. However many calls there
    /// are at once, on whatever handles, no more are taken.
    ///
    /// # Errors
    /// [`StoreError`] where the store can't be written.
    async fn put_upload_within(&self, upload: &Upload, most: FileBytes) -> Result<bool, StoreError>;

    /// Enters an upload as [`put_upload_within`](Self::put_upload_within) does, without a bound.
    ///
    /// # Errors
    /// [`StoreError`] where the store can't be written.
    async fn put_upload(&self, upload: &Upload) -> Result<(), StoreError> {
        self.put_upload_within(upload, FileBytes::MAX).await.map(drop)
    }

    /// Returns how many bytes the files take that `owner` has uploaded, and those of all.
    ///
    /// # Errors
    /// [`StoreError`] where the store can't be read.
    async fn file_bytes(&self, owner: &UserId) -> Result<FileBytes, StoreError>;

    /// Returns an upload in whatever state it is.
    ///
    /// # Errors
    /// [`StoreError`] where the store can't be read.
    async fn upload(&self, id: &AttachmentId) -> Result<Option<Upload>, StoreError>;

    /// Returns up to `limit` uploads whose bytes nobody needs: [`UploadState::Discarded`] ones, and
    /// `Receiving` or `Ready` ones that began before `before`.
    ///
    /// # Errors
    /// [`StoreError`] where the store can't be read.
    async fn reclaimable(&self, before: Timestamp, limit: usize) -> Result<Vec<AttachmentId>, StoreError>;

    /// Gives each `Receiving` or `Ready` upload that began after `now` the time `now`: the clock was wrong when it
    /// began, and would keep its bytes until that time comes.
    ///
    /// # Errors
    /// [`StoreError`] where the store can't be written.
    async fn date_back(&self, now: Timestamp) -> Result<(), StoreError>;

    /// Claims an upload for removal: makes it [`UploadState::Discarded`] unless a message holds it. Returns
    /// whether its bytes may go now. One that does not exist may.
    ///
    /// # Errors
    /// [`StoreError`] where the store can't be written.
    async fn discard_upload(&self, id: &AttachmentId) -> Result<bool, StoreError>;

    /// Removes a [`UploadState::Discarded`] upload's entry; any other stays.
    ///
    /// # Errors
    /// [`StoreError`] where the store can't be written.
    async fn forget_upload(&self, id: &AttachmentId) -> Result<(), StoreError>;
}

/// A whole store: logs, directory and attachment index over one database.
pub trait Store: EventStore + Directory + AttachmentIndex {}

impl<S: EventStore + Directory + AttachmentIndex> Store for S {}
