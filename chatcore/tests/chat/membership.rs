//! Private and direct channels, members and mentions, as participants see them.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use chatcore::attachments::FileKind;
use chatcore::blob::FolderBlobs;
use chatcore::bus::LocalBus;
use chatcore::protocol::{
    Added, ChannelList, ChannelObject, ChatEvent, Command, DirectOpened, Logged, MemberList, People,
    Published, RemovalReason, SearchPage, Start,
};
use chatcore::testkit::{Faults, FaultyStore, Random};
use chatcore::{
    Action, ChannelKind, ChannelName, Chat, Client, ClientError, Data, Denied, ErrorCode, History,
    HistoryAccess, Identity, MemoryStore, Mention, MessageKind, NewMessage, Nonce, Notify, OpenPolicy,
    Policy, Role, Seq, User, UserId,
};
use futures::{FutureExt, StreamExt};
use serde::Deserialize;

fn user(name: &str) -> User {
    User::new(&format!("u_{name}"), name).unwrap()
}

fn id(name: &str) -> UserId {
    user(name).id
}

/// Connects a user who is known to all by then.
async fn join(chat: &Chat, name: &str) -> Client {
    chat.remember_user(&user(name)).await.unwrap();
    let mut client = chat.connect(Identity::new(user(name))).unwrap();
    client.next_event().await.expect("a welcome");
    client
}

fn chat() -> Chat {
    Chat::builder(MemoryStore::new()).build()
}

#[derive(Deserialize)]
struct Created {
    channel: ChannelObject,
}

/// Creates a private channel and returns its key.
async fn private(owner: &Client, members: &[&str], history: HistoryAccess) -> String {
    let command = Command::CreateChannel {
        name: None,
        topic: None,
        kind: Some(ChannelKind::Private),
        title: Some("Plans".to_owned()),
        members: members.iter().map(|name| id(name).to_string()).collect(),
        history: Some(history),
    };
    owner.call::<Created>(command).await.unwrap().channel.name.to_string()
}

async fn direct(client: &Client, others: &[&str]) -> DirectOpened {
    let users = others.iter().map(|name| id(name).to_string()).collect();
    client.call(Command::OpenDirect { users }).await.unwrap()
}

async fn add(client: &Client, channel: &str, who: &str) -> Result<Added, ClientError> {
    client.call(Command::AddMembers { channel: channel.to_owned(), users: vec![id(who).to_string()] }).await
}

async fn remove(client: &Client, channel: &str, who: &str) -> Result<Logged, ClientError> {
    client.call(Command::RemoveMember { channel: channel.to_owned(), user: id(who).to_string() }).await
}

fn code<T>(result: Result<T, ClientError>) -> ErrorCode {
    match result {
        Err(ClientError::Refused(error)) => error.code(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("accepted"),
    }
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

fn removed_from(channel: &str) -> impl Fn(&ChatEvent) -> Option<RemovalReason> + '_ {
    move |event| match event {
        ChatEvent::ChannelRemoved { channel: gone, reason, .. } if gone.as_str() == channel => Some(*reason),
        _ => None,
    }
}

/// Every way to read a channel, as a command.
fn reads(channel: &str) -> Vec<Command> {
    let channel = || channel.to_owned();
    vec![
        Command::Subscribe { channel: channel(), after: None, limit: None },
        History::Before(Seq::MAX).command(&channel(), None),
        History::After(0).command(&channel(), None),
        History::Around(1).command(&channel(), None),
        Command::Search { channel: Some(channel()), query: "secret".to_owned(), before: None, limit: None },
        Command::Read { channel: channel(), seq: 1 },
        Command::Unread { channel: channel(), seq: 1 },
        Command::Members { channel: channel(), after: None, limit: None },
        Command::Users { query: None, channel: Some(channel()), after: None, limit: None },
        Command::Publish {
            channel: channel(),
            nonce: "n".to_owned(),
            text: "hello".to_owned(),
            attachments: Vec::new(),
            reply_to: None,
            mentions: Vec::new(),
            data: None,
        },
        Command::Publish {
            channel: channel(),
            nonce: "m".to_owned(),
            text: "hello".to_owned(),
            attachments: Vec::new(),
            reply_to: Some(1),
            mentions: vec![Mention::User(id("ann")), Mention::Channel],
            data: None,
        },
        Command::Edit { channel: channel(), seq: 1, text: "x".to_owned(), mentions: None, data: None },
        Command::Delete { channel: channel(), seq: 1 },
        Command::React { channel: channel(), seq: 1, emoji: "👍".to_owned(), on: true },
        Command::UpdateChannel {
            channel: channel(),
            title: Some("x".to_owned()),
            topic: None,
            archived: None,
        },
        Command::AddMembers { channel: channel(), users: vec![id("ann").to_string()] },
        Command::RemoveMember { channel: channel(), user: id("ann").to_string() },
        Command::Join { channel: channel() },
        Command::Leave { channel: channel() },
        Command::SetRole { channel: channel(), user: id("ann").to_string(), role: Role::Member },
        Command::SetNotify { channel: channel(), notify: Notify::None },
    ]
}

fn refused(result: Result<serde_json::Value, ClientError>) -> (ErrorCode, String) {
    match result {
        Err(ClientError::Refused(error)) => (error.code(), error.to_string()),
        other => panic!("not refused: {other:?}"),
    }
}

/// Trap 3: a private channel that one can't read looks like one that does not exist, to every command.
#[tokio::test]
async fn a_private_channel_of_others_can_not_be_told_from_none() {
    let chat = chat();
    let (ann, bob) = (join(&chat, "ann").await, join(&chat, "bob").await);
    let there = private(&ann, &[], HistoryAccess::All).await;
    ann.publish(&there, "secret").await.unwrap();
    let not_there = there.replace(|c: char| c.is_ascii_digit(), "z").replacen("pr.", "pr.q", 1);
    for (existing, missing) in reads(&there).into_iter().zip(reads(&not_there)) {
        let what = format!("{existing:?}");
        let refusals = (refused(bob.call(existing).await), refused(bob.call(missing).await));
        assert_eq!(refusals.0, refusals.1, "{what}");
        assert_eq!(refusals.0.0, ErrorCode::NoSuchChannel, "{what}");
    }
    let taken: Result<serde_json::Value, _> = bob
        .call(Command::CreateChannel {
            name: Some(there.clone()),
            topic: None,
            kind: None,
            title: None,
            members: Vec::new(),
            history: None,
        })
        .await;
    assert_eq!(code(taken), ErrorCode::BadName, "generated names are for no open channel");
    let listed = bob.channels().await.unwrap();
    assert!(listed.iter().all(|channel| channel.name.as_str() != there));
    assert_eq!(bob.search_all("secret", None).await.unwrap().messages, []);
}

/// Trap 1: a removed member with an open socket gets everything up to the removal, and nothing after it.
#[tokio::test]
async fn a_removed_member_gets_nothing_beyond_the_removal() {
    let chat = chat();
    let (ann, mut bob) = (join(&chat, "ann").await, join(&chat, "bob").await);
    let channel = private(&ann, &["bob"], HistoryAccess::All).await;
    bob.subscribe(&channel).await.unwrap();
    ann.subscribe(&channel).await.unwrap();
    for n in 0..20 {
        ann.publish(&channel, &format!("before {n}")).await.unwrap();
    }
    let removal = remove(&ann, &channel, "bob").await.unwrap().seq;
    for n in 0..20 {
        ann.publish(&channel, &format!("after {n}")).await.unwrap();
    }
    ann.typing(&channel).await.unwrap();
    let mut seqs = Vec::new();
    let reason = loop {
        let event = bob.next_event().await.unwrap();
        if let Some((of, seq)) = event.log_position() {
            assert_eq!(of.as_str(), channel);
            seqs.push(seq);
        }
        if let Some(reason) = removed_from(&channel)(&event) {
            break reason;
        }
    };
    assert_eq!(reason, RemovalReason::Removed);
    let first = seqs[0];
    assert_eq!(seqs, (first..=removal).collect::<Vec<_>>(), "none is missing, and none is beyond {removal}");
    // The answer comes after everything that was on its way.
    bob.call::<serde_json::Value>(Command::Ping).await.unwrap();
    while let Some(Some(event)) = bob.next_event().now_or_never() {
        assert!(!format!("{event:?}").contains(&channel), "{event:?}");
    }
    let online: Vec<_> = chat.online(&ChannelName::new(&channel).unwrap());
    assert_eq!(online, [user("ann")], "the removed are not online");
}

/// Trap 2: after the removal every way to read is closed, whatever is cached.
#[tokio::test]
async fn every_way_to_read_is_closed_after_the_removal() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = FolderBlobs::open(folder.path().join("files")).await.unwrap();
    let chat = Chat::builder(MemoryStore::new()).blobs(blobs).build();
    let (ann, bob) = (join(&chat, "ann").await, join(&chat, "bob").await);
    let channel = private(&ann, &["bob"], HistoryAccess::All).await;
    let identity = |name: &str| Identity::new(user(name));
    let bytes = futures::stream::iter([Ok("secret".into())]).boxed();
    let file = chat
        .upload(&identity("ann"), &channel, "a.txt", bytes, |_| FileKind::new("text/plain"))
        .await
        .unwrap();
    ann.send(&channel, NewMessage::text("secret").attachment(file.id.clone())).await.unwrap();
    let second = ann.publish(&channel, "secret two").await.unwrap().seq;
    assert!(chat.attachment(&identity("bob"), file.id.as_str()).await.is_ok());
    let mut open = chat.attachment_bytes(&identity("bob"), &file.id, 0..u64::MAX).await.unwrap();
    assert!(open.next().await.unwrap().is_ok(), "the first piece comes at once");
    bob.subscribe(&channel).await.unwrap();
    remove(&ann, &channel, "bob").await.unwrap();

    for command in reads(&channel) {
        let what = format!("{command:?}");
        assert_eq!(refused(bob.call(command).await).0, ErrorCode::NoSuchChannel, "{what}");
    }
    let gone = chat.attachment(&identity("bob"), file.id.as_str()).await.unwrap_err();
    assert_eq!(gone.code(), ErrorCode::NoSuchAttachment);
    let gone = chat.attachment_bytes(&identity("bob"), &file.id, 2..4).await.err().unwrap();
    assert_eq!(gone.code(), ErrorCode::NoSuchAttachment);
    let bytes = futures::stream::iter([Ok("mine".into())]).boxed();
    let bob_himself = identity("bob");
    let upload = chat.upload(&bob_himself, &channel, "b.txt", bytes, |_| FileKind::new("text/plain"));
    assert_eq!(upload.await.unwrap_err().code(), ErrorCode::NoSuchChannel);
    assert_eq!(bob.search_all("secret", None).await.unwrap().messages, []);
    let position = chatcore::Position::new(ann.subscribe(&channel).await.unwrap().epoch, second);
    assert_eq!(code(bob.resume(&channel, position).await), ErrorCode::NoSuchChannel, "nor by a resume");
    assert!(bob.channels().await.unwrap().is_empty());
}

/// Trap 6: who is removed and added again resumes across both. With `joined`, the gap can't be read.
#[tokio::test]
async fn a_resume_across_removal_and_return_shows_the_gap_only_if_the_history_does() {
    for (history, expected) in [(HistoryAccess::All, true), (HistoryAccess::Joined, false)] {
        let chat = chat();
        let (ann, bob) = (join(&chat, "ann").await, join(&chat, "bob").await);
        let channel = private(&ann, &["bob"], history).await;
        ann.publish(&channel, "first").await.unwrap();
        let position = bob.subscribe(&channel).await.unwrap().position();
        ann.publish(&channel, "seen").await.unwrap();
        remove(&ann, &channel, "bob").await.unwrap();
        ann.publish(&channel, "secret gap").await.unwrap();
        let back = add(&ann, &channel, "bob").await.unwrap().seq.unwrap();
        ann.publish(&channel, "after").await.unwrap();

        let again = bob.resume(&channel, position).await.unwrap();
        let texts: Vec<String> = match &again.start {
            Start::Snapshot { messages, .. } => messages.iter().map(|m| m.text.clone()).collect(),
            Start::Replay(events) => events.iter().map(|event| format!("{event:?}")).collect(),
        };
        assert_eq!(texts.iter().any(|text| text.contains("secret gap")), expected, "{history:?}: {texts:?}");
        assert_eq!(again.start.is_snapshot(), !expected, "{history:?}");
        let page = bob.history(&channel, Seq::MAX, 100).await.unwrap();
        let seqs: Vec<_> = page.messages.iter().map(|message| message.seq).collect();
        assert!(!page.more);
        assert_eq!(seqs.iter().all(|seq| *seq > back), !expected, "{history:?}: {seqs:?}");
        let (seen, expected_all) = (seqs, expected);
        for from in [History::After(0), History::After(back), History::Around(1), History::Around(back + 1)] {
            let page = bob.history(&channel, from, 100).await.unwrap();
            let seqs: Vec<_> = page.messages.iter().map(|message| message.seq).collect();
            let is_late = matches!(from, History::After(after) if after == back);
            let expected: Vec<_> = seen.iter().copied().filter(|seq| !is_late || *seq > back).collect();
            assert_eq!((seqs, page.more_after), (expected, Some(false)), "{history:?} {from:?}");
            assert_eq!(page.more, is_late && expected_all, "{history:?} {from:?}");
        }
        let found = bob.search(&channel, "secret", None).await.unwrap();
        assert_eq!((found.messages.len() == 1, found.before), (expected, None), "{history:?}");
        let everywhere: SearchPage = bob.search_all("secret", None).await.unwrap();
        assert_eq!(everywhere.messages.len() == 1, expected, "{history:?}");
    }
}

/// Trap 5: two people who write to each other at the same instant, from two nodes, get one channel.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_open_the_same_direct_channel_at_once_get_one() {
    let (store, bus) = (MemoryStore::new(), Arc::new(LocalBus::new()));
    let nodes = [0, 1].map(|_| Chat::builder(store.clone()).bus(bus.clone()).build());
    for n in 0..100 {
        let (a, b) = (format!("a{n}"), format!("b{n}"));
        let (one, other) = (join(&nodes[0], &a).await, join(&nodes[1], &b).await);
        let (to_b, to_a) = ([b.as_str()], [a.as_str()]);
        let (one, other) = tokio::join!(direct(&one, &to_b), direct(&other, &to_a));
        assert_eq!(one.channel.name, other.channel.name);
        assert!(one.created != other.created, "one of the two has created it");
        assert_eq!(one.channel.users, [user(&a), user(&b)]);
    }
}

/// Trap 10: the last owner.
#[tokio::test]
async fn the_last_owner_must_name_another_before_leaving() {
    let chat = chat();
    let (ann, bob) = (join(&chat, "ann").await, join(&chat, "bob").await);
    let channel = private(&ann, &["bob"], HistoryAccess::All).await;
    let leave = || Command::Leave { channel: channel.clone() };
    assert_eq!(code(ann.call::<Logged>(leave()).await), ErrorCode::LastOwner);
    let role =
        |name: &str, role| Command::SetRole { channel: channel.clone(), user: id(name).to_string(), role };
    assert_eq!(code(bob.call::<Logged>(role("bob", Role::Owner)).await), ErrorCode::NotAllowed);
    ann.call::<Logged>(role("bob", Role::Owner)).await.unwrap();
    let left: Logged = ann.call(leave()).await.unwrap();
    let members: MemberList =
        bob.call(Command::Members { channel: channel.clone(), after: None, limit: None }).await.unwrap();
    assert_eq!(
        members.members.iter().map(|m| (m.user.clone(), m.role)).collect::<Vec<_>>(),
        [(user("bob"), Role::Owner)]
    );
    bob.subscribe(&channel).await.unwrap();
    let page = bob.history(&channel, Seq::MAX, 10).await.unwrap();
    assert!(page.messages.is_empty() && left.seq > 0, "events of members are no messages");
}

/// Whoever is added, or written to, is told at once, on every connection and node.
#[tokio::test]
async fn who_is_added_or_written_to_is_told_at_every_node() {
    let (store, bus) = (MemoryStore::new(), Arc::new(LocalBus::new()));
    let nodes = [0, 1].map(|_| Chat::builder(store.clone()).bus(bus.clone()).build());
    let ann = join(&nodes[0], "ann").await;
    let mut bobs = [join(&nodes[0], "bob").await, join(&nodes[1], "bob").await];
    let channel = private(&ann, &[], HistoryAccess::All).await;
    ann.publish(&channel, "hello").await.unwrap();
    add(&ann, &channel, "bob").await.unwrap();
    let added = |event: &ChatEvent| match event {
        ChatEvent::ChannelAdded { channel, .. } => Some(channel.clone()),
        _ => None,
    };
    for bob in &mut bobs {
        let shown = until(bob, added).await;
        assert_eq!((shown.name.as_str(), &*shown.title, shown.unread), (&*channel, "Plans", 1));
        assert_eq!(
            (shown.kind, shown.role, shown.members),
            (ChannelKind::Private, Some(Role::Member), Some(2))
        );
    }
    let opened = direct(&ann, &["bob"]).await;
    for bob in &mut bobs {
        let shown = until(bob, added).await;
        assert_eq!((shown.name, shown.users), (opened.channel.name.clone(), vec![user("ann"), user("bob")]));
    }
    remove(&ann, &channel, "bob").await.unwrap();
    for bob in &mut bobs {
        assert_eq!(until(bob, removed_from(&channel)).await, RemovalReason::Removed);
    }
}

/// Members and changes of a channel are events of its log, and titles change live.
#[tokio::test]
async fn members_and_changes_are_events_of_the_log() {
    let chat = chat();
    let (ann, mut bob) = (join(&chat, "ann").await, join(&chat, "bob").await);
    let channel = private(&ann, &["bob"], HistoryAccess::All).await;
    let position = bob.subscribe(&channel).await.unwrap().position();
    let update = |title: Option<&str>, archived| Command::UpdateChannel {
        channel: channel.clone(),
        title: title.map(str::to_owned),
        topic: None,
        archived,
    };
    assert_eq!(code(bob.call::<Logged>(update(Some("Mine"), None)).await), ErrorCode::NotAllowed);
    assert_eq!(code(ann.call::<Logged>(update(Some(" \u{200b}"), None)).await), ErrorCode::BadName);
    let named: Logged = ann.call(update(Some("  Großes \u{202e}Ziel "), None)).await.unwrap();
    let again: Logged = ann.call(update(Some("Großes Ziel"), None)).await.unwrap();
    assert_eq!(again.seq, named.seq, "nothing changes");
    let (seq, title) = until(&mut bob, |event| match event {
        ChatEvent::ChannelChanged { seq, title, .. } => Some((*seq, title.clone())),
        _ => None,
    })
    .await;
    assert_eq!((seq, title.as_deref()), (named.seq, Some("Großes Ziel")));
    ann.call::<Logged>(update(None, Some(true))).await.unwrap();
    assert_eq!(code(bob.publish(&channel, "late").await), ErrorCode::Archived);
    assert_eq!(code(add(&ann, &channel, "bob").await), ErrorCode::Archived);
    let list = |archived| Command::Channels { after: None, limit: None, archived };
    assert!(bob.call::<ChannelList>(list(false)).await.unwrap().channels.is_empty());
    let listed = bob.call::<ChannelList>(list(true)).await.unwrap().channels.remove(0);
    assert_eq!((&*listed.title, listed.archived), ("Großes Ziel", true));
    ann.call::<Logged>(update(None, Some(false))).await.unwrap();
    bob.publish(&channel, "back").await.unwrap();
    let replayed = bob.resume(&channel, position).await.unwrap();
    let kinds = replayed.start.events().iter().map(|event| match event {
        ChatEvent::ChannelChanged { archived, .. } => format!("changed {archived:?}"),
        ChatEvent::Message { message, .. } => message.text.clone(),
        other => format!("{other:?}"),
    });
    assert_eq!(
        kinds.collect::<Vec<_>>(),
        ["changed None", "changed Some(true)", "changed Some(false)", "back"]
    );
}

/// Mentions are kept for those who can read the channel, and counted. A deleted message counts no more (trap 8).
#[tokio::test]
async fn mentions_are_counted_for_those_who_can_read() {
    let chat = chat();
    let (ann, mut bob, cid) = (join(&chat, "ann").await, join(&chat, "bob").await, join(&chat, "cid").await);
    let channel = private(&ann, &["bob"], HistoryAccess::All).await;
    let hello = NewMessage::text("hello")
        .mention(Mention::User(id("bob")))
        .mention(Mention::User(id("cid")))
        .mention(Mention::User(id("bob")));
    let said: Published = ann.send(&channel, hello).await.unwrap();
    let counts = |event: &ChatEvent| match event {
        ChatEvent::Counts { unread, mentions, .. } => Some((*unread, *mentions)),
        _ => None,
    };
    assert_eq!(until(&mut bob, counts).await, (1, 1));
    let page = bob.history(&channel, Seq::MAX, 10).await.unwrap();
    assert_eq!(page.messages[0].mentions.list, [Mention::User(id("bob"))], "cid can't read it");
    let mut phone = join(&chat, "bob").await;
    bob.read(&channel, said.seq).await.unwrap();
    assert_eq!(until(&mut phone, counts).await, (0, 0), "the other device agrees");
    let edit = |mentions| Command::Edit {
        channel: channel.clone(),
        seq: said.seq,
        text: "hello all".to_owned(),
        mentions,
        data: None,
    };
    bob.unread(&channel, said.seq).await.unwrap();
    assert_eq!(until(&mut phone, counts).await, (1, 1));
    ann.call::<Logged>(edit(Some(Vec::new()))).await.unwrap();
    assert_eq!(chat.unread(&id("bob"), &ChannelName::new(&channel).unwrap()).await.unwrap().mentions, 0);
    ann.call::<Logged>(edit(Some(vec![Mention::Channel]))).await.unwrap();
    assert_eq!(chat.unread(&id("bob"), &ChannelName::new(&channel).unwrap()).await.unwrap().mentions, 1);
    ann.delete(&channel, said.seq).await.unwrap();
    let left = chat.unread(&id("bob"), &ChannelName::new(&channel).unwrap()).await.unwrap();
    assert_eq!((left.messages, left.mentions), (0, 0));
    drop(cid);
}

/// By default nobody mentions more than a hundred people at once.
#[tokio::test]
async fn a_mention_of_everybody_is_refused_above_a_hundred_people() {
    let chat = chat();
    let ann = join(&chat, "ann").await;
    let channel = private(&ann, &[], HistoryAccess::All).await;
    let name = ChannelName::new(&channel).unwrap();
    for n in 0..99 {
        chat.add_member(&user("ann"), &name, &user(&format!("m{n}"))).await.unwrap();
    }
    let everybody = || NewMessage::text("all").mention(Mention::Channel);
    ann.send(&channel, everybody()).await.unwrap();
    chat.add_member(&user("ann"), &name, &user("one-more")).await.unwrap();
    assert_eq!(code(ann.send(&channel, everybody()).await), ErrorCode::NotAllowed);
    ann.send(&channel, NewMessage::text("here").mention(Mention::Here)).await.unwrap();
}

/// The app's own messages are marked and carry its data. A client can't mark its own.
#[tokio::test]
async fn the_app_says_what_is_its_own() {
    let chat = chat();
    let (ann, helpdesk) = (join(&chat, "ann").await, user("helpdesk"));
    let ticket = chat.create_private(&helpdesk, "Ticket 7", "", HistoryAccess::All).await.unwrap();
    chat.add_member(&helpdesk, &ticket.name, &user("ann")).await.unwrap();
    let data = Data::new(&serde_json::json!({"state": "closed"})).unwrap();
    let closed = NewMessage::text("Closed.").system().data(data.clone()).nonce(Nonce::new("closed").unwrap());
    chat.publish(&helpdesk, &ticket.name, closed).await.unwrap();
    ann.send(ticket.name.as_str(), NewMessage::text("Thanks").system().data(data.clone())).await.unwrap();
    let page = ann.history(ticket.name.as_str(), Seq::MAX, 10).await.unwrap();
    let kinds: Vec<_> = page.messages.iter().map(|m| (m.kind, m.data.clone())).collect();
    assert_eq!(kinds, [(Some(MessageKind::System), Some(data.clone())), (None, Some(data))]);
    assert!(
        ann.search(ticket.name.as_str(), "state", None).await.unwrap().messages.is_empty(),
        "nobody searches data"
    );
    assert_eq!(chat.members(&ticket.name, None).await.unwrap().members.len(), 2);
    chat.archive(&helpdesk, &ticket.name, true).await.unwrap();
    let late = chat.publish(&helpdesk, &ticket.name, NewMessage::text("late")).await.unwrap_err();
    assert_eq!(late.code(), ErrorCode::Archived);
}

/// People are found by name, in all and among those who can read a channel.
#[tokio::test]
async fn people_are_found_by_name() {
    let chat = chat();
    let (ann, _bob, _bea) = (join(&chat, "ann").await, join(&chat, "bob").await, join(&chat, "bea").await);
    let channel = private(&ann, &["bob"], HistoryAccess::All).await;
    let find = async |query: &str, channel: Option<&str>| {
        let command = Command::Users {
            query: Some(query.to_owned()),
            channel: channel.map(str::to_owned),
            after: None,
            limit: None,
        };
        let people: People = ann.call(command).await.unwrap();
        assert!(!people.more);
        people.users.iter().map(|user| user.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(find("b", None).await, ["bea", "bob"]);
    assert_eq!(find("B", Some(&channel)).await, ["bob"]);
    assert_eq!(find("x", None).await, Vec::<String>::new());
}

/// A search over more channels than one step looks at finds each message once.
#[tokio::test]
async fn a_search_over_many_channels_finds_each_message_once() {
    let chat = chat();
    let ann = join(&chat, "ann").await;
    let mut expected = Vec::new();
    for n in 0..120 {
        let name = ChannelName::new(&format!("c{n:03}")).unwrap();
        chat.ensure_channel(&name, "", &user("ann")).await.unwrap();
        chat.publish(&user("ann"), &name, NewMessage::text(format!("needle {n:03}"))).await.unwrap();
        expected.push(format!("needle {n:03}"));
    }
    let (mut found, mut from) = (Vec::new(), None);
    loop {
        let page: SearchPage = ann.search_all("needle", from).await.unwrap();
        found.extend(page.messages.into_iter().map(|message| message.text));
        from = page.before;
        assert_eq!(page.more, from.is_some());
        if from.is_none() {
            break;
        }
    }
    assert_eq!(found, expected);
}

/// Trap 9: a rename changes no link, no mention and no membership, and everybody hears of it.
#[tokio::test]
async fn a_renamed_person_is_the_same_person() {
    let chat = chat();
    let (mut ann, bob) = (join(&chat, "ann").await, join(&chat, "bob").await);
    let channel = private(&ann, &["bob"], HistoryAccess::All).await;
    ann.send(&channel, NewMessage::text("hello").mention(Mention::User(id("bob")))).await.unwrap();
    let robert = User::new("u_bob", "Robert").unwrap();
    chat.remember_user(&robert).await.unwrap();
    let told = until(&mut ann, |event| match event {
        ChatEvent::UserChanged { user, .. } => Some(user.clone()),
        _ => None,
    });
    assert_eq!(told.await, robert);
    let members: MemberList =
        ann.call(Command::Members { channel: channel.clone(), after: None, limit: None }).await.unwrap();
    assert!(members.members.iter().any(|member| member.user == robert));
    assert_eq!(chat.unread(&id("bob"), &ChannelName::new(&channel).unwrap()).await.unwrap().mentions, 1);
    bob.publish(&channel, "still here").await.unwrap();
}

/// An open channel is joined by publishing, and left without a word in its log.
#[tokio::test]
async fn an_open_channel_is_joined_by_publishing() {
    let chat = chat();
    let (ann, mut bob) = (join(&chat, "ann").await, join(&chat, "bob").await);
    ann.create_channel("general", "").await.unwrap();
    let role = async |client: &Client| client.channels().await.unwrap()[0].role;
    assert_eq!((role(&ann).await, role(&bob).await), (Some(Role::Owner), None));
    let said = bob.publish("general", "hello").await.unwrap();
    until(&mut bob, |event| match event {
        ChatEvent::ChannelAdded { channel, .. } => Some(channel.role),
        _ => None,
    })
    .await;
    assert_eq!(role(&bob).await, Some(Role::Member));
    bob.call::<serde_json::Value>(Command::Leave { channel: "general".to_owned() }).await.unwrap();
    assert_eq!(role(&bob).await, None);
    assert_eq!(ann.subscribe("general").await.unwrap().head, said.seq);
    until(&mut bob, |event| matches!(event, ChatEvent::ChannelAdded { .. }).then_some(())).await;
    bob.publish("general", "again").await.unwrap();
    let joined = |event: &ChatEvent| match event {
        ChatEvent::ChannelAdded { channel, .. } => channel.role,
        _ => None,
    };
    assert_eq!(until(&mut bob, joined).await, Role::Member, "and joined again");
}

/// A person whom the policy keeps apart can be neither found, nor added, nor written to.
#[tokio::test]
async fn a_policy_keeps_people_apart() {
    struct Apart;
    impl Policy for Apart {
        fn authorize(&self, identity: &Identity, action: Action<'_>) -> Result<(), Denied> {
            match action {
                Action::Meet(user) if *user == id("bob") && identity.user.id == id("ann") => Err(Denied),
                other => OpenPolicy.authorize(identity, other),
            }
        }
    }
    let chat = Chat::builder(MemoryStore::new()).policy(Apart).build();
    let (ann, _bob) = (join(&chat, "ann").await, join(&chat, "bob").await);
    let channel = private(&ann, &[], HistoryAccess::All).await;
    let users = Command::Users { query: None, channel: None, after: None, limit: None };
    assert_eq!(ann.call::<People>(users).await.unwrap().users, [user("ann")]);
    for (name, apart) in [("bob", true), ("nobody", false)] {
        let users = vec![id(name).to_string()];
        let opened = ann.call::<DirectOpened>(Command::OpenDirect { users }).await;
        assert_eq!(code(opened), ErrorCode::NoSuchUser, "{name}: {apart}");
        assert_eq!(code(add(&ann, &channel, name).await), ErrorCode::NoSuchUser);
    }
}

/// A removal is not undone by an answer that the store gave before it.
#[tokio::test(start_paused = true)]
async fn an_answer_that_was_read_before_the_removal_is_not_given() {
    let store = FaultyStore::new(MemoryStore::new(), Faults::default(), 1);
    let chat = Chat::builder(store.clone()).build();
    let (ann, bob) = (join(&chat, "ann").await, join(&chat, "bob").await);
    let channel = private(&ann, &["bob"], HistoryAccess::All).await;
    ann.publish(&channel, "secret").await.unwrap();
    let remove = async || {
        let name = ChannelName::new(&channel).unwrap();
        chat.remove_member(&user("ann"), &name, &id("bob")).await.unwrap();
    };
    tokio::task::yield_now().await;
    let held = store.hold_answers();
    let reading = {
        let (bob, channel) = (bob.sender(), channel.clone());
        tokio::spawn(async move { bob.history(&channel, Seq::MAX, 10).await })
    };
    store.answers_held(1).await;
    drop(held);
    // Whichever of its reads was answered, the last one decides.
    remove().await;
    let read = reading.await.unwrap();
    if let Ok(page) = read {
        assert!(page.messages.iter().all(|message| message.text == "secret"), "{page:?}");
    }
    assert_eq!(code(bob.history(&channel, Seq::MAX, 10).await), ErrorCode::NoSuchChannel);
}

/// Removals under load, on one node and on two whose bus carries nothing: nobody gets an event beyond their removal, and
/// nobody lacks one before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removals_under_load_cut_exactly() {
    const MEMBERS: usize = 50;
    const REMOVED: usize = 20;
    for two_nodes in [false, true] {
        let store = MemoryStore::new();
        let nodes: Vec<Chat> = match two_nodes {
            false => vec![Chat::builder(store.clone()).build()],
            // Each hears only itself, as if the bus were cut.
            true => {
                (0..2).map(|_| Chat::builder(store.clone()).bus(Arc::new(LocalBus::new())).build()).collect()
            }
        };
        let owner = join(&nodes[0], "owner").await;
        let channel = private(&owner, &[], HistoryAccess::All).await;
        let name = ChannelName::new(&channel).unwrap();
        let mut members = Vec::new();
        for n in 0..MEMBERS {
            let member = format!("m{n}");
            nodes[0].add_member(&user("owner"), &name, &user(&member)).await.unwrap();
            let client = join(&nodes[n % nodes.len()], &member).await;
            let start = client.subscribe(&channel).await.unwrap().head;
            members.push((member, client, start));
        }
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let writers: Vec<_> = (0..4)
            .map(|n| {
                let (chat, name, stop) = (nodes[n % nodes.len()].clone(), name.clone(), Arc::clone(&stop));
                tokio::spawn(async move {
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        chat.publish(&user("owner"), &name, NewMessage::text("x")).await.unwrap();
                    }
                })
            })
            .collect();
        let random = Random::from_env();
        let mut removals = std::collections::HashMap::new();
        for n in 0..REMOVED {
            for _ in 0..random.below(20) {
                tokio::task::yield_now().await;
            }
            let member = format!("m{}", n * MEMBERS / REMOVED);
            let node = &nodes[n % nodes.len()];
            let seq = node.remove_member(&user("owner"), &name, &id(&member)).await.unwrap();
            removals.insert(member, seq);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        for writer in writers {
            writer.await.unwrap();
        }
        let last = nodes[0].publish(&user("owner"), &name, NewMessage::text("last")).await.unwrap().seq;
        for node in &nodes {
            node.wake(&name).await.unwrap();
        }
        for (member, mut client, start) in members {
            let end = removals.get(&member).copied();
            let mut next = start + 1;
            loop {
                let event = client.next_event().await.expect("the connection is open");
                if let Some((_, seq)) = event.log_position() {
                    assert_eq!(seq, next, "{member}, who was removed at {end:?}");
                    assert!(end.is_none_or(|end| seq <= end), "{member} got {seq}, beyond {end:?}");
                    next += 1;
                }
                match removed_from(&channel)(&event) {
                    Some(_) => {
                        assert_eq!(Some(next - 1), end, "{member} has everything up to the removal");
                        break;
                    }
                    None if end.is_none() && next > last => break,
                    None => {}
                }
            }
        }
    }
}
