//! A removed member gets everything up to the removal and nothing after it, by whatever way.

use chatcore::attachments::FileKind;
use chatcore::blob::FolderBlobs;
use chatcore::protocol::{Command, RemovalReason, SearchPage, Start};
use chatcore::testkit::{Faults, FaultyStore};
use chatcore::{
    ChannelName, Chat, ClientError, ErrorCode, History, HistoryAccess, Identity, MemoryStore, Mention,
    NewMessage, Notify, Position, Role, Seq,
};
use futures::{FutureExt, StreamExt};

use super::{add, chat, code, id, join, private, remove, removed_from, user};

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

/// A node that is so far behind that the log was trimmed begins its ring anew, without the removal.
#[tokio::test]
async fn a_removal_that_a_node_never_reads_ends_a_subscribe_too() {
    let memory = MemoryStore::with_retention(2);
    let store = FaultyStore::new(memory.clone(), Faults::default(), 1);
    let [here, there] = [Chat::builder(memory).build(), Chat::builder(store.clone()).build()];
    let (ann, bob) = (join(&here, "ann").await, join(&there, "bob").await);
    let name = private(&ann, &["bob"], HistoryAccess::All).await;
    ann.publish(&name, "hello").await.unwrap();
    let begun = bob.subscribe(&name).await.unwrap();
    bob.unsubscribe(&name).await.unwrap();
    // Bob's client has seen a later event at another node, so this node reads the log again.
    let held = store.hold_answers();
    let resuming = async { bob.resume(&name, Position::new(begun.epoch.clone(), 100)).await };
    let removing = async {
        store.answers_held(1).await;
        remove(&ann, &name, "bob").await.unwrap();
        for n in 0..10 {
            ann.publish(&name, &format!("secret {n}")).await.unwrap();
        }
        drop(held);
    };
    let (resumed, ()) = tokio::join!(resuming, removing);
    assert_eq!(code(resumed), ErrorCode::NoSuchChannel);
}
