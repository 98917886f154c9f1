//! Thousands of clients in one thread, which counts frames and checks their order without an allocation per frame.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::histogram::Histogram;
use crate::wire;

/// The size of a read in bytes.
const READ: usize = 256 * 1024;

/// The bytes of a frame that are examined: its header, and a message up to its `seq`.
const FRONT: usize = 80;

/// The number of source addresses of connections, so that ports do not run out.
const SOURCES: u8 = 32;

/// The number of messages per channel whose sending time is kept.
const SENT: usize = 256;

/// The number of connections that are opened concurrently.
pub(crate) const AT_ONCE: usize = 64;

/// The most errors that are kept.
const COMPLAINTS: usize = 10;

/// How long the server may be silent while data is expected.
const PATIENCE: Duration = Duration::from_secs(20);

/// All connections of one measurement.
pub(crate) struct Client {
    server: SocketAddr,
    epoll: OwnedFd,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    opened: usize,
    buffer: Vec<u8>,
    events: Vec<Event>,
    tally: Tally,
}

/// What has been received.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) messages: u64,
    pub(crate) answers: u64,
    /// Messages that did not follow the previous one: after a gap, or repeated.
    pub(crate) out_of_order: u64,
    /// The total size of the messages' frames.
    pub(crate) message_bytes: u64,
    /// The first errors that the server reported.
    pub(crate) complaints: Vec<String>,
    /// The connections that became WebSockets, and those that got an answer, since the last check.
    upgraded: Vec<usize>,
    pub(crate) answered: Vec<usize>,
    /// The last `seq` of each subscription.
    positions: Vec<u64>,
    clock: Option<Clock>,
}

/// The sending times of messages, and the latency of each delivery.
struct Clock {
    sent: Vec<Instant>,
    now: Instant,
    histogram: Histogram,
}

/// The user and the channels of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Join {
    pub(crate) user: String,
    pub(crate) channels: std::ops::Range<usize>,
}

struct Connection {
    socket: OwnedFd,
    /// How much of the blank line that ends the handshake has been read; `None` after the handshake.
    handshake: Option<u8>,
    /// The first bytes of an incomplete frame.
    front: [u8; FRONT],
    front_len: usize,
    /// The kind of the current frame, and its remaining bytes.
    frame: Frame,
    rest: u64,
    /// The index of the first position of its channels, and the first channel.
    positions: usize,
    first_channel: usize,
    join: Option<Join>,
    owed: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frame {
    Message { channel: usize, seq: u64, bytes: u64 },
    Answer,
    Other,
}

impl Client {
    pub(crate) fn new(server: SocketAddr) -> Self {
        Self {
            server,
            epoll: epoll::create(CreateFlags::CLOEXEC).unwrap(),
            connections: Vec::new(),
            free: Vec::new(),
            opened: 0,
            buffer: vec![0; READ],
            events: Vec::with_capacity(1_024),
            tally: Tally::default(),
        }
    }

    pub(crate) fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }

    /// Opens a connection for each of `joins`, several concurrently, and returns them once all have joined.
    pub(crate) fn join(&mut self, joins: impl IntoIterator<Item = Join>) -> Vec<usize> {
        let mut joined = Vec::new();
        self.join_each(joins, |_, number| joined.push(number));
        joined
    }

    /// Opens connections that are closed as soon as they have joined.
    pub(crate) fn join_and_leave(&mut self, joins: impl IntoIterator<Item = Join>) {
        self.join_each(joins, |client, number| {
            client.connections[number] = None;
            client.free.push(number);
        });
    }

    fn join_each(&mut self, joins: impl IntoIterator<Item = Join>, mut joined: impl FnMut(&mut Self, usize)) {
        let mut joins = joins.into_iter().fuse();
        let mut under_way = 0;
        let mut done = Vec::new();
        loop {
            while under_way < AT_ONCE {
                let Some(join) = joins.next() else { break };
                self.open(join);
                under_way += 1;
            }
            if under_way == 0 {
                return;
            }
            self.pump_or_fail("a join");
            while let Some(number) = self.tally.upgraded.pop() {
                let connection = self.connections[number].as_mut().unwrap();
                let join = connection.join.take().unwrap();
                connection.owed = join.channels.len();
                if connection.owed == 0 {
                    done.push(number);
                }
                for channel in join.channels {
                    self.write(number, &wire::subscribe(channel));
                }
            }
            while let Some(number) = self.tally.answered.pop() {
                let connection = self.connections[number].as_mut().unwrap();
                connection.owed -= 1;
                if connection.owed == 0 {
                    done.push(number);
                }
            }
            for number in done.drain(..) {
                under_way -= 1;
                joined(self, number);
            }
        }
    }

    fn open(&mut self, join: Join) {
        let source = Ipv4Addr::new(127, 0, 0, 2 + (self.opened % usize::from(SOURCES)) as u8);
        self.opened += 1;
        let flags = SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap();
        rustix::net::bind(&socket, &SocketAddrV4::new(source, 0)).unwrap();
        // On the loopback network, connecting does not wait for the server.
        rustix::net::connect(&socket, &self.server).unwrap();
        rustix::io::ioctl_fionbio(&socket, true).unwrap();
        rustix::net::sockopt::set_tcp_nodelay(&socket, true).unwrap();
        let request = wire::upgrade_request(&join.user);
        let number = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        epoll::add(&self.epoll, &socket, EventData::new_u64(number as u64), EventFlags::IN).unwrap();
        let (positions, first_channel) = (self.tally.positions.len(), join.channels.start);
        self.tally.positions.resize(positions + join.channels.len(), 0);
        self.connections[number] = Some(Connection {
            socket,
            handshake: Some(0),
            front: [0; FRONT],
            front_len: 0,
            frame: Frame::Other,
            rest: 0,
            positions,
            first_channel,
            join: Some(join),
            owed: 0,
        });
        self.write(number, request.as_bytes());
    }

    /// Makes a connection stop reading.
    pub(crate) fn stall(&mut self, number: usize) {
        epoll::delete(&self.epoll, &self.connections[number].as_ref().unwrap().socket).unwrap();
    }

    /// Writes bytes to a connection, and reads incoming data in the meantime.
    pub(crate) fn write(&mut self, number: usize, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let connection = self.connections[number].as_ref().unwrap();
            match rustix::io::write(&connection.socket, bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(Errno::AGAIN) => _ = self.pump(Duration::from_millis(1)),
                Err(error) => panic!("the server closed a connection: {error}"),
            }
        }
    }

    /// Reads until `done`; returns false on a timeout.
    pub(crate) fn pump_until(&mut self, done: impl Fn(&Tally) -> bool) -> bool {
        while !done(&self.tally) {
            if !self.pump(PATIENCE) {
                return false;
            }
        }
        true
    }

    fn pump_or_fail(&mut self, what: &str) {
        assert!(self.pump(PATIENCE), "the server was silent for {PATIENCE:?} while it owed {what}");
    }

    /// Reads available data once from each socket, or waits for data. Returns false on a timeout.
    pub(crate) fn pump(&mut self, timeout: Duration) -> bool {
        self.events.clear();
        let timeout = timeout.try_into().expect("a time-out of seconds");
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => panic!("{error}"),
        }
        for event in &self.events {
            let data = event.data;
            let number = data.u64() as usize;
            let Some(connection) = &mut self.connections[number] else { continue };
            let read = match rustix::io::read(&connection.socket, &mut self.buffer[..]) {
                Err(Errno::AGAIN) => continue,
                Ok(0) | Err(_) => panic!("the server closed a connection"),
                Ok(read) => read,
            };
            if let Some(clock) = &mut self.tally.clock {
                clock.now = Instant::now();
            }
            connection.take(&self.buffer[..read], number, &mut self.tally);
        }
        !self.events.is_empty()
    }
}

impl Connection {
    fn take(&mut self, mut bytes: &[u8], number: usize, tally: &mut Tally) {
        if self.handshake.is_some() {
            bytes = self.take_handshake(bytes);
            if self.handshake.is_some() {
                return;
            }
            tally.upgraded.push(number);
        }
        while !bytes.is_empty() {
            if self.rest > 0 {
                let taken = self.rest.min(bytes.len() as u64);
                self.rest -= taken;
                bytes = &bytes[taken as usize..];
            } else if let Some(front) = front(bytes).filter(|_| self.front_len == 0) {
                self.begin(&bytes[..front.looked_at], front, tally);
                bytes = &bytes[front.looked_at..];
            } else {
                bytes = self.gather(bytes, tally);
                if self.front_len > 0 {
                    return;
                }
            }
            if self.rest == 0 {
                self.end(number, tally);
            }
        }
    }

    fn take_handshake<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let mut matched = self.handshake.unwrap_or_default();
        if matched == 0 {
            assert!(bytes.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(bytes));
        }
        for (at, byte) in bytes.iter().enumerate() {
            matched = match (byte, matched % 2) {
                (b'\r', 0) | (b'\n', 1) => matched + 1,
                (b'\r', _) => 1,
                _ => 0,
            };
            if matched == 4 {
                self.handshake = None;
                return &bytes[at + 1..];
            }
        }
        self.handshake = Some(matched);
        &[]
    }

    /// Adds to the front of a frame that arrived in parts, and begins the frame once its front is complete.
    fn gather<'a>(&mut self, bytes: &'a [u8], tally: &mut Tally) -> &'a [u8] {
        for (at, &byte) in bytes.iter().enumerate() {
            self.front[self.front_len] = byte;
            self.front_len += 1;
            if let Some(front) = front(&self.front[..self.front_len]) {
                let gathered = self.front;
                self.begin(&gathered[..front.looked_at], front, tally);
                self.front_len = 0;
                return &bytes[at + 1..];
            }
        }
        &[]
    }

    fn begin(&mut self, bytes: &[u8], front: Front, tally: &mut Tally) {
        self.rest = front.size - front.looked_at as u64;
        let payload = &bytes[front.header..];
        self.frame = match bytes[0] & 0x0f {
            0x1 if payload.starts_with(wire::MESSAGE) => {
                let (channel, seq) = message(payload).expect("a message begins with its channel and seq");
                Frame::Message { channel, seq, bytes: front.size }
            }
            0x1 if payload.starts_with(wire::OK) => Frame::Answer,
            0x1 if payload.starts_with(br#"{"type":"error""#) => {
                tally.complain(payload);
                Frame::Answer
            }
            0x1 if payload.starts_with(br#"{"type":"lagged""#) => {
                tally.complain(payload);
                Frame::Other
            }
            0x8 => panic!("the server closed a connection: {}", String::from_utf8_lossy(payload)),
            _ => Frame::Other,
        };
    }

    fn end(&mut self, number: usize, tally: &mut Tally) {
        match std::mem::replace(&mut self.frame, Frame::Other) {
            Frame::Message { channel, seq, bytes } => {
                tally.message_bytes += bytes;
                tally.message(self.positions + channel - self.first_channel, channel, seq);
            }
            Frame::Answer => {
                tally.answers += 1;
                tally.answered.push(number);
            }
            Frame::Other => {}
        }
    }
}

/// The part of a frame that is examined.
#[derive(Clone, Copy, Debug)]
struct Front {
    header: usize,
    looked_at: usize,
    size: u64,
}

/// Parses the front of the frame at the start of `bytes`, once it is complete.
fn front(bytes: &[u8]) -> Option<Front> {
    let (header, payload) = wire::frame_size(bytes)?;
    let size = header as u64 + payload;
    let looked_at = size.min(FRONT as u64) as usize;
    (bytes.len() >= looked_at).then_some(Front { header, looked_at, size })
}

fn message(payload: &[u8]) -> Option<(usize, u64)> {
    let (channel, rest) = wire::number(payload.strip_prefix(wire::MESSAGE)?)?;
    let (_, rest) = rest.strip_prefix(wire::CHECK)?.split_at_checked(wire::CHECK_DIGITS)?;
    let (seq, _) = wire::number(rest.strip_prefix(wire::SEQ)?)?;
    Some((channel as usize, seq))
}

impl Tally {
    fn message(&mut self, position: usize, channel: usize, seq: u64) {
        self.messages += 1;
        let last = std::mem::replace(&mut self.positions[position], seq);
        self.out_of_order += u64::from(seq != last + 1);
        if let Some(clock) = &mut self.clock {
            let sent = clock.sent[channel * SENT + seq as usize % SENT];
            clock.histogram.record(clock.now - sent);
        }
    }

    fn complain(&mut self, payload: &[u8]) {
        if self.complaints.len() < COMPLAINTS {
            self.complaints.push(String::from_utf8_lossy(payload).into_owned());
        }
    }

    /// Begins to measure the latency of deliveries.
    pub(crate) fn start_clock(&mut self, channels: usize) {
        let now = Instant::now();
        self.clock = Some(Clock { sent: vec![now; channels * SENT], now, histogram: Histogram::new() });
    }

    /// Records that the message with this `seq` of a channel is being sent.
    pub(crate) fn sending(&mut self, channel: usize, seq: u64) {
        if let Some(clock) = &mut self.clock {
            clock.sent[channel * SENT + seq as usize % SENT] = Instant::now();
        }
    }

    pub(crate) fn stop_clock(&mut self) -> Histogram {
        self.clock.take().map_or_else(Histogram::new, |clock| clock.histogram)
    }
}
