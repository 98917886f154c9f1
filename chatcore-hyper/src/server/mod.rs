//! A small server for HTTP/1.1 with upgrades, for an app without one of its own.

pub(crate) mod config;
pub(crate) mod tcp;

use std::error::Error;
use std::fmt;
use std::future::{Future, IntoFuture, Pending, pending};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use chatcore::FailureLog;
use futures::future::BoxFuture;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::limits::address::ClientAddress;
use crate::limits::permits::{Permit, Permits};
use crate::server::config::ServerConfig;
use crate::server::tcp::TcpConnection;

/// Bytes of a connection that are read ahead. hyper's default is 400 KiB.
const READ_AHEAD: usize = 16 * 1024;

/// Serves `service` on `listener` when the result is awaited: HTTP/1.1 with upgrades, within the limits of a
/// [`ServerConfig`].
///
/// # Errors
/// If accepting connections fails for good. Temporary failures, such as too many open files, are retried.
///
/// # Cancel safety
/// Dropping the future closes every connection that is not a WebSocket.
///
/// ```no_run
/// use chatcore::{Chat, MemoryStore};
/// use chatcore_hyper::{ChatService, Unauthorized, serve};
/// # async fn example() -> std::io::Result<()> {
/// let chat = Chat::builder(MemoryStore::new()).build();
/// let service = ChatService::new(chat.clone(), async |_: &http::request::Parts| Err(Unauthorized));
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
/// serve(listener, service)
///     .with_graceful_shutdown(async move {
///         let _ = tokio::signal::ctrl_c().await;
///         chat.drain();
///     })
///     .await
/// # }
/// ```
pub fn serve<S>(listener: TcpListener, service: S) -> Serve<S> {
    Serve { listener, service, config: ServerConfig::default(), shutdown: pending() }
}

/// A server that [`serve`] returns. To run it, await it, or spawn its [`into_future`](IntoFuture::into_future).
#[must_use = "a server does nothing unless it is awaited"]
pub struct Serve<S, F = Pending<()>> {
    listener: TcpListener,
    service: S,
    config: ServerConfig,
    shutdown: F,
}

impl<S, F> Serve<S, F> {
    /// Sets the server's limits.
    pub fn with_config(mut self, config: ServerConfig) -> Self {
        self.config = config;
        self
    }

    /// Stops the server when `shutdown` is done. Without this it never stops.
    ///
    /// Drain the chat in `shutdown`, which closes its WebSockets with 1001: `async move { signal.await;
    /// chat.drain() }`. Then nothing new is accepted, and requests in progress have
    /// [`grace`](ServerConfig#structfield.grace) to end.
    pub fn with_graceful_shutdown<G>(self, shutdown: G) -> Serve<S, G>
    where
        G: Future<Output = ()> + Send + 'static,
    {
        let Self { listener, service, config, .. } = self;
        Serve { listener, service, config, shutdown }
    }
}

impl<S, F> fmt::Debug for Serve<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve")
            .field("listener", &self.listener)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl<S, B, F> IntoFuture for Serve<S, F>
where
    S: tower_service::Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
    F: Future<Output = ()> + Send + 'static,
{
    type Output = io::Result<()>;
    type IntoFuture = BoxFuture<'static, io::Result<()>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { listener, service, config, shutdown } = self;
            let permits = Permits::new(config.connections, config.connections_per_address);
            // True once the shutdown began. Dropping the sender ends every connection at once.
            let (closing, _) = watch::channel(false);
            let failures = FailureLog::new();
            let mut shutdown = pin!(shutdown);
            loop {
                let (tcp, address, permit) = tokio::select! {
                    () = &mut shutdown => break,
                    accepted = accept(&listener, &permits, &failures) => accepted?,
                };
                config.bound(&tcp, permits.held());
                let io = TcpConnection::new(tcp, config.least_rate(), config.reset, permit);
                let service =
                    Addressed { service: service.clone(), address, proxies: config.trust_forwarded };
                spawn(&config, io, service, closing.subscribe(), failures.clone());
            }
            drop(listener);
            closing.send_replace(true);
            // A connection gives its permit back when it is closed, as HTTP or as a WebSocket.
            if tokio::time::timeout(config.grace, permits.empty()).await.is_err() {
                let open = permits.held();
                tracing::warn!(open, "connections were still open at the end of the grace period");
            }
            Ok(())
        })
    }
}

/// Serves one connection in its own task.
fn spawn<S, B>(
    config: &ServerConfig,
    io: TcpConnection,
    service: S,
    mut closing: watch::Receiver<bool>,
    failures: FailureLog,
) where
    S: tower_service::Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(config.header_timeout)
        .max_header_size(config.header_bytes)
        .max_buf_size(READ_AHEAD.max(config.header_bytes));
    let connection =
        http.serve_connection(TokioIo::new(io), TowerToHyperService::new(service)).with_upgrades();
    tokio::spawn(async move {
        let mut connection = pin!(connection);
        loop {
            tokio::select! {
                served = &mut connection => {
                    match served {
                        Err(error) if error.is_parse() => {
                            failures.misused("a client sent an invalid HTTP request", error);
                        }
                        // The client went away, or was too slow.
                        Err(error) => tracing::debug!(%error, "a connection failed"),
                        Ok(()) => {}
                    }
                    return;
                }
                changed = closing.changed() => match changed {
                    Ok(()) => connection.as_mut().graceful_shutdown(),
                    Err(_) => return,
                },
            }
        }
    });
}

/// A service that adds the client's address to each request.
#[derive(Clone)]
struct Addressed<S> {
    service: S,
    address: ClientAddress,
    proxies: usize,
}

impl<S, B> tower_service::Service<Request<B>> for Addressed<S>
where
    S: tower_service::Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        let address = self.address.behind(request.headers(), self.proxies);
        request.extensions_mut().insert(address);
        self.service.call(request)
    }
}

/// Accepts the next connection, once there is a permit for it.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Permits>,
    failures: &FailureLog,
) -> io::Result<(TcpStream, ClientAddress, Permit)> {
    let mut permit = permits.any().await;
    let mut wait = Duration::from_millis(10);
    loop {
        match listener.accept().await {
            Ok((tcp, peer)) => {
                let address = ClientAddress::new(peer.ip());
                let Some(own) = permit.of(address) else {
                    failures.misused("an address has reached its limit of connections", peer);
                    permit = permits.any().await;
                    continue;
                };
                // Frames are small and already gathered, so waiting for more only delays them.
                if let Err(error) = tcp.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY can't be set");
                }
                return Ok((tcp, address, own));
            }
            // The client was gone before it was accepted.
            Err(error) if is_clients(&error) => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Err(error),
            // Too many open files, or no memory. It ends when connections close.
            Err(error) => {
                failures.failed("a connection could not be accepted", "trying again", &error);
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(Duration::from_secs(1));
            }
        }
    }
}

fn is_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};

    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
