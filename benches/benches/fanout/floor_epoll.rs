//! The floor: one thread, one epoll, and nothing between a message and the send call.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use crate::floor::{BACKLOG, Channel};
use crate::wire::{self, Command};

/// The event of the listener; connections have the numbers below.
const LISTENER: u64 = u64::MAX;

/// How many frames a socket gets in one send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sends {
    /// All that came since the last one.
    Pending,
    One,
}

/// The server.
pub(crate) struct EpollFloor {
    sends: Sends,
    epoll: rustix::fd::OwnedFd,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    /// The numbers of connections that are closed.
    free: Vec<usize>,
    channels: Vec<Channel<usize>>,
    /// The channels whose batch is not empty.
    dirty: Vec<usize>,
    /// The connections that have something to send.
    touched: Vec<usize>,
}

struct Connection {
    socket: TcpStream,
    user: Option<String>,
    /// The begin of a command that is not whole yet.
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    /// The one channel whose batch is to be sent as it is, where the outbox is empty.
    shared: Option<usize>,
    touched: bool,
    /// Whether the socket took less than it was given.
    blocked: bool,
    /// Whether epoll is to say when the socket takes more.
    watched: bool,
    channels: Vec<usize>,
}

impl EpollFloor {
    pub(crate) fn new(listener: TcpListener, channels: usize, sends: Sends) -> Self {
        let epoll = epoll::create(CreateFlags::CLOEXEC).unwrap();
        listener.set_nonblocking(true).unwrap();
        epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN).unwrap();
        Self {
            sends,
            epoll,
            listener,
            connections: Vec::new(),
            free: Vec::new(),
            channels: (0..channels).map(Channel::new).collect(),
            dirty: Vec::new(),
            touched: Vec::new(),
        }
    }

    /// Serves for ever.
    pub(crate) fn run(mut self) {
        let mut events: Vec<Event> = Vec::with_capacity(1_024);
        let mut buffer = vec![0; 256 * 1024];
        loop {
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => panic!("{error}"),
            }
            for event in &events {
                let (flags, data) = (event.flags, event.data);
                if data.u64() == LISTENER {
                    self.accept();
                    continue;
                }
                let number = data.u64() as usize;
                if flags.contains(EventFlags::OUT) {
                    self.unblock(number);
                }
                if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
                    self.read(number, &mut buffer);
                }
            }
            self.flush();
        }
    }

    fn accept(&mut self) {
        while let Ok((socket, _)) = self.listener.accept() {
            socket.set_nonblocking(true).unwrap();
            socket.set_nodelay(true).unwrap();
            let number = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            epoll::add(&self.epoll, &socket, EventData::new_u64(number as u64), EventFlags::IN).unwrap();
            self.connections[number] = Some(Connection::new(socket));
        }
    }

    fn read(&mut self, number: usize, buffer: &mut [u8]) {
        let Some(connection) = &mut self.connections[number] else { return };
        let kept = connection.inbox.len();
        buffer[..kept].copy_from_slice(&connection.inbox);
        connection.inbox = Vec::new();
        let read = match connection.socket.read(&mut buffer[kept..]) {
            Ok(read) if read > 0 => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            _ => return self.close(number),
        };
        let mut bytes = &mut buffer[..kept + read];
        if connection.user.is_none() {
            if let Some((answer, user)) = wire::accept(bytes) {
                connection.user = Some(user);
                connection.outbox.extend_from_slice(answer.as_bytes());
                bytes = &mut [];
                self.touch(number);
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
        let Some(connection) = &mut self.connections[number] else { return };
        match *command {
            Command::Publish { channel, nonce, text } => {
                let user = connection.user.as_deref().unwrap_or_default();
                if self.channels[channel].batch.is_empty() {
                    self.dirty.push(channel);
                }
                self.channels[channel].publish(user, nonce, text, &mut connection.outbox);
            }
            Command::Subscribe { channel } => {
                // Before it is a member: what is on its way to the others is in the snapshot already.
                self.flush();
                let Some(connection) = &mut self.connections[number] else { return };
                connection.outbox.extend_from_slice(self.channels[channel].snapshot());
                self.channels[channel].members.push(number);
                connection.channels.push(channel);
            }
            Command::Other => wire::push_done(&mut connection.outbox),
        }
        self.touch(number);
        if self.sends == Sends::One {
            self.flush();
        }
    }

    fn touch(&mut self, number: usize) {
        if let Some(connection) = &mut self.connections[number] {
            connection.touch(number, &mut self.touched);
        }
    }

    fn unblock(&mut self, number: usize) {
        if let Some(connection) = &mut self.connections[number] {
            connection.blocked = false;
            connection.touch(number, &mut self.touched);
        }
    }

    /// Sends each socket what is pending for it, in one call.
    fn flush(&mut self) {
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
        let mut closed = Vec::new();
        for number in self.touched.drain(..) {
            let Some(connection) = &mut self.connections[number] else { continue };
            connection.touched = false;
            let shared = connection.shared.take().map(|channel| &self.channels[channel].batch[..]);
            if connection.send(shared).is_none() {
                closed.push(number);
                continue;
            }
            if connection.blocked != connection.watched {
                connection.watched = connection.blocked;
                let out = if connection.blocked { EventFlags::OUT } else { EventFlags::empty() };
                let data = EventData::new_u64(number as u64);
                epoll::modify(&self.epoll, &connection.socket, data, EventFlags::IN | out).unwrap();
            }
        }
        for channel in self.dirty.drain(..) {
            self.channels[channel].batch.clear();
        }
        closed.into_iter().for_each(|number| self.close(number));
    }

    fn close(&mut self, number: usize) {
        let Some(connection) = self.connections[number].take() else { return };
        self.free.push(number);
        for channel in connection.channels {
            self.channels[channel].members.retain(|&member| member != number);
        }
    }
}

impl Connection {
    fn new(socket: TcpStream) -> Self {
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

    /// Sends the shared bytes or the outbox; what is not taken is in the outbox then. None where it is to be closed.
    fn send(&mut self, shared: Option<&[u8]>) -> Option<()> {
        let bytes = shared.unwrap_or(&self.outbox);
        if bytes.is_empty() {
            return Some(());
        }
        let sent = if self.blocked {
            0
        } else {
            match (&self.socket).write(bytes) {
                Ok(sent) => sent,
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                Err(_) => return None,
            }
        };
        self.blocked = sent < bytes.len();
        if !self.blocked {
            // An idle connection holds no buffer.
            self.outbox = Vec::new();
        } else if let Some(shared) = shared {
            self.outbox = shared[sent..].to_vec();
        } else {
            self.outbox.drain(..sent);
        }
        (self.outbox.len() <= BACKLOG).then_some(())
    }
}
