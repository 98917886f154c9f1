//! `/admin/channels`: what the owner of the service does with channels.

use std::sync::Arc;

use chatcore::{ChannelName, Chat, ErrorCode, Seq, UserId};
use chatcore_hyper::Body;
use futures::stream::{self, StreamExt};
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use serde_json::json;

use super::answers::{bad_frame, not_found, ok, refusal};
use super::export::{Format, export};
use super::{Answer, Refused, Sessions, query_value};

impl Sessions {
    pub(super) async fn list_channels(&self, chat: &Chat, owner: &UserId, parts: &Parts) -> Answer {
        let after = query_value(parts, "after").filter(|after| !after.is_empty());
        let named = |after: &str| ChannelName::new(after).map_err(|_| Refused::from(no_such_channel()));
        let after = after.as_deref().map(named).transpose()?;
        let page = chat.channels_of(owner, after.as_ref()).await.map_err(|error| self.failed(&error))?;
        let channels: Vec<_> = page
            .channels
            .iter()
            .map(|channel| {
                json!({
                    "name": channel.name,
                    "topic": channel.topic,
                    "created_at": channel.created_at,
                    "created_by": channel.created_by,
                    "head": channel.head,
                })
            })
            .collect();
        Ok(ok(&json!({ "channels": channels, "after": page.after })))
    }

    /// Sends a whole channel as a file. One export runs at a time.
    pub(super) async fn export(&self, chat: &Chat, parts: &Parts, name: Option<&ChannelName>) -> Answer {
        let name = name.ok_or_else(no_such_channel)?;
        let format = match query_value(parts, "format").as_deref() {
            None | Some("json") => Format::Json,
            Some("markdown") => Format::Markdown,
            Some(_) => return Err(bad_frame("the format must be json or markdown").into()),
        };
        let newest = chat.history(name, Seq::MAX, 1).await;
        let newest = newest.map_err(|error| self.failed(&error))?.messages.pop();
        let Ok(permit) = Arc::clone(&self.exports).try_acquire_owned() else {
            let why = "another export is running; try again when it is done";
            let mut response = refusal(StatusCode::TOO_MANY_REQUESTS, "rate_limited", why);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
            return Err(response.into());
        };
        let body = match parts.method {
            Method::HEAD => Body::chunks(stream::empty().boxed()),
            _ => Body::chunks(export(
                chat.clone(),
                name.clone(),
                newest.map_or(0, |message| message.seq),
                format,
                permit,
            )),
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
        self.failures.failed("the channels can't be read", "", error);
        refusal(StatusCode::SERVICE_UNAVAILABLE, error.code().as_str(), error)
    }
}

fn no_such_channel() -> Response<Body> {
    not_found("there is no channel with this name")
}
