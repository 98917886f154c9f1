//! A small server for HTTP/1.1 with upgrades, for who has none yet.

pub(crate) mod tcp;

use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use chatcore::FailureLog;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::limits::address::ClientAddress;
use crate::limits::pace::LeastRate;
use crate::limits::places::{Place, Places};
use crate::server::tcp::TcpConnection;
use crate::socket::Buffers;

/// Serves `service` on `listener` until `shutdown` is done, with the defaults of [`Server`].
///
/// `shutdown` is the place to drain the chat, which closes its WebSockets with 1001:
/// `async move { signal.await; chat.drain() }`. Then nothing new is accepted, and what is going on has
/// [`grace`](Server::grace) to end.
///
/// # Errors
/// Where the listener is no listener. What passes, such as too many open files, is waited out.
///
/// # Cancel safety
/// Dropping the future closes every connection that is not a WebSocket.
pub async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()>
where
    S: tower_service::Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    Server::default().serve(listener, service, shutdown).await
}

/// The bounds of a server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Server {
    /// Connections at once, WebSockets among them; more wait to be accepted. Default 25,000.
    pub connections: usize,
    /// Connections of one address at once; more are closed. It is the address of the connection itself: behind a
    /// proxy, every connection is the proxy's. Default 12,500.
    pub connections_per_address: usize,
    /// How many proxies in front are trusted to say where a request comes from, in `X-Forwarded-For` or
    /// `Forwarded`; see [`ClientAddress::behind`]. A header is believed only if every request passes through as
    /// many. Default 0.
    pub trust_forwarded: usize,
    /// Bytes of a request's line and headers. Default 16,384.
    pub header_bytes: usize,
    /// How long a request's headers may take, and how long a connection may be idle between requests.
    /// Default 30 s.
    pub header_timeout: Duration,
    /// How often a client for which an answer waits is judged by what it took since: one that took less than
    /// [`write_rate`](Self::write_rate) is cut off. Default 30 s.
    pub write_timeout: Duration,
    /// The least that a client takes of an answer, in bytes a second on the average of a
    /// [`write_timeout`](Self::write_timeout). At 0 it is one byte in that time. Default 1,024.
    pub write_rate: u32,
    /// Bytes that the system may hold of what is sent on one connection and not yet received. Connections get
    /// this as long as there are few, and less the more there are; see
    /// [`buffers_total`](Self::buffers_total). Default 256 KiB.
    pub send_buffer: usize,
    /// Bytes that the system may hold of what was received on one connection and not yet read, in the same way.
    /// Default 256 KiB.
    pub receive_buffer: usize,
    /// Bytes that the system may hold in both buffers of all connections. Default 768 MiB.
    pub buffers_total: usize,
    /// Whether a connection whose time is up is reset, which frees at once what the system holds for it. Without
    /// it the system goes on for minutes to offer that to a client which does not take it. Default true.
    pub reset: bool,
    /// How long requests and WebSockets have to end after the shutdown began. Default 10 s.
    pub grace: Duration,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            connections: 25_000,
            connections_per_address: 12_500,
            trust_forwarded: 0,
            header_bytes: 16 * 1024,
            header_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            write_rate: 1_024,
            send_buffer: 256 << 10,
            receive_buffer: 256 << 10,
            buffers_total: 768 << 20,
            reset: true,
            grace: Duration::from_secs(10),
        }
    }
}

/// Bytes of a connection that are read ahead; hyper's own default is 400 KiB.
const READ_AHEAD: usize = 16 * 1024;

impl Server {
    /// Serves `service` on `listener` until `shutdown` is done; see [`serve`].
    ///
    /// # Errors
    /// Where the listener is no listener. What passes, such as too many open files, is waited out.
    ///
    /// # Cancel safety
    /// Dropping the future closes every connection that is not a WebSocket.
    pub async fn serve<S, B>(
        self,
        listener: TcpListener,
        service: S,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()>
    where
        S: tower_service::Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let places = Places::new(self.connections, self.connections_per_address);
        // True once the shutdown began. Dropping the sender ends every connection at once.
        let (closing, _) = watch::channel(false);
        let failures = FailureLog::new();
        let mut shutdown = pin!(shutdown);
        loop {
            let (tcp, address, place) = tokio::select! {
                () = &mut shutdown => break,
                accepted = accept(&listener, &places, &failures) => accepted?,
            };
            self.bound(&tcp, places.held());
            let least = LeastRate { period: self.write_timeout, bytes_per_second: self.write_rate };
            let io = TcpConnection::new(tcp, least, self.reset, place);
            let service = Addressed { service: service.clone(), address, proxies: self.trust_forwarded };
            self.spawn(io, service, closing.subscribe(), failures.clone());
        }
        drop(listener);
        closing.send_replace(true);
        // A connection gives its place back when it is closed, as HTTP or as a WebSocket.
        if tokio::time::timeout(self.grace, places.empty()).await.is_err() {
            let open = places.held();
            tracing::warn!(open, "connections were still open at the end of the grace period");
        }
        Ok(())
    }

    /// Bounds what the system may hold for a connection, the `open`-th of those that are open now: for an app
    /// that accepts connections itself. [`serve`](Self::serve) does it for its own.
    pub fn bound(&self, tcp: &TcpStream, open: usize) {
        let Self { connections, send_buffer: send, receive_buffer: receive, buffers_total: total, .. } =
            *self;
        let buffers = Buffers { connections, total, send, receive };
        if let Err(error) = buffers.set(tcp, open) {
            tracing::debug!(%error, "the system rejected the sizes of a connection's buffers");
        }
    }

    fn spawn<S, B>(
        &self,
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
            .header_read_timeout(self.header_timeout)
            .max_header_size(self.header_bytes)
            .max_buf_size(READ_AHEAD.max(self.header_bytes));
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
}

/// A service whose requests carry the address that they come from.
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

/// Accepts the next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Places>,
    failures: &FailureLog,
) -> io::Result<(TcpStream, ClientAddress, Place)> {
    let mut place = places.any().await;
    let mut wait = Duration::from_millis(10);
    loop {
        match listener.accept().await {
            Ok((tcp, peer)) => {
                let address = ClientAddress::new(peer.ip());
                let Some(own) = place.of(address) else {
                    failures.misused("an address has reached its limit of connections", peer);
                    place = places.any().await;
                    continue;
                };
                // Frames are small and already gathered: waiting for more only delays them.
                if let Err(error) = tcp.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY can't be set");
                }
                return Ok((tcp, address, own));
            }
            // The client was gone before it was accepted.
            Err(error) if is_clients(&error) => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Err(error),
            // Too many open files, or no memory: connections that close will mend it.
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
