//! The way into a channel's log: the queues of the append groups.
//!
//! Each channel belongs to one append group. Its queue is worked off, and the channel's ring changed, by one at a time:
//! by whoever has the group's [`Turn`]. A store that answers at once needs no other task: the publisher's own task takes
//! the turn, and stores and delivers its message together with everything else that is queued. For a store that waits,
//! and for repairs, the group has a task.

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
use crate::delivery::turn::Turn;
use crate::limits::Limits;
use crate::limits::share::Waits;
use crate::model::error::Error;
use crate::model::event::{Append, AppendBody};
use crate::runtime::stats::Monitor;
use crate::store::pointer::Shared;
use crate::store::{Appended, Store};

/// The news that may wait for a group, and the bytes of the events in it.
pub(crate) const NEWS: usize = 4_096;
pub(crate) const NEWS_BYTES: usize = 4 << 20;

/// How often a publisher's task works off the queue of its group in one go. After that the group's task does.
const ROUNDS_AT_ONCE: usize = 4;

/// The groups' queues. When it is dropped, the tasks finish what is queued and end.
#[derive(Debug)]
pub(crate) struct AppendQueue {
    groups: Vec<Arc<GroupQueue>>,
}

/// One group's queue, and the turn to work it off.
pub(crate) struct GroupQueue {
    waiting: Mutex<Waiting>,
    /// Bytes of the waiting items.
    bytes: AtomicUsize,
    /// Bytes of the waiting events of other nodes.
    news_bytes: Arc<AtomicUsize>,
    most: usize,
    most_bytes: usize,
    turn: Turn,
    /// Whoever has the turn takes it out.
    group: Mutex<Option<Box<Group>>>,
    /// Whether the store answers at once.
    at_once: bool,
    /// Wakes the group's task, for which the turn is asked.
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

/// The answer to an append. It is stored, together with all that is queued, when this is first polled or dropped at the
/// latest.
#[derive(Debug)]
pub(crate) struct Pending {
    reply: oneshot::Receiver<Result<Appended, Error>>,
    /// The queue, until somebody was asked to work it off.
    queue: Option<Arc<GroupQueue>>,
}

impl Pending {
    /// Has everything stored that is queued, if that was not begun.
    pub(crate) fn begin(&mut self) {
        if let Some(queue) = self.queue.take() {
            queue.work();
        }
    }
}

impl Future for Pending {
    type Output = Result<Appended, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.begin();
        Pin::new(&mut self.reply).poll(cx).map(|reply| reply.unwrap_or_else(|_| Err(Error::overloaded())))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(queue) = self.queue.take() {
            queue.ask();
        }
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
        let at_once = store.append_at_once(Vec::new()).is_ok();
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
                    turn: Turn::new(),
                    group: Mutex::new(Some(Box::new(group))),
                    at_once,
                    wake: Notify::new(),
                });
                tokio::spawn(run(Arc::clone(&queue)));
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
        if queue.at_once {
            return Ok(Pending { reply: pending, queue: Some(Arc::clone(queue)) });
        }
        // The store may as well begin now.
        queue.ask();
        Ok(Pending { reply: pending, queue: None })
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
            group.ask();
        }
    }
}

impl GroupQueue {
    /// Queues an append. [Ask](Self::ask) for it to be stored, or [work](Self::work) it off.
    fn push(&self, job: Job) -> Result<(), Error> {
        let weight = job.append.weight();
        let mut waiting = self.waiting();
        if waiting.jobs.len() >= self.most || self.bytes.load(Ordering::Relaxed) >= self.most_bytes {
            return Err(Error::overloaded());
        }
        self.bytes.fetch_add(weight, Ordering::Relaxed);
        waiting.jobs.push_back(job);
        Ok(())
    }

    /// Queues news and has them worked off. Returns false if too many wait.
    fn tell(&self, news: News) -> bool {
        let mut waiting = self.waiting();
        if waiting.news.len() >= NEWS {
            return false;
        }
        waiting.news.push_back(news);
        drop(waiting);
        self.ask();
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

    pub(super) fn has_news(&self) -> bool {
        !self.waiting().news.is_empty()
    }

    /// Puts a batch back in front of everything else.
    pub(super) fn put_back(&self, batch: Vec<Job>) {
        let mut waiting = self.waiting();
        for job in batch.into_iter().rev() {
            self.bytes.fetch_add(job.append.weight(), Ordering::Relaxed);
            waiting.jobs.push_front(job);
        }
    }

    /// Has the group's task work off the queue, unless somebody does already.
    fn ask(&self) {
        if self.turn.ask() {
            self.wake.notify_one();
        }
    }

    /// Works off the queue as far as that needs no waiting, unless somebody does already.
    fn work(&self) {
        if !self.turn.ask() {
            return;
        }
        for _ in 0..ROUNDS_AT_ONCE {
            self.turn.take();
            let mut group = self.take_group();
            let is_done = group.work_at_once(self);
            self.put_group(group);
            if !self.turn.end() {
                if !is_done {
                    self.ask();
                }
                return;
            }
        }
        self.wake.notify_one();
    }

    fn take_group(&self) -> Box<Group> {
        let mut group = self.group.lock().expect("invariant: nothing panics under this lock");
        group.take().expect("invariant: whoever has the turn has put it back")
    }

    fn put_group(&self, group: Box<Group>) {
        *self.group.lock().expect("invariant: nothing panics under this lock") = Some(group);
    }

    // Held for one push or pop, never across an await.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("invariant: nothing panics under this lock")
    }
}

impl std::fmt::Debug for GroupQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupQueue").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

/// A group's task. It runs until the queue is closed and empty.
async fn run(queue: Arc<GroupQueue>) {
    let mut due = None;
    loop {
        match due {
            None => queue.wake.notified().await,
            Some(due) => tokio::select! {
                biased;
                () = queue.wake.notified() => {}
                () = sleep_until(due) => if !queue.turn.ask() {
                    // Whoever has the turn wakes this task for what is due.
                    queue.wake.notified().await;
                },
            },
        }
        queue.turn.take();
        let mut group = queue.take_group();
        group.work(&queue).await;
        due = group.due();
        queue.put_group(group);
        let ends = {
            let waiting = queue.waiting();
            waiting.closed && waiting.jobs.is_empty() && waiting.news.is_empty()
        };
        if ends {
            return;
        }
        if queue.turn.end() {
            queue.wake.notify_one();
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
