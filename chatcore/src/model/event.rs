//! The entries of a channel's log.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::attachment::{Attachment, FIXED_WEIGHT};
use crate::model::data::Data;
use crate::model::id::{Nonce, Seq, UserId};
use crate::model::membership::{MemberOp, Mentions, Role};
use crate::model::message::{Message, MessageKind, User};
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
        text: Arc<str>,
        /// The editor.
        by: User,
        /// Whom it mentions now, or `None` if that has not changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mentions: Option<Mentions>,
        /// The app's data now, or `None` if that has not changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data: Option<Data>,
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
    /// Somebody was added to the channel, was removed, left, or has another role.
    Member {
        /// What happened.
        op: MemberOp,
        /// To whom.
        user: User,
        /// Their role, or `None` if they are no longer a member.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        role: Option<Role>,
        /// Who did it.
        by: User,
    },
    /// The channel itself was changed. What did not change is `None`.
    Changed {
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
    pub text: Arc<str>,
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
    /// Whom it mentions.
    #[serde(default, skip_serializing_if = "Mentions::is_empty")]
    pub mentions: Mentions,
    /// What it is, if it is no ordinary message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<MessageKind>,
    /// The app's data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Data>,
}

impl Content {
    /// Returns the contents of a message with this text alone.
    #[must_use]
    pub fn new(author: User, nonce: Nonce, text: impl Into<Arc<str>>) -> Self {
        Self {
            author,
            text: text.into(),
            nonce,
            reply_to: None,
            attachments: Vec::new(),
            deleted: false,
            mentions: Mentions::default(),
            kind: None,
            data: None,
        }
    }
}

impl EventKind {
    /// Returns the message that an edit, a delete or a reaction refers to.
    #[must_use]
    pub fn target(&self) -> Option<Seq> {
        match self {
            Self::Message(_) | Self::Member { .. } | Self::Changed { .. } => None,
            Self::Edited { target, .. } | Self::Deleted { target, .. } | Self::Reaction { target, .. } => {
                Some(*target)
            }
        }
    }

    /// Returns the people of the event: the user who did it and, if it changes the members, the member whom it is about.
    pub fn people(&self) -> impl Iterator<Item = &User> {
        let (by, subject) = match self {
            Self::Message(content) => (&content.author, None),
            Self::Edited { by, .. }
            | Self::Deleted { by, .. }
            | Self::Reaction { by, .. }
            | Self::Changed { by, .. } => (by, None),
            Self::Member { user, by, .. } => (by, Some(user)),
        };
        std::iter::once(by).chain(subject)
    }

    /// Takes a user's name away wherever the event has it. Returns whether that changes anything. The event's
    /// [`Check`](crate::store::Check) stays the same.
    pub fn erase_name(&mut self, user: &UserId) -> bool {
        let (by, subject) = match self {
            Self::Message(content) => (&mut content.author, None),
            Self::Edited { by, .. }
            | Self::Deleted { by, .. }
            | Self::Reaction { by, .. }
            | Self::Changed { by, .. } => (by, None),
            Self::Member { user, by, .. } => (by, Some(user)),
        };
        let of_subject = subject.is_some_and(|subject| subject.erase_name(user));
        by.erase_name(user) || of_subject
    }

    /// Removes what a delete must remove from the log: a message's or an edit's text, files, mentions and data.
    pub fn redact(&mut self) {
        match self {
            Self::Message(content) => {
                content.text = Arc::default();
                content.attachments = Vec::new();
                content.mentions = Mentions::default();
                content.data = None;
                content.deleted = true;
            }
            Self::Edited { text, mentions, data, .. } => {
                *text = Arc::default();
                (*mentions, *data) = (None, None);
            }
            Self::Deleted { .. } | Self::Reaction { .. } | Self::Member { .. } | Self::Changed { .. } => {}
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
    /// name), of its nonce, of its text or emoji or its member (id and name) or the channel's title and topic, and of
    /// its data, and the weights of its attachments and mentions.
    #[must_use]
    pub fn weight(&self) -> usize {
        let data_len = |data: &Option<Data>| data.as_ref().map_or(0, |data| data.as_json().len());
        let len = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let (by, texts) = match &self.kind {
            EventKind::Message(content) => {
                let Content { author, text, nonce, attachments, mentions, data, .. } = content;
                let files = attachments.iter().map(Attachment::weight).sum::<usize>();
                (author, nonce.as_str().len() + text.len() + files + mentions.weight() + data_len(data))
            }
            EventKind::Edited { text, by, mentions, data, .. } => {
                (by, text.len() + mentions.as_ref().map_or(0, Mentions::weight) + data_len(data))
            }
            EventKind::Deleted { by, .. } => (by, 0),
            EventKind::Reaction { emoji, by, .. } => (by, emoji.len()),
            EventKind::Member { user, by, .. } => (by, user.id.as_str().len() + user.name.len()),
            EventKind::Changed { title, topic, by, .. } => (by, len(title) + len(topic)),
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
