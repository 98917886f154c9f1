//! Laws of [`PageLimit`]: a page ends before its bounds in number and in bytes, and the next page goes on.

use super::{
    StoreFixture, ann, attach, bob, channel, channels, delete, edit, events, log, messages, name, publish,
    put, react, start, upload,
};
use crate::model::id::{ChannelId, Position, Seq};
use crate::model::query::SearchQuery;
use crate::store::{ChannelInfo, Directory, EventStore, PageLimit, Replay, Store, UploadState};

/// The bytes of the largest text of [`varied`], with the widest characters of UTF-8.
const LARGE: usize = 9_000;

/// A channel with all kinds of messages: short, long, edited, deleted, with files and with reactions.
async fn varied<S: Store>(store: &S) -> ChannelId {
    let channel = channel(store, "general").await;
    for (n, text) in ["needle", "", "\u{1}\u{2} needle \"\\", "needle é 会議 👍🏽"].into_iter().enumerate()
    {
        put(store, publish(channel, &ann(), &format!("a{n}"), text)).await;
    }
    put(store, publish(channel, &bob(), "large", &format!("needle {}", "🙂".repeat(LARGE)))).await;
    let mut files = Vec::new();
    for n in 0..3 {
        files.push(upload(store, channel, &ann(), &format!("a_{n}"), UploadState::Ready).await);
    }
    put(store, attach(channel, &ann(), "needle with a file", &[&files[0]])).await;
    put(store, attach(channel, &ann(), "needles with files", &[&files[1], &files[2]])).await;
    for n in 0..4 {
        put(store, publish(channel, &ann(), &format!("b{n}"), "a needle as well")).await;
    }
    put(store, edit(channel, &ann(), 1, &format!("an edited needle {}", "x".repeat(700)))).await;
    put(store, edit(channel, &ann(), 3, "a needle")).await;
    put(store, delete(channel, &ann(), 8)).await;
    for user in [ann(), bob()] {
        for emoji in ["👍", "🎉"] {
            put(store, react(channel, &user, 9, emoji, true)).await;
        }
    }
    put(store, react(channel, &bob(), 10, "👍", true)).await;
    put(store, react(channel, &bob(), 10, "👍", false)).await;
    channel
}

/// For items of these weights, returns bounds in bytes at each item's end and one less, and the number of items
/// that fit.
fn bounds(weights: &[usize]) -> Vec<(usize, usize)> {
    let mut bounds = vec![(0, weights.len().min(1)), (usize::MAX, weights.len())];
    let mut sum = 0;
    for (before, weight) in weights.iter().enumerate() {
        sum += weight;
        bounds.push((sum, before + 1));
        bounds.push((sum - 1, before.max(1)));
    }
    bounds
}

/// A page of messages has the newest ones that fit into its bytes, and says whether there are older ones.
pub async fn a_page_of_messages_ends_at_its_bytes<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = varied(&store).await;
    let all = messages(&store, channel).await;
    let weights: Vec<usize> = all.iter().rev().map(|message| message.weight()).collect();
    for (bytes, count) in bounds(&weights) {
        let limit = PageLimit::new(99, bytes);
        let page = store.messages_before(channel, Seq::MAX, limit).await.expect("messages can be read");
        assert_eq!(page.messages, all[all.len() - count..], "the newest in {bytes} bytes");
        assert_eq!(page.more, count < all.len(), "more than {count}");
        let fewer = PageLimit::new(3, bytes);
        let page = store.messages_before(channel, Seq::MAX, fewer).await.expect("messages can be read");
        assert_eq!(page.messages.len(), count.min(3), "3 in {bytes} bytes");
        assert!(page.more, "more than 3");
    }
}

/// A page of messages after a `seq` has the oldest ones that fit into its bytes, and says whether there are newer ones.
pub async fn a_page_of_later_messages_ends_at_its_bytes<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = varied(&store).await;
    let all = messages(&store, channel).await;
    for skipped in [0, 1, 4, all.len() - 1, all.len()] {
        let after = skipped.checked_sub(1).map_or(0, |last| all[last].seq);
        let later = &all[skipped..];
        let weights: Vec<usize> = later.iter().map(|message| message.weight()).collect();
        for (bytes, count) in bounds(&weights) {
            for items in [99, 3] {
                let (limit, count) = (PageLimit::new(items, bytes), count.min(items));
                let page = store.messages_after(channel, after, limit).await.expect("messages can be read");
                assert_eq!(page.messages, later[..count], "{items} after {after} in {bytes} bytes");
                assert_eq!(page.more, count < later.len(), "more than {count} after {after}");
            }
        }
    }
}

/// A page of events has the first ones that fit into its bytes, and says whether the log goes on.
pub async fn a_page_of_events_ends_at_its_bytes<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = varied(&store).await;
    let all = log(&store, channel).await;
    let weights: Vec<usize> = all.iter().map(|event| event.weight()).collect();
    let from = start(&store, channel).await;
    for (bytes, count) in bounds(&weights) {
        for items in [99, 3] {
            let limit = PageLimit::new(items, bytes);
            let count = count.min(items);
            let expected = Replay::Events { events: all[..count].to_vec(), more: count < all.len() };
            let page = store.after(channel, &from, limit).await.expect("the log can be read");
            assert_eq!(page, expected, "{items} in {bytes} bytes");
        }
    }
    let end = Position { seq: all.len() as Seq, ..from };
    for limit in [PageLimit::new(0, 0), PageLimit::new(9, 0), PageLimit::items(9)] {
        let none = store.after(channel, &end, limit).await.expect("the log can be read");
        assert_eq!(none, Replay::Events { events: Vec::new(), more: false }, "at the head");
    }
}

/// A page of channels has the first ones that fit into its bytes, and says whether others follow.
pub async fn a_page_of_channels_ends_at_its_bytes<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    for (text, topic) in
        [("a", ""), ("é", "\"topic\""), ("b-c", &*"会".repeat(250)), ("b.c", "x"), ("zz", "")]
    {
        store.create_channel(&name(text), topic, &bob()).await.expect("creates a channel");
    }
    let all = channels(&store).await;
    assert_eq!(store.channel_count().await.expect("channels can be counted"), all.len());
    let weights: Vec<usize> = all.iter().map(ChannelInfo::weight).collect();
    for (bytes, count) in bounds(&weights) {
        for items in [99, 2, 0] {
            let limit = PageLimit::new(items, bytes);
            let count = count.min(items);
            let page = store.channels(None, limit).await.expect("the directory can be read");
            assert_eq!(page.channels, all[..count], "{items} in {bytes} bytes");
            assert_eq!(page.more, count < all.len(), "more than {items} in {bytes} bytes");
        }
    }
    for (after, from) in
        [("0", 0), ("a", 1), ("aa", 1), ("b-c", 2), ("zy", 3), ("zz", 4), ("é", 5), ("会", 5)]
    {
        let page = store.channels(Some(&name(after)), PageLimit::items(99)).await;
        let page = page.expect("the directory can be read");
        assert_eq!(page.channels, all[from..], "after {after}");
        assert!(!page.more, "after all that come after {after}");
    }
    if !store.shared() && store.newest_channel().await.expect("the directory can be read").is_none() {
        // It lists no channels by their ids.
        return;
    }
    let (mut all, zero) = (all, ChannelId(0));
    all.sort_by_key(|info| info.id);
    let weights: Vec<usize> = all.iter().map(ChannelInfo::weight).collect();
    for (bytes, count) in bounds(&weights) {
        for items in [99, 2, 0] {
            let limit = PageLimit::new(items, bytes);
            let count = count.min(items);
            let page = store.channels_after(zero, limit).await.expect("the directory can be read");
            assert_eq!(page.channels, all[..count], "{items} by id in {bytes} bytes");
            assert_eq!(page.more, count < all.len(), "more than {items} by id in {bytes} bytes");
        }
    }
}

/// The results of a search fit into its bytes, and the rest is found from where it ends.
pub async fn a_search_ends_at_its_bytes<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = varied(&store).await;
    let query = SearchQuery::new("needle").expect("a query");
    let all = messages(&store, channel).await;
    let all: Vec<_> = all.into_iter().filter(|m| !m.deleted && query.matches(&m.text)).collect();
    assert!(all.len() > 6, "{all:?}");
    let weights: Vec<usize> = all.iter().rev().map(|message| message.weight()).collect();
    for (bytes, count) in bounds(&weights) {
        let limit = PageLimit::new(99, bytes);
        let found = store.search(channel, &query, Seq::MAX, limit).await.expect("messages can be searched");
        assert_eq!(found.messages, all[all.len() - count..], "the newest in {bytes} bytes");
        assert!(found.before.is_some() || count == all.len(), "a search of {bytes} bytes goes on");
        let (mut joined, mut before) = (found.messages, found.before);
        while let Some(next) = before {
            let step = store.search(channel, &query, next, limit).await.expect("messages can be searched");
            assert!(step.before.is_none_or(|before| before < next), "a search goes on below {next}");
            before = step.before;
            joined.splice(0..0, step.messages);
        }
        assert_eq!(joined, all, "in steps of {bytes} bytes");
    }
}

/// Pages of any bytes, each from the end of the last one, return everything once and in order.
pub async fn pages_of_any_bytes_join_to_the_whole<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let general = varied(&store).await;
    for n in 0..5 {
        channel(&store, &format!("c{n}")).await;
    }
    let (shown, logged, listed) =
        (messages(&store, general).await, log(&store, general).await, channels(&store).await);
    let from = start(&store, general).await;
    for bytes in [0, 1, 299, 300, 1_000, 5_000, 40_000, usize::MAX] {
        let limit = PageLimit::new(4, bytes);
        let (mut joined, mut before, mut more) = (Vec::new(), Seq::MAX, true);
        while more {
            let page = store.messages_before(general, before, limit).await.expect("messages can be read");
            before = page.messages.first().expect("a page of at least one").seq;
            joined.splice(0..0, page.messages);
            more = page.more;
        }
        assert_eq!(joined, shown, "messages in pages of {bytes} bytes");

        let (mut joined, mut after, mut more) = (Vec::new(), 0, true);
        while more {
            let page = store.messages_after(general, after, limit).await.expect("messages can be read");
            after = page.messages.last().expect("a page of at least one").seq;
            joined.extend(page.messages);
            more = page.more;
        }
        assert_eq!(joined, shown, "messages in pages of {bytes} bytes, from the oldest on");

        let (mut joined, mut position) = (Vec::new(), from.clone());
        loop {
            let page = store.after(general, &position, limit).await.expect("the log can be read");
            let Replay::Events { events, more } = page else { panic!("{position:?} was reset") };
            position.seq = events.last().expect("a page of at least one").seq;
            joined.extend(events);
            if !more {
                break;
            }
        }
        assert_eq!(joined, logged, "events in pages of {bytes} bytes");
        assert!(events(&store, general, &position, 1).await.is_empty(), "after the last one there is none");

        let (mut joined, mut more) = (Vec::<ChannelInfo>::new(), true);
        while more {
            let after = joined.last().map(|info| info.name.clone());
            let page = store.channels(after.as_ref(), limit).await.expect("the directory can be read");
            assert!(!page.channels.is_empty(), "a page of at least one");
            joined.extend(page.channels);
            more = page.more;
        }
        assert_eq!(joined, listed, "channels in pages of {bytes} bytes");
    }
}
