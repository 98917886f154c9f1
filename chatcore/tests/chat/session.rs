//! What a participant sees, through the in-process client, which has the same session as a socket.
#![allow(clippy::unwrap_used)]

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use chatcore::protocol::{ChatEvent, CloseReason, Command, Published, Start, Subscribed};
use chatcore::store::{Append, AppendBody, Directory, EventStore};
use chatcore::testkit::{Faults, FaultyStore};
use chatcore::{
    Action, ChannelId, ChannelName, Chat, Client, ClientError, ConnectError, Denied, ErrorCode, Identity,
    Limits, MemoryStore, Nonce, Policy, Position, User,
};

fn chat() -> Chat {
    Chat::builder(MemoryStore::new()).build()
}

fn chat_with(edit: impl FnOnce(&mut Limits)) -> Chat {
    let mut limits = Limits::default();
    edit(&mut limits);
    Chat::builder(MemoryStore::new()).limits(limits).build()
}

fn identity(name: &str) -> Identity {
    Identity::new(User::new(&format!("u_{name}"), name).unwrap())
}

async fn join(chat: &Chat, name: &str) -> Client {
    let mut client = chat.connect(identity(name)).unwrap();
    assert!(matches!(client.next_event().await, Some(ChatEvent::Welcome { version: 1, .. })));
    client
}

/// Skips events outside of logs, and returns the position and the event of the next logged one.
async fn next_logged(client: &mut Client) -> (u64, ChatEvent) {
    loop {
        let event = client.next_event().await.expect("the session goes on");
        if let Some((_, seq)) = event.log_position() {
            return (seq, event);
        }
    }
}

fn code(error: ClientError) -> ErrorCode {
    match error {
        ClientError::Refused(error) => error.code(),
        other => panic!("{other}"),
    }
}

fn publish(channel: &str, nonce: &str, text: &str) -> Command {
    Command::Publish {
        channel: channel.into(),
        nonce: nonce.into(),
        text: text.into(),
        attachments: Vec::new(),
        reply_to: None,
        mentions: Vec::new(),
        data: None,
    }
}

/// A message that is stored behind the chat's back.
fn message(channel: ChannelId, text: &str) -> Append {
    let body = AppendBody::Message {
        nonce: Nonce::new(text).unwrap(),
        text: text.into(),
        reply_to: None,
        attachments: Vec::new(),
        extras: None,
    };
    Append::new(channel, identity("bob").user, body)
}

#[tokio::test]
async fn a_message_reaches_all_subscribers_and_its_author() {
    let chat = chat();
    let (mut ann, mut bob) = (join(&chat, "ann").await, join(&chat, "bob").await);
    ann.create_channel("General", "").await.unwrap();
    ann.subscribe("general").await.unwrap();
    assert!(bob.subscribe("GENERAL").await.unwrap().start.messages().is_empty());
    let published = ann.publish("general", "hi").await.unwrap();
    assert_eq!((published.seq, published.duplicate), (1, false));
    for client in [&mut ann, &mut bob] {
        let (seq, event) = next_logged(client).await;
        let ChatEvent::Message { message, .. } = event else { panic!("{event:?}") };
        assert_eq!((seq, message.text.as_str(), &*message.author.name), (1, "hi", "ann"));
    }
}

#[tokio::test]
async fn a_repeated_nonce_gets_the_first_answer() {
    let chat = chat();
    let ann = join(&chat, "ann").await;
    ann.create_channel("a", "").await.unwrap();
    let first: Published = ann.call(publish("a", "n", "once")).await.unwrap();
    let second: Published = ann.call(publish("a", "n", "twice")).await.unwrap();
    assert_eq!((second.seq, second.at, second.duplicate), (first.seq, first.at, true));
    let page = ann.history("a", u64::MAX, 100).await.unwrap();
    assert_eq!(page.messages.iter().map(|m| m.text.as_str()).collect::<Vec<_>>(), ["once"]);
}

#[tokio::test]
async fn a_subscription_has_no_gap_or_overlap() {
    let chat = chat();
    let writer = join(&chat, "writer").await;
    writer.create_channel("a", "").await.unwrap();
    let writing = tokio::spawn(async move {
        for n in 0..200 {
            writer.publish("a", &format!("m{n}")).await.unwrap();
        }
    });
    let mut readers = Vec::new();
    for n in 0..20 {
        let mut reader = join(&chat, &format!("r{n}")).await;
        readers.push(tokio::spawn(async move {
            let start: Subscribed = reader.subscribe("a").await.unwrap();
            let mut next = start.head + 1;
            while next <= 200 {
                let (seq, _) = next_logged(&mut reader).await;
                assert_eq!(seq, next);
                next += 1;
            }
        }));
        tokio::task::yield_now().await;
    }
    writing.await.unwrap();
    for reader in readers {
        reader.await.unwrap();
    }
}

#[tokio::test]
async fn resumed_events_lead_to_the_same_messages_as_a_snapshot() {
    let chat = chat();
    let (ann, bob) = (join(&chat, "ann").await, join(&chat, "bob").await);
    ann.create_channel("a", "").await.unwrap();
    ann.publish("a", "one").await.unwrap();
    let start = bob.subscribe("a").await.unwrap();
    bob.unsubscribe("a").await.unwrap();
    ann.edit("a", 1, "uno").await.unwrap();
    ann.publish("a", "two").await.unwrap();
    ann.react("a", 3, "👍", true).await.unwrap();
    ann.delete("a", 1).await.unwrap();
    let after = Position::new(start.epoch.clone(), start.head);
    let resumed = bob.resume("a", after).await.unwrap();
    let Start::Replay(events) = &resumed.start else { panic!("{resumed:?}") };
    let seqs: Vec<_> = events.iter().map(|e| e.log_position().unwrap().1).collect();
    assert_eq!((seqs, resumed.head), (vec![2, 3, 4, 5], 5));
    let text = serde_json::to_string(events).unwrap();
    assert!(!text.contains("uno"), "the edit of a deleted message has no text: {text}");
    let shown = ann.subscribe("a").await.unwrap().start;
    let shown = shown.messages();
    assert!(shown[0].deleted && shown[0].text.is_empty());
    assert_eq!(shown[1].reactions[0].emoji, "👍");
}

#[tokio::test]
async fn a_resume_from_an_unknown_position_is_reset() {
    let chat = chat_with(|l| l.resume_events = 5);
    let ann = join(&chat, "ann").await;
    ann.create_channel("a", "").await.unwrap();
    for n in 0..6 {
        ann.publish("a", &n.to_string()).await.unwrap();
    }
    let epoch = ann.subscribe("a").await.unwrap().epoch;
    let mut resets = Vec::new();
    for (epoch, seq) in
        [(epoch.clone(), 1), (epoch.clone(), 0), (epoch.clone(), 7), (chatcore::Epoch::random(), 6)]
    {
        let answer = ann.resume("a", Position::new(epoch, seq)).await.unwrap();
        assert_eq!(answer.start.messages().len(), if answer.start.is_snapshot() { 6 } else { 0 });
        resets.push(answer.start.is_snapshot());
    }
    assert_eq!(resets, [false, true, true, true]);
}

#[tokio::test]
async fn a_slow_reader_is_told_lagged_and_resumes() {
    let chat = chat_with(|l| l.ring_events = 10);
    let (ann, mut slow) = (join(&chat, "ann").await, join(&chat, "slow").await);
    ann.create_channel("a", "").await.unwrap();
    let start = slow.subscribe("a").await.unwrap();
    for n in 0..30 {
        ann.publish("a", &n.to_string()).await.unwrap();
    }
    let lagged = loop {
        match slow.next_event().await.unwrap() {
            ChatEvent::Lagged { from, to, .. } => break (from, to),
            ChatEvent::Message { .. } => panic!("a gap without a word"),
            _ => {}
        }
    };
    assert_eq!(lagged, (1, 30));
    let resumed = slow.resume("a", Position::new(start.epoch, start.head)).await.unwrap();
    assert_eq!(resumed.start.events().len(), 30);
}

#[tokio::test(start_paused = true)]
async fn presence_is_per_person_and_ignores_a_short_absence() {
    let chat = chat();
    let (mut ann, bob) = (join(&chat, "ann").await, join(&chat, "bob").await);
    ann.create_channel("a", "").await.unwrap();
    ann.subscribe("a").await.unwrap();
    let members = bob.subscribe("a").await.unwrap().members;
    assert_eq!(members.iter().map(|u| &*u.name).collect::<Vec<_>>(), ["ann", "bob"]);
    let second = join(&chat, "bob").await;
    second.subscribe("a").await.unwrap();
    drop((bob, second));
    tokio::time::advance(Duration::from_secs(4)).await;
    let back = join(&chat, "bob").await;
    back.subscribe("a").await.unwrap();
    tokio::time::advance(Duration::from_secs(10)).await;
    drop(back);
    let mut presence = Vec::new();
    while presence.len() < 2 {
        if let Some(ChatEvent::Presence { user, online, .. }) = ann.next_event().await {
            presence.push((user.name.to_string(), online));
        }
    }
    assert_eq!(presence, [("bob".to_owned(), true), ("bob".to_owned(), false)]);
}

#[tokio::test]
async fn a_users_connections_share_the_read_marker() {
    let chat = chat();
    let (desk, mut phone) = (join(&chat, "ann").await, join(&chat, "ann").await);
    let bob = join(&chat, "bob").await;
    desk.create_channel("a", "").await.unwrap();
    for n in 0..3 {
        bob.publish("a", &n.to_string()).await.unwrap();
    }
    bob.edit("a", 1, "edited").await.unwrap();
    desk.read("a", 2).await.unwrap();
    desk.read("a", 1).await.unwrap();
    let listed = &phone.channels().await.unwrap()[0];
    assert_eq!((listed.head, listed.read, listed.unread), (4, 2, 1), "unread counts messages, not events");
    let mut told = Vec::new();
    while told.len() < 2 {
        if let Some(ChatEvent::Read { seq, .. }) = phone.next_event().await {
            told.push(seq);
        }
    }
    assert_eq!(told, [2, 2]);
}

#[tokio::test]
async fn a_listed_channels_unread_count_matches_its_head() {
    let memory = MemoryStore::new();
    let faults = Faults { delay: 1.0, ..Faults::default() };
    let chat = Chat::builder(FaultyStore::new(memory.clone(), faults, 1)).build();
    let ann = join(&chat, "ann").await;
    ann.create_channel("a", "").await.unwrap();
    let channel = memory.channel(&ChannelName::new("a").unwrap()).await.unwrap().unwrap().id;
    let mut written = 0;
    let mut listing = pin!(ann.channels());
    // A message arrives whenever the command waits for the store, which it does before and after each call.
    let listed = loop {
        match poll_fn(|cx| Poll::Ready(listing.as_mut().poll(cx))).await {
            Poll::Ready(listed) => break listed.unwrap().remove(0),
            Poll::Pending => {
                written += 1;
                memory.append(vec![message(channel, &written.to_string())]).await.remove(0).unwrap();
            }
        }
        tokio::task::yield_now().await;
    };
    assert!((1..written).contains(&listed.head), "{} of {written} came before the answer", listed.head);
    assert_eq!((listed.read, listed.unread), (0, listed.head), "all up to the head are messages");
}

#[tokio::test]
async fn only_the_author_can_edit_and_delete() {
    let chat = chat();
    let (ann, bob) = (join(&chat, "ann").await, join(&chat, "bob").await);
    ann.create_channel("a", "").await.unwrap();
    ann.publish("a", "mine").await.unwrap();
    assert_eq!(code(bob.edit("a", 1, "his").await.unwrap_err()), ErrorCode::NotAllowed);
    assert_eq!(code(bob.delete("a", 1).await.unwrap_err()), ErrorCode::NotAllowed);
    assert_eq!(code(ann.edit("a", 1, " ").await.unwrap_err()), ErrorCode::Empty);
    ann.delete("a", 1).await.unwrap();
    assert_eq!(code(ann.edit("a", 1, "again").await.unwrap_err()), ErrorCode::NoSuchMessage);
    assert_eq!(code(ann.edit("a", 2, "a delete is no message").await.unwrap_err()), ErrorCode::NoSuchMessage);
}

#[tokio::test]
async fn a_hidden_channel_does_not_exist_for_the_user() {
    struct Secret;
    impl Policy for Secret {
        fn authorize(&self, identity: &Identity, action: Action<'_>) -> Result<(), Denied> {
            let (Action::List(channel) | Action::Read(channel) | Action::Write(channel)) = action else {
                return Ok(());
            };
            if channel.as_str() == "secret" && &*identity.user.name != "ann" { Err(Denied) } else { Ok(()) }
        }
    }
    let chat = Chat::builder(MemoryStore::new()).policy(Secret).build();
    let (ann, mut bob) = (join(&chat, "ann").await, join(&chat, "bob").await);
    ann.create_channel("secret", "").await.unwrap();
    ann.create_channel("open", "").await.unwrap();
    let Some(ChatEvent::ChannelCreated { channel, .. }) = bob.next_event().await else { panic!("not told") };
    assert_eq!(channel.name.as_str(), "open", "bob is not told of the secret one");
    assert_eq!(bob.channels().await.unwrap().len(), 1);
    assert_eq!(ann.channels().await.unwrap().len(), 2);
    for error in [
        bob.subscribe("secret").await.map(|_| ()).unwrap_err(),
        bob.publish("secret", "hi").await.map(|_| ()).unwrap_err(),
        bob.history("secret", 9, 1).await.map(|_| ()).unwrap_err(),
        bob.create_channel("secret", "").await.map(|_| ()).unwrap_err(),
    ] {
        assert_eq!(code(error), ErrorCode::NotAllowed);
    }
}

#[tokio::test]
async fn a_publish_of_a_lost_client_is_stored_and_seen_or_neither() {
    let chat = chat();
    let mut watcher = join(&chat, "watcher").await;
    watcher.create_channel("a", "").await.unwrap();
    watcher.subscribe("a").await.unwrap();
    for n in 0..50 {
        let client = chat.connect(identity("gone")).unwrap();
        let call = client.call::<Published>(publish("a", &n.to_string(), "x"));
        tokio::select! {
            biased;
            _ = call => {}
            () = tokio::task::yield_now() => {}
        }
    }
    watcher.publish("a", "last").await.unwrap();
    let stored = watcher.history("a", u64::MAX, 100).await.unwrap().messages;
    for message in &stored {
        assert_eq!(next_logged(&mut watcher).await.0, message.seq);
    }
    assert_eq!(stored.last().unwrap().text, "last");
}

#[tokio::test]
async fn a_drain_answers_accepted_commands_and_then_closes() {
    let chat = chat();
    let mut ann = join(&chat, "ann").await;
    ann.create_channel("a", "").await.unwrap();
    chat.drain();
    assert_eq!(code(ann.publish("a", "late").await.unwrap_err()), ErrorCode::Draining);
    let mut told = false;
    while let Some(event) = ann.next_event().await {
        told |= matches!(event, ChatEvent::Draining { .. });
    }
    assert!(told);
    assert_eq!(ann.close_reason(), Some(CloseReason::GoingAway));
    assert!(matches!(chat.connect(identity("bob")), Err(ConnectError::Draining)));
}

#[tokio::test]
async fn connections_are_bounded_in_all_and_per_user() {
    let chat = chat_with(|l| {
        l.connections = 3;
        l.connections_per_user = 2;
    });
    let ann = [join(&chat, "ann").await, join(&chat, "ann").await];
    assert!(matches!(chat.connect(identity("ann")), Err(ConnectError::Overloaded)));
    let _bob = join(&chat, "bob").await;
    assert!(matches!(chat.connect(identity("eve")), Err(ConnectError::Overloaded)));
    drop(ann);
    assert_eq!(chat.connections(), 1);
    assert!(chat.connect(identity("eve")).is_ok());
}

#[tokio::test]
async fn a_disconnected_identity_can_not_connect() {
    let chat = chat();
    let (before, other) = (identity("ann"), identity("ben"));
    chat.disconnect(&before.user.id, CloseReason::SignedOut);
    let refused = chat.connect(before).map(drop);
    let reason = CloseReason::SignedOut;
    assert_eq!(refused, Err(ConnectError::Disconnected(reason)), "a handshake under way");
    assert!(chat.connect(other).is_ok(), "somebody else");
    assert!(chat.connect(identity("ann")).is_ok(), "signed in again");
}

#[tokio::test]
async fn a_banned_user_is_closed_at_once() {
    let chat = chat();
    let mut ann = join(&chat, "ann").await;
    chat.disconnect(&identity("ann").user.id, CloseReason::Banned);
    assert_eq!(ann.next_event().await, None);
    assert_eq!(ann.close_reason(), Some(CloseReason::Banned));
    assert!(matches!(ann.channels().await, Err(ClientError::Closed(CloseReason::Banned))));
}

#[tokio::test]
async fn a_position_that_no_log_can_reach_gets_a_reset() {
    let chat = chat();
    let ann = join(&chat, "ann").await;
    ann.create_channel("a", "").await.unwrap();
    ann.publish("a", "hi").await.unwrap();
    let epoch = ann.subscribe("a").await.unwrap().epoch;
    let resumed = ann.resume("a", Position::new(epoch, u64::MAX)).await.unwrap();
    assert_eq!(resumed.start.messages().len(), 1);
}
