//! Several chats on one store, as several processes have one database.
#![allow(missing_docs, clippy::unwrap_used)]

use chatcore::testkit::{Faults, FaultyStore};
use chatcore::{Chat, Client, ClientError, Epoch, ErrorCode, Identity, MemoryStore, Position, User};

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
