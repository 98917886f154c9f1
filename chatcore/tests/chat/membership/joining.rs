//! Open channels are joined by publishing to them, and a connection does not trust for long that they are.

use std::time::Duration;

use chatcore::protocol::{ChatEvent, Command};
use chatcore::testkit::{Faults, FaultyStore};
use chatcore::{ChannelName, Chat, Client, Identity, Limits, MemoryStore, Mention, NewMessage, Role, UserId};
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

/// The join of a first message may still wait when its author leaves, is removed, or gets a role.
#[tokio::test]
async fn a_first_message_has_joined_before_its_author_leaves() {
    let store = FaultyStore::new(MemoryStore::new(), Faults::default(), 1);
    let chat = Chat::builder(store.clone()).build();
    let (ann, bob) = (join(&chat, "ann").await, join(&chat, "bob").await);
    let role = async |name: &str| {
        let channels = bob.channels().await.unwrap();
        channels.iter().find(|channel| channel.name.as_str() == name).unwrap().role
    };
    let commands: [fn(String) -> (bool, Command); 3] = [
        |channel| (true, Command::Leave { channel }),
        |channel| (false, Command::RemoveMember { channel, user: "u_bob".to_owned() }),
        |channel| (false, Command::SetRole { channel, user: "u_bob".to_owned(), role: Role::Owner }),
    ];
    for (n, command) in commands.into_iter().enumerate() {
        let name = format!("c{n}");
        ann.create_channel(&name, "").await.unwrap();
        bob.publish(&name, "hello and goodbye").await.unwrap();
        let (is_bobs, command) = command(name.clone());
        let client = if is_bobs { &bob } else { &ann };
        client.call::<serde_json::Value>(command).await.unwrap();
        settled(&store).await;
        assert_eq!(role(&name).await, [None, None, Some(Role::Owner)][n], "{name}");
    }
    // By the app itself.
    ann.create_channel("c3", "").await.unwrap();
    bob.publish("c3", "hello and goodbye").await.unwrap();
    let (name, bobs_id) = (ChannelName::new("c3").unwrap(), UserId::new("u_bob").unwrap());
    chat.remove_member(&user("ann"), &name, &bobs_id).await.unwrap();
    settled(&store).await;
    assert_eq!(role("c3").await, None);
}

/// The first message to each of many channels joins that channel. Later messages don't ask the store.
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

/// A chat on a store that can fail. Ann has created the open channel "general".
struct General {
    store: FaultyStore<MemoryStore>,
    chat: Chat,
    bob: Client,
}

impl General {
    async fn open() -> Self {
        let store = FaultyStore::new(MemoryStore::new(), Faults::default(), 1);
        let chat = Chat::builder(store.clone()).build();
        join(&chat, "ann").await.create_channel("general", "").await.unwrap();
        let bob = join(&chat, "bob").await;
        settled(&store).await;
        Self { store, chat, bob }
    }

    /// Slows the store down, so that what `call` leaves for later has not begun when it returns. That has these `faults`.
    async fn fails_after(&self, call: impl Future, faults: Faults) {
        let slow = Faults { delay: 1.0, longest_delay: Duration::from_secs(1), ..Faults::default() };
        self.store.set_faults(slow);
        call.await;
        self.store.set_faults(faults);
        settled(&self.store).await;
        advance(Duration::from_secs(2)).await;
        settled(&self.store).await;
        self.store.set_faults(Faults::default());
    }

    /// Returns Bob's role in the channel, as the store has it.
    async fn role(&self) -> Option<Role> {
        self.bob.channels().await.unwrap()[0].role
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_message_repeats_a_join_that_failed() {
    let mut general = General::open().await;
    let first = async { general.bob.publish("general", "first").await.unwrap() };
    general.fails_after(first, Faults { before_write: 1.0, ..Faults::default() }).await;
    assert_eq!(general.role().await, None, "the store has refused");
    general.bob.publish("general", "second").await.unwrap();
    has_joined(&mut general.bob).await;
}

/// Another connection of Bob's is to be told that he has left, and the store fails.
#[tokio::test(start_paused = true)]
async fn a_message_joins_again_after_an_untold_leave() {
    let mut general = General::open().await;
    let other = join(&general.chat, "bob").await;
    for client in [&general.bob, &other] {
        client.publish("general", "first").await.unwrap();
    }
    until(&mut general.bob, joined).await;
    settled(&general.store).await;
    let leaving = leave(&general.bob, "general");
    general.fails_after(leaving, Faults { read: 1.0, ..Faults::default() }).await;
    assert_eq!(general.role().await, None);
    other.publish("general", "second").await.unwrap();
    has_joined(&mut general.bob).await;
}

#[tokio::test(start_paused = true)]
async fn the_next_message_repeats_a_join_that_was_dropped() {
    let mut general = General::open().await;
    general.bob.publish("general", "before").await.unwrap();
    has_joined(&mut general.bob).await;
    leave(&general.bob, "general").await;
    settled(&general.store).await;
    // Each new connection adds one to the queue. The first of them wait for the store.
    let held = general.store.hold_answers();
    for _ in 0..2 {
        for _ in 0..10_000 {
            general.chat.connect(Identity::new(user("carol"))).unwrap();
        }
        settled(&general.store).await;
    }
    general.bob.publish("general", "first").await.unwrap();
    drop(held);
    settled(&general.store).await;
    assert_eq!(general.role().await, None, "there was no room");
    general.bob.publish("general", "second").await.unwrap();
    has_joined(&mut general.bob).await;
}

/// This node may never hear that the user has left a channel at another one.
#[tokio::test(start_paused = true)]
async fn joined_channels_are_checked_again_after_a_while() {
    let mut general = General::open().await;
    general.bob.publish("general", "first").await.unwrap();
    until(&mut general.bob, joined).await;
    settled(&general.store).await;
    // Another process on the same database.
    let elsewhere = Chat::builder(general.store.clone()).build();
    leave(&join(&elsewhere, "bob").await, "general").await;
    general.bob.publish("general", "second").await.unwrap();
    settled(&general.store).await;
    assert_eq!(general.role().await, None, "nobody has told this process");
    advance(Duration::from_secs(10 * 60)).await;
    general.bob.publish("general", "third").await.unwrap();
    has_joined(&mut general.bob).await;
}

/// What others are told waits for a store that answers no read. A leave needs none.
#[tokio::test(start_paused = true)]
async fn a_leave_goes_on_if_earlier_joins_wait_for_too_long() {
    let mut general = General::open().await;
    general.bob.publish("general", "first").await.unwrap();
    has_joined(&mut general.bob).await;
    let dave = join(&general.chat, "dave").await;
    settled(&general.store).await;
    let _held = general.store.hold_answers();
    let mut others = Vec::new();
    for count in [1, 64] {
        for n in 0..count {
            others.push(general.chat.connect(Identity::new(user(&format!("other{count}_{n}")))).unwrap());
        }
        settled(&general.store).await;
    }
    dave.publish("general", "first").await.unwrap();
    // No call of the store is done at once.
    general.store.set_faults(Faults { delay: 1.0, ..Faults::default() });
    leave(&general.bob, "general").await;
}
