//! The guarantees on a store that fails: nothing acknowledged is lost, nothing is duplicated, nobody sees a gap.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::time::Duration;

use chatcore::protocol::{ChatEvent, Command, Published};
use chatcore::store::{Append, AppendBody, Directory, EventStore};
use chatcore::testkit::{Faults, FaultyStore, Random};
use chatcore::{
    ChannelName, Chat, Client, ClientError, ErrorCode, Identity, Limits, MemoryStore, Message, Nonce,
    Position, User,
};

const WRITERS: usize = 8;
const MESSAGES: usize = 40;

fn identity(name: &str) -> Identity {
    Identity::new(User::new(&format!("u_{name}"), name).unwrap())
}

/// Repeats a command until the store executes it: after a failure the outcome is unknown.
async fn insist<T: serde::de::DeserializeOwned>(client: &mut Client, command: &Command) -> T {
    loop {
        match client.call(command.clone()).await {
            Ok(reply) => return reply,
            Err(ClientError::Refused(error)) if error.code().is_retryable() => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

fn publish(nonce: String) -> Command {
    let text = nonce.clone();
    Command::Publish {
        channel: "a".into(),
        nonce,
        text,
        attachments: Vec::new(),
        reply_to: None,
        mentions: Vec::new(),
        data: None,
    }
}

/// Reads `count` events of the log, and resumes from its position whenever it has lagged.
async fn follow(mut client: Client, count: u64) -> Vec<u64> {
    let subscribe = |after| Command::Subscribe { channel: "a".into(), after, limit: Some(0) };
    let start: chatcore::protocol::Subscribed = insist(&mut client, &subscribe(None)).await;
    // Earlier events are in the snapshot, or would be with a larger limit.
    let (epoch, mut seqs): (_, Vec<u64>) = (start.epoch, (1..=start.head).collect());
    while (seqs.len() as u64) < count {
        match client.next_event().await.expect("the session goes on") {
            ChatEvent::Message { message, .. } => seqs.push(message.seq),
            ChatEvent::Lagged { .. } => {
                let seq = seqs.last().copied().unwrap_or(0);
                let after = Some(Position::new(epoch.clone(), seq));
                let resumed: chatcore::protocol::Subscribed = insist(&mut client, &subscribe(after)).await;
                assert!(!resumed.start.is_snapshot());
                seqs.extend(resumed.start.events().iter().map(|event| event.log_position().unwrap().1));
            }
            _ => {}
        }
    }
    seqs
}

#[tokio::test(start_paused = true)]
async fn whatever_fails_a_publish_is_stored_and_seen_once() {
    let faults = Faults {
        delay: 0.3,
        longest_delay: Duration::from_millis(30),
        before_write: 0.15,
        after_write: 0.15,
        append_panics: 0.05,
        read: 0.1,
        others_sweep: 0.0,
    };
    let memory = MemoryStore::new();
    // The channel is created before the faults begin.
    let calm = Chat::builder(memory.clone()).build();
    calm.connect(identity("maker")).unwrap().create_channel("a", "").await.unwrap();
    drop(calm);
    let mut limits = Limits::default();
    limits.ring_events = 16;
    limits.command_burst = 100_000;
    let chat = Chat::builder(FaultyStore::new(memory.clone(), faults, Random::from_env().seed()))
        .limits(limits)
        .build();

    let total = (WRITERS * MESSAGES) as u64;
    let mut readers = Vec::new();
    for n in 0..4 {
        readers.push(tokio::spawn(follow(chat.connect(identity(&format!("r{n}"))).unwrap(), total)));
    }
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let mut client = chat.connect(identity(&format!("w{writer}"))).unwrap();
        writers.push(tokio::spawn(async move {
            let mut acks = Vec::new();
            for n in 0..MESSAGES {
                let nonce = format!("w{writer}-{n}");
                let ack: Published = insist(&mut client, &publish(nonce.clone())).await;
                acks.push((nonce, ack.seq));
            }
            acks
        }));
    }
    let mut acked = HashMap::new();
    for writer in writers {
        let acks = writer.await.unwrap();
        assert!(acks.is_sorted_by_key(|(_, seq)| *seq), "one author's messages keep their order");
        acked.extend(acks);
    }
    let in_order: Vec<u64> = (1..=total).collect();
    for reader in readers {
        assert_eq!(reader.await.unwrap(), in_order);
    }
    let calm = Chat::builder(memory).build();
    let reader = calm.connect(identity("reader")).unwrap();
    let mut stored: Vec<Message> = Vec::new();
    let mut before = u64::MAX;
    loop {
        let page = reader.history("a", before, 100).await.unwrap();
        before = page.messages.first().map_or(0, |message| message.seq);
        stored.splice(0..0, page.messages);
        if !page.more {
            break;
        }
    }
    assert_eq!(stored.iter().map(|m| m.seq).collect::<Vec<_>>(), in_order);
    for message in stored {
        assert_eq!(acked.remove(message.nonce.as_str()), Some(message.seq));
    }
    assert!(acked.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_publish_with_an_unknown_outcome_reaches_subscribers() {
    let faults = Faults { after_write: 1.0, ..Faults::default() };
    let memory = MemoryStore::new();
    let calm = Chat::builder(memory.clone()).build();
    calm.connect(identity("maker")).unwrap().create_channel("a", "").await.unwrap();
    let chat = Chat::builder(FaultyStore::new(memory, faults, 1)).build();
    let mut reader = chat.connect(identity("reader")).unwrap();
    reader.subscribe("a").await.unwrap();
    let writer = chat.connect(identity("writer")).unwrap();
    let error = writer.call::<Published>(publish("n".into())).await.unwrap_err();
    let ClientError::Refused(error) = error else { panic!("{error}") };
    assert_eq!(error.code(), ErrorCode::Unavailable);
    loop {
        if let Some(ChatEvent::Message { message, .. }) = reader.next_event().await {
            assert_eq!(message.text, "n");
            break;
        }
    }
}

/// Creates a chat on a store that fails on demand, with the channel `a` loaded and followed.
async fn calm_chat(store_timeout: Duration) -> (Chat, FaultyStore<MemoryStore>, Client) {
    let store = FaultyStore::new(MemoryStore::new(), Faults::default(), 7);
    let mut limits = Limits::default();
    limits.store_timeout = store_timeout;
    let chat = Chat::builder(store.clone()).limits(limits).build();
    let reader = chat.connect(identity("reader")).unwrap();
    reader.create_channel("a", "").await.unwrap();
    reader.subscribe("a").await.unwrap();
    (chat, store, reader)
}

const HANGING: Faults = Faults {
    delay: 1.0,
    longest_delay: Duration::from_secs(360_000),
    before_write: 0.0,
    after_write: 0.0,
    append_panics: 0.0,
    read: 0.0,
    others_sweep: 0.0,
};

#[tokio::test(start_paused = true)]
async fn a_store_that_panics_fails_only_the_current_appends() {
    let (chat, store, mut reader) = calm_chat(Duration::from_secs(2)).await;
    store.set_faults(Faults { append_panics: 1.0, ..Faults::default() });
    let writer = chat.connect(identity("writer")).unwrap();
    for n in 0..3 {
        let error = writer.call::<Published>(publish(n.to_string())).await.unwrap_err();
        let ClientError::Refused(error) = error else { panic!("{error}") };
        assert_eq!(error.code(), ErrorCode::Unavailable);
    }
    store.set_faults(Faults::default());
    for n in 0..3 {
        assert_eq!(writer.call::<Published>(publish(n.to_string())).await.unwrap().seq, n + 1);
    }
    let mut seqs = Vec::new();
    while seqs.len() < 3 {
        if let ChatEvent::Message { message, .. } = reader.next_event().await.unwrap() {
            seqs.push(message.seq);
        }
    }
    assert_eq!(seqs, [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_delays_answers_up_to_the_bound() {
    let (chat, store, reader) = calm_chat(Duration::from_secs(2)).await;
    store.set_faults(HANGING);
    let began = tokio::time::Instant::now();
    let mut waiting = Vec::new();
    for n in 0..20 {
        let writer = chat.connect(identity(&format!("w{n}"))).unwrap();
        waiting.push(tokio::spawn(async move { writer.call::<Published>(publish(n.to_string())).await }));
    }
    for answer in waiting {
        let error = answer.await.unwrap().unwrap_err();
        assert!(matches!(error, ClientError::Refused(error) if error.code() == ErrorCode::Unavailable));
    }
    assert!(began.elapsed() <= Duration::from_secs(4), "{:?}", began.elapsed());
    let began = tokio::time::Instant::now();
    let error = reader.history("a", 9, 9).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused(error) if error.code() == ErrorCode::Unavailable));
    assert_eq!(began.elapsed(), Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn the_ring_serves_while_the_store_is_unavailable() {
    let (chat, store, mut reader) = calm_chat(Duration::from_secs(2)).await;
    reader.publish("a", "before").await.unwrap();
    store.set_faults(Faults { before_write: 1.0, read: 1.0, ..Faults::default() });
    let late = chat.connect(identity("late")).unwrap();
    assert_eq!(late.subscribe("a").await.unwrap().start.messages()[0].text, "before");
    assert!(late.publish("a", "lost").await.is_err());
    store.set_faults(Faults::default());
    assert_eq!(late.publish("a", "after").await.unwrap().seq, 2);
    loop {
        match reader.next_event().await.unwrap() {
            ChatEvent::Message { message, .. } if message.text == "after" => break,
            ChatEvent::Message { message, .. } => assert_eq!(message.text, "before"),
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_append_that_is_stored_late_reaches_subscribers() {
    let (chat, store, mut reader) = calm_chat(Duration::from_secs(2)).await;
    let held = store.hold();
    let writer = chat.connect(identity("writer")).unwrap();
    let error = writer.call::<Published>(publish("late".into())).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused(error) if error.code() == ErrorCode::Unavailable));
    // The disk has hung for so long. Now the store has done what it was given.
    let channel = store.inner().channel(&ChannelName::new("a").unwrap()).await.unwrap().unwrap().id;
    let body = AppendBody::message(Nonce::new("late").unwrap(), "late");
    store.inner().append(vec![Append::new(channel, identity("writer").user, body)]).await.remove(0).unwrap();
    drop(held);
    let seen = async { while !matches!(reader.next_event().await, Some(ChatEvent::Message { .. })) {} };
    assert!(tokio::time::timeout(Duration::from_secs(600), seen).await.is_ok(), "it is in the store alone");
}
