//! What a store appends to a channel's log.

use std::sync::Arc;

use crate::model::attachment::Attachment;
use crate::model::data::Data;
use crate::model::event::{Content, Event, EventKind};
use crate::model::id::{ChannelId, Nonce, Seq, UserId};
use crate::model::membership::{MemberOp, Mentions, Role};
use crate::model::message::{MessageKind, ReactionLimits, User};
use crate::model::time::Timestamp;

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
        text: Arc<str>,
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
        text: Arc<str>,
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

impl AppendBody {
    /// Returns a message with this text alone.
    #[must_use]
    pub fn message(nonce: Nonce, text: impl Into<Arc<str>>) -> Self {
        let (reply_to, attachments, extras) = (None, Vec::new(), None);
        Self::Message { nonce, text: text.into(), reply_to, attachments, extras }
    }

    /// Returns whether a store accepts it from an author who was erased. It accepts what takes something away, and roles,
    /// by which a channel gets another owner. It refuses everything else, also if that began before the erasure.
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
