//! Files of every earlier layout are carried over to this one, and those of a later one are refused.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use chatcore::attachments::FileKind;
use chatcore::store::{
    Append, AppendBody, AppendError, AttachmentIndex, ChannelInfo, ChannelKind, Consumers, Created,
    Directory, Erasure, Erasures, EventKind, EventStore, Extras, Listed, Member, Membership, Mention,
    Mentions, NextTraces, PageLimit, Replay, Role, StartAt, Upload, UploadState,
};
use chatcore::{
    Attachment, AttachmentId, Avatar, ChannelId, ChannelName, ConsumerName, Nonce, Position, Timestamp, User,
    UserId,
};
use chatcore_redb::{OpenError, RedbStore};
use redb::{Database, ReadableDatabase, TableDefinition};

const META: TableDefinition<&str, u64> = TableDefinition::new("chatcore");

fn layout(path: &Path) -> u64 {
    let database = Database::open(path).unwrap();
    let meta = database.begin_read().unwrap().open_table(META).unwrap();
    meta.get("layout").unwrap().unwrap().value()
}

fn set_layout(path: &Path, version: u64) {
    let database = Database::open(path).unwrap();
    let txn = database.begin_write().unwrap();
    txn.open_table(META).unwrap().insert("layout", version).unwrap();
    txn.commit().unwrap();
}

#[test]
fn a_newer_file_is_refused_with_both_versions() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chat.redb");
    drop(RedbStore::open(&path).unwrap());
    set_layout(&path, 9);
    let error = RedbStore::open(&path).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 9, known: 8, .. }), "{error:?}");
    assert!(error.to_string().contains("layout 9"), "{error}");
    assert_eq!(layout(&path), 9);
    set_layout(&path, 8);
    RedbStore::open(&path).unwrap();
}

/// Layout 1 had an event's row for each message.
#[tokio::test]
async fn a_file_of_layout_1_is_upgraded() {
    const EVENTS: TableDefinition<(u64, u64), &[u8]> = TableDefinition::new("events");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chat.redb");
    let ann = User::new("u_ann", "Ann").unwrap();
    let append = |channel, body| Append::new(channel, ann.clone(), body);
    let publish = |nonce: &str| AppendBody::message(Nonce::new(nonce).unwrap(), nonce);
    let store = RedbStore::open(&path).unwrap();
    let name = ChannelName::new("general").unwrap();
    let channel = store.create_channel(&name, "", &ann).await.unwrap().into_channel().id;
    store.append(vec![append(channel, publish("one")), append(channel, publish("two"))]).await;
    let epoch = store.heads(&[channel]).await.unwrap().remove(0).unwrap().epoch;
    let start = Position::new(epoch, 0);
    let Replay::Events { events: before, .. } =
        store.after(channel, &start, PageLimit::items(9)).await.unwrap()
    else {
        panic!("a reset")
    };
    assert_eq!(before.len(), 2);
    drop(store);

    let database = Database::open(&path).unwrap();
    let txn = database.begin_write().unwrap();
    for event in &before {
        let row = serde_json::to_vec(event).unwrap();
        txn.open_table(EVENTS).unwrap().insert((channel.0, event.seq), row.as_slice()).unwrap();
    }
    txn.commit().unwrap();
    drop(database);
    set_layout(&path, 1);

    let store = RedbStore::open(&path).unwrap();
    let Replay::Events { events, .. } = store.after(channel, &start, PageLimit::items(9)).await.unwrap()
    else {
        panic!("a reset")
    };
    assert_eq!(events, before);
    store.append(vec![append(channel, AppendBody::Delete { target: 1 })]).await.remove(0).unwrap();
    store
        .append(vec![append(channel, AppendBody::Edit { target: 2, text: "three".into(), extras: None })])
        .await
        .remove(0)
        .unwrap();
    let Replay::Events { events: after, .. } =
        store.after(channel, &start, PageLimit::items(9)).await.unwrap()
    else {
        panic!("a reset")
    };
    let texts: Vec<_> = after
        .iter()
        .map(|event| match &event.kind {
            EventKind::Message(content) => &*content.text,
            EventKind::Edited { text, .. } => text,
            _ => "-",
        })
        .collect();
    assert_eq!(texts, ["", "two", "-", "three"]);
    drop(store);
    assert_eq!(layout(&path), 8);
}

/// Layout 2 did not count the bytes of files.
#[tokio::test]
async fn the_files_of_layout_2_are_counted() {
    const FILE_BYTES: TableDefinition<&str, u64> = TableDefinition::new("file_bytes");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chat.redb");
    let ann = User::new("u_ann", "Ann").unwrap();
    let store = RedbStore::open(&path).unwrap();
    let name = ChannelName::new("general").unwrap();
    let channel = store.create_channel(&name, "", &ann).await.unwrap().into_channel().id;
    for (id, owner, size) in [("a_1", "u_ann", 5), ("a_2", "u_bob", 7), ("a_3", "u_ann", 11)] {
        let attachment =
            Attachment::new(AttachmentId::new(id).unwrap(), id, size, FileKind::new("image/png"));
        let owner = UserId::new(owner).unwrap();
        let upload = Upload::new(attachment, channel, name.clone(), owner, Timestamp::now());
        store.put_upload(&upload.with_state(UploadState::Ready)).await.unwrap();
    }
    let before = store.file_bytes(&ann.id).await.unwrap();
    assert_eq!((before.owner, before.all), (16, 23));
    drop(store);
    let database = Database::open(&path).unwrap();
    let txn = database.begin_write().unwrap();
    txn.delete_table(FILE_BYTES).unwrap();
    txn.commit().unwrap();
    drop(database);
    set_layout(&path, 2);
    let store = RedbStore::open(&path).unwrap();
    assert_eq!(store.file_bytes(&ann.id).await.unwrap(), before);
}

/// Layout 3 told names apart by their lower case: there are two of one word here, an invisible one, and an imitation.
#[tokio::test]
async fn channels_of_layout_3_keep_their_names_and_are_found() {
    const CHANNELS: TableDefinition<u64, &[u8]> = TableDefinition::new("channels");
    const NAMES: TableDefinition<&str, u64> = TableDefinition::new("names");
    const LOGS: TableDefinition<u64, &[u8]> = TableDefinition::new("logs");
    const LOOKS: TableDefinition<&str, u64> = TableDefinition::new("looks");
    let names = ["general", "stra\u{df}e", "strasse", "σας", "\u{3164}", "gеneral"];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chat.redb");
    drop(RedbStore::open(&path).unwrap());
    let database = Database::open(&path).unwrap();
    let txn = database.begin_write().unwrap();
    for (id, name) in (1..).zip(names) {
        let row = format!(
            r#"{{"id":{id},"name":"{name}","topic":"","created_at":"2026-01-01T00:00:00.000Z","created_by":{{"id":"u_1","name":"Ann"}}}}"#
        );
        let log = format!(
            r#"{{"epoch":"e{id}","head":0,"at":"1970-01-01T00:00:00.000Z","trimmed":0,"messages":0,"trimmed_messages":0}}"#
        );
        txn.open_table(CHANNELS).unwrap().insert(id, row.as_bytes()).unwrap();
        txn.open_table(NAMES).unwrap().insert(name, id).unwrap();
        txn.open_table(LOGS).unwrap().insert(id, log.as_bytes()).unwrap();
    }
    txn.delete_table(LOOKS).unwrap();
    txn.commit().unwrap();
    drop(database);
    set_layout(&path, 3);

    let store = RedbStore::open(&path).unwrap();
    let find = async |name: &str| {
        let found = store.channel(&ChannelName::existing(name).unwrap()).await.unwrap();
        found.map(|info| (info.id.0, info.name.to_string()))
    };
    for (id, name) in (1..).zip(names) {
        assert_eq!(find(name).await, Some((id, name.to_owned())), "{name:?} is found as it is spelt");
    }
    assert_eq!(find("STRASSE").await, Some((3, "strasse".to_owned())));
    assert_eq!(find("Straẞe").await, Some((2, "stra\u{df}e".to_owned())), "in lower case it is the second");
    assert_eq!(find("σασ").await, Some((4, "σας".to_owned())));
    let ann = User::new("u_ann", "Ann").unwrap();
    for (name, taken) in [("strasse", 3), ("ＳＴＲＡＳＳＥ", 2), ("ΣAΣ", 4), ("GENERAL", 1)] {
        let created = store.create_channel(&ChannelName::new(name).unwrap(), "", &ann).await.unwrap();
        assert!(matches!(&created, Created::Exists(info) if info.id.0 == taken), "{name}: {created:?}");
    }
    let listed = store.channels(None, PageLimit::items(9)).await.unwrap().channels;
    assert_eq!(listed.len(), names.len());
    drop(store);
    assert_eq!(layout(&path), 8);
}

const AUTHORS: TableDefinition<(u64, u64), &str> = TableDefinition::new("authors");

/// Creates a file with three messages of Ann, of which the second is deleted, and one of Bob.
async fn counted(path: &Path) -> (ChannelId, [User; 2]) {
    let [ann, bob] = [("u_ann", "Ann"), ("u_bob", "Bob")].map(|(id, name)| User::new(id, name).unwrap());
    let store = RedbStore::open(path).unwrap();
    let name = ChannelName::new("general").unwrap();
    let channel = store.create_channel(&name, "", &ann).await.unwrap().into_channel().id;
    for (nonce, author) in [("a", &ann), ("b", &ann), ("c", &bob), ("d", &ann)] {
        let body = AppendBody::message(Nonce::new(nonce).unwrap(), nonce);
        store.append(vec![Append::new(channel, author.clone(), body)]).await.remove(0).unwrap();
    }
    let delete = Append::new(channel, ann.clone(), AppendBody::Delete { target: 2 });
    store.append(vec![delete]).await.remove(0).unwrap();
    (channel, [ann, bob])
}

/// Returns how many messages are unread for each.
async fn unread(store: &RedbStore, channel: ChannelId, users: &[User; 2]) -> [u64; 2] {
    let of = async |user: &User| store.unread(&user.id, &[channel]).await.unwrap()[0].messages;
    [of(&users[0]).await, of(&users[1]).await]
}

/// Layout 4 had authors in the messages' rows alone.
#[tokio::test]
async fn the_messages_of_layout_4_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chat.redb");
    let (channel, users) = counted(&path).await;
    let database = Database::open(&path).unwrap();
    let txn = database.begin_write().unwrap();
    txn.delete_table(AUTHORS).unwrap();
    txn.commit().unwrap();
    drop(database);
    set_layout(&path, 4);
    let store = RedbStore::open(&path).unwrap();
    assert_eq!(unread(&store, channel, &users).await, [1, 2]);
    store.prune(channel, 3, Timestamp::now()).await.unwrap();
    assert_eq!(unread(&store, channel, &users).await, [0, 1]);
    drop(store);
    assert_eq!(layout(&path), 8);
}

/// Returns a copy of a file that the last version with layout 5 has written: two channels, messages of which one was
/// edited, one has a reaction and a file, and one was deleted.
fn of_layout_5(folder: &Path) -> PathBuf {
    let path = folder.join("chat.redb");
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/store/layouts/5.redb"), &path).unwrap();
    path
}

async fn channel_of(store: &RedbStore, name: &str) -> ChannelInfo {
    store.channel(&ChannelName::new(name).unwrap()).await.unwrap().unwrap()
}

#[tokio::test]
async fn channels_of_layout_5_are_open_and_owned_by_their_creators() {
    let folder = tempfile::tempdir().unwrap();
    let path = of_layout_5(folder.path());
    assert_eq!(layout(&path), 5);
    let [ann, bob] = [("u_ann", "Ann"), ("u_bob", "Bob")].map(|(id, name)| User::new(id, name).unwrap());
    drop(RedbStore::open(&path).unwrap());
    assert_eq!(layout(&path), 8);

    let store = RedbStore::open(&path).unwrap();
    for (name, topic, owner, other) in [("general", "All of us", &ann, &bob), ("straße", "", &bob, &ann)] {
        let info = channel_of(&store, name).await;
        assert_eq!((&*info.title, &*info.topic), (name, topic));
        assert_eq!((info.kind, info.archived), (ChannelKind::Open, false));
        let owning = Member::new(owner.clone(), Role::Owner);
        assert_eq!(store.member(info.id, &owner.id).await.unwrap(), Some(owning.clone()));
        let listed = store.listed(&owner.id, info.id).await.unwrap();
        assert_eq!(listed, Some(Listed::new(info.clone(), Some(owning), 1)));
        assert_eq!(store.member(info.id, &other.id).await.unwrap(), None);
        let rename = |by: &User| {
            let body = AppendBody::Change { title: Some("Renamed".to_owned()), topic: None, archived: None };
            Append::new(info.id, by.clone(), body).checked()
        };
        let refused = store.append(vec![rename(other)]).await.remove(0).unwrap_err();
        assert!(matches!(refused, AppendError::NotAllowed), "{refused:?}");
        store.append(vec![rename(owner)]).await.remove(0).unwrap();
        assert_eq!(channel_of(&store, name).await.title, "Renamed");
    }
    for user in [&ann, &bob] {
        let page = store.channels_of(&user.id, None, false, PageLimit::items(9)).await.unwrap();
        let names: Vec<_> = page.channels.iter().map(|listed| listed.info.name.as_str()).collect();
        assert_eq!(names, ["general", "straße"]);
    }
}

#[tokio::test]
async fn messages_of_layout_5_are_read_counted_and_followed_by_others() {
    let folder = tempfile::tempdir().unwrap();
    let store = RedbStore::open(of_layout_5(folder.path())).unwrap();
    let [ann, bob] = [("u_ann", "Ann"), ("u_bob", "Bob")].map(|(id, name)| User::new(id, name).unwrap());
    let general = channel_of(&store, "general").await.id;
    let page = store.messages_before(general, u64::MAX, PageLimit::items(9)).await.unwrap().messages;
    let texts: Vec<_> = page.iter().map(|message| (message.seq, message.text.as_str())).collect();
    assert_eq!(texts, [(1, "one, edited"), (2, "two @Ann"), (3, "")]);
    assert_eq!(page[0].reactions[0].users, std::slice::from_ref(&bob.id));
    assert_eq!((page[1].reply_to, page[1].attachments.len()), (Some(1), 1));
    assert!(page[2].deleted && page.iter().all(|message| message.mentions.is_empty()));
    let epoch = store.heads(&[general]).await.unwrap().remove(0).unwrap().epoch;
    let replay = store.after(general, &Position::new(epoch, 0), PageLimit::items(9)).await.unwrap();
    let Replay::Events { events, .. } = replay else { panic!("a reset") };
    let seqs: Vec<_> = events.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5, 6]);
    let EventKind::Message(first) = &events[0].kind else { panic!("a message") };
    assert_eq!(&*first.text, "one @Ann");
    assert_eq!(store.file_bytes(&bob.id).await.unwrap().owner, 7);

    let unread = async |user: &User| {
        let unread = store.unread(&user.id, &[general]).await.unwrap().remove(0);
        (unread.read, unread.messages, unread.mentions)
    };
    assert_eq!((unread(&ann).await, unread(&bob).await), ((1, 1, 0), (0, 1, 0)));
    let mentions = Mentions::new(vec![Mention::User(ann.id.clone())], Vec::new());
    let body = AppendBody::Message {
        nonce: Nonce::new("seven").unwrap(),
        text: "seven @Ann".into(),
        reply_to: Some(1),
        attachments: Vec::new(),
        extras: Extras::default().with_mentions(mentions).boxed(),
    };
    let seven = store.append(vec![Append::new(general, bob.clone(), body).checked()]).await.remove(0);
    assert_eq!(seven.unwrap().seq, 7);
    assert_eq!((unread(&ann).await, unread(&bob).await), ((1, 2, 1), (0, 1, 0)));
    let two = AppendBody::message(Nonce::new("two").unwrap(), "two @Ann");
    let again = store.append(vec![Append::new(general, bob, two)]).await.remove(0).unwrap();
    assert!(again.duplicate && again.seq == 2, "the nonces are known: {again:?}");
}

/// Returns a copy of a file that the last version with layout 6 has written: an open channel with an edited and a deleted
/// message, a reaction, a file and a mention; a private one with a member who was added; a direct one; and an empty one.
fn of_layout_6(folder: &Path) -> PathBuf {
    let path = folder.join("chat.redb");
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/store/layouts/6.redb"), &path).unwrap();
    path
}

/// Layout 6 had no consumers.
#[tokio::test]
async fn a_consumer_reads_the_logs_of_layout_6_from_their_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let path = of_layout_6(folder.path());
    assert_eq!(layout(&path), 6);
    drop(RedbStore::open(&path).unwrap());
    assert_eq!(layout(&path), 8);

    let store = RedbStore::open(&path).unwrap();
    assert_eq!(store.consumers().await.unwrap(), []);
    let name = ConsumerName::new("billing").unwrap();
    assert!(store.create_consumer_within(&name, StartAt::Beginning, 1).await.unwrap());
    let lease = store.take_consumer(&name, 1, Duration::from_secs(9)).await.unwrap().unwrap();
    let page = store.news(&name, ChannelId(0), PageLimit::items(9)).await.unwrap();
    let names: Vec<_> = page.news.iter().map(|news| news.channel.name.as_str()).collect();
    assert_eq!(names, ["general", "pr.plans", "dm.annbob"]);
    for (news, seqs) in page.news.iter().zip([6, 3, 2]) {
        let replay = store.after(news.channel.id, &news.position, PageLimit::items(9)).await.unwrap();
        let Replay::Events { events, .. } = replay else { panic!("a reset") };
        assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), (1..=seqs).collect::<Vec<_>>());
        let head = store.heads(&[news.channel.id]).await.unwrap().remove(0).unwrap().position();
        assert!(store.advance(&lease, &[(news.channel.id, head)]).await.unwrap());
    }
    let ann = User::new("u_ann", "Ann").unwrap();
    let said = AppendBody::message(Nonce::new("late").unwrap(), "late");
    let private = page.news[1].channel.id;
    store.append(vec![Append::new(private, ann.clone(), said).checked()]).await.remove(0).unwrap();
    let page = store.news(&name, ChannelId(0), PageLimit::items(9)).await.unwrap();
    assert_eq!((page.news.len(), page.news[0].channel.id, page.news[0].position.seq), (1, private, 3));
    let unread = store.unread(&ann.id, &[private]).await.unwrap().remove(0);
    assert_eq!((unread.read, unread.messages), (1, 1), "what layout 6 counted is counted on");
}

/// Layout 6 had no pictures of people.
#[tokio::test]
async fn the_people_of_layout_6_get_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let store = RedbStore::open(of_layout_6(folder.path())).unwrap();
    let general = store.channel(&ChannelName::new("general").unwrap()).await.unwrap().unwrap().id;
    let people = async || store.members(general, None, PageLimit::items(9)).await.unwrap().members;
    let before = people().await;
    assert!(!before.is_empty() && before.iter().all(|member| member.user.avatar().is_none()), "{before:?}");
    let pictured = before[0].user.clone().with_avatar(Some(Avatar::new("/picture.png").unwrap()));
    store.put_profile(&pictured).await.unwrap();
    assert_eq!(people().await[0].user, pictured);
}

/// Layout 6 did not note where people have left something besides messages.
#[tokio::test]
async fn people_of_layout_6_are_erased_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = of_layout_6(folder.path());
    assert_eq!(layout(&path), 6);
    let store = RedbStore::open(&path).unwrap();
    let bob = UserId::new("u_bob").unwrap();
    store.begin_erasure(&bob, Erasure::Tombstones).await.unwrap();
    let mut found = Vec::new();
    while let NextTraces::Found(traces) = store.next_traces(&bob, 9).await.unwrap() {
        store.cover_traces(&bob, traces.channel.id, traces.through).await.unwrap();
        found.push((traces.channel.name.to_string(), traces.messages, traces.reactions));
    }
    let expected = [
        ("general".to_owned(), vec![2], vec![(1, "👍".to_owned())]),
        ("dm.annbob".to_owned(), vec![2], Vec::new()),
        ("empty".to_owned(), Vec::new(), Vec::new()),
    ];
    assert_eq!(found, expected);
    store.end_erasure(&bob).await.unwrap();
    drop(store);
    assert_eq!(layout(&path), 8);

    // The database's file still has what was freed. A copy has the rows alone.
    let copy = folder.path().join("copy.redb");
    let store = RedbStore::open(&path).unwrap();
    store.backup(&copy).await.unwrap();
    let bytes = std::fs::read(&copy).unwrap();
    let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(has(b"\"u_bob\"") && has(b"\"Ann\"") && !has(b"\"Bob\""));
}

/// Layout 7 had no journal. This file was one of layout 6, and the last version with layout 7 has added a consumer, a
/// picture and a message.
#[tokio::test]
async fn a_file_of_layout_7_gets_a_journal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.redb");
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/store/layouts/7.redb"), &path).unwrap();
    assert_eq!(layout(&path), 7);
    let store = RedbStore::open(&path).unwrap();
    let general = store.channel(&ChannelName::new("general").unwrap()).await.unwrap().unwrap().id;
    let ann = User::new("u_ann", "Ann").unwrap();
    for (nonce, seq) in [("seven", 7), ("eight", 8), ("nine", 9)] {
        let said = AppendBody::message(Nonce::new(nonce).unwrap(), nonce);
        let said =
            store.append(vec![Append::new(general, ann.clone(), said).checked()]).await.remove(0).unwrap();
        assert_eq!((said.seq, said.duplicate), (seq, nonce == "seven"));
    }
    assert!(path.with_extension("redb-journal").exists());
    let name = ConsumerName::new("billing").unwrap();
    let page = store.news(&name, ChannelId(0), PageLimit::items(9)).await.unwrap();
    assert_eq!((page.news.len(), page.news[0].channel.id, page.news[0].position.seq), (1, general, 6));
    let people = store.members(general, None, PageLimit::items(9)).await.unwrap().members;
    let pictured = people.iter().find(|member| member.user.id == ann.id).unwrap();
    assert_eq!(pictured.user.avatar().map(Avatar::as_str), Some("/ann.png"));
    drop(store);
    assert_eq!(layout(&path), 8);
    assert!(!path.with_extension("redb-journal").exists());
}
