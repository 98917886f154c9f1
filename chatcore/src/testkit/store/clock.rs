//! Laws of a store with a given clock. [`store_conformance!`](crate::store_conformance) can't make tests of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::{ann, channel, edit, log, message, put, react, say};
use crate::model::time::{Clock, Timestamp};
use crate::store::Store;

/// A clock that a test sets, in milliseconds since 1970.
#[derive(Clone, Debug, Default)]
pub struct HandSet(Arc<AtomicI64>);

impl HandSet {
    /// Sets the clock.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.as_millis(), Ordering::SeqCst);
    }

    /// Returns the clock for a store.
    #[must_use]
    pub fn clock(&self) -> Clock {
        let millis = Arc::clone(&self.0);
        Clock::new(move || Timestamp::from_millis(millis.load(Ordering::SeqCst)))
    }
}

/// A clock that is set back by up to a minute does not set the log's time back. A clock that was once further
/// ahead does not stop the log. `set` sets the store's clock.
pub async fn a_clock_that_was_wrong_once_stops_no_channel<S: Store>(store: S, set: impl AsyncFn(Timestamp)) {
    let at = |seconds: i64| Timestamp::from_millis(1_700_000_000_000 + seconds * 1_000);
    set(at(0)).await;
    let channel = channel(&store, "general").await;
    let said = async |text: &str| put(&store, say(channel, &ann(), text)).await.at;
    assert_eq!(said("right").await, at(0));
    set(at(60)).await;
    assert_eq!(said("a minute ahead").await, at(60));
    set(at(0)).await;
    assert_eq!(said("back by a minute").await, at(60), "the time does not go back");
    set(at(3_600)).await;
    assert_eq!(said("an hour ahead").await, at(3_600));
    set(at(1)).await;
    assert_eq!(said("right again").await, at(1), "the time goes on from the clock");
    set(at(2)).await;
    // A store may append a plain message and any other event in different ways.
    put(&store, react(channel, &ann(), 1, "👍", true)).await;
    set(at(90_000)).await;
    assert_eq!(put(&store, edit(channel, &ann(), 1, "a day ahead")).await.at, at(90_000));
    set(at(3)).await;
    assert_eq!(put(&store, edit(channel, &ann(), 1, "and back")).await.at, at(3));
    assert_eq!(message(&store, channel, 1).await.edited_at, Some(at(3)));
    let times: Vec<_> = log(&store, channel).await.iter().map(|event| event.at).collect();
    assert_eq!(times, [at(0), at(60), at(60), at(3_600), at(1), at(2), at(90_000), at(3)]);
}

/// The nonce of a message that a wrong clock dated in the future is free a day after the clock is right again. So
/// are the nonces of later messages.
pub async fn a_nonce_from_a_wrong_clock_lasts_a_day<S: Store>(store: S, set: impl AsyncFn(Timestamp)) {
    let at = |seconds: i64| Timestamp::from_millis(1_700_000_000_000 + seconds * 1_000);
    let (day, decade) = (86_400, 315_360_000);
    let channel = channel(&store, "general").await;
    let prune = async |through, now| store.prune(channel, through, now).await.expect("the log is pruned");
    set(at(decade)).await;
    let first = put(&store, say(channel, &ann(), "pruned ahead")).await;
    prune(1, at(decade)).await;
    put(&store, say(channel, &ann(), "pruned later")).await;
    set(at(0)).await;
    put(&store, say(channel, &ann(), "right")).await;
    prune(3, at(0)).await;
    prune(3, at(day - 1)).await;
    let again = put(&store, say(channel, &ann(), "pruned ahead")).await;
    assert_eq!((again.seq, again.duplicate), (first.seq, true));
    prune(3, at(day)).await;
    for (text, seq) in ["pruned ahead", "pruned later", "right"].into_iter().zip(4..) {
        let fresh = put(&store, say(channel, &ann(), text)).await;
        assert_eq!((fresh.seq, fresh.duplicate), (seq, false), "{text}");
    }
}
