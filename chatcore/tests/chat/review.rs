//! The app's review of what clients write.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chatcore::protocol::Command;
use chatcore::{
    Action, ChannelName, Chat, Client, ClientError, Data, Denied, Error, ErrorCode, HistoryAccess, Identity,
    Limits, MemoryStore, Mention, Message, NewMessage, Nonce, OpenPolicy, Policy, Refused, User,
};
use futures::{join, poll};
use serde::de::IgnoredAny;
use serde_json::json;
use tokio::sync::Semaphore;

/// A policy whose review does what the text of a message says, and remembers what it got.
#[derive(Clone, Debug)]
struct Desk {
    seen: Arc<Mutex<Vec<NewMessage>>>,
    /// Lets messages with `wait` pass, one for each permit.
    gate: Arc<Semaphore>,
    muted: Arc<Mutex<HashSet<User>>>,
}

impl Default for Desk {
    fn default() -> Self {
        Self { seen: Arc::default(), gate: Arc::new(Semaphore::new(0)), muted: Arc::default() }
    }
}

impl Desk {
    fn seen(&self) -> Vec<NewMessage> {
        self.seen.lock().unwrap().clone()
    }
}

#[async_trait]
impl Policy for Desk {
    fn authorize(&self, identity: &Identity, action: Action<'_>) -> Result<(), Denied> {
        let is_muted = self.muted.lock().unwrap().contains(&identity.user);
        match action {
            Action::Write(_) if is_muted => Err(Denied),
            action => OpenPolicy.authorize(identity, action),
        }
    }

    async fn review(
        &self,
        identity: &Identity,
        channel: &ChannelName,
        message: &mut NewMessage,
    ) -> Result<(), Refused> {
        self.seen.lock().unwrap().push(message.clone());
        match &*message.text {
            "spam" => {
                return Err(Refused::new(format!("{}, no spam\nin {channel}\u{7}", identity.user.name)));
            }
            "panic" => panic!("a review that panics on purpose"),
            "hang" => pending().await,
            "wait" => self.gate.acquire().await.unwrap().forget(),
            "long" => message.text = "é".repeat(8_001).into(),
            "longest" => message.text = "é".repeat(8_000).into(),
            "blank" => message.text = "\u{200b}".into(),
            "crowd" => message.mentions = (0..51).map(|n| mention(&format!("{n}"))).collect(),
            "forge" => {
                message.nonce = Nonce::new("forged").unwrap();
                message.reply_to = Some(1);
                message.kind = Some(chatcore::MessageKind::System);
                message.attachments.push(chatcore::AttachmentId::new("a_1").unwrap());
                message.edits = Some(1);
            }
            "shout" => {
                message.text = "SHOUT".into();
                message.mentions = vec![mention("bob"), mention("nobody")];
                message.data = Some(data(7));
            }
            _ => {}
        }
        Ok(())
    }
}

/// Its review panics before there is a future.
struct Broken;

impl Policy for Broken {
    fn authorize(&self, _: &Identity, _: Action<'_>) -> Result<(), Denied> {
        Ok(())
    }

    fn review<'life0, 'life1, 'life2, 'life3, 'async_trait>(
        &'life0 self,
        _: &'life1 Identity,
        _: &'life2 ChannelName,
        _: &'life3 mut NewMessage,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<(), Refused>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        'life2: 'async_trait,
        'life3: 'async_trait,
        Self: 'async_trait,
    {
        panic!("a review that panics on purpose")
    }
}

fn user(name: &str) -> User {
    User::new(&format!("u_{name}"), name).unwrap()
}

fn mention(name: &str) -> Mention {
    Mention::User(user(name).id)
}

fn data(ticket: u64) -> Data {
    Data::new(&json!({"ticket": ticket})).unwrap()
}

fn join(chat: &Chat, name: &str) -> Client {
    chat.connect(Identity::new(user(name))).unwrap()
}

fn refused(error: ClientError) -> Error {
    match error {
        ClientError::Refused(error) => error,
        other => panic!("{other}"),
    }
}

async fn code(client: &Client, text: &str) -> Option<ErrorCode> {
    client.publish("a", text).await.err().map(|error| refused(error).code())
}

async fn messages(client: &Client) -> Vec<Message> {
    client.history("a", u64::MAX, 100).await.unwrap().messages
}

async fn texts(client: &Client) -> Vec<String> {
    messages(client).await.into_iter().map(|message| message.text).collect()
}

/// Ann and Bob with a channel `a`.
async fn start() -> (Desk, Chat, Client, Client) {
    let desk = Desk::default();
    let chat = Chat::builder(MemoryStore::new()).policy(desk.clone()).build();
    let (ann, bob) = (join(&chat, "ann"), join(&chat, "bob"));
    ann.create_channel("a", "").await.unwrap();
    bob.subscribe("a").await.unwrap();
    // Everybody who is mentioned must be known.
    chat.remember_user(&user("bob")).await.unwrap();
    bob.publish("a", "hello").await.unwrap();
    (desk, chat, ann, bob)
}

#[tokio::test]
async fn a_refused_message_is_not_stored_and_its_author_learns_why() {
    let (_, _, ann, bob) = start().await;
    let error = refused(ann.publish("a", "spam").await.unwrap_err());
    assert_eq!((error.code(), error.to_string().as_str()), (ErrorCode::Refused, "ann, no spam in a"));
    assert!(!error.code().is_retryable());
    assert_eq!(texts(&bob).await, ["hello"]);
}

#[tokio::test]
async fn a_review_rewrites_text_mentions_and_data() {
    let (_, chat, ann, bob) = start().await;
    ann.publish("a", "shout").await.unwrap();
    let last = messages(&ann).await.pop().unwrap();
    assert_eq!((last.text.as_str(), last.data), ("SHOUT", Some(data(7))));
    assert_eq!(last.mentions.list, [mention("bob")], "nobody else can read the channel");
    let counts = chat.unread(&user("bob").id, &ChannelName::new("a").unwrap()).await.unwrap();
    assert_eq!((counts.messages, counts.mentions), (1, 1));
    drop(bob);
}

#[tokio::test]
async fn a_review_changes_nothing_else() {
    let (_, _, ann, _bob) = start().await;
    let sent = NewMessage::text("forge").nonce(Nonce::new("mine").unwrap());
    ann.send("a", sent).await.unwrap();
    let last = messages(&ann).await.pop().unwrap();
    assert_eq!((last.nonce.as_str(), last.reply_to, last.kind), ("mine", None, None));
    assert!(last.attachments.is_empty());
}

#[tokio::test]
async fn what_a_review_makes_is_checked_like_what_a_client_sends() {
    let (_, _, ann, bob) = start().await;
    for (text, expected) in [
        ("long", Some(ErrorCode::TooLarge)),
        ("longest", None),
        ("blank", Some(ErrorCode::Empty)),
        ("crowd", Some(ErrorCode::TooLarge)),
    ] {
        assert_eq!(code(&ann, text).await, expected, "{text}");
    }
    assert_eq!(messages(&bob).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_review_that_takes_too_long_stores_nothing() {
    let (desk, _, ann, bob) = start().await;
    let before = tokio::time::Instant::now();
    let error = refused(ann.publish("a", "hang").await.unwrap_err());
    assert_eq!((error.code(), error.code().is_retryable()), (ErrorCode::Unavailable, true));
    assert!(error.retry_after().is_some());
    assert_eq!(before.elapsed(), Limits::default().review_timeout);
    desk.gate.add_permits(1);
    assert_eq!(code(&ann, "wait").await, None, "the next review is asked");
    assert_eq!(texts(&bob).await, ["hello", "wait"]);
}

#[tokio::test]
async fn a_review_that_panics_fails_its_message_alone() {
    let (_, chat, ann, bob) = start().await;
    assert_eq!(code(&ann, "panic").await, Some(ErrorCode::Unavailable));
    assert_eq!(code(&ann, "fine").await, None);
    assert_eq!(texts(&bob).await, ["hello", "fine"]);
    assert_eq!(chat.stats().connections, 2);

    let chat = Chat::builder(MemoryStore::new()).policy(Broken).build();
    let ann = join(&chat, "ann");
    ann.create_channel("a", "").await.unwrap();
    ann.subscribe("a").await.unwrap();
    for _ in 0..2 {
        assert_eq!(code(&ann, "fine").await, Some(ErrorCode::Unavailable));
    }
    assert!(messages(&ann).await.is_empty());
}

#[tokio::test]
async fn a_connection_keeps_its_order_and_holds_up_no_other() {
    let (desk, chat, ann, bob) = start().await;
    let again = join(&chat, "ann");
    let publishes = async { join!(ann.publish("a", "wait"), ann.publish("a", "after it")) };
    let mut publishes = std::pin::pin!(publishes);
    assert!(poll!(&mut publishes).is_pending());
    bob.publish("a", "bob").await.unwrap();
    again.publish("a", "ann elsewhere").await.unwrap();
    assert!(poll!(&mut publishes).is_pending());
    assert_eq!(desk.seen().len(), 4, "one review of a connection runs at a time");
    desk.gate.add_permits(1);
    let (first, second) = publishes.await;
    assert_eq!((first.unwrap().seq, second.unwrap().seq), (4, 5));
    assert_eq!(texts(&bob).await, ["hello", "bob", "ann elsewhere", "wait", "after it"]);
}

#[tokio::test]
async fn a_right_that_ends_during_the_review_ends_the_message() {
    let (desk, _, ann, bob) = start().await;
    let seq = ann.publish("a", "mine").await.unwrap().seq;
    for is_edit in [false, true] {
        let write = async {
            match is_edit {
                true => ann.edit("a", seq, "wait").await.map(|logged| logged.seq),
                false => ann.publish("a", "wait").await.map(|published| published.seq),
            }
        };
        let mut write = std::pin::pin!(write);
        let asked = desk.seen().len() + 1;
        while desk.seen().len() < asked {
            assert!(poll!(&mut write).is_pending());
            tokio::task::yield_now().await;
        }
        desk.muted.lock().unwrap().insert(user("ann"));
        desk.gate.add_permits(1);
        assert_eq!(refused(write.await.unwrap_err()).code(), ErrorCode::NotAllowed);
        desk.muted.lock().unwrap().clear();
    }
    assert_eq!(texts(&bob).await, ["hello", "mine"]);
}

#[tokio::test]
async fn a_removal_during_the_review_ends_the_message() {
    let (desk, chat, ann, bob) = start().await;
    let team = chat.create_private(&user("bob"), "Team", "", HistoryAccess::All).await.unwrap();
    chat.add_member(&user("bob"), &team.name, &user("ann")).await.unwrap();
    let asked = desk.seen().len() + 1;
    let mut write = std::pin::pin!(ann.publish(team.name.as_str(), "wait"));
    while desk.seen().len() < asked {
        assert!(poll!(&mut write).is_pending());
        tokio::task::yield_now().await;
    }
    chat.remove_member(&user("bob"), &team.name, &user("ann").id).await.unwrap();
    desk.gate.add_permits(1);
    assert_eq!(refused(write.await.unwrap_err()).code(), ErrorCode::NoSuchChannel);
    let page = bob.history(team.name.as_str(), u64::MAX, 9).await.unwrap();
    assert!(page.messages.is_empty());
}

#[tokio::test]
async fn a_stranger_learns_nothing_of_a_private_channel_by_its_review() {
    let (desk, chat, ann, _bob) = start().await;
    let team = chat.create_private(&user("bob"), "Team", "", HistoryAccess::All).await.unwrap();
    let asked = desk.seen().len();
    let there = refused(ann.publish(team.name.as_str(), "spam").await.unwrap_err());
    let nowhere = refused(ann.publish("pr.nowhere", "spam").await.unwrap_err());
    assert_eq!(there.code(), ErrorCode::NoSuchChannel);
    assert_eq!((there.code(), there.to_string()), (nowhere.code(), nowhere.to_string()));
    assert_eq!(desk.seen().len(), asked, "the app is not asked");
}

#[tokio::test]
async fn an_edit_is_reviewed_as_the_message_that_it_makes() {
    let (desk, _, ann, bob) = start().await;
    let sent = NewMessage::text("draft").mention(mention("bob")).data(data(1)).reply_to(1);
    let nonce = sent.nonce.clone();
    let seq = ann.send("a", sent).await.unwrap().seq;
    let edit = async |text: &str, mentions, data| {
        let (channel, text) = ("a".to_owned(), text.to_owned());
        ann.call::<IgnoredAny>(Command::Edit { channel, seq, text, mentions, data }).await
    };
    let last = async || messages(&bob).await.pop().unwrap();

    edit("better", None, None).await.unwrap();
    let seen = desk.seen().pop().unwrap();
    assert_eq!((&*seen.text, seen.edits, seen.reply_to), ("better", Some(seq), Some(1)));
    assert_eq!((seen.mentions, seen.data, seen.nonce), (vec![mention("bob")], Some(data(1)), nonce));
    let message = last().await;
    assert_eq!((message.text.as_str(), message.data), ("better", Some(data(1))));
    assert_eq!(message.mentions.list, [mention("bob")]);

    edit("shout", Some(Vec::new()), Some(data(2))).await.unwrap();
    let seen = desk.seen().pop().unwrap();
    assert_eq!((seen.mentions.len(), seen.data), (0, Some(data(2))));
    let message = last().await;
    assert_eq!((message.text.as_str(), message.data), ("SHOUT", Some(data(7))));
    assert_eq!(message.mentions.list, [mention("bob")]);

    for (text, expected) in [
        ("spam", ErrorCode::Refused),
        ("panic", ErrorCode::Unavailable),
        ("blank", ErrorCode::Empty),
        ("long", ErrorCode::TooLarge),
    ] {
        assert_eq!(refused(edit(text, None, None).await.unwrap_err()).code(), expected, "{text}");
    }
    assert_eq!(last().await.text, "SHOUT");
}

#[tokio::test]
async fn a_repeated_nonce_is_reviewed_again_and_stored_once() {
    let (desk, _, ann, bob) = start().await;
    let sent = NewMessage::text("once");
    let first = ann.send("a", sent.clone()).await.unwrap();
    let again = ann.send("a", sent.clone()).await.unwrap();
    assert_eq!((again.seq, again.duplicate), (first.seq, true));
    let nonces: Vec<_> = desk.seen().into_iter().map(|message| message.nonce).collect();
    assert_eq!(nonces[1..], [sent.nonce.clone(), sent.nonce]);
    assert_eq!(texts(&bob).await, ["hello", "once"]);
}

#[tokio::test]
async fn what_the_app_publishes_is_not_reviewed() {
    let (desk, chat, _ann, bob) = start().await;
    let asked = desk.seen().len();
    let channel = ChannelName::new("a").unwrap();
    chat.publish(&user("ann"), &channel, NewMessage::text("spam")).await.unwrap();
    assert_eq!((texts(&bob).await, desk.seen().len()), (vec!["hello".into(), "spam".into()], asked));
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_review_is_a_limit() {
    let desk = Desk::default();
    let limits = Limits::default().with_review_timeout(Duration::from_millis(1));
    let chat = Chat::builder(MemoryStore::new()).policy(desk).limits(limits).build();
    let ann = join(&chat, "ann");
    ann.create_channel("a", "").await.unwrap();
    let before = tokio::time::Instant::now();
    assert_eq!(code(&ann, "hang").await, Some(ErrorCode::Unavailable));
    assert_eq!(before.elapsed(), Duration::from_millis(1));
}
