//! Who a request is from.

use async_trait::async_trait;
use chatcore::{ErrorCode, Identity};
use http::StatusCode;
use http::request::Parts;

use crate::error::HttpError;

/// Finds out who a request is from: by a cookie, a token, or what a middleware put into its extensions.
///
/// It is asked once for each request and each WebSocket, before anything else is done for it. A closure
/// `Fn(&Parts) -> Result<Identity, Unauthorized>` is one too.
///
/// A server that signs people out ends their connections with [`Chat::disconnect`](chatcore::Chat::disconnect).
#[async_trait]
pub trait Authenticator: Send + Sync + 'static {
    /// Returns the identity that the request acts as.
    ///
    /// # Errors
    /// [`AuthError`] where it is nobody's, HTTP 401, or where that can't be found out, HTTP 503.
    async fn authenticate(&self, parts: &Parts) -> Result<Identity, AuthError>;
}

#[async_trait]
impl<F> Authenticator for F
where
    F: Fn(&Parts) -> Result<Identity, Unauthorized> + Send + Sync + 'static,
{
    async fn authenticate(&self, parts: &Parts) -> Result<Identity, AuthError> {
        Ok(self(parts)?)
    }
}

/// The answer of an [`Authenticator`](crate::Authenticator) to a request of nobody it knows: HTTP 401.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("sign in first")]
pub struct Unauthorized;

/// Why an [`Authenticator`](crate::Authenticator) names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The request is nobody's.
    #[error(transparent)]
    Unauthorized(#[from] Unauthorized),
    /// It can't be found out just now, as while a database is away: HTTP 503, and the client tries again.
    #[error("your sign-in can't be checked right now; try again")]
    Unavailable,
}

impl From<AuthError> for HttpError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Unauthorized(error) => {
                Self::new(StatusCode::UNAUTHORIZED, "unauthorized", error.to_string())
            }
            AuthError::Unavailable => chatcore::Error::new(ErrorCode::Unavailable, error.to_string()).into(),
        }
    }
}
