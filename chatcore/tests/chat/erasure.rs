//! People who are erased while others look on.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use chatcore::attachments::FileKind;
use chatcore::blob::FolderBlobs;
use chatcore::bus::LocalBus;
use chatcore::protocol::{ChatEvent, CloseReason, Command, ConnectError, DirectOpened};
use chatcore::store::{Append, AppendBody, AttachmentIndex, Erasures, EventStore, Membership, NextTraces};
use chatcore::testkit::{Faults, FaultyStore};
use chatcore::{
    ChannelName, Chat, Client, ClientError, Erasure, ErrorCode, HistoryAccess, Identity, MemoryStore,
    Mention, NewMessage, Role, Seq, User, UserId,
};
use futures::StreamExt;
use tokio::time::timeout;

fn ann() -> User {
    User::new("u_1", "Ann").unwrap()
}

fn bob() -> User {
    User::new("u_2", "Bob").unwrap()
}

fn zoe() -> User {
    User::new("u_9", "Zoë Quiz").unwrap()
}

fn gone() -> User {
    User::erased(zoe().id)
}

fn name(text: &str) -> ChannelName {
    ChannelName::new(text).unwrap()
}

fn chat() -> Chat {
    Chat::builder(MemoryStore::new()).build()
}

async fn join(chat: &Chat, user: &User) -> Client {
    chat.remember_user(user).await.unwrap();
    let mut client = chat.connect(Identity::new(user.clone())).unwrap();
    client.next_event().await.expect("a welcome");
    client
}

async fn say(chat: &Chat, by: &User, channel: &ChannelName, text: &str) -> Seq {
    chat.publish(by, channel, NewMessage::text(text)).await.unwrap().seq
}

/// Waits for an event that fits.
async fn until<T>(client: &mut Client, fits: impl Fn(&ChatEvent) -> Option<T>) -> T {
    loop {
        let event = client.next_event().await.expect("the connection is open");
        if let Some(found) = fits(&event) {
            return found;
        }
    }
}

/// Waits until the connection is closed.
async fn closed(client: &mut Client) -> CloseReason {
    while client.next_event().await.is_some() {}
    client.close_reason().unwrap()
}

/// Waits until an erasure is done.
async fn done(chat: &Chat, user: &UserId) {
    let all = async {
        while !chat.erasure(user).await.unwrap().expect("they were erased").done {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(60), all).await.expect("the erasure ends");
}

/// Returns why the erased person can't connect.
fn refused(chat: &Chat) -> ConnectError {
    chat.connect(Identity::new(zoe())).expect_err("they were erased")
}

fn code<T>(result: Result<T, ClientError>) -> ErrorCode {
    match result {
        Err(ClientError::Refused(error)) => error.code(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("accepted"),
    }
}

/// Everything that a client can read of a channel, as text.
async fn everything(client: &Client, channel: &str) -> String {
    let start = client.subscribe(channel).await.unwrap();
    let from = chatcore::Position::new(start.epoch.clone(), 0);
    let resumed = client.resume(channel, from).await.unwrap();
    let history = client.history(channel, Seq::MAX, 100).await.unwrap();
    let listed = client.channels().await.unwrap();
    format!("{start:?}\n{resumed:?}\n{history:?}\n{listed:?}")
}

#[tokio::test]
async fn everybody_sees_that_somebody_was_erased() {
    let chat = chat();
    let general = name("general");
    chat.ensure_channel(&general, "", &ann()).await.unwrap();
    // What reads everything subscribes each time.
    let (seer, mut watcher) = (join(&chat, &ann()).await, join(&chat, &ann()).await);
    let mut theirs = join(&chat, &zoe()).await;
    for client in [&watcher, &theirs] {
        client.subscribe("general").await.unwrap();
    }
    let said = say(&chat, &ann(), &general, "hello").await;
    let first = theirs.publish("general", "one").await.unwrap().seq;
    theirs.edit("general", first, "two").await.unwrap();
    theirs.react("general", said, "👍", true).await.unwrap();
    assert!(everything(&seer, "general").await.contains("Quiz"), "this test would find the name");

    chat.erase_user(&zoe().id, Erasure::Tombstones).await.unwrap();
    assert!(!everything(&seer, "general").await.contains("Quiz"), "nothing is read with the name");
    assert_eq!(closed(&mut theirs).await, CloseReason::SignedOut);
    // The log's events and the news of the person come in any order.
    let (mut is_changed, mut deleted, mut taken_back) = (false, 0, 0);
    while !(is_changed && deleted == 1 && taken_back == 1) {
        match watcher.next_event().await.expect("the connection is open") {
            ChatEvent::UserChanged { user, .. } if user.id == zoe().id => {
                assert_eq!(user, gone());
                is_changed = true;
            }
            ChatEvent::Deleted { target, by, .. } if target == first => {
                assert_eq!(by, gone());
                deleted += 1;
            }
            ChatEvent::Reaction { target, on: false, by, .. } if target == said => {
                assert_eq!(by, gone());
                taken_back += 1;
            }
            _ => {}
        }
    }
    done(&chat, &zoe().id).await;
    let left = everything(&seer, "general").await;
    assert!(!left.contains("Quiz") && !left.contains("two") && left.contains("hello"), "{left}");
    assert!(chat.online(&general).iter().all(|user| user.id != zoe().id));
}

#[tokio::test]
async fn an_erased_person_can_not_come_back_until_readmitted() {
    let chat = chat();
    let general = name("general");
    chat.ensure_channel(&general, "", &ann()).await.unwrap();
    let seer = join(&chat, &ann()).await;
    join(&chat, &zoe()).await;
    chat.erase_user(&zoe().id, Erasure::KeepTexts).await.unwrap();
    assert_eq!(refused(&chat), ConnectError::Disconnected(CloseReason::SignedOut));
    let refused = chat.publish(&zoe(), &general, NewMessage::text("late")).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::NoSuchUser);
    let refused = chat.add_member(&ann(), &general, &zoe()).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::NoSuchUser);
    let refused = chat.ensure_channel(&name("theirs"), "", &zoe()).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::NoSuchUser);
    let direct = Command::OpenDirect { users: vec![zoe().id.to_string()] };
    assert_eq!(code(seer.call::<DirectOpened>(direct).await), ErrorCode::NoSuchUser);
    let message = NewMessage::text("@zoe").mention(Mention::User(zoe().id));
    let seq = seer.send("general", message).await.unwrap().seq;
    let page = chat.history(&general, seq + 1, 1).await.unwrap();
    assert!(page.messages[0].mentions.is_empty(), "nobody mentions them");

    done(&chat, &zoe().id).await;
    assert_eq!(self::refused(&chat), ConnectError::Disconnected(CloseReason::SignedOut));
    assert!(chat.readmit(&zoe().id).await.unwrap());
    let new = User::new("u_9", "Yves").unwrap();
    let back = join(&chat, &new).await;
    back.publish("general", "I am somebody else").await.unwrap();
    let newest = chat.history(&general, Seq::MAX, 1).await.unwrap();
    assert_eq!(newest.messages[0].author, new);
}

/// A chat that was started since does not know the person. The store does.
#[tokio::test]
async fn a_person_erased_long_ago_is_closed_once_the_store_was_asked() {
    let store = MemoryStore::new();
    store.begin_erasure(&zoe().id, Erasure::KeepTexts).await.unwrap();
    store.end_erasure(&zoe().id).await.unwrap();
    let chat = Chat::builder(store).build();
    let mut client = chat.connect(Identity::new(zoe())).unwrap();
    assert_eq!(closed(&mut client).await, CloseReason::SignedOut);
}

#[tokio::test]
async fn the_oldest_member_becomes_the_owner() {
    let chat = chat();
    let plans = chat.create_private(&zoe(), "Plans", "", HistoryAccess::All).await.unwrap().name;
    let alone = chat.create_private(&zoe(), "Alone", "", HistoryAccess::All).await.unwrap().name;
    let open = chat.ensure_channel(&name("open"), "", &zoe()).await.unwrap().name;
    for channel in [&plans, &open] {
        for user in [bob(), ann()] {
            chat.add_member(&zoe(), channel, &user).await.unwrap();
        }
    }
    chat.archive(&zoe(), &plans, true).await.unwrap();
    let direct = chat.open_direct(&[zoe(), ann()]).await.unwrap().name;
    say(&chat, &ann(), &direct, "mine").await;
    say(&chat, &zoe(), &direct, "theirs").await;
    chat.erase_user(&zoe().id, Erasure::Tombstones).await.unwrap();
    done(&chat, &zoe().id).await;
    for channel in [&plans, &open] {
        let members = chat.members(channel, None).await.unwrap().members;
        let members: Vec<_> = members.into_iter().map(|member| (member.user, member.role)).collect();
        assert_eq!(members, [(ann(), Role::Member), (bob(), Role::Owner)], "{channel}");
    }
    assert!(chat.members(&alone, None).await.unwrap().members.is_empty(), "it stays, with nobody");
    let people = chat.members(&direct, None).await.unwrap().members;
    assert_eq!(people.into_iter().map(|member| member.user).collect::<Vec<_>>(), [ann(), gone()]);
    let page = chat.history(&direct, Seq::MAX, 9).await.unwrap().messages;
    let texts: Vec<_> = page.iter().map(|message| (message.text.as_str(), message.deleted)).collect();
    assert_eq!(texts, [("mine", false), ("", true)]);
}

#[tokio::test]
async fn kept_texts_stay_without_the_name() {
    let chat = chat();
    let general = name("general");
    chat.ensure_channel(&general, "", &ann()).await.unwrap();
    let seer = join(&chat, &ann()).await;
    for text in ["one", "two"] {
        say(&chat, &zoe(), &general, text).await;
    }
    chat.erase_user(&zoe().id, Erasure::KeepTexts).await.unwrap();
    done(&chat, &zoe().id).await;
    let page = chat.history(&general, Seq::MAX, 9).await.unwrap().messages;
    let shown: Vec<_> = page.into_iter().map(|message| (message.author, message.text)).collect();
    assert_eq!(shown, [(gone(), "one".to_owned()), (gone(), "two".to_owned())]);
    assert!(!everything(&seer, "general").await.contains("Quiz"));
}

/// A chat that ends in the middle leaves the rest to the next one.
#[tokio::test]
async fn another_chat_goes_on_with_an_erasure() {
    let store = MemoryStore::new();
    let general = name("general");
    {
        let chat = Chat::builder(store.clone()).build();
        chat.ensure_channel(&general, "", &ann()).await.unwrap();
        for n in 0..200 {
            say(&chat, &zoe(), &general, &format!("{n}")).await;
        }
    }
    store.begin_erasure(&zoe().id, Erasure::Tombstones).await.unwrap();
    let NextTraces::Found(first) = store.next_traces(&zoe().id, 50).await.unwrap() else { panic!("traces") };
    // Of this step, some messages are deleted, and it is not covered: a crash between the two.
    for target in &first.messages[..20] {
        let delete = Append::new(first.channel.id, gone(), AppendBody::Delete { target: *target });
        store.append(vec![delete]).await.remove(0).unwrap();
    }
    let chat = Chat::builder(store).build();
    done(&chat, &zoe().id).await;
    let mut before = Seq::MAX;
    let mut tombstones = 0;
    loop {
        let page = chat.history(&general, before, 50).await.unwrap();
        for message in &page.messages {
            assert_eq!((message.deleted, &message.author), (true, &gone()));
        }
        tombstones += page.messages.len();
        match page.messages.first() {
            Some(oldest) if page.more => before = oldest.seq,
            _ => break,
        }
    }
    assert_eq!(tombstones, 200);
}

/// A store that fails now and then delays an erasure, and leaves nothing out.
#[tokio::test(start_paused = true)]
async fn a_store_that_fails_only_delays_an_erasure() {
    let seed = chatcore::testkit::Random::from_env().seed();
    let store = FaultyStore::new(MemoryStore::new(), Faults::default(), seed);
    let chat = Chat::builder(store.clone()).build();
    let general = name("general");
    chat.ensure_channel(&general, "", &ann()).await.unwrap();
    for n in 0..150 {
        say(&chat, &zoe(), &general, &format!("{n}")).await;
    }
    store.set_faults(Faults::everywhere(0.1));
    while chat.erase_user(&zoe().id, Erasure::Tombstones).await.is_err() {}
    // Each look is five seconds after the one that failed.
    for _ in 0..400 {
        tokio::time::advance(Duration::from_secs(1)).await;
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
    }
    store.set_faults(Faults::default());
    tokio::time::advance(Duration::from_secs(5)).await;
    let erased = store.erased_user(&zoe().id).await.unwrap().unwrap();
    assert!(erased.done, "seed {seed}");
    let id = chat.channel(&general).await.unwrap().unwrap().id;
    let all = chatcore::store::PageLimit::items(1_000);
    let messages = store.messages_before(id, Seq::MAX, all).await.unwrap().messages;
    assert_eq!(messages.len(), 150);
    assert!(messages.iter().all(|message| message.deleted && message.author == gone()), "seed {seed}");
}

#[tokio::test]
async fn an_upload_under_way_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = MemoryStore::new();
    let blobs = FolderBlobs::open(folder.path()).await.unwrap();
    let chat = Chat::builder(store.clone()).blobs(blobs).build();
    let general = name("general");
    chat.ensure_channel(&general, "", &ann()).await.unwrap();
    let (sender, receiver) = futures::channel::mpsc::unbounded();
    let bytes = receiver.map(Ok::<_, std::io::Error>).boxed();
    let identity = Identity::new(zoe());
    let inspect = |_: &[u8]| FileKind::new("text/plain");
    let uploading = chat.upload(&identity, "general", "plan.txt", bytes, inspect);
    let erasing = async {
        sender.unbounded_send(bytes::Bytes::from_static(b"half")).unwrap();
        while store.file_bytes(&zoe().id).await.unwrap().all > 0
            || std::fs::read_dir(folder.path()).unwrap().count() == 0
        {
            tokio::task::yield_now().await;
        }
        chat.erase_user(&zoe().id, Erasure::KeepTexts).await.unwrap();
        sender.unbounded_send(bytes::Bytes::from_static(b" and half")).unwrap();
        drop(sender);
    };
    let (uploaded, ()) = tokio::join!(uploading, erasing);
    assert_eq!(uploaded.unwrap_err().code(), ErrorCode::NotAllowed, "they were signed out");
    done(&chat, &zoe().id).await;
    let bytes = store.file_bytes(&zoe().id).await.unwrap();
    assert_eq!((bytes.owner, bytes.all), (0, 0));
    let late = chat.upload(&identity, "general", "late.txt", futures::stream::empty().boxed(), inspect).await;
    assert_eq!(late.unwrap_err().code(), ErrorCode::NoSuchUser);
}

#[tokio::test]
async fn every_node_forgets_an_erased_person() {
    let (store, bus) = (MemoryStore::new(), Arc::new(LocalBus::new()));
    let node = || Chat::builder(store.clone()).bus(Arc::clone(&bus)).build();
    let (here, there) = (node(), node());
    let general = name("general");
    here.ensure_channel(&general, "", &ann()).await.unwrap();
    let mut seer = join(&there, &ann()).await;
    let mut theirs = join(&there, &zoe()).await;
    for client in [&seer, &theirs] {
        client.subscribe("general").await.unwrap();
    }
    let first = theirs.publish("general", "one").await.unwrap().seq;
    here.erase_user(&zoe().id, Erasure::Tombstones).await.unwrap();
    assert_eq!(closed(&mut theirs).await, CloseReason::SignedOut);
    let changed = until(&mut seer, |event| match event {
        ChatEvent::UserChanged { user, .. } if user.id == zoe().id => Some(user.clone()),
        _ => None,
    });
    assert_eq!(changed.await, gone());
    let deleted = until(&mut seer, |event| match event {
        ChatEvent::Deleted { target, by, .. } => Some((*target, by.clone())),
        _ => None,
    });
    assert_eq!(deleted.await, (first, gone()));
    done(&there, &zoe().id).await;
    assert!(!everything(&seer, "general").await.contains("Quiz"));
    assert_eq!(refused(&there), ConnectError::Disconnected(CloseReason::SignedOut));
    let left = store.member(here.channel(&general).await.unwrap().unwrap().id, &zoe().id).await.unwrap();
    assert_eq!(left, None);
    assert!(here.readmit(&zoe().id).await.unwrap());
    let back = async {
        while there.connect(Identity::new(zoe())).is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), back).await.expect("the other node lets them in");
}

/// Until then, other nodes may have them in memory.
#[tokio::test]
async fn every_node_drops_the_texts_of_trimmed_messages() {
    let (store, bus) = (MemoryStore::with_retention(10), Arc::new(LocalBus::new()));
    let node = || Chat::builder(store.clone()).bus(Arc::clone(&bus)).build();
    let (here, there) = (node(), node());
    let general = name("general");
    here.ensure_channel(&general, "", &ann()).await.unwrap();
    let (reader, author) = (join(&there, &ann()).await, join(&there, &zoe()).await);
    let first = author.publish("general", "hello").await.unwrap().seq;
    for n in 0..10 {
        say(&there, &bob(), &general, &n.to_string()).await;
    }
    author.edit("general", first, "a secret").await.unwrap();
    say(&there, &bob(), &general, "one more").await;
    let all = everything(&reader, "general").await;
    assert!(all.contains("hello") && all.contains("a secret"), "this test would find them: {all}");
    here.erase_user(&zoe().id, Erasure::Tombstones).await.unwrap();
    done(&here, &zoe().id).await;
    let dropped = async {
        loop {
            let all = everything(&reader, "general").await;
            if !all.contains("hello") && !all.contains("a secret") {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    timeout(Duration::from_secs(10), dropped).await.expect("the other node drops them");
}

/// A store trims its oldest messages. Their later edits are still in the log, and the messages may be in memory.
#[tokio::test]
async fn the_edit_of_a_trimmed_message_goes_with_its_author() {
    let chat = Chat::builder(MemoryStore::with_retention(10)).build();
    let general = name("general");
    chat.ensure_channel(&general, "", &ann()).await.unwrap();
    let (reader, author) = (join(&chat, &ann()).await, join(&chat, &zoe()).await);
    author.publish("general", "hello").await.unwrap();
    for n in 0..10 {
        say(&chat, &bob(), &general, &n.to_string()).await;
    }
    author.edit("general", 1, "a secret").await.unwrap();
    say(&chat, &bob(), &general, "one more").await;
    chat.erase_user(&zoe().id, Erasure::Tombstones).await.unwrap();
    done(&chat, &zoe().id).await;
    let epoch = reader.subscribe("general").await.unwrap().epoch;
    let resumed = reader.resume("general", chatcore::Position::new(epoch, 5)).await.unwrap();
    assert!(!format!("{resumed:?}").contains("a secret"), "{resumed:?}");
    let all = everything(&reader, "general").await;
    assert!(!all.contains("hello") && !all.contains("a secret"), "{all}");
    assert!(all.contains("one more"), "{all}");
}
