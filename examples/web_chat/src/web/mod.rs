//! The app's own requests: signing in and out, the signed-in person, and what the owner of the service may do.

mod account;
mod answers;
mod channels;
mod cookies;
mod export;
mod links;
mod people;
mod route;
mod session;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chatcore::protocol::CloseReason;
use chatcore::{Chat, Clock, FailureLog, Identity, User, UserId};
use chatcore_hyper::web::{Origins, PerAddress};
use chatcore_hyper::{AuthError, Authenticator, Body, ClientAddress, Unauthorized};
use http::header::{HeaderValue, RETRY_AFTER};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::time::timeout;

pub(crate) use self::answers::{closing, refusal, too_many};
pub(crate) use self::cookies::Cookies;
use self::cookies::token;
pub(crate) use self::route::Route;
use crate::accounts::{Accounts, AccountsError, Ended, Known, Token};

/// A request that is answered, or refused.
type Answer = Result<Response<Body>, Refused>;

/// The answer to a request that is refused. Boxed, since a response is large.
struct Refused(Box<Response<Body>>);

impl From<Response<Body>> for Refused {
    fn from(response: Response<Body>) -> Self {
        Self(Box::new(response))
    }
}

/// The largest body of a request, in bytes.
const BODY_BYTES: usize = 4 << 10;

/// Knows who is signed in, and answers the app's own requests.
#[derive(Clone)]
pub(crate) struct Sessions {
    pub(crate) accounts: Accounts,
    pub(crate) cookies: Cookies,
    pub(crate) origins: Origins,
    /// The clock for the age of sign-ins.
    pub(crate) clock: Clock,
    /// The longest time to receive the body of a request.
    pub(crate) body_time: Duration,
    /// The allowance of sign-ins per address.
    pub(crate) sign_ins: Arc<PerAddress>,
    pub(crate) failures: FailureLog,
    /// The permit to export a channel.
    pub(crate) exports: Arc<Semaphore>,
}

/// A person who is signed in, with the token of the device.
struct Me {
    user: User,
    token: Token,
}

#[async_trait]
impl Authenticator for Sessions {
    async fn authenticate(&self, parts: &Parts) -> Result<Identity, AuthError> {
        let token = token(&parts.headers);
        match self.known(token.as_ref()).await {
            Ok(Some((user, token))) => Ok(Identity::new(user).session(token.session())),
            Ok(None) => Err(Unauthorized.into()),
            Err(error) => {
                self.failures.failed("sign-ins can't be checked", "", &error);
                Err(AuthError::Unavailable)
            }
        }
    }
}

impl Sessions {
    /// Answers a request to a route. Its host and origin have been checked.
    pub(crate) async fn answer<B>(&self, chat: &Chat, route: &Route, parts: &Parts, body: B) -> Response<Body>
    where
        B: http_body::Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let methods = route.methods();
        if let Some(response) = self.origins.preflight(parts, methods) {
            return response;
        }
        if !route.has(&parts.method) {
            return answers::method_not_allowed(methods);
        }
        let answer = match route {
            Route::Session => self.session(chat, parts, body).await,
            Route::Link => self.look_at_link(parts, body).await,
            Route::Account | Route::AccountLink | Route::Devices | Route::Device(_) => {
                self.account(chat, route, parts, body).await
            }
            _ => self.admin(chat, route, parts, body).await,
        };
        answer.unwrap_or_else(|Refused(response)| *response)
    }

    /// Returns whose device has this token, and stores from time to time that it was used.
    async fn known(&self, token: Option<&Token>) -> Result<Option<(User, Token)>, AccountsError> {
        let Some(token) = token else { return Ok(None) };
        let now = self.clock.now();
        let Some(known) = self.accounts.user(token, now).await? else { return Ok(None) };
        let failures = self.failures.clone();
        let failed = move |error: &AccountsError| {
            failures.failed("when a device was last used can't be stored", "", error);
        };
        self.accounts.touch(token, &known, now, failed);
        let Known { user, .. } = known;
        Ok(Some((user, token.clone())))
    }

    /// Returns who is signed in.
    async fn me(&self, parts: &Parts) -> Result<Me, Refused> {
        let known = self.known(token(&parts.headers).as_ref()).await;
        let known = known.map_err(|error| self.unavailable(&error))?;
        let (user, token) =
            known.ok_or_else(|| refusal(StatusCode::UNAUTHORIZED, "unauthorized", Unauthorized))?;
        Ok(Me { user, token })
    }

    async fn is_owner(&self, id: &UserId) -> Result<bool, Refused> {
        let owner = self.accounts.owner().await.map_err(|error| self.unavailable(&error))?;
        Ok(owner.as_ref() == Some(id))
    }

    /// Takes from the allowance of sign-ins.
    fn take_sign_in(&self, parts: &Parts) -> Result<(), Refused> {
        let address = parts.extensions.get::<ClientAddress>();
        Ok(address.map_or(Ok(()), |address| self.sign_ins.take(*address)).map_err(too_many)?)
    }

    /// Receives a body of JSON in the form `form`.
    async fn receive<T: DeserializeOwned, B>(&self, body: B, form: &str) -> Result<T, Refused>
    where
        B: http_body::Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let bad = || {
            answers::bad_frame(format!("the body must be JSON, {form}, of at most {} KiB", BODY_BYTES >> 10))
        };
        // If the announced length is too large, the body is not requested.
        if body.size_hint().lower() > BODY_BYTES as u64 {
            return Err(closing(bad()).into());
        }
        // Boxed to save stack space: the future is as large as the type of the body.
        let body = Box::pin(timeout(self.body_time, Limited::new(body, BODY_BYTES).collect()));
        let Ok(body) = body.await else {
            let why = format!("the body did not arrive within {} s", self.body_time.as_secs());
            return Err(closing(refusal(StatusCode::REQUEST_TIMEOUT, "timeout", why)).into());
        };
        let value = body.ok().and_then(|body| serde_json::from_slice(&body.to_bytes()).ok());
        Ok(value.ok_or_else(bad)?)
    }

    fn unavailable(&self, error: &AccountsError) -> Response<Body> {
        self.failures.failed("the names can't be read or written", "", error);
        let mut response = refusal(StatusCode::SERVICE_UNAVAILABLE, "unavailable", error);
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        response
    }

    /// Stores a user's name in the chat.
    async fn remember(&self, chat: &Chat, user: &User) -> Result<(), Refused> {
        let Err(error) = chat.remember_user(user).await else { return Ok(()) };
        self.failures.failed("a user's name can't be stored", format_args!("user {}", user.id), &error);
        Err(refusal(StatusCode::SERVICE_UNAVAILABLE, error.code().as_str(), error).into())
    }

    /// Returns whether the chat knows somebody with this id.
    async fn is_known(&self, chat: &Chat, id: &UserId) -> Result<bool, Refused> {
        let error = match chat.user(id).await {
            Ok(known) => return Ok(known.is_some()),
            Err(error) => error,
        };
        self.failures.failed("a new user's id can't be checked", format_args!("user {id}"), &error);
        Err(refusal(StatusCode::SERVICE_UNAVAILABLE, error.code().as_str(), error).into())
    }
}

/// Ends the sockets of sign-ins that have ended, at all nodes.
fn disconnect(chat: &Chat, ended: &[Ended]) {
    for Ended { user, session } in ended {
        chat.disconnect_session(user, session, CloseReason::SignedOut);
    }
}

/// Ends the sockets of people whose names are free, at all nodes.
fn disconnect_all(chat: &Chat, freed: &[UserId]) {
    for user in freed {
        chat.disconnect(user, CloseReason::SignedOut);
    }
}

/// Returns a value of the query, percent-decoded.
fn query_value<'a>(parts: &'a Parts, name: &str) -> Option<std::borrow::Cow<'a, str>> {
    let pairs = parts.uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    let mut values = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value);
    values.next().map(|value| percent_decode_str(value).decode_utf8_lossy())
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}
