//! Several chats on one store, as several processes have one database.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use chatcore::bus::LocalBus;
use chatcore::protocol::{ChatEvent, CloseReason};
use chatcore::store::{Append, AppendBody, Directory, EventStore};
use chatcore::testkit::{Faults, FaultyStore};
use chatcore::{
    ChannelName, Chat, Client, ClientError, Epoch, ErrorCode, Identity, MemoryStore, Nonce, Position, User,
    UserId,
};
use tokio::time::timeout;

/// Returns two chats on one store, and a channel `a` that both have in memory.
async fn two_nodes() -> (Chat, Chat) {
    let store = MemoryStore::new();
    let nodes = (Chat::builder(store.clone()).build(), Chat::builder(store).build());
    join(&nodes.0, "maker").create_channel("a", "").await.unwrap();
    for node in [&nodes.0, &nodes.1] {
        join(node, "reader").subscribe("a").await.unwrap();
    }
    nodes
}

fn join(node: &Chat, name: &str) -> Client {
    node.connect(Identity::new(User::new(&format!("u_{name}"), name).unwrap())).unwrap()
}

/// Reads the next logged event's position.
async fn next_seq(client: &mut Client) -> u64 {
    loop {
        let event = client.next_event().await.expect("the session goes on");
        if let Some((_, seq)) = event.log_position() {
            return seq;
        }
    }
}

#[tokio::test]
async fn a_client_resumes_at_a_node_that_is_behind() {
    let (fast, slow) = two_nodes().await;
    let mut ann = join(&fast, "ann");
    let start = ann.subscribe("a").await.unwrap();
    ann.publish("a", "one").await.unwrap();
    ann.publish("a", "two").await.unwrap();
    let check = loop {
        let event = ann.next_event().await.unwrap();
        if matches!(event.log_position(), Some((_, 2))) {
            break event.check();
        }
    };
    let after = Position::new(start.epoch, 2).with_check(check);
    let mut moved = join(&slow, "ann");
    let resumed = moved.resume("a", after).await.unwrap();
    assert!(!resumed.start.is_snapshot(), "the store has the position");
    assert_eq!((resumed.head, resumed.check, resumed.start.events().len()), (2, check, 0));
    moved.publish("a", "three").await.unwrap();
    assert_eq!(next_seq(&mut moved).await, 3);
}

#[tokio::test]
async fn a_position_that_no_node_has_gets_a_reset() {
    let (fast, slow) = two_nodes().await;
    let ann = join(&fast, "ann");
    let epoch = ann.subscribe("a").await.unwrap().epoch;
    ann.publish("a", "one").await.unwrap();
    let moved = join(&slow, "ann");
    for after in [Position::new(epoch, 2), Position::new(Epoch::new("other").unwrap(), 1)] {
        let resumed = moved.resume("a", after).await.unwrap();
        assert!(resumed.start.is_snapshot());
        assert_eq!((resumed.head, resumed.start.messages().len()), (1, 1), "the snapshot is the store's");
    }
}

#[tokio::test]
async fn a_resume_is_no_reset_while_the_store_is_away() {
    let memory = MemoryStore::new();
    let store = FaultyStore::new(memory.clone(), Faults::default(), 1);
    let (fast, slow) = (Chat::builder(memory).build(), Chat::builder(store.clone()).build());
    let ann = join(&fast, "ann");
    ann.create_channel("a", "").await.unwrap();
    let moved = join(&slow, "ann");
    let epoch = moved.subscribe("a").await.unwrap().epoch;
    ann.publish("a", "one").await.unwrap();
    store.set_faults(Faults { read: 1.0, ..Faults::default() });
    let refused = moved.resume("a", Position::new(epoch.clone(), 1)).await.unwrap_err();
    assert!(matches!(&refused, ClientError::Refused(error) if error.code() == ErrorCode::Unavailable));
    store.set_faults(Faults::default());
    assert!(!moved.resume("a", Position::new(epoch, 1)).await.unwrap().start.is_snapshot());
}

#[tokio::test]
async fn an_acknowledged_message_is_in_the_next_snapshot() {
    let (one, other) = two_nodes().await;
    let (ann, bob) = (join(&one, "ann"), join(&other, "bob"));
    for n in 1..=20_u64 {
        // Each of them appends after the other, so each ring lacks the other's message.
        let (node, author) = if n % 2 == 0 { (&one, &ann) } else { (&other, &bob) };
        assert_eq!(author.publish("a", &n.to_string()).await.unwrap().seq, n);
        let seen = join(node, "reader").subscribe("a").await.unwrap();
        assert_eq!((seen.head, seen.start.messages().len() as u64), (n, n));
    }
}

#[tokio::test]
async fn live_events_of_two_writers_come_once_and_in_order() {
    let (one, other) = two_nodes().await;
    let mut readers = [join(&one, "r"), join(&other, "r")];
    for reader in &mut readers {
        reader.subscribe("a").await.unwrap();
    }
    let (ann, bob) = (join(&one, "ann"), join(&other, "bob"));
    for n in 1..=10 {
        let author = if n % 2 == 0 { &ann } else { &bob };
        author.publish("a", &n.to_string()).await.unwrap();
    }
    // Nobody tells the one node of the last message of the other.
    ann.publish("a", "for one").await.unwrap();
    bob.publish("a", "for the other").await.unwrap();
    for (reader, last) in readers.iter_mut().zip([11, 12]) {
        for expected in 1..=last {
            assert_eq!(next_seq(reader).await, expected);
        }
    }
}

/// Returns two chats on one store that hear each other, and a channel `a`.
async fn two_that_hear() -> (Chat, Chat) {
    let (store, bus) = (MemoryStore::new(), Arc::new(LocalBus::new()));
    let nodes =
        (Chat::builder(store.clone()).bus(bus.clone()).build(), Chat::builder(store).bus(bus).build());
    join(&nodes.0, "maker").create_channel("a", "").await.unwrap();
    nodes
}

/// Reads the next event that `wanted` takes.
async fn next<T>(client: &mut Client, wanted: impl Fn(ChatEvent) -> Option<T>) -> T {
    loop {
        if let Some(found) = wanted(client.next_event().await.expect("the session goes on")) {
            return found;
        }
    }
}

#[tokio::test]
async fn a_message_reaches_the_subscribers_of_another_node() {
    let (one, other) = two_that_hear().await;
    let mut bob = join(&other, "bob");
    bob.subscribe("a").await.unwrap();
    let ann = join(&one, "ann");
    for n in 1..=50 {
        ann.publish("a", "hi").await.unwrap();
        assert_eq!(next_seq(&mut bob).await, n);
    }
    assert_eq!(other.stats().bus.unwrap().gaps, 0);
}

#[tokio::test]
async fn typing_markers_and_new_channels_are_told_to_other_nodes() {
    let (one, other) = two_that_hear().await;
    let (desk, mut phone, mut bob) = (join(&one, "ann"), join(&other, "ann"), join(&other, "bob"));
    for client in [&desk, &phone, &bob] {
        client.subscribe("a").await.unwrap();
    }
    desk.publish("a", "hi").await.unwrap();
    desk.typing("a").await.unwrap();
    desk.read("a", 1).await.unwrap();
    desk.unread("a", 1).await.unwrap();
    desk.create_channel("b", "news").await.unwrap();
    let typing = |event| if let ChatEvent::Typing { user, .. } = event { Some(user.name) } else { None };
    assert_eq!(&*next(&mut bob, typing).await, "ann");
    let read = |event| if let ChatEvent::Read { seq, .. } = event { Some(seq) } else { None };
    assert_eq!(next(&mut phone, read).await, 1);
    let unread = |event| if let ChatEvent::Unread { seq, .. } = event { Some(seq) } else { None };
    assert_eq!(next(&mut phone, unread).await, 1);
    for client in [&mut phone, &mut bob] {
        let created =
            |event| if let ChatEvent::ChannelCreated { channel, .. } = event { Some(channel) } else { None };
        let channel = next(client, created).await;
        assert_eq!((channel.name.as_str(), channel.topic.as_str()), ("b", "news"));
    }
}

#[tokio::test]
async fn a_user_is_disconnected_from_all_nodes() {
    let (one, other) = two_that_hear().await;
    let (mut here, mut there) = (join(&one, "ann"), join(&other, "ann"));
    one.disconnect(&UserId::new("u_ann").unwrap(), CloseReason::Banned);
    for client in [&mut here, &mut there] {
        while client.next_event().await.is_some() {}
        assert_eq!(client.close_reason(), Some(CloseReason::Banned));
    }
}

#[tokio::test]
async fn a_right_ends_at_all_nodes() {
    let (one, other) = two_that_hear().await;
    let mut bob = join(&other, "bob");
    bob.subscribe("a").await.unwrap();
    one.revoke(&UserId::new("u_bob").unwrap(), &ChannelName::new("a").unwrap());
    let removed = |event| matches!(event, ChatEvent::ChannelRemoved { .. }).then_some(());
    next(&mut bob, removed).await;
}

#[tokio::test]
async fn what_the_app_has_stored_itself_is_told_by_wake() {
    let (store, bus) = (MemoryStore::new(), Arc::new(LocalBus::new()));
    let nodes = [(); 2].map(|()| Chat::builder(store.clone()).bus(bus.clone()).build());
    let name = ChannelName::new("a").unwrap();
    let ann = User::new("u_ann", "ann").unwrap();
    let info = nodes[0].ensure_channel(&name, "", &ann).await.unwrap();
    let mut readers = nodes.each_ref().map(|node| join(node, "bob"));
    for reader in &readers {
        reader.subscribe("a").await.unwrap();
    }
    let body = AppendBody::Message {
        nonce: Nonce::random(),
        text: "stored without a chat".into(),
        reply_to: None,
        attachments: Vec::new(),
        extras: None,
    };
    store.append(vec![Append::new(info.id, ann, body)]).await.remove(0).unwrap();
    nodes[0].wake(&name).await.unwrap();
    for reader in &mut readers {
        assert_eq!(next_seq(reader).await, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_no_node_tells_of_is_shown_once() {
    let (store, bus) = (MemoryStore::new(), Arc::new(LocalBus::new()));
    let [one, other] = [(); 2].map(|()| Chat::builder(store.clone()).bus(bus.clone()).build());
    join(&one, "maker").create_channel("a", "").await.unwrap();
    let mut bob = join(&other, "bob");
    assert_eq!(bob.channels().await.unwrap().len(), 1);
    // As a process does that ends before it tells the others.
    let ann = User::new("u_ann", "ann").unwrap();
    for name in ["c", "b"] {
        store.create_channel(&ChannelName::new(name).unwrap(), "by ann", &ann).await.unwrap();
    }
    let created = |event| match event {
        ChatEvent::ChannelCreated { channel, .. } if channel.name.as_str() != "a" => Some(channel),
        _ => None,
    };
    for name in ["c", "b"] {
        let channel = timeout(Duration::from_secs(120), next(&mut bob, created)).await.expect("it is found");
        assert_eq!((channel.name.as_str(), channel.topic.as_str()), (name, "by ann"));
    }
    join(&one, "maker").create_channel("d", "").await.unwrap();
    assert_eq!(next(&mut bob, created).await.name.as_str(), "d");
    let more = timeout(Duration::from_secs(120), next(&mut bob, created)).await;
    assert!(more.is_err(), "{more:?} was shown twice");
}
