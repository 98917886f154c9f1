//! Open channels are joined by publishing to them, and a connection does not trust for long that they are.

use std::time::Duration;

use chatcore::protocol::{ChatEvent, Command};
use chatcore::testkit::{Faults, FaultyStore};
use chatcore::{Chat, Client, Identity, Limits, MemoryStore, Mention, NewMessage, Role};
use tokio::task::yield_now;
use tokio::time::{advance, timeout};

use super::{chat, join, until, user};

/// Returns the role in which a channel is in the list now, if it is.
fn joined(event: &ChatEvent) -> Option<Role> {
    match event {
        ChatEvent::ChannelAdded { channel, .. } => channel.role,
        _ => None,
    }
}

/// Waits until nothing calls the store any more, and returns how many calls there were.
async fn settled(store: &FaultyStore<MemoryStore>) -> usize {
    let mut calls = 0;
    while calls < store.calls() {
        calls = store.calls();
        for _ in 0..100 {
            yield_now().await;
        }
    }
    calls
}

async fn leave(client: &Client, channel: &str) {
    client.call::<serde_json::Value>(Command::Leave { channel: channel.to_owned() }).await.unwrap();
}

/// An open channel is joined by publishing, and left without a word in its log.
#[tokio::test]
async fn an_open_channel_is_joined_by_publishing() {
    let chat = chat();
    let (ann, mut bob) = (join(&chat, "ann").await, join(&chat, "bob").await);
    ann.create_channel("general", "").await.unwrap();
    let role = async |client: &Client| client.channels().await.unwrap()[0].role;
    assert_eq!((role(&ann).await, role(&bob).await), (Some(Role::Owner), None));
    let said = bob.publish("general", "hello").await.unwrap();
    assert_eq!(until(&mut bob, joined).await, Role::Member);
    assert_eq!(role(&bob).await, Some(Role::Member));
    bob.call::<serde_json::Value>(Command::Leave { channel: "general".to_owned() }).await.unwrap();
    assert_eq!(role(&bob).await, None);
    assert_eq!(ann.subscribe("general").await.unwrap().head, said.seq);
    until(&mut bob, |event| matches!(event, ChatEvent::ChannelAdded { .. }).then_some(())).await;
    bob.publish("general", "again").await.unwrap();
    assert_eq!(until(&mut bob, joined).await, Role::Member, "and joined again");
}

/// A user who publishes to many channels in turn joins each of them once: later messages don't ask the store.
#[tokio::test]
async fn a_channel_is_joined_with_the_first_message_alone() {
    const CHANNELS: usize = 100;
    let store = FaultyStore::new(MemoryStore::new(), Faults::default(), 1);
    let mut limits = Limits::default();
    limits.channels_at_once = CHANNELS as u32;
    (limits.commands_per_second, limits.command_burst) = (1_000_000, 1_000_000);
    let chat = Chat::builder(store.clone()).limits(limits).build();
    let (ann, mut bob) = (join(&chat, "ann").await, join(&chat, "bob").await);
    let names: Vec<String> = (0..CHANNELS).map(|n| format!("c{n}")).collect();
    for name in &names {
        ann.create_channel(name, "").await.unwrap();
        bob.publish(name, "first").await.unwrap();
        until(&mut bob, joined).await;
    }
    let before = settled(&store).await;
    for name in &names {
        bob.publish(name, "second").await.unwrap();
    }
    assert_eq!(settled(&store).await - before, CHANNELS, "an append each");
    let mention = || NewMessage::text("all of you").mention(Mention::Here);
    let before = settled(&store).await;
    bob.send("c0", mention()).await.unwrap();
    assert_eq!(settled(&store).await - before, 2, "an append, and a look at who may be mentioned");
}

/// Waits, on the paused clock, until a channel is in the list of a user who was not in it.
async fn has_joined(client: &mut Client) {
    let role = timeout(Duration::from_secs(60), until(client, joined)).await;
    assert_eq!(role.expect("they have joined"), Role::Member);
}

fn failing_store() -> (FaultyStore<MemoryStore>, Chat) {
    let store = FaultyStore::new(MemoryStore::new(), Faults::default(), 1);
    (store.clone(), Chat::builder(store).build())
}

/// The store refuses to let a publisher join: the next message asks again.
#[tokio::test(start_paused = true)]
async fn a_join_that_the_store_refused_is_asked_for_with_the_next_message() {
    let (store, chat) = failing_store();
    let (ann, mut bob) = (join(&chat, "ann").await, join(&chat, "bob").await);
    ann.create_channel("general", "").await.unwrap();
    settled(&store).await;
    // The message is stored, and the join waits before it begins.
    let slow = Faults { delay: 1.0, longest_delay: Duration::from_secs(1), ..Faults::default() };
    store.set_faults(slow);
    bob.publish("general", "first").await.unwrap();
    store.set_faults(Faults { before_write: 1.0, ..Faults::default() });
    settled(&store).await;
    advance(Duration::from_secs(2)).await;
    settled(&store).await;
    store.set_faults(Faults::default());
    assert_eq!(bob.channels().await.unwrap()[0].role, None, "the store has refused");
    bob.publish("general", "second").await.unwrap();
    has_joined(&mut bob).await;
}

/// A user has left, and the store fails as they are to be told: their next message joins all the same.
#[tokio::test(start_paused = true)]
async fn a_message_after_leaving_joins_again_though_nobody_could_be_told() {
    let (store, chat) = failing_store();
    let (ann, mut bob) = (join(&chat, "ann").await, join(&chat, "bob").await);
    let mut other = join(&chat, "bob").await;
    ann.create_channel("general", "").await.unwrap();
    for client in [&mut bob, &mut other] {
        client.publish("general", "first").await.unwrap();
    }
    until(&mut bob, joined).await;
    settled(&store).await;
    let slow = Faults { delay: 1.0, longest_delay: Duration::from_secs(1), ..Faults::default() };
    store.set_faults(slow);
    leave(&bob, "general").await;
    store.set_faults(Faults { read: 1.0, ..Faults::default() });
    settled(&store).await;
    advance(Duration::from_secs(2)).await;
    settled(&store).await;
    store.set_faults(Faults::default());
    assert_eq!(bob.channels().await.unwrap()[0].role, None);
    other.publish("general", "second").await.unwrap();
    has_joined(&mut bob).await;
}

/// So much is to be told that a join is dropped: the next message asks again.
#[tokio::test(start_paused = true)]
async fn a_join_for_which_there_is_no_room_is_asked_for_with_the_next_message() {
    let (store, chat) = failing_store();
    let (ann, mut bob) = (join(&chat, "ann").await, join(&chat, "bob").await);
    ann.create_channel("general", "").await.unwrap();
    bob.publish("general", "before").await.unwrap();
    has_joined(&mut bob).await;
    leave(&bob, "general").await;
    settled(&store).await;
    // Each new connection is told of. The first of them wait for the store, the others in the queue.
    let held = store.hold_answers();
    for _ in 0..2 {
        for _ in 0..10_000 {
            chat.connect(Identity::new(user("carol"))).unwrap();
        }
        settled(&store).await;
    }
    bob.publish("general", "first").await.unwrap();
    drop(held);
    settled(&store).await;
    assert_eq!(bob.channels().await.unwrap()[0].role, None, "there was no room");
    bob.publish("general", "second").await.unwrap();
    has_joined(&mut bob).await;
}

/// What another node did may never be heard of here, so the store is asked from time to time.
#[tokio::test(start_paused = true)]
async fn whether_a_publisher_has_joined_is_asked_again_after_a_while() {
    let (store, chat) = failing_store();
    let (ann, mut bob) = (join(&chat, "ann").await, join(&chat, "bob").await);
    ann.create_channel("general", "").await.unwrap();
    bob.publish("general", "first").await.unwrap();
    until(&mut bob, joined).await;
    settled(&store).await;
    // Another process on the same database.
    let elsewhere = Chat::builder(store.clone()).build();
    leave(&join(&elsewhere, "bob").await, "general").await;
    bob.publish("general", "second").await.unwrap();
    settled(&store).await;
    assert_eq!(bob.channels().await.unwrap()[0].role, None, "nobody has told this process");
    advance(Duration::from_secs(10 * 60)).await;
    bob.publish("general", "third").await.unwrap();
    has_joined(&mut bob).await;
}
