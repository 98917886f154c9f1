//! Who is online, and who is typing: people, with any number of connections.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use chatcore::bus::LocalBus;
use chatcore::protocol::ChatEvent;
use chatcore::{Chat, Client, Identity, Limits, MemoryStore, User};

fn chat(edit: impl FnOnce(&mut Limits)) -> Chat {
    let mut limits = Limits::default();
    edit(&mut limits);
    Chat::builder(MemoryStore::new()).limits(limits).build()
}

async fn join(chat: &Chat, name: &str) -> Client {
    let mut client = chat.connect(Identity::new(User::new(&format!("u_{name}"), name).unwrap())).unwrap();
    assert!(matches!(client.next_event().await, Some(ChatEvent::Welcome { .. })));
    client
}

/// Returns the online users, as a subscriber sees them.
async fn listed(client: &mut Client) -> Vec<String> {
    let members = client.subscribe("a").await.unwrap().members;
    members.iter().map(|user| user.name.to_string()).collect()
}

/// Waits for the next presence event.
async fn presence(client: &mut Client) -> (String, bool) {
    loop {
        if let ChatEvent::Presence { user, online, .. } = client.next_event().await.unwrap() {
            return (user.name.to_string(), online);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_absence_has_its_own_grace_period() {
    let chat = chat(|limits| limits.presence_grace = Duration::from_secs(5));
    let mut ann = join(&chat, "ann").await;
    ann.create_channel("a", "").await.unwrap();
    ann.subscribe("a").await.unwrap();
    for _ in 0..3 {
        let bob = join(&chat, "bob").await;
        bob.subscribe("a").await.unwrap();
        drop(bob);
        tokio::time::sleep(Duration::from_secs(4)).await;
    }
    assert_eq!(listed(&mut ann).await, ["ann", "bob"], "four seconds into the third absence");
    assert_eq!(presence(&mut ann).await, ("bob".to_owned(), true));
    assert_eq!(presence(&mut ann).await, ("bob".to_owned(), false), "and no coming in between");
}

#[tokio::test(start_paused = true)]
async fn a_full_list_of_members_adds_people_as_others_leave() {
    let chat = chat(|limits| {
        limits.presence_members = 2;
        limits.presence_grace = Duration::from_secs(5);
    });
    let mut ann = join(&chat, "ann").await;
    ann.create_channel("a", "").await.unwrap();
    ann.subscribe("a").await.unwrap();
    let mut others = Vec::new();
    for name in ["bob", "cid", "dan", "eve"] {
        let other = join(&chat, name).await;
        other.subscribe("a").await.unwrap();
        others.push(other);
    }
    assert_eq!(listed(&mut ann).await, ["ann", "bob"]);
    // Dan, who waits, comes before Bob.
    drop(others.remove(2));
    drop(others.remove(0));
    for expected in [("bob", true), ("bob", false), ("cid", true)] {
        assert_eq!(presence(&mut ann).await, (expected.0.to_owned(), expected.1));
    }
    assert_eq!(presence(&mut others[0]).await, ("bob".to_owned(), false));
    assert_eq!(presence(&mut others[0]).await, ("cid".to_owned(), true), "Cid hears it too");
    drop(others.remove(0));
    assert_eq!(presence(&mut ann).await, ("cid".to_owned(), false));
    assert_eq!(presence(&mut ann).await, ("eve".to_owned(), true));
    assert_eq!(listed(&mut ann).await, ["ann", "eve"]);
}

#[tokio::test]
async fn typing_is_sent_only_to_other_people() {
    let chat = chat(|_| {});
    let (mut desk, mut phone) = (join(&chat, "ann").await, join(&chat, "ann").await);
    let mut bob = join(&chat, "bob").await;
    desk.create_channel("a", "").await.unwrap();
    for client in [&mut desk, &mut phone, &mut bob] {
        client.subscribe("a").await.unwrap();
    }
    desk.typing("a").await.unwrap();
    desk.publish("a", "done").await.unwrap();
    for (client, expected) in [(&mut bob, 1), (&mut phone, 0), (&mut desk, 0)] {
        let mut told = 0;
        loop {
            match client.next_event().await.unwrap() {
                ChatEvent::Typing { user, .. } if &*user.name == "ann" => told += 1,
                ChatEvent::Message { .. } => break,
                _ => {}
            }
        }
        assert_eq!(told, expected);
    }
}

/// Returns two chats on one store that hear each other, and a channel `a`.
async fn two_nodes() -> [Chat; 2] {
    let (store, bus) = (MemoryStore::new(), Arc::new(LocalBus::new()));
    let nodes = [(); 2].map(|()| Chat::builder(store.clone()).bus(bus.clone()).build());
    join(&nodes[0], "maker").await.create_channel("a", "").await.unwrap();
    nodes
}

fn is(name: &str, online: bool) -> (String, bool) {
    (name.to_owned(), online)
}

#[tokio::test(start_paused = true)]
async fn people_of_another_node_come_and_leave() {
    let [one, other] = two_nodes().await;
    let mut ann = join(&one, "ann").await;
    ann.subscribe("a").await.unwrap();
    let bob = join(&other, "bob").await;
    bob.subscribe("a").await.unwrap();
    assert_eq!(presence(&mut ann).await, is("bob", true));
    let mut cid = join(&other, "cid").await;
    assert_eq!(listed(&mut cid).await, ["ann", "bob", "cid"]);
    assert_eq!(presence(&mut ann).await, is("cid", true));
    drop((bob, cid));
    let mut left = [presence(&mut ann).await, presence(&mut ann).await];
    left.sort();
    assert_eq!(left, [is("bob", false), is("cid", false)]);
}

#[tokio::test(start_paused = true)]
async fn a_person_who_moves_to_another_node_does_not_leave() {
    let [one, other] = two_nodes().await;
    let mut ann = join(&one, "ann").await;
    ann.subscribe("a").await.unwrap();
    let mut bob = join(&other, "bob").await;
    bob.subscribe("a").await.unwrap();
    assert_eq!(presence(&mut ann).await, is("bob", true));
    for node in [&one, &other, &one] {
        drop(bob);
        tokio::time::sleep(Duration::from_secs(3)).await;
        bob = join(node, "bob").await;
        bob.subscribe("a").await.unwrap();
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    let eve = join(&other, "eve").await;
    eve.subscribe("a").await.unwrap();
    assert_eq!(presence(&mut ann).await, is("eve", true), "nothing else was told of bob");
}

#[tokio::test(start_paused = true)]
async fn people_of_a_node_that_dies_leave_after_its_lease() {
    let [one, other] = two_nodes().await;
    let mut ann = join(&one, "ann").await;
    ann.subscribe("a").await.unwrap();
    let bob = join(&other, "bob").await;
    bob.subscribe("a").await.unwrap();
    assert_eq!(presence(&mut ann).await, is("bob", true));
    let died = tokio::time::Instant::now();
    // Its tasks end with it, so it tells nothing more, as a process that is killed.
    drop(other);
    assert_eq!(presence(&mut ann).await, is("bob", false));
    let after = died.elapsed();
    assert!((Duration::from_secs(12)..Duration::from_secs(16)).contains(&after), "{after:?}");
    drop(bob);
}

#[tokio::test(start_paused = true)]
async fn nobody_leaves_while_a_node_shuts_down() {
    let [one, other] = two_nodes().await;
    let mut ann = join(&one, "ann").await;
    ann.subscribe("a").await.unwrap();
    let mut bob = join(&other, "bob").await;
    bob.subscribe("a").await.unwrap();
    assert_eq!(presence(&mut ann).await, is("bob", true));
    other.drain();
    while bob.next_event().await.is_some() {}
    drop(bob);
    tokio::time::sleep(Duration::from_secs(9)).await;
    let bob = join(&one, "bob").await;
    bob.subscribe("a").await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    drop(bob);
    let left = tokio::time::Instant::now();
    assert_eq!(presence(&mut ann).await, is("bob", false), "once, after he has left");
    assert_eq!(left.elapsed(), Duration::from_secs(5));
}
