//! What one user may use over all connections: each share at its limit and one past it.
#![allow(clippy::unwrap_used)]

use std::future::poll_fn;
use std::time::Duration;

use chatcore::attachments::FileKind;
use chatcore::blob::FolderBlobs;
use chatcore::protocol::Command;
use chatcore::testkit::{Faults, FaultyStore};
use chatcore::transport::Connection;
use chatcore::{ChannelName, Chat, Client, ClientError, ErrorCode, Identity, Limits, MemoryStore, User};
use futures::StreamExt;
use serde_json::Value;
use tokio::time::Instant;

fn user(name: &str) -> User {
    User::new(&format!("u_{name}"), name).unwrap()
}

fn chat(edit: impl FnOnce(&mut Limits)) -> Chat {
    let mut limits = Limits::default();
    edit(&mut limits);
    Chat::builder(MemoryStore::new()).limits(limits).build()
}

fn connect(chat: &Chat, name: &str) -> Client {
    chat.connect(Identity::new(user(name))).unwrap()
}

fn open(chat: &Chat, name: &str) -> Connection {
    chat.open(Identity::new(user(name))).unwrap()
}

/// Returns the code of an error, and its retry time.
fn refusal<T>(result: Result<T, ClientError>) -> Option<(ErrorCode, Option<u64>)> {
    match result {
        Ok(_) => None,
        Err(ClientError::Refused(error)) => {
            let retry_ms = error.retry_after().map(|wait| u64::try_from(wait.as_millis()).unwrap());
            Some((error.code(), retry_ms))
        }
        Err(error) => panic!("{error}"),
    }
}

fn limited(retry_ms: u64) -> Option<(ErrorCode, Option<u64>)> {
    Some((ErrorCode::RateLimited, Some(retry_ms)))
}

/// Sends a frame to a connection, and returns its response.
async fn ask(connection: &mut Connection, frame: &str) -> Value {
    connection.receive(frame);
    loop {
        let mut out = Vec::new();
        poll_fn(|cx| connection.poll_outgoing(cx, &mut out)).await;
        let frames = out.iter().map(|frame| serde_json::from_slice::<Value>(frame).unwrap());
        if let Some(answer) = frames.into_iter().find(|frame| frame.get("id").is_some()) {
            return answer;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_user_has_four_times_the_pace_of_a_connection() {
    let chat = chat(|_| {});
    let mut passed = 0;
    for _ in 0..64 {
        let mut connection = open(&chat, "eve");
        for _ in 0..100 {
            let answer = ask(&mut connection, r#"{"type":"ping","id":1}"#).await;
            passed += usize::from(answer["type"] == "ok");
        }
    }
    assert_eq!(passed, 2_000, "not 64 times 100");
    let mut connection = open(&chat, "eve");
    let refused = ask(&mut connection, r#"{"type":"ping","id":1}"#).await;
    assert_eq!((&refused["code"], &refused["retry_ms"]), (&"rate_limited".into(), &5.into()));
    let mut other = open(&chat, "ann");
    assert_eq!(ask(&mut other, r#"{"type":"ping","id":1}"#).await["type"], "ok");
}

#[tokio::test(start_paused = true)]
async fn a_connection_has_500_light_commands_then_50_per_second() {
    let chat = chat(|_| {});
    let mut connection = open(&chat, "ann");
    for _ in 0..500 {
        assert_eq!(ask(&mut connection, r#"{"type":"ping","id":1}"#).await["type"], "ok");
    }
    let refused = ask(&mut connection, r#"{"type":"ping","id":1}"#).await;
    assert_eq!((&refused["code"], &refused["retry_ms"]), (&"rate_limited".into(), &20.into()));
    tokio::time::advance(Duration::from_secs(1)).await;
    for _ in 0..50 {
        assert_eq!(ask(&mut connection, r#"{"type":"ping","id":1}"#).await["type"], "ok");
    }
    assert_eq!(ask(&mut connection, r#"{"type":"ping","id":1}"#).await["code"], "rate_limited");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_refused_commands_is_slowed_down() {
    let chat = chat(|_| {});
    let mut connection = open(&chat, "eve");
    connection.heard(1_000);
    assert_eq!(connection.silent_until(Instant::now()), None);
    connection.heard(1);
    let until = connection.silent_until(Instant::now()).unwrap();
    assert_eq!(until - Instant::now(), Duration::from_millis(10));
    tokio::time::advance(Duration::from_millis(10)).await;
    assert_eq!(connection.silent_until(Instant::now()), None);
    let answer = ask(&mut connection, r#"{"type":"ping","id":1}"#).await;
    assert_eq!(answer["type"], "ok", "commands have a pace of their own");
}

#[tokio::test(start_paused = true)]
async fn a_user_over_the_byte_pace_is_told_when_to_retry() {
    let chat = chat(|l| (l.bytes_per_second, l.byte_burst) = (1_000, 4_000));
    let ann = connect(&chat, "ann");
    ann.create_channel("a", "").await.unwrap();
    let frame = |id: u32, text: &str| {
        format!(r#"{{"type":"publish","id":{id},"channel":"a","nonce":"{id}","text":"{text}"}}"#)
    };
    let mut connection = open(&chat, "ann");
    let padding = 2_000 - frame(1, "").len();
    assert_eq!(ask(&mut connection, &frame(1, &"x".repeat(padding))).await["type"], "ok");
    let mut second = open(&chat, "ann");
    assert_eq!(ask(&mut second, &frame(2, &"x".repeat(padding))).await["type"], "ok", "at the limit");
    let refused = ask(&mut second, r#"{"type":"ping","id":1}"#).await;
    assert_eq!(refused["code"], "rate_limited");
    assert_eq!(refused["retry_ms"], 22, "22 bytes over it");
}

#[tokio::test(start_paused = true)]
async fn a_user_publishes_a_bounded_number_of_bytes_per_day() {
    let chat = chat(|l| l.message_bytes_per_day = 86_400);
    let ann = connect(&chat, "ann");
    ann.create_channel("a", "").await.unwrap();
    for _ in 0..12 {
        assert_eq!(refusal(ann.publish("a", &"x".repeat(7_200)).await), None);
    }
    assert_eq!(refusal(ann.publish("a", "xx").await), limited(2_000));
    assert_eq!(refusal(ann.channels().await), None, "only what adds to the log");
    let bob = connect(&chat, "bob");
    assert_eq!(refusal(bob.publish("a", "xx").await), None);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(refusal(ann.publish("a", "xx").await), None);
}

#[tokio::test(start_paused = true)]
async fn a_user_creates_60_channels_then_one_per_minute() {
    let chat = chat(|_| {});
    let ann = connect(&chat, "ann");
    for n in 0..60 {
        assert_eq!(refusal(ann.create_channel(&format!("c{n}"), "").await), None);
    }
    assert_eq!(refusal(ann.create_channel("more", "").await), limited(60_000));
    assert_eq!(refusal(ann.create_channel("c0", "").await), Some((ErrorCode::NameTaken, None)));
    drop(ann);
    let ann = connect(&chat, "ann");
    assert_eq!(refusal(ann.create_channel("more", "").await), limited(60_000), "another connection");
    let name = ChannelName::new("of-the-app").unwrap();
    assert!(chat.ensure_channel(&name, "", &user("ann")).await.is_ok(), "the app itself is not limited");
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(refusal(ann.create_channel("more", "").await), None);
}

#[tokio::test]
async fn a_failed_create_channel_does_not_count() {
    let store = FaultyStore::new(MemoryStore::new(), Faults::default(), 1);
    let mut limits = Limits::default();
    limits.channels_at_once = 1;
    let chat = Chat::builder(store.clone()).limits(limits).build();
    let ann = connect(&chat, "ann");
    store.set_faults(Faults { before_write: 1.0, ..Faults::default() });
    let failed = refusal(ann.create_channel("a", "").await).map(|(code, _)| code);
    assert_eq!(failed, Some(ErrorCode::Unavailable));
    store.set_faults(Faults::default());
    assert_eq!(refusal(ann.create_channel("a", "").await), None);
}

#[tokio::test(start_paused = true)]
async fn typing_is_sent_once_despite_repeated_subscribes() {
    let chat = chat(|_| {});
    let mut ann = connect(&chat, "ann");
    ann.create_channel("a", "").await.unwrap();
    ann.subscribe("a").await.unwrap();
    let typing = || Command::Typing { channel: "a".into() };
    for _ in 0..3 {
        let eve = connect(&chat, "eve");
        for _ in 0..3 {
            eve.subscribe("a").await.unwrap();
            eve.call::<Value>(typing()).await.unwrap();
            eve.unsubscribe("a").await.unwrap();
        }
    }
    ann.publish("a", "the end").await.unwrap();
    let mut told = 0;
    loop {
        match serde_json::to_value(ann.next_event().await.unwrap()).unwrap()["type"].as_str().unwrap() {
            "typing" => told += 1,
            "message" => break,
            _ => {}
        }
    }
    assert_eq!(told, 1);
}

#[tokio::test]
async fn subscriptions_of_a_user_are_bounded_over_all_connections() {
    let chat = chat(|l| l.subscriptions_per_user = 2);
    let ann = connect(&chat, "ann");
    for name in ["a", "b", "c"] {
        ann.create_channel(name, "").await.unwrap();
    }
    ann.subscribe("a").await.unwrap();
    let second = connect(&chat, "ann");
    second.subscribe("a").await.unwrap();
    assert_eq!(refusal(second.subscribe("b").await), Some((ErrorCode::TooLarge, None)));
    assert_eq!(refusal(second.subscribe("a").await), None, "a second subscription replaces the first");
    assert_eq!(refusal(connect(&chat, "bob").subscribe("b").await), None);
    drop(ann);
    assert_eq!(refusal(second.subscribe("b").await), None);
}

#[tokio::test(start_paused = true)]
async fn one_publisher_can_not_fill_the_append_queue() {
    let store = FaultyStore::new(MemoryStore::new(), Faults::default(), 1);
    let mut limits = Limits::default();
    limits.appends_per_user = 4;
    let chat = Chat::builder(store.clone()).limits(limits).build();
    connect(&chat, "ann").create_channel("a", "").await.unwrap();
    connect(&chat, "ann").publish("a", "the channel is loaded").await.unwrap();
    let held = store.hold();
    let publish = |connection: &mut Connection, id: usize| {
        connection
            .receive(&format!(r#"{{"type":"publish","id":{id},"channel":"a","nonce":"{id}","text":"x"}}"#));
    };
    let (mut first, mut second, mut ann) = (open(&chat, "eve"), open(&chat, "eve"), open(&chat, "ann"));
    (0..3).for_each(|id| publish(&mut first, id));
    (3..5).for_each(|id| publish(&mut second, id));
    publish(&mut ann, 5);
    drop(held);
    let mut types = Vec::new();
    for (connection, count) in [(&mut first, 3), (&mut second, 2), (&mut ann, 1)] {
        let mut left = count;
        while left > 0 {
            let mut out = Vec::new();
            poll_fn(|cx| connection.poll_outgoing(cx, &mut out)).await;
            for frame in out {
                let answer: Value = serde_json::from_slice(&frame).unwrap();
                if answer.get("id").is_some() {
                    left -= 1;
                    types.push(answer.get("code").unwrap_or(&answer["type"]).as_str().unwrap().to_owned());
                }
            }
        }
    }
    assert_eq!(types, ["ok", "ok", "ok", "ok", "rate_limited", "ok"]);
}

#[tokio::test(start_paused = true)]
async fn a_user_uploads_a_bounded_number_of_bytes_per_day() {
    let folder = tempfile::tempdir().unwrap();
    let mut limits = Limits::default();
    limits.upload_bytes_per_day = 8_640;
    let blobs = FolderBlobs::open(folder.path()).await.unwrap();
    let chat = Chat::builder(MemoryStore::new()).blobs(blobs).limits(limits).build();
    connect(&chat, "ann").create_channel("a", "").await.unwrap();
    let upload = |name: &'static str, bytes: Vec<u8>| {
        let chat = chat.clone();
        async move {
            let stream = futures::stream::iter([Ok(bytes::Bytes::from(bytes))]).boxed();
            let kind = |_: &[u8]| FileKind::new("x");
            let uploaded = chat.upload(&Identity::new(user(name)), "a", "x", stream, kind).await;
            uploaded.err().map(|error| (error.code(), error.retry_after().map(|wait| wait.as_secs())))
        }
    };
    assert_eq!(upload("ann", vec![0; 8_000]).await, None);
    assert_eq!(upload("ann", vec![0; 640]).await, None);
    assert_eq!(upload("ann", vec![0; 1]).await, Some((ErrorCode::RateLimited, Some(10))));
    assert_eq!(upload("bob", vec![0; 1]).await, None);
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(upload("ann", vec![0; 1]).await, None);
}
