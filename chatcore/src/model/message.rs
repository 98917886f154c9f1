//! A message as it stands now: every edit, delete and reaction folded in.

use serde::{Deserialize, Serialize};

use crate::model::event::{Event, EventKind};
use crate::model::id::{AttachmentId, InvalidId, Nonce, Seq, UserId};
use crate::model::time::Timestamp;

/// Somebody who takes part: a lasting identity and the name to show.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct User {
    /// Who it is.
    pub id: UserId,
    /// The display name.
    pub name: std::sync::Arc<str>,
}

impl User {
    /// Makes a user. The name is what people see; its rules are the app's.
    ///
    /// # Errors
    /// [`InvalidId`] where `id` is not a [`UserId`].
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
    /// What its first bytes say it is; `application/octet-stream` where they say nothing.
    pub content_type: String,
    /// An image's width in pixels.
    pub width: Option<u32>,
    /// An image's height in pixels.
    pub height: Option<u32>,
    /// Where it is served. The protocol's encoder writes it; a store does not keep it.
    #[serde(default, skip_serializing)]
    pub url: String,
}

/// One emoji on a message and who put it there, in the order in which they did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reaction {
    /// The emoji. What an earlier version stored may be another short text.
    pub emoji: String,
    /// Who reacted.
    pub users: Vec<UserId>,
}

/// How many reactions a message may have. The default bounds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReactionLimits {
    /// On one message, over all emoji and people.
    pub on_message: usize,
    /// Kinds of one user on one message.
    pub of_user: usize,
}

impl Default for ReactionLimits {
    fn default() -> Self {
        Self { on_message: usize::MAX, of_user: usize::MAX }
    }
}

/// Why a message takes no further reaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooManyReactions {
    /// It has as many as a message may have.
    #[error("a message can have at most {most} reactions: remove one first")]
    OnMessage {
        /// How many that is.
        most: usize,
    },
    /// It has as many kinds of this user as it may have.
    #[error("one person can give a message at most {most} different reactions: remove one first")]
    OfUser {
        /// How many that is.
        most: usize,
    },
}

/// A message as it stands now. Its JSON leaves out what is none; what a client gets is the protocol's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its place in the channel's log.
    pub seq: Seq,
    /// Who wrote it.
    pub author: User,
    /// When the store took it.
    pub at: Timestamp,
    /// What it says now; empty once deleted.
    pub text: String,
    /// The author's key of the publish.
    pub nonce: Nonce,
    /// The message that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Seq>,
    /// Its files; none once deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// When it was last edited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<Timestamp>,
    /// Whether only its tombstone is left.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// Its reactions, in the order of the first of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reactions: Vec<Reaction>,
}

/// What a message, an event or an attachment weighs beside its texts.
pub(crate) const FIXED_WEIGHT: usize = 256;

impl Attachment {
    /// Returns about how many bytes it takes: 256, and the UTF-8 bytes of its name and its type.
    #[must_use]
    pub fn weight(&self) -> usize {
        FIXED_WEIGHT + self.name.len() + self.content_type.len()
    }
}

impl Reaction {
    /// Returns about how many bytes it takes: 64 and the emoji's, and for each user 32 and the id's.
    #[must_use]
    pub fn weight(&self) -> usize {
        64 + self.emoji.len() + self.users.iter().map(|user| 32 + user.as_str().len()).sum::<usize>()
    }
}

impl Message {
    /// Returns about how many bytes it takes: 256, the UTF-8 bytes of its author's id and name, of its nonce and
    /// its text, and what its attachments and reactions weigh.
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

    /// Folds a later event of the same channel into the message; one of another target changes nothing.
    ///
    /// Folding is idempotent: the same events in the same order, replayed from any point, give the same end.
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

    /// Leaves the tombstone: `seq`, author, time and nonce stay, all else goes.
    pub fn redact(&mut self) {
        self.deleted = true;
        self.text = String::new();
        self.attachments = Vec::new();
        self.reactions = Vec::new();
        self.edited_at = None;
    }

    /// Checks whether the message takes a reaction. One that is there already is taken again.
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
