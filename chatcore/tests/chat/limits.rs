//! Each limit is tested at its value and one past it. The limits of command fields are tested in `session.rs`.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use chatcore::attachments::FileKind;
use chatcore::blob::FolderBlobs;
use chatcore::protocol::{Command, Published};
use chatcore::store::{Append, AppendBody, EventStore, ReactionLimits};
use chatcore::testkit::{Faults, FaultyStore};
use chatcore::{
    Attachment, ChannelId, ChannelName, Chat, Client, ClientError, ErrorCode, Identity, Limits, MemoryStore,
    User,
};
use futures::StreamExt;

fn identity(name: &str) -> Identity {
    Identity::new(User::new(&format!("u_{name}"), name).unwrap())
}

fn chat(edit: impl FnOnce(&mut Limits)) -> Chat {
    let mut limits = Limits::default();
    edit(&mut limits);
    Chat::builder(MemoryStore::new()).limits(limits).build()
}

fn code<T>(result: Result<T, ClientError>) -> Option<ErrorCode> {
    match result {
        Ok(_) => None,
        Err(ClientError::Refused(error)) => Some(error.code()),
        Err(error) => panic!("{error}"),
    }
}

fn publish(channel: &str, nonce: &str, attachments: Vec<String>) -> Command {
    Command::Publish {
        channel: channel.into(),
        nonce: nonce.into(),
        text: nonce.into(),
        attachments,
        reply_to: None,
        mentions: Vec::new(),
        data: None,
    }
}

#[tokio::test]
async fn the_number_of_channels_is_bounded() {
    let chat = chat(|l| l.channels = 2);
    let ann = chat.connect(identity("ann")).unwrap();
    assert_eq!(code(ann.create_channel("a", "").await), None);
    assert_eq!(code(ann.create_channel("b", "").await), None);
    assert_eq!(code(ann.create_channel("c", "").await), Some(ErrorCode::NotAllowed));
    assert_eq!(code(ann.create_channel("A", "").await), Some(ErrorCode::NameTaken), "it says so first");
}

#[tokio::test]
async fn subscriptions_of_a_connection_are_bounded() {
    let chat = chat(|l| l.subscriptions = 2);
    let ann = chat.connect(identity("ann")).unwrap();
    for name in ["a", "b", "c"] {
        ann.create_channel(name, "").await.unwrap();
    }
    assert_eq!(code(ann.subscribe("a").await), None);
    assert_eq!(code(ann.subscribe("b").await), None);
    assert_eq!(code(ann.subscribe("c").await), Some(ErrorCode::TooLarge));
    assert_eq!(code(ann.subscribe("a").await), None, "a second subscription replaces the first");
    ann.unsubscribe("a").await.unwrap();
    assert_eq!(code(ann.subscribe("c").await), None);
}

#[tokio::test]
async fn subscriptions_of_all_connections_are_bounded() {
    let chat = chat(|l| l.subscriptions_total = 2);
    let ann = chat.connect(identity("ann")).unwrap();
    let bob = chat.connect(identity("bob")).unwrap();
    ann.create_channel("a", "").await.unwrap();
    ann.create_channel("b", "").await.unwrap();
    assert_eq!(code(ann.subscribe("a").await), None);
    assert_eq!(code(bob.subscribe("a").await), None);
    assert_eq!(code(bob.subscribe("b").await), Some(ErrorCode::Unavailable));
    ann.unsubscribe("a").await.unwrap();
    assert_eq!(code(bob.subscribe("b").await), None);
}

#[tokio::test]
async fn unused_channels_leave_memory_for_others() {
    let chat = chat(|l| l.loaded_channels = 2);
    let ann = chat.connect(identity("ann")).unwrap();
    for name in ["a", "b", "c"] {
        ann.create_channel(name, "").await.unwrap();
    }
    ann.subscribe("a").await.unwrap();
    ann.subscribe("b").await.unwrap();
    assert_eq!(code(ann.subscribe("c").await), Some(ErrorCode::Unavailable));
    ann.unsubscribe("a").await.unwrap();
    assert_eq!(code(ann.subscribe("c").await), None);
}

#[tokio::test]
async fn reactions_on_a_message_are_bounded() {
    let chat = chat(|l| l.reactions = 2);
    let ann = chat.connect(identity("ann")).unwrap();
    ann.create_channel("a", "").await.unwrap();
    ann.publish("a", "hi").await.unwrap();
    assert_eq!(code(ann.react("a", 1, "👍", true).await), None);
    assert_eq!(code(ann.react("a", 1, "🎉", true).await), None);
    assert_eq!(code(ann.react("a", 1, "😀", true).await), Some(ErrorCode::TooLarge));
    assert_eq!(code(ann.react("a", 1, "👍", false).await), None, "one that goes makes room");
    assert_eq!(code(ann.react("a", 1, "😀", true).await), None);
}

#[tokio::test]
async fn reactions_of_one_person_on_a_message_are_bounded() {
    let chat = chat(|l| l.reactions_per_user = 2);
    let [ann, bob] = ["ann", "bob"].map(|name| chat.connect(identity(name)).unwrap());
    ann.create_channel("a", "").await.unwrap();
    ann.publish("a", "hello").await.unwrap();
    for (emoji, expected) in [("👍", None), ("🎉", None), ("😀", Some(ErrorCode::TooLarge)), ("🎉", None)]
    {
        assert_eq!(code(ann.react("a", 1, emoji, true).await), expected, "{emoji}");
    }
    assert_eq!(code(bob.react("a", 1, "😀", true).await), None, "it is another's");
}

#[tokio::test]
async fn a_reaction_is_one_emoji_in_any_spelling() {
    let chat = chat(|_| {});
    let [ann, bob] = ["ann", "bob"].map(|name| chat.connect(identity(name)).unwrap());
    ann.create_channel("a", "").await.unwrap();
    ann.publish("a", "hello").await.unwrap();
    for text in ["lol", "1", "👍👍", "👍 ", "<b>"] {
        assert_eq!(code(ann.react("a", 1, text, true).await), Some(ErrorCode::BadFrame), "{text}");
        assert_eq!(code(ann.react("a", 1, text, false).await), Some(ErrorCode::BadFrame), "{text}");
    }
    ann.react("a", 1, "❤", true).await.unwrap();
    bob.react("a", 1, "❤\u{fe0f}", true).await.unwrap();
    let page = ann.history("a", u64::MAX, 1).await.unwrap();
    let [reaction] = &page.messages[0].reactions[..] else { panic!("{:?}", page.messages[0].reactions) };
    assert_eq!((reaction.emoji.as_str(), reaction.users.len()), ("❤\u{fe0f}", 2));
}

/// An earlier version accepted any text.
#[tokio::test]
async fn a_stored_reaction_without_an_emoji_can_be_removed() {
    let store = MemoryStore::new();
    let chat = Chat::builder(store.clone()).build();
    let ann = chat.connect(identity("ann")).unwrap();
    ann.create_channel("a", "").await.unwrap();
    ann.publish("a", "hello").await.unwrap();
    for (emoji, spelt) in [("lol", "lol"), ("❤", "❤\u{fe0f}")] {
        let body =
            AppendBody::React { target: 1, emoji: emoji.into(), on: true, limits: ReactionLimits::default() };
        let append = Append::new(ChannelId(1), identity("ann").user, body);
        store.append(vec![append]).await.remove(0).unwrap();
        assert_eq!(ann.history("a", u64::MAX, 1).await.unwrap().messages[0].reactions.len(), 1);
        ann.react("a", 1, spelt, false).await.unwrap();
        assert!(ann.history("a", u64::MAX, 1).await.unwrap().messages[0].reactions.is_empty(), "{emoji}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_append_queue_refuses_at_once() {
    let store = FaultyStore::new(MemoryStore::new(), Faults::default(), 1);
    let mut limits = Limits::default();
    limits.append_groups = 1;
    limits.append_queue = 4;
    limits.append_batch = 1;
    let chat = Chat::builder(store.clone()).limits(limits).build();
    let ann = chat.connect(identity("ann")).unwrap();
    ann.create_channel("a", "").await.unwrap();
    ann.subscribe("a").await.unwrap();
    let slow = Faults { delay: 1.0, longest_delay: Duration::from_secs(1), ..Faults::default() };
    store.set_faults(slow);
    // One is in the store, four wait, and there is no room for the sixth.
    let mut connection = chat.open(identity("bob")).unwrap();
    let send = |connection: &mut chatcore::transport::Connection, id: usize| {
        connection
            .receive(&format!(r#"{{"type":"publish","id":{id},"channel":"a","nonce":"{id}","text":"x"}}"#));
    };
    send(&mut connection, 1);
    tokio::task::yield_now().await;
    for id in 2..=6 {
        send(&mut connection, id);
    }
    let mut answers = Vec::new();
    while answers.len() < 6 {
        let mut out = Vec::new();
        poll_fn(|cx| connection.poll_outgoing(cx, &mut out)).await;
        let frames = out.iter().map(|frame| serde_json::from_slice::<serde_json::Value>(frame).unwrap());
        answers.extend(frames.filter(|frame| frame["id"].is_number()));
    }
    let types: Vec<_> = answers.iter().map(|answer| answer["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["ok", "ok", "ok", "ok", "ok", "error"]);
    assert_eq!((&answers[5]["code"], &answers[5]["retryable"]), (&"unavailable".into(), &true.into()));
}

/// Publishes 40 messages of 100 bytes at once, and returns the size of the largest batch.
async fn largest_batch(edit: impl FnOnce(&mut Limits)) -> usize {
    let store = FaultyStore::new(MemoryStore::new(), Faults::default(), 1);
    let mut limits = Limits::default();
    edit(&mut limits);
    let chat = Chat::builder(store.clone()).limits(limits).build();
    let ann = chat.connect(identity("ann")).unwrap();
    ann.create_channel("a", "").await.unwrap();
    ann.publish("a", "the channel is loaded").await.unwrap();
    let mut connection = chat.open(identity("bob")).unwrap();
    let text = "x".repeat(100);
    for n in 0..40 {
        connection.receive(&format!(
            r#"{{"type":"publish","id":{n},"channel":"a","nonce":"{n}","text":"{text}"}}"#
        ));
    }
    let mut answers = 0;
    while answers < 40 {
        let mut out = Vec::new();
        poll_fn(|cx| connection.poll_outgoing(cx, &mut out)).await;
        answers += out.iter().filter(|frame| frame.starts_with(br#"{"type":"ok""#)).count();
    }
    store.largest_batch()
}

#[tokio::test]
async fn a_batch_is_bounded_in_number_and_in_bytes() {
    assert_eq!(largest_batch(|_| {}).await, 40);
    assert_eq!(largest_batch(|l| l.append_batch = 7).await, 7);
    // A message of 100 bytes counts some 160 bytes more: the fourth one fills a kilobyte.
    assert_eq!(largest_batch(|l| l.append_batch_bytes = 1_000).await, 4);
}

#[tokio::test]
async fn unanswered_commands_are_bounded_in_number() {
    let chat = chat(|l| l.commands_in_flight = 3);
    let mut connection = chat.open(identity("ann")).unwrap();
    for id in 0..3 {
        assert!(!connection.is_full());
        connection.receive(&format!(r#"{{"type":"channels","id":{id}}}"#));
    }
    assert!(connection.is_full());
    let mut out = Vec::new();
    while connection.is_full() {
        poll_fn(|cx| connection.poll_outgoing(cx, &mut out)).await;
    }
    drop(connection);
    assert_eq!(chat.connections(), 0);
}

#[tokio::test]
async fn one_poll_returns_a_bounded_number_of_frames() {
    let chat = chat(|_| {});
    let ann = chat.connect(identity("ann")).unwrap();
    ann.create_channel("a", "").await.unwrap();
    let mut slow = chat.open(identity("slow")).unwrap();
    slow.receive(r#"{"type":"subscribe","id":1,"channel":"a"}"#);
    let mut out = Vec::new();
    while !out.iter().any(|frame: &bytes::Bytes| frame.starts_with(br#"{"type":"ok""#)) {
        poll_fn(|cx| slow.poll_outgoing(cx, &mut out)).await;
    }
    for n in 0..300 {
        ann.call::<Published>(publish("a", &n.to_string(), Vec::new())).await.unwrap();
    }
    let mut cx = Context::from_waker(Waker::noop());
    let (mut looks, mut frames) = (0, 0);
    loop {
        out.clear();
        let Poll::Ready(None) = slow.poll_outgoing(&mut cx, &mut out) else { break };
        assert!(out.len() <= 192, "{}", out.len());
        looks += 1;
        frames += out.len();
    }
    assert_eq!(frames, 300);
    assert!(looks >= 5, "{looks}");
}

/// Creates a chat with files in a folder that a test can inspect.
async fn with_files(edit: impl FnOnce(&mut Limits)) -> (Chat, tempfile::TempDir, Client) {
    let folder = tempfile::tempdir().unwrap();
    let mut limits = Limits::default();
    edit(&mut limits);
    let blobs = FolderBlobs::open(folder.path()).await.unwrap();
    let chat = Chat::builder(MemoryStore::new()).blobs(blobs).limits(limits).build();
    let ann = chat.connect(identity("ann")).unwrap();
    ann.create_channel("a", "").await.unwrap();
    (chat, folder, ann)
}

async fn upload(chat: &Chat, name: &str, bytes: &'static [u8]) -> Result<Attachment, ErrorCode> {
    let stream = futures::stream::iter([Ok(bytes::Bytes::from_static(bytes))]).boxed();
    let kind = |_: &[u8]| FileKind::new("image/png");
    chat.upload(&identity("ann"), "a", name, stream, kind).await.map_err(|error| error.code())
}

/// Counts the files of uploads: not the one that the store keeps locked.
fn files(folder: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let count = |path: std::path::PathBuf| match path.is_dir() {
        true => files(&path),
        false => usize::from(!path.ends_with("lock")),
    };
    entries.map(count).sum()
}

#[tokio::test]
async fn a_file_has_bounded_bytes_and_a_bounded_name() {
    let (chat, folder, _ann) = with_files(|l| {
        l.attachment_bytes = 4;
        l.file_name_chars = 6;
    })
    .await;
    assert!(upload(&chat, "пл.txt", b"1234").await.is_ok());
    assert_eq!(upload(&chat, "a.txt", b"12345").await, Err(ErrorCode::TooLarge));
    assert_eq!(upload(&chat, "план.txt", b"1").await, Err(ErrorCode::BadName));
    for name in ["", " ", "..", "a/b", "a\\b", "a\nb"] {
        assert_eq!(upload(&chat, name, b"1").await, Err(ErrorCode::BadName), "{name:?}");
    }
    assert_eq!(files(folder.path()), 1, "nothing is left of what was refused");
}

#[tokio::test(start_paused = true)]
async fn stored_files_count_until_they_are_removed() {
    let (chat, folder, ann) = with_files(|l| {
        (l.file_bytes_per_user, l.file_bytes_total) = (10, 14);
    })
    .await;
    let first = upload(&chat, "a.png", b"123456").await.unwrap();
    ann.call::<Published>(publish("a", "n", vec![first.id.to_string()])).await.unwrap();
    assert_eq!(upload(&chat, "b.png", b"12345").await, Err(ErrorCode::StorageFull), "one past the limit");
    assert!(upload(&chat, "b.png", b"1234").await.is_ok(), "at the limit");
    assert_eq!(upload(&chat, "c.png", b"1").await, Err(ErrorCode::StorageFull));
    assert_eq!(files(folder.path()), 2, "nothing is left of what was refused");
    let bobs = async |bytes: &'static [u8]| {
        let stream = futures::stream::iter([Ok(bytes::Bytes::from_static(bytes))]).boxed();
        let kind = |_: &[u8]| FileKind::new("image/png");
        chat.upload(&identity("bob"), "a", "d.png", stream, kind).await.map_err(|error| error.code())
    };
    assert_eq!(bobs(b"12345").await, Err(ErrorCode::StorageFull), "one past the limit of all");
    assert!(bobs(b"1234").await.is_ok());
    ann.delete("a", 1).await.unwrap();
    while files(folder.path()) > 2 {
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    while upload(&chat, "e.png", b"123456").await.is_err() {
        tokio::time::advance(Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn channels_created_by_the_app_count() {
    let chat = chat(|l| l.channels = 2);
    let by = User::new("u_host", "host").unwrap();
    let ensure = async |name| chat.ensure_channel(&ChannelName::new(name).unwrap(), "", &by).await;
    let ann = chat.connect(identity("ann")).unwrap();
    ann.create_channel("a", "").await.unwrap();
    ensure("b").await.unwrap();
    assert!(ann.create_channel("c", "").await.is_err());
    assert_eq!(ensure("c").await.unwrap_err().code(), ErrorCode::NotAllowed);
    ensure("a").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn only_unused_and_deleted_files_are_removed() {
    let (chat, folder, ann) = with_files(|l| l.upload_ttl = Duration::ZERO).await;
    let mut ids = HashMap::new();
    for name in ["used.png", "deleted.png", "unused.png"] {
        let id = upload(&chat, name, b"x").await.unwrap().id.to_string();
        if name != "unused.png" {
            let command = publish("a", name, vec![id.clone()]);
            ann.call::<Published>(command).await.unwrap();
        }
        ids.insert(name, id);
    }
    ann.delete("a", 2).await.unwrap();
    // The sweeper runs on its own: it is triggered by the delete, and at its interval.
    while files(folder.path()) > 1 {
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    let there = |id: &str| {
        let (chat, id) = (chat.clone(), id.to_owned());
        async move { chat.attachment(&identity("ann"), &id).await.map_err(|error| error.code()) }
    };
    assert!(there(&ids["used.png"]).await.is_ok());
    assert_eq!(there(&ids["deleted.png"]).await.err(), Some(ErrorCode::NoSuchAttachment));
    assert_eq!(there(&ids["unused.png"]).await.err(), Some(ErrorCode::NoSuchAttachment));
}
