//! `/session`: sign-in with a name, and sign-out.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chatcore::protocol::CloseReason;
use chatcore::{Chat, Clock, FailureLog, Identity, SessionId, User};
use chatcore_hyper::web::{Origins, PerAddress, TooManyRequests, cookie};
use chatcore_hyper::{AuthError, Authenticator, Body, ClientAddress, Unauthorized};
use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, SET_COOKIE,
};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;

use crate::accounts::{Accounts, AccountsError, SignedIn, TOKEN_LIFE, Taken, Token};
use crate::name::DisplayName;

/// The name of the sign-in cookie over HTTPS. No other host can set it.
const SECURE_COOKIE_NAME: &str = "__Host-chat_session";

/// The name of the sign-in cookie without TLS.
const COOKIE_NAME: &str = "chat_session";

const METHODS: &str = "GET, HEAD, POST, DELETE";

/// The value of the header `Allow`.
const ALLOWED: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, DELETE, OPTIONS");

/// Tells the page, which can't read the sign-in cookie, whether to request the current user.
const MARKER_COOKIE_NAME: &str = "chat_signed_in";

/// How long a name can be given back without its cookie.
const RECEIPT_LIFE: Duration = Duration::from_secs(60);

/// The largest body of a sign-in, in bytes.
const BODY_BYTES: usize = 4 << 10;

/// Handles sign-ins and sign-outs.
#[derive(Clone)]
pub(crate) struct Sessions {
    pub(crate) accounts: Arc<dyn Accounts>,
    /// Whether to send the cookie over HTTPS only, for requests of every origin.
    pub(crate) secure_cookie: bool,
    pub(crate) origins: Origins,
    /// The clock for the age of tokens.
    pub(crate) clock: Clock,
    /// The longest time to receive the body of a sign-in.
    pub(crate) body_time: Duration,
    /// The allowance of sign-ins per address.
    pub(crate) sign_ins: Arc<PerAddress>,
    pub(crate) failures: FailureLog,
}

#[derive(Deserialize)]
struct SignIn {
    name: String,
}

#[async_trait]
impl Authenticator for Sessions {
    async fn authenticate(&self, parts: &Parts) -> Result<Identity, AuthError> {
        let token = token(&parts.headers);
        match self.user(token.as_ref()).await {
            Ok(Some(user)) => {
                let identity = Identity::new(user);
                Ok(match token {
                    Some(token) => identity.session(token.session()),
                    None => identity,
                })
            }
            Ok(None) => Err(Unauthorized.into()),
            Err(error) => {
                self.failures.failed("sign-ins can't be checked", "", &error);
                Err(AuthError::Unavailable)
            }
        }
    }
}

impl Sessions {
    /// Answers a request to `/session`. Its host and origin have been checked.
    pub(crate) async fn answer<B>(&self, chat: &Chat, parts: &Parts, body: B) -> Response<Body>
    where
        B: http_body::Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if let Some(response) = self.origins.preflight(parts, METHODS) {
            return response;
        }
        let token = token(&parts.headers);
        match parts.method {
            Method::GET | Method::HEAD => match self.user(token.as_ref()).await {
                Ok(Some(user)) => {
                    let mut response = answer(StatusCode::OK, &json!(user));
                    if let Some(token) = token.filter(|_| self.has_older_cookie(parts)) {
                        self.set_cookies(parts, &mut response, token.as_str(), TOKEN_LIFE.as_secs());
                    }
                    response
                }
                Err(error) => self.unavailable(&error),
                Ok(None) => refusal(StatusCode::UNAUTHORIZED, "unauthorized", Unauthorized),
            },
            Method::POST => {
                let address = parts.extensions.get::<ClientAddress>();
                if let Err(error) = address.map_or(Ok(()), |address| self.sign_ins.take(*address)) {
                    return too_many(error);
                }
                let bad = || {
                    let why = "the body must be JSON, {\"name\": \"…\"}, of at most 4 KiB";
                    refusal(StatusCode::UNPROCESSABLE_ENTITY, "bad_frame", why)
                };
                // If the announced length is too large, the body is not requested.
                if body.size_hint().lower() > BODY_BYTES as u64 {
                    return closing(bad());
                }
                // Boxed to save stack space: the future is as large as the type of the body.
                let body = Box::pin(timeout(self.body_time, Limited::new(body, BODY_BYTES).collect()));
                let Ok(body) = body.await else {
                    let why = format!("the body did not arrive within {} s", self.body_time.as_secs());
                    return closing(refusal(StatusCode::REQUEST_TIMEOUT, "timeout", why));
                };
                let sign_in = body.ok().and_then(|body| serde_json::from_slice(&body.to_bytes()).ok());
                match sign_in {
                    Some(SignIn { name }) => self.sign_in(chat, parts, &name, token.as_ref()).await,
                    None => bad(),
                }
            }
            Method::DELETE => match parts.uri.query().and_then(|query| query.strip_prefix("receipt=")) {
                Some(receipt) => self.give_back(chat, receipt).await,
                None => self.sign_out(chat, parts, token.as_ref()).await,
            },
            _ => {
                let why = format!("this path supports only {METHODS}");
                let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", why);
                response.headers_mut().insert(ALLOW, ALLOWED);
                response
            }
        }
    }

    async fn user(&self, token: Option<&Token>) -> Result<Option<User>, AccountsError> {
        match token {
            Some(token) => self.accounts.user(token, self.clock.now()).await,
            None => Ok(None),
        }
    }

    async fn sign_in(&self, chat: &Chat, parts: &Parts, name: &str, old: Option<&Token>) -> Response<Body> {
        let name = match DisplayName::new(name) {
            Ok(name) => name,
            Err(error) => return refusal(StatusCode::UNPROCESSABLE_ENTITY, "bad_name", error),
        };
        // A browser that already has this very name keeps its user.
        match self.user(old).await {
            Ok(Some(user)) if *user.name == *name.as_str() => {
                return answer(StatusCode::OK, &json!({ "user": user }));
            }
            Ok(_) => {}
            Err(error) => return self.unavailable(&error),
        }
        match self.accounts.take(&name, old, self.clock.now()).await {
            Ok(Taken::Yes(SignedIn { user, token, replaced })) => {
                let replaced = replaced.zip(old);
                if let Some((before, old)) = &replaced {
                    chat.disconnect_session(&before.id, &old.session(), CloseReason::SignedOut);
                }
                if let Err(error) = chat.remember_user(&user).await {
                    self.failures.failed(
                        "a new user can't be stored",
                        format_args!("user {}", user.id),
                        &error,
                    );
                    return refusal(StatusCode::SERVICE_UNAVAILABLE, error.code().as_str(), error);
                }
                let body = json!({
                    "user": user,
                    "receipt": token.session().as_str(),
                    "secure": self.is_secure(parts),
                });
                let mut response = answer(StatusCode::OK, &body);
                self.set_cookies(parts, &mut response, token.as_str(), TOKEN_LIFE.as_secs());
                if replaced.is_some() {
                    clear_cache(&mut response);
                }
                response
            }
            Ok(Taken::No) => refusal(StatusCode::CONFLICT, "name_taken", "this name is taken"),
            Ok(Taken::Full) => {
                self.failures.limited("no more names can be taken", "see --names");
                refusal(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "unavailable",
                    "this server has no room for more names",
                )
            }
            Err(error) => self.unavailable(&error),
        }
    }

    fn unavailable(&self, error: &AccountsError) -> Response<Body> {
        self.failures.failed("the names can't be read or written", "", error);
        let mut response = refusal(StatusCode::SERVICE_UNAVAILABLE, "unavailable", error);
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        response
    }

    async fn sign_out(&self, chat: &Chat, parts: &Parts, token: Option<&Token>) -> Response<Body> {
        if let Some(token) = token {
            match self.accounts.revoke(token).await {
                Ok(Some(user)) => {
                    chat.disconnect_session(&user.id, &token.session(), CloseReason::SignedOut);
                }
                Ok(None) => {}
                Err(error) => return self.unavailable(&error),
            }
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        self.set_cookies(parts, &mut response, "", 0);
        clear_cache(&mut response);
        response
    }

    /// Frees a name whose browser rejected the cookie, by the receipt of the sign-in.
    async fn give_back(&self, chat: &Chat, receipt: &str) -> Response<Body> {
        let Some(hash) = hash_of(receipt) else {
            let why = "invalid receipt: send the 64 hex digits from the answer to POST /session";
            return refusal(StatusCode::UNPROCESSABLE_ENTITY, "bad_frame", why);
        };
        match self.accounts.give_back(&hash, self.clock.now().minus(RECEIPT_LIFE)).await {
            Ok(Some(user)) => {
                let session = SessionId::new(receipt).expect("invariant: 64 hex digits make an id");
                chat.disconnect_session(&user.id, &session, CloseReason::SignedOut);
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::NO_CONTENT;
                response
            }
            Ok(None) => {
                let why =
                    format!("no name was taken with this receipt in the last {} s", RECEIPT_LIFE.as_secs());
                refusal(StatusCode::NOT_FOUND, "not_found", why)
            }
            Err(error) => self.unavailable(&error),
        }
    }

    /// Sets the cookies for the scheme of the request and removes those of the other scheme, since two different
    /// cookies count as none.
    fn set_cookies(&self, parts: &Parts, response: &mut Response<Body>, value: &str, seconds: u64) {
        let secure = self.is_secure(parts);
        let (name, other) =
            if secure { (SECURE_COOKIE_NAME, COOKIE_NAME) } else { (COOKIE_NAME, SECURE_COOKIE_NAME) };
        let attribute = |name: &str| if secure || name == SECURE_COOKIE_NAME { "; Secure" } else { "" };
        let mut set = |name: &str, value: &str, seconds: u64, more: &str| {
            let secure = attribute(name);
            let cookie = format!("{name}={value}; Path=/; Max-Age={seconds}; SameSite=Lax{secure}{more}");
            let cookie = HeaderValue::try_from(cookie).expect("invariant: a token is hex");
            response.headers_mut().append(SET_COOKIE, cookie);
        };
        set(name, value, seconds, "; HttpOnly");
        set(MARKER_COOKIE_NAME, "1", seconds, "");
        // Over HTTP, a browser accepts the removal of the secure cookie from localhost only.
        if secure || cookie(&parts.headers, &[SECURE_COOKIE_NAME]).is_some() {
            set(other, "", 0, "; HttpOnly");
        }
    }

    fn is_secure(&self, parts: &Parts) -> bool {
        self.secure_cookie || self.origins.is_https(parts)
    }

    /// Returns whether the browser signed in before the service was configured for HTTPS.
    fn has_older_cookie(&self, parts: &Parts) -> bool {
        self.is_secure(parts) && cookie(&parts.headers, &[COOKIE_NAME]).is_some()
    }
}

/// Makes the browser clear its cache, so that the next user of the browser finds no files. Browsers do this over
/// HTTPS and on localhost. The page removes its own storage, which may include unsent messages.
fn clear_cache(response: &mut Response<Body>) {
    let header = HeaderName::from_static("clear-site-data");
    response.headers_mut().insert(header, HeaderValue::from_static("\"cache\""));
}

/// Returns the hash in a receipt, which must be in lower case.
fn hash_of(receipt: &str) -> Option<[u8; 32]> {
    let is_hex = |b: u8| b.is_ascii_digit() || matches!(b, b'a'..=b'f');
    if receipt.len() != 64 || !receipt.bytes().all(is_hex) {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, digits) in hash.iter_mut().zip(receipt.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(hash)
}

/// Returns the token in the cookies of a request.
fn token(headers: &HeaderMap) -> Option<Token> {
    cookie(headers, &[SECURE_COOKIE_NAME, COOKIE_NAME]).and_then(Token::new)
}

fn answer(status: StatusCode, body: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub(crate) fn refusal(status: StatusCode, code: &str, why: impl Display) -> Response<Body> {
    answer(status, &json!({ "code": code, "message": why.to_string() }))
}

/// Answers an address that has used up its allowance.
pub(crate) fn too_many(error: TooManyRequests) -> Response<Body> {
    let mut response = closing(refusal(StatusCode::TOO_MANY_REQUESTS, "rate_limited", error));
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(error.retry_after()));
    response
}

/// Closes the connection after the response: the rest of the request's body is not read.
fn closing(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
