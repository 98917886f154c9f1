//! What an operator sees of a running chat: its failures in the log, and its statistics.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use chatcore::protocol::{CloseReason, Command};
use chatcore::testkit::{CapturedLog, Faults, FaultyStore};
use chatcore::{
    Chat, Client, ClientError, ConnectError, ErrorCode, Identity, Limits, MemoryStore, Nonce, Position,
    Stats, User,
};

fn identity(name: &str) -> Identity {
    Identity::new(User::new(&format!("u_{name}"), name).unwrap())
}

fn chat(edit: impl FnOnce(&mut Limits)) -> (Chat, FaultyStore<MemoryStore>) {
    let mut limits = Limits::default();
    edit(&mut limits);
    let store = FaultyStore::new(MemoryStore::new(), Faults::default(), 1);
    (Chat::builder(store.clone()).limits(limits).build(), store)
}

async fn member(chat: &Chat, name: &str) -> Client {
    // Known from before, so that nothing is stored for them later.
    chat.remember_user(&identity(name).user).await.unwrap();
    let client = chat.connect(identity(name)).unwrap();
    match client.create_channel("a", "").await {
        Ok(_) => {}
        Err(ClientError::Refused(error)) => assert_eq!(error.code(), ErrorCode::NameTaken),
        Err(error) => panic!("{error}"),
    }
    client.subscribe("a").await.unwrap();
    client
}

fn refusals(stats: &Stats, code: ErrorCode) -> u64 {
    stats.refusals.iter().find(|(one, _)| *one == code).unwrap().1
}

fn closes(stats: &Stats, reason: CloseReason) -> u64 {
    stats.closes.iter().find(|(one, _)| *one == reason).unwrap().1
}

/// Ends the faults, and waits for the outstanding counts.
async fn calm(store: &FaultyStore<MemoryStore>) {
    store.set_faults(Faults::default());
    tokio::time::sleep(Duration::from_secs(21)).await;
}

#[tokio::test(start_paused = true)]
async fn failed_appends_are_logged_as_a_line_and_a_count() {
    let (chat, store) = chat(|_| ());
    let ann = member(&chat, "ann").await;
    let log = CapturedLog::begin();
    store.set_faults(Faults { before_write: 1.0, ..Faults::default() });
    for _ in 0..20 {
        ann.publish("a", "hush").await.unwrap_err();
    }
    assert_eq!(
        log.take(),
        ["ERROR append failed about=1 events, the first in channel a \
          error=a write that fails on purpose before it is done"]
    );
    calm(&store).await;
    let lines = log.take();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("ERROR append failed: … and 19 more "), "{lines:?}");
    let stats = chat.stats();
    assert_eq!((stats.append_failures, stats.append_events), (20, 0));
    assert_eq!(refusals(&stats, ErrorCode::Unavailable), 20);
}

#[tokio::test(start_paused = true)]
async fn failed_reads_are_logged_once_per_kind_of_command() {
    let (chat, store) = chat(|_| ());
    let ann = member(&chat, "ann").await;
    let log = CapturedLog::begin();
    store.set_faults(Faults { read: 1.0, ..Faults::default() });
    for _ in 0..3 {
        ann.history("a", 9, 1).await.unwrap_err();
        ann.search("a", "hush", None).await.unwrap_err();
        ann.channels().await.unwrap_err();
        ann.delete("a", 1).await.unwrap_err();
        ann.subscribe("b").await.unwrap_err();
    }
    let lines = log.take();
    let kinds = ["history", "search", "channels", "delete", "subscribe"];
    assert_eq!(lines.len(), kinds.len(), "{lines:?}");
    for (line, kind) in lines.iter().zip(kinds) {
        let expected = format!("ERROR {kind} failed about=user u_ann error=a read that fails on purpose");
        assert_eq!(*line, expected);
    }
    calm(&store).await;
    assert!(log.take().iter().all(|line| line.contains(": … and 2 more ")));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_or_panics_is_logged() {
    let (chat, store) = chat(|_| ());
    let ann = member(&chat, "ann").await;
    let log = CapturedLog::begin();
    let held = store.hold();
    ann.publish("a", "hush").await.unwrap_err();
    ann.read("a", 0).await.unwrap_err();
    drop(held);
    let lines = log.take();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].ends_with("error=the store did not answer in time"), "{lines:?}");
    assert_eq!(lines[1], "ERROR read failed about=user u_ann error=the store did not answer in time");
    calm(&store).await;
    store.set_faults(Faults { append_panics: 1.0, ..Faults::default() });
    ann.publish("a", "hush").await.unwrap_err();
    assert_eq!(
        log.take(),
        ["ERROR append failed about=1 events, the first in channel a error=the store panicked"]
    );
}

#[tokio::test(start_paused = true)]
async fn the_log_has_no_message_text() {
    const SECRET: &str = "5ecret";
    let log = CapturedLog::at(tracing::Level::TRACE);
    let (chat, store) = chat(|l| l.append_queue = 1);
    let ann = member(&chat, "ann").await;
    ann.publish("a", SECRET).await.unwrap();
    for faults in [
        Faults::everywhere(1.0),
        Faults { append_panics: 1.0, ..Faults::default() },
        Faults { after_write: 1.0, ..Faults::default() },
    ] {
        store.set_faults(faults);
        let _ = ann.publish("a", SECRET).await;
        let _ = ann.edit("a", 1, SECRET).await;
        let _ = ann.search("a", SECRET, None).await;
        let _ = ann.create_channel("b", SECRET).await;
        let _ = ann.react("a", 1, SECRET, true).await;
    }
    calm(&store).await;
    let lines = log.take();
    assert!(lines.iter().any(|line| line.starts_with("ERROR append failed")), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains(SECRET)), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn the_statistics_count_connections_and_messages() {
    let (chat, _) = chat(|_| ());
    let ann = member(&chat, "ann").await;
    let mut bob = member(&chat, "bob").await;
    let bob_again = chat.connect(identity("bob")).unwrap();
    ann.publish("a", "one").await.unwrap();
    let command = |nonce: &Nonce| Command::Publish {
        channel: "a".into(),
        nonce: nonce.to_string(),
        text: "two".into(),
        attachments: Vec::new(),
        reply_to: None,
        mentions: Vec::new(),
        data: None,
    };
    let nonce = Nonce::random();
    for _ in 0..2 {
        ann.call::<serde::de::IgnoredAny>(command(&nonce)).await.unwrap();
    }
    ann.edit("a", 1, "uno").await.unwrap();
    bob.next_event().await.unwrap();
    let stats = chat.stats();
    assert_eq!((stats.connections, stats.users, stats.subscriptions), (3, 2, 2));
    assert_eq!((stats.loaded_channels, stats.connections_opened), (1, 3));
    assert_eq!((stats.publishes, stats.duplicates, stats.append_events), (2, 1, 3));
    assert_eq!((stats.append_batches, stats.append_time.count()), (4, 4));
    assert_eq!(stats.publish_time.count(), 4, "an edit counts, and so does a repetition");
    assert!(stats.ring_bytes > 0 && stats.deliveries > 0);
    assert_eq!(refusals(&stats, ErrorCode::NameTaken), 1, "bob found the channel");
    drop((bob_again, bob));
    let stats = chat.stats();
    assert_eq!((stats.connections, stats.users, stats.subscriptions), (1, 1, 1));
    assert_eq!(closes(&stats, CloseReason::Left), 2);
}

#[tokio::test(start_paused = true)]
async fn the_statistics_count_what_goes_wrong() {
    let (chat, store) = chat(|l| {
        l.ring_events = 2;
        l.connections = 2;
        (l.command_burst, l.commands_per_second) = (12, 1);
    });
    let ann = member(&chat, "ann").await;
    let mut bob = member(&chat, "bob").await;
    for n in 0..4 {
        ann.publish("a", &n.to_string()).await.unwrap();
    }
    while !matches!(bob.next_event().await.unwrap(), chatcore::protocol::ChatEvent::Lagged { .. }) {}
    let gone = Position::new(chatcore::Epoch::random(), 1);
    assert!(bob.resume("a", gone).await.unwrap().start.is_snapshot());
    store.set_faults(Faults { after_write: 1.0, ..Faults::default() });
    ann.publish("a", "x").await.unwrap_err();
    store.set_faults(Faults::default());
    assert_eq!(chat.connect(identity("eve")).unwrap_err(), ConnectError::Overloaded);
    for _ in 0..20 {
        let _ = ann.typing("a").await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    chat.disconnect(&identity("bob").user.id, CloseReason::Banned);
    drop((ann, bob));
    let stats = chat.stats();
    assert_eq!((stats.lagged, stats.resets, stats.append_failures), (1, 1, 1));
    let why = "the position of another epoch, and twice what became of the append";
    assert_eq!(stats.repairs, 3, "{why}");
    assert!(refusals(&stats, ErrorCode::RateLimited) > 0);
    assert_eq!((closes(&stats, CloseReason::Overloaded), closes(&stats, CloseReason::Banned)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_store_is_ready_if_it_answers_in_time() {
    let (chat, store) = chat(|_| ());
    let bound = Duration::from_secs(1);
    chat.check_store(bound).await.unwrap();
    store.set_faults(Faults { read: 1.0, ..Faults::default() });
    assert_eq!(chat.check_store(bound).await.unwrap_err().code(), ErrorCode::Unavailable);
    store.set_faults(Faults { delay: 1.0, longest_delay: Duration::from_secs(3_600), ..Faults::default() });
    let began = tokio::time::Instant::now();
    chat.check_store(bound).await.unwrap_err();
    assert!(began.elapsed() <= 2 * bound);
}

#[tokio::test(start_paused = true)]
async fn a_publish_has_a_span_without_its_text() {
    let (chat, _) = chat(|_| ());
    let ann = member(&chat, "ann").await;
    ann.publish("a", "hush").await.unwrap();
    let log = CapturedLog::at(tracing::Level::DEBUG);
    ann.publish("a", "hush").await.unwrap();
    let lines = log.take();
    assert!(lines.contains(&"span publish channel=a user=u_ann kind=message".to_owned()), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("DEBUG stored took=")), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("hush")), "{lines:?}");
}
