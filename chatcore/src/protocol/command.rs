//! What a client sends: one JSON object per frame, with a `type` and an `id`.

use serde::{Deserialize, Serialize};

use crate::model::data::Data;
use crate::model::id::{Position, Seq};
use crate::model::membership::{ChannelKind, HistoryAccess, Mention, Notify, Role};

/// Where a search goes on: before a message of the channel, or where the last answer of a search over all channels says.
/// Exhaustive on purpose: a client reads both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SearchFrom {
    /// Before this message.
    Seq(Seq),
    /// At this mark.
    Mark(String),
}

impl From<Seq> for SearchFrom {
    fn from(before: Seq) -> Self {
        Self::Seq(before)
    }
}

/// Which messages of a channel a page of its past has. A `seq` by itself is [`Before`](Self::Before).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum History {
    /// The newest ones before this `seq`.
    Before(Seq),
    /// The oldest ones after this `seq`.
    After(Seq),
    /// The message with this `seq`, as many before it as after it, and for an even number one more after it. If there
    /// is no message with this `seq`, or it can't be read, the page has those around its place.
    Around(Seq),
}

impl From<Seq> for History {
    fn from(before: Seq) -> Self {
        Self::Before(before)
    }
}

impl History {
    /// Returns the command that asks for these messages of a channel: at most `limit`, or a full page.
    #[must_use]
    pub fn command(self, channel: &str, limit: Option<u32>) -> Command {
        let (before, after, around) = match self {
            Self::Before(seq) => (Some(seq), None, None),
            Self::After(seq) => (None, Some(seq), None),
            Self::Around(seq) => (None, None, Some(seq)),
        };
        Command::History { channel: channel.to_owned(), before, after, around, limit }
    }
}

/// Defines [`Command`], and how its fields are read once its name is known.
///
/// With the name known, an unknown field is skipped without being parsed. A serde `tag` would parse every field
/// first, and fail on fields that nobody asked for.
macro_rules! commands {
    ($(#[$about:meta])* pub enum Command { $($variants:tt)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "type", rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum Command { $($variants)* }

        #[derive(Deserialize)]
        #[serde(remote = "Command", rename_all = "snake_case")]
        pub(super) enum Named { $($variants)* }
    };
}

commands! {
    /// A command as it was received. Its texts are not checked yet.
    pub enum Command {
        /// Lists the channels.
        Channels {
            /// Lists channels after this name, or after the `after` of the last answer. Lists all if missing.
            #[serde(default)]
            after: Option<String>,
            /// How many channels: 1 to [`Limits::channels_page`](crate::Limits::channels_page).
            #[serde(default)]
            limit: Option<u32>,
            /// Whether archived ones are listed too.
            #[serde(default)]
            archived: bool,
        },
        /// Creates an open or a private channel.
        CreateChannel {
            /// The name of an open channel.
            #[serde(default)]
            name: Option<String>,
            /// Its topic.
            #[serde(default)]
            topic: Option<String>,
            /// Who can see it: everybody if missing.
            #[serde(default)]
            kind: Option<ChannelKind>,
            /// The title of a private channel.
            #[serde(default)]
            title: Option<String>,
            /// The people to add to a private channel, by id.
            #[serde(default)]
            members: Vec<String>,
            /// What a new member of a private channel can read of its past: everything if missing.
            #[serde(default)]
            history: Option<HistoryAccess>,
        },
        /// Opens the direct channel of the user and others, which is created if there is none.
        OpenDirect {
            /// The others, by id: up to 8.
            #[serde(default)]
            users: Vec<String>,
        },
        /// Changes a channel's title, topic or archive. What is missing stays.
        UpdateChannel {
            /// The channel.
            channel: String,
            /// The new title.
            #[serde(default)]
            title: Option<String>,
            /// The new topic.
            #[serde(default)]
            topic: Option<String>,
            /// Whether it is archived from now on.
            #[serde(default)]
            archived: Option<bool>,
        },
        /// Lists a channel's members.
        Members {
            /// The channel.
            channel: String,
            /// Lists members after this user id.
            #[serde(default)]
            after: Option<String>,
            /// How many members: 1 to [`Limits::members_page`](crate::Limits::members_page).
            #[serde(default)]
            limit: Option<u32>,
        },
        /// Adds people to a channel.
        AddMembers {
            /// The channel.
            channel: String,
            /// Who, by id: up to 50.
            users: Vec<String>,
        },
        /// Removes a person from a channel.
        RemoveMember {
            /// The channel.
            channel: String,
            /// Who, by id.
            user: String,
        },
        /// Puts an open channel into the user's list.
        Join {
            /// The channel.
            channel: String,
        },
        /// Leaves a channel.
        Leave {
            /// The channel.
            channel: String,
        },
        /// Gives a member another role.
        SetRole {
            /// The channel.
            channel: String,
            /// Who, by id.
            user: String,
            /// The role.
            role: Role,
        },
        /// Sets what the user wants to be told of. It joins an open channel.
        SetNotify {
            /// The channel.
            channel: String,
            /// What.
            notify: Notify,
        },
        /// Finds people.
        Users {
            /// What their names, or words of them, begin with.
            #[serde(default)]
            query: Option<String>,
            /// Finds only those who can read this channel.
            #[serde(default)]
            channel: Option<String>,
            /// Finds people after this user id.
            #[serde(default)]
            after: Option<String>,
            /// How many people: 1 to [`Limits::users_page`](crate::Limits::users_page).
            #[serde(default)]
            limit: Option<u32>,
        },
        /// Subscribes to a channel, from a position or from its newest messages.
        Subscribe {
            /// The channel.
            channel: String,
            /// The client's position.
            #[serde(default)]
            after: Option<Position>,
            /// How many messages: 0 to [`Limits::page_messages`](crate::Limits::page_messages).
            #[serde(default)]
            limit: Option<u32>,
        },
        /// Ends a subscription.
        Unsubscribe {
            /// The channel.
            channel: String,
        },
        /// Publishes a message.
        Publish {
            /// The channel.
            channel: String,
            /// The author's key of this publish, 1 to 64 characters.
            nonce: String,
            /// The text.
            text: String,
            /// Uploaded files, by id.
            #[serde(default)]
            attachments: Vec<String>,
            /// The message that it replies to.
            #[serde(default)]
            reply_to: Option<Seq>,
            /// Whom it mentions.
            #[serde(default)]
            mentions: Vec<Mention>,
            /// The app's data.
            #[serde(default, deserialize_with = "Data::of_client")]
            data: Option<Data>,
        },
        /// Replaces a message's text.
        Edit {
            /// The channel.
            channel: String,
            /// The message.
            seq: Seq,
            /// Its new text.
            text: String,
            /// Whom it mentions from now on, or as before if missing.
            #[serde(default)]
            mentions: Option<Vec<Mention>>,
            /// The app's data from now on, or as before if missing.
            #[serde(default, deserialize_with = "Data::of_client")]
            data: Option<Data>,
        },
        /// Deletes a message.
        Delete {
            /// The channel.
            channel: String,
            /// The message.
            seq: Seq,
        },
        /// Adds an emoji to a message, or removes it.
        React {
            /// The channel.
            channel: String,
            /// The message.
            seq: Seq,
            /// The emoji.
            emoji: String,
            /// Whether it is added.
            on: bool,
        },
        /// Returns messages of the past. It has exactly one of `before`, `after` and `around`.
        History {
            /// The channel.
            channel: String,
            /// Returns the newest messages before this `seq`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            before: Option<Seq>,
            /// Returns the oldest messages after this `seq`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            after: Option<Seq>,
            /// Returns the message with this `seq`, and those around it.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            around: Option<Seq>,
            /// How many messages: 1 to [`Limits::page_messages`](crate::Limits::page_messages).
            #[serde(default)]
            limit: Option<u32>,
        },
        /// Searches the messages.
        Search {
            /// The channel, or every channel that the user can read if missing.
            #[serde(default)]
            channel: Option<String>,
            /// Words. A message must contain each of them.
            query: String,
            /// Goes on where the last answer ended, or searches all if missing.
            #[serde(default)]
            before: Option<SearchFrom>,
            /// How many messages: 1 to [`Limits::search_results`](crate::Limits::search_results).
            #[serde(default)]
            limit: Option<u32>,
        },
        /// Moves the read marker.
        Read {
            /// The channel.
            channel: String,
            /// The last event read.
            seq: Seq,
        },
        /// Moves the read marker back.
        Unread {
            /// The channel.
            channel: String,
            /// The first message that is unread again.
            seq: Seq,
        },
        /// Tells other subscribers that the user is typing.
        Typing {
            /// The channel.
            channel: String,
        },
        /// Does nothing but get an answer.
        Ping,
    }
}

impl Command {
    /// The names of the commands, as `type` has them.
    pub(super) const NAMES: [&'static str; 24] = [
        "channels",
        "create_channel",
        "open_direct",
        "update_channel",
        "members",
        "add_members",
        "remove_member",
        "join",
        "leave",
        "set_role",
        "set_notify",
        "users",
        "subscribe",
        "unsubscribe",
        "publish",
        "edit",
        "delete",
        "react",
        "history",
        "search",
        "read",
        "unread",
        "typing",
        "ping",
    ];
}
