//! The storage traits, and [`MemoryStore`].
//!
//! A store implements three traits over one database:
//!
//! - [`EventStore`]: the channels' logs
//! - [`Directory`]: channels, users and read markers
//! - [`AttachmentIndex`]: uploaded files
//!
//! They share transactions (an append takes attachments), so one type implements all three, and is then a
//! [`Store`]. `testkit::store_conformance!` tests their laws for any implementation.

pub mod blob;
mod error;
mod memory;
mod page;
pub(crate) mod pointer;
mod scan;

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use self::error::{AppendError, StoreError};
pub use self::memory::MemoryStore;
pub use self::page::{Filling, PageLimit};
pub use self::scan::{Found, SEARCH_BYTES, SEARCH_SCAN, search_by_scan};
pub use crate::model::check::Check;
pub use crate::model::event::{Append, AppendBody, Content, Event, EventKind};
use crate::model::id::{AttachmentId, ChannelId, Epoch, Position, Seq, UserId};
use crate::model::message::{Attachment, FIXED_WEIGHT, Message, User};
pub use crate::model::message::{ReactionLimits, TooManyReactions};
use crate::model::name::ChannelName;
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

/// The end of a channel's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The log's epoch.
    pub epoch: Epoch,
    /// The last event's `seq`, or 0 for none.
    pub seq: Seq,
    /// The last event's check, [`Check::START`] for an empty log, or `None` if that event was pruned.
    pub check: Option<Check>,
}

impl Head {
    /// Returns the head as a position.
    #[must_use]
    pub fn position(&self) -> Position {
        Position::new(self.epoch.clone(), self.seq).with_check(self.check)
    }
}

/// The answer of [`EventStore::after`] for a position.
#[derive(Clone, Debug, PartialEq, Eq)]
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
pub struct Page {
    /// The messages.
    pub messages: Vec<Message>,
    /// Whether there are older messages.
    pub more: bool,
}

/// The number of newest messages of a channel that [`Directory::unread`] looks at.
pub const UNREAD_SCAN: u64 = 1_000;

/// The number of newest messages that [`Directory::unread`] looks at in a channel that the user has never read:
/// about a page.
pub const UNREAD_SCAN_NEW: u64 = 100;

/// How far a user has read a channel, at one moment. The default is that of an empty log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// The read marker, or 0 for none.
    pub read: Seq,
    /// The number of unread messages after it, up to and including `head`.
    pub messages: u64,
    /// The log's head when they were counted, or 0 for an empty log.
    pub head: Seq,
}

impl Unread {
    /// Returns how many of the newest messages are looked at for a user whose marker is `read`.
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
/// let body = AppendBody::Message {
///     nonce: Nonce::random(),
///     text: "Hello!".to_owned(),
///     reply_to: None,
///     attachments: Vec::new(),
/// };
/// let appended = store.append(vec![Append { channel: general.id, author: ann, body }]).await;
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

    /// Returns a page of the newest messages before `before` that match in their current state. Deleted messages
    /// never match. A call may search only a part of the log; if that part or the page ends, the answer says where
    /// to go on. The engine never asks for a page of no items.
    ///
    /// A store needs no search of its own: this implementation reads [`SEARCH_SCAN`] messages or [`SEARCH_BYTES`]
    /// of texts per call, and compares them off the async threads. A store with an index must return the same
    /// messages, may search further back, and must also compare off the async threads.
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
    /// removed messages become [`UploadState::Discarded`]. A nonce is kept after its message until it is
    /// [`NONCE_LIFE`] old at `now`. A nonce with a time after `now` counts as dated `now`, since the clock was
    /// wrong then.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be written.
    async fn prune(&self, channel: ChannelId, through: Seq, now: Timestamp) -> Result<(), StoreError>;

    /// Returns what an acknowledgement of this store means.
    fn durability(&self) -> Durability;
}

/// A channel's entry in the directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelInfo {
    /// The store's key.
    pub id: ChannelId,
    /// The name. Its spelling is unique, and so is its look among the names of this version.
    pub name: ChannelName,
    /// The topic. May be empty.
    pub topic: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// Who created it.
    pub created_by: User,
}

impl ChannelInfo {
    /// Returns the weight, about its bytes in memory: 256, and the UTF-8 bytes of its name, its topic, and its
    /// creator's id and name.
    #[must_use]
    pub fn weight(&self) -> usize {
        let Self { name, topic, created_by, .. } = self;
        let by = created_by.id.as_str().len() + created_by.name.len();
        FIXED_WEIGHT + name.as_str().len() + topic.len() + by
    }
}

/// A page of the directory's channels, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelPage {
    /// The channels.
    pub channels: Vec<ChannelInfo>,
    /// Whether there are more channels after them.
    pub more: bool,
}

/// The outcome of [`Directory::create_channel`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// The channel is new.
    New(ChannelInfo),
    /// The name is taken by this channel, or this channel's name looks the same.
    Exists(ChannelInfo),
}

impl Created {
    /// Returns the channel that has the name, new or existing.
    #[must_use]
    pub fn into_channel(self) -> ChannelInfo {
        match self {
            Self::New(info) | Self::Exists(info) => info,
        }
    }
}

/// The directory: channels, users, and how far each user has read.
#[async_trait]
pub trait Directory: Send + Sync + 'static {
    /// Returns a page of the channels whose names come after `after`, or of all channels, sorted by name. Names
    /// are compared byte by byte. `after` need not be an existing name.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    async fn channels(
        &self,
        after: Option<&ChannelName>,
        limit: PageLimit,
    ) -> Result<ChannelPage, StoreError>;

    /// Returns the number of channels.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    async fn channel_count(&self) -> Result<usize, StoreError>;

    /// Returns the channel with this name: with this spelling, or else the one whose name is the same for people
    /// ([`ChannelName::is_same_as`]).
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    async fn channel(&self, name: &ChannelName) -> Result<Option<ChannelInfo>, StoreError>;

    /// Creates a channel with an empty log and a new epoch, if no channel's name looks the same
    /// ([`ChannelName::look`]) and there are fewer than `most` channels. Returns `None` if there are `most`
    /// channels and none looks the same.
    ///
    /// Of several simultaneous calls for names that look the same, exactly one gets [`Created::New`]. Simultaneous
    /// calls on any handles never create more than `most` channels together.
    ///
    /// Channels of an earlier version may look the same. Each is found by its spelling, and the first of them also
    /// by other names that are the same.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be written.
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
    /// [`StoreError`] if the store can't be written.
    async fn create_channel(
        &self,
        name: &ChannelName,
        topic: &str,
        by: &User,
    ) -> Result<Created, StoreError> {
        let created = self.create_channel_within(name, topic, by, usize::MAX).await?;
        created.ok_or_else(|| StoreError::new("the store holds as many channels as it can"))
    }

    /// Moves a read marker forward to `seq` (never back, never past the head), and returns its new value. A crash
    /// may lose the newest moves.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be written or has no such channel.
    async fn mark_read(&self, user: &UserId, channel: ChannelId, seq: Seq) -> Result<Seq, StoreError>;

    /// Moves a read marker back (never forward), so that messages from `seq` on are unread again, and returns its
    /// new value. A crash may lose the newest moves.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be written or has no such channel.
    async fn mark_unread(&self, user: &UserId, channel: ChannelId, seq: Seq) -> Result<Seq, StoreError>;

    /// Returns for each of `channels`, in order, the user's read marker, the number of unread messages after it,
    /// and the head up to which they are counted. The three belong to one moment, whatever is appended meanwhile:
    /// a client that continues counting from `head` neither skips nor double-counts. All are 0 for a channel that
    /// does not exist.
    ///
    /// Unread are messages after the marker that others wrote and that are not deleted. Only the newest messages
    /// of the channel are looked at, including tombstones and the user's own: [`UNREAD_SCAN`] of them, or
    /// [`UNREAD_SCAN_NEW`] if the marker is 0. So the cost does not grow with the log.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    async fn unread(&self, user: &UserId, channels: &[ChannelId]) -> Result<Vec<Unread>, StoreError>;

    /// Stores a user's current display name.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be written.
    async fn put_user(&self, user: &User) -> Result<(), StoreError>;

    /// Returns the users of `ids` that were ever stored.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    async fn users(&self, ids: &[UserId]) -> Result<HashMap<UserId, User>, StoreError>;
}

/// The state of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UploadState {
    /// Bytes may still be arriving. It can't be attached or read.
    Receiving,
    /// The upload is complete and not used yet.
    Ready,
    /// The file belongs to the message with this `seq`.
    Attached(Seq),
    /// The file's message was deleted or pruned. Its bytes can be removed.
    Discarded,
}

/// An uploaded file, from its first byte to its removal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// The file as messages show it. Its id is also the blob's key.
    pub attachment: Attachment,
    /// The channel it was uploaded to.
    pub channel: ChannelId,
    /// That channel's name, for asking the policy.
    pub channel_name: ChannelName,
    /// The user who uploaded it. Only they may attach it.
    pub owner: UserId,
    /// When the upload began.
    pub at: Timestamp,
    /// The state.
    pub state: UploadState,
}

/// Bytes of files, of one owner and of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileBytes {
    /// Bytes of one owner.
    pub owner: u64,
    /// Bytes of all owners.
    pub all: u64,
}

impl FileBytes {
    /// No bound.
    pub const MAX: Self = Self { owner: u64::MAX, all: u64::MAX };
}

/// The index of uploaded files. A [`BlobStore`](crate::store::blob::BlobStore) has their bytes.
///
/// An upload is entered before its first byte is stored, and forgotten after its last byte is gone. So after a
/// crash, [`reclaimable`](Self::reclaimable) finds everything that is left.
#[async_trait]
pub trait AttachmentIndex: Send + Sync + 'static {
    /// Stores an upload, replacing one with the same id, and returns true. If it takes more bytes than before, and
    /// its owner's or the total would exceed `most`, it changes nothing and returns false. A file counts with its
    /// [`Attachment::size`], in any state, until it is forgotten. Simultaneous calls on any handles never exceed
    /// `most`.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be written.
    async fn put_upload_within(&self, upload: &Upload, most: FileBytes) -> Result<bool, StoreError>;

    /// Stores an upload as [`put_upload_within`](Self::put_upload_within) does, without a bound.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be written.
    async fn put_upload(&self, upload: &Upload) -> Result<(), StoreError> {
        self.put_upload_within(upload, FileBytes::MAX).await.map(drop)
    }

    /// Returns the bytes of the files that `owner` has uploaded, and of all files.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    async fn file_bytes(&self, owner: &UserId) -> Result<FileBytes, StoreError>;

    /// Returns an upload in any state.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    async fn upload(&self, id: &AttachmentId) -> Result<Option<Upload>, StoreError>;

    /// Returns up to `limit` uploads that can be removed: [`UploadState::Discarded`] ones, and `Receiving` or
    /// `Ready` ones that began before `before`.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    async fn reclaimable(&self, before: Timestamp, limit: usize) -> Result<Vec<AttachmentId>, StoreError>;

    /// Sets the time of each `Receiving` or `Ready` upload that began after `now` to `now`. The clock was wrong
    /// when it began, and its bytes would be kept until that time.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be written.
    async fn date_back(&self, now: Timestamp) -> Result<(), StoreError>;

    /// Claims an upload for removal: sets it to [`UploadState::Discarded`] unless a message has it. Returns
    /// whether its bytes may be removed now. An upload that does not exist may be.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be written.
    async fn discard_upload(&self, id: &AttachmentId) -> Result<bool, StoreError>;

    /// Removes the entry of a [`UploadState::Discarded`] upload. Any other stays.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be written.
    async fn forget_upload(&self, id: &AttachmentId) -> Result<(), StoreError>;
}

/// A whole store: logs, directory and attachment index in one database.
pub trait Store: EventStore + Directory + AttachmentIndex {}

impl<S: EventStore + Directory + AttachmentIndex> Store for S {}
