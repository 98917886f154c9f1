//! The directory: channels, users, and how far each user has read.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{PageLimit, StoreError};
use crate::model::attachment::FIXED_WEIGHT;
use crate::model::id::{ChannelId, Seq, UserId};
use crate::model::membership::{ChannelKind, HistoryAccess};
use crate::model::message::User;
use crate::model::name::ChannelName;
use crate::model::time::Timestamp;

/// The number of newest messages of a channel that [`Directory::unread`] looks at.
pub const UNREAD_SCAN: u64 = 1_000;

/// The number of newest messages that [`Directory::unread`] looks at in a channel that the user has never read:
/// about a page.
pub const UNREAD_SCAN_NEW: u64 = 100;

/// How far a user has read a channel, at one moment. The default is that of an empty log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unread {
    /// The read marker, or 0 for none.
    pub read: Seq,
    /// The number of unread messages after it, up to and including `head`.
    pub messages: u64,
    /// The number of those that mention the user.
    pub mentions: u64,
    /// The log's head when they were counted, or 0 for an empty log.
    pub head: Seq,
}

impl Unread {
    /// Returns the counts of a user whose marker is `read`, with `messages` unread ones after it, up to `head`. None
    /// of them mentions the user.
    #[must_use]
    pub fn new(read: Seq, messages: u64, head: Seq) -> Self {
        Self { read, messages, head, mentions: 0 }
    }

    /// Sets how many of the unread messages mention the user.
    #[must_use]
    pub fn with_mentions(self, mentions: u64) -> Self {
        Self { mentions, ..self }
    }

    /// Returns how many of the newest messages are looked at for a user whose marker is `read`.
    #[must_use]
    pub fn scan(read: Seq) -> u64 {
        if read == 0 { UNREAD_SCAN_NEW } else { UNREAD_SCAN }
    }
}

/// A channel's entry in the directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "ChannelInfoRow")]
#[non_exhaustive]
pub struct ChannelInfo {
    /// The store's key.
    pub id: ChannelId,
    /// The name, which never changes. Its spelling is unique, and so is its look among the names of this version.
    pub name: ChannelName,
    /// What people see. That of an open channel is its name at first. That of a direct channel is empty.
    pub title: String,
    /// The topic. May be empty.
    pub topic: String,
    /// Who can see it.
    pub kind: ChannelKind,
    /// What a new member can read of its past.
    pub history: HistoryAccess,
    /// Whether it is archived: it can be read, and not be written to.
    pub archived: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// Who created it.
    pub created_by: User,
}

/// A channel's entry as any version has stored it.
#[derive(Deserialize)]
struct ChannelInfoRow {
    id: ChannelId,
    name: ChannelName,
    /// The name, for an entry of a version without titles.
    title: Option<String>,
    topic: String,
    #[serde(default)]
    kind: ChannelKind,
    #[serde(default)]
    history: HistoryAccess,
    #[serde(default)]
    archived: bool,
    created_at: Timestamp,
    created_by: User,
}

impl From<ChannelInfoRow> for ChannelInfo {
    fn from(row: ChannelInfoRow) -> Self {
        let ChannelInfoRow { id, name, title, topic, kind, history, archived, created_at, created_by } = row;
        let title = title.unwrap_or_else(|| name.to_string());
        Self { id, name, title, topic, kind, history, archived, created_at, created_by }
    }
}

impl ChannelInfo {
    /// Returns the entry of an open channel without a topic, whose title is its name.
    #[must_use]
    pub fn new(id: ChannelId, name: ChannelName, created_at: Timestamp, created_by: User) -> Self {
        // As for the author of a message, the name is kept.
        let created_by = created_by.with_avatar(None);
        Self {
            id,
            title: name.to_string(),
            name,
            topic: String::new(),
            kind: ChannelKind::Open,
            history: HistoryAccess::All,
            archived: false,
            created_at,
            created_by,
        }
    }

    /// Sets the title.
    #[must_use]
    pub fn with_title(self, title: impl Into<String>) -> Self {
        Self { title: title.into(), ..self }
    }

    /// Sets who can see it, and what a new member can read of its past.
    #[must_use]
    pub fn with_kind(self, kind: ChannelKind, history: HistoryAccess) -> Self {
        Self { kind, history, ..self }
    }

    /// Sets whether it is archived.
    #[must_use]
    pub fn with_archived(self, archived: bool) -> Self {
        Self { archived, ..self }
    }

    /// Sets the topic.
    #[must_use]
    pub fn with_topic(self, topic: impl Into<String>) -> Self {
        Self { topic: topic.into(), ..self }
    }

    /// Returns the weight, about its bytes in memory: 256, and the UTF-8 bytes of its name, its title, its topic, and
    /// its creator's id and name.
    #[must_use]
    pub fn weight(&self) -> usize {
        let Self { name, title, topic, created_by, .. } = self;
        let by = created_by.id.as_str().len() + created_by.name.len();
        FIXED_WEIGHT + name.as_str().len() + title.len() + topic.len() + by
    }
}

/// A page of the directory's channels, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelPage {
    /// The channels.
    pub channels: Vec<ChannelInfo>,
    /// Whether there are more channels after them.
    pub more: bool,
}

impl ChannelPage {
    /// Returns a page of these channels. `more` says whether there are others after them.
    #[must_use]
    pub fn new(channels: Vec<ChannelInfo>, more: bool) -> Self {
        Self { channels, more }
    }
}

/// The outcome of [`Directory::create_channel`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
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

/// What one process has ended for a user, for the others to end too.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Revocation {
    /// The number that tells it from all others.
    pub key: u64,
    /// What was ended, in the engine's own words.
    pub what: String,
    /// How long ago it was put, by the store's clock.
    pub age: Duration,
}

impl Revocation {
    /// Returns a revocation as a store has it.
    #[must_use]
    pub fn new(key: u64, what: String, age: Duration) -> Self {
        Self { key, what, age }
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

    /// Returns the id of the channel that was created last, or `None` if there is none.
    ///
    /// Ids rise in the order in which channels become visible: once a channel is visible, none with a smaller id
    /// becomes so. So a process that knows the newest one finds all that others create later, by
    /// [`channels_after`](Self::channels_after).
    ///
    /// A store that is not [shared](super::EventStore::shared) need not know, as this implementation.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    async fn newest_channel(&self) -> Result<Option<ChannelId>, StoreError> {
        Ok(None)
    }

    /// Returns a page of the channels with ids above `id`, sorted by id. `id` need not exist.
    ///
    /// A store that does not know its [newest channel](Self::newest_channel) is not asked.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    async fn channels_after(&self, id: ChannelId, limit: PageLimit) -> Result<ChannelPage, StoreError> {
        let _ = (id, limit);
        Ok(ChannelPage::new(Vec::new(), false))
    }

    /// Returns the channel with this name: with this spelling, or else the one whose name is the same for people
    /// ([`ChannelName::is_same_as`]).
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    async fn channel(&self, name: &ChannelName) -> Result<Option<ChannelInfo>, StoreError>;

    /// Creates an open channel with an empty log and a new epoch, whose owner is `by`, if no channel's name looks the same
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

    /// Returns for each of `channels`, in order, the user's read marker, the number of unread messages after it and of
    /// those that mention the user, and the head up to which they are counted. They belong to one moment, whatever is
    /// appended meanwhile: a client that continues counting from `head` neither skips nor double-counts. All are 0 for a
    /// channel that does not exist.
    ///
    /// Unread are messages after the marker that others wrote and that are not deleted. Whether the user can read the
    /// channel is not asked, but a member who can read its past only [since they joined](HistoryAccess::Joined) has
    /// nothing unread from before. [`Mentions::mean`](crate::store::Mentions::mean) says who is mentioned. Only the newest messages
    /// of the channel are looked at, including tombstones and the user's own: [`UNREAD_SCAN`] of them, or
    /// [`UNREAD_SCAN_NEW`] if the marker is 0. So the cost does not grow with the log.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    async fn unread(&self, user: &UserId, channels: &[ChannelId]) -> Result<Vec<Unread>, StoreError>;

    /// Stores a user's current display name, and their avatar if there is one. Without one, a stored avatar stays.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be written.
    async fn put_user(&self, user: &User) -> Result<(), StoreError>;

    /// Stores a user's current display name and avatar. Without one, a stored avatar is removed.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be written.
    async fn put_profile(&self, user: &User) -> Result<(), StoreError>;

    /// Returns the users of `ids` that were ever stored, with their names and avatars.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    async fn users(&self, ids: &[UserId]) -> Result<HashMap<UserId, User>, StoreError>;

    /// Keeps for at least an hour that something was ended for a user, such as a sign-in, so that other processes end it
    /// too. `what` is a short text of the engine's own. `key` is a random number of this revocation: if the store has
    /// one with it, nothing changes.
    ///
    /// A store that is not [shared](super::EventStore::shared) needs to keep nothing, as this implementation.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be written.
    async fn put_revocation(&self, key: u64, what: &str) -> Result<(), StoreError> {
        let _ = (key, what);
        Ok(())
    }

    /// Returns the revocations that were put within `since` before now, by the store's own clock. If there are more than
    /// 10,000, the newest of them.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    async fn revocations(&self, since: Duration) -> Result<Vec<Revocation>, StoreError> {
        let _ = since;
        Ok(Vec::new())
    }
}
