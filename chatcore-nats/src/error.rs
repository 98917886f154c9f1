//! Why a bus could not be set up.

use std::error::Error;

/// Why a [`NatsBus`](crate::NatsBus) could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL is invalid.
    #[error("invalid NATS URL {url:?}")]
    Url {
        /// The URL, or the one of several. It has no user and no password.
        url: String,
        /// What is wrong with it.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The namespace is invalid. A valid one has 1 to 64 of `a`–`z`, `0`–`9`, `_` and `-`.
    #[error("invalid namespace {0:?}: use 1 to 64 of a-z, 0-9, _ and -")]
    Namespace(String),
    /// The client can't be set up, for example with its certificates.
    #[error("the NATS client can't be set up")]
    Client(#[source] Box<dyn Error + Send + Sync>),
}
