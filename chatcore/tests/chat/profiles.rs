//! People's names and pictures: who is told, and where they are shown.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use chatcore::bus::LocalBus;
use chatcore::protocol::{ChatEvent, Command, MemberList, People, Start};
use chatcore::testkit::{Faults, FaultyStore};
use chatcore::{Avatar, ChannelName, Chat, Client, ErrorCode, HistoryAccess, Identity, MemoryStore, User};
use tokio::task::yield_now;

fn user(name: &str) -> User {
    User::new(&format!("u_{name}"), name).unwrap()
}

fn picture(url: &str) -> Option<Avatar> {
    Some(Avatar::new(url).unwrap())
}

/// Connects, and waits until the store knows the user.
async fn join(chat: &Chat, user: &User) -> Client {
    let client = chat.connect(Identity::new(user.clone())).unwrap();
    while !people(&client).await.iter().any(|known| known.id == user.id) {}
    client
}

async fn people(client: &Client) -> Vec<User> {
    let found: People =
        client.call(Command::Users { query: None, channel: None, after: None, limit: None }).await.unwrap();
    found.users
}

async fn changed(client: &mut Client) -> User {
    loop {
        if let ChatEvent::UserChanged { user, .. } = client.next_event().await.unwrap() {
            return user;
        }
    }
}

fn chat() -> Chat {
    let limits =
        chatcore::Limits::default().with_commands_per_second(1_000_000).with_command_burst(1_000_000);
    Chat::builder(MemoryStore::new()).limits(limits).build()
}

#[tokio::test]
async fn a_new_picture_is_told_and_shown_by_lists_and_members() {
    let chat = chat();
    let (mut ann, bob) = (join(&chat, &user("ann")).await, join(&chat, &user("bob")).await);
    let team = chat.create_private(&user("ann"), "Team", "", HistoryAccess::All).await.unwrap();
    chat.add_member(&user("ann"), &team.name, &user("bob")).await.unwrap();
    let direct = chat.open_direct(&[user("ann"), user("bob")]).await.unwrap();
    bob.publish(team.name.as_str(), "before").await.unwrap();

    let pictured = User::new("u_bob", "Robert").unwrap().with_avatar(picture("https://example.com/b.png"));
    chat.put_profile(&pictured.id, "Robert", pictured.avatar().cloned()).await.unwrap();
    assert_eq!(changed(&mut ann).await, pictured);
    bob.publish(team.name.as_str(), "after").await.unwrap();

    assert!(people(&ann).await.contains(&pictured));
    let channel = team.name.to_string();
    let members: MemberList =
        ann.call(Command::Members { channel: channel.clone(), after: None, limit: None }).await.unwrap();
    assert!(members.members.iter().any(|member| member.user == pictured));
    let listed = ann.channels().await.unwrap();
    let listed = listed.iter().find(|listed| listed.name == direct.name).unwrap();
    assert!(listed.users.contains(&pictured));
    let opened = ann.subscribe(&channel).await.unwrap();
    let Start::Snapshot { messages, .. } = opened.start else { panic!("no snapshot") };
    assert!(messages.iter().all(|message| message.author == user("bob")), "{messages:?}");

    chat.put_profile(&pictured.id, "Robert", None).await.unwrap();
    let plain = pictured.with_avatar(None);
    assert_eq!(changed(&mut ann).await, plain);
    assert!(people(&ann).await.contains(&plain));
}

#[tokio::test]
async fn a_connection_without_a_picture_keeps_the_stored_one() {
    let chat = chat();
    let mut ann = join(&chat, &user("ann")).await;
    let pictured = user("bob").with_avatar(picture("/bob.png"));
    chat.put_profile(&pictured.id, "bob", pictured.avatar().cloned()).await.unwrap();
    let robert = User::new("u_bob", "Robert").unwrap();
    let bob = join(&chat, &robert).await;
    assert_eq!(changed(&mut ann).await, robert.clone().with_avatar(pictured.avatar().cloned()));
    drop(bob);

    // An identity with a picture replaces it, and no frame of the log has it.
    let again = robert.with_avatar(picture("/new.png"));
    let mut bob = chat.connect(Identity::new(again.clone())).unwrap();
    let Some(ChatEvent::Welcome { user: welcomed, .. }) = bob.next_event().await else {
        panic!("no welcome")
    };
    assert_eq!(welcomed, again);
    assert_eq!(changed(&mut ann).await, again);
    ann.create_channel("general", "").await.unwrap();
    ann.subscribe("general").await.unwrap();
    bob.publish("general", "hello").await.unwrap();
    let author = loop {
        if let ChatEvent::Message { message, .. } = ann.next_event().await.unwrap() {
            break message.author;
        }
    };
    assert_eq!(author.avatar(), None);
    let page = chat.history(&ChannelName::new("general").unwrap(), u64::MAX, 9).await.unwrap();
    assert_eq!(page.messages[0].author.avatar(), None);
}

#[tokio::test]
async fn a_new_picture_reaches_every_node() {
    let (store, bus) = (MemoryStore::new(), Arc::new(LocalBus::new()));
    let nodes = [0, 1].map(|_| Chat::builder(store.clone()).bus(bus.clone()).build());
    let (mut ann, _bob) = (join(&nodes[0], &user("ann")).await, join(&nodes[1], &user("bob")).await);
    let pictured = user("bob").with_avatar(picture("/bob.png"));
    nodes[1].put_profile(&pictured.id, "bob", pictured.avatar().cloned()).await.unwrap();
    assert_eq!(changed(&mut ann).await, pictured);
}

#[tokio::test]
async fn the_same_profile_again_is_not_told() {
    let chat = chat();
    let (mut ann, _bob) = (join(&chat, &user("ann")).await, join(&chat, &user("bob")).await);
    for url in ["/1.png", "/1.png", "/2.png"] {
        chat.put_profile(&user("bob").id, "bob", picture(url)).await.unwrap();
    }
    for url in ["/1.png", "/2.png"] {
        assert_eq!(changed(&mut ann).await.avatar().cloned(), picture(url));
    }
}

#[tokio::test]
async fn a_profile_that_can_not_be_stored_is_an_error() {
    let store = FaultyStore::new(MemoryStore::new(), Faults::default(), 1);
    let chat = Chat::builder(store.clone()).build();
    store.set_faults(Faults { before_write: 1.0, ..Faults::default() });
    let error = chat.put_profile(&user("bob").id, "bob", picture("/bob.png")).await.unwrap_err();
    assert_eq!((error.code(), error.code().is_retryable()), (ErrorCode::Unavailable, true));
}

async fn until_known(chat: &Chat, user: &User) {
    while chat.user(&user.id).await.unwrap().is_none() {
        yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_store_is_asked_about_many_new_people_at_once() {
    const AT_ONCE: usize = 64;
    let store = FaultyStore::new(MemoryStore::new(), Faults::default(), 1);
    let chat = Chat::builder(store.clone()).build();
    let held = store.hold_answers();
    let connect = |n: usize| chat.connect(Identity::new(user(&n.to_string()))).unwrap();
    let _clients: Vec<Client> = (0..=AT_ONCE).map(connect).collect();
    let asked = |count| tokio::time::timeout(Duration::from_secs(1), store.answers_held(count));
    asked(AT_ONCE).await.expect("as many as may be are asked about");
    asked(AT_ONCE + 1).await.expect_err("the last one is asked about later");
    drop(held);
    for n in 0..=AT_ONCE {
        until_known(&chat, &user(&n.to_string())).await;
    }
}

#[tokio::test]
async fn a_publish_joins_although_too_much_waited_at_the_one_before() {
    let store = FaultyStore::new(MemoryStore::new(), Faults::default(), 1);
    let chat = Chat::builder(store.clone()).build();
    let (name, ann) = (ChannelName::new("a").unwrap(), user("ann"));
    chat.ensure_channel(&name, "", &user("host")).await.unwrap();
    let client = join(&chat, &ann).await;
    client.subscribe("a").await.unwrap();
    let held = store.hold_answers();
    // The first one is asked about, and 10,000 wait.
    for n in 0..11_000 {
        drop(chat.connect(Identity::new(user(&n.to_string()))).unwrap());
    }
    client.publish("a", "one").await.unwrap();
    drop(held);
    until_known(&chat, &user("9000")).await;
    let role = async || chat.channels_of(&ann.id, None).await.unwrap().channels[0].role;
    assert_eq!(role().await, None, "the join had no room");
    client.publish("a", "two").await.unwrap();
    while role().await.is_none() {
        yield_now().await;
    }
}
