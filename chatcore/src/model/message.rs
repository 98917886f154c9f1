//! A message in its current state, with every edit, delete and reaction applied.

use std::sync::Arc;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use crate::model::attachment::{Attachment, FIXED_WEIGHT};
use crate::model::avatar::Avatar;
use crate::model::data::Data;
use crate::model::event::{Content, Event, EventKind};
use crate::model::id::{InvalidId, Nonce, Seq, UserId};
use crate::model::membership::Mentions;
use crate::model::time::Timestamp;

/// A participant: a lasting identity, a display name, and perhaps a picture.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "UserObject")]
#[non_exhaustive]
pub struct User {
    /// The identity.
    pub id: UserId,
    /// The display name.
    pub name: Arc<str>,
    /// What few have, so that it takes little room in the many places that hold a user.
    rest: Option<Arc<Rest>>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Rest {
    Avatar(Avatar),
    Deleted,
}

/// A user as JSON.
#[derive(Deserialize)]
struct UserObject {
    id: UserId,
    name: Arc<str>,
    #[serde(default)]
    avatar: Option<Avatar>,
    #[serde(default)]
    deleted: bool,
}

impl From<UserObject> for User {
    fn from(UserObject { id, name, avatar, deleted }: UserObject) -> Self {
        if deleted { Self::erased(id) } else { Self::from_id(id, name).with_avatar(avatar) }
    }
}

impl Serialize for User {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("User", 2 + usize::from(self.rest.is_some()))?;
        fields.serialize_field("id", &self.id)?;
        fields.serialize_field("name", &self.name)?;
        match self.rest.as_deref() {
            None => {}
            Some(Rest::Avatar(avatar)) => fields.serialize_field("avatar", avatar)?,
            Some(Rest::Deleted) => fields.serialize_field("deleted", &true)?,
        }
        fields.end()
    }
}

impl User {
    /// Returns whether it is written with an id and a name only.
    pub(crate) fn is_plain(&self) -> bool {
        self.rest.is_none()
    }

    /// What people see in place of the name of a person who was erased.
    pub const ERASED: &str = "Deleted user";

    /// The name of an erased person in a store that keeps nothing but a name: [`ERASED`](Self::ERASED), and U+007F, so
    /// that nobody who is only called so is taken for erased.
    const ERASED_STORED: &str = "Deleted user\u{7f}";

    /// Returns a user. The name is what people see, and no check is made of it. Keep it to 1 to 64 characters without
    /// control characters: each message and each event has a copy of it, figures of memory such as
    /// [`Limits::message_bytes`](crate::Limits::message_bytes) expect no more, and a store may refuse U+0000.
    /// [`visible`](crate::visible) has checks for names that people choose.
    ///
    /// # Errors
    /// [`InvalidId`] if `id` is not a valid [`UserId`].
    pub fn new(id: &str, name: &str) -> Result<Self, InvalidId> {
        Ok(Self::from_id(UserId::new(id)?, name))
    }

    /// Returns the user with this id.
    #[must_use]
    pub fn from_id(id: UserId, name: impl Into<Arc<str>>) -> Self {
        Self { id, name: name.into(), rest: None }
    }

    /// Sets where the person's picture is. An erased person has none.
    #[must_use]
    pub fn with_avatar(mut self, avatar: Option<Avatar>) -> Self {
        self.forget_avatar();
        self.rest = self.rest.or_else(|| avatar.map(|avatar| Arc::new(Rest::Avatar(avatar))));
        self
    }

    /// Takes away where the person's picture is.
    pub(crate) fn forget_avatar(&mut self) {
        if self.avatar().is_some() {
            self.rest = None;
        }
    }

    /// Returns where the person's picture is. The log keeps a copy of the name only, so this is `None` for all that comes from
    /// it: authors, members who were added or removed, creators.
    #[must_use]
    pub fn avatar(&self) -> Option<&Avatar> {
        match self.rest.as_deref() {
            Some(Rest::Avatar(avatar)) => Some(avatar),
            _ => None,
        }
    }

    /// Returns whether the person was [erased](crate::Chat::erase_user): the name is [`ERASED`](Self::ERASED) then.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        matches!(self.rest.as_deref(), Some(Rest::Deleted))
    }

    /// Returns the person with this id after they were erased.
    #[must_use]
    pub fn erased(id: UserId) -> Self {
        Self { id, name: Self::ERASED.into(), rest: Some(Arc::new(Rest::Deleted)) }
    }

    /// Returns the name for a store that keeps no more than that of a user. [`from_stored`](Self::from_stored) reads it.
    #[must_use]
    pub fn stored_name(&self) -> &str {
        if self.is_deleted() { Self::ERASED_STORED } else { &self.name }
    }

    /// Returns the user with this id and [stored name](Self::stored_name).
    #[must_use]
    pub fn from_stored(id: UserId, name: &str) -> Self {
        if name == Self::ERASED_STORED { Self::erased(id) } else { Self::from_id(id, name) }
    }

    /// Takes the name away if this is `user`. Returns whether that changes anything.
    pub fn erase_name(&mut self, user: &UserId) -> bool {
        let is_meant = self.id == *user && !self.is_deleted();
        if is_meant {
            *self = Self::erased(self.id.clone());
        }
        is_meant
    }
}

/// What becomes of the messages of a person who is erased. Exhaustive on purpose: a store must keep every kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Erasure {
    /// They are deleted, with their files: only tombstones are left.
    Tombstones,
    /// They keep their texts and files, under [`User::ERASED`].
    KeepTexts,
}

/// An emoji on a message, and the users who added it, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Reaction {
    /// The emoji. An earlier version may have stored another short text.
    pub emoji: String,
    /// Who reacted.
    pub users: Vec<UserId>,
}

/// The most reactions on a message. The default has no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReactionLimits {
    /// On one message, of all emoji and people.
    pub on_message: usize,
    /// Different emoji of one user on one message.
    pub of_user: usize,
}

impl ReactionLimits {
    /// Returns these limits.
    #[must_use]
    pub const fn new(on_message: usize, of_user: usize) -> Self {
        Self { on_message, of_user }
    }
}

impl Default for ReactionLimits {
    fn default() -> Self {
        Self { on_message: usize::MAX, of_user: usize::MAX }
    }
}

/// Why a message accepts no further reaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
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

/// What a message is, if it is no ordinary one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MessageKind {
    /// The app itself says it.
    System,
    /// Something that this version does not know.
    #[serde(other)]
    Unknown,
}

/// A message in its current state. Its JSON omits empty fields. The protocol's encoder writes the JSON for
/// clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Message {
    /// Its position in the channel's log.
    pub seq: Seq,
    /// The author.
    pub author: User,
    /// When the store accepted it.
    pub at: Timestamp,
    /// The current text. Empty if the message was deleted.
    pub text: String,
    /// The author's key of the publish. [Left out](Nonce::is_left_out) if this is somebody else's message in its lean form.
    #[serde(default = "Nonce::left_out", skip_serializing_if = "Nonce::is_left_out")]
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
    /// Whom it mentions. Nobody if the message was deleted. On the wire it is a plain list.
    #[serde(default, skip_serializing_if = "Mentions::is_empty", deserialize_with = "Mentions::of_either")]
    pub mentions: Mentions,
    /// What it is, if it is no ordinary message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<MessageKind>,
    /// The app's data. `None` if the message was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Data>,
}

impl Reaction {
    /// Returns the reaction of these users.
    #[must_use]
    pub fn new(emoji: impl Into<String>, users: Vec<UserId>) -> Self {
        Self { emoji: emoji.into(), users }
    }

    /// Returns the weight, about its bytes in memory: 64 and the emoji's bytes, and for each user 32 and the id's
    /// bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        64 + self.emoji.len() + self.users.iter().map(|user| 32 + user.as_str().len()).sum::<usize>()
    }
}

impl Message {
    /// Returns a message as it was published, without any later event. A store sets what has changed since.
    #[must_use]
    pub fn new(seq: Seq, at: Timestamp, content: Content) -> Self {
        let Content { author, text, nonce, reply_to, attachments, deleted, mentions, kind, data } = content;
        let (edited_at, reactions) = (None, Vec::new());
        Self {
            seq,
            author,
            at,
            text: text.to_string(),
            nonce,
            reply_to,
            attachments,
            edited_at,
            deleted,
            reactions,
            mentions,
            kind,
            data,
        }
    }

    /// Returns the weight, about its bytes in memory: 256, the UTF-8 bytes of its author's id and name, of its
    /// nonce, of its text and of its data, and the weights of its attachments, reactions and mentions.
    #[must_use]
    pub fn weight(&self) -> usize {
        FIXED_WEIGHT
            + self.author.id.as_str().len()
            + self.author.name.len()
            + self.nonce.as_str().len()
            + self.text.len()
            + self.attachments.iter().map(Attachment::weight).sum::<usize>()
            + self.reactions.iter().map(Reaction::weight).sum::<usize>()
            + self.mentions.weight()
            + self.data.as_ref().map_or(0, |data| data.as_json().len())
    }

    /// Applies a later event of the same channel. An event about another message changes nothing.
    ///
    /// This is idempotent: the same events in the same order, replayed from any point, lead to the same message.
    pub fn apply(&mut self, event: &Event) {
        if event.kind.target() != Some(self.seq) || self.deleted {
            return;
        }
        match &event.kind {
            EventKind::Message(_) | EventKind::Member { .. } | EventKind::Changed { .. } => {}
            EventKind::Edited { text, mentions, data, .. } => {
                self.text = text.to_string();
                self.edited_at = Some(event.at);
                if let Some(mentions) = mentions {
                    self.mentions.clone_from(mentions);
                }
                if let Some(data) = data {
                    self.data = Some(data.clone());
                }
            }
            EventKind::Deleted { .. } => self.redact(),
            EventKind::Reaction { emoji, on, by, .. } => self.react(emoji, *on, &by.id),
        }
    }

    /// Leaves a tombstone: `seq`, author, time, nonce and kind. Everything else is removed.
    pub fn redact(&mut self) {
        self.deleted = true;
        self.text = String::new();
        self.attachments = Vec::new();
        self.reactions = Vec::new();
        self.mentions = Mentions::default();
        self.data = None;
        self.edited_at = None;
    }

    /// Takes an author's name away if it is that of `user`. Returns whether that changes anything.
    pub fn erase_name(&mut self, user: &UserId) -> bool {
        self.author.erase_name(user)
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
                self.reactions.push(Reaction::new(emoji, vec![user.clone()]));
            }
            (None, false) => {}
        }
    }
}
