//! The common part of both floors: the minimum of a chat. They differ in how they learn that a socket is ready.

use std::io::{self, ErrorKind};

use crate::wire::{self, Command, Message};

/// The most bytes queued for one socket. A socket with more is closed.
const BACKLOG: usize = 4 << 20;

/// The number of messages in a snapshot.
const HISTORY: u64 = 100;

/// How many frames a socket gets per send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sends {
    /// All frames since the last send.
    Pending,
    One,
}

/// A non-blocking socket.
pub(crate) trait Socket {
    /// Sends as much as the socket accepts now.
    fn send(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Starts or stops watching for connection `number` to become writable.
    fn watch(&self, number: usize, blocked: bool);

    /// Ends the connection. Its reader then finds it closed.
    fn shut_down(&self);
}

/// All connections and channels.
pub(crate) struct Floor<S> {
    sends: Sends,
    connections: Vec<Option<Connection<S>>>,
    /// The numbers of closed connections.
    free: Vec<usize>,
    channels: Vec<Channel>,
    /// The channels whose batch is not empty.
    dirty: Vec<usize>,
    /// The connections that have something to send.
    touched: Vec<usize>,
}

struct Connection<S> {
    socket: S,
    user: Option<String>,
    /// The beginning of an incomplete command.
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    /// The only channel whose batch is to be sent, if the outbox is empty.
    shared: Option<usize>,
    touched: bool,
    /// Whether the socket accepted less than it was given.
    blocked: bool,
    /// Whether the socket is watched for becoming writable.
    watched: bool,
    channels: Vec<usize>,
}

/// A channel with its members and pending frames.
struct Channel {
    number: usize,
    members: Vec<usize>,
    head: u64,
    last_text: Vec<u8>,
    snapshot: Option<Vec<u8>>,
    /// The frames of the messages that arrived together: one buffer for all members.
    batch: Vec<u8>,
}

impl<S: Socket> Floor<S> {
    pub(crate) fn new(channels: usize, sends: Sends) -> Self {
        Self {
            sends,
            connections: Vec::new(),
            free: Vec::new(),
            channels: (0..channels).map(Channel::new).collect(),
            dirty: Vec::new(),
            touched: Vec::new(),
        }
    }

    /// Adds a connection, and creates the socket for its number.
    pub(crate) fn open(&mut self, socket: impl FnOnce(usize) -> S) -> usize {
        let number = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        self.connections[number] = Some(Connection::new(socket(number)));
        number
    }

    pub(crate) fn socket(&self, number: usize) -> Option<&S> {
        Some(&self.connections[number].as_ref()?.socket)
    }

    /// Executes the commands that have arrived.
    pub(crate) fn receive(&mut self, number: usize, bytes: &mut [u8]) {
        let Some(connection) = &mut self.connections[number] else { return };
        if connection.inbox.is_empty() {
            return self.take(number, bytes);
        }
        let mut inbox = std::mem::take(&mut connection.inbox);
        inbox.extend_from_slice(bytes);
        self.take(number, &mut inbox);
    }

    fn take(&mut self, number: usize, mut bytes: &mut [u8]) {
        let Some(connection) = &mut self.connections[number] else { return };
        if connection.user.is_none() {
            if let Some((answer, user)) = wire::accept(bytes) {
                connection.user = Some(user);
                connection.outbox.extend_from_slice(answer.as_bytes());
                connection.touch(number, &mut self.touched);
                bytes = &mut [];
            }
        } else {
            while let Some(payload) = wire::unmask_frame(bytes) {
                let end = payload.end;
                self.carry_out(number, &Command::parse(&bytes[payload]));
                bytes = &mut bytes[end..];
            }
        }
        if let Some(connection) = &mut self.connections[number] {
            connection.inbox = bytes.to_vec();
        }
    }

    fn carry_out(&mut self, number: usize, command: &Command<'_>) {
        if let Command::Subscribe { .. } = command {
            // Before it becomes a member: the snapshot already contains the pending frames of the others.
            self.flush();
        }
        let Some(connection) = &mut self.connections[number] else { return };
        match *command {
            Command::Publish { channel, text } => {
                let user = connection.user.as_deref().unwrap_or_default();
                if self.channels[channel].batch.is_empty() {
                    self.dirty.push(channel);
                }
                self.channels[channel].publish(user, text, &mut connection.outbox);
            }
            Command::Subscribe { channel } => {
                connection.outbox.extend_from_slice(self.channels[channel].snapshot());
                self.channels[channel].members.push(number);
                connection.channels.push(channel);
            }
            Command::Other => wire::push_done(&mut connection.outbox),
        }
        connection.touch(number, &mut self.touched);
        if self.sends == Sends::One {
            self.flush();
        }
    }

    /// Marks a socket as writable.
    pub(crate) fn unblock(&mut self, number: usize) {
        if let Some(connection) = &mut self.connections[number] {
            connection.blocked = false;
            connection.touch(number, &mut self.touched);
        }
    }

    /// Sends each socket its pending frames, in one call.
    pub(crate) fn flush(&mut self) {
        for &channel in &self.dirty {
            for &member in &self.channels[channel].members {
                let Some(connection) = &mut self.connections[member] else { continue };
                connection.touch(member, &mut self.touched);
                match connection.shared.take() {
                    None if connection.outbox.is_empty() => connection.shared = Some(channel),
                    first => {
                        for channel in first.into_iter().chain([channel]) {
                            connection.outbox.extend_from_slice(&self.channels[channel].batch);
                        }
                    }
                }
            }
        }
        let mut failed = Vec::new();
        for number in self.touched.drain(..) {
            let Some(connection) = &mut self.connections[number] else { continue };
            connection.touched = false;
            let shared = connection.shared.take().map(|channel| &self.channels[channel].batch[..]);
            if connection.send(shared).is_none() {
                failed.push(number);
            } else if connection.blocked != connection.watched {
                connection.watched = connection.blocked;
                connection.socket.watch(number, connection.blocked);
            }
        }
        for channel in self.dirty.drain(..) {
            self.channels[channel].batch.clear();
        }
        failed.into_iter().for_each(|number| self.expel(number));
    }

    /// Ends a connection that reads too slowly.
    fn expel(&mut self, number: usize) {
        self.leave(number);
        if let Some(connection) = &mut self.connections[number] {
            connection.outbox = Vec::new();
            connection.socket.shut_down();
        }
    }

    /// Removes a connection that its reader has found closed.
    pub(crate) fn close(&mut self, number: usize) {
        self.leave(number);
        self.connections[number] = None;
        self.free.push(number);
    }

    fn leave(&mut self, number: usize) {
        let Some(connection) = &mut self.connections[number] else { return };
        for channel in std::mem::take(&mut connection.channels) {
            self.channels[channel].members.retain(|&member| member != number);
        }
    }
}

impl<S: Socket> Connection<S> {
    fn new(socket: S) -> Self {
        Self {
            socket,
            user: None,
            inbox: Vec::new(),
            outbox: Vec::new(),
            shared: None,
            touched: false,
            blocked: false,
            watched: false,
            channels: Vec::new(),
        }
    }

    fn touch(&mut self, number: usize, touched: &mut Vec<usize>) {
        if !self.touched {
            self.touched = true;
            touched.push(number);
        }
    }

    /// Sends the shared bytes or the outbox, and keeps the rest in the outbox. Returns `None` if the connection
    /// must be closed.
    fn send(&mut self, shared: Option<&[u8]>) -> Option<()> {
        let bytes = shared.unwrap_or(&self.outbox);
        if bytes.is_empty() {
            return Some(());
        }
        let sent = if self.blocked {
            0
        } else {
            match self.socket.send(bytes) {
                Ok(sent) => sent,
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                Err(_) => return None,
            }
        };
        self.blocked = sent < bytes.len();
        if !self.blocked {
            // An idle connection has no buffer.
            self.outbox = Vec::new();
        } else if let Some(shared) = shared {
            self.outbox = shared[sent..].to_vec();
        } else {
            self.outbox.drain(..sent);
        }
        (self.outbox.len() <= BACKLOG).then_some(())
    }
}

impl Channel {
    fn new(number: usize) -> Self {
        Self {
            number,
            members: Vec::new(),
            head: 0,
            last_text: Vec::new(),
            snapshot: None,
            batch: Vec::new(),
        }
    }

    /// Adds a message's frame to the batch, and the response to `answers`.
    fn publish(&mut self, user: &str, text: &[u8], answers: &mut Vec<u8>) {
        self.head += 1;
        let message = Message { channel: self.number, seq: self.head, user, text };
        message.push_event(&mut self.batch);
        message.push_ok(answers);
        self.last_text.clear();
        self.last_text.extend_from_slice(text);
        self.snapshot = None;
    }

    /// Returns the response to a subscribe: as many messages as chatcore would send, each of the size of the last
    /// one.
    fn snapshot(&mut self) -> &[u8] {
        let (channel, seq, text) = (self.number, self.head, &self.last_text);
        self.snapshot
            .get_or_insert_with(|| Message { channel, seq, user: "u_0", text }.snapshot(seq.min(HISTORY)))
    }
}
