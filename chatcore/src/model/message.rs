//! A message in its current state, with every edit, delete and reaction applied.

use serde::{Deserialize, Serialize};

use crate::model::event::{Event, EventKind};
use crate::model::id::{AttachmentId, InvalidId, Nonce, Seq, UserId};
use crate::model::time::Timestamp;

/// A participant: a lasting identity and a display name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct User {
    /// The identity.
    pub id: UserId,
    /// The display name.
    pub name: std::sync::Arc<str>,
}

impl User {
    /// Returns a user. The name is what people see. The app decides which names are valid.
    ///
    /// # Errors
    /// [`InvalidId`] if `id` is not a valid [`UserId`].
    pub fn new(id: &str, name: &str) -> Result<Self, InvalidId> {
        Ok(Self { id: UserId::new(id)?, name: name.into() })
    }
}

/// A file that belongs to a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// Its key.
    pub id: AttachmentId,
    /// The file's name, in any script, as its author gave it.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// The type found in its first bytes, or `application/octet-stream` if none was found.
    pub content_type: String,
    /// An image's width in pixels.
    pub width: Option<u32>,
    /// An image's height in pixels.
    pub height: Option<u32>,
    /// The URL where it is served. The protocol's encoder sets it; a store does not keep it.
    #[serde(default, skip_serializing)]
    pub url: String,
}

/// An emoji on a message, and the users who added it, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reaction {
    /// The emoji. An earlier version may have stored another short text.
    pub emoji: String,
    /// Who reacted.
    pub users: Vec<UserId>,
}

/// The most reactions on a message. The default has no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReactionLimits {
    /// On one message, of all emoji and people.
    pub on_message: usize,
    /// Different emoji of one user on one message.
    pub of_user: usize,
}

impl Default for ReactionLimits {
    fn default() -> Self {
        Self { on_message: usize::MAX, of_user: usize::MAX }
    }
}

/// Why a message accepts no further reaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooManyReactions {
    /// The message has as many reactions as it can have.
    #[error("a message can have at most {most} reactions: remove one first")]
    OnMessage {
        /// The limit.
        most: usize,
    },
    /// The user has as many different reactions on the message as one can have.
    #[error("one person can give a message at most {most} different reactions: remove one first")]
    OfUser {
        /// The limit.
        most: usize,
    },
}

/// A message in its current state. Its JSON omits empty fields. The protocol's encoder writes the JSON for
/// clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its position in the channel's log.
    pub seq: Seq,
    /// The author.
    pub author: User,
    /// When the store accepted it.
    pub at: Timestamp,
    /// The current text. Empty if the message was deleted.
    pub text: String,
    /// The author's key of the publish.
    pub nonce: Nonce,
    /// The message that it replies to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Seq>,
    /// Its files. Empty if the message was deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// The time of the last edit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<Timestamp>,
    /// Whether the message was deleted, so that only a tombstone is left.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// Its reactions, in the order in which each emoji was first added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reactions: Vec<Reaction>,
}

/// The weight of a message, an event or an attachment without its texts.
pub(crate) const FIXED_WEIGHT: usize = 256;

impl Attachment {
    /// Returns the weight, about its bytes in memory: 256, and the UTF-8 bytes of its name and type.
    #[must_use]
    pub fn weight(&self) -> usize {
        FIXED_WEIGHT + self.name.len() + self.content_type.len()
    }
}

impl Reaction {
    /// Returns the weight, about its bytes in memory: 64 and the emoji's bytes, and for each user 32 and the id's
    /// bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        64 + self.emoji.len() + self.users.iter().map(|user| 32 + user.as_str().len()).sum::<usize>()
    }
}

impl Message {
    /// Returns the weight, about its bytes in memory: 256, the UTF-8 bytes of its author's id and name, of its
    /// nonce and of its text, and the weights of its attachments and reactions.
    #[must_use]
    pub fn weight(&self) -> usize {
        FIXED_WEIGHT
            + self.author.id.as_str().len()
            + self.author.name.len()
            + self.nonce.as_str().len()
            + self.text.len()
            + self.attachments.iter().map(Attachment::weight).sum::<usize>()
            + self.reactions.iter().map(Reaction::weight).sum::<usize>()
    }

    /// Applies a later event of the same channel. An event about another message changes nothing.
    ///
    /// This is idempotent: the same events in the same order, replayed from any point, lead to the same message.
    pub fn apply(&mut self, event: &Event) {
        if event.kind.target() != Some(self.seq) || self.deleted {
            return;
        }
        match &event.kind {
            EventKind::Message(_) => {}
            EventKind::Edited { text, .. } => {
                self.text.clone_from(text);
                self.edited_at = Some(event.at);
            }
            EventKind::Deleted { .. } => self.redact(),
            EventKind::Reaction { emoji, on, by, .. } => self.react(emoji, *on, &by.id),
        }
    }

    /// Leaves a tombstone: `seq`, author, time and nonce. Everything else is removed.
    pub fn redact(&mut self) {
        self.deleted = true;
        self.text = String::new();
        self.attachments = Vec::new();
        self.reactions = Vec::new();
        self.edited_at = None;
    }

    /// Checks whether the message accepts a reaction. A reaction that it already has is accepted again.
    ///
    /// # Errors
    /// [`TooManyReactions`] if a limit is reached.
    pub fn check_reaction(
        &self,
        emoji: &str,
        user: &UserId,
        limits: ReactionLimits,
    ) -> Result<(), TooManyReactions> {
        let of_user = || self.reactions.iter().filter(|reaction| reaction.users.contains(user));
        if of_user().any(|reaction| reaction.emoji == emoji) {
            return Ok(());
        }
        if self.reactions.iter().map(|reaction| reaction.users.len()).sum::<usize>() >= limits.on_message {
            return Err(TooManyReactions::OnMessage { most: limits.on_message });
        }
        if of_user().count() >= limits.of_user {
            return Err(TooManyReactions::OfUser { most: limits.of_user });
        }
        Ok(())
    }

    fn react(&mut self, emoji: &str, on: bool, user: &UserId) {
        let found = self.reactions.iter().position(|r| r.emoji == emoji);
        match (found, on) {
            (Some(at), true) => {
                let users = &mut self.reactions[at].users;
                if !users.contains(user) {
                    users.push(user.clone());
                }
            }
            (Some(at), false) => {
                self.reactions[at].users.retain(|u| u != user);
                if self.reactions[at].users.is_empty() {
                    self.reactions.remove(at);
                }
            }
            (None, true) => {
                self.reactions.push(Reaction { emoji: emoji.to_owned(), users: vec![user.clone()] });
            }
            (None, false) => {}
        }
    }
}
