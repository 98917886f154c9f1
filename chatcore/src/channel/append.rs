//! The way into a channel's log: the queues of the append groups.
//!
//! Each channel belongs to one append group, whose task ([`Group`]) stores what is queued and alone changes the ring.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
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
    groups: Vec<Queue>,
    /// The most items that wait for a group, and their bytes.
    most: usize,
    most_bytes: usize,
}

/// One group's queue. Its bounds are those of `waiting`: a bounded channel of tokio locks a semaphore for each item.
#[derive(Debug)]
struct Queue {
    items: mpsc::UnboundedSender<Item>,
    waiting: Arc<Waiting>,
}

/// What waits for a group.
#[derive(Debug)]
pub(super) enum Item {
    Job(Box<Job>),
    News(News),
}

/// How much waits for a group.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) jobs: Count,
    pub(super) news: Count,
}

/// How many items of a kind wait, and their bytes.
#[derive(Debug, Default)]
pub(super) struct Count {
    items: AtomicUsize,
    bytes: AtomicUsize,
}

impl Count {
    /// Counts an item of `weight` bytes. Returns false, and counts nothing, if there are `most` or `most_bytes` already.
    fn enter(&self, weight: usize, most: usize, most_bytes: usize) -> bool {
        let is_light = weight == 0 || self.bytes.load(Ordering::Relaxed) < most_bytes;
        let fits = is_light && self.items.fetch_add(1, Ordering::Relaxed) < most;
        if fits {
            self.bytes.fetch_add(weight, Ordering::Relaxed);
        } else if is_light {
            self.items.fetch_sub(1, Ordering::Relaxed);
        }
        fits
    }

    /// Counts one less.
    pub(super) fn leave(&self, weight: usize) {
        self.items.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(weight, Ordering::Relaxed);
    }
}

/// An append that waits for the store. It is boxed, since it is moved from hand to hand.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) channel: Arc<Channel>,
    pub(crate) append: Append,
    pub(crate) weight: usize,
    pub(crate) queued: Instant,
    /// How long it waited for its batch.
    pub(crate) waited: Duration,
    /// Its place in its author's share, until it is answered. What the app itself publishes has none.
    _place: Option<Waits>,
    pub(crate) reply: oneshot::Sender<Result<Appended, Error>>,
    /// Its span, if spans are enabled.
    pub(crate) span: Option<Box<Span>>,
}

/// The answer to an append.
#[derive(Debug)]
pub(crate) struct Pending(oneshot::Receiver<Result<Appended, Error>>);

impl Future for Pending {
    type Output = Result<Appended, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|answer| answer.unwrap_or_else(|_| Err(Error::overloaded())))
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
                let (items, queue) = mpsc::unbounded_channel();
                let waiting = Arc::<Waiting>::default();
                let remote = sender.map(Remote::new);
                let group = Group::new(store, limits, registry, fanout, monitor, &waiting, remote);
                tokio::spawn(group.run(queue));
                Queue { items, waiting }
            })
            .collect();
        Self { groups, most: limits.append_queue.max(1), most_bytes: limits.append_queue_bytes }
    }

    /// Returns how many appends are waiting.
    pub(crate) fn len(&self) -> usize {
        self.groups.iter().map(|group| group.waiting.jobs.items.load(Ordering::Relaxed)).sum()
    }

    /// Queues an append to a loaded channel. It is answered within two [`Limits::store_timeout`]s. If it waits
    /// longer than one for its turn, it is refused and not stored.
    ///
    /// # Errors
    /// `unavailable` if the queue is full.
    #[inline]
    pub(crate) fn enqueue(
        &self,
        channel: Arc<Channel>,
        append: Append,
        place: Option<Waits>,
    ) -> Result<Pending, Error> {
        let Queue { items, waiting } = self.group_of(&channel);
        let weight = append.weight();
        // Before the job can be taken out of the queue.
        if !waiting.jobs.enter(weight, self.most, self.most_bytes) {
            return Err(Error::overloaded());
        }
        let (reply, pending) = oneshot::channel();
        let span = span(&channel, &append);
        let job = Job {
            channel,
            append,
            weight,
            queued: Instant::now(),
            waited: Duration::ZERO,
            _place: place,
            reply,
            span,
        };
        match items.send(Item::Job(Box::new(job))) {
            Ok(()) => Ok(Pending(pending)),
            Err(_) => {
                waiting.jobs.leave(weight);
                Err(Error::overloaded())
            }
        }
    }

    /// Waits until the channel's ring has everything that the store has now.
    ///
    /// # Errors
    /// `unavailable` if the store can't be read, or if too much waits for the group.
    pub(crate) async fn catch_up(&self, channel: &Arc<Channel>) -> Result<(), Error> {
        let (done, caught_up) = oneshot::channel();
        let news = News::CatchUp { channel: Arc::clone(channel), done };
        if !self.send(channel, news, 0) {
            return Err(Error::overloaded());
        }
        Ok(caught_up.await.map_err(|_| Error::overloaded())??)
    }

    /// Tells the channel's group what another node has told. Returns false if too much waits for the group.
    pub(crate) fn tell(&self, channel: &Arc<Channel>, told: Told) -> bool {
        let weight = told.weight();
        self.send(channel, News::Told { channel: Arc::clone(channel), told }, weight)
            || (weight > 0 && self.tell(channel, Told::Behind))
    }

    fn send(&self, channel: &Channel, news: News, weight: usize) -> bool {
        let group = self.group_of(channel);
        if !group.waiting.news.enter(weight, NEWS, NEWS_BYTES) {
            return false;
        }
        let sent = group.items.send(Item::News(news)).is_ok();
        if !sent {
            group.waiting.news.leave(weight);
        }
        sent
    }

    fn group_of(&self, channel: &Channel) -> &Queue {
        let group = usize::try_from(channel.info.id.0 % self.groups.len() as u64)
            .expect("invariant: less than the number of groups");
        &self.groups[group]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_in_number_and_in_bytes() {
        let count = Count::default();
        assert!(count.enter(10, 3, 25) && count.enter(10, 3, 25));
        assert!(count.enter(10, 3, 25), "it begins below the bound");
        assert!(!count.enter(0, 3, 25), "three are there");
        count.leave(10);
        count.leave(0);
        assert!(!count.enter(10, 9, 20), "too many bytes");
        assert!(count.enter(0, 9, 20), "what has no bytes");
        assert_eq!((count.items.into_inner(), count.bytes.into_inner()), (2, 20));
    }

    #[test]
    fn an_item_of_the_queue_takes_the_bytes_that_are_counted() {
        assert!(size_of::<Item>() <= 40, "{}", size_of::<Item>());
    }
}
