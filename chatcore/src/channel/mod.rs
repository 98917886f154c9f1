//! A channel that is in use: its ring, who is subscribed to it, who is online in it.

pub(crate) mod append;
pub(crate) mod members;
pub(crate) mod registry;

use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::OnceCell;

use crate::channel::members::Members;
use crate::delivery::handle::ConnectionHandle;
use crate::delivery::ring::{HistoryRing, Push};
use crate::delivery::ring_budget::Rings;
use crate::delivery::shard::{Shard, Subscribers};
use crate::delivery::subscriber::Subscriber;
use crate::limits::Limits;
use crate::model::event::Event;
use crate::protocol::Encoder;
use crate::store::{ChannelInfo, PageLimit, Replay, Store, StoreError};

/// Events that one repair step reads from the store.
const REPAIR_PAGE: usize = 256;

/// A channel in memory. Everything in it can be had again from the store.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) info: ChannelInfo,
    ring: OnceCell<RwLock<HistoryRing>>,
    subscribers: Subscribers,
    members: Mutex<Members>,
    used: Mutex<Instant>,
}

/// What a channel's log is read with.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) store: &'a dyn Store,
    pub(crate) encoder: &'a Encoder,
    pub(crate) limits: &'a Limits,
    pub(crate) rings: &'a Arc<Rings>,
}

impl Channel {
    pub(crate) fn new(info: ChannelInfo) -> Self {
        Self {
            info,
            ring: OnceCell::new(),
            subscribers: Subscribers::default(),
            members: Mutex::default(),
            used: Mutex::new(Instant::now()),
        }
    }

    /// Fills the ring on the first use of the channel.
    pub(crate) async fn load(&self, source: Source<'_>) -> Result<(), StoreError> {
        self.ring
            .get_or_try_init(|| async {
                let (head, newest) = self.read_tail(source).await?;
                Ok(RwLock::new(HistoryRing::new(source.limits, source.encoder, source.rings, head, &newest)))
            })
            .await?;
        Ok(())
    }

    pub(crate) fn is_loaded(&self) -> bool {
        self.ring.initialized()
    }

    async fn read_tail(
        &self,
        source: Source<'_>,
    ) -> Result<(crate::store::Head, crate::store::Page), StoreError> {
        let id = self.info.id;
        let head = source.store.heads(&[id]).await?.into_iter().next().flatten();
        let head = head.ok_or_else(|| StoreError::new("the channel's log is gone"))?;
        let limit = HistoryRing::messages_limit(source.limits);
        let newest = source.store.messages_before(id, head.seq + 1, limit).await?;
        Ok((head, newest))
    }

    /// Looks at the ring. Call [`load`](Self::load) first.
    pub(crate) fn ring(&self) -> RwLockReadGuard<'_, HistoryRing> {
        self.loaded().read().expect("invariant: nothing panics under this lock")
    }

    fn loaded(&self) -> &RwLock<HistoryRing> {
        self.ring.get().expect("invariant: a channel is loaded before it is read or appended to")
    }

    /// Adds an event that the store holds. The write lock keeps readers away for one push.
    pub(crate) fn push(&self, encoder: &Encoder, event: &Event) -> Push {
        let encoded = encoder.event(&self.info.name, event);
        let mut ring = self.loaded().write().expect("invariant: nothing panics under this lock");
        ring.push(encoder, event, encoded)
    }

    /// Keeps the newest of the ring, up to `floor` bytes of frames and of messages.
    pub(crate) fn shrink(&self, floor: usize) {
        self.loaded().write().expect("invariant: nothing panics under this lock").shrink(floor);
    }

    /// Reads from the store whatever the ring has not seen. Only the channel's own append group calls this, so
    /// two repairs of one channel never run at once.
    pub(crate) async fn repair(&self, source: Source<'_>) -> Result<(), StoreError> {
        let limit = PageLimit::new(REPAIR_PAGE, source.limits.answer_bytes);
        loop {
            let position = self.ring().head().position();
            match source.store.after(self.info.id, &position, limit).await? {
                Replay::Events { events, more } => {
                    for event in &events {
                        self.push(source.encoder, event);
                    }
                    if !more {
                        break;
                    }
                }
                Replay::Reset(_) => {
                    let (head, newest) = self.read_tail(source).await?;
                    let mut ring = self.loaded().write().expect("invariant: nothing panics under this lock");
                    ring.restart(source.limits, source.encoder, head, &newest);
                    break;
                }
            }
        }
        Ok(())
    }

    /// Leaves a frame with every subscriber whose connection is meant; `offer` it where nobody would miss it.
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
        self.subscribers.add(subscriber, || self.ring().cursor())
    }

    pub(crate) fn unsubscribe(&self, shard: &Arc<Shard>, subscriber: &Arc<Subscriber>) {
        self.subscribers.remove(shard, subscriber);
        *self.used() = Instant::now();
    }

    /// Returns whom to tell what is new in the ring.
    pub(crate) fn subscribers(&self) -> &Subscribers {
        &self.subscribers
    }

    /// Looks at who is online.
    pub(crate) fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().expect("invariant: nothing panics under this lock")
    }

    /// Returns when the channel was last in use.
    pub(crate) fn used(&self) -> MutexGuard<'_, Instant> {
        self.used.lock().expect("invariant: nothing panics under this lock")
    }
}

/// How a frame outside the log is left with a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Manner {
    /// It has to be seen.
    Send,
    /// It may be dropped.
    Offer,
}
