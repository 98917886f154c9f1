//! Who is online, and who is typing: people, with any number of connections.
#![allow(missing_docs, clippy::unwrap_used)]

use std::time::Duration;

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
