//! `/admin`: what the owner of the service does for people.

use std::time::Duration;

use chatcore::protocol::CloseReason;
use chatcore::{Chat, UserId};
use http::request::Parts;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::account::{erasure_of, no_such_user};
use super::answers::{bad_frame, no_content, not_allowed, not_found, ok, refusal};
use super::links::Made;
use super::{Answer, Refused, Route, Sessions, disconnect, is_read, query_value};
use crate::accounts::{Hash, Invitation, Invited, Person, Removed};

/// The most people in an answer.
const PAGE: usize = 50;

/// The most names that one invitation allows, and the most days that it is valid.
const MOST_USES: u32 = 1_000;
const MOST_DAYS: u32 = 90;

#[derive(Deserialize)]
struct Invite {
    uses: u32,
    days: u32,
}

impl Sessions {
    pub(super) async fn admin<B>(&self, chat: &Chat, route: &Route, parts: &Parts, body: B) -> Answer
    where
        B: http_body::Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let me = self.me(parts).await?;
        if !self.is_owner(&me.user.id).await? {
            return Err(not_allowed("only the owner of the service may do this").into());
        }
        let known =
            |id: &Option<UserId>| -> Result<UserId, Refused> { Ok(id.clone().ok_or_else(no_such_user)?) };
        match route {
            Route::Person(id) if parts.method == Method::PATCH => self.rename(chat, &known(id)?, body).await,
            Route::Person(id) => self.remove(chat, parts, &known(id)?).await,
            Route::PersonDevices(id) => self.sign_out_person(chat, &known(id)?).await,
            Route::PersonLink(id) => self.make_link(parts, &known(id)?).await,
            Route::Invitations if is_read(&parts.method) => self.list_invitations().await,
            Route::Invitations => self.invite(parts, body).await,
            Route::Invitation(hash) => self.withdraw(hash.as_ref()).await,
            Route::Channels => self.list_channels(chat, &me.user.id, parts).await,
            Route::Channel(name) => self.archive(chat, &me.user, name.as_ref(), body).await,
            Route::Export(name) => self.export(chat, &me.user, parts, name.as_ref()).await,
            _ => self.list_people(parts).await,
        }
    }

    async fn list_people(&self, parts: &Parts) -> Answer {
        let name = query_value(parts, "name").unwrap_or_default();
        let after = query_value(parts, "after").unwrap_or_default();
        // One more, to know whether there are more.
        let people = self.accounts.people(&name, &after, PAGE + 1).await;
        let mut people = people.map_err(|error| self.unavailable(&error))?;
        let more = people.len() > PAGE;
        people.truncate(PAGE);
        let after = people.last().filter(|_| more).map(Person::sort_key);
        let owner = self.accounts.owner().await.map_err(|error| self.unavailable(&error))?;
        let listed: Vec<_> = people
            .iter()
            .map(|person| {
                json!({
                    "user": person.user,
                    "owner": owner.as_ref() == Some(&person.user.id),
                    "since": person.since,
                    "used": person.used,
                    "devices": person.devices.len(),
                })
            })
            .collect();
        Ok(ok(&json!({ "people": listed, "after": after })))
    }

    /// Removes a person, and erases them if the request says what becomes of their messages.
    async fn remove(&self, chat: &Chat, parts: &Parts, id: &UserId) -> Answer {
        if let Some(erasure) = erasure_of(parts)? {
            if self.is_owner(id).await? {
                return Err(not_allowed("the owner of the service can't be erased").into());
            }
            // Before the erasure, so that no device asks to come back, and only of somebody who is there.
            let ended = self.accounts.sign_out_others(id, None).await;
            let (_, ended) = ended.map_err(|error| self.unavailable(&error))?.ok_or_else(no_such_user)?;
            disconnect(chat, &ended);
            self.erase(chat, id, erasure).await?;
        }
        match self.accounts.remove(id).await.map_err(|error| self.unavailable(&error))? {
            Removed::Yes(user) => {
                chat.disconnect(&user.id, CloseReason::SignedOut);
                Ok(no_content())
            }
            Removed::Owner => Err(not_allowed("the owner of the service can't be removed").into()),
            Removed::NoSuchUser => Err(no_such_user().into()),
        }
    }

    /// Signs out all devices of somebody, except the owner's own one.
    async fn sign_out_person(&self, chat: &Chat, id: &UserId) -> Answer {
        let ended = self.accounts.sign_out_others(id, None).await;
        let (_, ended) = ended.map_err(|error| self.unavailable(&error))?.ok_or_else(no_such_user)?;
        disconnect(chat, &ended);
        Ok(no_content())
    }

    async fn list_invitations(&self) -> Answer {
        let invitations = self.accounts.invitations(self.clock.now()).await;
        let invitations = invitations.map_err(|error| self.unavailable(&error))?;
        let invitations: Vec<_> = invitations.iter().map(describe).collect();
        Ok(ok(&json!({ "invitations": invitations, "join": self.accounts.rules().join.as_str() })))
    }

    async fn invite<B>(&self, parts: &Parts, body: B) -> Answer
    where
        B: http_body::Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Invite { uses, days } = self.receive(body, r#"{"uses": 1, "days": 7}"#).await?;
        if !(1..=MOST_USES).contains(&uses) || !(1..=MOST_DAYS).contains(&days) {
            let why = format!("uses must be 1 to {MOST_USES}, and days 1 to {MOST_DAYS}");
            return Err(bad_frame(why).into());
        }
        let life = Duration::from_secs(u64::from(days) * 24 * 60 * 60);
        let invited = self.accounts.invite(uses, life, self.clock.now()).await;
        match invited.map_err(|error| self.unavailable(&error))? {
            Invited::Yes(code, invitation) => {
                let Made { link, url, qr } = self.made(parts, &code);
                let invitation = describe(&invitation);
                Ok(ok(&json!({ "link": link, "url": url, "qr": qr, "invitation": invitation })))
            }
            Invited::TooMany => {
                let why = "there are 100 invitations: withdraw one that is no longer needed";
                Err(refusal(StatusCode::CONFLICT, "too_many_invitations", why).into())
            }
        }
    }

    async fn withdraw(&self, hash: Option<&Hash>) -> Answer {
        let unknown = || not_found("there is no invitation with this id");
        let hash = hash.ok_or_else(unknown)?;
        let withdrawn = self.accounts.withdraw(hash).await.map_err(|error| self.unavailable(&error))?;
        if withdrawn { Ok(no_content()) } else { Err(unknown().into()) }
    }
}

fn describe(invitation: &Invitation) -> Value {
    let Invitation { hash, uses, since, expires } = invitation;
    json!({ "id": hash, "uses": uses, "since": since, "expires": expires })
}
