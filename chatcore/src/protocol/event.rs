//! What the server says unasked, as typed values for a client in Rust.

use serde::{Deserialize, Serialize};

use super::reply::ChannelObject;
use crate::model::check::Check;
use crate::model::id::Seq;
use crate::model::message::{Message, User};
use crate::model::name::ChannelName;
use crate::model::time::Timestamp;

/// An event as a client reads it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChatEvent {
    /// The first frame of a connection.
    Welcome {
        /// The protocol's version.
        version: u32,
        /// Who the client is.
        user: User,
        /// What the server takes.
        limits: ClientLimits,
    },
    /// A new message in a channel's log.
    Message {
        /// The channel.
        channel: ChannelName,
        /// What to send beside its `seq` to go on from here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        check: Option<Check>,
        /// The message.
        #[serde(flatten)]
        message: Message,
    },
    /// A message's text was replaced.
    Edited {
        /// The channel.
        channel: ChannelName,
        /// The event's place in the log.
        seq: Seq,
        /// What to send beside `seq` to go on from here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        check: Option<Check>,
        /// The message.
        target: Seq,
        /// Its new text.
        text: String,
        /// Who edited.
        by: User,
        /// When.
        at: Timestamp,
    },
    /// A message was deleted.
    Deleted {
        /// The channel.
        channel: ChannelName,
        /// The event's place in the log.
        seq: Seq,
        /// What to send beside `seq` to go on from here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        check: Option<Check>,
        /// The message.
        target: Seq,
        /// Who deleted.
        by: User,
        /// When.
        at: Timestamp,
    },
    /// An emoji was put on a message or taken off.
    Reaction {
        /// The channel.
        channel: ChannelName,
        /// The event's place in the log.
        seq: Seq,
        /// What to send beside `seq` to go on from here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        check: Option<Check>,
        /// The message.
        target: Seq,
        /// Which emoji.
        emoji: String,
        /// On or off.
        on: bool,
        /// Whose.
        by: User,
        /// When.
        at: Timestamp,
    },
    /// A channel was created.
    ChannelCreated {
        /// The channel.
        channel: ChannelObject,
    },
    /// The right to read a channel has ended, and with it the subscription: nothing of the channel follows.
    ChannelRemoved {
        /// The channel.
        channel: ChannelName,
        /// Why.
        reason: RemovalReason,
    },
    /// Somebody came online in a channel, or left.
    Presence {
        /// The channel.
        channel: ChannelName,
        /// Who.
        user: User,
        /// Came, or left.
        online: bool,
    },
    /// Somebody is typing.
    Typing {
        /// The channel.
        channel: ChannelName,
        /// Who.
        user: User,
    },
    /// Another connection of the same user moved the read marker.
    Read {
        /// The channel.
        channel: ChannelName,
        /// Where it is now.
        seq: Seq,
    },
    /// Another connection of the same user moved the read marker back.
    Unread {
        /// The channel.
        channel: ChannelName,
        /// Where what is unread begins now.
        seq: Seq,
    },
    /// The client was too slow: the subscription has ended. Subscribe again with the last position.
    Lagged {
        /// The channel.
        channel: ChannelName,
        /// The first event that was not sent.
        from: Seq,
        /// The last event that was not sent.
        to: Seq,
    },
    /// The server is going away.
    Draining {
        /// When to connect again: each connection has a time of its own.
        retry_ms: u64,
    },
    /// An event of a later server.
    #[serde(other)]
    Unknown,
}

/// Why a channel is taken from somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RemovalReason {
    /// The right to read it was taken away.
    Removed,
    /// They left it.
    Left,
}

/// The bounds that a client should know before it sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientLimits {
    /// Bytes of one command, as it is sent.
    pub frame_bytes: usize,
    /// Characters (Unicode code points) of one message.
    pub text_chars: usize,
    /// Bytes that a message's text may take as JSON, escapes included, so that its command fits in a frame whatever
    /// its other fields are. `text_chars` characters of any kind fit as UTF-8; written as `\ud83d\ude00`, they may not.
    pub text_bytes: usize,
    /// Bytes of one attachment; 0 where there are none.
    pub attachment_bytes: u64,
}

impl ChatEvent {
    /// Returns the check of an event in a channel's log, for the position of who has seen it.
    #[must_use]
    pub fn check(&self) -> Option<Check> {
        match self {
            Self::Message { check, .. }
            | Self::Edited { check, .. }
            | Self::Deleted { check, .. }
            | Self::Reaction { check, .. } => *check,
            _ => None,
        }
    }

    /// Returns the channel and `seq` of an event in a channel's log.
    #[must_use]
    pub fn place(&self) -> Option<(&ChannelName, Seq)> {
        match self {
            Self::Message { channel, message, .. } => Some((channel, message.seq)),
            Self::Edited { channel, seq, .. }
            | Self::Deleted { channel, seq, .. }
            | Self::Reaction { channel, seq, .. } => Some((channel, *seq)),
            _ => None,
        }
    }
}
