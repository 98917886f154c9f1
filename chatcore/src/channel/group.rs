//! An append group's task: it gathers queued appends into a batch, stores it, and pushes it to the rings.
//!
//! A group has one batch in flight. While the store syncs one batch, the next one gathers, without a timer: a single
//! publish is stored at once, and many share a sync. The task owns an append from the queue to the ring, so a caller
//! that goes away changes nothing.

use std::mem::take;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout};

use crate::channel::Channel;
use crate::channel::append::{Item, Job, Waiting};
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
use crate::runtime::stats::{Batch, Monitor};
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

impl News {
    /// Returns the bytes that count towards those that may wait.
    fn weight(&self) -> usize {
        match self {
            Self::CatchUp { .. } => 0,
            Self::Told { told, .. } => told.weight(),
        }
    }
}

/// What a group does next.
enum Next {
    /// `None` if the queue is closed and empty.
    Item(Option<Item>),
    Due,
}

/// What became of an append, and who waits for it.
type Answer = (oneshot::Sender<Result<Appended, Error>>, Stored);

/// The store's answer to an append.
type Stored = Result<Appended, AppendError>;

/// A group's task.
pub(crate) struct Group {
    store: Shared<dyn Store>,
    limits: Arc<Limits>,
    registry: Arc<ChannelRegistry>,
    fanout: Arc<FanOutQueue>,
    pub(super) monitor: Arc<Monitor>,
    waiting: Arc<Waiting>,
    pub(super) repairs: Repairs,
    /// For what the group delivers itself.
    burst: Burst,
    /// The current batch, the store's answers to it, those to its callers, and its channels. The lists stay for the next one.
    #[expect(clippy::vec_box, reason = "a job stays where it was queued")]
    batch: Vec<Box<Job>>,
    results: Vec<Stored>,
    answers: Vec<Answer>,
    touched: Vec<Arc<Channel>>,
    counts: Batch,
    /// What was heard beside the current batch.
    news: Vec<News>,
    /// The number of the last batches that had one append each.
    alone: u32,
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
        waiting: &Arc<Waiting>,
        remote: Option<Remote>,
    ) -> Self {
        Self {
            store: store.clone(),
            limits: Arc::clone(limits),
            registry: Arc::clone(registry),
            fanout: Arc::clone(fanout),
            monitor: Arc::clone(monitor),
            waiting: Arc::clone(waiting),
            repairs: Repairs::new(store, limits, fanout, monitor),
            burst: Burst::default(),
            batch: Vec::new(),
            results: Vec::new(),
            answers: Vec::new(),
            touched: Vec::new(),
            counts: Batch::default(),
            news: Vec::new(),
            alone: 0,
            remote,
        }
    }

    /// Runs until the queue is closed and empty.
    pub(crate) async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Item>) {
        loop {
            if self.repairs.are_wanted() {
                self.repair().await;
            }
            let first = match self.next(&mut queue).await {
                Next::Item(Some(first)) => self.counted(first),
                Next::Item(None) => return,
                Next::Due => {
                    self.give_up_waiting();
                    self.repair().await;
                    continue;
                }
            };
            if matches!(first, Item::Job(_)) && self.is_in_company() {
                // Callers that are about to run may append too, and share the batch.
                yield_now().await;
            }
            let now = Instant::now();
            self.gather(first, &mut queue, now);
            if !self.news.is_empty() {
                self.hear();
            }
            if !self.batch.is_empty() {
                self.alone = if self.batch.len() > 1 { 0 } else { self.alone.wrapping_add(1) };
                self.store_batch(&queue, now).await;
            }
        }
    }

    /// Returns whether it is worth waiting for others: not if the last batches had one append each. Every eighth time it is
    /// tried again, since without waiting, callers that run one after the other never share a batch.
    fn is_in_company(&self) -> bool {
        self.alone < 8 || self.alone.is_multiple_of(8)
    }

    /// Waits for what is next. Without a timer if there is nothing to repair, as most of the time.
    async fn next(&self, queue: &mut mpsc::UnboundedReceiver<Item>) -> Next {
        match self.due() {
            None => Next::Item(queue.recv().await),
            Some(due) => tokio::select! {
                biased;
                item = queue.recv() => Next::Item(item),
                () = sleep_until(due) => Next::Due,
            },
        }
    }

    /// Returns when something is to be done although nothing comes.
    fn due(&self) -> Option<Instant> {
        let early = self.remote.as_ref().and_then(|remote| remote.reorder.due());
        match (early, self.repairs.due()) {
            (Some(early), Some(repair)) => Some(early.min(repair)),
            (early, repair) => early.or(repair),
        }
    }

    /// Handles the gathered news, and has the fan-out deliver what is new.
    fn hear(&mut self) {
        let mut touched = Vec::new();
        let mut news = take(&mut self.news);
        for heard in news.drain(..) {
            self.waiting.news.leave(heard.weight());
            match heard {
                News::CatchUp { channel, done } => self.repairs.wait(channel, done),
                News::Told { channel, told } => {
                    if self.take(&channel, told) {
                        remember(&mut touched, &channel);
                    }
                }
            }
        }
        self.news = news;
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

    /// Counts what was taken out of the queue. News count until they are handled.
    fn counted(&self, item: Item) -> Item {
        if let Item::Job(job) = &item {
            self.waiting.jobs.leave(job.weight);
        }
        item
    }

    /// Takes further queued items after `first`, up to the batch's bounds, and refuses the jobs that have waited too
    /// long.
    fn gather(&mut self, first: Item, queue: &mut mpsc::UnboundedReceiver<Item>, now: Instant) {
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(item) = next {
            match item {
                Item::News(news) => self.news.push(news),
                Item::Job(mut job) => {
                    job.waited = now.saturating_duration_since(job.queued);
                    if job.waited > self.limits.store_timeout {
                        let _ = job.reply.send(Err(Error::overloaded()));
                    } else {
                        bytes += job.weight;
                        self.batch.push(job);
                    }
                }
            }
            let full =
                self.batch.len() >= self.limits.append_batch || bytes >= self.limits.append_batch_bytes;
            next = if full { None } else { queue.try_recv().ok().map(|item| self.counted(item)) };
        }
    }

    async fn store_batch(&mut self, queue: &mpsc::UnboundedReceiver<Item>, began: Instant) {
        let (mut batch, mut results) = (take(&mut self.batch), take(&mut self.results));
        if let Err(why) = self.append(&batch, &mut results).await {
            results.clear();
            results.extend(batch.iter().map(|_| Err(StoreError::new(why).into())));
        }
        let took = began.elapsed();
        let mut failed = None;
        for (job, result) in batch.drain(..).zip(results.drain(..)) {
            match &result {
                Ok(appended) => {
                    self.counts.stored(&job.append, appended, job.waited + took);
                    if let Some(span) = &job.span {
                        span.record("seq", appended.seq).record("duplicate", appended.duplicate);
                        tracing::debug!(parent: &**span, took = ?(job.waited + took), "stored");
                    }
                    self.push(&job.channel, job.append, appended);
                    remember(&mut self.touched, &job.channel);
                }
                Err(AppendError::Store(error)) => {
                    self.counts.failures += 1;
                    failed.get_or_insert_with(|| (Arc::clone(&job.channel), error.clone()));
                    self.repairs.mark_unsure(&job.channel);
                }
                Err(_) => {}
            }
            self.answers.push((job.reply, result));
        }
        (self.batch, self.results) = (batch, results);
        match &self.touched[..] {
            // If nothing else is to be done first.
            [channel] if queue.is_empty() => self.fanout.deliver(channel.delivery(), &mut self.burst),
            touched => self.fanout.announce(touched.iter().map(|channel| channel.delivery())),
        }
        self.touched.clear();
        self.registry.trim();
        if let Some((channel, error)) = failed {
            let (failures, name) = (self.counts.failures, &channel.info.name);
            let about = format_args!("{failures} events, the first in channel {name}");
            self.monitor.failures.failed("append failed", about, &error);
        }
        self.monitor.counters.add_batch(&mut self.counts, took);
        self.monitor.appended.ring();
        for (reply, result) in self.answers.drain(..) {
            // The receiver is gone if the caller went away. The event is in the log and in the ring anyway.
            let _ = reply.send(result.map_err(|error| Error::from(error).reported()));
        }
        if self.repairs.is_stale() {
            self.repair().await;
        }
    }

    /// Has the store append a batch, at once if it can, and adds a result for each job. Otherwise returns why the outcome of
    /// all of them is unknown.
    async fn append(&self, batch: &[Box<Job>], results: &mut Vec<Stored>) -> Result<(), &'static str> {
        const PANICKED: &str = "the store panicked";
        let mut appends = batch.iter().map(|job| job.append.clone());
        let is_done = contain(|| self.store.append_at_once(&mut appends, results));
        if !is_done.map_err(|Panicked| PANICKED)? {
            let appends = batch.iter().map(|job| job.append.clone()).collect();
            let stored = contain_async(async { self.store.append(appends).await });
            let stored = timeout(self.limits.store_timeout, stored).await;
            *results =
                stored.map_err(|_| "the store did not answer in time")?.map_err(|Panicked| PANICKED)?;
        }
        if results.len() != batch.len() {
            return Err("the store answered another batch than it was given");
        }
        Ok(())
    }

    /// Pushes an acknowledged event to the ring, and tells the other nodes of it.
    fn push(&mut self, channel: &Arc<Channel>, append: Append, appended: &Appended) {
        let (is_same_log, seq) = {
            let ring = channel.ring().read();
            (ring.head().epoch == appended.epoch, ring.head().seq)
        };
        if appended.duplicate {
            if !is_same_log || appended.seq > seq {
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
        if !is_same_log {
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
