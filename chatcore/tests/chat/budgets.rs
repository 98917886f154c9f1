//! The budgets of bytes: what may wait for one connection, and for all.
#![allow(clippy::unwrap_used)]

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use chatcore::protocol::{ChatEvent, CloseReason, Form};
use chatcore::testkit::{Faults, FaultyStore, Held};
use chatcore::transport::Connection;
use chatcore::{Chat, Client, Identity, Limits, MemoryStore, Position, User};

fn identity(name: &str) -> Identity {
    Identity::new(User::new(&format!("u_{name}"), name).unwrap())
}

/// Creates a chat with a channel `a` that has 20 messages of 5,000 bytes.
async fn chat(edit: impl FnOnce(&mut Limits)) -> Chat {
    let mut limits = Limits::default();
    edit(&mut limits);
    let chat = Chat::builder(MemoryStore::new()).limits(limits).build();
    let author = chat.connect(identity("author")).unwrap();
    author.create_channel("a", "").await.unwrap();
    for _ in 0..20 {
        author.publish("a", &"x".repeat(5_000)).await.unwrap();
    }
    chat
}

async fn open(chat: &Chat, name: &str) -> Connection {
    let mut connection = chat.open(identity(name)).unwrap();
    look(&mut connection).await;
    connection
}

async fn look(connection: &mut Connection) -> Vec<Bytes> {
    let mut out = Vec::new();
    assert_eq!(poll_fn(|cx| connection.poll_outgoing(cx, &mut out)).await, None);
    out
}

/// Polls once, without waiting.
fn glance(connection: &mut Connection) -> Poll<Vec<Bytes>> {
    let mut out = Vec::new();
    connection.poll_outgoing(&mut Context::from_waker(Waker::noop()), &mut out).map(|_| out)
}

fn sum(frames: &[Bytes]) -> usize {
    frames.iter().map(Bytes::len).sum()
}

const HISTORY: &str = r#"{"type":"history","id":1,"channel":"a","before":21,"limit":5}"#;

#[tokio::test]
async fn one_poll_returns_answers_up_to_the_outgoing_bytes() {
    let chat = chat(|l| l.outgoing_bytes = 60_000).await;
    let mut eve = open(&chat, "eve").await;
    for _ in 0..20 {
        eve.receive(HISTORY);
    }
    let mut answers = 0;
    while answers < 20 {
        let out = look(&mut eve).await;
        // Each has a little more than 25,000 bytes: the third exceeds the limit, and nothing follows it.
        assert!(out.len() <= 3 && sum(&out) < 90_000, "{} frames, {} bytes", out.len(), sum(&out));
        answers += out.len();
    }
}

#[tokio::test]
async fn one_poll_returns_events_up_to_the_outgoing_bytes() {
    let chat = chat(|l| l.outgoing_bytes = 12_000).await;
    let mut eve = open(&chat, "eve").await;
    eve.receive(r#"{"type":"subscribe","id":1,"channel":"a","limit":0}"#);
    look(&mut eve).await;
    let ann = chat.connect(identity("ann")).unwrap();
    for n in 1..=10 {
        ann.publish("a", &"x".repeat(500 * n)).await.unwrap();
    }
    let mut events = 0;
    while events < 10 {
        let out = look(&mut eve).await;
        assert!(sum(&out) <= 12_000, "{} frames, {} bytes", out.len(), sum(&out));
        events += out.len();
    }
}

#[tokio::test]
async fn an_event_larger_than_the_outgoing_bytes_comes_alone() {
    let chat = chat(|l| l.outgoing_bytes = 1).await;
    let mut eve = open(&chat, "eve").await;
    eve.receive(r#"{"type":"subscribe","id":1,"channel":"a","limit":0}"#);
    look(&mut eve).await;
    let ann = chat.connect(identity("ann")).unwrap();
    for _ in 0..3 {
        ann.publish("a", "larger than a byte").await.unwrap();
    }
    for _ in 0..3 {
        assert_eq!(look(&mut eve).await.len(), 1);
    }
}

/// Space for two responses that are being made.
fn two_at_once(limits: &mut Limits) {
    limits.answer_bytes = 30 << 10;
    limits.outgoing_bytes_total = 2 * 3 * (30 << 10);
    limits.outgoing_bytes_per_user = limits.outgoing_bytes_total;
}

#[tokio::test]
async fn a_large_answer_waits_for_free_bytes() {
    let chat = chat(two_at_once).await;
    let mut held = Vec::new();
    // Four responses of 25 KiB stay in memory.
    for n in 0..4 {
        let mut slow = open(&chat, &format!("slow{n}")).await;
        slow.receive(HISTORY);
        held.push(look(&mut slow).await);
    }
    let mut eve = open(&chat, "eve").await;
    eve.receive(HISTORY);
    assert!(glance(&mut eve).is_pending(), "80 KiB are left, and an answer takes 90 while it is made");
    let mut bob = open(&chat, "bob").await;
    bob.receive(r#"{"type":"ping","id":1}"#);
    assert_eq!(look(&mut bob).await.len(), 1, "a small answer does not wait");
    held.pop();
    assert_eq!(look(&mut eve).await.len(), 1, "what is written makes room");
}

#[tokio::test]
async fn one_users_answers_leave_room_for_others() {
    let chat = chat(|l| {
        two_at_once(l);
        l.outgoing_bytes_per_user = 3 * (30 << 10);
    })
    .await;
    let mut held = Vec::new();
    let mut first = open(&chat, "eve").await;
    first.receive(HISTORY);
    held.push(look(&mut first).await);
    let mut second = open(&chat, "eve").await;
    second.receive(HISTORY);
    assert!(glance(&mut second).is_pending());
    let mut bob = open(&chat, "bob").await;
    bob.receive(HISTORY);
    assert_eq!(look(&mut bob).await.len(), 1);
    held.clear();
    assert_eq!(look(&mut second).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_blocks_others_is_closed_as_too_slow() {
    let chat = chat(two_at_once).await;
    let mut slow = Vec::new();
    for n in 0..4 {
        let mut connection = open(&chat, &format!("slow{n}")).await;
        connection.receive(HISTORY);
        let answer = look(&mut connection).await;
        slow.push((connection, answer));
    }
    let mut eve = open(&chat, "eve").await;
    eve.receive(HISTORY);
    let (closed, answered) = tokio::join!(
        async {
            let reason = poll_fn(|cx| slow[0].0.poll_close(cx)).await;
            slow.clear();
            reason
        },
        look(&mut eve),
    );
    assert_eq!((closed, answered.len()), (CloseReason::TooSlow, 1));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ignores_its_turn_is_closed_as_too_slow() {
    let chat = chat(two_at_once).await;
    let mut held = Vec::new();
    for n in 0..4 {
        let mut slow = open(&chat, &format!("slow{n}")).await;
        slow.receive(HISTORY);
        held.push((look(&mut slow).await, slow));
    }
    let mut stuck = open(&chat, "stuck").await;
    stuck.receive(HISTORY);
    assert!(glance(&mut stuck).is_pending());
    // It is its turn, but its transport does not ask for the response: it writes something else.
    held.truncate(2);
    let mut others: Vec<_> = Vec::new();
    for n in 0..2 {
        let mut other = open(&chat, &format!("other{n}")).await;
        other.receive(HISTORY);
        others.push(other);
    }
    let [one, two] = &mut others[..] else { unreachable!() };
    let reason = tokio::join!(
        async {
            let reason = poll_fn(|cx| stuck.poll_close(cx)).await;
            drop(stuck);
            held.clear();
            reason
        },
        look(one),
        look(two),
    );
    assert_eq!(reason.0, CloseReason::TooSlow);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_waits_too_long_is_refused() {
    let chat = chat(|l| {
        two_at_once(l);
        l.outgoing_bytes_per_user = 3 * (30 << 10);
    })
    .await;
    let mut first = open(&chat, "eve").await;
    first.receive(HISTORY);
    let _held = look(&mut first).await;
    let mut second = open(&chat, "eve").await;
    second.receive(HISTORY);
    let answer = look(&mut second).await;
    assert!(answer[0].starts_with(br#"{"type":"error","id":1,"code":"unavailable""#), "{answer:?}");
}

fn publish(channel: &str, bytes: usize) -> String {
    let text = "x".repeat(bytes);
    format!(r#"{{"type":"publish","id":1,"channel":"{channel}","nonce":"n","text":"{text}"}}"#)
}

/// Creates a chat whose store stops responding, and a connection that has joined its channel `a`.
async fn hanging(edit: impl FnOnce(&mut Limits)) -> (Chat, Held) {
    let mut limits = Limits::default();
    edit(&mut limits);
    let store = FaultyStore::new(MemoryStore::new(), Faults::default(), 1);
    let chat = Chat::builder(store.clone()).limits(limits).build();
    let author = chat.connect(identity("author")).unwrap();
    author.create_channel("a", "").await.unwrap();
    author.subscribe("a").await.unwrap();
    (chat, store.hold())
}

#[tokio::test]
async fn unanswered_commands_are_bounded_in_bytes() {
    let (chat, _held) = hanging(|l| l.command_bytes = 10_000).await;
    let mut eve = open(&chat, "eve").await;
    eve.receive(&publish("a", 5_000));
    assert!(!eve.is_full());
    eve.receive(&publish("a", 5_000));
    assert!(eve.is_full());
}

#[tokio::test]
async fn commands_of_all_connections_are_bounded_in_bytes() {
    let (chat, _held) = hanging(|l| l.command_bytes_total = 10_000).await;
    let mut eve = open(&chat, "eve").await;
    eve.receive(&publish("a", 5_000));
    assert!(!eve.is_full());
    eve.receive(&publish("a", 5_000));
    assert!(eve.is_full(), "it has something waiting");
    let mut bob = open(&chat, "bob").await;
    assert!(!bob.is_full(), "one small command may always come");
    bob.receive(r#"{"type":"ping","id":1}"#);
    assert!(look(&mut bob).await[0].starts_with(br#"{"type":"ok""#));
    bob.receive(&publish("a", 5_000));
    assert!(look(&mut bob).await[0].starts_with(br#"{"type":"error","id":1,"code":"unavailable""#));
    drop(eve);
    bob.receive(&publish("a", 5_000));
    assert!(glance(&mut bob).is_pending(), "a connection that has ended makes room");
}

/// Publishes `count` messages of 1,000 bytes.
async fn fill(author: &mut Client, channel: &str, count: usize) {
    for _ in 0..count {
        author.publish(channel, &"x".repeat(1_000)).await.unwrap();
    }
}

/// A chat whose rings hold 200,000 bytes together.
fn with_small_rings() -> Chat {
    let mut limits = Limits::default();
    limits.rings_bytes_total = 200_000;
    limits.loaded_channels = 100;
    limits.command_burst = 10_000;
    Chat::builder(MemoryStore::new()).limits(limits).build()
}

#[tokio::test]
async fn all_rings_together_are_bounded_in_bytes() {
    let chat = with_small_rings();
    let total = chat.limits().rings_bytes_total;
    let mut author = chat.connect(identity("author")).unwrap();
    for n in 0..10 {
        let channel = n.to_string();
        author.create_channel(&channel, "").await.unwrap();
        author.subscribe(&channel).await.unwrap();
        // A batch and a list may be added before the limit is checked.
        fill(&mut author, &channel, 40).await;
        author.subscribe(&channel).await.unwrap();
        let held = chat.stats().ring_bytes;
        assert!(held <= total + 50_000, "{held} bytes after channel {n}");
    }
}

#[tokio::test]
async fn lists_that_are_read_while_nobody_writes_are_bounded() {
    let chat = with_small_rings();
    let total = chat.limits().rings_bytes_total;
    let mut author = chat.connect(identity("author")).unwrap();
    for n in 0..20 {
        author.create_channel(&n.to_string(), "").await.unwrap();
        fill(&mut author, &n.to_string(), 3).await;
    }
    for form in [Form::Full, Form::Lean] {
        let mut reader = chat.open(identity("reader")).unwrap();
        reader.set_form(form);
        for n in 0..20 {
            reader.receive(&format!(r#"{{"type":"subscribe","id":1,"channel":"{n}"}}"#));
            look(&mut reader).await;
            let held = chat.stats().ring_bytes;
            assert!(held <= total + total / 8, "{held} bytes after channel {n}");
        }
    }
}

#[tokio::test]
async fn events_evicted_from_a_ring_come_from_the_store() {
    let mut limits = Limits::default();
    limits.rings_bytes_total = 200_000;
    limits.command_burst = 10_000;
    let chat = Chat::builder(MemoryStore::new()).limits(limits).build();
    let mut author = chat.connect(identity("author")).unwrap();
    for channel in ["old", "new"] {
        author.create_channel(channel, "").await.unwrap();
    }
    let mut slow = chat.connect(identity("slow")).unwrap();
    let begun = slow.subscribe("old").await.unwrap();
    fill(&mut author, "old", 20).await;
    fill(&mut author, "new", 150).await;
    let lagged = loop {
        match slow.next_event().await.unwrap() {
            ChatEvent::Lagged { from, to, .. } => break (from, to),
            ChatEvent::Message { .. } => panic!("the ring has given it up"),
            _ => {}
        }
    };
    assert_eq!(lagged, (1, 20));
    let resumed = slow.resume("old", Position::new(begun.epoch, 0)).await.unwrap();
    assert_eq!(resumed.start.events().len(), 20);
}

#[tokio::test]
async fn waiting_appends_are_bounded_in_bytes() {
    let (chat, held) = hanging(|l| {
        l.append_groups = 1;
        l.append_batch = 1;
        l.append_queue_bytes = 12_000;
    })
    .await;
    let mut eve = open(&chat, "eve").await;
    // No task runs in between.
    for _ in 0..5 {
        eve.receive(&publish("a", 5_000));
    }
    drop(held);
    let mut answers = Vec::new();
    while answers.len() < 5 {
        let out = look(&mut eve).await;
        answers.extend(out.into_iter().filter(|frame| !frame.starts_with(br#"{"type":"presence""#)));
    }
    let refused =
        answers.iter().filter(|frame| frame.starts_with(br#"{"type":"error","id":1,"code":"unavailable""#));
    assert_eq!(refused.count(), 2, "three wait, which are the first past the bound: {answers:?}");
}
