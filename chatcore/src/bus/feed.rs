//! What a bus has received, for its subscribers in this process.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::Notify;

use crate::bus::BusEvent;

/// Hands what a bus receives to its subscribers in this process.
///
/// An adapter feeds it with what comes from its connection, and answers [`Bus::subscribe`](crate::bus::Bus::subscribe)
/// by [`subscribe`](Self::subscribe). Feeding never waits. An event is kept until every subscriber has read it, and
/// memory is bounded: if too much waits, the oldest events are dropped, and a subscriber that has not read them gets
/// [`BusEvent::Disrupted`] and then [`BusEvent::Restored`].
///
/// ```
/// use bytes::Bytes;
/// use chatcore::bus::{BusEvent, Feed};
/// use futures::StreamExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let feed = Feed::with_capacity(2, 1_024);
/// let mut slow = feed.subscribe();
/// for text in ["one", "two", "three"] {
///     feed.message(0, Bytes::from_static(text.as_bytes()));
/// }
/// assert_eq!(slow.next().await, Some(BusEvent::Disrupted));
/// assert_eq!(slow.next().await, Some(BusEvent::Restored));
/// # }
/// ```
#[derive(Debug)]
pub struct Feed {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Held for a few instructions, never across an await.
    state: Mutex<State>,
    changed: Notify,
    events: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<BusEvent>,
    /// The number of events that were dropped from the front of the queue.
    dropped: u64,
    /// The sum of the messages' bytes in the queue.
    bytes: usize,
    /// The number of the event that each subscriber reads next.
    readers: BTreeMap<u64, u64>,
    /// The number of subscribers so far.
    subscribed: u64,
    disrupted: bool,
    closed: bool,
}

impl Feed {
    /// The events that a feed keeps by default: 8,192.
    pub const EVENTS: usize = 8_192;

    /// The bytes of messages that a feed keeps by default: 16 MiB.
    pub const BYTES: usize = 16 << 20;

    /// Returns a feed that keeps at most `events` and `bytes` of messages for subscribers that have not read them yet.
    /// It always keeps the newest event.
    #[must_use]
    pub fn with_capacity(events: usize, bytes: usize) -> Self {
        let (state, changed) = (Mutex::default(), Notify::new());
        Self { shared: Arc::new(Shared { state, changed, events, bytes }) }
    }

    /// Hands a message to every subscriber.
    pub fn message(&self, partition: u8, bytes: Bytes) {
        self.shared.lock().push(BusEvent::Message { partition, bytes }, &self.shared);
        self.shared.changed.notify_waiters();
    }

    /// Tells every subscriber that messages may have been lost and none may come. Does nothing if they know.
    pub fn disrupted(&self) {
        self.turn(true, BusEvent::Disrupted);
    }

    /// Tells every subscriber that messages come again. Does nothing if the feed is not disrupted.
    pub fn restored(&self) {
        self.turn(false, BusEvent::Restored);
    }

    fn turn(&self, disrupted: bool, event: BusEvent) {
        let mut state = self.shared.lock();
        if state.disrupted != disrupted {
            state.disrupted = disrupted;
            state.push(event, &self.shared);
            drop(state);
            self.shared.changed.notify_waiters();
        }
    }

    /// Returns what is fed from now on. If the feed is disrupted, the first event says so. The stream ends when the
    /// feed is dropped.
    #[must_use]
    pub fn subscribe(&self) -> BoxStream<'static, BusEvent> {
        let mut state = self.shared.lock();
        let first = state.disrupted.then_some(BusEvent::Disrupted);
        let (number, next) = (state.subscribed, state.end());
        state.subscribed += 1;
        state.readers.insert(number, next);
        drop(state);
        let reader = Reader { shared: Arc::clone(&self.shared), number, next, first };
        stream::unfold(reader, |mut reader| async {
            let event = reader.next().await?;
            Some((event, reader))
        })
        .fuse()
        .boxed()
    }
}

impl Default for Feed {
    fn default() -> Self {
        Self::with_capacity(Self::EVENTS, Self::BYTES)
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_waiters();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, event: BusEvent, bounds: &Shared) {
        self.bytes += size(&event);
        self.queue.push_back(event);
        while self.queue.len() > 1 && (self.queue.len() > bounds.events || self.bytes > bounds.bytes) {
            self.drop_oldest();
        }
        self.drop_read();
    }

    /// Drops what every subscriber has read.
    fn drop_read(&mut self) {
        let unread = self.readers.values().copied().min().unwrap_or_else(|| self.end());
        while self.dropped < unread {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        self.bytes -= self.queue.pop_front().map_or(0, |event| size(&event));
        self.dropped += 1;
    }

    /// The number of events so far.
    fn end(&self) -> u64 {
        self.dropped + self.queue.len() as u64
    }
}

fn size(event: &BusEvent) -> usize {
    if let BusEvent::Message { bytes, .. } = event { bytes.len() } else { 0 }
}

/// A subscriber's place in a feed.
struct Reader {
    shared: Arc<Shared>,
    /// The subscriber's key among the readers.
    number: u64,
    /// The number of the event to read next.
    next: u64,
    /// What to say before that.
    first: Option<BusEvent>,
}

enum Read {
    Event(BusEvent),
    NothingYet,
    End,
}

impl Reader {
    async fn next(&mut self) -> Option<BusEvent> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        let shared = Arc::clone(&self.shared);
        loop {
            // It is woken by what comes after this line, so nothing that comes after the look below is missed.
            let changed = shared.changed.notified();
            let read = self.read(&mut shared.lock());
            match read {
                Read::Event(event) => return Some(event),
                Read::End => return None,
                Read::NothingYet => changed.await,
            }
        }
    }

    fn read(&mut self, state: &mut State) -> Read {
        let Some(at) = self.next.checked_sub(state.dropped) else {
            self.go_on_at(state.end(), state);
            self.first = (!state.disrupted).then_some(BusEvent::Restored);
            return Read::Event(BusEvent::Disrupted);
        };
        match state.queue.get(usize::try_from(at).unwrap_or(usize::MAX)).cloned() {
            Some(event) => {
                self.go_on_at(self.next + 1, state);
                Read::Event(event)
            }
            None if state.closed => Read::End,
            None => Read::NothingYet,
        }
    }

    fn go_on_at(&mut self, next: u64, state: &mut State) {
        self.next = next;
        state.readers.insert(self.number, next);
        state.drop_read();
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.readers.remove(&self.number);
        state.drop_read();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn message(text: &'static str) -> BusEvent {
        BusEvent::Message { partition: 0, bytes: Bytes::from_static(text.as_bytes()) }
    }

    fn feed(feed: &Feed, texts: &[&'static str]) {
        for text in texts {
            feed.message(0, Bytes::from_static(text.as_bytes()));
        }
    }

    /// Returns what can be read without waiting.
    fn read(stream: &mut BoxStream<'static, BusEvent>) -> Vec<BusEvent> {
        std::iter::from_fn(|| stream.next().now_or_never().flatten()).collect()
    }

    #[test]
    fn subscribers_get_what_comes_after_them_and_then_the_end() {
        let source = Feed::default();
        let mut early = source.subscribe();
        feed(&source, &["one"]);
        let mut late = source.subscribe();
        feed(&source, &["two"]);
        assert_eq!(read(&mut early), [message("one"), message("two")]);
        feed(&source, &["three"]);
        drop(source);
        assert_eq!(read(&mut late), [message("two"), message("three")]);
        assert_eq!(read(&mut early), [message("three")]);
        assert_eq!(late.next().now_or_never(), Some(None), "the stream has ended");
    }

    #[test]
    fn a_subscriber_one_event_behind_the_bound_loses_them_all() {
        let source = Feed::with_capacity(3, 1_000);
        let mut level = source.subscribe();
        feed(&source, &["a", "b", "c"]);
        let mut behind = source.subscribe();
        assert_eq!(read(&mut level), [message("a"), message("b"), message("c")]);
        feed(&source, &["d", "e", "f", "g"]);
        assert_eq!(read(&mut behind), [BusEvent::Disrupted, BusEvent::Restored]);
        feed(&source, &["h"]);
        assert_eq!(read(&mut behind), [message("h")]);
    }

    #[test]
    fn the_bytes_are_bounded_and_one_large_message_passes() {
        let source = Feed::with_capacity(1_000, 6);
        let (mut at, mut over) = (source.subscribe(), source.subscribe());
        feed(&source, &["123", "456"]);
        assert_eq!(read(&mut at), [message("123"), message("456")]);
        feed(&source, &["7"]);
        assert_eq!(read(&mut over), [BusEvent::Disrupted, BusEvent::Restored]);
        assert_eq!(read(&mut at), [message("7")]);
        feed(&source, &["more than the bound"]);
        assert_eq!(read(&mut at), [message("more than the bound")]);
        let state = source.shared.lock();
        assert_eq!((state.queue.len(), state.bytes), (1, "more than the bound".len()));
    }

    #[test]
    fn what_every_subscriber_has_read_is_dropped() {
        let source = Feed::default();
        let kept = || {
            let state = source.shared.lock();
            (state.queue.len(), state.bytes)
        };
        feed(&source, &["nobody"]);
        assert_eq!(kept(), (0, 0));
        let (mut fast, slow) = (source.subscribe(), source.subscribe());
        feed(&source, &["one", "two"]);
        assert_eq!(read(&mut fast), [message("one"), message("two")]);
        assert_eq!(kept(), (2, 6));
        drop(slow);
        assert_eq!(kept(), (0, 0));
        feed(&source, &["three"]);
        assert_eq!((read(&mut fast), kept()), (vec![message("three")], (0, 0)));
    }

    #[test]
    fn a_disruption_is_said_once_and_to_newcomers() {
        let source = Feed::with_capacity(2, 1_000);
        let mut stream = source.subscribe();
        source.restored();
        source.disrupted();
        source.disrupted();
        assert_eq!(read(&mut stream), [BusEvent::Disrupted]);
        let mut newcomer = source.subscribe();
        assert_eq!(read(&mut newcomer), [BusEvent::Disrupted]);
        feed(&source, &["a", "b", "c"]);
        assert_eq!(read(&mut newcomer), [BusEvent::Disrupted], "too slow, and the bus is still down");
        source.restored();
        source.restored();
        assert_eq!(read(&mut newcomer), [BusEvent::Restored]);
    }

    #[tokio::test]
    async fn a_waiting_subscriber_is_woken() {
        let source = Feed::default();
        let mut stream = source.subscribe();
        let waiting = tokio::spawn(async move { (stream.next().await, stream.next().await) });
        tokio::task::yield_now().await;
        feed(&source, &["one"]);
        tokio::task::yield_now().await;
        drop(source);
        assert_eq!(waiting.await.expect("no panic"), (Some(message("one")), None));
    }
}
