//! Laws of [`EventStore::after`]: every event after a position, or an explicit reset.

use super::{
    NOWHERE, StoreFixture, ann, bob, channel, delete, edit, events, head, log, put, put_texts, react, say,
    start,
};
use crate::model::check::Check;
use crate::model::id::{Epoch, Position, Seq};
use crate::store::{EventStore, Head, PageLimit, Replay};

/// Pages of any size, each from the end of the last one, return every event once and in order.
pub async fn after_pages_through_the_log_in_order<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let (here, there) = (channel(&store, "here").await, channel(&store, "there").await);
    put_texts(&store, there, 1..=3).await;
    put_texts(&store, here, 1..=7).await;
    put(&store, edit(here, &ann(), 2, "two, edited")).await;
    put(&store, react(here, &bob(), 3, "👍", true)).await;
    put(&store, delete(here, &ann(), 4)).await;
    put_texts(&store, there, 4..=5).await;
    let whole = log(&store, here).await;
    assert_eq!(whole.len(), 10);
    for size in [1, 3, 9, 10, 11, usize::MAX] {
        let mut position = start(&store, here).await;
        let mut paged = Vec::new();
        loop {
            let page = events(&store, here, &position, size).await;
            assert!(page.len() <= size, "a page of {size} has {} events", page.len());
            let Some(last) = page.last() else { break };
            position.seq = last.seq;
            paged.extend(page);
        }
        assert_eq!(paged, whole, "in pages of {size}");
    }
    assert!(events(&store, here, &start(&store, here).await, 0).await.is_empty());
}

/// Many positions are answered in their order, each as `after` answers it, also if a channel is asked twice. A channel
/// that does not exist has no answer.
pub async fn after_many_answers_each_position_in_order<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let (here, there, empty) =
        (channel(&store, "here").await, channel(&store, "there").await, channel(&store, "empty").await);
    put_texts(&store, here, 1..=5).await;
    put_texts(&store, there, 6..=8).await;
    put(&store, delete(there, &ann(), 2)).await;
    let at = async |id, seq| Position { seq, ..start(&store, id).await };
    let positions = [
        (there, at(there, 1).await),
        (NOWHERE, at(here, 0).await),
        (here, at(here, 0).await),
        (empty, at(empty, 0).await),
        (here, at(here, 9).await),
        (here, at(here, 5).await),
        (there, at(here, 1).await),
        (here, at(here, 2).await.with_check(Some(Check::START))),
        (there, at(there, 1).await),
    ];
    for limit in [PageLimit::items(2), PageLimit::items(9), PageLimit::new(9, 1), PageLimit::items(0)] {
        let replays = store.after_many(&positions, limit).await.expect("the logs can be read");
        let mut each = Vec::new();
        for (id, position) in &positions {
            let exists = *id != NOWHERE;
            each.push(match exists {
                true => Some(store.after(*id, position, limit).await.expect("the log can be read")),
                false => None,
            });
        }
        assert_eq!(replays, each, "{limit:?}");
    }
    assert_eq!(store.after_many(&[], PageLimit::items(9)).await.expect("nothing to read"), []);
}

/// At the head there are no events, and no reset.
pub async fn at_the_head_there_is_nothing_more<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    put_texts(&store, channel, 1..=3).await;
    let epoch = start(&store, channel).await.epoch;
    assert!(events(&store, channel, &Position::new(epoch.clone(), 3), 10).await.is_empty());
    assert_eq!(events(&store, channel, &Position::new(epoch.clone(), 2), 10).await.len(), 1);
    put(&store, say(channel, &ann(), "four")).await;
    assert_eq!(events(&store, channel, &Position::new(epoch, 3), 10).await[0].seq, 4);
}

/// A new channel's log has a start, and nothing after it.
pub async fn an_empty_log_has_nothing_after_its_start<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    assert!(events(&store, channel, &start(&store, channel).await, 10).await.is_empty());
}

/// A position past the head is not valid: it is reset, with the current head.
pub async fn a_position_beyond_the_head_resets<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    let head_now = head(&store, channel).await;
    for seq in [1, Seq::MAX] {
        let position = Position::new(head_now.epoch.clone(), seq);
        assert_reset(&store, channel, &position, &head_now).await;
    }
    put_texts(&store, channel, 1..=3).await;
    let head_now = head(&store, channel).await;
    for seq in [4, 5, i64::MAX as u64, i64::MAX as u64 + 1, Seq::MAX] {
        let position = Position::new(head_now.epoch.clone(), seq);
        assert_reset(&store, channel, &position, &head_now).await;
    }
}

/// A position of another epoch is reset, whatever its `seq`.
pub async fn a_foreign_epoch_resets<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    put_texts(&store, channel, 1..=3).await;
    let head_now = head(&store, channel).await;
    for seq in [0, 2, 3, 4] {
        let position = Position::new(Epoch::random(), seq);
        assert_reset(&store, channel, &position, &head_now).await;
    }
}

/// A position is only valid with the check of its event. The check of an event of another log at the same `seq`,
/// or of no event, is reset. Edits and deletes change no check.
pub async fn a_position_with_another_check_resets<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let (here, there) = (channel(&store, "here").await, channel(&store, "there").await);
    let empty = head(&store, here).await;
    assert_eq!(empty.check, Some(Check::START));
    assert!(events(&store, here, &empty.position(), 10).await.is_empty());
    put_texts(&store, here, 1..=3).await;
    put_texts(&store, there, 4..=9).await;
    put(&store, edit(here, &ann(), 2, "two, edited")).await;
    put(&store, react(here, &bob(), 3, "👍", true)).await;
    let before = log(&store, here).await;
    put(&store, delete(here, &ann(), 2)).await;
    let (now, other) = (log(&store, here).await, log(&store, there).await);
    for (event, then) in now.iter().zip(&before) {
        assert_eq!(Check::of(event), Check::of(then), "a delete changes no check");
    }
    let head_now = head(&store, here).await;
    assert_eq!(head_now.check, now.last().map(Check::of));
    for event in &now {
        let position = Position::new(head_now.epoch.clone(), event.seq);
        let mine = position.clone().with_check(Some(Check::of(event)));
        assert_eq!(events(&store, here, &mine, 10).await.len() as Seq, head_now.seq - event.seq);
        let foreign = [other[event.seq as usize - 1].clone(), now[event.seq as usize % now.len()].clone()];
        for check in foreign.iter().map(Check::of).chain([Check::START]) {
            assert_reset(&store, here, &position.clone().with_check(Some(check)), &head_now).await;
        }
    }
    let start = Position::new(head_now.epoch.clone(), 0);
    assert_eq!(events(&store, here, &start.clone().with_check(Some(Check::START)), 10).await, now);
    assert_reset(&store, here, &start.with_check(Some(Check::of(&now[0]))), &head_now).await;
}

/// The log of a channel that does not exist can't be read.
pub async fn an_unknown_channel_is_an_error<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let position = Position::new(Epoch::random(), 0);
    let outcome = store.after(NOWHERE, &position, PageLimit::items(10)).await;
    assert!(outcome.is_err(), "{outcome:?}");
}

pub(super) async fn assert_reset<S: EventStore>(
    store: &S,
    channel: crate::model::id::ChannelId,
    position: &Position,
    expected: &Head,
) {
    match store.after(channel, position, PageLimit::items(10)).await.expect("the log can be read") {
        Replay::Reset(head) => assert_eq!(head, *expected),
        Replay::Events { events, .. } => {
            panic!("{position:?} gave {events:?} where the head is {expected:?}")
        }
    }
}
