//! The tokio floor: one task per connection reads, and one task sends to all.
//!
//! A message wakes no member's task. Such a task sends only while its socket has a backlog.

use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rustix::net::Shutdown;
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::floor::{Floor, Sends, Socket};

/// The size of a read in bytes.
const READ: usize = 16 * 1024;

struct Shared {
    floor: Mutex<Floor<Arc<Peer>>>,
    /// Notified when something may be pending.
    pending: Notify,
}

struct Peer {
    socket: TcpStream,
    blocked: AtomicBool,
    changed: Notify,
}

impl Socket for Arc<Peer> {
    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.try_write(bytes)
    }

    fn watch(&self, _: usize, blocked: bool) {
        self.blocked.store(blocked, Ordering::Relaxed);
        self.changed.notify_one();
    }

    fn shut_down(&self) {
        // The peer may have closed it already.
        let _ = rustix::net::shutdown(&self.socket, Shutdown::Both);
    }
}

/// Serves forever.
pub(crate) async fn run(listener: TcpListener, channels: usize) {
    let floor = Mutex::new(Floor::new(channels, Sends::Pending));
    let shared = Arc::new(Shared { floor, pending: Notify::new() });
    tokio::spawn(send(Arc::clone(&shared)));
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        socket.set_nodelay(true).unwrap();
        let peer = Arc::new(Peer { socket, blocked: AtomicBool::new(false), changed: Notify::new() });
        let number = shared.floor.lock().unwrap().open(|_| Arc::clone(&peer));
        tokio::spawn(read(Arc::clone(&shared), peer, number));
    }
}

async fn send(shared: Arc<Shared>) {
    loop {
        shared.pending.notified().await;
        // Other tasks that have read something run first: what arrives together is sent together.
        tokio::task::yield_now().await;
        shared.floor.lock().unwrap().flush();
    }
}

async fn read(shared: Arc<Shared>, peer: Arc<Peer>, number: usize) {
    loop {
        let out = if peer.blocked.load(Ordering::Relaxed) { Some(Interest::WRITABLE) } else { None };
        let interest = out.map_or(Interest::READABLE, |out| Interest::READABLE | out);
        let ready = tokio::select! {
            ready = peer.socket.ready(interest) => ready,
            () = peer.changed.notified() => continue,
        };
        let Ok(ready) = ready else { break };
        if ready.is_writable() && out.is_some() {
            shared.floor.lock().unwrap().unblock(number);
        }
        if read_some(&shared, &peer, number).is_none() {
            break;
        }
        shared.pending.notify_one();
    }
    shared.floor.lock().unwrap().close(number);
}

/// Reads and executes the available data; `None` at the end of the connection.
fn read_some(shared: &Shared, peer: &Peer, number: usize) -> Option<()> {
    let mut buffer = [0; READ];
    match peer.socket.try_read(&mut buffer) {
        Ok(read) if read > 0 => shared.floor.lock().unwrap().receive(number, &mut buffer[..read]),
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        _ => return None,
    }
    Some(())
}
