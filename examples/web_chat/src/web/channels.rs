//! `/admin/channels`: what the owner of the service does with channels. A private channel that the owner is not in
//! stays as hidden from them as from anybody else.

use std::sync::Arc;

use chatcore::store::ChannelInfo;
use chatcore::{ChannelKind, ChannelName, Chat, ErrorCode, Seq, User, UserId};
use chatcore_hyper::Body;
use futures::stream::{self, StreamExt};
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::answers::{bad_frame, not_allowed, not_found, ok, refusal};
use super::export::{Format, export};
use super::{Answer, Refused, Sessions, query_value};

#[derive(Deserialize)]
struct Archive {
    archived: bool,
}

impl Sessions {
    pub(super) async fn list_channels(&self, chat: &Chat, owner: &UserId, parts: &Parts) -> Answer {
        let after = query_value(parts, "after").filter(|after| !after.is_empty());
        let named = |after: &str| ChannelName::new(after).map_err(|_| Refused::from(no_such_channel()));
        let after = after.as_deref().map(named).transpose()?;
        let page = chat.channels_of(owner, after.as_ref()).await.map_err(|error| self.failed(&error))?;
        let channels: Vec<_> = page
            .channels
            .iter()
            .filter(|channel| channel.kind != ChannelKind::Direct)
            .map(|channel| {
                json!({
                    "name": channel.name,
                    "title": channel.title,
                    "topic": channel.topic,
                    "kind": channel.kind,
                    "archived": channel.archived,
                    "created_at": channel.created_at,
                    "created_by": channel.created_by,
                    "head": channel.head,
                })
            })
            .collect();
        Ok(ok(&json!({ "channels": channels, "after": page.after })))
    }

    /// Archives a channel, or brings it back.
    pub(super) async fn archive<B>(
        &self,
        chat: &Chat,
        owner: &User,
        name: Option<&ChannelName>,
        body: B,
    ) -> Answer
    where
        B: http_body::Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Archive { archived } = self.receive(body, r#"{"archived": true}"#).await?;
        let channel = self.visible(chat, owner, name).await?;
        let seq = chat.archive(owner, &channel.name, archived).await.map_err(|error| self.failed(&error))?;
        Ok(ok(&json!({ "name": channel.name, "archived": archived, "seq": seq })))
    }

    /// Returns a channel that the owner may read.
    async fn visible(
        &self,
        chat: &Chat,
        owner: &User,
        name: Option<&ChannelName>,
    ) -> Result<ChannelInfo, Refused> {
        let name = name.ok_or_else(no_such_channel)?;
        let is_visible = chat.is_visible_to(name, &owner.id).await.map_err(|error| self.failed(&error))?;
        let channel = chat.channel(name).await.map_err(|error| self.failed(&error))?;
        Ok(channel.filter(|_| is_visible).ok_or_else(no_such_channel)?)
    }

    /// Sends a whole channel as a file. One export runs at a time.
    pub(super) async fn export(
        &self,
        chat: &Chat,
        owner: &User,
        parts: &Parts,
        name: Option<&ChannelName>,
    ) -> Answer {
        let format = match query_value(parts, "format").as_deref() {
            None | Some("json") => Format::Json,
            Some("markdown") => Format::Markdown,
            Some(_) => return Err(bad_frame("the format must be json or markdown").into()),
        };
        let channel = self.visible(chat, owner, name).await?;
        let newest = chat.history(&channel.name, Seq::MAX, 1).await;
        let newest = newest.map_err(|error| self.failed(&error))?.messages.pop();
        let Ok(permit) = Arc::clone(&self.exports).try_acquire_owned() else {
            let why = "another export is running; try again when it is done";
            let mut response = refusal(StatusCode::TOO_MANY_REQUESTS, "rate_limited", why);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
            return Err(response.into());
        };
        let body = match parts.method {
            Method::HEAD => Body::chunks(stream::empty().boxed()),
            _ => {
                let last = newest.map_or(0, |message| message.seq);
                Body::chunks(export(chat.clone(), &channel, last, format, permit))
            }
        };
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
        headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }

    fn failed(&self, error: &chatcore::Error) -> Response<Body> {
        if error.code() == ErrorCode::NoSuchChannel {
            return no_such_channel();
        }
        if error.code() == ErrorCode::NotAllowed {
            return not_allowed("a direct channel can't be archived");
        }
        self.failures.failed("the channels can't be read or changed", "", error);
        refusal(StatusCode::SERVICE_UNAVAILABLE, error.code().as_str(), error)
    }
}

fn no_such_channel() -> Response<Body> {
    not_found("there is no channel with this name")
}
