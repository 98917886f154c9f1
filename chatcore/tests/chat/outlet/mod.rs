//! The fan-out writes to a transport whenever it can, and the connection's task writes the rest. In either case,
//! each subscriber gets every event once, in order, and nothing outside of its subscription.
#![allow(clippy::unwrap_used)]

mod late;
mod many;

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread::available_parallelism;
use std::time::Duration;

use bytes::Bytes;
use chatcore::protocol::CloseReason;
use chatcore::testkit::Random;
use chatcore::transport::{Burst, Connection, Framing, Outlet, Sent};
use chatcore::{ChannelName, Chat, Identity, Limits, MemoryStore, User, UserId};
use serde_json::Value;
use tokio::task::yield_now;
use tokio::time::timeout;

/// A transport's lock and its data: what was sent, and what it kept of a burst.
#[derive(Debug)]
struct Line(Mutex<Wire>);

#[derive(Debug)]
struct Wire {
    out: Vec<Bytes>,
    kept: Vec<Bytes>,
    random: Random,
    direct: usize,
}

struct Plain;

impl Framing for Plain {
    fn write(frame: &[u8], wire: &mut Vec<u8>) {
        wire.extend_from_slice(frame);
    }
}

impl Outlet for Line {
    fn try_send(&self, burst: &mut Burst) -> Sent {
        let Ok(mut wire) = self.0.try_lock() else { return Sent::Nothing };
        if !wire.kept.is_empty() {
            return Sent::Nothing;
        }
        let bytes = burst.wire::<Plain>().len();
        assert_eq!(bytes, burst.frames().iter().map(Bytes::len).sum::<usize>());
        let (first, rest) = burst.frames().split_first().expect("a burst has a frame");
        match wire.random.below(4) {
            0 => Sent::Nothing,
            1 => {
                wire.out.push(first.clone());
                wire.kept.extend_from_slice(rest);
                Sent::Partial
            }
            _ => {
                wire.direct += 1;
                wire.out.extend_from_slice(burst.frames());
                Sent::All
            }
        }
    }
}

/// A transport that accepts everything its connection hands out.
struct Driven {
    connection: Connection,
    line: Arc<Line>,
}

impl Driven {
    fn open(chat: &Chat, name: &str, random: Random) -> Self {
        let identity = Identity::new(User::new(&format!("u_{name}"), name).unwrap());
        let connection = chat.open(identity).unwrap();
        let wire = Wire { out: Vec::new(), kept: Vec::new(), random, direct: 0 };
        let line = Arc::new(Line(Mutex::new(wire)));
        connection.set_outlet(Arc::clone(&line) as Arc<dyn Outlet>);
        Self { connection, line }
    }

    fn receive(&mut self, frame: &str) {
        self.connection.receive(frame);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        let mut wire = self.line.0.lock().unwrap();
        let wire = &mut *wire;
        wire.out.append(&mut wire.kept);
        loop {
            match self.connection.poll_outgoing(cx, &mut wire.out) {
                Poll::Ready(Some(reason)) => return Poll::Ready(reason),
                Poll::Ready(None) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Runs until this many responses have arrived.
    async fn answers(&mut self, count: usize) {
        poll_fn(|cx| {
            if let Poll::Ready(reason) = self.poll(cx) {
                panic!("closed: {reason}");
            }
            let out = &self.line.0.lock().unwrap().out;
            let answers = out.iter().filter(|frame| frame.starts_with(br#"{"type":"ok""#)).count();
            if answers >= count { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn frames(&self) -> Vec<Value> {
        let wire = self.line.0.lock().unwrap();
        wire.out.iter().map(|frame| serde_json::from_slice(frame).unwrap()).collect()
    }
}

fn chat() -> Chat {
    let mut limits = Limits::default();
    (limits.commands_per_second, limits.command_burst) = (1_000_000, 1_000_000);
    limits.presence_members = 0;
    // Nobody lags: every message stays in the ring.
    limits.ring_events = 4_096;
    Chat::builder(MemoryStore::new()).limits(limits).build()
}

fn text(channel: &str, nonce: &str, text: &str) -> String {
    format!(r#"{{"type":"publish","id":1,"channel":"{channel}","nonce":"{nonce}","text":"{text}"}}"#)
}

fn publish(channel: &str, nonce: &str) -> String {
    text(channel, nonce, "x")
}

/// The user who has created the channel `a`.
async fn owner(chat: &Chat) -> Driven {
    let mut owner = Driven::open(chat, "owner", Random::new(1));
    owner.receive(r#"{"type":"create_channel","id":1,"name":"a"}"#);
    owner.answers(1).await;
    owner
}

const CHANNELS: [&str; 3] = ["a", "b", "c"];
const AUTHORS: usize = 4;
const MESSAGES: usize = 240;

/// Tracks what a reader got: the next `seq` per channel, or `None` while it does not follow the channel.
#[derive(Default)]
struct Followed {
    next: HashMap<String, u64>,
    messages: usize,
}

impl Followed {
    fn take(&mut self, frame: &Value, who: &str) {
        let channel = frame["channel"].as_str();
        match (frame["type"].as_str().unwrap(), channel) {
            ("message", Some(channel)) => {
                let next = self.next.get_mut(channel);
                let next = next.unwrap_or_else(|| panic!("{who}: {channel} is not followed: {frame}"));
                assert_eq!(frame["seq"].as_u64(), Some(*next), "{who}: {channel}");
                *next += 1;
                self.messages += 1;
            }
            ("ok", Some(channel)) if frame["head"].is_u64() => {
                self.next.insert(channel.to_owned(), frame["head"].as_u64().unwrap() + 1);
            }
            ("channel_removed", Some(channel)) => {
                self.next.remove(channel);
            }
            // Of the commands here, only `unsubscribe` has an empty response.
            ("ok", None) => self.next.clear(),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_event_arrives_once_and_in_order() {
    let random = Random::from_env();
    let chat = chat();
    let mut owner = Driven::open(&chat, "owner", Random::new(random.bits()));
    for (n, channel) in CHANNELS.iter().enumerate() {
        owner.receive(&format!(r#"{{"type":"create_channel","id":1,"name":"{channel}"}}"#));
        owner.answers(n + 1).await;
    }
    let mut readers = Vec::new();
    // More than one shard of subscribers.
    for n in 0..150 {
        let mut reader = Driven::open(&chat, &format!("r{n}"), Random::new(random.bits()));
        for (at, channel) in CHANNELS.iter().enumerate() {
            reader.receive(&format!(r#"{{"type":"subscribe","id":1,"channel":"{channel}"}}"#));
            reader.answers(at + 1).await;
        }
        readers.push(reader);
    }
    let lines: Vec<_> = readers.iter().map(|reader| Arc::clone(&reader.line)).collect();
    let drivers: Vec<_> = readers
        .into_iter()
        .map(|mut reader| tokio::spawn(async move { poll_fn(|cx| reader.poll(cx)).await }))
        .collect();
    // One of them connects and disconnects in the meantime.
    let mut fickle = Driven::open(&chat, "fickle", Random::new(random.bits()));
    let visits = tokio::spawn(async move {
        for n in 0..60 {
            fickle.receive(r#"{"type":"subscribe","id":1,"channel":"a"}"#);
            fickle.answers(2 * n + 1).await;
            fickle.receive(r#"{"type":"unsubscribe","id":1,"channel":"a"}"#);
            fickle.answers(2 * n + 2).await;
        }
        fickle.frames()
    });
    let authors: Vec<_> = (0..AUTHORS)
        .map(|n| {
            let mut author = Driven::open(&chat, &format!("author{n}"), Random::new(random.bits()));
            tokio::spawn(async move {
                for m in 0..MESSAGES {
                    author.receive(&publish(CHANNELS[m % CHANNELS.len()], &m.to_string()));
                    // Up to eight are on their way concurrently.
                    author.answers((m + 1).saturating_sub(m % 8)).await;
                }
                author.answers(MESSAGES).await;
            })
        })
        .collect();
    let all = async {
        for author in authors {
            author.await.unwrap();
        }
        let expected = AUTHORS * MESSAGES;
        for (n, line) in lines.iter().enumerate() {
            let count = || {
                let wire = line.0.lock().unwrap();
                wire.out.iter().filter(|frame| frame.starts_with(br#"{"type":"message""#)).count()
            };
            while count() < expected {
                yield_now().await;
            }
            let mut followed = Followed::default();
            for frame in &line.0.lock().unwrap().out {
                followed.take(&serde_json::from_slice(frame).unwrap(), &format!("reader {n}"));
            }
            assert_eq!(followed.messages, expected);
        }
    };
    let seed = random.seed();
    timeout(Duration::from_secs(60), all).await.unwrap_or_else(|_| panic!("not all came; seed {seed}"));
    assert!(lines.iter().any(|line| line.0.lock().unwrap().direct > 0), "the fan-out wrote something itself");
    let mut followed = Followed::default();
    visits.await.unwrap().iter().for_each(|frame| followed.take(frame, "the fickle one"));
    drivers.iter().for_each(tokio::task::JoinHandle::abort);
}

/// A user subscribes repeatedly, and another thread revokes the right each time: everything between the response
/// and `channel_removed` is in order, and nothing arrives outside of that.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_event_follows_a_revocation() {
    const ROUNDS: usize = 100;
    const COMMANDS_AT_ONCE: usize = 3;
    let random = Random::from_env();
    let chat = chat();
    let mut owner = owner(&chat).await;
    let mut reader = Driven::open(&chat, "reader", Random::new(random.bits()));
    let line = Arc::clone(&reader.line);
    reader.receive(r#"{"type":"subscribe","id":1,"channel":"a","limit":0}"#);
    reader.answers(1).await;
    owner.receive(&publish("a", "first"));
    // The fan-out wakes nobody for what it writes itself.
    while !poll_fn(|cx| {
        assert!(reader.poll(cx).is_pending());
        let out = &reader.line.0.lock().unwrap().out;
        Poll::Ready(out.iter().any(|frame| frame.starts_with(br#"{"type":"message""#)))
    })
    .await
    {
        yield_now().await;
    }
    let reading = tokio::spawn(async move {
        for n in 1..=ROUNDS {
            for _ in 0..COMMANDS_AT_ONCE {
                reader.receive(r#"{"type":"subscribe","id":1,"channel":"a","limit":0}"#);
            }
            let over = poll_fn(|cx| {
                if let Poll::Ready(reason) = reader.poll(cx) {
                    return Poll::Ready(Some(reason));
                }
                let out = &reader.line.0.lock().unwrap().out;
                let answers = out.iter().filter(|frame| {
                    frame.starts_with(br#"{"type":"ok""#) || frame.starts_with(br#"{"type":"error""#)
                });
                if answers.count() > n * COMMANDS_AT_ONCE { Poll::Ready(None) } else { Poll::Pending }
            })
            .await;
            if let Some(reason) = over {
                return reason;
            }
            yield_now().await;
        }
        poll_fn(|cx| reader.poll(cx)).await
    });
    let (revoked, channel) = (UserId::new("u_reader").unwrap(), ChannelName::new("a").unwrap());
    for n in 0..ROUNDS {
        owner.receive(&publish("a", &n.to_string()));
        for _ in 0..random.below(20) {
            yield_now().await;
        }
        chat.revoke(&revoked, &channel);
        owner.answers(n + 3).await;
    }
    chat.disconnect(&revoked, CloseReason::Banned);
    let seed = random.seed();
    let ended = timeout(Duration::from_secs(60), reading).await;
    assert_eq!(ended.unwrap_or_else(|_| panic!("no end; seed {seed}")).unwrap(), CloseReason::Banned);
    let mut followed = Followed::default();
    for frame in &line.0.lock().unwrap().out {
        followed.take(&serde_json::from_slice(frame).unwrap(), "the reader");
    }
    assert!(followed.messages > 0, "the first came; seed {seed}");
}

/// The fan-out does not write to a connection that is closing, even if its task has not run since.
#[tokio::test]
async fn no_frame_follows_a_ban() {
    let chat = chat();
    let mut owner = owner(&chat).await;
    let mut banned = Driven::open(&chat, "banned", Random::new(2));
    banned.receive(r#"{"type":"subscribe","id":1,"channel":"a"}"#);
    banned.answers(1).await;
    chat.disconnect(&UserId::new("u_banned").unwrap(), CloseReason::Banned);
    for n in 0..20 {
        owner.receive(&publish("a", &n.to_string()));
    }
    owner.answers(21).await;
    let reason = poll_fn(|cx| banned.poll(cx)).await;
    assert_eq!(reason, CloseReason::Banned);
    let messages = banned.frames().iter().filter(|frame| frame["type"] == "message").count();
    assert_eq!(messages, 0);
}

/// While a message is sent to a large channel, others are served: here on one thread, so that the order depends on
/// the scheduler only.
#[tokio::test]
async fn a_large_channel_does_not_starve_others() {
    const MEMBERS: usize = 1_000;
    let chat = chat();
    let mut owner = owner(&chat).await;
    let counter = Arc::new(Counter::default());
    let mut members = Vec::new();
    for n in 0..MEMBERS {
        members.push(member(&chat, &format!("u_{n}"), &counter).await);
    }
    owner.receive(&publish("a", "1"));
    let mut turns = Vec::new();
    while counter.bursts() < MEMBERS {
        yield_now().await;
        turns.push(counter.bursts());
    }
    turns.dedup();
    // A shard of subscribers for each of the fan-out's tasks, one per core.
    let most = 128 * available_parallelism().map_or(1, usize::from);
    let longest = turns.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(longest <= most, "{turns:?}");
}

/// A socket that accepts everything, and counts the bursts.
#[derive(Debug, Default)]
struct Counter(AtomicUsize);

impl Counter {
    fn bursts(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Outlet for Counter {
    fn try_send(&self, burst: &mut Burst) -> Sent {
        assert!(!burst.frames().is_empty(), "a burst has a frame");
        self.0.fetch_add(1, Ordering::Relaxed);
        Sent::All
    }
}

/// A user who follows the channel `a` through this outlet.
async fn member<O: Outlet>(chat: &Chat, id: &str, outlet: &Arc<O>) -> Connection {
    let mut connection = chat.open(Identity::new(User::new(id, "member").unwrap())).unwrap();
    connection.set_outlet(Arc::clone(outlet) as Arc<dyn Outlet>);
    connection.receive(r#"{"type":"subscribe","id":1,"channel":"a"}"#);
    let mut out = Vec::new();
    while !out.iter().any(|frame: &Bytes| frame.starts_with(br#"{"type":"ok""#)) {
        poll_fn(|cx| connection.poll_outgoing(cx, &mut out)).await;
    }
    connection
}

/// A repeated publish causes no new event, so nothing is written.
#[tokio::test]
async fn no_burst_is_empty() {
    let chat = chat();
    let mut owner = owner(&chat).await;
    let counter = Arc::new(Counter::default());
    let _member = member(&chat, "u_member", &counter).await;
    for (n, nonce) in ["1", "1", "2"].into_iter().enumerate() {
        owner.receive(&publish("a", nonce));
        owner.answers(n + 2).await;
    }
    let both = async {
        while counter.bursts() < 2 {
            yield_now().await;
        }
    };
    timeout(Duration::from_secs(60), both).await.expect("two messages");
    assert_eq!(counter.bursts(), 2);
}

/// A transport with a bug.
#[derive(Debug)]
struct Broken;

impl Framing for Broken {
    fn write(frame: &[u8], wire: &mut Vec<u8>) {
        wire.extend_from_slice(&frame[..1]);
        panic!("a framing that panics on purpose");
    }
}

impl Outlet for Broken {
    fn try_send(&self, burst: &mut Burst) -> Sent {
        burst.wire::<Broken>();
        Sent::All
    }
}

/// If a transport fails, its own connection is closed. All others are served with complete data.
#[tokio::test]
async fn an_outlet_that_panics_closes_only_its_connection() {
    let chat = chat();
    let mut owner = owner(&chat).await;
    let before = Arc::new(Counter::default());
    let after = Arc::new(Counter::default());
    let _before = member(&chat, "u_before", &before).await;
    let mut broken = member(&chat, "u_broken", &Arc::new(Broken)).await;
    let _again = member(&chat, "u_again", &Arc::new(Broken)).await;
    let _after = member(&chat, "u_after", &after).await;
    for n in 0..2 {
        owner.receive(&publish("a", &n.to_string()));
        owner.answers(n + 2).await;
    }
    let all = async {
        while before.bursts() < 2 || after.bursts() < 2 {
            yield_now().await;
        }
        let mut out = Vec::new();
        loop {
            if let Some(reason) = poll_fn(|cx| broken.poll_outgoing(cx, &mut out)).await {
                return reason;
            }
        }
    };
    let reason = timeout(Duration::from_secs(60), all).await.expect("the others are served");
    assert_eq!(reason, CloseReason::TooSlow);
}
