//! What a call costs: which rows it reads. A row that can't be decoded stands for one that must not be read.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;

use chatcore::store::{
    Append, AppendBody, Consumers, Directory, EventStore, Extras, MemberOp, Membership, Mention, Mentions,
    NewPrivate, PageLimit, Role, StartAt,
};
use chatcore::{ChannelId, ChannelName, ConsumerName, Nonce, Timestamp, User};
use chatcore_redb::RedbStore;
use redb::{Database, Key, ReadableDatabase, ReadableTable, TableDefinition};

const CHANNELS: TableDefinition<u64, &[u8]> = TableDefinition::new("channels");
const MEMBERS: TableDefinition<(u64, &str), &[u8]> = TableDefinition::new("members");
const MESSAGES: TableDefinition<(u64, u64), (u64, &[u8])> = TableDefinition::new("messages");

fn users() -> [User; 2] {
    [("u_ann", "Ann"), ("u_bob", "Bob")].map(|(id, name)| User::new(id, name).unwrap())
}

fn name(text: &str) -> ChannelName {
    ChannelName::new(text).unwrap()
}

async fn open_channel(store: &RedbStore, text: &str, by: &User) -> ChannelId {
    store.create_channel(&name(text), "", by).await.unwrap().into_channel().id
}

async fn private_channel(store: &RedbStore, text: &str, by: &User) -> ChannelId {
    let new = NewPrivate::new(name(text), text);
    store.create_private_within(&new, by, usize::MAX).await.unwrap().unwrap().id
}

async fn append(store: &RedbStore, channel: ChannelId, author: &User, body: AppendBody) {
    let item = Append::new(channel, author.clone(), body).checked();
    store.append(vec![item]).await.remove(0).unwrap();
}

fn message(nonce: &str, mentions: Vec<Mention>) -> AppendBody {
    let mentions = Mentions::new(mentions, Vec::new());
    AppendBody::Message {
        nonce: Nonce::new(nonce).unwrap(),
        text: nonce.into(),
        reply_to: None,
        attachments: Vec::new(),
        extras: Extras::default().with_mentions(mentions).boxed(),
    }
}

fn archive() -> AppendBody {
    AppendBody::Change { title: None, topic: None, archived: Some(true) }
}

/// Makes rows of a closed file unreadable.
fn spoil<K: Key + 'static>(path: &Path, table: TableDefinition<'_, K, &[u8]>, keys: &[K::SelfType<'_>]) {
    let database = Database::open(path).unwrap();
    let txn = database.begin_write().unwrap();
    for key in keys {
        txn.open_table(table).unwrap().insert(key, b"unreadable".as_slice()).unwrap();
    }
    txn.commit().unwrap();
}

#[tokio::test]
async fn counting_reads_no_message() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chat.redb");
    let [ann, bob] = users();
    let store = RedbStore::open(&path).unwrap();
    let channel = open_channel(&store, "general", &ann).await;
    let of_bob = || vec![Mention::User(bob.id.clone()), Mention::Channel];
    for (nonce, author, mentions) in
        [("a", &ann, of_bob()), ("b", &ann, of_bob()), ("c", &bob, of_bob()), ("d", &ann, Vec::new())]
    {
        append(&store, channel, author, message(nonce, mentions)).await;
    }
    append(&store, channel, &ann, AppendBody::Delete { target: 2 }).await;
    drop(store);
    let database = Database::open(&path).unwrap();
    let txn = database.begin_write().unwrap();
    for seq in 1..=4 {
        txn.open_table(MESSAGES).unwrap().insert((channel.0, seq), (seq, b"unreadable".as_slice())).unwrap();
    }
    txn.commit().unwrap();
    drop(database);
    let store = RedbStore::open(&path).unwrap();
    for (user, expected) in [(&ann, (1, 1)), (&bob, (2, 1))] {
        let unread = store.unread(&user.id, &[channel]).await.unwrap().remove(0);
        assert_eq!((unread.messages, unread.mentions), expected, "of {user:?}");
    }
    assert!(store.message(channel, 1).await.is_err(), "the rows can't be read");
}

#[tokio::test]
async fn a_list_reads_only_the_channels_on_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chat.redb");
    let [ann, bob] = users();
    let store = RedbStore::open(&path).unwrap();
    let mut hidden = Vec::new();
    for n in 0..5 {
        hidden.push(private_channel(&store, &format!("pr.{n}-theirs"), &bob).await);
        let archived = [
            open_channel(&store, &format!("a{n}"), &ann).await,
            private_channel(&store, &format!("pr.{n}-archived"), &ann).await,
        ];
        for channel in archived {
            append(&store, channel, &ann, archive()).await;
        }
        hidden.extend(archived);
    }
    open_channel(&store, "general", &bob).await;
    let mine = private_channel(&store, "pr.3-mine", &ann).await;
    open_channel(&store, "zebra", &bob).await;
    drop(store);
    spoil(&path, CHANNELS, &hidden.iter().map(|channel| channel.0).collect::<Vec<_>>());

    let store = RedbStore::open(&path).unwrap();
    let page = store.channels_of(&ann.id, None, false, PageLimit::items(9)).await.unwrap();
    let names: Vec<_> = page.channels.iter().map(|listed| listed.info.name.as_str()).collect();
    assert_eq!((names, page.more), (vec!["general", "pr.3-mine", "zebra"], false));
    assert!(store.listed(&ann.id, mine).await.unwrap().is_some());
    let all = store.channels_of(&ann.id, None, true, PageLimit::items(9)).await;
    assert!(all.is_err(), "the archived channels are on this page");
}

#[tokio::test]
async fn a_publish_to_an_open_channel_reads_no_row_of_it_or_a_member() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chat.redb");
    let [ann, bob] = users();
    let store = RedbStore::open(&path).unwrap();
    let (open, private) =
        (open_channel(&store, "general", &ann).await, private_channel(&store, "pr.a", &ann).await);
    drop(store);
    spoil(&path, CHANNELS, &[open.0, private.0]);
    spoil(&path, MEMBERS, &[(open.0, "u_ann"), (private.0, "u_ann")]);
    let store = RedbStore::open(&path).unwrap();
    append(&store, open, &ann, message("a", Vec::new())).await;
    append(&store, open, &bob, message("b", vec![Mention::Channel])).await;
    append(&store, open, &bob, AppendBody::Edit { target: 1, text: "c".into(), extras: None }).await;
    let item = Append::new(private, ann.clone(), message("a", Vec::new())).checked();
    assert!(store.append(vec![item]).await.remove(0).is_err(), "a private channel must be read");
}

#[tokio::test]
async fn nothing_is_left_of_members_and_mentions_that_are_gone() {
    const LISTS: TableDefinition<(&str, bool, &str), u64> = TableDefinition::new("lists");
    const MENTIONS: TableDefinition<(u64, &str, u64), ()> = TableDefinition::new("mentions");
    const RESTRICTED: TableDefinition<u64, ()> = TableDefinition::new("restricted");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chat.redb");
    let [ann, bob] = users();
    let store = RedbStore::open(&path).unwrap();
    let channel = private_channel(&store, "pr.a", &ann).await;
    let member = |op| AppendBody::Member { op, user: bob.clone(), role: Role::Member, most: 9 };
    append(&store, channel, &ann, member(MemberOp::Added)).await;
    append(&store, channel, &ann, message("a", vec![Mention::User(bob.id.clone()), Mention::Channel])).await;
    append(&store, channel, &ann, message("b", vec![Mention::Channel])).await;
    append(&store, channel, &ann, archive()).await;
    append(&store, channel, &ann, member(MemberOp::Removed)).await;
    append(&store, channel, &ann, AppendBody::Delete { target: 2 }).await;
    store.prune(channel, 3, Timestamp::now()).await.unwrap();
    let general = open_channel(&store, "general", &ann).await;
    append(&store, general, &ann, archive()).await;
    let reopen = AppendBody::Change { title: None, topic: None, archived: Some(false) };
    append(&store, general, &ann, reopen).await;
    drop(store);

    let database = Database::open(&path).unwrap();
    let txn = database.begin_read().unwrap();
    let mut members = Vec::new();
    for row in txn.open_table(MEMBERS).unwrap().iter().unwrap() {
        let (channel, user) = row.as_ref().unwrap().0.value();
        members.push((channel, user.to_owned()));
    }
    assert_eq!(members, [(channel.0, "u_ann".to_owned()), (general.0, "u_ann".to_owned())]);
    let mut lists = Vec::new();
    for row in txn.open_table(LISTS).unwrap().iter().unwrap() {
        let (user, archived, name) = row.as_ref().unwrap().0.value();
        lists.push(format!("{user} {archived} {name}"));
    }
    assert_eq!(lists, [" false general", "u_ann true pr.a"]);
    assert_eq!(txn.open_table(MENTIONS).unwrap().iter().unwrap().count(), 0);
    let restricted: Vec<_> =
        txn.open_table(RESTRICTED).unwrap().iter().unwrap().map(|row| row.unwrap().0.value()).collect();
    assert_eq!(restricted, [channel.0]);
}

#[tokio::test]
async fn a_consumer_reads_nothing_of_idle_channels() {
    const LOGS: TableDefinition<u64, &[u8]> = TableDefinition::new("logs");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chat.redb");
    let [ann, _] = users();
    let store = RedbStore::open(&path).unwrap();
    let mut idle = Vec::new();
    for i in 0..3 {
        let channel = open_channel(&store, &format!("idle-{i}"), &ann).await;
        append(&store, channel, &ann, message("x", Vec::new())).await;
        idle.push(channel.0);
    }
    let busy = open_channel(&store, "busy", &ann).await;
    let name = ConsumerName::new("billing").unwrap();
    store.create_consumer_within(&name, StartAt::End, 1).await.unwrap();
    drop(store);
    spoil(&path, CHANNELS, &idle);
    spoil(&path, LOGS, &idle);

    let store = RedbStore::open(&path).unwrap();
    let lease = store.take_consumer(&name, 1, std::time::Duration::from_secs(9)).await.unwrap().unwrap();
    append(&store, busy, &ann, message("x", Vec::new())).await;
    let page = store.news(&name, ChannelId(0), PageLimit::items(9)).await.unwrap();
    assert_eq!(page.news.iter().map(|news| news.channel.id).collect::<Vec<_>>(), [busy]);
    let head = store.heads(&[busy]).await.unwrap().remove(0).unwrap();
    assert!(store.advance(&lease, &[(busy, head.position())]).await.unwrap());
    assert!(store.news(&name, ChannelId(0), PageLimit::items(9)).await.unwrap().news.is_empty());
}
