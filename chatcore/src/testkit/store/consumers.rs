//! Laws of [`Consumers`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use super::{StoreFixture, ann, bob, channel, edit, head, name, put, put_texts, say, start};
use crate::model::append::{Append, AppendBody};
use crate::model::event::Event;
use crate::model::id::{ChannelId, ConsumerName, Position, Seq};
use crate::model::membership::{MemberOp, Role};
use crate::model::time::Timestamp;
use crate::store::{
    Check, Consumers, Directory, Durability, EventStore, Lease, News, NewsPage, PageLimit, Replay, StartAt,
    Store,
};

const HOUR: Duration = Duration::from_secs(3_600);
const ALL: PageLimit = PageLimit::items(1_000);

fn consumer(text: &str) -> ConsumerName {
    ConsumerName::new(text).expect("a valid name")
}

async fn create<S: Store>(store: &S, text: &str, start: StartAt) -> ConsumerName {
    let name = consumer(text);
    let is_there = store.create_consumer_within(&name, start, 9).await.expect("a consumer is created");
    assert!(is_there, "there is room for {name}");
    name
}

async fn take<S: Store>(store: &S, name: &ConsumerName, holder: u64, term: Duration) -> Option<Lease> {
    store.take_consumer(name, holder, term).await.expect("a lease can be taken")
}

async fn news<S: Store>(store: &S, name: &ConsumerName) -> Vec<News> {
    let NewsPage { news, more } = store.news(name, ChannelId(0), ALL).await.expect("news can be read");
    assert!(!more, "all fit on one page");
    news
}

async fn channels_with_news<S: Store>(store: &S, name: &ConsumerName) -> Vec<ChannelId> {
    news(store, name).await.iter().map(|news| news.channel.id).collect()
}

async fn advance<S: Store>(store: &S, lease: &Lease, positions: &[(ChannelId, Position)]) -> bool {
    store.advance(lease, positions).await.expect("positions can be moved")
}

/// Moves a consumer to the head of a channel.
async fn pass<S: Store>(store: &S, lease: &Lease, channel: ChannelId) {
    let head = head(store, channel).await.position();
    assert!(advance(store, lease, &[(channel, head)]).await, "the lease is the last one");
}

/// A consumer from the beginning has news of each channel that has an event, at the start of its log. One from the end has
/// news of later events alone. A channel that is created later is read from its first event by both.
pub async fn a_consumer_starts_at_the_beginning_or_at_the_end<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let (a, b) = (channel(&store, "a").await, channel(&store, "b").await);
    channel(&store, "empty").await;
    put_texts(&store, a, 1..=2).await;
    put_texts(&store, b, 1..=3).await;
    let all = create(&store, "all", StartAt::Beginning).await;
    let late = create(&store, "late", StartAt::End).await;
    let found = news(&store, &all).await;
    assert_eq!(found.iter().map(|news| news.channel.id).collect::<Vec<_>>(), [a, b]);
    for News { channel, position, .. } in found {
        let start = start(&store, channel.id).await.with_check(Some(Check::START));
        assert_eq!(position, start, "of {}", channel.name);
        let entry = store.channel(&channel.name).await.expect("the directory can be read");
        assert_eq!(entry, Some(channel), "the entry of the directory");
    }
    assert_eq!(news(&store, &late).await, []);

    put_texts(&store, b, 4..=4).await;
    let c = channel(&store, "c").await;
    put_texts(&store, c, 1..=1).await;
    assert_eq!(channels_with_news(&store, &all).await, [a, b, c]);
    let found = news(&store, &late).await;
    let places: Vec<_> = found.iter().map(|news| (news.channel.id, news.position.seq)).collect();
    assert_eq!(places, [(b, 3), (c, 0)]);
    for News { channel, position, .. } in found {
        let replay = store.after(channel.id, &position, ALL).await.expect("the log can be read");
        assert!(matches!(&replay, Replay::Events { events, .. } if events.len() == 1), "{replay:?}");
    }
}

/// Each event, of whatever kind, is news until the position is after it; then it is not, until the next one.
pub async fn every_event_is_news_until_it_is_passed<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let another = fixture.another(&store).await;
    let (a, b) = (channel(&store, "a").await, channel(&store, "b").await);
    let name = create(&store, "c", StartAt::Beginning).await;
    let lease = take(&store, &name, 1, HOUR).await.expect("nobody has it");
    assert_eq!(news(&store, &name).await, []);
    let join = AppendBody::Member { op: MemberOp::Added, user: bob(), role: Role::Member, most: 9 };
    let topic = AppendBody::Change { title: None, topic: Some("New".to_owned()), archived: None };
    let items = [
        say(a, &ann(), "one"),
        edit(a, &ann(), 1, "two"),
        Append::new(a, ann(), join),
        Append::new(a, ann(), topic),
    ];
    for item in items {
        put(&another, item).await;
        assert_eq!(channels_with_news(&store, &name).await, [a]);
        pass(&store, &lease, a).await;
        assert_eq!(channels_with_news(&another, &name).await, []);
    }
    put_texts(&store, a, 5..=7).await;
    put_texts(&another, b, 1..=1).await;
    let five = Position::new(head(&store, a).await.epoch, 5);
    assert!(advance(&store, &lease, &[(a, five.clone())]).await);
    let found = news(&another, &name).await;
    assert_eq!(found.iter().map(|news| news.channel.id).collect::<Vec<_>>(), [a, b]);
    assert_eq!(found[0].position, five, "it is kept as it was given");
    assert_eq!(found[0].channel.topic, "New");
    pass(&store, &lease, b).await;
    assert_eq!(channels_with_news(&store, &name).await, [a]);
    pass(&store, &lease, a).await;
    assert!(advance(&store, &lease, &[(a, five)]).await);
    assert_eq!(channels_with_news(&store, &name).await, [a], "a position that is set back has news again");
    assert!(store.append(vec![say(super::NOWHERE, &ann(), "x")]).await.remove(0).is_err());
    pass(&store, &lease, a).await;
    let nowhere = start(&store, a).await;
    assert!(advance(&store, &lease, &[(super::NOWHERE, nowhere)]).await, "it is passed over");
    assert_eq!(news(&store, &name).await, []);
}

/// A log that is trimmed beyond a position stays news, and the position gets a reset.
pub async fn a_log_that_is_trimmed_stays_news<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let a = channel(&store, "a").await;
    let name = create(&store, "c", StartAt::Beginning).await;
    put_texts(&store, a, 1..=5).await;
    store.prune(a, 3, Timestamp::now()).await.expect("the log is pruned");
    let found = news(&store, &name).await.remove(0);
    let replay = store.after(a, &found.position, ALL).await.expect("the log can be read");
    let head = head(&store, a).await;
    assert_eq!(replay, Replay::Reset(head.clone()));
    let lease = take(&store, &name, 1, HOUR).await.expect("nobody has it");
    assert!(advance(&store, &lease, &[(a, head.position())]).await);
    assert_eq!(news(&store, &name).await, []);
}

/// One holder has the lease until it ends it. The same holder gets another one at any time.
pub async fn a_lease_keeps_other_holders_out<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let another = fixture.another(&store).await;
    let name = create(&store, "c", StartAt::Beginning).await;
    let first = take(&store, &name, 1, HOUR).await.expect("nobody has it");
    assert_eq!(first.consumer, name);
    assert_eq!(take(&another, &name, 2, HOUR).await, None);
    let second = take(&another, &name, 1, HOUR).await.expect("the holder has it");
    assert!(second.generation > first.generation, "{second:?} after {first:?}");
    store.end_lease(&first).await.expect("it is over already");
    assert_eq!(take(&store, &name, 2, HOUR).await, None);
    assert!(store.renew_lease(&second, HOUR).await.expect("a lease can be renewed"));
    store.end_lease(&second).await.expect("it ends");
    let third = take(&store, &name, u64::MAX, HOUR).await.expect("nobody has it");
    assert!(third.generation > second.generation, "{third:?} after {second:?}");
    let other = create(&store, "d", StartAt::Beginning).await;
    assert!(take(&another, &other, 2, HOUR).await.is_some(), "each consumer has a lease of its own");
    assert!(store.take_consumer(&consumer("none"), 1, HOUR).await.is_err());
}

/// A holder whose lease has ended goes on, unless another one took over: then it can neither move positions nor extend or
/// end the lease.
pub async fn only_the_last_lease_moves_positions<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let another = fixture.another(&store).await;
    let a = channel(&store, "a").await;
    put_texts(&store, a, 1..=3).await;
    let name = create(&store, "c", StartAt::Beginning).await;
    let epoch = head(&store, a).await.epoch;
    let at = |seq| (a, Position::new(epoch.clone(), seq));
    let stalled = take(&store, &name, 1, Duration::ZERO).await.expect("nobody has it");
    assert!(advance(&store, &stalled, &[at(1)]).await, "nobody else took it");
    let holder = take(&another, &name, 2, HOUR).await.expect("the first lease has ended");
    assert!(!advance(&store, &stalled, &[at(3)]).await);
    assert!(!store.renew_lease(&stalled, HOUR).await.expect("an answer"));
    store.end_lease(&stalled).await.expect("nothing happens");
    assert_eq!(take(&store, &name, 3, HOUR).await, None, "the second lease goes on");
    assert_eq!(news(&store, &name).await[0].position.seq, 1);
    assert!(advance(&another, &holder, &[at(2)]).await);
    assert!(store.renew_lease(&holder, Duration::ZERO).await.expect("an answer"));
    assert!(another.renew_lease(&holder, HOUR).await.expect("an answer"), "nobody else took it");
    assert_eq!(take(&store, &name, 3, HOUR).await, None);
    assert_eq!(news(&store, &name).await[0].position.seq, 2);
}

/// There are no more consumers than there may be, however many are created at once, and each is created once.
pub async fn there_are_no_more_consumers_than_there_may_be<F: StoreFixture>(fixture: F) {
    let store = Arc::new(fixture.open().await);
    let another = Arc::new(fixture.another(&store).await);
    let create = |i: usize| {
        let store = Arc::clone([&store, &another][i % 2]);
        let name = consumer(&format!("c{}", i / 2));
        tokio::spawn(async move {
            let is_there = store.create_consumer_within(&name, StartAt::Beginning, 3).await;
            is_there.expect("an answer").then_some(name)
        })
    };
    let created = join_all((0..16).map(create)).await;
    let mut created: Vec<_> = created.into_iter().filter_map(|name| name.expect("no panic")).collect();
    created.sort();
    created.dedup();
    assert_eq!(created.len(), 3, "{created:?}");
    assert_eq!(store.consumers().await.expect("consumers can be read"), created);
    let there = store.create_consumer_within(&created[0], StartAt::End, 0).await;
    assert!(there.expect("an answer"), "there is one already");
}

/// A removed consumer has no news, and its lease moves nothing, not even those of a later consumer with its name.
pub async fn a_removed_consumer_is_gone<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let (a, kept) = (channel(&store, "a").await, create(&store, "kept", StartAt::Beginning).await);
    put_texts(&store, a, 1..=2).await;
    let name = create(&store, "c", StartAt::Beginning).await;
    let lease = take(&store, &name, 1, HOUR).await.expect("nobody has it");
    pass(&store, &lease, a).await;
    assert!(store.remove_consumer(&name).await.expect("it is removed"));
    assert!(!store.remove_consumer(&name).await.expect("there is none"));
    assert_eq!(store.consumers().await.expect("consumers can be read"), std::slice::from_ref(&kept));
    put_texts(&store, a, 3..=3).await;
    assert_eq!(news(&store, &name).await, []);
    assert!(!store.renew_lease(&lease, HOUR).await.expect("an answer"));
    create(&store, "c", StartAt::Beginning).await;
    let head = head(&store, a).await.position();
    assert!(!advance(&store, &lease, &[(a, head)]).await);
    assert_eq!(news(&store, &name).await[0].position.seq, 0, "it starts anew");
    let later = take(&store, &name, 2, HOUR).await.expect("nobody has it");
    assert!(later.generation > lease.generation, "{later:?} after {lease:?}");
    assert_eq!(channels_with_news(&store, &kept).await, [a]);
}

/// Pages of any bounds join to the whole, each within its bounds.
pub async fn pages_of_news_join_to_the_whole<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    for i in 0..7 {
        let channel = channel(&store, &format!("channel-{i}")).await;
        put_texts(&store, channel, 1..=1).await;
    }
    let name = create(&store, "c", StartAt::Beginning).await;
    let all = news(&store, &name).await;
    assert_eq!(all.len(), 7);
    let weight = all[0].weight();
    for limit in [
        PageLimit::items(1),
        PageLimit::items(3),
        PageLimit::items(7),
        PageLimit::new(9, 2 * weight),
        PageLimit::new(9, 1),
    ] {
        let (mut found, mut after, mut more) = (Vec::new(), ChannelId(0), true);
        while more {
            let page = store.news(&name, after, limit).await.expect("news can be read");
            let bytes: usize = page.news.iter().map(News::weight).sum();
            assert!(page.news.len() <= limit.items && (page.news.len() == 1 || bytes <= limit.bytes));
            after = page.news.last().expect("a page has an item").channel.id;
            more = page.more;
            found.extend(page.news);
        }
        assert_eq!(found, all, "{limit:?}");
    }
}

/// While many append on two handles, a consumer that was created in between reads each event once and in order.
pub async fn a_consumer_misses_nothing_while_many_append<F: StoreFixture>(fixture: F) {
    const WRITERS: u64 = 4;
    const EACH: u64 = 25;
    let store = Arc::new(fixture.open().await);
    let another = Arc::new(fixture.another(&store).await);
    let mut channels = Vec::new();
    for text in ["a", "b", "c"] {
        channels.push(channel(&*store, text).await);
    }
    let write = |writer: u64| {
        let store = Arc::clone([&store, &another][writer as usize % 2]);
        let channels = channels.clone();
        tokio::spawn(async move {
            for i in 0..EACH {
                // Two channels in one batch, in either order.
                let (one, other) = ((i + writer) as usize % 3, (i * 2 + writer + 1) as usize % 3);
                let text = |part: &str| format!("{writer} {i} {part}");
                let batch =
                    vec![say(channels[one], &ann(), &text("x")), say(channels[other], &ann(), &text("y"))];
                for answer in store.append(batch).await {
                    answer.expect("a message is taken");
                }
            }
        })
    };
    let writers: Vec<_> = (0..WRITERS).map(write).collect();
    let name = create(&*store, "c", StartAt::Beginning).await;
    let lease = take(&*store, &name, 1, HOUR).await.expect("nobody has it");
    let mut read: HashMap<ChannelId, Vec<Seq>> = HashMap::new();
    let mut is_last_look = false;
    loop {
        let found = news(&*another, &name).await;
        for News { channel, position, .. } in found {
            let replay = store.after(channel.id, &position, PageLimit::items(5)).await;
            let replay = replay.expect("the log can be read");
            let Replay::Events { events, .. } = replay else { panic!("{replay:?}") };
            let seqs = read.entry(channel.id).or_default();
            seqs.extend(events.iter().map(|event| event.seq));
            let to = events.last().map_or(position.clone(), |event| after(&position, event));
            assert!(advance(&*store, &lease, &[(channel.id, to)]).await);
        }
        let total: usize = read.values().map(Vec::len).sum();
        if total as u64 == WRITERS * EACH * 2 {
            break;
        }
        // Once all have ended, one more look finds all that is left.
        let are_done = writers.iter().all(tokio::task::JoinHandle::is_finished);
        let any = !news(&*store, &name).await.is_empty();
        assert!(any || !is_last_look, "{total} events were found");
        is_last_look = are_done && !any;
        tokio::task::yield_now().await;
    }
    for (channel, seqs) in read {
        let head = head(&*store, channel).await.seq;
        assert_eq!(seqs, (1..=head).collect::<Vec<_>>());
    }
    for writer in writers {
        writer.await.expect("no panic");
    }
    assert_eq!(news(&*store, &name).await, []);
}

fn after(position: &Position, event: &Event) -> Position {
    Position::new(position.epoch.clone(), event.seq).with_check(Some(Check::of(event)))
}

/// Closed and opened again, the store has its consumers, their positions and their news, and no lease gets a number again.
/// Stores without [`Durability::Disk`] pass, since they promise nothing.
pub async fn consumers_outlive_the_process<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    if store.durability() != Durability::Disk {
        return;
    }
    let (a, b) = (channel(&store, "a").await, channel(&store, "b").await);
    put_texts(&store, a, 1..=3).await;
    put_texts(&store, b, 1..=3).await;
    let (one, two) =
        (create(&store, "one", StartAt::Beginning).await, create(&store, "two", StartAt::End).await);
    let lease = take(&store, &one, 7, HOUR).await.expect("nobody has it");
    pass(&store, &lease, b).await;
    put_texts(&store, b, 4..=4).await;
    let before = (news(&store, &one).await, news(&store, &two).await);
    drop(store);

    let store = fixture.open().await;
    assert_eq!(store.consumers().await.expect("consumers can be read"), [one.clone(), two.clone()]);
    assert_eq!((news(&store, &one).await, news(&store, &two).await), before);
    let again = take(&store, &one, 7, HOUR).await.expect("the holder has it");
    assert!(again.generation > lease.generation, "{again:?} after {lease:?}");
    assert!(!advance(&store, &lease, &[]).await);
    assert_eq!(channels_with_news(&store, &two).await, [b]);
    put(&store, say(a, &ann(), "more")).await;
    assert_eq!(channels_with_news(&store, &two).await, [a, b]);
    assert!(name("a").is_same_as(&news(&store, &two).await[0].channel.name));
}
