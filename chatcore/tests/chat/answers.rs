//! Responses and the store's pages behind them are bounded in bytes: what does not fit comes with the next one.
#![allow(clippy::unwrap_used)]

use chatcore::protocol::{ChannelList, ChatEvent, Command, HistoryPage, SearchPage, Start, Subscribed};
use chatcore::store::{Append, AppendBody, Directory, EventStore};
use chatcore::{
    Action, ChannelName, Chat, Client, ClientError, Denied, ErrorCode, History, Identity, Limits,
    MemoryStore, Nonce, Policy, Position, Seq, User,
};

/// The largest list of a response in these tests.
const ANSWER: usize = 8_000;

/// A text that is six times as large in JSON.
const CONTROL: &str = "\u{1}\u{2}\u{3}\u{4}\u{5}\u{6}\u{7}\u{8}";

fn user(name: &str) -> User {
    User::new(&format!("u_{name}"), name).unwrap()
}

fn identity(name: &str) -> Identity {
    Identity::new(user(name))
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.answer_bytes = ANSWER;
    limits
}

fn chat(store: &MemoryStore, limits: Limits) -> Chat {
    Chat::builder(store.clone()).limits(limits).build()
}

/// Stores a channel `a` with this many messages, each of about 600 bytes in an answer, with the word "needle".
async fn stored(messages: u64) -> MemoryStore {
    let store = MemoryStore::new();
    let name = ChannelName::new("a").unwrap();
    let channel = store.create_channel(&name, "", &user("ann")).await.unwrap().into_channel().id;
    let say = |n: u64| {
        let body = AppendBody::Message {
            nonce: Nonce::new(n.to_string()).unwrap(),
            text: format!("needle {}", CONTROL.repeat(8)).into(),
            reply_to: None,
            attachments: Vec::new(),
            extras: None,
        };
        Append::new(channel, user("ann"), body)
    };
    for stored in store.append((1..=messages).map(say).collect()).await {
        stored.unwrap();
    }
    store
}

/// Returns the size of messages in a response: the JSON as it was sent.
fn len<T: serde::Serialize>(items: &[T]) -> usize {
    serde_json::to_vec(items).unwrap().len()
}

fn has_more(start: &Start) -> bool {
    matches!(start, Start::Snapshot { more: true, .. })
}

fn seqs(messages: &[chatcore::Message]) -> Vec<Seq> {
    messages.iter().map(|message| message.seq).collect()
}

async fn publish(client: &mut Client, count: usize) {
    for _ in 0..count {
        client.publish("a", &CONTROL.repeat(8)).await.unwrap();
    }
}

#[tokio::test]
async fn a_page_of_history_is_bounded_in_bytes() {
    let chat = chat(&stored(100).await, limits());
    let ann = chat.connect(identity("ann")).unwrap();
    let (mut before, mut seen) = (Seq::MAX, Vec::new());
    loop {
        let HistoryPage { messages, more, .. } = ann.history("a", before, 100).await.unwrap();
        assert!(!messages.is_empty() && len(&messages) <= ANSWER, "{} bytes", len(&messages));
        assert!(len(&messages) > ANSWER / 2 || !more, "a page is as full as it can be");
        before = messages[0].seq;
        seen.splice(0..0, seqs(&messages));
        if !more {
            break;
        }
    }
    assert!(seen.into_iter().eq(1..=100));
    let (mut after, mut seen) = (0, Vec::new());
    loop {
        let page = ann.history("a", History::After(after), 100).await.unwrap();
        let (messages, more) = (page.messages, page.more_after.unwrap());
        assert!(!messages.is_empty() && len(&messages) <= ANSWER, "{} bytes", len(&messages));
        assert!(len(&messages) > ANSWER / 2 || !more, "a page is as full as it can be");
        after = messages.last().unwrap().seq;
        seen.extend(seqs(&messages));
        if !more {
            break;
        }
    }
    assert!(seen.into_iter().eq(1..=100));
    let page = ann.history("a", History::Around(50), 100).await.unwrap();
    let around = seqs(&page.messages);
    assert!(len(&page.messages) <= ANSWER && around.contains(&50), "{around:?}");
    assert!(around.iter().copied().eq(around[0]..=*around.last().unwrap()), "without a gap: {around:?}");
    assert!(around[0] < 50 && *around.last().unwrap() > 50, "on both sides: {around:?}");
    assert_eq!((page.more, page.more_after), (true, Some(true)));
}

#[tokio::test]
async fn a_message_larger_than_an_answer_comes_alone() {
    let mut limits = limits();
    limits.answer_bytes = 100;
    let chat = chat(&stored(5).await, limits);
    let ann = chat.connect(identity("ann")).unwrap();
    let page = ann.history("a", 4, 100).await.unwrap();
    assert_eq!((seqs(&page.messages), page.more), (vec![3], true));
    let page = ann.history("a", 2, 100).await.unwrap();
    assert_eq!((seqs(&page.messages), page.more), (vec![1], false));
    let page = ann.history("a", History::After(2), 100).await.unwrap();
    assert_eq!((seqs(&page.messages), page.more, page.more_after), (vec![3], true, Some(true)));
    let page = ann.history("a", History::Around(3), 100).await.unwrap();
    assert_eq!((seqs(&page.messages), page.more, page.more_after), (vec![3], true, Some(true)));
    let opened = ann.subscribe("a").await.unwrap();
    assert_eq!((seqs(opened.start.messages()), has_more(&opened.start), opened.head), (vec![5], true, 5));
    let found = ann.search("a", "needle", None).await.unwrap();
    assert_eq!((seqs(&found.messages), found.before), (vec![5], Some(5.into())));
}

#[tokio::test]
async fn a_snapshot_is_bounded_in_bytes() {
    let store = stored(60).await;
    let chat = chat(&store, limits());
    let mut ann = chat.connect(identity("ann")).unwrap();
    // The first run fills the ring, the second reads only the ring, and the third resumes after messages that it
    // has seen.
    for new in [0, 0, 30] {
        publish(&mut ann, new).await;
        let Subscribed { start, head, .. } = ann.subscribe("a").await.unwrap();
        let (messages, more) = (start.messages(), has_more(&start));
        assert!(len(messages) <= ANSWER && len(messages) > ANSWER / 2, "{} bytes", len(messages));
        assert!(more, "there are older ones");
        assert_eq!(messages.last().map(|message| message.seq), Some(head));
        let first = messages[0].seq;
        assert!(seqs(messages).into_iter().eq(first..=head), "without a gap");
        let older = ann.history("a", first, 1).await.unwrap();
        assert_eq!(seqs(&older.messages), [first - 1], "history goes on");
    }
    let few = ann.call::<Subscribed>(subscribe(None, 3)).await.unwrap();
    assert_eq!((few.start.messages().len(), has_more(&few.start)), (3, true));
    let none = ann.call::<Subscribed>(subscribe(None, 0)).await.unwrap();
    assert_eq!((none.start.messages().len(), has_more(&none.start)), (0, true));
}

fn subscribe(after: Option<Position>, limit: u32) -> Command {
    Command::Subscribe { channel: "a".into(), after, limit: Some(limit) }
}

/// A resume that does not fit into one response continues live, without gaps and duplicates.
#[tokio::test]
async fn a_large_resume_ends_early_and_goes_on_live() {
    let store = stored(1).await;
    let chat = chat(&store, limits());
    let mut ann = chat.connect(identity("ann")).unwrap();
    let start = ann.subscribe("a").await.unwrap();
    ann.unsubscribe("a").await.unwrap();
    publish(&mut ann, 100).await;
    let mut bob = chat.connect(identity("bob")).unwrap();
    let resumed = bob.resume("a", Position::new(start.epoch, start.head)).await.unwrap();
    let Start::Replay(events) = &resumed.start else { panic!("{resumed:?}") };
    assert!(len(events) <= ANSWER, "{} bytes", len(events));
    let place = |event: &ChatEvent| event.log_position().map(|(_, seq)| seq);
    let mut seen: Vec<Seq> = events.iter().filter_map(place).collect();
    assert_eq!(seen.last(), Some(&resumed.head));
    assert!(seen.len() > 3 && seen.len() < 100, "{seen:?}");
    while seen.len() < 100 {
        seen.extend(place(&bob.next_event().await.unwrap()));
    }
    assert!(seen.into_iter().eq(2..=101));
}

/// A resume that does not fit into one response is a reset if the ring does not have the events after the
/// response.
#[tokio::test]
async fn a_resume_that_can_not_go_on_is_reset() {
    let store = stored(100).await;
    let chat = chat(&store, limits());
    let ann = chat.connect(identity("ann")).unwrap();
    let epoch = ann.subscribe("a").await.unwrap().epoch;
    let far = ann.resume("a", Position::new(epoch.clone(), 1)).await.unwrap();
    assert!(has_more(&far.start), "{far:?}");
    assert_eq!((far.head, far.start.messages().last().unwrap().seq), (100, 100));
    let near = ann.resume("a", Position::new(epoch, 97)).await.unwrap();
    assert_eq!((near.start.events().len(), near.head), (3, 100));
}

#[tokio::test]
async fn pages_of_a_search_find_each_message_once() {
    let chat = chat(&stored(60).await, limits());
    let ann = chat.connect(identity("ann")).unwrap();
    let (mut before, mut seen) = (None, Vec::new());
    loop {
        let SearchPage { messages, more, before: next, .. } =
            ann.search("a", "needle", before).await.unwrap();
        assert!(len(&messages) <= ANSWER, "{} bytes", len(&messages));
        seen.splice(0..0, seqs(&messages));
        assert_eq!(more, next.is_some());
        let Some(next) = next else { break };
        before = Some(next);
    }
    assert!(seen.into_iter().eq(1..=60));
}

/// Hides the channels whose names begin with "hidden".
struct Hides;

impl Policy for Hides {
    fn authorize(&self, _: &Identity, action: Action<'_>) -> Result<(), Denied> {
        match action {
            Action::List(name) if name.as_str().starts_with("hidden") => Err(Denied),
            _ => Ok(()),
        }
    }
}

/// A directory of `a00` to `a19`, `hidden000` to `hidden599`, and `z`.
async fn directory() -> MemoryStore {
    let store = MemoryStore::new();
    let listed = (0..20).map(|n| format!("a{n:02}"));
    let hidden = (0..600).map(|n| format!("hidden{n:03}"));
    for name in listed.chain(hidden).chain(["z".to_owned()]) {
        store.create_channel(&ChannelName::new(&name).unwrap(), CONTROL, &user("ann")).await.unwrap();
    }
    store
}

async fn list(
    client: &mut Client,
    after: Option<&str>,
    limit: Option<u32>,
) -> Result<ChannelList, ClientError> {
    client.call(Command::Channels { after: after.map(str::to_owned), limit, archived: false }).await
}

/// Lists all channels page by page, and returns how many each page had.
async fn pages(client: &mut Client, limit: Option<u32>) -> Vec<usize> {
    let (mut names, mut counts, mut after) = (Vec::new(), Vec::new(), None::<String>);
    loop {
        let page = list(client, after.as_deref(), limit).await.unwrap();
        assert!(len(&page.channels) <= ANSWER, "{} bytes", len(&page.channels));
        counts.push(page.channels.len());
        names.extend(page.channels.into_iter().map(|channel| channel.name.to_string()));
        assert_eq!(page.more, page.after.is_some());
        let Some(next) = page.after else { break };
        assert!(!next.contains("hidden"), "{next} says what is hidden");
        after = Some(next);
    }
    assert!(
        names.iter().map(String::as_str).eq((0..20)
            .map(|n| format!("a{n:02}"))
            .chain(["z".to_owned()])
            .collect::<Vec<_>>()
            .iter()
            .map(String::as_str)),
        "{names:?}"
    );
    counts
}

#[tokio::test]
async fn pages_of_channels_are_bounded_in_number_and_bytes() {
    let store = directory().await;
    let mut small = limits();
    small.channels_page = 15;
    let chat = Chat::builder(store.clone()).policy(Hides).limits(small).build();
    let mut ann = chat.connect(identity("ann")).unwrap();
    assert_eq!(pages(&mut ann, None).await, [15, 6]);
    assert_eq!(pages(&mut ann, Some(10)).await, [10, 10, 1]);
    let refused = list(&mut ann, None, Some(16)).await.unwrap_err();
    assert!(matches!(refused, ClientError::Refused(error) if error.code() == ErrorCode::BadFrame));
    assert_eq!(ann.channels().await.unwrap().len(), 21, "a call reads all pages");
    let rest = list(&mut ann, Some("a17x"), None).await.unwrap();
    let names: Vec<_> = rest.channels.iter().map(|channel| channel.name.as_str()).collect();
    assert_eq!((names, rest.more), (vec!["a18", "a19", "z"], false), "after a name that no channel has");

    let mut small = limits();
    small.answer_bytes = 1_000;
    let chat = Chat::builder(store).policy(Hides).limits(small).build();
    let mut ann = chat.connect(identity("ann")).unwrap();
    let counts = pages(&mut ann, None).await;
    assert!(counts.len() > 4 && counts.iter().all(|count| *count > 0), "{counts:?}");
}

/// If very many channels are hidden, the response has a mark to continue from. It reveals no hidden name, and is
/// valid for this connection only.
#[tokio::test]
async fn a_list_skips_hidden_channels_in_bounded_steps() {
    let mut limits = limits();
    limits.channels_scan = 100;
    let chat = Chat::builder(directory().await).policy(Hides).limits(limits).build();
    let mut ann = chat.connect(identity("ann")).unwrap();
    assert_eq!(pages(&mut ann, None).await, [20, 0, 0, 0, 0, 0, 1]);
    let first = list(&mut ann, None, None).await.unwrap().after.unwrap();
    let second = list(&mut ann, Some(&first), None).await.unwrap().after.unwrap();
    assert_ne!(first, second);
    let refused = |result: Result<ChannelList, ClientError>| {
        assert!(
            matches!(result.unwrap_err(), ClientError::Refused(error) if error.code() == ErrorCode::BadFrame)
        );
    };
    refused(list(&mut ann, Some(&first), None).await);
    refused(list(&mut ann, Some("~"), None).await);
    let mut bob = chat.connect(identity("bob")).unwrap();
    refused(list(&mut bob, Some(&second), None).await);
    assert!(list(&mut ann, Some(&second), None).await.unwrap().more, "the last mark holds");
}

#[tokio::test]
async fn a_list_of_members_is_bounded_in_bytes() {
    let mut limits = limits();
    limits.presence_bytes = 600;
    let chat = chat(&stored(0).await, limits);
    let mut clients = Vec::new();
    let mut listed = Vec::new();
    for n in 0..20 {
        let name = format!("{n} {}", CONTROL.repeat(2));
        let identity = Identity::new(User::new(&format!("u_{n}"), &name).unwrap());
        let client = chat.connect(identity).unwrap();
        let opened = client.subscribe("a").await.unwrap();
        assert!(len(&opened.members) <= 600 + 1, "{} bytes", len(&opened.members));
        listed.push(opened.members.len());
        clients.push(client);
    }
    let full = *listed.last().unwrap();
    assert!(
        full > 2 && listed.iter().eq((1..=20).map(|n| n.min(full)).collect::<Vec<_>>().iter()),
        "{listed:?}"
    );
}
