//! Why a store did not do what it was asked.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::model::message::TooManyReactions;

/// A store that can't be read or written right now. It clones, since one failure answers a whole batch.
#[derive(Clone)]
pub struct StoreError {
    what: &'static str,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl StoreError {
    /// Makes an error that says `what` could not be done, in one lower-case clause.
    #[must_use]
    pub fn new(what: &'static str) -> Self {
        Self { what, source: None }
    }

    /// Makes an error that says `what` could not be done, and why.
    #[must_use]
    pub fn because(what: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
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

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|e| e as &(dyn Error + 'static))
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
    /// The item can't be stored as it is.
    #[error("the store can't hold this: {0}")]
    Rejected(&'static str),
    /// The store failed; whether the item was stored is unknown.
    #[error("the store failed")]
    Store(#[from] StoreError),
}
