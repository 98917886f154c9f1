//! `/session`: signing in by a name, and out again.

use std::fmt::Display;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chatcore::protocol::CloseReason;
use chatcore::{Chat, Identity, Timestamp, User};
use chatcore_hyper::{AuthError, Authenticator, Body, Unauthorized, is_same_origin};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, COOKIE, HeaderValue, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use serde_json::json;

use crate::accounts::{Accounts, AccountsError, SignedIn, TOKEN_LIFE, Taken, Token};
use crate::name::DisplayName;

const COOKIE_NAME: &str = "chat_session";

/// Tells the page, which can't read the other, whether it is worth asking who is signed in.
const MARKER_COOKIE_NAME: &str = "chat_signed_in";

/// Bytes of a sign-in's body.
const BODY_BYTES: usize = 4 << 10;

/// Signs people in and out.
#[derive(Clone)]
pub(crate) struct Sessions {
    pub(crate) accounts: Arc<dyn Accounts>,
    pub(crate) secure_cookie: bool,
}

#[derive(Deserialize)]
struct SignIn {
    name: String,
}

#[async_trait]
impl Authenticator for Sessions {
    async fn authenticate(&self, parts: &Parts) -> Result<Identity, AuthError> {
        match self.user(token(&parts.headers).as_ref()).await {
            Ok(Some(user)) => Ok(Identity::new(user)),
            Ok(None) => Err(Unauthorized.into()),
            Err(_) => Err(AuthError::Unavailable),
        }
    }
}

impl Sessions {
    /// Answers a request to `/session`.
    pub(crate) async fn answer<B>(&self, chat: &Chat, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let changes = matches!(parts.method, Method::POST | Method::DELETE);
        if changes && !is_same_origin(&parts) {
            return refusal(StatusCode::FORBIDDEN, "not_allowed", "this origin may not use this host");
        }
        let token = token(&parts.headers);
        match parts.method {
            Method::GET => match self.user(token.as_ref()).await {
                Ok(Some(user)) => answer(StatusCode::OK, &json!(user)),
                Err(error) => unavailable(&error),
                Ok(None) => refusal(StatusCode::UNAUTHORIZED, "unauthorized", Unauthorized),
            },
            Method::POST => {
                // The future of a body is as large as the body's type: keep it off the caller's stack.
                let body = Box::pin(Limited::new(body, BODY_BYTES).collect()).await;
                let sign_in = body.ok().and_then(|body| serde_json::from_slice(&body.to_bytes()).ok());
                match sign_in {
                    Some(SignIn { name }) => self.sign_in(chat, &name, token.as_ref()).await,
                    None => {
                        let why = "the body is {\"name\": \"…\"} in JSON, of at most 4 KiB";
                        refusal(StatusCode::UNPROCESSABLE_ENTITY, "bad_frame", why)
                    }
                }
            }
            Method::DELETE => self.sign_out(chat, token.as_ref()).await,
            _ => {
                let why = "this path takes GET, POST, DELETE";
                let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", why);
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, POST, DELETE"));
                response
            }
        }
    }

    async fn user(&self, token: Option<&Token>) -> Result<Option<User>, AccountsError> {
        match token {
            Some(token) => self.accounts.user(token, Timestamp::now()).await,
            None => Ok(None),
        }
    }

    async fn sign_in(&self, chat: &Chat, name: &str, old: Option<&Token>) -> Response<Body> {
        let name = match DisplayName::new(name) {
            Ok(name) => name,
            Err(error) => return refusal(StatusCode::UNPROCESSABLE_ENTITY, "bad_name", error),
        };
        // Who is signed in under this very name already stays who they are.
        match self.user(old).await {
            Ok(Some(user)) if *user.name == *name.as_str() => {
                return answer(StatusCode::OK, &json!({ "user": user }));
            }
            Ok(_) => {}
            Err(error) => return unavailable(&error),
        }
        match self.accounts.take(&name, old, Timestamp::now()).await {
            Ok(Taken::Yes(SignedIn { user, token, replaced })) => {
                if let Some(before) = replaced {
                    chat.disconnect(&before.id, CloseReason::SignedOut);
                }
                if let Err(error) = chat.remember_user(&user).await {
                    return refusal(StatusCode::SERVICE_UNAVAILABLE, error.code().as_str(), error);
                }
                let mut response = answer(StatusCode::OK, &json!({ "user": user }));
                self.set_cookies(&mut response, token.as_str(), TOKEN_LIFE.as_secs());
                response
            }
            Ok(Taken::No) => refusal(StatusCode::CONFLICT, "name_taken", "this name is taken"),
            Ok(Taken::Full) => {
                refusal(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "there is no room for more names")
            }
            Err(error) => unavailable(&error),
        }
    }

    async fn sign_out(&self, chat: &Chat, token: Option<&Token>) -> Response<Body> {
        if let Some(token) = token {
            match self.accounts.revoke(token).await {
                Ok(Some(user)) => chat.disconnect(&user.id, CloseReason::SignedOut),
                Ok(None) => {}
                Err(error) => return unavailable(&error),
            }
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        self.set_cookies(&mut response, "", 0);
        response
    }

    fn set_cookies(&self, response: &mut Response<Body>, value: &str, seconds: u64) {
        let secure = if self.secure_cookie { "; Secure" } else { "" };
        let common = format!("Path=/; Max-Age={seconds}; SameSite=Lax{secure}");
        for cookie in [
            format!("{COOKIE_NAME}={value}; {common}; HttpOnly"),
            format!("{MARKER_COOKIE_NAME}=1; {common}"),
        ] {
            let cookie = HeaderValue::try_from(cookie).expect("invariant: a token is hex");
            response.headers_mut().append(SET_COOKIE, cookie);
        }
    }
}

/// Returns the token in a request's cookies.
fn token(headers: &HeaderMap) -> Option<Token> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE_NAME).and_then(|(_, value)| Token::new(value))
}

fn answer(status: StatusCode, body: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn refusal(status: StatusCode, code: &str, why: impl Display) -> Response<Body> {
    answer(status, &json!({ "code": code, "message": why.to_string() }))
}

fn unavailable(error: &AccountsError) -> Response<Body> {
    refusal(StatusCode::SERVICE_UNAVAILABLE, "unavailable", error)
}
