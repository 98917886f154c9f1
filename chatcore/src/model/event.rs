//! The entries of a channel's log, and what a store appends to it.

use serde::{Deserialize, Serialize};

use crate::model::attachment::{Attachment, FIXED_WEIGHT};
use crate::model::data::Data;
use crate::model::id::{ChannelId, Nonce, Seq, UserId};
use crate::model::membership::{MemberOp, Mentions, Role};
use crate::model::message::{Message, MessageKind, ReactionLimits, User};
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
    pub fn new(author: User, nonce: Nonce, text: impl Into<String>) -> Self {
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

/// What only some messages have besides their text. The default is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extras {
    /// Whom it mentions.
    pub mentions: Mentions,
    /// What it is, if it is no ordinary message.
    pub kind: Option<MessageKind>,
    /// The app's data.
    pub data: Option<Data>,
}

impl Extras {
    /// Sets whom it mentions.
    #[must_use]
    pub fn with_mentions(self, mentions: Mentions) -> Self {
        Self { mentions, ..self }
    }

    /// Sets what it is.
    #[must_use]
    pub fn with_kind(self, kind: MessageKind) -> Self {
        Self { kind: Some(kind), ..self }
    }

    /// Sets the app's data.
    #[must_use]
    pub fn with_data(self, data: Data) -> Self {
        Self { data: Some(data), ..self }
    }

    /// Returns these extras, or `None` if they are nothing.
    #[must_use]
    pub fn boxed(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }

    fn weight(&self) -> usize {
        self.mentions.weight() + self.data.as_ref().map_or(0, |data| data.as_json().len())
    }
}

/// What an edit replaces besides the text. What is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EditExtras {
    /// Whom the message mentions from now on.
    pub mentions: Option<Mentions>,
    /// The app's data from now on.
    pub data: Option<Data>,
}

impl EditExtras {
    /// Returns what is replaced, or `None` if nothing is.
    #[must_use]
    pub fn boxed(mentions: Option<Mentions>, data: Option<Data>) -> Option<Box<Self>> {
        (mentions.is_some() || data.is_some()).then(|| Box::new(Self { mentions, data }))
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

    /// Returns who takes part in it: the one who did it, and of a change of the members the one whom it is about.
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
                content.text = String::new();
                content.attachments = Vec::new();
                content.mentions = Mentions::default();
                content.data = None;
                content.deleted = true;
            }
            Self::Edited { text, mentions, data, .. } => {
                *text = String::new();
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
    /// Whether the store refuses it unless the author's membership allows it, at the moment of the append:
    ///
    /// - In a private or direct channel, the author must be a member
    ///   ([`AppendError::NoSuchChannel`](crate::store::AppendError::NoSuchChannel)).
    /// - To change the channel, remove others, give roles, or add people to a private channel, the author must be an
    ///   owner ([`AppendError::NotAllowed`](crate::store::AppendError::NotAllowed)).
    pub checked: bool,
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
        /// What only some messages have.
        extras: Option<Box<Extras>>,
    },
    /// A new text for a message that is not deleted.
    Edit {
        /// The message.
        target: Seq,
        /// Its new text.
        text: String,
        /// What else it replaces.
        extras: Option<Box<EditExtras>>,
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
    /// A change of the channel's members, which the store makes in the same transaction. Of a channel with direct
    /// messages nobody's membership changes: the store refuses it with
    /// [`AppendError::NotAllowed`](crate::store::AppendError::NotAllowed).
    Member {
        /// What happens.
        op: MemberOp,
        /// To whom. For [`MemberOp::Left`] it is the author.
        user: User,
        /// The role of who is added, or the new role. Ignored if they are no longer a member afterwards.
        role: Role,
        /// The most members that the channel can have afterwards.
        most: usize,
    },
    /// A change of the channel itself, which the store makes in the same transaction. What is `None` stays.
    Change {
        /// The new title.
        title: Option<String>,
        /// The new topic.
        topic: Option<String>,
        /// Whether it is archived from now on.
        archived: Option<bool>,
    },
}

impl AppendBody {
    /// Returns a message with this text alone.
    #[must_use]
    pub fn message(nonce: Nonce, text: impl Into<String>) -> Self {
        let (reply_to, attachments, extras) = (None, Vec::new(), None);
        Self::Message { nonce, text: text.into(), reply_to, attachments, extras }
    }

    /// Returns whether a store accepts it of an author who was erased: what takes something away, and roles, by which a
    /// channel gets another owner. Nothing else of theirs is stored any more, whenever it began.
    #[must_use]
    pub fn suits_erased(&self) -> bool {
        match self {
            Self::Message { .. } | Self::Edit { .. } | Self::React { on: true, .. } | Self::Change { .. } => {
                false
            }
            Self::Delete { .. } | Self::React { on: false, .. } => true,
            Self::Member { op, .. } => *op != MemberOp::Added,
        }
    }

    /// Returns whether an archived channel accepts it: what takes something away, and what ends the archive.
    #[must_use]
    pub fn suits_archive(&self) -> bool {
        match self {
            Self::Message { .. } | Self::Edit { .. } | Self::React { on: true, .. } => false,
            Self::Delete { .. } | Self::React { on: false, .. } => true,
            Self::Member { op, .. } => op.ends_membership(),
            Self::Change { archived, .. } => archived.is_some(),
        }
    }
}

impl Append {
    /// Returns an item of `author` for the log of `channel`, that needs no membership. It names people without their
    /// avatars, as the log does.
    #[must_use]
    pub fn new(channel: ChannelId, mut author: User, mut body: AppendBody) -> Self {
        if let AppendBody::Member { user, .. } = &mut body {
            user.forget_avatar();
        }
        author.forget_avatar();
        Self { channel, author, body, checked: false }
    }

    /// Has the store check the author's membership.
    #[must_use]
    pub fn checked(self) -> Self {
        Self { checked: true, ..self }
    }

    /// Returns the log's entry for this item, at the `seq` and time that the store assigned.
    #[must_use]
    pub fn into_event(self, seq: Seq, at: Timestamp) -> Event {
        let by = self.author;
        let kind = match self.body {
            AppendBody::Message { nonce, text, reply_to, attachments, extras } => {
                let Extras { mentions, kind, data } = extras.map(|extras| *extras).unwrap_or_default();
                let deleted = false;
                let author = by;
                EventKind::Message(Content {
                    author,
                    text,
                    nonce,
                    reply_to,
                    attachments,
                    deleted,
                    mentions,
                    kind,
                    data,
                })
            }
            AppendBody::Edit { target, text, extras } => {
                let EditExtras { mentions, data } = extras.map(|extras| *extras).unwrap_or_default();
                EventKind::Edited { target, text, by, mentions, data }
            }
            AppendBody::Delete { target } => EventKind::Deleted { target, by },
            AppendBody::React { target, emoji, on, .. } => EventKind::Reaction { target, emoji, on, by },
            AppendBody::Member { op, user, role, .. } => {
                let role = (!op.ends_membership()).then_some(role);
                EventKind::Member { op, user, role, by }
            }
            AppendBody::Change { title, topic, archived } => {
                EventKind::Changed { title, topic, archived, by }
            }
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
            AppendBody::Message { text, attachments, extras, .. } => {
                text.len() + attachments.len() * 256 + extras.as_ref().map_or(0, |extras| extras.weight())
            }
            AppendBody::Edit { text, extras, .. } => {
                let extras = extras.as_ref().map_or(0, |extras| {
                    let data = extras.data.as_ref().map_or(0, |data| data.as_json().len());
                    data + extras.mentions.as_ref().map_or(0, Mentions::weight)
                });
                text.len() + extras
            }
            AppendBody::Delete { .. } | AppendBody::React { .. } => 0,
            AppendBody::Member { user, .. } => user.name.len(),
            AppendBody::Change { title, topic, .. } => {
                title.as_ref().map_or(0, String::len) + topic.as_ref().map_or(0, String::len)
            }
        };
        FIXED + self.author.name.len() + body
    }
}
