//! The floor on tokio: a task reads each connection, and who publishes writes to every member's socket.
//!
//! A member's own task writes only while its socket has a backlog.

use std::io::ErrorKind;
use std::sync::{Arc, Mutex};

use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::floor::{BACKLOG, Channel};
use crate::wire::{self, Command};

/// Bytes of one read.
const READ: usize = 16 * 1024;

type Channels = Arc<[Mutex<Channel<Arc<Peer>>>]>;

struct Peer {
    socket: TcpStream,
    backlog: Mutex<Backlog>,
    grown: Notify,
}

#[derive(Default)]
struct Backlog {
    bytes: Vec<u8>,
    closed: bool,
}

/// Serves for ever.
pub(crate) async fn run(listener: TcpListener, channels: usize) {
    let channels: Channels = (0..channels).map(|number| Mutex::new(Channel::new(number))).collect();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        socket.set_nodelay(true).unwrap();
        let peer = Peer { socket, backlog: Mutex::default(), grown: Notify::new() };
        tokio::spawn(Reader::new(Arc::new(peer), Arc::clone(&channels)).run());
    }
}

/// One connection's side of its socket.
struct Reader {
    peer: Arc<Peer>,
    channels: Channels,
    user: Option<String>,
    /// The begin of a command that is not whole yet.
    inbox: Vec<u8>,
    joined: Vec<usize>,
}

impl Reader {
    fn new(peer: Arc<Peer>, channels: Channels) -> Self {
        Self { peer, channels, user: None, inbox: Vec::new(), joined: Vec::new() }
    }

    async fn run(mut self) {
        loop {
            let interest = if self.peer.is_blocked() {
                Interest::READABLE | Interest::WRITABLE
            } else {
                Interest::READABLE
            };
            tokio::select! {
                ready = self.peer.socket.ready(interest) => if ready.is_err() { break },
                () = self.peer.grown.notified() => continue,
            }
            if self.peer.drain().and_then(|()| self.read()).is_none() {
                break;
            }
        }
        self.peer.backlog.lock().unwrap().closed = true;
        for &channel in &self.joined {
            self.channels[channel].lock().unwrap().members.retain(|member| !Arc::ptr_eq(member, &self.peer));
        }
    }

    /// Reads what there is, and carries it out; none where the connection ends.
    fn read(&mut self) -> Option<()> {
        let mut buffer = [0; READ];
        let read = match self.peer.socket.try_read(&mut buffer) {
            Ok(read) if read > 0 => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Some(()),
            _ => return None,
        };
        if self.inbox.is_empty() {
            self.take(&mut buffer[..read])
        } else {
            let mut bytes = std::mem::take(&mut self.inbox);
            bytes.extend_from_slice(&buffer[..read]);
            self.take(&mut bytes)
        }
    }

    fn take(&mut self, mut bytes: &mut [u8]) -> Option<()> {
        let mut answers = Vec::new();
        if self.user.is_none() {
            if let Some((answer, user)) = wire::accept(bytes) {
                self.user = Some(user);
                answers = answer.into_bytes();
                bytes = &mut [];
            }
        } else {
            let mut dirty: Vec<usize> = Vec::new();
            while let Some(payload) = wire::unmask_frame(bytes) {
                let end = payload.end;
                self.carry_out(&Command::parse(&bytes[payload]), &mut dirty, &mut answers);
                bytes = &mut bytes[end..];
            }
            dirty.into_iter().for_each(|channel| self.fan_out(channel));
        }
        self.inbox = bytes.to_vec();
        self.peer.send(&answers)
    }

    fn carry_out(&mut self, command: &Command<'_>, dirty: &mut Vec<usize>, answers: &mut Vec<u8>) {
        match *command {
            Command::Publish { channel, nonce, text } => {
                let user = self.user.as_deref().unwrap_or_default();
                let mut inner = self.channels[channel].lock().unwrap();
                if inner.batch.is_empty() {
                    dirty.push(channel);
                }
                inner.publish(user, nonce, text, answers);
            }
            Command::Subscribe { channel } => {
                // Before it is a member: what is on its way to the others is in the snapshot already.
                self.fan_out(channel);
                let mut inner = self.channels[channel].lock().unwrap();
                answers.extend_from_slice(inner.snapshot());
                // The answer goes out under the lock, before any message that follows it.
                let _ = self.peer.send(answers);
                answers.clear();
                inner.members.push(Arc::clone(&self.peer));
                self.joined.push(channel);
            }
            Command::Other => wire::push_done(answers),
        }
    }

    fn fan_out(&self, channel: usize) {
        let mut inner = self.channels[channel].lock().unwrap();
        for member in &inner.members {
            // A member whose socket fails is removed by its own task.
            let _ = member.send(&inner.batch);
        }
        inner.batch.clear();
    }
}

impl Peer {
    fn is_blocked(&self) -> bool {
        !self.backlog.lock().unwrap().bytes.is_empty()
    }

    /// Gives bytes to the socket, or to the backlog where there is one; none where the connection ends.
    fn send(&self, bytes: &[u8]) -> Option<()> {
        if bytes.is_empty() {
            return Some(());
        }
        let mut backlog = self.backlog.lock().unwrap();
        if backlog.closed {
            return None;
        }
        let sent = if backlog.bytes.is_empty() { self.try_write(bytes)? } else { 0 };
        if sent < bytes.len() {
            backlog.bytes.extend_from_slice(&bytes[sent..]);
            backlog.closed = backlog.bytes.len() > BACKLOG;
            self.grown.notify_one();
        }
        Some(())
    }

    /// Writes what waits; none where the connection ends.
    fn drain(&self) -> Option<()> {
        let mut backlog = self.backlog.lock().unwrap();
        if backlog.closed {
            return None;
        }
        if !backlog.bytes.is_empty() {
            let sent = self.try_write(&backlog.bytes)?;
            backlog.bytes.drain(..sent);
            if backlog.bytes.is_empty() {
                backlog.bytes = Vec::new();
            }
        }
        Some(())
    }

    fn try_write(&self, bytes: &[u8]) -> Option<usize> {
        match self.socket.try_write(bytes) {
            Ok(sent) => Some(sent),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Some(0),
            Err(_) => None,
        }
    }
}
