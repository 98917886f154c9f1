//! An append group's task: it gathers queued appends into a batch, stores it, and pushes it to the rings.
//!
//! A group has one batch in flight. While the store syncs one batch, the next one gathers, without a timer: a single
//! publish is stored at once, and many share a sync. The task owns an append from the queue to the ring, so a caller
//! that goes away changes nothing.

use std::mem;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};

use crate::channel::Channel;
use crate::channel::append::{GroupQueue, Job, Reply};
use crate::channel::registry::ChannelRegistry;
use crate::channel::remote::{Remote, Told};
use crate::channel::repairs::{Repairs, Whole, remember};
use crate::delivery::FanOutQueue;
use crate::delivery::outlet::Burst;
use crate::delivery::ring::Push;
use crate::limits::Limits;
use crate::model::append::Append;
use crate::model::error::Error;
use crate::runtime::panics::{Panicked, contain, contain_async};
use crate::runtime::stats::{Appends, Monitor};
use crate::store::pointer::Shared;
use crate::store::{AppendError, Appended, Store, StoreError};

/// What a group is told besides appends.
#[derive(Debug)]
pub(crate) enum News {
    /// A reader waits until the ring has everything that the store has now.
    CatchUp { channel: Arc<Channel>, done: oneshot::Sender<Result<(), StoreError>> },
    /// Another node has told something of the channel.
    Told { channel: Arc<Channel>, told: Told },
}

/// The lists that a batch needs, empty between two batches.
#[derive(Default)]
struct Buffers {
    batch: Vec<Job>,
    touched: Vec<Arc<Channel>>,
    answers: Vec<(Reply, Result<Appended, AppendError>)>,
}

/// The most items for which a buffer is kept.
const KEPT: usize = 32;

/// Returns an emptied list, if it is not large.
fn kept<T>(mut list: Vec<T>) -> Vec<T> {
    list.clear();
    if list.capacity() > KEPT { Vec::new() } else { list }
}

/// A group's task.
pub(crate) struct Group {
    store: Shared<dyn Store>,
    limits: Arc<Limits>,
    registry: Arc<ChannelRegistry>,
    fanout: Arc<FanOutQueue>,
    pub(super) monitor: Arc<Monitor>,
    pub(super) repairs: Repairs,
    /// For what the group delivers itself.
    burst: Burst,
    buffers: Buffers,
    /// `None` without other nodes.
    pub(super) remote: Option<Remote>,
}

impl Group {
    pub(crate) fn new(
        store: &Shared<dyn Store>,
        limits: &Arc<Limits>,
        registry: &Arc<ChannelRegistry>,
        fanout: &Arc<FanOutQueue>,
        monitor: &Arc<Monitor>,
        remote: Option<Remote>,
    ) -> Self {
        Self {
            store: store.clone(),
            limits: Arc::clone(limits),
            registry: Arc::clone(registry),
            fanout: Arc::clone(fanout),
            monitor: Arc::clone(monitor),
            repairs: Repairs::new(store, limits, fanout, monitor),
            burst: Burst::default(),
            buffers: Buffers::default(),
            remote,
        }
    }

    /// Works off the queue.
    pub(super) async fn work(&mut self, queue: &GroupQueue) {
        loop {
            if self.due().is_some_and(|due| due <= Instant::now()) {
                self.give_up_waiting();
                self.repair().await;
            }
            // Jobs may come without a pause.
            self.hear(queue);
            if self.repairs.are_wanted() {
                self.repair().await;
            }
            let batch = self.gather(queue);
            if batch.is_empty() {
                return;
            }
            self.store_batch(batch, queue).await;
            // Callers that were just answered may append again, and share the next sync.
            yield_now().await;
        }
    }

    /// Returns when something is to be done although nothing comes.
    pub(super) fn due(&self) -> Option<Instant> {
        let early = self.remote.as_ref().and_then(|remote| remote.reorder.due());
        early.into_iter().chain(self.repairs.due()).min()
    }

    /// Takes in all news, and has the fan-out deliver what is new.
    fn hear(&mut self, queue: &GroupQueue) {
        let mut touched = Vec::new();
        while let Some(heard) = queue.next_news() {
            match heard {
                News::CatchUp { channel, done } => self.repairs.wait(channel, done),
                News::Told { channel, told } => {
                    if self.take(&channel, told) {
                        remember(&mut touched, &channel);
                    }
                }
            }
        }
        if !touched.is_empty() {
            self.fanout.announce(touched.iter().map(|channel| channel.delivery()));
            self.registry.trim();
        }
    }

    /// Repairs what is stale, and pushes what was early.
    async fn repair(&mut self) {
        for Whole { channel, was_unsure } in self.repairs.run().await {
            let Some(remote) = &self.remote else { continue };
            if was_unsure {
                // The others were not told of the event, if it was stored.
                let head = channel.position();
                remote.sender.head(channel.info.id, &head.epoch, head.seq);
            }
            if self.release(&channel) {
                self.fanout.announce([channel.delivery()].into_iter());
            }
        }
    }

    /// Takes queued items, up to the batch's bounds, and refuses those that have waited too long.
    fn gather(&mut self, queue: &GroupQueue) -> Vec<Job> {
        let now = Instant::now();
        let mut bytes = 0;
        let mut batch = mem::take(&mut self.buffers.batch);
        while batch.len() < self.limits.append_batch.max(1)
            && bytes < self.limits.append_batch_bytes.max(1)
            && let Some(job) = queue.next_job()
        {
            if now.saturating_duration_since(job.queued) > self.limits.store_timeout {
                let _ = job.reply.send(Err(Error::overloaded()));
            } else {
                bytes += job.append.weight();
                batch.push(job);
            }
        }
        batch
    }

    async fn store_batch(&mut self, batch: Vec<Job>, queue: &GroupQueue) {
        let appends = batch.iter().map(|job| job.append.clone()).collect();
        let began = Instant::now();
        let results = match contain(|| self.store.append_at_once(appends)) {
            Ok(Ok(results)) => Ok(results),
            Ok(Err(appends)) => self.append(appends).await,
            Err(Panicked) => Err("the store panicked"),
        };
        self.finish_batch(batch, results, began, queue);
        if self.repairs.is_stale() {
            self.repair().await;
        }
    }

    async fn append(&self, appends: Vec<Append>) -> Result<Vec<Result<Appended, AppendError>>, &'static str> {
        let stored = contain_async(async { self.store.append(appends).await });
        match timeout(self.limits.store_timeout, stored).await {
            Ok(Ok(results)) => Ok(results),
            Ok(Err(Panicked)) => Err("the store panicked"),
            Err(_) => Err("the store did not answer in time"),
        }
    }

    /// Pushes what was stored, has it delivered, and answers.
    fn finish_batch(
        &mut self,
        mut batch: Vec<Job>,
        results: Result<Vec<Result<Appended, AppendError>>, &'static str>,
        began: Instant,
        queue: &GroupQueue,
    ) {
        let results = match results {
            Ok(results) if results.len() == batch.len() => results,
            Ok(_) => all_failed(&batch, "the store answered another batch than it was given"),
            Err(why) => all_failed(&batch, why),
        };
        let now = Instant::now();
        let mut counts = Appends { batches: 1, ..Appends::default() };
        counts.append_time.observe(now - began);
        let mut failed = None;
        let Buffers { mut touched, mut answers, .. } = mem::take(&mut self.buffers);
        for (job, result) in batch.drain(..).zip(results) {
            match &result {
                Ok(appended) => {
                    counts.stored(&job.append, appended, now - job.queued);
                    if let Some(span) = &job.span {
                        span.record("seq", appended.seq).record("duplicate", appended.duplicate);
                        tracing::debug!(parent: &**span, took = ?(now - job.queued), "stored");
                    }
                    self.push(&job.channel, job.append, appended);
                    remember(&mut touched, &job.channel);
                }
                Err(AppendError::Store(error)) => {
                    counts.failures += 1;
                    failed.get_or_insert_with(|| (Arc::clone(&job.channel), error.clone()));
                    self.repairs.mark_unsure(&job.channel);
                }
                Err(_) => {}
            }
            answers.push((job.reply, result));
        }
        match &touched[..] {
            // If nothing else is to be done first.
            [channel] if !queue.has_jobs() => self.fanout.deliver(channel.delivery(), &mut self.burst),
            touched => self.fanout.announce(touched.iter().map(|channel| channel.delivery())),
        }
        self.registry.trim();
        self.monitor.counters.add_batch(&counts);
        self.monitor.appended.ring();
        if let Some((channel, error)) = failed {
            let about =
                format_args!("{} events, the first in channel {}", counts.failures, channel.info.name);
            self.monitor.failures.failed("append failed", about, &error);
        }
        for (reply, result) in answers.drain(..) {
            // The receiver is gone if the caller went away. The event is in the log and in the ring anyway.
            let _ = reply.send(result.map_err(|error| Error::from(error).reported()));
        }
        self.buffers = Buffers { batch: kept(batch), touched: kept(touched), answers: kept(answers) };
    }

    /// Pushes an acknowledged event to the ring, and tells the other nodes of it.
    fn push(&mut self, channel: &Arc<Channel>, append: Append, appended: &Appended) {
        let head = channel.ring().read().head().clone();
        if appended.duplicate {
            if head.epoch != appended.epoch || appended.seq > head.seq {
                // Whoever stored it may have told nobody.
                if let Some(remote) = &self.remote {
                    remote.sender.head(channel.info.id, &appended.epoch, appended.seq);
                }
                self.lacks(channel);
            }
            return;
        }
        let event = append.into_event(appended.seq, appended.at);
        if let Some(remote) = &self.remote {
            remote.sender.event(channel.info.id, &appended.epoch, &event);
        }
        if head.epoch != appended.epoch {
            self.lacks(channel);
        } else if channel.push(&event) == Push::Gap {
            self.hold(channel, event);
        } else if self.remote.is_some() {
            self.release(channel);
        }
    }

    /// Has the channel repaired. It lacks an event that is known to be stored, so a new reader waits for the repair.
    pub(super) fn lacks(&mut self, channel: &Arc<Channel>) {
        channel.set_behind(true);
        self.repairs.mark(channel);
    }
}

fn all_failed(batch: &[Job], why: &'static str) -> Vec<Result<Appended, AppendError>> {
    batch.iter().map(|_| Err(StoreError::new(why).into())).collect()
}
