//! Laws of searching: [`SearchQuery`] decides what matches, however the store finds it.

use super::{
    NOWHERE, StoreFixture, ann, attach, bob, channel, delete, edit, messages, publish, put, react, say,
    upload,
};
use crate::model::id::{ChannelId, Seq};
use crate::model::query::SearchQuery;
use crate::store::{EventStore, Found, PageLimit, SEARCH_SCAN, UploadState};

/// More calls than any law needs to search a channel to its end.
const CALLS: usize = 100;

async fn find<S: EventStore>(store: &S, channel: ChannelId, query: &str, before: Seq, limit: usize) -> Found {
    let query = SearchQuery::new(query).expect("a query");
    store
        .search(channel, &query, before, PageLimit::items(limit))
        .await
        .expect("the messages can be searched")
}

/// Searches a channel to its end, in steps, and returns the results, oldest first.
async fn all<S: EventStore>(store: &S, channel: ChannelId, query: &str, limit: usize) -> Vec<Seq> {
    let (mut found, mut before) = (Vec::new(), Seq::MAX);
    for _ in 0..CALLS {
        let step = find(store, channel, query, before, limit).await;
        assert!(step.messages.len() <= limit, "{query:?} found more than {limit}");
        for message in &step.messages {
            assert!(message.seq < before, "{} is not below {before}", message.seq);
            assert_eq!(super::message(store, channel, message.seq).await, *message, "as it stands now");
        }
        let mut seqs: Vec<Seq> = step.messages.iter().map(|message| message.seq).collect();
        assert!(seqs.is_sorted(), "oldest first");
        seqs.append(&mut found);
        found = seqs;
        let Some(next) = step.before else { return found };
        assert!(next < before, "a search goes on below {before}, not {next}");
        before = next;
    }
    panic!("{query:?} has no end");
}

async fn put_all<S: EventStore>(store: &S, channel: ChannelId, texts: &[&str]) {
    let batch = texts.iter().enumerate().map(|(i, text)| publish(channel, &ann(), &i.to_string(), text));
    for taken in store.append(batch.collect()).await {
        taken.expect("a message is taken");
    }
}

/// Results contain every word somewhere in the text, in any case and any script, and no word is a pattern.
pub async fn every_word_occurs_in_what_is_found<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    let texts = [
        "The quick brown Fox",
        "the QUICKEST foxes",
        "Über die Straße",
        "Привет, мир",
        "ΟΔΟΣ και οδός",
        "明日の会議は十時です",
        "100% of a_b \\ [c] 'd' \"e\"",
        "1000 of aXb / c",
        "line\nbreak\ttab",
        "👍🏽 yes",
        "İstanbul",
        "x",
    ];
    put_all(&store, channel, &texts).await;
    for query in [
        "quick",
        "QUICK",
        "fox quick",
        "quick cat",
        "uic",
        "über",
        "STRASSE",
        "straße",
        "ПРИВЕТ",
        "ивет мир",
        "οδοσ",
        "ΟΔΟς",
        "会議",
        "会",
        "会議は十",
        "明日 十時",
        "会議 明後日",
        "100%",
        "%",
        "_",
        "a_b",
        "\\",
        "\\\\",
        "%of%",
        "[c]",
        "'d'",
        "\"e\"",
        "break",
        "line tab",
        "👍",
        "👍🏽",
        "i\u{307}stanbul",
        "İSTANBUL",
        "istanbul",
        "x",
        "X",
        "zzz",
        "a\u{0}b",
        "quick \u{0}",
        "x x x x x x x X",
    ] {
        let law = SearchQuery::new(query).expect("a query");
        let matches = (1..).zip(texts).filter(|(_, text)| law.matches(text)).map(|(seq, _)| seq);
        let expected: Vec<Seq> = matches.collect();
        assert_eq!(all(&store, channel, query, 50).await, expected, "{query:?}");
    }
}

/// A text is found in any composition, with and without its accents, in any width.
pub async fn what_people_see_the_same_is_found<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    let texts = ["Café", "Cafe\u{301}", "CAFE", "ｃａｆｅ", "c\u{200b}afe", "Straße", "cave", "की", "мой"];
    put_all(&store, channel, &texts).await;
    for query in ["cafe", "café", "CAFE\u{301}", "ＣＡＦＥ"] {
        assert_eq!(all(&store, channel, query, 50).await, [1, 2, 3, 4, 5], "{query:?}");
    }
    assert_eq!(all(&store, channel, "STRASSE", 50).await, [6]);
    assert_eq!(all(&store, channel, "कि", 50).await, [0; 0], "another vowel is another word");
    assert_eq!(all(&store, channel, "мои", 50).await, [0; 0], "й is a letter");
}

/// A message is searched in its current state: by its last text, and not at all once it is deleted.
pub async fn edits_count_and_deleted_messages_do_not<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    put_all(&store, channel, &["first apple", "second pear", "third apple", "apple apple"]).await;
    put(&store, edit(channel, &ann(), 1, "first plum")).await;
    put(&store, edit(channel, &ann(), 2, "second plum")).await;
    put(&store, edit(channel, &ann(), 2, "second APPLE")).await;
    put(&store, delete(channel, &ann(), 3)).await;
    put(&store, react(channel, &bob(), 4, "apple", true)).await;
    assert_eq!(all(&store, channel, "apple", 50).await, [2, 4]);
    assert_eq!(all(&store, channel, "plum", 50).await, [1]);
    assert!(all(&store, channel, "third", 50).await.is_empty());
    assert!(all(&store, channel, "pear", 50).await.is_empty());
}

/// A search in steps of any size finds each message once, and ends.
pub async fn steps_find_each_message_once<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    let texts: Vec<String> =
        (1..=30).map(|i| format!("{} {i}", if i % 3 == 0 { "fizz" } else { "say" })).collect();
    put_all(&store, channel, &texts.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let expected: Vec<Seq> = (1..=10).map(|i| i * 3).collect();
    for limit in [1, 2, 3, 9, 10, 11, 50] {
        assert_eq!(all(&store, channel, "fizz", limit).await, expected, "{limit} a step");
    }
    let found = find(&store, channel, "fizz", 12, 2).await;
    assert_eq!(
        found.messages.iter().map(|message| message.seq).collect::<Vec<_>>(),
        [6, 9],
        "the newest below"
    );
    assert!(find(&store, channel, "fizz", 1, 50).await.messages.is_empty());
    assert_eq!(find(&store, channel, "say 1", 2, 1).await.before, None, "nothing is left below the first");
}

/// One call searches a bounded part, and the next one goes on from there.
pub async fn a_long_log_is_searched_to_its_end<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    put(&store, say(channel, &ann(), "needle")).await;
    let hay = SEARCH_SCAN as u64 + 100;
    super::put_texts(&store, channel, 2..=hay).await;
    put(&store, say(channel, &ann(), "needle too")).await;
    assert_eq!(all(&store, channel, "needle", 50).await, [1, hay + 1]);
    assert_eq!(all(&store, channel, "needle", 1).await, [1, hay + 1]);
    assert!(all(&store, channel, "nothing", 50).await.is_empty());
}

/// Messages of other channels are not found. Nothing is found in a channel that does not exist, or in names of
/// files.
pub async fn only_texts_of_the_channel_are_found<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let (one, two) = (channel(&store, "one").await, channel(&store, "two").await);
    put(&store, say(one, &ann(), "apple")).await;
    put(&store, say(two, &ann(), "apple two")).await;
    let file = upload(&store, one, &ann(), "a_apple", UploadState::Ready).await;
    let mut only_file = attach(one, &ann(), "file", &[&file]);
    if let crate::model::append::AppendBody::Message { text, .. } = &mut only_file.body {
        *text = "".into();
    }
    put(&store, only_file).await;
    assert_eq!(messages(&store, one).await.len(), 2);
    assert_eq!(all(&store, one, "apple", 50).await, [1]);
    assert_eq!(all(&store, two, "apple", 50).await, [1]);
    assert!(all(&store, NOWHERE, "apple", 50).await.is_empty());
}
