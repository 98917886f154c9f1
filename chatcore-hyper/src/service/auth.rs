//! Who a request is from.

use async_trait::async_trait;
use chatcore::Identity;
use http::request::Parts;

use crate::error::{AuthError, Unauthorized};

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
