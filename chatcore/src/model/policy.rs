//! Who may do what.

use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use crate::model::id::{Seq, SessionId, UserId};
use crate::model::message::User;
use crate::model::moment::Moment;
use crate::model::name::ChannelName;
use crate::model::new_message::NewMessage;
use crate::model::review::{NoReview, Refused};

/// The user that a connection or an HTTP request acts as, found by the app's authentication.
///
/// Create a new one for each request. An identity that is older than a
/// [`Chat::disconnect`](crate::Chat::disconnect) of its user, such as one of a handshake in progress, can't
/// connect after it.
///
/// Two identities are equal if they are of the same user and the same sign-in, whatever data they carry and
/// whenever authentication started.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Identity {
    /// The user.
    pub user: User,
    /// The user's sign-in, if the app tells sign-ins apart.
    pub session: Option<SessionId>,
    /// When authentication started.
    pub(crate) since: Moment,
    /// The app's own data, one value of each type.
    data: Option<Arc<Vec<Value>>>,
}

type Value = Arc<dyn Any + Send + Sync>;

impl Identity {
    /// Returns the identity of `user`, as of now.
    #[must_use]
    pub fn new(user: User) -> Self {
        Self { user, session: None, since: Moment::now(), data: None }
    }

    /// Sets the user's sign-in, so that [`Chat::disconnect_session`](crate::Chat::disconnect_session) can end it
    /// alone.
    #[must_use]
    pub fn session(mut self, session: SessionId) -> Self {
        self.session = Some(session);
        self
    }

    /// Adds data of the app's own, such as roles, for [`Policy::authorize`] to [`get`](Self::get). It replaces
    /// data of the same type.
    ///
    /// A connection keeps the data that its identity had when it was opened. For what changes meanwhile, add an
    /// `Arc` of something with a lock, or [disconnect](crate::Chat::disconnect) the user with
    /// [`CloseReason::Reconnect`](crate::protocol::CloseReason::Reconnect).
    ///
    /// ```
    /// use chatcore::{Identity, User};
    ///
    /// struct Tenant(u64);
    ///
    /// # fn main() -> Result<(), chatcore::InvalidId> {
    /// let identity = Identity::new(User::new("u_ann", "Ann")?).with(Tenant(7));
    /// assert_eq!(identity.get::<Tenant>().map(|tenant| tenant.0), Some(7));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        let mut data = self.data.take().map(Arc::unwrap_or_clone).unwrap_or_default();
        data.retain(|known| !known.is::<T>());
        data.push(Arc::new(value));
        self.data = Some(Arc::new(data));
        self
    }

    /// Returns the app's data of this type, if the identity [has it](Self::with).
    #[must_use]
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.data.iter().flat_map(|data| data.iter()).find_map(|value| value.downcast_ref())
    }

    /// Sets when authentication started. A `disconnect` after that moment refuses this identity.
    #[must_use]
    pub fn authenticated_at(mut self, since: Instant) -> Self {
        self.since = Moment::of(since.into());
        self
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        (&self.user, &self.session) == (&other.user, &other.session)
    }
}

impl Eq for Identity {}

/// An action that a user wants to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action<'a> {
    /// See that a channel exists, in the list of channels.
    List(&'a ChannelName),
    /// Create a channel with this name.
    CreateChannel(&'a ChannelName),
    /// Read a channel: subscribe, its history, its attachments, its read marker.
    Read(&'a ChannelName),
    /// Write to a channel: publish, edit, delete, react, type, upload. A user who may not write can't edit or
    /// delete earlier messages either.
    Write(&'a ChannelName),
    /// Change who belongs to a channel, a role, or the channel's title, topic or archive. What members and owners may do
    /// is decided by their membership; this is a veto.
    Manage(&'a ChannelName),
    /// Know of a person: find them, add them to a channel, write to them, hear their new name.
    Meet(&'a UserId),
    /// Mention everybody in a channel, or everybody who is online there.
    MentionAll {
        /// The channel.
        channel: &'a ChannelName,
        /// How many people that are.
        people: u64,
    },
    /// Edit a message. [`Write`](Self::Write) is asked too.
    Edit {
        /// The channel.
        channel: &'a ChannelName,
        /// The message.
        seq: Seq,
        /// The author.
        author: &'a UserId,
    },
    /// Delete a message. [`Write`](Self::Write) is asked too.
    Delete {
        /// The channel.
        channel: &'a ChannelName,
        /// The message.
        seq: Seq,
        /// The author.
        author: &'a UserId,
    },
}

/// A refusal: `not_allowed` on the wire. Also used for channels that the user may not know about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not allowed")]
pub struct Denied;

/// Decides who may do what, and can review what is written.
///
/// [`authorize`](Self::authorize) is asked before every command, on the hot path, so keep what it needs in memory.
///
/// Rights are checked when they are used: at each command, again when the store has answered, at each request for
/// a file and at each piece of it. A subscription is checked only once, since its events are the hot path. When a
/// right to read ends, call [`Chat::recheck`](crate::Chat::recheck) or [`Chat::revoke`](crate::Chat::revoke).
///
/// ```
/// use chatcore::{Action, Denied, Identity, OpenPolicy, Policy};
///
/// /// What the app's authentication adds to an identity, with [`Identity::with`].
/// struct Staff;
///
/// /// Only staff write to `news`. Staff may delete any message.
/// struct Newsroom;
///
/// impl Policy for Newsroom {
///     fn authorize(&self, identity: &Identity, action: Action<'_>) -> Result<(), Denied> {
///         let is_staff = identity.get::<Staff>().is_some();
///         match action {
///             Action::Write(channel) if channel.as_str() == "news" && !is_staff => Err(Denied),
///             Action::Delete { .. } if is_staff => Ok(()),
///             other => OpenPolicy.authorize(identity, other),
///         }
///     }
/// }
/// ```
pub trait Policy: Send + Sync + 'static {
    /// Decides whether `identity` may do `action`.
    ///
    /// # Errors
    /// [`Denied`] if it may not.
    fn authorize(&self, identity: &Identity, action: Action<'_>) -> Result<(), Denied>;

    /// Looks at a client's message before it is stored: lets it pass, rewrites it, or refuses it with a reason that
    /// its author sees. An app writes it as an `async fn`, with the attribute [`async_trait`](crate::async_trait). The
    /// default reviews nothing, and costs nothing.
    ///
    /// It is asked for each `publish` and each `edit`, after [`authorize`](Self::authorize) has allowed it and only for
    /// people who can see the channel. What the app itself [publishes](crate::Chat::publish) is not reviewed.
    ///
    /// - The review may change the message's text, mentions and data. The result is checked as what a client sends:
    ///   its limits hold, and mentions of people who can't read the channel are left out. A change of any other field
    ///   has no effect.
    /// - For an edit, the message is as it would be after it: the new text, the mentions and the data, new or as they
    ///   were, and the nonce, the files and the `reply_to` of the message. [`edits`](NewMessage::edits) is its `seq`.
    ///   Data that the review sets to `None` stays as it was.
    /// - The connection's later commands wait for it, so the order of what one connection publishes is kept. Other
    ///   connections go on, also those of the same user.
    /// - It has [`Limits::review_timeout`](crate::Limits::review_timeout). After that, or if it panics, the message is not
    ///   stored, and its author gets `unavailable`, which can be tried again.
    /// - The rights are asked again after it.
    /// - A client that doesn't know whether its message was stored sends it again with the same nonce. The copy is
    ///   reviewed too, before the store recognizes it. If the answer to one message may change, keep it by the author and
    ///   the nonce.
    ///
    /// ```
    /// use chatcore::{Action, ChannelName, Denied, Identity, NewMessage, OpenPolicy, Policy, Refused};
    ///
    /// /// A policy that blots out card numbers and keeps links out of `help`.
    /// struct Careful;
    ///
    /// #[chatcore::async_trait]
    /// impl Policy for Careful {
    ///     fn authorize(&self, identity: &Identity, action: Action<'_>) -> Result<(), Denied> {
    ///         OpenPolicy.authorize(identity, action)
    ///     }
    ///
    ///     async fn review(
    ///         &self,
    ///         _: &Identity,
    ///         channel: &ChannelName,
    ///         message: &mut NewMessage,
    ///     ) -> Result<(), Refused> {
    ///         if channel.as_str() == "help" && message.text.contains("https://") {
    ///             return Err(Refused::new("Links can't be posted in help."));
    ///         }
    ///         message.text = message.text.replace("4111 1111 1111 1111", "[card number]").into();
    ///         Ok(())
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Refused`] with the reason for the author.
    ///
    /// # Cancel safety
    /// The future is dropped if the connection ends or the time is up. It may be dropped before it was polled: the
    /// engine calls this function also to learn whether there is a review, so the work belongs into the future.
    // This is what `async_trait` makes of an `async fn`, except that the default's future is known to do nothing.
    fn review<'life0, 'life1, 'life2, 'life3, 'async_trait>(
        &'life0 self,
        identity: &'life1 Identity,
        channel: &'life2 ChannelName,
        message: &'life3 mut NewMessage,
    ) -> Pin<Box<dyn Future<Output = Result<(), Refused>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        'life2: 'async_trait,
        'life3: 'async_trait,
        Self: 'async_trait,
    {
        let _ = (identity, channel, message);
        Box::pin(NoReview)
    }
}

/// The default policy: everyone may do everything that their membership allows, only its author may edit or delete a
/// message, and nobody may mention more than 100 people at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenPolicy;

impl Policy for OpenPolicy {
    fn authorize(&self, identity: &Identity, action: Action<'_>) -> Result<(), Denied> {
        match action {
            Action::Edit { author, .. } | Action::Delete { author, .. } if *author != identity.user.id => {
                Err(Denied)
            }
            Action::MentionAll { people, .. } if people > 100 => Err(Denied),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_has_one_value_of_each_type() {
        let ann = Identity::new(User::new("u_ann", "Ann").unwrap());
        assert_eq!(ann.get::<u8>(), None);
        let first = ann.clone().with(1_u8).with("admin");
        let second = first.clone().with(2_u8);
        assert_eq!((first.get::<u8>(), second.get::<u8>()), (Some(&1), Some(&2)));
        assert_eq!(second.get::<&str>(), Some(&"admin"));
        assert_eq!(ann, second, "the data does not tell identities apart");
    }
}
