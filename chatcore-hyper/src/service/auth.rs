//! Authentication: which user a request is from.

use async_trait::async_trait;
use chatcore::{ErrorCode, Identity};
use http::StatusCode;
use http::request::Parts;

use crate::error::HttpError;

/// Finds out which user a request is from: by a cookie, a token, or an extension that a middleware has inserted.
///
/// It is asked once for each request and each WebSocket, before anything else is done for it. Headers other than the
/// app's own cookie prove nothing, since the `fetch` of any page can send them.
///
/// An `async fn(&Parts)` is an authenticator, and so is a closure that returns a future. The future's error is
/// [`Unauthorized`] or [`AuthError`]:
///
/// ```no_run
/// use std::sync::Arc;
///
/// use chatcore::{Chat, Identity, MemoryStore, User};
/// use chatcore_hyper::web::cookie;
/// use chatcore_hyper::{AuthError, ChatService, Unauthorized};
/// use http::request::Parts;
/// # struct Sessions;
/// # impl Sessions {
/// #     async fn find(&self, token: &str) -> Result<Option<User>, std::io::Error> {
/// #         Ok((token == "5f0e").then(|| User::new("u_ann", "Ann").expect("a valid id")))
/// #     }
/// # }
/// let sessions = Arc::new(Sessions);
/// let authenticator = move |request: &Parts| {
///     // The future borrows nothing from the closure or the request.
///     let sessions = Arc::clone(&sessions);
///     let token = cookie(&request.headers, &["session"]).map(str::to_owned);
///     async move {
///         let token = token.ok_or(Unauthorized)?;
///         // While the table of sessions is unavailable, clients are told to try again.
///         let user = sessions.find(&token).await.map_err(|_| AuthError::Unavailable)?;
///         Ok::<_, AuthError>(Identity::new(user.ok_or(Unauthorized)?))
///     }
/// };
/// let service = ChatService::new(Chat::builder(MemoryStore::new()).build(), authenticator);
/// ```
///
/// Wrap a lookup that does not wait in [`std::future::ready`]: `|request: &Parts| ready(find(request))`. An app with
/// more state implements the trait for its own type, with [`async_trait`](crate::async_trait):
///
/// ```
/// use chatcore::{Identity, User};
/// use chatcore_hyper::{AuthError, Authenticator, Unauthorized, async_trait};
/// use http::request::Parts;
///
/// /// Every request is Ann's until she leaves.
/// struct OnlyAnn {
///     has_left: bool,
/// }
///
/// #[async_trait]
/// impl Authenticator for OnlyAnn {
///     async fn authenticate(&self, _: &Parts) -> Result<Identity, AuthError> {
///         let ann = User::new("u_ann", "Ann").map_err(|_| Unauthorized)?;
///         if self.has_left { Err(Unauthorized.into()) } else { Ok(Identity::new(ann)) }
///     }
/// }
/// ```
///
/// When a user signs out, end their connections with [`Chat::disconnect`](chatcore::Chat::disconnect).
#[async_trait]
pub trait Authenticator: Send + Sync + 'static {
    /// Returns the identity that the request acts as.
    ///
    /// # Errors
    /// [`AuthError::Unauthorized`], HTTP 401, if the request has no known user. [`AuthError::Unavailable`], HTTP
    /// 503, if that can't be found out.
    async fn authenticate(&self, parts: &Parts) -> Result<Identity, AuthError>;
}

#[async_trait]
impl<F> Authenticator for F
where
    F: for<'a> AuthenticateFn<'a>,
{
    async fn authenticate(&self, parts: &Parts) -> Result<Identity, AuthError> {
        self.call(parts).await.map_err(Into::into)
    }
}

/// A function that is an [`Authenticator`], called with one request. It names the future's type, so that the
/// future can be required to be `Send`.
pub(crate) trait AuthenticateFn<'a>: Send + Sync + 'static {
    type Error: Into<AuthError>;
    type Future: Future<Output = Result<Identity, Self::Error>> + Send + 'a;

    fn call(&self, parts: &'a Parts) -> Self::Future;
}

impl<'a, F, Fut, E> AuthenticateFn<'a> for F
where
    F: Fn(&'a Parts) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Identity, E>> + Send + 'a,
    E: Into<AuthError>,
{
    type Error = E;
    type Future = Fut;

    fn call(&self, parts: &'a Parts) -> Fut {
        self(parts)
    }
}

/// The answer of an [`Authenticator`](crate::Authenticator) to a request without a known user: HTTP 401.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("sign in first")]
pub struct Unauthorized;

/// Why an [`Authenticator`](crate::Authenticator) returned no identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The request has no known user.
    #[error(transparent)]
    Unauthorized(#[from] Unauthorized),
    /// It can't be found out now, such as while a database is unavailable: HTTP 503, and the client tries again.
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

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::sync::Arc;

    use chatcore::User;

    use super::*;

    fn parts() -> Parts {
        http::Request::new(()).into_parts().0
    }

    fn ann() -> Identity {
        Identity::new(User::new("u_ann", "Ann").unwrap())
    }

    async fn only_over_http_2(parts: &Parts) -> Result<Identity, Unauthorized> {
        if parts.version == http::Version::HTTP_2 { Ok(ann()) } else { Err(Unauthorized) }
    }

    #[tokio::test]
    async fn an_async_function_names_who_a_request_is_from() {
        let mut request = parts();
        assert_eq!(only_over_http_2.authenticate(&request).await, Err(AuthError::Unauthorized(Unauthorized)));
        request.version = http::Version::HTTP_2;
        assert_eq!(only_over_http_2.authenticate(&request).await, Ok(ann()));
    }

    #[tokio::test]
    async fn a_closure_with_state_may_be_unable_to_tell() {
        let is_there = Arc::new(false);
        let waiting = move |_: &Parts| {
            let is_there = Arc::clone(&is_there);
            async move { if *is_there { Ok(ann()) } else { Err(AuthError::Unavailable) } }
        };
        assert_eq!(waiting.authenticate(&parts()).await, Err(AuthError::Unavailable));
        let at_hand = |_: &Parts| ready(Ok::<_, Unauthorized>(ann()));
        assert_eq!(at_hand.authenticate(&parts()).await, Ok(ann()));
    }
}
