//! A search delays nobody else.
#![allow(clippy::unwrap_used)]

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use chatcore::protocol::Command;
use chatcore::store::{
    Append, AppendBody, Directory, EventStore, PageLimit, SEARCH_BYTES, SEARCH_SCAN, search_by_scan,
};
use chatcore::{ChannelId, ChannelName, Chat, Identity, Limits, MemoryStore, Nonce, SearchQuery, Seq, User};

fn user(name: &str) -> User {
    User::new(&format!("u_{name}"), name).unwrap()
}

/// Creates a store with a channel of `messages`, each of `chars` characters that take long to compare.
async fn filled(messages: usize, chars: usize) -> (MemoryStore, ChannelId) {
    let store = MemoryStore::new();
    let name = ChannelName::new("a").unwrap();
    let channel = store.create_channel(&name, "", &user("ann")).await.unwrap().into_channel().id;
    let append = |i: usize| {
        Append::new(
            channel,
            user("ann"),
            AppendBody::Message {
                nonce: Nonce::new(i.to_string()).unwrap(),
                text: "\u{130}".repeat(chars).into(),
                reply_to: None,
                attachments: Vec::new(),
                extras: None,
            },
        )
    };
    store.append((0..messages).map(append).collect()).await;
    (store, channel)
}

async fn is_pending<F: Future>(future: &mut Pin<&mut F>) -> bool {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

/// On one thread, so that computing blocks everything.
#[tokio::test]
async fn messages_are_published_while_a_search_computes() {
    let (store, _) = filled(600, 3_000).await;
    let chat = Chat::builder(store).build();
    let ann = chat.connect(Identity::new(user("ann"))).unwrap();
    let bob = chat.connect(Identity::new(user("bob"))).unwrap();
    // Loaded, so that nothing else has to be awaited.
    bob.publish("a", "first").await.unwrap();
    let mut search = pin!(ann.search("a", "needle", None));
    let mut published = 0;
    while is_pending(&mut search).await && published < 100 {
        bob.publish("a", "while it computes").await.unwrap();
        published += 1;
    }
    assert!(published > 5, "{published} messages were published before the search ended");
}

/// Runs two tasks on one thread and counts how often the other one runs during a search.
#[tokio::test]
async fn a_search_lets_other_tasks_run() {
    let (store, channel) = filled(400, 1_000).await;
    let (turns, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let other = tokio::spawn({
        let (turns, ended) = (Arc::clone(&turns), Arc::clone(&ended));
        async move {
            while !ended.load(Ordering::SeqCst) {
                turns.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
            }
        }
    });
    let query = SearchQuery::new("needle").unwrap();
    search_by_scan(&store, channel, &query, Seq::MAX, PageLimit::new(50, usize::MAX)).await.unwrap();
    ended.store(true, Ordering::SeqCst);
    other.await.unwrap();
    assert!(turns.load(Ordering::SeqCst) >= 8, "a turn for each page");
}

#[tokio::test]
async fn one_search_call_reads_a_bounded_number_of_bytes() {
    let chars = 8_000;
    let (store, channel) = filled(SEARCH_SCAN, chars).await;
    let query = SearchQuery::new("needle").unwrap();
    let found =
        search_by_scan(&store, channel, &query, Seq::MAX, PageLimit::new(50, usize::MAX)).await.unwrap();
    let looked = SEARCH_SCAN - usize::try_from(found.before.unwrap()).unwrap() + 1;
    let bytes = looked * "\u{130}".repeat(chars).len();
    assert!((SEARCH_BYTES..2 * SEARCH_BYTES).contains(&bytes), "{bytes} bytes");
}

/// Waiting for the store is not computing: here every search waits in the store until the test is done.
#[tokio::test(start_paused = true)]
async fn searches_wait_in_order_up_to_the_bound() {
    let (store, _) = filled(10, 10).await;
    let mut limits = Limits::default();
    (limits.searches, limits.searches_per_user) = (1, 1);
    let held = chatcore::testkit::FaultyStore::new(
        store,
        chatcore::testkit::Faults {
            delay: 1.0,
            longest_delay: Duration::from_secs(3_600),
            ..Default::default()
        },
        7,
    );
    let wait = limits.store_timeout;
    let chat = Chat::builder(held).limits(limits).build();
    let began = tokio::time::Instant::now();
    let search =
        Command::Search { channel: Some("a".into()), query: "needle".into(), before: None, limit: None };
    let searches = ["ann", "bob", "cat"].map(|name| {
        let client = chat.connect(Identity::new(user(name))).unwrap();
        let search = search.clone();
        async move { client.call::<serde_json::Value>(search).await.is_err() }
    });
    assert_eq!(futures::future::join_all(searches).await, [true; 3], "the store hangs");
    assert!(began.elapsed() <= 2 * wait, "each is answered in time");
}
