//! The service: finds what a request is for, and which user it is from.

pub(crate) mod auth;
pub(crate) mod handshake;
pub(crate) mod ui;
pub(crate) mod upgrade;

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use chatcore::{Chat, ConnectError, User};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response};
use percent_encoding::percent_decode_str;

use crate::attachments::download::download;
use crate::attachments::upload::upload;
use crate::attachments::upload_body::UploadBody;
use crate::body::{Body, no_content};
use crate::error::HttpError;
use crate::files;
use crate::limits::addresses::Addresses;
use crate::limits::config::{Bounds, Config};
use crate::origins::Origins;
use crate::origins::origin::{InvalidOrigin, Origin};
use crate::service::auth::{AuthError, Authenticator};
use crate::service::ui::Ui;
use crate::service::upgrade::upgrade;

/// A chat over HTTP, as one [`tower_service::Service`]: the WebSocket, the attachments and the browser client.
///
/// It clones cheaply and serves any body type. So it can be mounted with hyper, axum's `nest_service` and tower
/// layers, with or without its [base](chatcore::Chat::base) before the path. It must run in a tokio runtime, on
/// HTTP/1.1 connections that are served with upgrades.
#[derive(Clone)]
pub struct ChatService {
    shared: Arc<Shared>,
}

struct Shared {
    chat: Chat,
    authenticator: Box<dyn Authenticator>,
    origins: Origins,
    ui: Ui,
    bounds: Arc<Bounds>,
    addresses: Arc<Addresses>,
}

/// Builds a [`ChatService`].
///
/// ```no_run
/// use std::time::Duration;
///
/// use chatcore::{Chat, MemoryStore};
/// use chatcore_hyper::http::request::Parts;
/// use chatcore_hyper::{ChatService, Config, Ui, Unauthorized};
///
/// # fn main() -> Result<(), chatcore_hyper::web::InvalidOrigin> {
/// let chat = Chat::builder(MemoryStore::new()).base("/chat").build();
/// let service = ChatService::builder(chat, async |_: &Parts| Err(Unauthorized))
///     .origin("https://chat.example")?
///     .allow_origin("https://app.example")?
///     .ui(Ui::dir("my-client"))
///     .config(Config::default().with_ping_interval(Duration::from_secs(10)))
///     .build();
/// # Ok(())
/// # }
/// ```
pub struct ChatServiceBuilder {
    shared: Shared,
}

impl ChatService {
    /// Serves `chat` to the users that `authenticator` accepts, with default settings.
    #[must_use]
    pub fn new(chat: Chat, authenticator: impl Authenticator) -> Self {
        Self::builder(chat, authenticator).build()
    }

    /// Returns a builder of a service.
    #[must_use]
    pub fn builder(chat: Chat, authenticator: impl Authenticator) -> ChatServiceBuilder {
        let shared = Shared {
            chat,
            authenticator: Box::new(authenticator),
            origins: Origins::new(),
            ui: Ui::default(),
            bounds: Arc::default(),
            addresses: Addresses::new(&Config::default()),
        };
        ChatServiceBuilder { shared }
    }

    /// Waits until no WebSocket of this service is open. By then each client has its last answers and the close frame, or is
    /// gone.
    ///
    /// Call it after [`Chat::drain`] and before the process ends, if the server is not [`serve`](crate::serve): other servers,
    /// such as axum's, forget a connection once it is a WebSocket. A client that does not read delays it, by up to twice
    /// [`Config::close_timeout`] after its commands are answered. Bound it with a time-out of your own.
    ///
    /// # Cancel safety
    /// The future can be dropped at any time, and changes nothing.
    ///
    /// ```
    /// use chatcore::{Chat, MemoryStore};
    /// use chatcore_hyper::{ChatService, Unauthorized};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let chat = Chat::builder(MemoryStore::new()).build();
    /// let service = ChatService::new(chat.clone(), async |_: &http::request::Parts| Err(Unauthorized));
    /// // Serve a clone of it, until the app is to stop. Then:
    /// chat.drain();
    /// service.closed().await;
    /// # }
    /// ```
    pub async fn closed(&self) {
        self.shared.addresses.sockets_closed().await;
    }
}

impl ChatServiceBuilder {
    /// Adds an origin at which browsers see the service, such as `https://chat.example`. Pages of it are the
    /// service's own, and `Host` must be one of these origins', an IP address or `localhost`. Without any, pages
    /// of the host that a request names are the service's own. [`Origins`] says when that is not enough.
    ///
    /// # Errors
    /// [`InvalidOrigin`] if `origin` is not exactly `http` or `https`, a host and optionally a port.
    pub fn origin(mut self, origin: &str) -> Result<Self, InvalidOrigin> {
        self.shared.origins = self.shared.origins.own(Origin::new(origin)?);
        Ok(self)
    }

    /// Allows pages of another origin, such as `https://app.example`: they may open the WebSocket, upload, and
    /// read every answer. A browser sends them a cookie of this host if the two are of one site
    /// (`chat.app.example` and `app.example`, or two ports of `localhost`) or if the cookie is `SameSite=None`.
    ///
    /// # Errors
    /// [`InvalidOrigin`] if `origin` is not exactly `http` or `https`, a host and optionally a port.
    pub fn allow_origin(mut self, origin: &str) -> Result<Self, InvalidOrigin> {
        self.shared.origins = self.shared.origins.allow(Origin::new(origin)?);
        Ok(self)
    }

    /// Sets all origins at once, for an app that checks its own routes with the same [`Origins`].
    #[must_use]
    pub fn origins(mut self, origins: Origins) -> Self {
        self.shared.origins = origins;
        self
    }

    /// Sets the browser client's files. The default is [`Ui::embedded`].
    #[must_use]
    pub fn ui(mut self, ui: Ui) -> Self {
        self.shared.ui = ui;
        self
    }

    /// Sets the time-outs of connections and uploads, and the limits per address.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.shared.addresses = Addresses::new(&config);
        self.shared.bounds = Arc::new(Bounds::new(config));
        self
    }

    /// Returns the service.
    #[must_use]
    pub fn build(self) -> ChatService {
        ChatService { shared: Arc::new(self.shared) }
    }
}

impl fmt::Debug for ChatService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatService").field("base", &self.shared.chat.base()).finish_non_exhaustive()
    }
}

impl fmt::Debug for ChatServiceBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatServiceBuilder").finish_non_exhaustive()
    }
}

impl<B> tower_service::Service<Request<B>> for ChatService
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        let shared = Arc::clone(&self.shared);
        ResponseFuture(Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let answer = shared.answer(&mut parts, body).await;
            let mut response = answer.unwrap_or_else(|error| shared.refuse(&parts.method, error));
            shared.origins.share(&parts.headers, &mut response);
            response
        }))
    }
}

/// The future of a [`ChatService`]'s answer.
pub struct ResponseFuture(Pin<Box<dyn Future<Output = Response<Body>> + Send>>);

impl Future for ResponseFuture {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(Ok)
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// The meaning of a path below the base, still percent-encoded.
#[derive(Debug, PartialEq, Eq)]
enum Route<'a> {
    Socket,
    Identity,
    Uploads { channel: &'a str },
    Attachment { id: &'a str },
    Ui { name: &'a str },
}

impl<'a> Route<'a> {
    fn of(path: &'a str) -> Option<Self> {
        let path = path.strip_prefix('/')?;
        if let Some((ui, name)) = path.split_once('/')
            && is(ui, "ui")
        {
            return Some(Self::Ui { name });
        }
        let mut parts = path.split('/');
        match [parts.next(), parts.next(), parts.next(), parts.next()] {
            [Some(ws), None, ..] if is(ws, "ws") => Some(Self::Socket),
            [Some(identity), None, ..] if is(identity, "identity") => Some(Self::Identity),
            [Some(channels), Some(channel), Some(attachments), None]
                if is(channels, "channels") && is(attachments, "attachments") =>
            {
                Some(Self::Uploads { channel })
            }
            // The name is for people and for saving the file. Only the id identifies it.
            [Some(attachments), Some(id), Some(name), None]
                if is(attachments, "attachments") && !name.is_empty() =>
            {
                Some(Self::Attachment { id })
            }
            _ => None,
        }
    }

    fn methods(&self) -> (&'static [Method], &'static str) {
        match self {
            Self::Identity | Self::Uploads { .. } => (&[Method::POST], "POST"),
            Self::Socket | Self::Attachment { .. } | Self::Ui { .. } => {
                (&[Method::GET, Method::HEAD], files::METHODS)
            }
        }
    }
}

/// Returns whether a part of a path, decoded, is `word`.
fn is(part: &str, word: &str) -> bool {
    percent_decode_str(part).eq(percent_decode_str(word))
}

/// Removes the base from a path. A path whose base the router has already removed stays as it is.
fn below<'a>(path: &'a str, base: &str) -> &'a str {
    let mut rest = path;
    for word in base.split('/').skip(1) {
        let after = rest.strip_prefix('/').unwrap_or_default();
        let (part, below) = after.split_at(after.find('/').unwrap_or(after.len()));
        if !is(part, word) {
            return path;
        }
        rest = below;
    }
    if rest.starts_with('/') { rest } else { path }
}

impl Shared {
    /// Tells the client what is wrong, and logs the cause if it is the server's.
    fn refuse(&self, method: &Method, error: HttpError) -> Response<Body> {
        if let Some(cause) = error.cause() {
            let kind = if *method == Method::POST { "an upload failed" } else { "a request failed" };
            self.chat.failures().failed(kind, "", cause);
        }
        error.into_response()
    }

    async fn answer<B>(&self, parts: &mut Parts, body: B) -> Result<Response<Body>, HttpError>
    where
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        // A refused request's body is not read.
        self.origins.check(parts).map_err(|error| HttpError::from(error).closing())?;
        self.addresses.request(parts).map_err(|error| HttpError::from(error).closing())?;
        let path = parts.uri.path().to_owned();
        // A question about the server as a whole, which has no answer: RFC 9110, section 9.3.7.
        if path == "*" && parts.method == Method::OPTIONS {
            return Ok(no_content());
        }
        let route = Route::of(below(&path, self.chat.base())).ok_or_else(HttpError::not_found)?;
        let (methods, allow) = route.methods();
        if let Some(response) = self.origins.preflight(parts, allow) {
            return Ok(response);
        }
        // Only the files know which of them exist: a path without one is 404 for any method.
        if !methods.contains(&parts.method) && !matches!(route, Route::Ui { .. }) {
            return Err(HttpError::method_not_allowed(allow));
        }
        match route {
            Route::Ui { name } => Ok(self.ui.answer(&parts.method, &parts.headers, name).await),
            Route::Socket => {
                self.origins.check_socket(parts)?;
                self.addresses.handshake(parts)?;
                let arrived = Instant::now();
                let identity = self.authenticator.authenticate(parts).await?.authenticated_at(arrived);
                let (chat, frame_bytes) = (self.chat.clone(), self.chat.limits().frame_bytes);
                let (bounds, failures) = (Arc::clone(&self.bounds), chat.failures().clone());
                let permit = self.addresses.socket(parts)?;
                upgrade(parts, frame_bytes, bounds, failures, permit, move |form| {
                    let connection = chat.open(identity).map_err(ConnectError::close_reason)?;
                    connection.set_form(form);
                    Ok(connection)
                })
            }
            Route::Identity => {
                self.addresses.handshake(parts)?;
                let user = match self.authenticator.authenticate(parts).await {
                    Ok(identity) => Some(identity.user),
                    Err(AuthError::Unauthorized(_)) => None,
                    Err(error) => return Err(error.into()),
                };
                Ok(identity_answer(user.as_ref()))
            }
            Route::Uploads { channel } => {
                let identity = self
                    .authenticator
                    .authenticate(parts)
                    .await
                    .map_err(|error| HttpError::from(error).closing())?;
                let channel = percent_decode_str(channel)
                    .decode_utf8()
                    .map_err(|_| HttpError::bad_name("the channel's name must be UTF-8").closing())?;
                let uploading = self.addresses.upload(parts).map_err(HttpError::closing)?;
                let body = UploadBody::new(body, Arc::clone(&self.bounds), uploading);
                upload(&self.chat, &identity, &channel, parts, body).await
            }
            Route::Attachment { id } => {
                let identity = self.authenticator.authenticate(parts).await?;
                let id = percent_decode_str(id).decode_utf8_lossy();
                download(&self.chat, &identity, &id, parts).await
            }
        }
    }
}

/// Returns which user a request is from, or `null` for a browser that the app does not know.
fn identity_answer(user: Option<&User>) -> Response<Body> {
    let body = serde_json::json!({ "user": user }).to_string();
    let mut response = Response::new(Body::from(Bytes::from(body)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_their_routes() {
        assert_eq!(Route::of("/ws"), Some(Route::Socket));
        assert_eq!(Route::of("/identity"), Some(Route::Identity));
        assert_eq!(Route::of("/channels/a%20b/attachments"), Some(Route::Uploads { channel: "a%20b" }));
        assert_eq!(Route::of("/attachments/a_1/x.png"), Some(Route::Attachment { id: "a_1" }));
        assert_eq!(Route::of("/%77s"), Some(Route::Socket), "decoded, once");
        assert_eq!(Route::of("/ui/core/chat-core.js"), Some(Route::Ui { name: "core/chat-core.js" }));
        for path in [
            "",
            "/",
            "/ws/",
            "/wss",
            "/attachments/a_1",
            "/attachments/a_1/",
            "/attachments/a/b/c",
            "/ui",
            "/channels/a/attachments/",
            "/channels/a%2fattachments",
            "/%2577s",
            "/ui%2fchat-core.js",
        ] {
            assert_eq!(Route::of(path), None, "{path}");
        }
    }

    #[test]
    fn the_base_may_be_there_or_be_stripped() {
        assert_eq!(below("/chat/ws", "/chat"), "/ws");
        assert_eq!(below("/ch%61t/ws", "/chat"), "/ws");
        assert_eq!(below("/a/b/ws", "/a/b"), "/ws");
        assert_eq!(below("/a%2fb/ws", "/a/b"), "/a%2fb/ws");
        assert_eq!(below("/chat", "/chat"), "/chat");
        assert_eq!(below("/ws", "/chat"), "/ws");
        assert_eq!(below("/chatter/ws", "/chat"), "/chatter/ws");
        assert_eq!(below("/ws", ""), "/ws");
    }
}
