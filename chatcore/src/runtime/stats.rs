//! What a running chat has done and holds, counted.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::model::error::ErrorCode;
use crate::model::event::{Append, AppendBody};
use crate::protocol::CloseReason;
use crate::runtime::failures::FailureLog;
use crate::store::Appended;

/// The bounds of a [`Histogram`]'s buckets. They are the same for every chat, so that the histograms of several
/// can be added.
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

/// What a chat holds now and what it has counted since it was built: [`Chat::stats`](crate::Chat::stats).
///
/// A field is read after another while the chat runs, so two that belong together may differ by what has just
/// happened. Counters begin at 0 with the chat and never fall.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// Connections that are open now.
    pub connections: usize,
    /// Users with an open connection now.
    pub users: usize,
    /// Subscriptions of all connections now.
    pub subscriptions: usize,
    /// Channels that are in memory now.
    pub loaded_channels: usize,
    /// Bytes of messages and events that the channels in memory hold now.
    pub ring_bytes: usize,
    /// Bytes reserved for large answers that are being made or not yet written; see
    /// [`Limits::outgoing_bytes_total`](crate::Limits::outgoing_bytes_total).
    pub answer_bytes: usize,
    /// Bytes of the commands that wait for their answers.
    pub command_bytes: usize,
    /// Appends that wait for the store now.
    pub append_queue: usize,
    /// Searches that are running now.
    pub searches_running: usize,
    /// Uploads that are running now.
    pub uploads_running: usize,

    /// Connections that were opened.
    pub connections_opened: u64,
    /// Connections that have ended or were refused, by reason. A client that went away without a word has
    /// [`CloseReason::Left`].
    pub closes: Vec<(CloseReason, u64)>,
    /// Messages that were published and stored, without repetitions.
    pub publishes: u64,
    /// Publishes that repeated a nonce, and stored nothing.
    pub duplicates: u64,
    /// Batches that were given to the store.
    pub append_batches: u64,
    /// Events that were stored: messages, edits, deletes, reactions.
    pub append_events: u64,
    /// Events that the store failed to append, or whose outcome is unknown.
    pub append_failures: u64,
    /// How long the store took for a batch.
    pub append_time: Histogram,
    /// How long an event took from its command to the rings, the wait for its turn included.
    pub publish_time: Histogram,
    /// Frames of log events that were handed to connections.
    pub deliveries: u64,
    /// Subscriptions that were told `lagged`: the client did not keep up with the channel.
    pub lagged: u64,
    /// Frames outside the log, such as `typing`, that were dropped, since too much waited for their connection.
    pub dropped_frames: u64,
    /// Channels that were read again from the store after a failed append.
    pub repairs: u64,
    /// Subscriptions from a position that was too far back or of another log, and began anew.
    pub resets: u64,
    /// Commands and malformed frames that were refused, by code.
    pub refusals: Vec<(ErrorCode, u64)>,
    /// Files that were uploaded.
    pub uploads: u64,
    /// Bytes of the files that were uploaded.
    pub upload_bytes: u64,
}

/// How long something took, as counts of buckets with fixed bounds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; BOUNDS.len() + 1],
    sum: Duration,
}

impl Histogram {
    /// Returns the buckets in the order of their bounds: how many took at most the bound, and longer than the
    /// bound before it. The last has no bound.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> + '_ {
        BOUNDS.iter().copied().map(Some).chain([None]).zip(self.counts.iter().copied())
    }

    /// Returns how many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns how long all of them took together.
    #[must_use]
    pub fn sum(&self) -> Duration {
        self.sum
    }

    pub(crate) fn observe(&mut self, took: Duration) {
        self.counts[BOUNDS.partition_point(|bound| *bound < took)] += 1;
        self.sum += took;
    }

    fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
        self.sum += other.sum;
    }
}

/// What the parts of a chat tell of themselves.
#[derive(Debug, Default)]
pub(crate) struct Monitor {
    pub(crate) counters: Counters,
    pub(crate) failures: FailureLog,
    connections: AtomicU64,
}

impl Monitor {
    /// Returns the number of the next connection, from 1 on.
    pub(crate) fn number(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// The counters behind [`Stats`], which says what each of them counts.
///
/// They are added to once per command, batch or burst, never per recipient.
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
    refusals: [Counter; ErrorCode::ALL.len()],
    pub(crate) uploads: Counter,
    pub(crate) upload_bytes: Counter,
}

/// What is counted of one batch of appends, and of all of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Appends {
    pub(crate) publishes: u64,
    pub(crate) duplicates: u64,
    pub(crate) batches: u64,
    pub(crate) events: u64,
    pub(crate) failures: u64,
    pub(crate) append_time: Histogram,
    pub(crate) publish_time: Histogram,
}

impl Appends {
    /// Counts an event that the store holds, `took` after its command.
    pub(crate) fn stored(&mut self, append: &Append, appended: &Appended, took: Duration) {
        self.publish_time.observe(took);
        if appended.duplicate {
            self.duplicates += 1;
            return;
        }
        self.events += 1;
        if let AppendBody::Message { .. } = append.body {
            self.publishes += 1;
        }
    }
}

impl Counters {
    /// Adds a batch.
    pub(crate) fn add_batch(&self, batch: &Appends) {
        let mut all = self.appends();
        all.publishes += batch.publishes;
        all.duplicates += batch.duplicates;
        all.batches += batch.batches;
        all.events += batch.events;
        all.failures += batch.failures;
        all.append_time.merge(&batch.append_time);
        all.publish_time.merge(&batch.publish_time);
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
            uploads: self.uploads.get(),
            upload_bytes: self.upload_bytes.get(),
        }
    }
}

fn counted<T: Copy>(all: &[T], counters: &[Counter]) -> Vec<(T, u64)> {
    all.iter().copied().zip(counters.iter().map(Counter::get)).collect()
}

/// What a snapshot asks the parts of the chat for, since they know it without counting.
pub(crate) struct Held {
    pub(crate) connections: usize,
    pub(crate) users: usize,
    pub(crate) loaded_channels: usize,
    pub(crate) ring_bytes: usize,
    pub(crate) answer_bytes: usize,
    pub(crate) command_bytes: usize,
    pub(crate) append_queue: usize,
    pub(crate) uploads_running: usize,
}

/// A number that only grows.
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

/// How many of something there are now.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicUsize);

/// One of those that a [`Gauge`] counts, until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted<'a>(&'a Gauge);

impl Gauge {
    /// Counts one in until the answer is dropped.
    pub(crate) fn count(&self) -> Counted<'_> {
        self.enter();
        Counted(self)
    }

    /// Counts one in; returns how many there were before.
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
