//! The way into a channel's log: the queues of the append groups.
//!
//! Each channel belongs to one append group, whose task ([`Group`]) stores what is queued and alone changes the ring.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};
use tracing::{Span, field};

use crate::bus::sender::Sender;
use crate::channel::Channel;
use crate::channel::group::{Group, News};
use crate::channel::registry::ChannelRegistry;
use crate::channel::remote::{Remote, Told};
use crate::delivery::FanOutQueue;
use crate::limits::Limits;
use crate::limits::share::Waits;
use crate::model::append::{Append, AppendBody};
use crate::model::error::Error;
use crate::runtime::stats::Monitor;
use crate::store::pointer::Shared;
use crate::store::{Appended, Store};

/// The news that may wait for a group, and the bytes of the events in it.
pub(crate) const NEWS: usize = 4_096;
pub(crate) const NEWS_BYTES: usize = 4 << 20;

/// The groups' queues. When it is dropped, the tasks finish what is queued and end.
#[derive(Debug)]
pub(crate) struct AppendQueue {
    groups: Vec<Arc<GroupQueue>>,
}

/// One group's queue.
#[derive(Debug)]
pub(crate) struct GroupQueue {
    waiting: Mutex<Waiting>,
    /// Bytes of the waiting items.
    bytes: AtomicUsize,
    /// Bytes of the waiting events of other nodes.
    news_bytes: Arc<AtomicUsize>,
    most: usize,
    most_bytes: usize,
    /// Wakes the group's task.
    wake: Notify,
}

/// What waits for a group.
#[derive(Debug, Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    news: VecDeque<News>,
    closed: bool,
}

/// An append that waits for the store.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) channel: Arc<Channel>,
    pub(crate) append: Append,
    pub(crate) queued: Instant,
    /// Its place in its author's share, until it is answered. What the app itself publishes has none.
    _place: Option<Waits>,
    pub(crate) reply: Reply,
    /// Its span, if spans are enabled.
    pub(crate) span: Option<Box<Span>>,
}

/// Where an append's answer goes.
pub(crate) type Reply = oneshot::Sender<Result<Appended, Error>>;

/// The answer to an append.
#[derive(Debug)]
pub(crate) struct Pending(oneshot::Receiver<Result<Appended, Error>>);

impl Future for Pending {
    type Output = Result<Appended, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|reply| reply.unwrap_or_else(|_| Err(Error::overloaded())))
    }
}

impl AppendQueue {
    /// Starts the groups' tasks.
    pub(crate) fn start(
        store: &Shared<dyn Store>,
        limits: &Arc<Limits>,
        registry: &Arc<ChannelRegistry>,
        fanout: &Arc<FanOutQueue>,
        monitor: &Arc<Monitor>,
        sender: Option<&Arc<Sender>>,
    ) -> Self {
        let groups = (0..limits.append_groups.max(1))
            .map(|_| {
                let news_bytes = Arc::default();
                let remote = sender.map(|sender| Remote::new(sender, &news_bytes));
                let group = Group::new(store, limits, registry, fanout, monitor, remote);
                let queue = Arc::new(GroupQueue {
                    waiting: Mutex::default(),
                    bytes: AtomicUsize::new(0),
                    news_bytes,
                    most: limits.append_queue.max(1),
                    most_bytes: limits.append_queue_bytes,
                    wake: Notify::new(),
                });
                tokio::spawn(run(Arc::clone(&queue), group));
                queue
            })
            .collect();
        Self { groups }
    }

    /// Returns how many appends are waiting.
    pub(crate) fn len(&self) -> usize {
        self.groups.iter().map(|group| group.waiting().jobs.len()).sum()
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
        let queue = self.group_of(&channel);
        let span = span(&channel, &append);
        let job = Job { channel, append, queued: Instant::now(), _place: place, reply, span };
        queue.push(job)?;
        Ok(Pending(pending))
    }

    /// Waits until the channel's ring has everything that the store has now.
    ///
    /// # Errors
    /// `unavailable` if the store can't be read, or if too much waits for the group.
    pub(crate) async fn catch_up(&self, channel: &Arc<Channel>) -> Result<(), Error> {
        let (done, caught_up) = oneshot::channel();
        let news = News::CatchUp { channel: Arc::clone(channel), done };
        if !self.group_of(channel).tell(news) {
            return Err(Error::overloaded());
        }
        Ok(caught_up.await.map_err(|_| Error::overloaded())??)
    }

    /// Tells the channel's group what another node has told. Returns false if too much waits for the group.
    pub(crate) fn tell(&self, channel: &Arc<Channel>, told: Told) -> bool {
        let queue = self.group_of(channel);
        let weight = told.weight();
        if weight > 0 && queue.news_bytes.fetch_add(weight, Ordering::Relaxed) > NEWS_BYTES {
            queue.news_bytes.fetch_sub(weight, Ordering::Relaxed);
            return self.tell(channel, Told::Behind);
        }
        let is_told = queue.tell(News::Told { channel: Arc::clone(channel), told });
        if !is_told {
            queue.news_bytes.fetch_sub(weight, Ordering::Relaxed);
        }
        is_told
    }

    fn group_of(&self, channel: &Channel) -> &Arc<GroupQueue> {
        let group = usize::try_from(channel.info.id.0 % self.groups.len() as u64)
            .expect("invariant: less than the number of groups");
        &self.groups[group]
    }
}

impl Drop for AppendQueue {
    fn drop(&mut self) {
        for group in &self.groups {
            group.waiting().closed = true;
            group.wake.notify_one();
        }
    }
}

impl GroupQueue {
    /// Queues an append, and wakes the group's task.
    fn push(&self, job: Job) -> Result<(), Error> {
        let weight = job.append.weight();
        let mut waiting = self.waiting();
        if waiting.jobs.len() >= self.most || self.bytes.load(Ordering::Relaxed) >= self.most_bytes {
            return Err(Error::overloaded());
        }
        self.bytes.fetch_add(weight, Ordering::Relaxed);
        waiting.jobs.push_back(job);
        drop(waiting);
        self.wake.notify_one();
        Ok(())
    }

    /// Queues news, and wakes the group's task. Returns false if too many wait.
    fn tell(&self, news: News) -> bool {
        let mut waiting = self.waiting();
        if waiting.news.len() >= NEWS {
            return false;
        }
        waiting.news.push_back(news);
        drop(waiting);
        self.wake.notify_one();
        true
    }

    /// Takes the next append.
    pub(super) fn next_job(&self) -> Option<Job> {
        let job = self.waiting().jobs.pop_front()?;
        self.bytes.fetch_sub(job.append.weight(), Ordering::Relaxed);
        Some(job)
    }

    /// Takes the next news.
    pub(super) fn next_news(&self) -> Option<News> {
        self.waiting().news.pop_front()
    }

    pub(super) fn has_jobs(&self) -> bool {
        !self.waiting().jobs.is_empty()
    }

    // Held for one push or pop, never across an await.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("invariant: nothing panics under this lock")
    }
}

/// A group's task. It runs until the queue is closed and empty.
async fn run(queue: Arc<GroupQueue>, mut group: Group) {
    loop {
        match group.due() {
            None => queue.wake.notified().await,
            Some(due) => tokio::select! {
                biased;
                () = queue.wake.notified() => {}
                () = sleep_until(due) => {}
            },
        }
        group.work(&queue).await;
        let waiting = queue.waiting();
        if waiting.closed && waiting.jobs.is_empty() && waiting.news.is_empty() {
            return;
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
        AppendBody::Member { .. } => "member",
        AppendBody::Change { .. } => "change",
    }
}
