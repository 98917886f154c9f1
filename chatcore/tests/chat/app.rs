//! What the app's own code does without a session: publish, read, count, and see who is online.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chatcore::attachments::FileKind;
use chatcore::blob::FolderBlobs;
use chatcore::bus::{Bus, BusError, BusEvent, BusLimits, LocalBus};
use chatcore::protocol::ChatEvent;
use chatcore::store::Directory;
use chatcore::testkit::{Faults, FaultyStore};
use chatcore::{
    Action, ChannelName, Chat, Denied, ErrorCode, History, HistoryAccess, Identity, Limits, MemoryStore,
    NewMessage, Nonce, Policy, Seq, User,
};
use futures::future::join_all;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};

/// Nobody may do anything.
struct Closed;

impl Policy for Closed {
    fn authorize(&self, _: &Identity, _: Action<'_>) -> Result<(), Denied> {
        Err(Denied)
    }
}

fn user(name: &str) -> User {
    User::new(&format!("u_{name}"), name).unwrap()
}

fn channel(name: &str) -> ChannelName {
    ChannelName::new(name).unwrap()
}

/// A chat with a channel `a`.
async fn chat(edit: impl FnOnce(&mut Limits)) -> Chat {
    let mut limits = Limits::default();
    edit(&mut limits);
    let chat = Chat::builder(MemoryStore::new()).limits(limits).build();
    chat.ensure_channel(&channel("a"), "", &user("host")).await.unwrap();
    chat
}

fn code<T>(result: Result<T, chatcore::Error>) -> Option<ErrorCode> {
    result.err().map(|error| error.code())
}

#[tokio::test]
async fn what_the_app_publishes_reaches_subscribers() {
    let chat = chat(|_| ()).await;
    let mut ann = chat.connect(Identity::new(user("ann"))).unwrap();
    ann.subscribe("a").await.unwrap();
    let published = chat.publish(&user("host"), &channel("a"), NewMessage::text("hi")).await.unwrap();
    assert_eq!((published.seq, published.duplicate, chat.connections()), (1, false, 1));
    loop {
        if let ChatEvent::Message { message, .. } = ann.next_event().await.unwrap() {
            assert_eq!((&*message.author.name, message.text.as_str()), ("host", "hi"));
            break;
        }
    }
}

#[tokio::test]
async fn the_app_asks_no_policy_and_has_no_rate_limit() {
    let mut limits = Limits::default();
    (limits.command_burst, limits.appends_per_user) = (1, 1);
    let chat = Chat::builder(MemoryStore::new()).policy(Closed).limits(limits).build();
    let (host, a) = (user("host"), channel("a"));
    chat.ensure_channel(&a, "", &host).await.unwrap();
    let all = (0..1_000).map(|n| chat.publish(&host, &a, NewMessage::text(n.to_string())));
    for published in join_all(all).await {
        published.unwrap();
    }
    assert_eq!(chat.unread(&user("ann").id, &a).await.unwrap().head, 1_000);
}

#[tokio::test]
async fn a_nonce_of_the_app_is_stored_once() {
    let chat = chat(|_| ()).await;
    let (host, a) = (user("host"), channel("a"));
    let closed = |text| NewMessage::text(text).nonce(Nonce::new("closed-4711").unwrap());
    let first = chat.publish(&host, &a, closed("closed")).await.unwrap();
    let again = chat.publish(&host, &a, closed("closed again")).await.unwrap();
    assert_eq!((again.seq, again.at, again.duplicate), (first.seq, first.at, true));
}

#[tokio::test]
async fn the_limits_of_a_message_hold_for_the_app() {
    let chat = chat(|l| (l.text_chars, l.attachments) = (5, 1)).await;
    let (host, a) = (user("host"), channel("a"));
    let publish = |message| chat.publish(&host, &a, message);
    assert_eq!(code(publish(NewMessage::text("12345")).await), None);
    assert_eq!(code(publish(NewMessage::text("123456")).await), Some(ErrorCode::TooLarge));
    assert_eq!(code(publish(NewMessage::text(" ")).await), Some(ErrorCode::Empty));
    assert_eq!(code(publish(NewMessage::text("a\0")).await), Some(ErrorCode::BadFrame));
    let id = chatcore::AttachmentId::random();
    let one = NewMessage::text("").attachment(id.clone());
    assert_eq!(code(publish(one.clone()).await), Some(ErrorCode::NoSuchAttachment));
    assert_eq!(code(publish(one.attachment(id)).await), Some(ErrorCode::TooLarge));
}

#[tokio::test]
async fn the_app_names_a_channel_in_any_spelling() {
    let chat = chat(|_| ()).await;
    let host = user("host");
    chat.ensure_channel(&channel("stra\u{df}e"), "", &host).await.unwrap();
    let published = chat.publish(&host, &channel("strasse"), NewMessage::text("hi")).await.unwrap();
    assert_eq!(published.channel.as_str(), "stra\u{df}e");
    assert_eq!(chat.history(&channel("STRASSE"), Seq::MAX, 9).await.unwrap().messages.len(), 1);
    let nowhere = channel("nowhere");
    assert_eq!(
        code(chat.publish(&host, &nowhere, NewMessage::text("hi")).await),
        Some(ErrorCode::NoSuchChannel)
    );
    assert_eq!(code(chat.history(&nowhere, Seq::MAX, 9).await), Some(ErrorCode::NoSuchChannel));
    assert_eq!(code(chat.unread(&host.id, &nowhere).await), Some(ErrorCode::NoSuchChannel));
    assert!(chat.online(&nowhere).is_empty());
}

#[tokio::test]
async fn a_full_queue_is_an_error_of_the_publish() {
    let store = FaultyStore::new(MemoryStore::new(), Faults::default(), 1);
    let mut limits = Limits::default();
    (limits.append_queue, limits.append_groups) = (2, 1);
    let chat = Chat::builder(store.clone()).limits(limits).build();
    let (host, a) = (user("host"), channel("a"));
    chat.ensure_channel(&a, "", &host).await.unwrap();
    chat.publish(&host, &a, NewMessage::text("loads the channel")).await.unwrap();
    let held = store.hold();
    let all = (0..10).map(|n| chat.publish(&host, &a, NewMessage::text(n.to_string())));
    let all = tokio::join!(join_all(all), async {
        tokio::task::yield_now().await;
        drop(held);
    });
    let refused = all.0.into_iter().filter_map(code).collect::<Vec<_>>();
    assert_eq!(refused, [ErrorCode::Unavailable; 8], "two wait, and the others are refused");
}

#[tokio::test]
async fn the_app_publishes_a_file_of_the_author() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = FolderBlobs::open(folder.path()).await.unwrap();
    let chat = Chat::builder(MemoryStore::new()).blobs(Arc::new(blobs)).base("/chat").build();
    let (host, a) = (user("host"), channel("a"));
    chat.ensure_channel(&a, "", &host).await.unwrap();
    let bytes = stream::iter([Ok(bytes::Bytes::from_static(b"plan"))]).boxed();
    let plain = |_: &[u8]| FileKind::new("text/plain");
    let file = chat.upload(&Identity::new(host.clone()), "a", "plan.txt", bytes, plain).await.unwrap();
    let message = NewMessage::text("").attachment(file.id.clone());
    chat.publish(&host, &a, message).await.unwrap();
    let page = chat.history(&a, Seq::MAX, 1).await.unwrap();
    let url = format!("/chat/attachments/{}/plan.txt", file.id);
    assert_eq!(page.messages[0].attachments[0].url, url);
}

#[tokio::test]
async fn the_app_edits_and_deletes_what_others_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = FolderBlobs::open(folder.path()).await.unwrap();
    let chat = Chat::builder(MemoryStore::new()).policy(Closed).blobs(blobs).build();
    let (host, ann, a) = (user("host"), user("ann"), channel("a"));
    chat.ensure_channel(&a, "", &host).await.unwrap();
    let first = chat.publish(&ann, &a, NewMessage::text("Buy")).await.unwrap().seq;
    let edit = chat.edit(&host, &a, first, "[removed]").await.unwrap();
    let page = chat.history(&a, Seq::MAX, 1).await.unwrap();
    assert_eq!((page.messages[0].text.as_str(), page.messages[0].author.id.as_str()), ("[removed]", "u_ann"));
    let empty = code(chat.edit(&host, &a, first, " ").await);
    assert_eq!(empty, Some(ErrorCode::Empty));

    let deletion = chat.delete(&host, &a, first).await.unwrap();
    assert_eq!((first, edit, deletion), (1, 2, 3));
    let page = chat.history(&a, Seq::MAX, 1).await.unwrap();
    assert!(page.messages[0].deleted && page.messages[0].text.is_empty());
    for refused in [chat.delete(&host, &a, first).await, chat.edit(&host, &a, 9, "x").await] {
        assert_eq!(code(refused), Some(ErrorCode::NoSuchMessage));
    }
    assert_eq!(code(chat.delete(&host, &channel("b"), 1).await), Some(ErrorCode::NoSuchChannel));
}

#[tokio::test]
async fn a_file_goes_with_a_message_that_the_app_deletes() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = FolderBlobs::open(folder.path()).await.unwrap();
    let chat = Chat::builder(MemoryStore::new()).blobs(blobs).build();
    let (host, a) = (Identity::new(user("host")), channel("a"));
    chat.ensure_channel(&a, "", &host.user).await.unwrap();
    let bytes = stream::iter([Ok(bytes::Bytes::from_static(b"plan"))]).boxed();
    let file = chat.upload(&host, "a", "plan.txt", bytes, |_| FileKind::new("text/plain")).await.unwrap();
    let sent = chat.publish(&host.user, &a, NewMessage::text("").attachment(file.id.clone())).await.unwrap();
    let place = folder.path().join(FolderBlobs::path_of(&file.id));
    assert!(place.exists());
    chat.delete(&user("moderator"), &a, sent.seq).await.unwrap();
    while place.exists() {
        tokio::task::yield_now().await;
    }
    assert_eq!(code(chat.attachment(&host, file.id.as_str()).await), Some(ErrorCode::NoSuchAttachment));
}

#[tokio::test]
async fn ensure_channel_creates_only_what_people_could() {
    let chat = chat(|_| ()).await;
    let ensure = async |name: &str| chat.ensure_channel(&channel(name), "", &user("host")).await;
    assert_eq!(ensure("a").await.unwrap().name, channel("a"));
    for reserved in ["everyone", "pr.hello", "dm.x"] {
        assert_eq!(code(ensure(reserved).await), Some(ErrorCode::BadName), "{reserved}");
    }
    // A Cyrillic letter that looks as the Latin one.
    assert_eq!(code(ensure("а").await), Some(ErrorCode::NameTaken));
    let private = chat.create_private(&user("host"), "Plans", "", HistoryAccess::All).await.unwrap();
    assert_eq!(ensure(private.name.as_str()).await.unwrap().id, private.id, "what exists is returned");
}

#[tokio::test]
async fn ensure_channel_finds_a_channel_by_any_spelling() {
    let store = MemoryStore::new();
    let chat = Chat::builder(store.clone()).build();
    // An earlier version kept names as they were typed.
    let typed = ChannelName::existing("STRASSE").unwrap();
    let id = store.create_channel(&typed, "", &user("host")).await.unwrap().into_channel().id;
    for spelling in ["straße", "Strasse"] {
        let found = chat.ensure_channel(&channel(spelling), "", &user("host")).await.unwrap();
        assert_eq!((found.id, found.name), (id, typed.clone()), "{spelling}");
    }
}

#[tokio::test(start_paused = true)]
async fn ensure_channel_does_not_wait_for_a_hung_store_for_ever() {
    let store = FaultyStore::new(MemoryStore::new(), Faults::default(), 1);
    let chat = Chat::builder(store.clone()).build();
    let _held = store.hold();
    let refused = chat.ensure_channel(&channel("a"), "", &user("host")).await;
    assert_eq!(code(refused), Some(ErrorCode::Unavailable));
}

#[tokio::test]
async fn the_app_reads_a_history_page_by_page() {
    let chat = chat(|l| l.page_messages = 4).await;
    let (host, a) = (user("host"), channel("a"));
    for n in 1..=10 {
        chat.publish(&host, &a, NewMessage::text(n.to_string())).await.unwrap();
    }
    let (mut pages, mut before, mut more) = (Vec::new(), Seq::MAX, true);
    while more {
        let page = chat.history(&a, before, usize::MAX).await.unwrap();
        before = page.messages[0].seq;
        more = page.more;
        pages.push(page.messages.iter().map(|message| message.seq).collect::<Vec<_>>());
    }
    assert_eq!(pages, [vec![7, 8, 9, 10], vec![3, 4, 5, 6], vec![1, 2]]);
    assert_eq!(chat.history(&a, 3, 1).await.unwrap().messages[0].text, "2");
    let (mut pages, mut after, mut more) = (Vec::new(), 0, true);
    while more {
        let page = chat.history(&a, History::After(after), usize::MAX).await.unwrap();
        after = page.messages.last().unwrap().seq;
        more = page.more_after.unwrap();
        pages.push(page.messages.iter().map(|message| message.seq).collect::<Vec<_>>());
    }
    assert_eq!(pages, [vec![1, 2, 3, 4], vec![5, 6, 7, 8], vec![9, 10]]);
}

#[tokio::test]
async fn a_page_around_a_message_says_what_is_on_both_sides() {
    let chat = chat(|l| l.page_messages = 4).await;
    let (host, a) = (user("host"), channel("a"));
    let around = async |seq, limit| {
        let page = chat.history(&a, History::Around(seq), limit).await.unwrap();
        let seqs: Vec<_> = page.messages.iter().map(|message| message.seq).collect();
        (seqs, page.more, page.more_after)
    };
    assert_eq!(around(1, 9).await, (vec![], false, Some(false)));
    for n in 1..=10 {
        chat.publish(&host, &a, NewMessage::text(n.to_string())).await.unwrap();
    }
    for (seq, limit, expected, more, more_after) in [
        (5, 1, vec![5], true, true),
        (5, 2, vec![5, 6], true, true),
        (5, 3, vec![4, 5, 6], true, true),
        (5, 99, vec![4, 5, 6, 7], true, true),
        (1, 3, vec![1, 2], false, true),
        (0, 3, vec![1], false, true),
        (2, 4, vec![1, 2, 3, 4], false, true),
        (9, 3, vec![8, 9, 10], true, false),
        (9, 2, vec![9, 10], true, false),
        (9, 1, vec![9], true, true),
        (10, 1, vec![10], true, false),
        (Seq::MAX, 4, vec![9, 10], true, false),
    ] {
        assert_eq!(around(seq, limit).await, (expected, more, Some(more_after)), "{limit} around {seq}");
    }
    let before = chat.history(&a, History::Before(3), 9).await.unwrap();
    assert_eq!((before.more, before.more_after), (false, None));
}

#[tokio::test]
async fn the_app_counts_what_a_user_has_to_read() {
    let chat = chat(|l| l.channels_page = 1).await;
    let (host, ann) = (user("host"), user("ann"));
    chat.ensure_channel(&channel("b"), "", &host).await.unwrap();
    for author in [&host, &host, &ann] {
        chat.publish(author, &channel("b"), NewMessage::text("x")).await.unwrap();
    }
    let first = chat.channels_of(&ann.id, None).await.unwrap();
    assert_eq!((first.channels[0].name.as_str(), first.channels[0].unread, first.more), ("a", 0, true));
    let second = chat.channels_of(&ann.id, Some(&first.channels[0].name)).await.unwrap();
    assert_eq!((second.channels[0].unread, second.channels[0].head, second.more), (2, 3, false));
    assert_eq!(chat.unread(&ann.id, &channel("b")).await.unwrap().messages, 2);
    assert_eq!(chat.unread(&host.id, &channel("b")).await.unwrap().messages, 1);
}

#[tokio::test]
async fn the_app_sees_everybody_who_is_online() {
    let chat = chat(|l| l.presence_members = 1).await;
    let a = channel("a");
    assert!(chat.online(&a).is_empty());
    let mut clients = Vec::new();
    for name in ["bob", "ann"] {
        let client = chat.connect(Identity::new(user(name))).unwrap();
        client.subscribe("a").await.unwrap();
        clients.push(client);
    }
    assert_eq!(chat.online(&a), [user("ann"), user("bob")], "also those whom the list has no room for");
}

/// A bus that says that it reaches other processes.
struct FarBus(LocalBus);

#[async_trait]
impl Bus for FarBus {
    async fn publish(&self, partition: u8, bytes: Bytes) -> Result<(), BusError> {
        self.0.publish(partition, bytes).await
    }

    fn subscribe(&self) -> BoxStream<'static, BusEvent> {
        self.0.subscribe()
    }

    fn limits(&self) -> BusLimits {
        self.0.limits()
    }
}

#[tokio::test]
#[should_panic(expected = "they can't share this store")]
async fn a_bus_between_processes_needs_a_store_that_they_share() {
    let _chat = Chat::builder(MemoryStore::new()).bus(FarBus(LocalBus::new())).build();
}
