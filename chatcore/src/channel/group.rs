//! An append group's task: it gathers queued appends into a batch, stores it, and pushes it to the rings.
//!
//! A group has one batch in flight. While the store syncs one batch, the next one gathers, without a timer: a single
//! publish is stored at once, and many share a sync. The task owns an append from the queue to the ring, so a caller
//! that goes away changes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout};

use crate::channel::Channel;
use crate::channel::append::Job;
use crate::channel::registry::ChannelRegistry;
use crate::channel::repairs::{Repairs, remember};
use crate::delivery::FanOutQueue;
use crate::delivery::ring::Push;
use crate::limits::Limits;
use crate::model::error::Error;
use crate::model::event::Append;
use crate::runtime::panics::{Panicked, contain_async};
use crate::runtime::stats::{Appends, Monitor};
use crate::store::pointer::Shared;
use crate::store::{AppendError, Appended, Store, StoreError};

/// What a group is told besides appends.
#[derive(Debug)]
pub(crate) enum News {
    /// A reader waits until the ring has everything that the store has now.
    CatchUp { channel: Arc<Channel>, done: oneshot::Sender<Result<(), StoreError>> },
}

/// A group's task.
pub(crate) struct Group {
    store: Shared<dyn Store>,
    limits: Arc<Limits>,
    registry: Arc<ChannelRegistry>,
    fanout: Arc<FanOutQueue>,
    monitor: Arc<Monitor>,
    queued_bytes: Arc<AtomicUsize>,
    repairs: Repairs,
}

impl Group {
    pub(crate) fn new(
        store: &Shared<dyn Store>,
        limits: &Arc<Limits>,
        registry: &Arc<ChannelRegistry>,
        fanout: &Arc<FanOutQueue>,
        monitor: &Arc<Monitor>,
        queued_bytes: &Arc<AtomicUsize>,
    ) -> Self {
        Self {
            store: store.clone(),
            limits: Arc::clone(limits),
            registry: Arc::clone(registry),
            fanout: Arc::clone(fanout),
            monitor: Arc::clone(monitor),
            queued_bytes: Arc::clone(queued_bytes),
            repairs: Repairs::new(store, limits, fanout, monitor),
        }
    }

    /// Runs until the queue is closed and empty.
    pub(crate) async fn run(mut self, mut jobs: mpsc::Receiver<Job>, mut news: mpsc::Receiver<News>) {
        loop {
            // Jobs may come without a pause.
            while let Ok(heard) = news.try_recv() {
                self.hear(heard);
            }
            if self.repairs.are_wanted() {
                self.repairs.run().await;
            }
            let due = self.repairs.due();
            let first = tokio::select! {
                biased;
                job = jobs.recv() => job,
                Some(heard) = news.recv() => {
                    self.hear(heard);
                    continue;
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.repairs.run().await;
                    continue;
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

    fn hear(&mut self, news: News) {
        match news {
            News::CatchUp { channel, done } => self.repairs.wait(channel, done),
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
                        // The append is acknowledged, so no reader may miss it from now on.
                        job.channel.set_behind(true);
                        self.repairs.mark(&job.channel);
                    }
                    remember(&mut touched, &job.channel);
                }
                Err(AppendError::Store(error)) => {
                    counts.failures += 1;
                    failed.get_or_insert_with(|| (Arc::clone(&job.channel), error.clone()));
                    self.repairs.mark(&job.channel);
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
        self.repairs.run().await;
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
}

fn all_failed(batch: &[Job], why: &'static str) -> Vec<Result<Appended, AppendError>> {
    batch.iter().map(|_| Err(StoreError::new(why).into())).collect()
}
