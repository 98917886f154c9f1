//! The contents of `ok` and `error`, as typed values for a client in Rust.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::command::SearchFrom;
use super::event::ChatEvent;
use crate::model::check::Check;
use crate::model::error::{Error, ErrorCode};
use crate::model::id::{Epoch, Position, Seq};
use crate::model::membership::{ChannelKind, Notify, Role};
use crate::model::message::{Message, User};
use crate::model::name::ChannelName;
use crate::model::time::Timestamp;
use crate::store::{Listed, Unread};

/// A channel as one user sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChannelObject {
    /// The name, which is its key.
    pub name: ChannelName,
    /// What people see. Empty for a direct channel, which is seen by its `users`, and if the server says nothing of it.
    #[serde(default)]
    pub title: String,
    /// The topic.
    pub topic: String,
    /// Who can see it.
    #[serde(default)]
    pub kind: ChannelKind,
    /// The user's role, or `None` for an open channel that they have not joined.
    #[serde(default)]
    pub role: Option<Role>,
    /// How many members it has, or `None` for an open channel.
    #[serde(default)]
    pub members: Option<u64>,
    /// The people of a direct channel, the user included. Empty for any other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<User>,
    /// Whether it is archived.
    #[serde(default)]
    pub archived: bool,
    /// What the user wants to be told of.
    #[serde(default)]
    pub notify: Notify,
    /// When it was created.
    pub created_at: Timestamp,
    /// Who created it.
    pub created_by: User,
    /// The last event's `seq`, or 0 for none.
    pub head: Seq,
    /// The user's read marker.
    pub read: Seq,
    /// The number of unread messages after it, up to and including `head`.
    pub unread: u64,
    /// The number of those that mention the user.
    #[serde(default)]
    pub mentions: u64,
}

impl ChannelObject {
    pub(crate) fn new(listed: Listed, unread: Unread) -> Self {
        let Listed { info, member, members, users } = listed;
        let (role, notify) = member.map_or((None, Notify::All), |member| (Some(member.role), member.notify));
        Self {
            name: info.name,
            title: info.title,
            topic: info.topic,
            kind: info.kind,
            role,
            members: (info.kind != ChannelKind::Open).then_some(members),
            users,
            archived: info.archived,
            notify,
            created_at: info.created_at,
            created_by: info.created_by,
            head: unread.head,
            read: unread.read,
            unread: unread.messages,
            mentions: unread.mentions,
        }
    }
}

/// The answer to `channels`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ChannelList {
    /// Channels by name.
    pub channels: Vec<ChannelObject>,
    /// Whether there are more channels.
    #[serde(default)]
    pub more: bool,
    /// If `more` is true: the `after` of the next `channels` command, on the same connection. For
    /// [`Chat::channels_of`](crate::Chat::channels_of), use the name of the last channel instead.
    #[serde(default)]
    pub after: Option<String>,
}

/// The answer to `subscribe`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "SubscribedObject")]
#[non_exhaustive]
pub struct Subscribed {
    /// The channel.
    pub channel: ChannelName,
    /// The log's epoch.
    pub epoch: Epoch,
    /// The last event that the answer includes. Live events follow from the next one.
    pub head: Seq,
    /// The check of that event, for the position to resume from.
    pub check: Option<Check>,
    /// What the client needs to be up to date at `head`.
    pub start: Start,
    /// The people online in the channel.
    pub members: Vec<User>,
}

/// How a subscription starts. Exhaustive on purpose: an app must handle both.
#[derive(Clone, Debug, PartialEq)]
pub enum Start {
    /// A reset: these messages replace those that the client had.
    #[non_exhaustive]
    Snapshot {
        /// The newest messages in their current state, oldest first.
        messages: Vec<Message>,
        /// Whether there are older messages.
        more: bool,
    },
    /// The events after the client's position, up to and including `head`, in order.
    Replay(Vec<ChatEvent>),
}

impl Subscribed {
    /// Returns the position to resume from.
    #[must_use]
    pub fn position(&self) -> Position {
        Position::new(self.epoch.clone(), self.head).with_check(self.check)
    }
}

impl Start {
    /// Returns whether it is a snapshot.
    #[must_use]
    pub fn is_snapshot(&self) -> bool {
        matches!(self, Self::Snapshot { .. })
    }

    /// Returns the messages of a snapshot. A replay has none.
    #[must_use]
    pub fn messages(&self) -> &[Message] {
        match self {
            Self::Snapshot { messages, .. } => messages,
            Self::Replay(_) => &[],
        }
    }

    /// Returns the events of a replay. A snapshot has none.
    #[must_use]
    pub fn events(&self) -> &[ChatEvent] {
        match self {
            Self::Snapshot { .. } => &[],
            Self::Replay(events) => events,
        }
    }
}

/// The answer to `subscribe`, as it is written.
#[derive(Deserialize)]
struct SubscribedObject {
    channel: ChannelName,
    epoch: Epoch,
    head: Seq,
    #[serde(default)]
    check: Option<Check>,
    reset: bool,
    #[serde(default)]
    messages: Vec<Message>,
    #[serde(default)]
    more: bool,
    #[serde(default)]
    events: Vec<ChatEvent>,
    members: Vec<User>,
}

impl From<SubscribedObject> for Subscribed {
    fn from(object: SubscribedObject) -> Self {
        let SubscribedObject { channel, epoch, head, check, reset, messages, more, events, members } = object;
        let start = if reset { Start::Snapshot { messages, more } } else { Start::Replay(events) };
        Self { channel, epoch, head, check, start, members }
    }
}

/// The answer to `publish`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Published {
    /// The channel.
    pub channel: ChannelName,
    /// The message's position in the log.
    pub seq: Seq,
    /// When the store accepted it.
    pub at: Timestamp,
    /// Whether this nonce was used before. Then nothing was stored.
    pub duplicate: bool,
}

/// The answer to `edit`, `delete` and `react`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Logged {
    /// The channel.
    pub channel: ChannelName,
    /// The position in the log of the edit, delete or reaction itself.
    pub seq: Seq,
}

/// The answer to `history`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct HistoryPage {
    /// Messages, oldest first.
    pub messages: Vec<Message>,
    /// Whether there are messages before these.
    pub more: bool,
    /// Whether there are messages after these. `None` if those before a message were asked for.
    #[serde(default)]
    pub more_after: Option<bool>,
}

/// The answer to `search`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct SearchPage {
    /// Matching messages, oldest first. May be fewer than requested, or none, even if there is more to search.
    pub messages: Vec<Message>,
    /// Whether some messages were not searched.
    pub more: bool,
    /// If `more` is true: where to go on.
    #[serde(default)]
    pub before: Option<SearchFrom>,
}

/// The answer to `open_direct`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DirectOpened {
    /// The channel.
    pub channel: ChannelObject,
    /// Whether there was none before.
    pub created: bool,
}

impl DirectOpened {
    pub(crate) fn new(channel: ChannelObject, created: bool) -> Self {
        Self { channel, created }
    }
}

/// The answer to `add_members`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Added {
    /// The channel.
    pub channel: ChannelName,
    /// The position in the log of the last addition, or `None` if all were members already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<Seq>,
}

impl Added {
    pub(crate) fn new(channel: ChannelName, seq: Option<Seq>) -> Self {
        Self { channel, seq }
    }
}

/// The answer to `members`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MemberList {
    /// Members by user id.
    pub members: Vec<MemberObject>,
    /// Whether there are more. The next page is after the last of them.
    pub more: bool,
}

/// A member of a channel, as others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MemberObject {
    /// The person.
    pub user: User,
    /// What they may do.
    pub role: Role,
    /// Whether they are online in the channel.
    pub online: bool,
}

impl MemberList {
    pub(crate) fn new(members: Vec<MemberObject>, more: bool) -> Self {
        Self { members, more }
    }
}

impl People {
    pub(crate) fn new(users: Vec<User>, more: bool) -> Self {
        Self { users, more }
    }
}

impl MemberObject {
    pub(crate) fn new(user: User, role: Role, online: bool) -> Self {
        Self { user, role, online }
    }
}

/// The answer to `users`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct People {
    /// Users by id.
    pub users: Vec<User>,
    /// Whether there are more. The next page is after the last of them.
    pub more: bool,
}

/// An `error` answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ErrorReply {
    /// The error code.
    pub code: ErrorCode,
    /// The error in words.
    pub message: String,
    /// Whether the same command may succeed later.
    pub retryable: bool,
    /// When to try again, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_ms: Option<u64>,
    /// For `name_taken`, the channel that has the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelName>,
}

impl From<ErrorReply> for Error {
    fn from(reply: ErrorReply) -> Self {
        let mut error = Self::new(reply.code, reply.message);
        if let Some(wait) = reply.retry_ms {
            error = error.with_retry_after(Duration::from_millis(wait));
        }
        match reply.channel {
            Some(channel) => error.about(channel),
            None => error,
        }
    }
}
