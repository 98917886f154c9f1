//! Why a store did not do what it was asked.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::model::error::{Error, ErrorCode};
use crate::model::message::TooManyReactions;
use crate::model::policy::Denied;

/// A store that can't be read or written right now. It clones, since one failure answers a whole batch.
#[derive(Clone)]
pub struct StoreError {
    what: &'static str,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl StoreError {
    /// Makes an error that says `what` could not be done, in one lower-case clause.
    #[must_use]
    pub fn new(what: &'static str) -> Self {
        Self { what, source: None }
    }

    /// Makes an error that says `what` could not be done, and why.
    #[must_use]
    pub fn because(what: &'static str, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { what, source: Some(Arc::from(source.into())) }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }
}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreError").field("what", &self.what).field("source", &self.source).finish()
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|e| e as &(dyn StdError + 'static))
    }
}

/// Why one item of a batch was not appended.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The channel does not exist.
    #[error("no such channel")]
    NoSuchChannel,
    /// The target of an edit, delete or reaction, or what a message answers, is no message; or the target
    /// is deleted.
    #[error("no such message")]
    NoSuchMessage,
    /// An attachment was not uploaded by this author to this channel, is not whole, or is used already.
    #[error("no such attachment")]
    NoSuchAttachment,
    /// The message has as many reactions as the item's limits allow.
    #[error(transparent)]
    TooManyReactions(#[from] TooManyReactions),
    /// The author's membership does not allow it, or it would change who is in a direct channel.
    #[error("not allowed")]
    NotAllowed,
    /// The channel is archived.
    #[error("the channel is archived")]
    Archived,
    /// The person whom a change of the members is about is no member.
    #[error("not a member")]
    NotAMember,
    /// The person to add is a member already, or nothing would change.
    #[error("nothing changes")]
    Unchanged,
    /// Nobody would be left who owns the channel.
    #[error("the last owner")]
    LastOwner,
    /// The channel has as many members as it can have.
    #[error("a channel can have at most {most} members")]
    TooManyMembers {
        /// The limit.
        most: usize,
    },
    /// The author was erased, or the person whom a change of the members is about.
    #[error("the user was erased")]
    Erased,
    /// The item can't be stored as it is.
    #[error("the store can't hold this: {0}")]
    Rejected(&'static str),
    /// The store failed; whether the item was stored is unknown.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

impl Error {
    pub(crate) fn timed_out() -> Self {
        Self::from(StoreError::new("the store did not answer in time"))
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::new(ErrorCode::Unavailable, "the store is unavailable; try again")
            .with_retry_after(Duration::from_secs(1))
            .caused_by(error)
    }
}

impl From<AppendError> for Error {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::NoSuchChannel => Self::no_such_channel(),
            AppendError::NoSuchMessage => Self::no_such_message(),
            AppendError::NoSuchAttachment => Self::no_such_attachment(),
            AppendError::TooManyReactions(error) => Self::new(ErrorCode::TooLarge, error.to_string()),
            AppendError::NotAllowed => Denied.into(),
            AppendError::Archived => Self::archived(),
            AppendError::NotAMember => Self::not_a_member(),
            AppendError::Unchanged => Self::unchanged(),
            AppendError::LastOwner => Self::last_owner(),
            AppendError::TooManyMembers { most } => Self::too_many_members(most),
            AppendError::Erased => Self::erased(),
            AppendError::Rejected(why) => Self::new(ErrorCode::BadFrame, why),
            AppendError::Store(error) => error.into(),
        }
    }
}
