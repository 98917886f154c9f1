//! `/account`: the signed-in person's name and devices.

use chatcore::protocol::CloseReason;
use chatcore::{Chat, Erasure, UserId};
use chatcore_hyper::Body;
use http::request::Parts;
use http::{Method, Response, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::answers::{bad_frame, no_content, not_allowed, not_found, ok, refusal};
use super::links::Made;
use super::session::{display_name, name_taken};
use super::{Answer, Me, Refused, Route, Sessions, disconnect, disconnect_all, query_value};
use crate::accounts::{Hash, LINK_LIFE, Removed, Renamed};

#[derive(Deserialize)]
struct Rename {
    name: String,
}

impl Sessions {
    pub(super) async fn account<B>(&self, chat: &Chat, route: &Route, parts: &Parts, body: B) -> Answer
    where
        B: http_body::Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let me = self.me(parts).await?;
        match (route, &parts.method) {
            (Route::Account, &Method::PATCH) => {
                self.take_sign_in(parts)?;
                self.rename(chat, &me.user.id, body).await
            }
            (Route::Account, &Method::DELETE) => self.give_up(chat, parts, &me).await,
            (Route::AccountLink, _) => {
                self.take_sign_in(parts)?;
                self.make_link(parts, &me.user.id).await
            }
            (Route::Devices, _) => self.sign_out_others(chat, &me).await,
            (Route::Device(hash), _) => self.sign_out_device(chat, parts, &me, hash.as_ref()).await,
            _ => self.describe(&me).await,
        }
    }

    async fn describe(&self, me: &Me) -> Answer {
        let devices = self.accounts.devices(&me.user.id, self.clock.now()).await;
        let devices = devices.map_err(|error| self.unavailable(&error))?;
        let own = me.token.hash();
        let devices: Vec<_> = devices
            .iter()
            .map(|device| {
                json!({
                    "id": device.hash,
                    "name": device.name,
                    "since": device.since,
                    "used": device.used,
                    "current": device.hash == own,
                })
            })
            .collect();
        let is_owner = self.is_owner(&me.user.id).await?;
        Ok(ok(&json!({ "user": me.user, "owner": is_owner, "devices": devices })))
    }

    /// Gives a person another name, and tells the chat.
    pub(super) async fn rename<B>(&self, chat: &Chat, id: &UserId, body: B) -> Answer
    where
        B: http_body::Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Rename { name } = self.receive(body, r#"{"name": "…"}"#).await?;
        let renamed = self.accounts.rename(id, &display_name(&name)?, self.clock.now()).await;
        match renamed.map_err(|error| self.unavailable(&error))? {
            Renamed::Yes(user, freed) => {
                disconnect_all(chat, &freed);
                self.remember(chat, &user).await?;
                // A connection has the name that its person had when it was opened.
                chat.disconnect(id, CloseReason::Reconnect);
                Ok(ok(&json!({ "user": user })))
            }
            Renamed::NameTaken => Err(name_taken().into()),
            Renamed::NoSuchUser => Err(no_such_user().into()),
        }
    }

    /// Gives up a name, and erases its person if the request says what becomes of their messages.
    async fn give_up(&self, chat: &Chat, parts: &Parts, me: &Me) -> Answer {
        if let Some(erasure) = erasure_of(parts)? {
            if self.is_owner(&me.user.id).await? {
                return Err(not_allowed("the owner of the service can't be erased").into());
            }
            // The name is given up after it: until then, its person can ask again.
            self.erase(chat, &me.user.id, erasure).await?;
        }
        let removed = self.accounts.remove(&me.user.id).await.map_err(|error| self.unavailable(&error))?;
        if removed == Removed::Owner {
            return Err(not_allowed("the owner of the service can't give up the name").into());
        }
        chat.disconnect(&me.user.id, CloseReason::SignedOut);
        Ok(self.signed_out(parts))
    }

    /// Has the chat erase a person.
    pub(super) async fn erase(&self, chat: &Chat, id: &UserId, erasure: Erasure) -> Result<(), Refused> {
        let Err(error) = chat.erase_user(id, erasure).await else { return Ok(()) };
        self.failures.failed("a person can't be erased", format_args!("user {id}"), &error);
        Err(refusal(StatusCode::SERVICE_UNAVAILABLE, error.code().as_str(), error).into())
    }

    /// Makes a link that signs in another device.
    pub(super) async fn make_link(&self, parts: &Parts, id: &UserId) -> Answer {
        let made = self.accounts.make_link(id, self.clock.now()).await;
        let (user, code) = made.map_err(|error| self.unavailable(&error))?.ok_or_else(no_such_user)?;
        let Made { link, url, qr } = self.made(parts, &code);
        let seconds = LINK_LIFE.as_secs();
        Ok(ok(&json!({ "user": user, "link": link, "url": url, "qr": qr, "seconds": seconds })))
    }

    async fn sign_out_others(&self, chat: &Chat, me: &Me) -> Answer {
        let ended = self.accounts.sign_out_others(&me.user.id, Some(me.token.hash())).await;
        if let Some((_, ended)) = ended.map_err(|error| self.unavailable(&error))? {
            disconnect(chat, &ended);
        }
        Ok(no_content())
    }

    async fn sign_out_device(&self, chat: &Chat, parts: &Parts, me: &Me, hash: Option<&Hash>) -> Answer {
        let unknown = || not_found("you have no device with this id");
        let hash = hash.ok_or_else(unknown)?;
        let ended = self.accounts.sign_out_device(&me.user.id, hash).await;
        let ended = ended.map_err(|error| self.unavailable(&error))?.ok_or_else(unknown)?;
        disconnect(chat, &[ended]);
        Ok(if *hash == me.token.hash() { self.signed_out(parts) } else { no_content() })
    }
}

/// Returns what becomes of the messages of the person whom a request removes: the query's `messages`. `None` if they are
/// only removed.
pub(super) fn erasure_of(parts: &Parts) -> Result<Option<Erasure>, Refused> {
    match query_value(parts, "messages").as_deref() {
        None => Ok(None),
        Some("delete") => Ok(Some(Erasure::Tombstones)),
        Some("keep") => Ok(Some(Erasure::KeepTexts)),
        Some(_) => Err(bad_frame("messages must be delete or keep").into()),
    }
}

pub(super) fn no_such_user() -> Response<Body> {
    not_found("nobody has this id")
}
