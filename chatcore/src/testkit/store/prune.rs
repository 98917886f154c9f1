//! Laws of [`EventStore::prune`]: pruned events are gone, and a read says so.

use std::time::Duration;

use super::replay::assert_reset;
use super::{
    StoreFixture, add, ann, answer, assert_no_message, attach, bob, channel, delete, edit, events, head, log,
    message, messages, publish, put, put_texts, react, say, start, state, upload,
};
use crate::model::id::{Position, Seq};
use crate::model::time::Timestamp;
use crate::store::{Appended, Directory, EventStore, Head, PageLimit, Unread, UploadState};

const DAY: Duration = Duration::from_secs(24 * 3_600);

async fn prune<S: EventStore>(store: &S, channel: crate::model::id::ChannelId, through: Seq) {
    store.prune(channel, through, Timestamp::now()).await.expect("the log is pruned");
}

fn a_day_after(moment: Timestamp, millis: i64) -> Timestamp {
    Timestamp::from_millis(moment.as_millis() + DAY.as_millis() as i64 + millis)
}

/// A position before the trimmed end is reset. From there on the log reads as before.
pub async fn a_trimmed_position_resets<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let other = fixture.another(&store).await;
    let channel = channel(&store, "general").await;
    put_texts(&store, channel, 1..=10).await;
    let whole = log(&store, channel).await;
    prune(&store, channel, 4).await;
    for handle in [&store, &other] {
        let head_now = head(handle, channel).await;
        assert_eq!(head_now.seq, 10);
        for seq in 0..10 {
            let position = Position::new(head_now.epoch.clone(), seq);
            if seq < 4 {
                assert_reset(handle, channel, &position, &head_now).await;
            } else {
                assert_eq!(
                    events(handle, channel, &position, 99).await,
                    whole[seq as usize..],
                    "after {seq}"
                );
            }
        }
    }
}

/// After a prune, pages and unread counts have exactly what is kept.
pub async fn messages_and_unread_count_what_is_kept<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    put_texts(&store, channel, 1..=6).await;
    put(&store, edit(channel, &ann(), 5, "edited")).await;
    put(&store, react(channel, &ann(), 2, "👍", true)).await;
    put(&store, say(channel, &ann(), "nine")).await;
    let cid = || crate::model::message::User::new("u_cid", "Cid").expect("a user");
    store.mark_read(&cid().id, channel, 2).await.expect("a marker moves");
    store.mark_read(&bob().id, channel, 5).await.expect("a marker moves");
    prune(&store, channel, 3).await;
    let seqs: Vec<_> = messages(&store, channel).await.iter().map(|m| m.seq).collect();
    assert_eq!(seqs, [4, 5, 6, 9]);
    assert_eq!(message(&store, channel, 5).await.text, "edited");
    assert_eq!(store.message(channel, 3).await.expect("a message can be read"), None);
    for (before, limit, count, more) in [(Seq::MAX, 4, 4, false), (Seq::MAX, 3, 3, true), (4, 5, 0, false)] {
        let page = store
            .messages_before(channel, before, PageLimit::items(limit))
            .await
            .expect("messages can be read");
        assert_eq!((page.messages.len(), page.more), (count, more), "the newest {limit} before {before}");
    }
    let after = async |after, limit| {
        let page = store.messages_after(channel, after, PageLimit::items(limit)).await;
        let page = page.expect("messages can be read");
        (page.messages.iter().map(|message| message.seq).collect::<Vec<_>>(), page.more)
    };
    assert_eq!(after(0, 3).await, (vec![4, 5, 6], true));
    assert_eq!(after(3, 4).await, (vec![4, 5, 6, 9], false));
    let unread = async |user: crate::model::message::User| {
        store.unread(&user.id, &[channel]).await.expect("markers can be read").remove(0)
    };
    assert_eq!(unread(cid()).await, Unread::new(2, 4, 9));
    assert_eq!(unread(bob()).await, Unread::new(5, 2, 9));
    put(&store, say(channel, &ann(), "ten")).await;
    assert_eq!(unread(bob()).await, Unread::new(5, 3, 10));
    prune(&store, channel, 10).await;
    assert_eq!(unread(cid()).await, Unread::new(2, 0, 10));
    put(&store, say(channel, &ann(), "eleven")).await;
    assert_eq!(unread(bob()).await, Unread::new(5, 1, 11));
}

/// A pruned message can't be edited, deleted, reacted to or replied to.
pub async fn a_pruned_message_can_not_be_changed_or_answered<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    put_texts(&store, channel, 1..=3).await;
    put(&store, edit(channel, &ann(), 1, "edited")).await;
    put(&store, edit(channel, &ann(), 3, "edited")).await;
    prune(&store, channel, 2).await;
    assert_no_message(&add(&store, edit(channel, &ann(), 1, "x")).await);
    assert_no_message(&add(&store, delete(channel, &ann(), 2)).await);
    assert_no_message(&add(&store, react(channel, &ann(), 2, "👍", true)).await);
    assert_no_message(&add(&store, answer(channel, &ann(), "x", 2)).await);
    assert_eq!(put(&store, delete(channel, &ann(), 3)).await.seq, 6);
    assert!(message(&store, channel, 3).await.deleted);
}

/// A completely pruned log continues its count.
pub async fn pruning_everything_keeps_the_count<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    put_texts(&store, channel, 1..=3).await;
    let before = head(&store, channel).await;
    prune(&store, channel, 3).await;
    let pruned = Head { check: None, ..before.clone() };
    assert_eq!(head(&store, channel).await, pruned);
    assert!(messages(&store, channel).await.is_empty());
    assert_reset(&store, channel, &Position { seq: 2, ..start(&store, channel).await }, &pruned).await;
    // Whether it is the event that was seen can no longer be told.
    assert_reset(&store, channel, &before.position(), &pruned).await;
    let end = Position::new(before.epoch, 3);
    assert!(events(&store, channel, &end, 10).await.is_empty());
    let next = put(&store, say(channel, &ann(), "four")).await;
    assert_eq!((next.seq, next.epoch), (4, end.epoch.clone()));
    assert_eq!(events(&store, channel, &end, 10).await.len(), 1);
}

/// Pruning past the head removes everything, but no later event.
pub async fn pruning_past_the_head_stops_at_the_head<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    prune(&store, channel, 5).await;
    put_texts(&store, channel, 1..=2).await;
    assert_eq!(log(&store, channel).await.len(), 2);
    prune(&store, channel, Seq::MAX).await;
    assert_eq!(head(&store, channel).await.seq, 2);
    put_texts(&store, channel, 3..=4).await;
    let end = Position { seq: 2, ..start(&store, channel).await };
    let seqs: Vec<_> = events(&store, channel, &end, 10).await.iter().map(|e| e.seq).collect();
    assert_eq!(seqs, [3, 4]);
    assert_eq!(messages(&store, channel).await.len(), 2);
}

/// Pruning no further than the last prune changes nothing.
pub async fn pruning_less_than_before_changes_nothing<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    put_texts(&store, channel, 1..=5).await;
    prune(&store, channel, 3).await;
    for through in [0, 2, 3] {
        prune(&store, channel, through).await;
        let head_now = head(&store, channel).await;
        let trimmed = Position::new(head_now.epoch.clone(), 2);
        assert_reset(&store, channel, &trimmed, &head_now).await;
        assert_eq!(messages(&store, channel).await.len(), 2);
    }
}

/// Pruning one channel leaves the others as they are.
pub async fn pruning_one_channel_leaves_others<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let mut channels = Vec::new();
    for text in ["a", "b", "c"] {
        channels.push(channel(&store, text).await);
        put_texts(&store, channels[channels.len() - 1], 1..=4).await;
    }
    prune(&store, channels[1], 4).await;
    for id in [channels[0], channels[2]] {
        assert_eq!(log(&store, id).await.len(), 4);
        assert_eq!(messages(&store, id).await.len(), 4);
        assert!(put(&store, say(id, &ann(), "1")).await.duplicate);
    }
}

/// The files of pruned messages are discarded; those of kept ones stay.
pub async fn pruned_attachments_are_discarded<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    let mut files = Vec::new();
    for i in 0..4 {
        files.push(upload(&store, channel, &ann(), &format!("a_{i}"), UploadState::Ready).await);
    }
    put(&store, attach(channel, &ann(), "one", &[&files[0], &files[1]])).await;
    put(&store, attach(channel, &ann(), "two", &[&files[2]])).await;
    prune(&store, channel, 1).await;
    assert_eq!(state(&store, &files[0]).await, Some(UploadState::Discarded));
    assert_eq!(state(&store, &files[1]).await, Some(UploadState::Discarded));
    assert_eq!(state(&store, &files[2]).await, Some(UploadState::Attached(2)));
    assert_eq!(state(&store, &files[3]).await, Some(UploadState::Ready));
    let reclaimable = store_reclaimable(&store).await;
    assert!(reclaimable.contains(&files[0].attachment.id) && !reclaimable.contains(&files[2].attachment.id));
}

async fn store_reclaimable<S: crate::store::AttachmentIndex>(
    store: &S,
) -> Vec<crate::model::id::AttachmentId> {
    store.reclaimable(Timestamp::from_millis(0), 10).await.expect("uploads can be read")
}

/// A pruned message's nonce is kept until it is 24 hours old, and free again after that.
pub async fn pruned_nonces_last_a_day<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    let repeat = async |key: &str| put(&store, publish(channel, &ann(), key, "again")).await;
    let first = put(&store, say(channel, &ann(), "n")).await;
    let last = put(&store, say(channel, &ann(), "m")).await;
    store.prune(channel, 2, a_day_after(first.at, -1)).await.expect("the log is pruned");
    let same = |a: &Appended, b: &Appended| (a.seq, a.at, a.duplicate) == (b.seq, b.at, true);
    let again = repeat("n").await;
    assert!(same(&again, &first), "{again:?} is not a duplicate of {first:?}");
    // The same prune a day later has no events to remove, and removes the nonces.
    store.prune(channel, 2, a_day_after(last.at, 1)).await.expect("the log is pruned");
    let fresh = repeat("n").await;
    assert_eq!((fresh.seq, fresh.duplicate), (3, false));
    let fresh = repeat("m").await;
    assert_eq!((fresh.seq, fresh.duplicate), (4, false));
    // A prune after they have expired removes them at once.
    store.prune(channel, 4, a_day_after(fresh.at, 1)).await.expect("the log is pruned");
    assert_eq!(repeat("m").await.seq, 5);
    assert!(repeat("m").await.duplicate);
}

/// A log of thousands of events is pruned completely, including nonces, in any steps.
pub async fn a_long_log_is_pruned_whole<F: StoreFixture>(fixture: F) {
    const LAST: u64 = 2_300;
    const THROUGH: u64 = 2_200;
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    for start in (1..=LAST).step_by(100) {
        put_texts(&store, channel, start..=start + 99).await;
    }
    let seqs = async || messages(&store, channel).await.into_iter().map(|m| m.seq).collect::<Vec<_>>();
    let newest = message(&store, channel, LAST).await.at;
    let oldest = message(&store, channel, 1).await.at;
    store.prune(channel, THROUGH, oldest).await.expect("the log is pruned");
    assert!(seqs().await.into_iter().eq(THROUGH + 1..=LAST), "what is kept is not what comes after");
    for old in [1, 1_001, THROUGH] {
        assert!(put(&store, say(channel, &ann(), &old.to_string())).await.duplicate, "{old} is a duplicate");
    }
    store.prune(channel, THROUGH, a_day_after(newest, 1)).await.expect("the nonces are dropped");
    for (old, seq) in [1, 1_001, THROUGH].into_iter().zip(LAST + 1..) {
        let fresh = put(&store, say(channel, &ann(), &old.to_string())).await;
        assert_eq!((fresh.seq, fresh.duplicate), (seq, false), "{old} is new");
    }
    assert!(put(&store, say(channel, &ann(), &LAST.to_string())).await.duplicate, "a kept nonce is kept");
}

/// A message that is kept keeps its nonce, however old it is.
pub async fn kept_messages_keep_their_old_nonces<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    put_texts(&store, channel, 1..=3).await;
    let last = put(&store, delete(channel, &ann(), 3)).await;
    store.prune(channel, 1, a_day_after(last.at, 1_000)).await.expect("the log is pruned");
    for seq in [2, 3] {
        let again = put(&store, say(channel, &ann(), &seq.to_string())).await;
        assert_eq!((again.seq, again.duplicate), (seq, true));
    }
    assert!(!put(&store, say(channel, &ann(), "1")).await.duplicate);
}
