//! A channel in memory: its ring, its subscribers, and who is online.

pub(crate) mod append;
pub(crate) mod departures;
mod group;
pub(crate) mod online;
pub(crate) mod registry;
pub(crate) mod remote;
pub(crate) mod reorder;
mod repairs;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use bytes::Bytes;

use crate::channel::online::Online;
use crate::delivery::handle::ConnectionHandle;
use crate::delivery::ring::{HistoryRing, Push};
use crate::delivery::ring_budget::Rings;
use crate::delivery::ring_cell::RingCell;
use crate::delivery::shard::{Shard, Subscribers};
use crate::delivery::subscriber::Subscriber;
use crate::limits::Limits;
use crate::model::event::{Event, EventKind};
use crate::model::id::{Position, UserId};
use crate::model::membership::{ChannelKind, MemberOp};
use crate::protocol::{Encoder, RemovalReason};
use crate::store::{ChannelInfo, Head, Page, PageLimit, Replay, Store, StoreError};

/// A channel in memory. Everything in it can be read from the store again.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) info: ChannelInfo,
    ring: Arc<RingCell>,
    subscribers: Subscribers,
    online: Mutex<Online>,
    used: Mutex<Instant>,
    /// Whether the ring lacks an event that is known to be stored, such as one that was acknowledged while another
    /// process has appended before it.
    behind: AtomicBool,
}

/// How far a repair has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repaired {
    /// The ring has everything that the store had.
    Whole,
    /// The store has more.
    Partly,
}

/// What reading a channel's log needs.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) store: &'a dyn Store,
    pub(crate) limits: &'a Limits,
}

impl Channel {
    pub(crate) fn new(info: ChannelInfo, encoder: Encoder, rings: Arc<Rings>) -> Self {
        Self {
            ring: Arc::new(RingCell::new(info.name.clone(), encoder, rings)),
            info,
            subscribers: Subscribers::default(),
            online: Mutex::default(),
            used: Mutex::new(Instant::now()),
            behind: AtomicBool::new(false),
        }
    }

    /// Fills the ring on the first use of the channel.
    pub(crate) async fn load(&self, source: Source<'_>) -> Result<(), StoreError> {
        self.ring.fill(source.limits, || self.read_tail(source)).await
    }

    async fn read_tail(&self, source: Source<'_>) -> Result<(Head, Page), StoreError> {
        let id = self.info.id;
        let head = source.store.heads(&[id]).await?.into_iter().next().flatten();
        let head = head.ok_or_else(|| StoreError::new("the channel's log is gone"))?;
        let limit = HistoryRing::messages_limit(source.limits);
        let newest = source.store.messages_before(id, head.seq + 1, limit).await?;
        Ok((head, newest))
    }

    /// Returns the channel's ring. [Load](Self::load) the channel before reading it.
    pub(crate) fn ring(&self) -> &Arc<RingCell> {
        &self.ring
    }

    /// Returns where the ring ends.
    pub(crate) fn position(&self) -> Position {
        self.ring.read().head().position()
    }

    /// Adds the next event of the log to the ring. An event with which somebody's right to read ends, ends their
    /// subscriptions here, before a later event is in the ring. Only the channel's own append group calls this.
    pub(crate) fn push(&self, event: &Event) -> Push {
        let push = self.ring.push(event);
        if let EventKind::Member { op, user, .. } = &event.kind
            && push == Push::Done
            && op.ends_membership()
            && self.info.kind != ChannelKind::Open
        {
            let reason = if *op == MemberOp::Left { RemovalReason::Left } else { RemovalReason::Removed };
            self.subscribers.for_each(|subscriber| {
                if subscriber.handle().identity.user.id == user.id {
                    subscriber.end_with(event.seq, reason);
                }
            });
        }
        push
    }

    /// Takes an erased person out of the list of who is online, whatever connections they have, and their name out of the
    /// ring.
    pub(crate) fn forget(&self, user: &UserId, limit: PageLimit) {
        let changes = self.online().expel(user, limit);
        departures::tell(self, changes);
        self.ring.forget(user);
    }

    /// Pushes what the store has after the ring's [position](Self::position). Only the channel's own append group
    /// calls this, so two repairs of one channel never run at once.
    pub(crate) async fn repair(&self, replay: Replay, source: Source<'_>) -> Result<Repaired, StoreError> {
        match replay {
            Replay::Events { events, more } => {
                for event in &events {
                    self.push(event);
                }
                Ok(if more { Repaired::Partly } else { Repaired::Whole })
            }
            Replay::Reset(_) => {
                let (head, newest) = self.read_tail(source).await?;
                self.ring.restart(source.limits, head, &newest);
                Ok(Repaired::Whole)
            }
        }
    }

    /// Sets whether the ring lacks an event that is known to be stored.
    pub(crate) fn set_behind(&self, behind: bool) {
        self.behind.store(behind, Ordering::Release);
    }

    /// Returns whether the ring lacks an event that is known to be stored. [Catch up](append::AppendQueue::catch_up)
    /// before reading it for a new reader.
    pub(crate) fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Acquire)
    }

    /// Leaves a frame with every subscriber whose connection `is_meant`.
    pub(crate) fn broadcast(
        &self,
        frame: &Bytes,
        is_meant: impl Fn(&Arc<ConnectionHandle>) -> bool,
        manner: Manner,
    ) {
        self.subscribers.for_each(|subscriber| {
            if !is_meant(subscriber.handle()) {
                return;
            }
            match manner {
                Manner::Send => subscriber.send(frame),
                Manner::Offer => subscriber.offer(frame),
            }
        });
    }

    /// Adds a subscriber. Returns the shard to [`unsubscribe`](Self::unsubscribe) it from.
    pub(crate) fn subscribe(&self, subscriber: Arc<Subscriber>) -> Arc<Shard> {
        self.subscribers.add(subscriber, || self.ring.read().cursor())
    }

    pub(crate) fn unsubscribe(&self, shard: &Arc<Shard>, subscriber: &Arc<Subscriber>) {
        self.subscribers.remove(shard, subscriber);
        *self.used() = Instant::now();
    }

    /// Returns the ring and the subscribers, for the fan-out.
    pub(crate) fn delivery(&self) -> (&Arc<RingCell>, &Subscribers) {
        (&self.ring, &self.subscribers)
    }

    /// Returns who is online.
    pub(crate) fn online(&self) -> MutexGuard<'_, Online> {
        self.online.lock().expect("invariant: nothing panics under this lock")
    }

    /// Returns when the channel was last in use.
    pub(crate) fn used(&self) -> MutexGuard<'_, Instant> {
        self.used.lock().expect("invariant: nothing panics under this lock")
    }
}

/// How a frame outside of the log is left with a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Manner {
    /// The client must get it.
    Send,
    /// It may be dropped.
    Offer,
}
