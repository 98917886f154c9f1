//! Who may do what.

use std::time::Instant;

use crate::model::id::{Seq, SessionId, UserId};
use crate::model::message::User;
use crate::model::name::ChannelName;

/// Who a connection or an HTTP request acts as, as the embedding app's authentication found.
///
/// Make a new one for each request: one that is older than a [`Chat::disconnect`](crate::Chat::disconnect) of its
/// user, as of a handshake that was under way, does not connect after it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Identity {
    /// The user.
    pub user: User,
    /// Which of the user's sign-ins it is, if the app tells them apart.
    pub session: Option<SessionId>,
    /// When it was found.
    pub(crate) since: Instant,
}

impl Identity {
    /// Makes the identity of `user`, as of now.
    #[must_use]
    pub fn new(user: User) -> Self {
        Self { user, session: None, since: Instant::now() }
    }

    /// Sets which of the user's sign-ins it is, for
    /// [`Chat::disconnect_session`](crate::Chat::disconnect_session) to end that one alone.
    #[must_use]
    pub fn session(mut self, session: SessionId) -> Self {
        self.session = Some(session);
        self
    }

    /// Sets when the search for it began, which a transport knows: what ends in between counts.
    #[must_use]
    pub fn as_of(mut self, since: Instant) -> Self {
        self.since = since;
        self
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        (&self.user, &self.session) == (&other.user, &other.session)
    }
}

impl Eq for Identity {}

/// What somebody is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action<'a> {
    /// See that a channel exists, in the list of channels.
    List(&'a ChannelName),
    /// Create a channel of this name.
    CreateChannel(&'a ChannelName),
    /// Read a channel: subscribe, its history, its attachments, its read marker.
    Read(&'a ChannelName),
    /// Write to a channel: publish, edit, delete, react, type, upload. Somebody who may not write can't change
    /// what they wrote before either.
    Write(&'a ChannelName),
    /// Replace the text of a message; [`Write`](Self::Write) is asked too.
    Edit {
        /// The channel.
        channel: &'a ChannelName,
        /// The message.
        seq: Seq,
        /// Who wrote it.
        author: &'a UserId,
    },
    /// Delete a message; [`Write`](Self::Write) is asked too.
    Delete {
        /// The channel.
        channel: &'a ChannelName,
        /// The message.
        seq: Seq,
        /// Who wrote it.
        author: &'a UserId,
    },
}

/// The answer no: with `not_allowed` on the wire, which also covers what the asker may not know to exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not allowed")]
pub struct Denied;

/// Decides who may do what. It is asked before every command, on the hot path: keep what it needs in memory.
///
/// Rights are asked when they are used: at each command, again when the store has answered one, at each request for
/// a file and at each piece of it. A subscription is asked for once, since its events are the hot path: when a right
/// to read ends, call [`Chat::recheck`](crate::Chat::recheck) or [`Chat::revoke`](crate::Chat::revoke).
pub trait Policy: Send + Sync + 'static {
    /// Says whether `identity` may do `action`.
    ///
    /// # Errors
    /// [`Denied`] where it may not.
    fn authorize(&self, identity: &Identity, action: Action<'_>) -> Result<(), Denied>;
}

/// The default: everything is open to everybody, and a message belongs to its author.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenPolicy;

impl Policy for OpenPolicy {
    fn authorize(&self, identity: &Identity, action: Action<'_>) -> Result<(), Denied> {
        match action {
            Action::Edit { author, .. } | Action::Delete { author, .. } if *author != identity.user.id => {
                Err(Denied)
            }
            _ => Ok(()),
        }
    }
}
