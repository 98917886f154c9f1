//! A small server for HTTP/1.1 with upgrades, for who has none yet.

use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::accepted::Accepted;

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
    /// Bytes of a request's line and headers. Default 16,384.
    pub header_bytes: usize,
    /// How long a request's headers may take, and how long a connection may be idle between requests.
    /// Default 30 s.
    pub header_timeout: Duration,
    /// How long a client may take no byte of an answer. Default 30 s.
    pub write_timeout: Duration,
    /// How long requests and WebSockets have to end after the shutdown began. Default 10 s.
    pub grace: Duration,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            connections: 25_000,
            header_bytes: 16 * 1024,
            header_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            grace: Duration::from_secs(10),
        }
    }
}

/// Bytes of a connection that are read ahead; hyper's own default is 400 KiB.
const READ_AHEAD: usize = 64 * 1024;

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
        let connections = self.connections.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        let places = Arc::new(Semaphore::new(connections));
        // True once the shutdown began. Dropping the sender ends every connection at once.
        let (closing, _) = watch::channel(false);
        let mut shutdown = pin!(shutdown);
        loop {
            let (tcp, place) = tokio::select! {
                () = &mut shutdown => break,
                accepted = accept(&listener, &places) => accepted?,
            };
            self.spawn(Accepted::new(tcp, self.write_timeout, place), service.clone(), closing.subscribe());
        }
        drop(listener);
        closing.send_replace(true);
        // A connection gives its place back when it is closed, as HTTP or as a WebSocket.
        let all = places.acquire_many(connections as u32);
        if tokio::time::timeout(self.grace, all).await.is_err() {
            let open = connections - places.available_permits();
            tracing::warn!(open, "connections did not end within the grace");
        }
        Ok(())
    }

    fn spawn<S, B>(&self, io: Accepted, service: S, mut closing: watch::Receiver<bool>)
    where
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
                        if let Err(error) = served {
                            tracing::debug!(%error, "a connection failed");
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

/// Accepts the next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.expect("invariant: the semaphore is never closed");
    let mut wait = Duration::from_millis(10);
    loop {
        match listener.accept().await {
            Ok((tcp, _)) => {
                // Frames are small and already gathered: waiting for more only delays them.
                if let Err(error) = tcp.set_nodelay(true) {
                    tracing::debug!(%error, "no TCP_NODELAY");
                }
                return Ok((tcp, place));
            }
            // The client was gone before it was accepted.
            Err(error) if is_clients(&error) => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Err(error),
            // Too many open files, or no memory: connections that close will mend it.
            Err(error) => {
                tracing::warn!(%error, "can't accept; trying again");
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
