//! What a client sends: one JSON object per frame, with a `type` and an `id`.

use serde::{Deserialize, Serialize};

use crate::model::id::{Position, Seq};

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
        /// Creates a channel.
        CreateChannel {
            /// Its name.
            name: String,
            /// Its topic.
            #[serde(default)]
            topic: Option<String>,
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
        },
        /// Replaces a message's text.
        Edit {
            /// The channel.
            channel: String,
            /// The message.
            seq: Seq,
            /// Its new text.
            text: String,
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
        /// Returns older messages.
        History {
            /// The channel.
            channel: String,
            /// Returns messages before this `seq`.
            before: Seq,
            /// How many messages: 1 to [`Limits::page_messages`](crate::Limits::page_messages).
            #[serde(default)]
            limit: Option<u32>,
        },
        /// Searches the messages.
        Search {
            /// The channel.
            channel: String,
            /// Words. A message must contain each of them.
            query: String,
            /// Returns messages before this `seq`, or of all if missing.
            #[serde(default)]
            before: Option<Seq>,
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
    pub(super) const NAMES: [&'static str; 14] = [
        "channels",
        "create_channel",
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
