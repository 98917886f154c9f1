//! A channel in memory: its ring, its subscribers, and who is online.

pub(crate) mod append;
pub(crate) mod departures;
pub(crate) mod members;
pub(crate) mod registry;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use bytes::Bytes;

use crate::channel::members::Members;
use crate::delivery::handle::ConnectionHandle;
use crate::delivery::ring::HistoryRing;
use crate::delivery::ring_budget::Rings;
use crate::delivery::ring_cell::RingCell;
use crate::delivery::shard::{Shard, Subscribers};
use crate::delivery::subscriber::Subscriber;
use crate::limits::Limits;
use crate::protocol::Encoder;
use crate::store::{ChannelInfo, Head, Page, PageLimit, Replay, Store, StoreError};

/// The most events that one repair step reads from the store.
const REPAIR_PAGE: usize = 256;

/// A channel in memory. Everything in it can be read from the store again.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) info: ChannelInfo,
    ring: Arc<RingCell>,
    subscribers: Subscribers,
    members: Mutex<Members>,
    used: Mutex<Instant>,
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
            members: Mutex::default(),
            used: Mutex::new(Instant::now()),
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

    /// Reads events that the ring lacks from the store. Only the channel's own append group calls this, so two
    /// repairs of one channel never run at once.
    pub(crate) async fn repair(&self, source: Source<'_>) -> Result<(), StoreError> {
        let limit = PageLimit::new(REPAIR_PAGE, source.limits.answer_bytes);
        loop {
            let position = self.ring.read().head().position();
            match source.store.after(self.info.id, &position, limit).await? {
                Replay::Events { events, more } => {
                    for event in &events {
                        self.ring.push(event);
                    }
                    if !more {
                        break;
                    }
                }
                Replay::Reset(_) => {
                    let (head, newest) = self.read_tail(source).await?;
                    self.ring.restart(source.limits, head, &newest);
                    break;
                }
            }
        }
        Ok(())
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
    pub(crate) fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().expect("invariant: nothing panics under this lock")
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
