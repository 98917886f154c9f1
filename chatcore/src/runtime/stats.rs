//! Counters of a running chat.

use std::mem::take;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::model::append::{Append, AppendBody};
use crate::model::error::ErrorCode;
use crate::protocol::CloseReason;
use crate::runtime::bell::Bell;
use crate::runtime::failures::FailureLog;
use crate::store::Appended;

/// The bounds of a [`Histogram`]'s buckets. They are the same for every chat, so that histograms can be added.
const BOUNDS: [Duration; 15] = [
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(5),
    Duration::from_secs(15),
];

/// What a chat has now, and what it has counted since it was built: [`Chat::stats`](crate::Chat::stats).
///
/// Fields are read one after the other while the chat runs, so two related ones may differ by what has just
/// happened. Counters begin at 0 with the chat and never decrease.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// The open connections now.
    pub connections: usize,
    /// The users with an open connection now.
    pub users: usize,
    /// The subscriptions of all connections now.
    pub subscriptions: usize,
    /// The channels in memory now.
    pub loaded_channels: usize,
    /// The bytes of messages and events that channels in memory hold now.
    pub ring_bytes: usize,
    /// The bytes reserved for large answers that are being made or not yet written. See
    /// [`Limits::outgoing_bytes_total`](crate::Limits::outgoing_bytes_total).
    pub answer_bytes: usize,
    /// The bytes of commands that wait for their answers.
    pub command_bytes: usize,
    /// The appends that wait for the store now.
    pub append_queue: usize,
    /// The searches that are running now.
    pub searches_running: usize,
    /// The uploads that are running now.
    pub uploads_running: usize,

    /// The opened connections.
    pub connections_opened: u64,
    /// The connections that have ended or were refused, by reason. A client that disconnects without a close frame
    /// has [`CloseReason::Left`].
    pub closes: Vec<(CloseReason, u64)>,
    /// The published and stored messages, without repetitions.
    pub publishes: u64,
    /// The publishes that repeated a nonce and stored nothing.
    pub duplicates: u64,
    /// The batches given to the store.
    pub append_batches: u64,
    /// The stored events: messages, edits, deletes, reactions.
    pub append_events: u64,
    /// The events that the store failed to append, or whose outcome is unknown.
    pub append_failures: u64,
    /// The time that the store took per batch.
    pub append_time: Histogram,
    /// The time from an event's command to the rings, including the wait.
    pub publish_time: Histogram,
    /// The frames of log events handed to connections.
    pub deliveries: u64,
    /// The subscriptions that were told `lagged`: the client was slower than the channel.
    pub lagged: u64,
    /// The frames outside of the log, such as `typing`, that were dropped because too much waited for their
    /// connection.
    pub dropped_frames: u64,
    /// The channels that were read again from the store after a failed append.
    pub repairs: u64,
    /// The subscriptions from a position that was too far back or of another log, which started over.
    pub resets: u64,
    /// The refused commands and malformed frames, by code.
    pub refusals: Vec<(ErrorCode, u64)>,
    /// What is heard of the other nodes. `None` without a [bus](crate::ChatBuilder::bus).
    pub bus: Option<BusStats>,
    /// The uploaded files.
    pub uploads: u64,
    /// The bytes of the uploaded files.
    pub upload_bytes: u64,
}

/// What a chat hears of the other nodes by its bus, as a part of [`Stats`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BusStats {
    /// Whether this node hears what it says itself. While it does not, it asks the store for news every second.
    pub is_heard: bool,
    /// Whether this node has learnt, since its start, who is online at the others: usually after a second.
    pub has_caught_up: bool,
    /// The other nodes now.
    pub peers: usize,
    /// The time from the last probe to its return: what this node tells every second, and hears itself. Zero before the
    /// first.
    pub probe: Duration,
    /// The envelopes of other nodes.
    pub envelopes: u64,
    /// The time from an envelope's publish at another node to its arrival, as far as the two clocks agree.
    pub lag: Histogram,
    /// The times that envelopes of another node were missing.
    pub gaps: u64,
    /// The times that the store was asked for the heads of the channels in memory.
    pub resyncs: u64,
    /// The events that came before those that they follow, and waited for them.
    pub reordered: u64,
    /// What was not told to other nodes, or only as the head of its channel, because too much waited.
    pub dropped: u64,
    /// The envelopes that could not be published.
    pub unpublished: u64,
}

/// Durations, counted in buckets with fixed bounds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; BOUNDS.len() + 1],
    sum: Duration,
}

impl Histogram {
    /// Returns the buckets in the order of their bounds: the number of durations up to the bound, and above the
    /// one before. The last bucket has no bound.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> + '_ {
        BOUNDS.iter().copied().map(Some).chain([None]).zip(self.counts.iter().copied())
    }

    /// Returns the number of durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns the sum of all durations.
    #[must_use]
    pub fn sum(&self) -> Duration {
        self.sum
    }

    pub(crate) fn observe(&mut self, took: Duration) {
        // Most are short.
        let bucket = BOUNDS.iter().position(|bound| took <= *bound).unwrap_or(BOUNDS.len());
        self.counts[bucket] += 1;
        self.sum += took;
    }
}

/// Counters that the parts of a chat update themselves.
#[derive(Debug, Default)]
pub(crate) struct Monitor {
    pub(crate) counters: Counters,
    pub(crate) failures: FailureLog,
    /// Rings when a log may have something new, stored here or elsewhere.
    pub(crate) appended: Bell,
    connections: AtomicU64,
}

impl Monitor {
    /// Returns the number of the next connection, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// The counters behind [`Stats`], which documents each.
///
/// They are updated once per command, batch or burst, never per recipient.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) subscriptions: Gauge,
    pub(crate) searches_running: Gauge,
    pub(crate) connections_opened: Counter,
    closes: [Counter; CloseReason::ALL.len()],
    appends: Mutex<Appends>,
    pub(crate) deliveries: Counter,
    pub(crate) lagged: Counter,
    pub(crate) dropped_frames: Counter,
    pub(crate) repairs: Counter,
    pub(crate) resets: Counter,
    pub(crate) reordered: Counter,
    pub(crate) envelopes: Counter,
    pub(crate) gaps: Counter,
    pub(crate) resyncs: Counter,
    lag: Mutex<Histogram>,
    refusals: [Counter; ErrorCode::ALL.len()],
    pub(crate) uploads: Counter,
    pub(crate) upload_bytes: Counter,
}

/// The counters of all batches of appends.
#[derive(Clone, Debug, Default)]
struct Appends {
    publishes: u64,
    duplicates: u64,
    batches: u64,
    events: u64,
    failures: u64,
    append_time: Histogram,
    publish_time: Histogram,
}

/// What is counted of one batch of appends. Its list stays for the next one.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    publishes: u64,
    duplicates: u64,
    pub(crate) failures: u64,
    /// The time of each stored event from its command.
    times: Vec<Duration>,
}

impl Batch {
    /// Counts a stored event, `took` after its command.
    pub(crate) fn stored(&mut self, append: &Append, appended: &Appended, took: Duration) {
        self.times.push(took);
        if appended.duplicate {
            self.duplicates += 1;
        } else if let AppendBody::Message { .. } = append.body {
            self.publishes += 1;
        }
    }
}

impl Counters {
    /// Adds a batch for which the store took `took`, and empties it.
    pub(crate) fn add_batch(&self, batch: &mut Batch, took: Duration) {
        let mut all = self.appends();
        all.publishes += take(&mut batch.publishes);
        all.events += batch.times.len() as u64 - batch.duplicates;
        all.duplicates += take(&mut batch.duplicates);
        all.batches += 1;
        all.failures += take(&mut batch.failures);
        all.append_time.observe(took);
        batch.times.drain(..).for_each(|took| all.publish_time.observe(took));
    }

    /// Adds the time that an envelope took.
    pub(crate) fn add_lag(&self, lag: Duration) {
        self.lag.lock().expect("invariant: nothing panics under this lock").observe(lag);
    }

    /// Returns what was counted of other nodes.
    pub(crate) fn bus(&self, held: HeldBus) -> BusStats {
        let HeldBus { is_heard, has_caught_up, peers, probe, dropped, unpublished } = held;
        BusStats {
            is_heard,
            has_caught_up,
            peers,
            probe,
            envelopes: self.envelopes.get(),
            lag: self.lag.lock().expect("invariant: nothing panics under this lock").clone(),
            gaps: self.gaps.get(),
            resyncs: self.resyncs.get(),
            reordered: self.reordered.get(),
            dropped,
            unpublished,
        }
    }

    // Held to add one batch, or to copy.
    fn appends(&self) -> MutexGuard<'_, Appends> {
        self.appends.lock().expect("invariant: nothing panics under this lock")
    }

    pub(crate) fn refused(&self, code: ErrorCode) {
        if let Some(counter) = self.refusals.get(code as usize) {
            counter.add(1);
        }
    }

    pub(crate) fn closed(&self, reason: CloseReason) {
        if let Some(counter) = self.closes.get(reason as usize) {
            counter.add(1);
        }
    }

    pub(crate) fn snapshot(&self, held: &Held) -> Stats {
        let Appends { publishes, duplicates, batches, events, failures, append_time, publish_time } =
            self.appends().clone();
        Stats {
            connections: held.connections,
            users: held.users,
            subscriptions: self.subscriptions.get(),
            loaded_channels: held.loaded_channels,
            ring_bytes: held.ring_bytes,
            answer_bytes: held.answer_bytes,
            command_bytes: held.command_bytes,
            append_queue: held.append_queue,
            searches_running: self.searches_running.get(),
            uploads_running: held.uploads_running,
            connections_opened: self.connections_opened.get(),
            closes: counted(&CloseReason::ALL, &self.closes),
            publishes,
            duplicates,
            append_batches: batches,
            append_events: events,
            append_failures: failures,
            append_time,
            publish_time,
            deliveries: self.deliveries.get(),
            lagged: self.lagged.get(),
            dropped_frames: self.dropped_frames.get(),
            repairs: self.repairs.get(),
            resets: self.resets.get(),
            refusals: counted(&ErrorCode::ALL, &self.refusals),
            bus: held.bus.map(|held| self.bus(held)),
            uploads: self.uploads.get(),
            upload_bytes: self.upload_bytes.get(),
        }
    }
}

fn counted<T: Copy>(all: &[T], counters: &[Counter]) -> Vec<(T, u64)> {
    all.iter().copied().zip(counters.iter().map(Counter::get)).collect()
}

/// The figures of a snapshot that the parts of a chat know without counting.
pub(crate) struct Held {
    pub(crate) connections: usize,
    pub(crate) users: usize,
    pub(crate) loaded_channels: usize,
    pub(crate) ring_bytes: usize,
    pub(crate) answer_bytes: usize,
    pub(crate) command_bytes: usize,
    pub(crate) append_queue: usize,
    pub(crate) uploads_running: usize,
    pub(crate) bus: Option<HeldBus>,
}

/// The figures of a snapshot that the bus's parts know without counting.
#[derive(Clone, Copy)]
pub(crate) struct HeldBus {
    pub(crate) is_heard: bool,
    pub(crate) has_caught_up: bool,
    pub(crate) peers: usize,
    pub(crate) probe: Duration,
    pub(crate) dropped: u64,
    pub(crate) unpublished: u64,
}

/// A number that only increases.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        if count > 0 {
            self.0.fetch_add(count, Ordering::Relaxed);
        }
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A current number of something.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicUsize);

/// One thing that a [`Gauge`] counts until this is dropped.
#[derive(Debug)]
pub(crate) struct Counted<'a>(&'a Gauge);

impl Gauge {
    /// Adds one until the result is dropped.
    pub(crate) fn count(&self) -> Counted<'_> {
        self.enter();
        Counted(self)
    }

    /// Adds one. Returns the number before.
    pub(crate) fn enter(&self) -> usize {
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn leave(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_takes_its_bound_and_the_next_what_is_longer() {
        let mut histogram = Histogram::default();
        for took in [Duration::ZERO, BOUNDS[0], BOUNDS[0] + Duration::from_nanos(1), Duration::from_secs(60)]
        {
            histogram.observe(took);
        }
        let counts: Vec<u64> = histogram.buckets().map(|(_, count)| count).collect();
        assert_eq!((counts[0], counts[1], counts[BOUNDS.len()]), (2, 1, 1));
        assert_eq!((histogram.count(), counts.iter().sum::<u64>()), (4, 4));
        assert_eq!(
            histogram.sum(),
            Duration::from_micros(200) + Duration::from_nanos(1) + Duration::from_secs(60)
        );
        assert!(BOUNDS.is_sorted());
    }

    #[test]
    fn every_code_and_reason_has_a_counter_of_its_own() {
        assert!(ErrorCode::ALL.iter().enumerate().all(|(at, code)| *code as usize == at));
        assert!(CloseReason::ALL.iter().enumerate().all(|(at, reason)| *reason as usize == at));
    }
}
