//! The events that a server sends, as typed values for a client in Rust.

use serde::{Deserialize, Deserializer, Serialize};

use super::reply::ChannelObject;
use crate::model::check::Check;
use crate::model::data::Data;
use crate::model::id::Seq;
use crate::model::membership::{MemberOp, Mention, Role};
use crate::model::message::{Message, User};
use crate::model::name::ChannelName;
use crate::model::time::Timestamp;

/// An event as a client reads it. Any of them may have more fields in a later version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChatEvent {
    /// The first frame of a connection.
    #[non_exhaustive]
    Welcome {
        /// The protocol's version.
        version: u32,
        /// The client's user.
        user: User,
        /// The server's limits.
        limits: ClientLimits,
    },
    /// A new message in a channel's log.
    #[non_exhaustive]
    Message {
        /// The channel.
        channel: ChannelName,
        /// The check for the position after this message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        check: Option<Check>,
        /// The message.
        #[serde(flatten)]
        message: Message,
    },
    /// A message's text was replaced.
    #[non_exhaustive]
    Edited {
        /// The channel.
        channel: ChannelName,
        /// The event's position in the log.
        seq: Seq,
        /// The check for the position after this event.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        check: Option<Check>,
        /// The message.
        target: Seq,
        /// Its new text.
        text: String,
        /// The editor.
        by: User,
        /// Whom it mentions now, or `None` if that has not changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mentions: Option<Vec<Mention>>,
        /// The app's data now, or `None` if that has not changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data: Option<Data>,
        /// The time.
        at: Timestamp,
    },
    /// A message was deleted.
    #[non_exhaustive]
    Deleted {
        /// The channel.
        channel: ChannelName,
        /// The event's position in the log.
        seq: Seq,
        /// The check for the position after this event.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        check: Option<Check>,
        /// The message.
        target: Seq,
        /// The user who deleted it.
        by: User,
        /// The time.
        at: Timestamp,
    },
    /// An emoji was added to a message or removed from it.
    #[non_exhaustive]
    Reaction {
        /// The channel.
        channel: ChannelName,
        /// The event's position in the log.
        seq: Seq,
        /// The check for the position after this event.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        check: Option<Check>,
        /// The message.
        target: Seq,
        /// The emoji.
        emoji: String,
        /// Whether it was added.
        on: bool,
        /// The user.
        by: User,
        /// The time.
        at: Timestamp,
    },
    /// Somebody was added to the channel, was removed, left, or has another role.
    #[non_exhaustive]
    Member {
        /// The channel.
        channel: ChannelName,
        /// The event's position in the log.
        seq: Seq,
        /// The check for the position after this event.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        check: Option<Check>,
        /// What happened.
        op: MemberOp,
        /// To whom.
        user: User,
        /// Their role, or `None` if they are no longer a member.
        #[serde(default)]
        role: Option<Role>,
        /// Who did it.
        by: User,
        /// The time.
        at: Timestamp,
    },
    /// The channel itself was changed. What did not change is `None`.
    #[non_exhaustive]
    ChannelChanged {
        /// The channel.
        channel: ChannelName,
        /// The event's position in the log.
        seq: Seq,
        /// The check for the position after this event.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        check: Option<Check>,
        /// Its new title.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        /// Its new topic.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        topic: Option<String>,
        /// Whether it is archived now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        archived: Option<bool>,
        /// Who did it.
        by: User,
        /// The time.
        at: Timestamp,
    },
    /// The user can read another channel: somebody added them, or opened a direct channel with them.
    #[non_exhaustive]
    ChannelAdded {
        /// The channel.
        channel: ChannelObject,
    },
    /// What the user has not read has changed, other than by a message that this connection was told of.
    #[non_exhaustive]
    Counts {
        /// The channel.
        channel: ChannelName,
        /// The number of unread messages.
        unread: u64,
        /// The number of those that mention the user.
        mentions: u64,
    },
    /// A person has another name.
    #[non_exhaustive]
    UserChanged {
        /// The person.
        user: User,
    },
    /// A channel was created.
    #[non_exhaustive]
    ChannelCreated {
        /// The channel.
        channel: ChannelObject,
    },
    /// The right to read a channel has ended, and so has the subscription. No frame of the channel follows.
    #[non_exhaustive]
    ChannelRemoved {
        /// The channel.
        channel: ChannelName,
        /// Why.
        reason: RemovalReason,
    },
    /// A person came online in a channel, or left.
    #[non_exhaustive]
    Presence {
        /// The channel.
        channel: ChannelName,
        /// The person.
        user: User,
        /// Whether the person is online now.
        online: bool,
    },
    /// A person is typing.
    #[non_exhaustive]
    Typing {
        /// The channel.
        channel: ChannelName,
        /// The person.
        user: User,
    },
    /// Another connection of the same user moved the read marker.
    #[non_exhaustive]
    Read {
        /// The channel.
        channel: ChannelName,
        /// The new read marker.
        seq: Seq,
    },
    /// Another connection of the same user moved the read marker back.
    #[non_exhaustive]
    Unread {
        /// The channel.
        channel: ChannelName,
        /// The first unread message.
        seq: Seq,
    },
    /// The client was too slow: the subscription has ended. Subscribe again with the last position.
    #[non_exhaustive]
    Lagged {
        /// The channel.
        channel: ChannelName,
        /// The first event that was not sent.
        from: Seq,
        /// The last event that was not sent.
        to: Seq,
    },
    /// The server is shutting down.
    #[non_exhaustive]
    Draining {
        /// When to connect again. Each connection has its own time.
        retry_ms: u64,
    },
    /// An event that this version can't read, such as one of a newer server.
    #[serde(untagged)]
    #[non_exhaustive]
    Unknown {
        /// The channel, if the event names one.
        #[serde(default, deserialize_with = "if_readable")]
        channel: Option<ChannelName>,
        /// The event's place in the log, if it has one.
        #[serde(default, deserialize_with = "if_readable")]
        seq: Option<Seq>,
        /// What to send with `seq` to resume from here. A log event has it.
        #[serde(default, deserialize_with = "if_readable")]
        check: Option<Check>,
    },
}

/// Why a user lost a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RemovalReason {
    /// The right to read it has ended.
    Removed,
    /// The user left it.
    Left,
}

/// The server's limits that a client should know before it sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClientLimits {
    /// The most bytes of one command, as it is sent.
    pub frame_bytes: usize,
    /// The most characters (Unicode code points) of one message.
    pub text_chars: usize,
    /// The most bytes of a message's text as JSON, including escapes, so that its command fits into a frame with
    /// any other fields. `text_chars` characters of any kind fit as UTF-8, but may not fit as `\ud83d\ude00`.
    pub text_bytes: usize,
    /// The most bytes of one attachment, or 0 if there are no attachments.
    pub attachment_bytes: u64,
    /// The most attachments of one message. 0 if the server says nothing of it.
    #[serde(default)]
    pub attachments: usize,
    /// The most characters of a channel's topic. 0 if the server says nothing of it.
    #[serde(default)]
    pub topic_chars: usize,
    /// The most characters of a search's query. 0 if the server says nothing of it.
    #[serde(default)]
    pub query_chars: usize,
}

/// Reads a field of an unknown event. What is no `T` is another field of the same name.
fn if_readable<'de, D: Deserializer<'de>, T: Deserialize<'de>>(field: D) -> Result<Option<T>, D::Error> {
    Ok(T::deserialize(field).ok())
}

impl ChatEvent {
    /// An event of which nothing could be read.
    pub(crate) const UNREADABLE: Self = Self::Unknown { channel: None, seq: None, check: None };

    /// Returns the check of a log event, for the position after it.
    #[must_use]
    pub fn check(&self) -> Option<Check> {
        match self {
            Self::Message { check, .. }
            | Self::Edited { check, .. }
            | Self::Deleted { check, .. }
            | Self::Reaction { check, .. }
            | Self::Member { check, .. }
            | Self::ChannelChanged { check, .. }
            | Self::Unknown { check, .. } => *check,
            _ => None,
        }
    }

    /// Returns the channel and `seq` of a log event, also of one that this version can't read: the position after it
    /// is the one to resume from.
    #[must_use]
    pub fn log_position(&self) -> Option<(&ChannelName, Seq)> {
        match self {
            Self::Message { channel, message, .. } => Some((channel, message.seq)),
            // Without a check it is outside of the log, as the event `read` is.
            Self::Unknown { channel, seq, check: Some(_) } => channel.as_ref().zip(*seq),
            Self::Edited { channel, seq, .. }
            | Self::Deleted { channel, seq, .. }
            | Self::Reaction { channel, seq, .. }
            | Self::Member { channel, seq, .. }
            | Self::ChannelChanged { channel, seq, .. } => Some((channel, *seq)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(json: &str) -> ChatEvent {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn an_unknown_logged_event_keeps_its_place_in_the_log() {
        let pinned = event(r#"{"type":"pinned","channel":"a","seq":7,"check":"D85_3Uz2","target":3}"#);
        assert!(matches!(pinned, ChatEvent::Unknown { .. }));
        assert_eq!(pinned.log_position().map(|(channel, seq)| (channel.as_str(), seq)), Some(("a", 7)));
        assert_eq!(pinned.check().map(|check| check.to_string()).as_deref(), Some("D85_3Uz2"));
    }

    #[test]
    fn an_unknown_event_outside_the_log_has_no_place() {
        let unlogged = event(r#"{"type":"muted","channel":"a","seq":7}"#);
        assert!(matches!(&unlogged, ChatEvent::Unknown { channel: Some(_), seq: Some(7), check: None }));
        assert_eq!(unlogged.log_position(), None);
        for json in [
            r#"{"type":"archived","channel":{"name":"a"},"seq":-1,"check":5}"#,
            r#"{"type":"message","channel":"a/b"}"#,
            "{}",
        ] {
            assert_eq!(event(json), ChatEvent::UNREADABLE, "{json}");
        }
    }
}
