//! The entries of a channel's log, and what a store appends to it.

use serde::{Deserialize, Serialize};

use crate::model::attachment::{Attachment, FIXED_WEIGHT};
use crate::model::id::{ChannelId, Nonce, Seq, UserId};
use crate::model::message::{Message, ReactionLimits, User};
use crate::model::time::Timestamp;

/// One entry of a channel's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// Its position in the log.
    pub seq: Seq,
    /// When the store accepted it.
    pub at: Timestamp,
    /// What happened.
    pub kind: EventKind,
}

/// What happened in a channel. Exhaustive on purpose: a store must keep every kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// A message was published. Once deleted, the log has it redacted.
    Message(Content),
    /// A message's text was replaced. Once the message is deleted, `text` is empty here too.
    Edited {
        /// The message.
        target: Seq,
        /// Its new text.
        text: String,
        /// The editor.
        by: User,
    },
    /// A message was deleted.
    Deleted {
        /// The message.
        target: Seq,
        /// The user who deleted it.
        by: User,
    },
    /// An emoji was added to a message or removed from it.
    Reaction {
        /// The message.
        target: Seq,
        /// The emoji.
        emoji: String,
        /// Whether it was added.
        on: bool,
        /// The user.
        by: User,
    },
}

/// The contents of a message at its publish.
///
/// A [`Message`] has the same fields, and what later events made of it. They are two types, since a log must never
/// answer with the edits and reactions that came after an entry, and an app reads `message.text` without asking
/// which of the two it has. [`Message::new`] makes one of the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Content {
    /// The author.
    pub author: User,
    /// The text.
    pub text: String,
    /// The author's key of the publish.
    pub nonce: Nonce,
    /// The message that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Seq>,
    /// Its files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// Whether it was deleted since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

impl Content {
    /// Returns the contents of a message with this text alone.
    #[must_use]
    pub fn new(author: User, nonce: Nonce, text: impl Into<String>) -> Self {
        Self { author, text: text.into(), nonce, reply_to: None, attachments: Vec::new(), deleted: false }
    }
}

impl EventKind {
    /// Returns the message that an edit, a delete or a reaction refers to.
    #[must_use]
    pub fn target(&self) -> Option<Seq> {
        match self {
            Self::Message(_) => None,
            Self::Edited { target, .. } | Self::Deleted { target, .. } | Self::Reaction { target, .. } => {
                Some(*target)
            }
        }
    }

    /// Removes what a delete must remove from the log: a message's text and files, or an edit's text.
    pub fn redact(&mut self) {
        match self {
            Self::Message(content) => {
                content.text = String::new();
                content.attachments = Vec::new();
                content.deleted = true;
            }
            Self::Edited { text, .. } => *text = String::new(),
            Self::Deleted { .. } | Self::Reaction { .. } => {}
        }
    }
}

impl Event {
    /// Returns an entry of a log.
    #[must_use]
    pub fn new(seq: Seq, at: Timestamp, kind: EventKind) -> Self {
        Self { seq, at, kind }
    }

    /// Returns the weight of the event, about its bytes in memory: 256, the UTF-8 bytes of its author (id and
    /// name), of its nonce and of its text or emoji, and the weight of its attachments.
    #[must_use]
    pub fn weight(&self) -> usize {
        let (by, texts) = match &self.kind {
            EventKind::Message(Content { author, text, nonce, attachments, .. }) => {
                let files = attachments.iter().map(Attachment::weight).sum::<usize>();
                (author, nonce.as_str().len() + text.len() + files)
            }
            EventKind::Edited { text, by, .. } => (by, text.len()),
            EventKind::Deleted { by, .. } => (by, 0),
            EventKind::Reaction { emoji, by, .. } => (by, emoji.len()),
        };
        FIXED_WEIGHT + by.id.as_str().len() + by.name.len() + texts
    }

    /// Returns the message that this event creates, without any later event.
    #[must_use]
    pub fn to_message(&self) -> Option<Message> {
        let EventKind::Message(content) = &self.kind else { return None };
        Some(Message::new(self.seq, self.at, content.clone()))
    }
}

/// An item for a store to append. The store assigns its `seq`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Append {
    /// The channel.
    pub channel: ChannelId,
    /// The author.
    pub author: User,
    /// What to append.
    pub body: AppendBody,
}

/// What an [`Append`] adds to the log. Exhaustive on purpose: a store must handle every kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendBody {
    /// A message. The store keeps (channel, author, nonce) unique and takes each attachment once.
    Message {
        /// The author's key.
        nonce: Nonce,
        /// What it says.
        text: String,
        /// The message that it replies to. The store checks that it exists.
        reply_to: Option<Seq>,
        /// Its files, as uploaded by this author to this channel.
        attachments: Vec<Attachment>,
    },
    /// A new text for a message that is not deleted.
    Edit {
        /// The message.
        target: Seq,
        /// Its new text.
        text: String,
    },
    /// The deletion of a message: the store redacts the rows of the message and of its edits.
    Delete {
        /// The message.
        target: Seq,
    },
    /// An emoji added to or removed from a message that is not deleted.
    React {
        /// The message.
        target: Seq,
        /// The emoji.
        emoji: String,
        /// Whether it is added.
        on: bool,
        /// The limits for the message. The store refuses a reaction over them.
        limits: ReactionLimits,
    },
}

impl Append {
    /// Returns an item of `author` for the log of `channel`.
    #[must_use]
    pub fn new(channel: ChannelId, author: User, body: AppendBody) -> Self {
        Self { channel, author, body }
    }

    /// Returns the log's entry for this item, at the `seq` and time that the store assigned.
    #[must_use]
    pub fn into_event(self, seq: Seq, at: Timestamp) -> Event {
        let by = self.author;
        let kind = match self.body {
            AppendBody::Message { nonce, text, reply_to, attachments } => {
                EventKind::Message(Content { author: by, text, nonce, reply_to, attachments, deleted: false })
            }
            AppendBody::Edit { target, text } => EventKind::Edited { target, text, by },
            AppendBody::Delete { target } => EventKind::Deleted { target, by },
            AppendBody::React { target, emoji, on, .. } => EventKind::Reaction { target, emoji, on, by },
        };
        Event::new(seq, at, kind)
    }

    /// Returns the key that makes a publish idempotent. Edits, deletes and reactions have none.
    #[must_use]
    pub fn dedupe_key(&self) -> Option<(ChannelId, &UserId, &Nonce)> {
        match &self.body {
            AppendBody::Message { nonce, .. } => Some((self.channel, &self.author.id, nonce)),
            _ => None,
        }
    }

    /// Returns about how many bytes the event's text and names take, to bound a batch.
    #[must_use]
    pub fn weight(&self) -> usize {
        const FIXED: usize = 160;
        let body = match &self.body {
            AppendBody::Message { text, attachments, .. } => text.len() + attachments.len() * 256,
            AppendBody::Edit { text, .. } => text.len(),
            AppendBody::Delete { .. } | AppendBody::React { .. } => 0,
        };
        FIXED + self.author.name.len() + body
    }
}
