//! `/session` and `/link`: sign-in with a name or a link, and sign-out.

use std::time::Duration;

use chatcore::Chat;
use chatcore::protocol::CloseReason;
use chatcore_hyper::Body;
use http::header::USER_AGENT;
use http::request::Parts;
use http::{Method, Response, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::answers::{bad_frame, clear_cache, no_content, not_found, ok, refusal};
use super::cookies::token;
use super::{Answer, Refused, Sessions, disconnect, disconnect_all, is_read};
use crate::accounts::{Arrival, Code, Entered, Hash, Kind, SignedIn, Token, device_name, random_id};
use crate::name::DisplayName;

/// How long a name can be given back without its cookie.
const RECEIPT_LIFE: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
struct SignIn {
    name: Option<String>,
    invitation: Option<String>,
    link: Option<String>,
}

#[derive(Deserialize)]
struct LookAt {
    link: String,
}

impl Sessions {
    pub(super) async fn session<B>(&self, chat: &Chat, parts: &Parts, body: B) -> Answer
    where
        B: http_body::Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let old = token(&parts.headers);
        match parts.method {
            Method::POST => {
                self.take_sign_in(parts)?;
                let form = r#"{"name": "…"}, {"name": "…", "invitation": "…"} or {"link": "…"}"#;
                let SignIn { name, invitation, link } = self.receive(body, form).await?;
                match (name, link) {
                    (Some(name), None) => {
                        self.sign_in(chat, parts, &name, invitation.as_deref(), old.as_ref()).await
                    }
                    (None, Some(link)) => self.enter(chat, parts, &link, old.as_ref()).await,
                    _ => Err(bad_frame(format!("the body must have a name or a link: {form}")).into()),
                }
            }
            Method::DELETE => match parts.uri.query().and_then(|query| query.strip_prefix("receipt=")) {
                Some(receipt) => self.give_back(chat, receipt).await,
                None => self.sign_out(chat, parts, old.as_ref()).await,
            },
            _ => {
                debug_assert!(is_read(&parts.method));
                let me = self.me(parts).await?;
                let mut response = ok(&json!(me.user));
                // The browser keeps the cookie for another year, and drops one of an earlier configuration.
                self.cookies.set(parts, &mut response, &me.token);
                Ok(response)
            }
        }
    }

    /// Says what a link is good for, and does not use it up.
    pub(super) async fn look_at_link<B>(&self, parts: &Parts, body: B) -> Answer
    where
        B: http_body::Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.take_sign_in(parts)?;
        let LookAt { link } = self.receive(body, r#"{"link": "…"}"#).await?;
        let code = Code::new(&link).ok_or_else(invalid_link)?;
        let kind = self.accounts.kind_of(&code, self.clock.now()).await;
        match kind.map_err(|error| self.unavailable(&error))? {
            Some(Kind::SignIn(user)) => Ok(ok(&json!({ "kind": "sign_in", "user": user }))),
            Some(Kind::Invitation) => Ok(ok(&json!({ "kind": "invitation" }))),
            None => Err(invalid_link().into()),
        }
    }

    async fn sign_in(
        &self,
        chat: &Chat,
        parts: &Parts,
        name: &str,
        invitation: Option<&str>,
        old: Option<&Token>,
    ) -> Answer {
        let name = display_name(name)?;
        // A browser that already has this very name keeps its user.
        match self.known(old).await.map_err(|error| self.unavailable(&error))? {
            Some((user, _)) if *user.name == *name.as_str() => return Ok(ok(&json!({ "user": user }))),
            _ => {}
        }
        let invitation = invitation.and_then(Code::new);
        let device = self.device(parts);
        let arrival = Arrival { device: &device, old, now: self.clock.now() };
        let id = random_id();
        // Somebody who has no account any more may have written under it.
        let taken = match self.is_known(chat, &id).await? {
            true => Ok(Entered::IdTaken),
            false => self.accounts.take(id, &name, invitation.as_ref(), arrival).await,
        };
        match taken.map_err(|error| self.unavailable(&error))? {
            Entered::Yes(signed_in) => self.signed_in(chat, parts, signed_in, old).await,
            Entered::NameTaken => Err(name_taken().into()),
            Entered::NotInvited => Err(refusal(
                StatusCode::FORBIDDEN,
                "not_invited",
                "a new name needs an invitation here, and this one is missing, used up or expired",
            )
            .into()),
            Entered::IdTaken => Err(refusal(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "the new person's id belongs to somebody: try again",
            )
            .into()),
            Entered::Full => {
                self.failures.limited("no more names can be taken", "see --names");
                Err(refusal(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "unavailable",
                    "this server has no room for more names",
                )
                .into())
            }
        }
    }

    async fn enter(&self, chat: &Chat, parts: &Parts, link: &str, old: Option<&Token>) -> Answer {
        let link = Code::new(link).ok_or_else(invalid_link)?;
        let device = self.device(parts);
        let arrival = Arrival { device: &device, old, now: self.clock.now() };
        let entered = self.accounts.enter(&link, arrival).await.map_err(|error| self.unavailable(&error))?;
        self.signed_in(chat, parts, entered.ok_or_else(invalid_link)?, old).await
    }

    async fn signed_in(
        &self,
        chat: &Chat,
        parts: &Parts,
        signed_in: SignedIn,
        old: Option<&Token>,
    ) -> Answer {
        let SignedIn { user, token, ended, freed } = signed_in;
        disconnect(chat, &ended);
        disconnect_all(chat, &freed);
        self.remember(chat, &user).await?;
        let mut response = ok(&json!({
            "user": user,
            "receipt": token.session().as_str(),
            "secure": self.cookies.is_secure(parts),
        }));
        self.cookies.set(parts, &mut response, &token);
        if old.is_some_and(|old| {
            ended.iter().any(|ended| ended.session == old.session() && ended.user != user.id)
        }) {
            clear_cache(&mut response);
        }
        Ok(response)
    }

    async fn sign_out(&self, chat: &Chat, parts: &Parts, token: Option<&Token>) -> Answer {
        if let Some(token) = token {
            let user = self.accounts.sign_out(&token.hash()).await;
            if let Some(user) = user.map_err(|error| self.unavailable(&error))? {
                chat.disconnect_session(&user.id, &token.session(), CloseReason::SignedOut);
            }
        }
        Ok(self.signed_out(parts))
    }

    /// Tells the browser that it is signed out.
    pub(super) fn signed_out(&self, parts: &Parts) -> Response<Body> {
        let mut response = no_content();
        self.cookies.remove(parts, &mut response);
        clear_cache(&mut response);
        response
    }

    /// Ends a sign-in whose browser rejected the cookie, by its receipt, and frees the name that it took.
    async fn give_back(&self, chat: &Chat, receipt: &str) -> Answer {
        let Some(hash) = Hash::new(receipt) else {
            let why = "invalid receipt: send the 64 hex digits from the answer to POST /session";
            return Err(bad_frame(why).into());
        };
        let user = self.accounts.give_back(&hash, self.clock.now().minus(RECEIPT_LIFE)).await;
        let Some(user) = user.map_err(|error| self.unavailable(&error))? else {
            let why = format!("nobody signed in with this receipt in the last {} s", RECEIPT_LIFE.as_secs());
            return Err(not_found(why).into());
        };
        chat.disconnect_session(&user.id, &hash.session(), CloseReason::SignedOut);
        Ok(no_content())
    }

    /// Returns what to call the device of a request.
    fn device(&self, parts: &Parts) -> String {
        device_name(parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default())
    }
}

/// Reads a name that somebody chose.
pub(super) fn display_name(name: &str) -> Result<DisplayName, Refused> {
    let name = DisplayName::new(name);
    Ok(name.map_err(|error| refusal(StatusCode::UNPROCESSABLE_ENTITY, "bad_name", error))?)
}

pub(super) fn name_taken() -> Response<Body> {
    refusal(StatusCode::CONFLICT, "name_taken", "this name is taken")
}

/// One answer for all links that are not valid, whatever the cause, so that nobody learns whether there was one.
fn invalid_link() -> Response<Body> {
    let why = "this link is not valid: it may be used, expired or replaced by a newer one";
    refusal(StatusCode::NOT_FOUND, "invalid_link", why)
}
