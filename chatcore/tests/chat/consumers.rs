//! Durable consumers of a running chat: restarts, several nodes on one store, holders that were stopped, stores that fail.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chatcore::bus::LocalBus;
use chatcore::consumer::{AckError, Batch, Consumer, Entry};
use chatcore::store::{Directory, EventKind, EventStore};
use chatcore::testkit::{Faults, FaultyStore, Random};
use chatcore::{ChannelName, Chat, ConsumerName, ErrorCode, Limits, MemoryStore, NewMessage, Seq, User};
use tokio::time::{Instant, timeout};

const HOUR: Duration = Duration::from_secs(3_600);
const SECOND: Duration = Duration::from_secs(1);

fn ann() -> User {
    User::new("u_ann", "Ann").unwrap()
}

fn name(text: &str) -> ChannelName {
    ChannelName::new(text).unwrap()
}

/// Limits with which only a ring of the bell, or the end of a lease, is noticed within an hour.
fn patient() -> Limits {
    Limits::default().with_consumer_poll(HOUR)
}

async fn say(chat: &Chat, channel: &str, text: &str) {
    chat.ensure_channel(&name(channel), "", &ann()).await.unwrap();
    chat.publish(&ann(), &name(channel), NewMessage::text(text)).await.unwrap();
}

async fn open(chat: &Chat) -> Consumer {
    chat.consumer("billing").open().await.unwrap()
}

/// Waits for the next batch, in the test's own time. No lease ends in it.
async fn next(consumer: &mut Consumer) -> Batch {
    timeout(SECOND, consumer.next()).await.expect("a batch comes at once").expect("the chat is not draining")
}

/// Returns the channels and texts of the messages in a batch.
fn said(batch: &Batch) -> Vec<String> {
    let text = |entry: &Entry| match entry {
        Entry::Event { channel, event } => match &event.kind {
            EventKind::Message(content) => format!("{} {}", channel.name, content.text),
            other => format!("{other:?}"),
        },
        other => format!("{other:?}"),
    };
    batch.iter().map(text).collect()
}

#[tokio::test(start_paused = true)]
async fn what_was_not_acked_comes_again_after_a_restart() {
    let store = MemoryStore::new();
    let chat = Chat::builder(store.clone()).limits(patient()).build();
    for text in ["one", "two", "three"] {
        say(&chat, "a", text).await;
    }
    let mut billing = open(&chat).await;
    assert_eq!(billing.name().as_str(), "billing");
    let batch = next(&mut billing).await;
    assert_eq!(said(&batch), ["a one", "a two", "a three"]);
    assert_eq!(said(&next(&mut billing).await), said(&batch), "it was not acked");
    billing.ack_first(&batch, 2).await.unwrap();
    assert_eq!(said(&next(&mut billing).await), ["a three"]);
    billing.ack_first(&batch, 1).await.unwrap();
    assert_eq!(said(&next(&mut billing).await), ["a three"], "the first was acked before");
    drop((billing, chat));

    let chat = Chat::builder(store).limits(patient()).build();
    let mut billing = open(&chat).await;
    // The lease of the handle that was dropped is ended by a task.
    let batch = billing.next().await.unwrap();
    assert_eq!(said(&batch), ["a three"]);
    say(&chat, "a", "four").await;
    billing.ack(&batch).await.unwrap();
    billing.ack(&batch).await.unwrap();
    assert_eq!(said(&next(&mut billing).await), ["a four"]);
}

#[tokio::test(start_paused = true)]
async fn one_node_reads_at_a_time_and_another_takes_over() {
    let store = MemoryStore::new();
    let nodes = [(); 2].map(|()| Chat::builder(store.clone()).build());
    say(&nodes[0], "a", "one").await;
    let (mut first, mut second) = (open(&nodes[0]).await, open(&nodes[1]).await);
    let batch = next(&mut first).await;
    assert!(timeout(HOUR, second.next()).await.is_err(), "the first one keeps its lease");
    drop(first);
    let again = timeout(6 * SECOND, second.next()).await.expect("a third of the lease is enough").unwrap();
    assert_eq!(said(&again), said(&batch));
    second.ack(&again).await.unwrap();
    say(&nodes[0], "a", "two").await;
    // Without a bus, it asks the store.
    let batch = timeout(6 * SECOND, second.next()).await.expect("it asks").unwrap();
    assert_eq!(said(&batch), ["a two"]);
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_was_stopped_can_not_move_the_position() {
    let memory = MemoryStore::new();
    let stopped = FaultyStore::new(memory.clone(), Faults::default(), 1);
    let nodes = [Chat::builder(stopped.clone()).build(), Chat::builder(memory).build()];
    for text in ["one", "two"] {
        say(&nodes[1], "a", text).await;
    }
    let (mut first, mut second) = (open(&nodes[0]).await, open(&nodes[1]).await);
    let batch = next(&mut first).await;
    // Nothing of the first node reaches the store, as if it was stopped.
    let held = stopped.hold();
    let began = Instant::now();
    let taken = second.next().await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(10), "the lease ended after {:?}", began.elapsed());
    assert_eq!(said(&taken), said(&batch));
    second.ack_first(&taken, 1).await.unwrap();
    drop(held);
    let refused = first.ack(&batch).await.unwrap_err();
    assert!(matches!(refused, AckError::Lost), "{refused:?}");
    let refused = first.ack(&batch).await.unwrap_err();
    assert!(matches!(refused, AckError::Lost), "{refused:?}");
    assert_eq!(said(&next(&mut second).await), ["a two"], "the position is where the second one has put it");
    assert!(timeout(HOUR, first.next()).await.is_err(), "the second one goes on");
    drop(second);
    let again = first.next().await.unwrap();
    assert_eq!(said(&again), ["a two"]);
    let refused = first.ack(&batch).await.unwrap_err();
    assert!(matches!(refused, AckError::Lost), "a batch of the earlier lease: {refused:?}");
    first.ack(&again).await.unwrap();
}

/// A process that was stopped, and goes on with a batch in hand, asks first whether it still has the lease.
#[tokio::test(start_paused = true)]
async fn a_batch_of_a_lost_lease_is_not_returned_again() {
    let memory = MemoryStore::new();
    let stopped = FaultyStore::new(memory.clone(), Faults::default(), 1);
    let nodes = [Chat::builder(stopped.clone()).build(), Chat::builder(memory).build()];
    say(&nodes[1], "a", "one").await;
    let (mut first, mut second) = (open(&nodes[0]).await, open(&nodes[1]).await);
    next(&mut first).await;
    let held = stopped.hold();
    let taken = second.next().await.unwrap();
    second.ack(&taken).await.unwrap();
    drop(held);
    assert!(
        timeout(HOUR, first.next()).await.is_err(),
        "there is nothing to read, and it is not the first's turn"
    );
}

#[tokio::test(start_paused = true)]
async fn an_append_wakes_a_consumer_here_and_at_another_node() {
    let (store, bus) = (MemoryStore::new(), Arc::new(LocalBus::new()));
    let nodes = [(); 2].map(|()| Chat::builder(store.clone()).bus(bus.clone()).limits(patient()).build());
    let mut billing = open(&nodes[0]).await;
    assert!(timeout(10 * SECOND, billing.next()).await.is_err(), "there is nothing");
    for (node, channel) in [(0, "new-here"), (1, "new-there"), (0, "new-here"), (1, "new-there")] {
        let waiting = tokio::spawn(async move {
            let batch = next(&mut billing).await;
            billing.ack(&batch).await.unwrap();
            (billing, batch)
        });
        tokio::task::yield_now().await;
        say(&nodes[node], channel, "x").await;
        let (consumer, batch) = waiting.await.unwrap();
        billing = consumer;
        assert_eq!(said(&batch), [format!("{channel} x")]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_read_any_more_is_told_as_a_reset() {
    let store = MemoryStore::with_retention(10);
    let chat = Chat::builder(store.clone()).limits(patient()).build();
    let mut billing = open(&chat).await;
    for i in 0..30 {
        say(&chat, "long", &i.to_string()).await;
    }
    say(&chat, "short", "x").await;
    let batch = next(&mut billing).await;
    let channel = store.channel(&name("long")).await.unwrap().unwrap();
    let head = store.heads(&[channel.id]).await.unwrap().remove(0).unwrap();
    assert_eq!(batch[0], Entry::Reset { channel: Arc::new(channel), head });
    assert_eq!(batch[0].channel().name, name("long"));
    assert_eq!(said(&batch)[1..], ["short x"]);
    billing.ack(&batch).await.unwrap();
    say(&chat, "long", "30").await;
    assert_eq!(said(&next(&mut billing).await), ["long 30"], "it goes on after the head");
}

#[tokio::test(start_paused = true)]
async fn a_consumer_from_the_end_reads_what_comes_later() {
    let chat = Chat::builder(MemoryStore::new()).limits(patient()).build();
    say(&chat, "a", "before").await;
    let mut late = chat.consumer("late").start_at_end().open().await.unwrap();
    say(&chat, "a", "after").await;
    say(&chat, "b", "new").await;
    let batch = next(&mut late).await;
    assert_eq!(said(&batch), ["a after", "b new"]);
    late.ack(&batch).await.unwrap();
    drop(late);
    let mut late = chat.consumer("late").start_at_end().open().await.unwrap();
    say(&chat, "a", "again").await;
    assert_eq!(said(&late.next().await.unwrap()), ["a again"], "an existing one goes on where it is");
}

#[tokio::test(start_paused = true)]
async fn channels_that_are_not_chosen_are_passed_over() {
    let store = MemoryStore::new();
    let chat = Chat::builder(store.clone()).limits(patient()).build();
    for i in 0..3 {
        say(&chat, "orders.eu", &i.to_string()).await;
        say(&chat, "random", &i.to_string()).await;
    }
    let orders = || chat.consumer("orders").channels(|channel| channel.name.as_str().starts_with("orders."));
    let mut consumer = orders().open().await.unwrap();
    let batch = next(&mut consumer).await;
    assert_eq!(said(&batch), ["orders.eu 0", "orders.eu 1", "orders.eu 2"]);
    consumer.ack(&batch).await.unwrap();
    assert!(timeout(SECOND, consumer.next()).await.is_err());
    drop(consumer);
    say(&chat, "random", "3").await;
    let mut all = chat.consumer("orders").open().await.unwrap();
    assert_eq!(said(&all.next().await.unwrap()), ["random 3"], "it is read from where it was passed");
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_bounded_and_every_channel_gets_its_turn() {
    let limits = patient().with_consumer_events(4);
    let chat = Chat::builder(MemoryStore::new()).limits(limits).build();
    for i in 0..9 {
        say(&chat, "busy", &i.to_string()).await;
    }
    let mut billing = open(&chat).await;
    let batch = next(&mut billing).await;
    assert_eq!(said(&batch), ["busy 0", "busy 1", "busy 2", "busy 3"]);
    billing.ack(&batch).await.unwrap();
    for channel in ["quiet-1", "quiet-2"] {
        say(&chat, channel, "x").await;
    }
    let batch = next(&mut billing).await;
    assert_eq!(said(&batch), ["busy 4", "quiet-1 x", "quiet-2 x"], "each has its part of four");
    billing.ack(&batch).await.unwrap();
    drop((billing, chat));

    // Bytes bound a batch too, but for the first event of each channel.
    let limits = patient().with_consumer_bytes(3_000);
    let chat = Chat::builder(MemoryStore::new()).limits(limits).build();
    for text in ["a", "b", "c"] {
        say(&chat, "long", &text.repeat(1_000)).await;
    }
    let mut billing = open(&chat).await;
    for expected in [2, 1] {
        let batch = next(&mut billing).await;
        assert_eq!(batch.len(), expected);
        billing.ack(&batch).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn more_channels_than_a_batch_has_are_read_in_turn() {
    let chat = Chat::builder(MemoryStore::new()).limits(patient()).build();
    for i in 0..70 {
        say(&chat, &format!("channel-{i:02}"), "x").await;
    }
    let mut billing = open(&chat).await;
    let mut read = Vec::new();
    for expected in [32, 32, 6] {
        let batch = next(&mut billing).await;
        assert_eq!(batch.len(), expected);
        // One that has been read gets news before the others had their turn.
        say(&chat, "channel-00", "y").await;
        read.extend(said(&batch));
        billing.ack(&batch).await.unwrap();
    }
    assert_eq!(read, (0..70).map(|i| format!("channel-{i:02} x")).collect::<Vec<_>>());
    assert_eq!(said(&next(&mut billing).await), ["channel-00 y"; 3]);
}

#[tokio::test(start_paused = true)]
async fn there_are_as_many_consumers_as_the_limit_says() {
    let chat = Chat::builder(MemoryStore::new()).limits(Limits::default().with_consumers(2)).build();
    for consumer in ["one", "two", "one"] {
        chat.consumer(consumer).open().await.unwrap();
    }
    let refused = chat.consumer("three").open().await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::NotAllowed);
    assert_eq!(refused.to_string(), "this server can have at most 2 consumers");
    for invalid in ["", "with space", &"x".repeat(65)] {
        let refused = chat.consumer(invalid).open().await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::BadName, "{invalid:?}");
    }
    let names = chat.consumers().await.unwrap();
    assert_eq!(names.iter().map(ConsumerName::as_str).collect::<Vec<_>>(), ["one", "two"]);
    assert!(chat.remove_consumer(&names[0]).await.unwrap());
    assert!(!chat.remove_consumer(&names[0]).await.unwrap());
    chat.consumer("x".repeat(64)).open().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_removed_consumer_reads_and_acks_nothing() {
    let chat = Chat::builder(MemoryStore::new()).build();
    say(&chat, "a", "one").await;
    let mut billing = open(&chat).await;
    let batch = next(&mut billing).await;
    assert!(chat.remove_consumer(billing.name()).await.unwrap());
    let refused = billing.ack(&batch).await.unwrap_err();
    assert!(matches!(refused, AckError::Lost), "{refused:?}");
    assert!(timeout(HOUR, billing.next()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_asked_again() {
    let store = FaultyStore::new(MemoryStore::new(), Faults::default(), 1);
    let chat = Chat::builder(store.clone()).limits(patient()).build();
    say(&chat, "a", "one").await;
    let mut billing = open(&chat).await;
    // First it has no lease, then it can't read.
    for faults in
        [Faults { before_write: 1.0, ..Faults::default() }, Faults { read: 1.0, ..Faults::default() }]
    {
        store.set_faults(faults);
        assert!(timeout(60 * SECOND, billing.next()).await.is_err());
    }
    store.set_faults(Faults::default());
    let batch = timeout(9 * SECOND, billing.next()).await.expect("it asks again").unwrap();
    store.set_faults(Faults::everywhere(1.0));
    assert!(timeout(9 * SECOND, billing.ack(&batch)).await.is_err(), "it tries again");
    store.set_faults(Faults::default());
    let batch = billing.next().await.expect("the batch, or a new lease and the batch");
    billing.ack(&batch).await.unwrap();
    assert!(timeout(HOUR, billing.next()).await.is_err(), "it was acked");
}

#[tokio::test(start_paused = true)]
async fn a_chat_that_drains_ends_its_consumers() {
    let store = MemoryStore::new();
    let chat = Chat::builder(store.clone()).build();
    say(&chat, "a", "one").await;
    let mut billing = open(&chat).await;
    let batch = next(&mut billing).await;
    chat.drain();
    billing.ack(&batch).await.unwrap();
    assert!(billing.next().await.is_none());
    assert!(billing.next().await.is_none());
    let other = Chat::builder(store).build();
    let mut taken = open(&other).await;
    say(&other, "a", "two").await;
    let batch = timeout(6 * SECOND, taken.next()).await.expect("the lease was given up").unwrap();
    assert_eq!(said(&batch), ["a two"]);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_idle_channels_cost_nothing() {
    let store = MemoryStore::new();
    let chat = Chat::builder(store.clone()).limits(patient().with_channels(10_001)).build();
    for i in 0..10_000 {
        store.create_channel(&name(&format!("idle-{i}")), "", &ann()).await.unwrap();
    }
    // A consumer that loaded or asked for the idle ones would do so for each of a thousand events.
    let counted = FaultyStore::new(store, Faults::default(), 1);
    let reading = Chat::builder(counted.clone()).limits(patient()).build();
    let mut billing = reading.consumer("billing").start_at_end().open().await.unwrap();
    assert!(timeout(SECOND, billing.next()).await.is_err());
    let before = counted.calls();
    say(&chat, "busy", "x").await;
    reading.wake(&name("busy")).await.unwrap();
    let batch = next(&mut billing).await;
    billing.ack(&batch).await.unwrap();
    assert_eq!(said(&batch), ["busy x"]);
    let calls = counted.calls() - before;
    assert!(calls <= 6, "{calls} calls for one event");
    assert_eq!(reading.stats().loaded_channels, 0);
}

#[tokio::test(start_paused = true)]
async fn an_event_as_json_is_what_clients_get() {
    let chat = Chat::builder(MemoryStore::new()).limits(patient()).base("/chat").build();
    say(&chat, "a", "one \"1\"").await;
    let mut billing = open(&chat).await;
    let batch = next(&mut billing).await;
    let Entry::Event { channel, event } = &batch[0] else { panic!("{batch:?}") };
    let json: serde_json::Value = serde_json::from_slice(&chat.event_json(&channel.name, event)).unwrap();
    assert_eq!((&json["type"], &json["channel"], &json["seq"]), (&"message".into(), &"a".into(), &1.into()));
    assert_eq!((&json["text"], &json["author"]["name"]), (&"one \"1\"".into(), &"Ann".into()));
}

/// Two nodes read for one consumer, on a store that fails and is slow, and calls are dropped at any point. Each event comes,
/// in the order of its channel; what was acked does not come again.
#[tokio::test(start_paused = true)]
async fn nothing_is_lost_whatever_fails() {
    const EVENTS: Seq = 60;
    let random = Random::from_env();
    let memory = MemoryStore::new();
    let writer = Chat::builder(memory.clone()).build();
    let channels = ["a", "b", "c"];
    for channel in channels {
        writer.ensure_channel(&name(channel), "", &ann()).await.unwrap();
    }
    let stores = [1, 2].map(|_| FaultyStore::new(memory.clone(), Faults::default(), random.below(u64::MAX)));
    let nodes = stores.clone().map(|store| Chat::builder(store).build());
    let mut consumers = Vec::new();
    for node in &nodes {
        consumers.push(open(node).await);
    }
    let faults = Faults { delay: 0.3, longest_delay: 4 * SECOND, ..Faults::everywhere(0.2) };
    stores.iter().for_each(|store| store.set_faults(faults));
    let mut progress = Progress::default();
    let mut written = 0;
    while !channels.iter().all(|channel| progress.has_tried(channel, EVENTS)) {
        for channel in channels.iter().filter(|_| written < EVENTS) {
            writer.publish(&ann(), &name(channel), NewMessage::text("x")).await.unwrap();
        }
        written += 1;
        assert!(written < 100_000, "{progress:?} of {EVENTS}; seed {}", random.seed());
        let at = random.below(2) as usize;
        if random.chance(0.05) {
            consumers[at] = open_until(&nodes[at]).await;
        }
        let consumer = &mut consumers[at];
        let patience = Duration::from_millis(random.below(30_000));
        let Ok(batch) = timeout(patience, consumer.next()).await else { continue };
        let batch = batch.unwrap();
        progress.see(&batch, random.seed());
        let count = random.below(batch.len() as u64 + 1) as usize;
        let outcome = timeout(patience, consumer.ack_first(&batch, count)).await;
        progress.ack(&batch[..count], matches!(outcome, Ok(Ok(()))));
    }
    // An ack whose outcome is unknown was done, or its events come again.
    drop(consumers);
    stores.iter().for_each(|store| store.set_faults(Faults::default()));
    let mut consumer = open(&nodes[0]).await;
    while let Ok(batch) = timeout(HOUR, consumer.next()).await {
        let batch = batch.unwrap();
        progress.see(&batch, random.seed());
        consumer.ack(&batch).await.unwrap();
        progress.ack(&batch, true);
    }
    assert!(progress.seen.values().all(|seq| *seq == EVENTS), "{progress:?}; seed {}", random.seed());
}

/// How far a consumer has come in each channel.
#[derive(Debug, Default)]
struct Progress {
    seen: HashMap<String, Seq>,
    acked: HashMap<String, Seq>,
    /// What it has tried to ack.
    tried: HashMap<String, Seq>,
}

impl Progress {
    fn see(&mut self, batch: &[Entry], seed: u64) {
        for entry in batch {
            let Entry::Event { channel, event } = entry else { panic!("{entry:?}") };
            let last = self.seen.entry(channel.name.to_string()).or_default();
            assert!(event.seq <= *last + 1, "{} after {last}: a gap; seed {seed}", event.seq);
            *last = event.seq.max(*last);
            let done = self.acked.get(channel.name.as_str()).copied().unwrap_or_default();
            assert!(event.seq > done, "{} was acked; seed {seed}", event.seq);
        }
    }

    fn ack(&mut self, entries: &[Entry], is_done: bool) {
        for entry in entries {
            let Entry::Event { channel, event } = entry else { continue };
            self.tried.insert(channel.name.to_string(), event.seq);
            if is_done {
                self.acked.insert(channel.name.to_string(), event.seq);
            }
        }
    }

    fn has_tried(&self, channel: &str, seq: Seq) -> bool {
        self.tried.get(channel) == Some(&seq)
    }
}

async fn open_until(node: &Chat) -> Consumer {
    loop {
        if let Ok(consumer) = node.consumer("billing").open().await {
            return consumer;
        }
    }
}
