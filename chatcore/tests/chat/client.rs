//! The in-process client: typed messages, several tasks in one session, and errors for which there is a remedy.
#![allow(clippy::unwrap_used)]

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use chatcore::protocol::{ChatEvent, Command, Published};
use chatcore::testkit::{Faults, FaultyStore};
use chatcore::{
    Chat, Client, ClientError, ErrorCode, Identity, Limits, MemoryStore, NewMessage, Nonce, User,
};

fn identity(name: &str) -> Identity {
    Identity::new(User::new(&format!("u_{name}"), name).unwrap())
}

/// Creates a chat with a channel `a`, and a client that is subscribed to it.
async fn subscribed(limits: Limits, store: FaultyStore<MemoryStore>) -> (Chat, Client) {
    let chat = Chat::builder(store).limits(limits).build();
    let client = chat.connect(identity("ann")).unwrap();
    client.create_channel("a", "").await.unwrap();
    client.subscribe("a").await.unwrap();
    (chat, client)
}

fn calm() -> FaultyStore<MemoryStore> {
    FaultyStore::new(MemoryStore::new(), Faults::default(), 1)
}

async fn next_text(client: &mut Client) -> String {
    loop {
        if let ChatEvent::Message { message, .. } = client.next_event().await.unwrap() {
            return message.text;
        }
    }
}

#[tokio::test]
async fn a_sent_message_has_its_reply_and_its_nonce() {
    let (_chat, client) = subscribed(Limits::default(), calm()).await;
    let question = client.send("a", NewMessage::text("why?")).await.unwrap();
    let nonce = Nonce::new("order-7").unwrap();
    let answer = NewMessage::text("because").reply_to(question.seq).nonce(nonce.clone());
    client.send("a", answer).await.unwrap();
    let page = client.history("a", u64::MAX, 1).await.unwrap();
    assert_eq!((&page.messages[0].nonce, page.messages[0].reply_to), (&nonce, Some(1)));
}

#[tokio::test]
async fn a_message_that_is_sent_again_is_stored_once() {
    let (_chat, client) = subscribed(Limits::default(), calm()).await;
    let message = NewMessage::text("once");
    let first = client.send("a", message.clone()).await.unwrap();
    let again = client.send("a", message).await.unwrap();
    assert_eq!((again.seq, again.duplicate), (first.seq, true));
    let other = client.send("a", NewMessage::text("once")).await.unwrap();
    assert!(!other.duplicate, "another message has another nonce");
}

#[tokio::test]
async fn a_sender_publishes_while_its_client_waits_for_events() {
    let (_chat, mut client) = subscribed(Limits::default(), calm()).await;
    let sender = client.sender();
    let mut read = pin!(next_text(&mut client));
    assert!(poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx))).await.is_pending());
    let publishing = tokio::spawn(async move { sender.publish("a", "from another task").await });
    assert_eq!(read.await, "from another task");
    assert!(!publishing.await.unwrap().unwrap().duplicate);
}

#[tokio::test]
async fn a_client_sends_in_the_loop_that_reads_its_events() {
    let (_chat, mut client) = subscribed(Limits::default(), calm()).await;
    client.publish("a", "1").await.unwrap();
    for n in 1..=20 {
        assert_eq!(next_text(&mut client).await, n.to_string());
        client.publish("a", &(n + 1).to_string()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_many_senders_all_get_their_own_answers() {
    let mut limits = Limits::default();
    limits.commands_in_flight = 3;
    let (_chat, mut client) = subscribed(limits, calm()).await;
    let sending: Vec<_> = (0..200)
        .map(|n| {
            let sender = client.sender();
            tokio::spawn(async move { (n.to_string(), sender.publish("a", &n.to_string()).await.unwrap()) })
        })
        .collect();
    let mut texts = vec![String::new(); 201];
    for text in &mut texts[1..] {
        *text = next_text(&mut client).await;
    }
    for sent in sending {
        let (text, published) = sent.await.unwrap();
        assert_eq!(texts[usize::try_from(published.seq).unwrap()], text);
    }
}

#[tokio::test]
async fn as_many_commands_are_in_flight_as_the_limit_says() {
    let mut limits = Limits::default();
    limits.commands_in_flight = 2;
    let store = calm();
    let (chat, client) = subscribed(limits, store.clone()).await;
    let held = store.hold();
    let mut sent: Vec<_> = (0..5).map(|_| Box::pin(client.publish("a", "x"))).collect();
    for call in &mut sent {
        assert!(poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await.is_pending());
    }
    tokio::task::yield_now().await;
    assert!(chat.stats().append_queue <= 1, "two in flight, of which one is with the store");
    drop(held);
    // The last two have not been executed yet.
    sent.truncate(3);
    for call in sent {
        call.await.unwrap();
    }
    assert_eq!(client.history("a", u64::MAX, 10).await.unwrap().messages.len(), 3);
}

#[tokio::test]
async fn dropped_calls_do_not_block_later_ones() {
    let mut limits = Limits::default();
    limits.commands_in_flight = 2;
    let store = calm();
    let (_chat, client) = subscribed(limits, store.clone()).await;
    let held = store.hold();
    for _ in 0..2 {
        let mut call = pin!(client.publish("a", "dropped"));
        assert!(poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await.is_pending());
    }
    drop(held);
    assert_eq!(client.publish("a", "kept").await.unwrap().seq, 3);
}

#[tokio::test]
async fn a_session_lasts_as_long_as_its_last_sender() {
    let (chat, client) = subscribed(Limits::default(), calm()).await;
    let sender = client.sender();
    drop(client);
    sender.publish("a", "still here").await.unwrap();
    assert_eq!(chat.connections(), 1);
    drop(sender);
    assert_eq!(chat.connections(), 0);
}

#[tokio::test]
async fn an_answer_of_another_type_is_a_decode_error() {
    let (_chat, client) = subscribed(Limits::default(), calm()).await;
    let error = client.call::<Published>(Command::Ping).await.unwrap_err();
    assert!(matches!(error, ClientError::Decode(_)), "{error:?}");
    client.call::<serde::de::IgnoredAny>(Command::Ping).await.unwrap();
}

#[tokio::test]
async fn a_refusal_has_its_code_its_wait_and_its_channel() {
    let mut limits = Limits::default();
    limits.command_burst = 15;
    let (_chat, client) = subscribed(limits, calm()).await;
    let refused = |error| match error {
        ClientError::Refused(error) => error,
        other => panic!("{other}"),
    };
    let taken = refused(client.create_channel("A", "").await.unwrap_err());
    assert_eq!(taken.code(), ErrorCode::NameTaken);
    assert_eq!(taken.channel().unwrap().as_str(), "a");
    let limited = loop {
        if let Err(error) = client.publish("a", "x").await {
            break refused(error);
        }
    };
    assert_eq!(limited.code(), ErrorCode::RateLimited);
    assert!(limited.retry_after().is_some_and(|wait| !wait.is_zero()));
}
