//! Appending: gathers queued items into a batch, stores it, and pushes it to the rings.
//!
//! Each channel belongs to one append group, and a group has one batch in flight. While the store syncs one batch,
//! the next one gathers, without a timer: a single publish is stored at once, and many share a sync. The group's
//! task owns an append from the queue to the ring, so a caller that goes away changes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};
use tracing::{Span, field};

use crate::channel::registry::ChannelRegistry;
use crate::channel::{Channel, Source};
use crate::delivery::FanOutQueue;
use crate::delivery::ring::Push;
use crate::limits::Limits;
use crate::limits::share::Waits;
use crate::model::error::Error;
use crate::model::event::{Append, AppendBody};
use crate::runtime::panics::{Panicked, contain_async};
use crate::runtime::stats::{Appends, Monitor};
use crate::store::pointer::Shared;
use crate::store::{AppendError, Appended, Store, StoreError};

/// The time between two repairs after a failure, which read what the store may have stored.
const REPAIR_INTERVAL: Duration = Duration::from_millis(500);

/// The groups' queues. When it is dropped, the tasks finish what is queued and end.
#[derive(Debug)]
pub(crate) struct AppendQueue {
    groups: Vec<Queue>,
    most_bytes: usize,
}

/// One group's queue.
#[derive(Debug)]
struct Queue {
    jobs: mpsc::Sender<Job>,
    /// Bytes of the waiting items.
    bytes: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Job {
    channel: Arc<Channel>,
    append: Append,
    queued: Instant,
    /// Its place in its author's share, until it is answered. What the app itself publishes has none.
    _place: Option<Waits>,
    reply: oneshot::Sender<Result<Appended, Error>>,
    /// Its span, if spans are enabled.
    span: Option<Box<Span>>,
}

/// The receiver of an append's answer.
pub(crate) type Pending = oneshot::Receiver<Result<Appended, Error>>;

impl AppendQueue {
    /// Starts the groups' tasks.
    pub(crate) fn start(
        store: &Shared<dyn Store>,
        limits: &Arc<Limits>,
        registry: &Arc<ChannelRegistry>,
        fanout: &Arc<FanOutQueue>,
        monitor: &Arc<Monitor>,
    ) -> Self {
        let groups = (0..limits.append_groups.max(1))
            .map(|_| {
                let (sender, jobs) = mpsc::channel(limits.append_queue.max(1));
                let bytes = Arc::new(AtomicUsize::new(0));
                let group = Group {
                    store: store.clone(),
                    limits: Arc::clone(limits),
                    registry: Arc::clone(registry),
                    fanout: Arc::clone(fanout),
                    monitor: Arc::clone(monitor),
                    stale: Vec::new(),
                    queued_bytes: Arc::clone(&bytes),
                };
                tokio::spawn(group.run(jobs));
                Queue { jobs: sender, bytes }
            })
            .collect();
        Self { groups, most_bytes: limits.append_queue_bytes }
    }

    /// Returns how many appends are waiting.
    pub(crate) fn len(&self) -> usize {
        self.groups.iter().map(|group| group.jobs.max_capacity() - group.jobs.capacity()).sum()
    }

    /// Queues an append to a loaded channel. It is answered within two [`Limits::store_timeout`]s. If it waits
    /// longer than one for its turn, it is refused and not stored.
    ///
    /// # Errors
    /// `unavailable` if the queue is full.
    pub(crate) fn enqueue(
        &self,
        channel: Arc<Channel>,
        append: Append,
        place: Option<Waits>,
    ) -> Result<Pending, Error> {
        let (reply, pending) = oneshot::channel();
        let group = usize::try_from(channel.info.id.0 % self.groups.len() as u64)
            .expect("invariant: less than the number of groups");
        let Queue { jobs, bytes } = &self.groups[group];
        if bytes.load(Ordering::Relaxed) >= self.most_bytes {
            return Err(Error::overloaded());
        }
        let weight = append.weight();
        // Before the job can be taken out of the queue.
        bytes.fetch_add(weight, Ordering::Relaxed);
        let span = span(&channel, &append);
        let job = Job { channel, append, queued: Instant::now(), _place: place, reply, span };
        match jobs.try_send(job) {
            Ok(()) => Ok(pending),
            Err(_) => {
                bytes.fetch_sub(weight, Ordering::Relaxed);
                Err(Error::overloaded())
            }
        }
    }
}

struct Group {
    store: Shared<dyn Store>,
    limits: Arc<Limits>,
    registry: Arc<ChannelRegistry>,
    fanout: Arc<FanOutQueue>,
    monitor: Arc<Monitor>,
    queued_bytes: Arc<AtomicUsize>,
    /// Channels whose log may have events that their ring lacks, after an append with an unknown outcome.
    stale: Vec<Arc<Channel>>,
}

impl Group {
    async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        loop {
            let first = if self.stale.is_empty() {
                jobs.recv().await
            } else {
                match timeout(REPAIR_INTERVAL, jobs.recv()).await {
                    Ok(job) => job,
                    Err(_) => {
                        self.repair_stale().await;
                        continue;
                    }
                }
            };
            let Some(first) = first else { return };
            let batch = self.gather(first, &mut jobs);
            if !batch.is_empty() {
                self.store_batch(batch).await;
                // Callers that were just answered may append again, and share the next sync.
                yield_now().await;
            }
        }
    }

    /// Takes further queued items after `first`, up to the batch's bounds, and refuses those that have waited too
    /// long.
    fn gather(&self, first: Job, jobs: &mut mpsc::Receiver<Job>) -> Vec<Job> {
        let mut bytes = 0;
        let mut batch = Vec::new();
        let mut next = Some(first);
        while let Some(job) = next {
            self.queued_bytes.fetch_sub(job.append.weight(), Ordering::Relaxed);
            if job.queued.elapsed() > self.limits.store_timeout {
                let _ = job.reply.send(Err(Error::overloaded()));
            } else {
                bytes += job.append.weight();
                batch.push(job);
            }
            let full = batch.len() >= self.limits.append_batch || bytes >= self.limits.append_batch_bytes;
            next = if full { None } else { jobs.try_recv().ok() };
        }
        batch
    }

    async fn store_batch(&mut self, batch: Vec<Job>) {
        let appends = batch.iter().map(|job| job.append.clone()).collect();
        let stored = contain_async(async { self.store.append(appends).await });
        let began = Instant::now();
        let results = match timeout(self.limits.store_timeout, stored).await {
            Ok(Ok(results)) if results.len() == batch.len() => results,
            Ok(Ok(_)) => all_failed(&batch, "the store answered another batch than it was given"),
            Ok(Err(Panicked)) => all_failed(&batch, "the store panicked"),
            Err(_) => all_failed(&batch, "the store did not answer in time"),
        };
        let now = Instant::now();
        let mut counts = Appends { batches: 1, ..Appends::default() };
        counts.append_time.observe(now - began);
        let mut failed = None;
        let mut touched: Vec<Arc<Channel>> = Vec::new();
        let mut answers = Vec::with_capacity(batch.len());
        for (job, result) in batch.into_iter().zip(results) {
            match &result {
                Ok(appended) => {
                    counts.stored(&job.append, appended, now - job.queued);
                    if let Some(span) = &job.span {
                        span.record("seq", appended.seq).record("duplicate", appended.duplicate);
                        tracing::debug!(parent: &**span, took = ?(now - job.queued), "stored");
                    }
                    if !self.push(&job.channel, job.append, appended) {
                        self.mark_stale(&job.channel);
                    }
                    remember(&mut touched, &job.channel);
                }
                Err(AppendError::Store(error)) => {
                    counts.failures += 1;
                    failed.get_or_insert_with(|| (Arc::clone(&job.channel), error.clone()));
                    self.mark_stale(&job.channel);
                }
                Err(_) => {}
            }
            answers.push((job.reply, result));
        }
        self.fanout.announce(touched.iter().map(|channel| channel.delivery()));
        self.registry.trim();
        self.monitor.counters.add_batch(&counts);
        if let Some((channel, error)) = failed {
            let about =
                format_args!("{} events, the first in channel {}", counts.failures, channel.info.name);
            self.monitor.failures.failed("append failed", about, &error);
        }
        for (reply, result) in answers {
            // The receiver is gone if the caller went away. The event is in the log and in the ring anyway.
            let _ = reply.send(result.map_err(|error| Error::from(error).reported()));
        }
        self.repair_stale().await;
    }

    /// Pushes a stored event to the ring. Returns whether the ring is complete.
    fn push(&self, channel: &Channel, append: Append, appended: &Appended) -> bool {
        let head = channel.ring().read().head().clone();
        if head.epoch != appended.epoch {
            return false;
        }
        if appended.duplicate {
            return appended.seq <= head.seq;
        }
        let event = append.into_event(appended.seq, appended.at);
        channel.ring().push(&event) != Push::Gap
    }

    fn mark_stale(&mut self, channel: &Arc<Channel>) {
        remember(&mut self.stale, channel);
    }

    /// Repairs channels until one fails. Then the store is unavailable, and the others wait for the next batch or
    /// interval.
    async fn repair_stale(&mut self) {
        while let Some(channel) = self.stale.last().cloned() {
            let source = Source { store: &*self.store, limits: &self.limits };
            let repair = contain_async(channel.repair(source));
            let repaired = timeout(self.limits.store_timeout, repair).await;
            let failed: Option<Box<dyn std::error::Error>> = match repaired {
                Ok(Ok(Ok(()))) => None,
                Ok(Ok(Err(error))) => Some(error.into()),
                Ok(Err(panicked)) => Some(panicked.into()),
                Err(elapsed) => Some(elapsed.into()),
            };
            if let Some(error) = failed {
                let about = format_args!("channel {}", channel.info.name);
                self.monitor.failures.failed("a channel could not be read again", about, &*error);
                return;
            }
            self.monitor.counters.repairs.add(1);
            self.fanout.announce([channel.delivery()].into_iter());
            self.stale.pop();
        }
    }
}

/// Returns the span of an event on its way into the log, a child of its connection's.
fn span(channel: &Channel, append: &Append) -> Option<Box<Span>> {
    let span = tracing::debug_span!(
        "publish",
        channel = %channel.info.name,
        user = %append.author.id,
        kind = kind(&append.body),
        seq = field::Empty,
        duplicate = field::Empty,
    );
    (!span.is_disabled()).then(|| Box::new(span))
}

fn kind(body: &AppendBody) -> &'static str {
    match body {
        AppendBody::Message { .. } => "message",
        AppendBody::Edit { .. } => "edit",
        AppendBody::Delete { .. } => "delete",
        AppendBody::React { .. } => "react",
    }
}

fn remember(channels: &mut Vec<Arc<Channel>>, channel: &Arc<Channel>) {
    if !channels.iter().any(|known| Arc::ptr_eq(known, channel)) {
        channels.push(Arc::clone(channel));
    }
}

fn all_failed(batch: &[Job], why: &'static str) -> Vec<Result<Appended, AppendError>> {
    batch.iter().map(|_| Err(StoreError::new(why).into())).collect()
}
