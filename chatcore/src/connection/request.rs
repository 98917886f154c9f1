//! What a command is once every field of it is checked.

use std::sync::Arc;

use crate::channel::Channel;
use crate::model::data::Data;
use crate::model::error::{Error, ErrorCode};
use crate::model::id::{Position, Seq, UserId};
use crate::model::membership::{HistoryAccess, Mention, Notify, Role};
use crate::model::name::ChannelName;
use crate::model::new_message::NewMessage;
use crate::model::query::SearchQuery;
use crate::protocol::History;

/// A command whose every field has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Channels {
        after: Option<ChannelName>,
        archived: bool,
        limit: usize,
    },
    CreateChannel {
        name: ChannelName,
        topic: String,
    },
    CreatePrivate {
        title: String,
        topic: String,
        history: HistoryAccess,
        members: Vec<UserId>,
    },
    OpenDirect {
        users: Vec<UserId>,
    },
    UpdateChannel {
        channel: ChannelName,
        title: Option<String>,
        topic: Option<String>,
        archived: Option<bool>,
    },
    Members {
        channel: ChannelName,
        after: Option<UserId>,
        limit: usize,
    },
    AddMembers {
        channel: ChannelName,
        users: Vec<UserId>,
    },
    RemoveMember {
        channel: ChannelName,
        user: UserId,
    },
    Join {
        channel: ChannelName,
    },
    Leave {
        channel: ChannelName,
    },
    SetRole {
        channel: ChannelName,
        user: UserId,
        role: Role,
    },
    SetNotify {
        channel: ChannelName,
        notify: Notify,
    },
    Users {
        query: String,
        channel: Option<ChannelName>,
        after: Option<UserId>,
        limit: usize,
    },
    Subscribe {
        channel: ChannelName,
        after: Option<Position>,
        limit: usize,
    },
    Unsubscribe {
        channel: ChannelName,
    },
    /// Boxed, since the most frequent command would be the largest.
    Publish(Box<Publish>),
    Edit {
        channel: ChannelName,
        seq: Seq,
        text: Arc<str>,
        mentions: Option<Vec<Mention>>,
        data: Option<Data>,
    },
    Delete {
        channel: ChannelName,
        seq: Seq,
    },
    React {
        channel: ChannelName,
        seq: Seq,
        emoji: String,
        on: bool,
    },
    History {
        channel: ChannelName,
        history: History,
        limit: usize,
    },
    Search {
        channel: ChannelName,
        query: SearchQuery,
        before: Seq,
        limit: usize,
    },
    SearchAll {
        query: SearchQuery,
        from: Option<SearchMark>,
        limit: usize,
    },
    Read {
        channel: ChannelName,
        seq: Seq,
    },
    Unread {
        channel: ChannelName,
        seq: Seq,
    },
    Typing {
        channel: ChannelName,
    },
    Ping,
}

impl Request {
    /// Returns the log's text for a failure of the command.
    pub(crate) fn failed(&self) -> &'static str {
        match self {
            Self::Channels { .. } => "channels failed",
            Self::CreateChannel { .. } | Self::CreatePrivate { .. } => "create_channel failed",
            Self::OpenDirect { .. } => "open_direct failed",
            Self::UpdateChannel { .. } => "update_channel failed",
            Self::Members { .. } => "members failed",
            Self::AddMembers { .. } => "add_members failed",
            Self::RemoveMember { .. } => "remove_member failed",
            Self::Join { .. } => "join failed",
            Self::Leave { .. } => "leave failed",
            Self::SetRole { .. } => "set_role failed",
            Self::SetNotify { .. } => "set_notify failed",
            Self::Users { .. } => "users failed",
            Self::Subscribe { .. } => "subscribe failed",
            Self::Unsubscribe { .. } => "unsubscribe failed",
            Self::Publish(_) => "publish failed",
            Self::Edit { .. } => "edit failed",
            Self::Delete { .. } => "delete failed",
            Self::React { .. } => "react failed",
            Self::History { .. } => "history failed",
            Self::Search { .. } | Self::SearchAll { .. } => "search failed",
            Self::Read { .. } => "read failed",
            Self::Unread { .. } => "unread failed",
            Self::Typing { .. } => "typing failed",
            Self::Ping => "ping failed",
        }
    }

    /// Returns whether the answer is a list, with as many bytes as the stored texts take.
    pub(crate) fn has_large_answer(&self) -> bool {
        matches!(
            self,
            Self::Channels { .. }
                | Self::Subscribe { .. }
                | Self::History { .. }
                | Self::Search { .. }
                | Self::SearchAll { .. }
        )
    }

    /// Returns the existing channel that the command names.
    pub(crate) fn existing(&mut self) -> Option<&mut ChannelName> {
        match self {
            Self::Subscribe { channel, .. }
            | Self::Unsubscribe { channel }
            | Self::Edit { channel, .. }
            | Self::Delete { channel, .. }
            | Self::React { channel, .. }
            | Self::History { channel, .. }
            | Self::Search { channel, .. }
            | Self::Read { channel, .. }
            | Self::Unread { channel, .. }
            | Self::Typing { channel }
            | Self::UpdateChannel { channel, .. }
            | Self::Members { channel, .. }
            | Self::AddMembers { channel, .. }
            | Self::RemoveMember { channel, .. }
            | Self::Join { channel }
            | Self::Leave { channel }
            | Self::SetRole { channel, .. }
            | Self::SetNotify { channel, .. } => Some(channel),
            Self::Publish(publish) => Some(&mut publish.channel),
            Self::Users { channel, .. } => channel.as_mut(),
            Self::Channels { .. }
            | Self::CreateChannel { .. }
            | Self::CreatePrivate { .. }
            | Self::OpenDirect { .. }
            | Self::SearchAll { .. }
            | Self::Ping => None,
        }
    }

    /// Returns the channel that the answer is about.
    pub(crate) fn reads(&self) -> Option<&ChannelName> {
        match self {
            Self::Subscribe { channel, .. }
            | Self::History { channel, .. }
            | Self::Search { channel, .. }
            | Self::Read { channel, .. }
            | Self::Unread { channel, .. }
            | Self::Members { channel, .. } => Some(channel),
            Self::Users { channel, .. } => channel.as_ref(),
            _ => None,
        }
    }
}

/// A checked `publish`.
#[derive(Clone, Debug)]
pub(crate) struct Publish {
    pub(crate) channel: ChannelName,
    /// The channel, if it was found in memory, so that it is looked up once.
    pub(crate) loaded: Option<Arc<Channel>>,
    pub(crate) message: NewMessage,
}

/// What is asked is the same wherever the channel was.
impl PartialEq for Publish {
    fn eq(&self, other: &Self) -> bool {
        (&self.channel, &self.message) == (&other.channel, &other.message)
    }
}

impl Eq for Publish {}

/// Where a search over all channels goes on: before a message of this channel, and then in the channels after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SearchMark {
    pub(crate) channel: ChannelName,
    pub(crate) before: Seq,
}

impl SearchMark {
    /// Returns the mark as it is on the wire.
    pub(crate) fn text(&self) -> String {
        format!("{}/{}", self.before, self.channel)
    }

    pub(super) fn of(text: &str) -> Result<Self, Error> {
        let mark = text.split_once('/').and_then(|(before, channel)| {
            Some(Self { before: before.parse().ok()?, channel: ChannelName::existing(channel).ok()? })
        });
        mark.ok_or_else(|| Error::new(ErrorCode::BadFrame, "'before' is not where a search has ended"))
    }
}
