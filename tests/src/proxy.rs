//! A network that fails on purpose.

use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

/// The size of a read in bytes.
const CHUNK_BYTES: usize = 16 << 10;

/// What a [`Proxy`] does with the traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Traffic {
    /// Everything passes.
    #[default]
    Pass,
    /// Each response is delayed by this time, on tokio's clock.
    Delay(Duration),
    /// Nothing passes, without any error: connections are accepted, requests are discarded, and there are no
    /// responses. A connection that has lost bytes stays silent forever; others continue afterwards.
    BlackHole,
    /// Every connection is closed, new ones at once.
    Cut,
}

/// A TCP proxy in front of one server, for tests of how a client handles a failing network.
///
/// If one side closes a connection, the proxy closes the other side. Dropping the proxy closes all connections.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    switches: Arc<Switches>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Switches {
    target: SocketAddr,
    traffic: watch::Sender<Traffic>,
    wanted: Mutex<Option<Wanted>>,
}

/// A request whose response is to be lost, and the channel that reports it.
#[derive(Debug)]
struct Wanted {
    request: Vec<u8>,
    lost: oneshot::Sender<()>,
}

/// The shared state of both directions of a connection.
#[derive(Debug, Default)]
struct Passage {
    /// It has lost bytes, so no later bytes may pass.
    broken: AtomicBool,
    /// Set if the next response is to be lost: the channel that reports it.
    losing: Mutex<Option<oneshot::Sender<()>>>,
}

impl Proxy {
    /// Starts a proxy on a free loopback port, in front of `target`.
    ///
    /// # Errors
    /// If no port is available.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let (traffic, _) = watch::channel(Traffic::Pass);
        let switches = Arc::new(Switches { target, traffic, wanted: Mutex::default() });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&switches)));
        Ok(Self { addr, switches, accepting })
    }

    /// Returns the address for clients.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Sets what happens to all traffic from now on.
    pub fn set(&self, traffic: Traffic) {
        self.switches.traffic.send_replace(traffic);
    }

    /// Loses the response to the next request that contains these bytes: the request reaches the server, and when
    /// the server responds on that connection, the connection is closed instead. So a client loses its connection
    /// during a commit.
    ///
    /// The returned channel reports when that has happened. A second call replaces the first.
    pub fn lose_answer_to(&self, request: impl Into<Vec<u8>>) -> oneshot::Receiver<()> {
        let (lost, happened) = oneshot::channel();
        *lock(&self.switches.wanted) = Some(Wanted { request: request.into(), lost });
        happened
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Switches {
    /// Takes the wanted request if these bytes contain it, and returns the channel that reports it.
    fn found_in(&self, bytes: &[u8]) -> Option<oneshot::Sender<()>> {
        let mut wanted = lock(&self.wanted);
        let found = wanted.as_ref().is_some_and(|wanted| holds(bytes, &wanted.request));
        wanted.take_if(|_| found).map(|wanted| wanted.lost)
    }

    /// Returns how many last bytes may be the start of a wanted request that continues in the next chunk.
    fn overlap(&self) -> usize {
        lock(&self.wanted).as_ref().map_or(0, |wanted| wanted.request.len().saturating_sub(1))
    }
}

/// Forwards connections until the task is aborted, which closes all of them.
async fn accept(listener: TcpListener, switches: Arc<Switches>) {
    let mut connections = JoinSet::new();
    loop {
        if let Ok((client, _)) = listener.accept().await {
            connections.spawn(serve(client, Arc::clone(&switches)));
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(client: TcpStream, switches: Arc<Switches>) {
    let mut traffic = switches.traffic.subscribe();
    tokio::select! {
        () = pass(client, &switches) => {}
        _ = traffic.wait_for(|traffic| *traffic == Traffic::Cut) => {}
    }
}

/// Forwards both directions until one ends.
async fn pass(client: TcpStream, switches: &Switches) {
    let passage = Passage::default();
    let (from_client, to_client) = client.into_split();
    if *switches.traffic.borrow() == Traffic::BlackHole {
        passage.broken.store(true, Ordering::Relaxed);
        return requests(from_client, None, switches, &passage).await;
    }
    let Ok(server) = TcpStream::connect(switches.target).await else { return };
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = requests(from_client, Some(to_server), switches, &passage) => {}
        () = answers(from_server, to_client, switches, &passage) => {}
    }
}

/// Forwards the requests; without a server they are discarded.
async fn requests(
    mut from: OwnedReadHalf,
    to: Option<OwnedWriteHalf>,
    switches: &Switches,
    passage: &Passage,
) {
    let mut to = to;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut recent = Vec::new();
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        let bytes = &chunk[..length];
        let Some(to) = to.as_mut().filter(|_| !passage.swallows(*switches.traffic.borrow())) else {
            continue;
        };
        recent.extend_from_slice(bytes);
        if let Some(told) = switches.found_in(&recent) {
            *lock(&passage.losing) = Some(told);
        }
        recent.drain(..recent.len().saturating_sub(switches.overlap()));
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}

/// Forwards the responses.
async fn answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, switches: &Switches, passage: &Passage) {
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(length @ 1..) = from.read(&mut chunk).await {
        if let Some(told) = lock(&passage.losing).take() {
            let _ = told.send(());
            return;
        }
        let traffic = *switches.traffic.borrow();
        if passage.swallows(traffic) {
            continue;
        }
        if let Traffic::Delay(delay) = traffic {
            sleep(delay).await;
        }
        if to.write_all(&chunk[..length]).await.is_err() {
            return;
        }
    }
    if passage.broken.load(Ordering::Relaxed) {
        // The end of the server's data is lost too.
        pending::<()>().await;
    }
}

impl Passage {
    /// Returns whether bytes are discarded, and remembers it.
    fn swallows(&self, traffic: Traffic) -> bool {
        if traffic == Traffic::BlackHole {
            self.broken.store(true, Ordering::Relaxed);
        }
        self.broken.load(Ordering::Relaxed)
    }
}

fn holds(bytes: &[u8], wanted: &[u8]) -> bool {
    wanted.is_empty() || bytes.windows(wanted.len()).any(|window| window == wanted)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("invariant: nothing panics under this lock")
}
