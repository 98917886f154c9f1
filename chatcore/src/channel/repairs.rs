//! Repairs: they read from the store what rings lack.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::channel::{Channel, Repaired, Source};
use crate::delivery::FanOutQueue;
use crate::limits::Limits;
use crate::runtime::panics::contain_async;
use crate::runtime::stats::Monitor;
use crate::store::pointer::Shared;
use crate::store::{PageLimit, Store, StoreError};

/// The time between two repairs after a failure.
const INTERVAL: Duration = Duration::from_millis(500);

/// The most channels that are read in one call of the store.
const CHANNELS: usize = 64;

/// The most events of one channel in one call of the store.
const EVENTS: usize = 256;

/// The channels of one append group whose rings may lack what the store has.
pub(crate) struct Repairs {
    store: Shared<dyn Store>,
    limits: Arc<Limits>,
    fanout: Arc<FanOutQueue>,
    monitor: Arc<Monitor>,
    /// Channels to read again, the first one first.
    stale: Vec<Arc<Channel>>,
    /// Those of them with an append whose outcome is unknown.
    unsure: Vec<Arc<Channel>>,
    /// Readers who wait for a repair: at most one for each connection.
    waiters: Vec<Waiter>,
    /// When a failed repair is tried again.
    due: Option<Instant>,
}

/// A channel whose ring has what the store had.
pub(crate) struct Whole {
    pub(crate) channel: Arc<Channel>,
    /// Whether the outcome of an append was unknown.
    pub(crate) was_unsure: bool,
}

struct Waiter {
    channel: Arc<Channel>,
    done: oneshot::Sender<Result<(), StoreError>>,
}

impl Repairs {
    pub(crate) fn new(
        store: &Shared<dyn Store>,
        limits: &Arc<Limits>,
        fanout: &Arc<FanOutQueue>,
        monitor: &Arc<Monitor>,
    ) -> Self {
        Self {
            store: store.clone(),
            limits: Arc::clone(limits),
            fanout: Arc::clone(fanout),
            monitor: Arc::clone(monitor),
            stale: Vec::new(),
            unsure: Vec::new(),
            waiters: Vec::new(),
            due: None,
        }
    }

    /// Marks a channel to be read again.
    pub(crate) fn mark(&mut self, channel: &Arc<Channel>) {
        remember(&mut self.stale, channel);
    }

    /// Marks a channel to be read again after an append with an unknown outcome.
    pub(crate) fn mark_unsure(&mut self, channel: &Arc<Channel>) {
        remember(&mut self.unsure, channel);
        self.mark(channel);
    }

    /// Returns whether a channel is to be read again.
    pub(crate) fn has(&self, channel: &Arc<Channel>) -> bool {
        self.stale.iter().any(|other| Arc::ptr_eq(other, channel))
    }

    /// Marks a channel for a reader, who is told when the ring has what the store has now.
    pub(crate) fn wait(&mut self, channel: Arc<Channel>, done: oneshot::Sender<Result<(), StoreError>>) {
        self.mark(&channel);
        self.waiters.push(Waiter { channel, done });
    }

    /// Returns whether there is a repair that need not wait, since a reader asked for it or none has failed.
    pub(crate) fn are_wanted(&self) -> bool {
        !self.waiters.is_empty() || (self.due.is_none() && !self.stale.is_empty())
    }

    /// Returns whether there is anything to repair.
    pub(crate) fn is_stale(&self) -> bool {
        !self.stale.is_empty()
    }

    /// Returns when a failed repair is to be tried again.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Repairs the channels until the store fails. Then the store is unavailable, and the rest waits for the next
    /// batch or interval. Returns the repaired channels.
    pub(crate) async fn run(&mut self) -> Vec<Whole> {
        let mut whole = Vec::new();
        self.due = None;
        while !self.stale.is_empty() {
            let channels: Vec<_> = self.stale.iter().take(CHANNELS).map(Arc::clone).collect();
            let source = Source { store: &*self.store, limits: &self.limits };
            let round = contain_async(repair(&channels, source));
            let failure = match timeout(self.limits.store_timeout, round).await {
                Ok(Ok(Ok(repaired))) => {
                    self.finish(&channels, repaired, &mut whole);
                    continue;
                }
                Ok(Ok(Err(error))) => error,
                Ok(Err(panicked)) => StoreError::because("the store panicked", panicked),
                Err(elapsed) => StoreError::because("the store did not answer in time", elapsed),
            };
            self.report(&channels[0], &failure);
            for waiter in self.waiters.drain(..) {
                // A reader that has gone needs no answer.
                let _ = waiter.done.send(Err(failure.clone()));
            }
            self.due = Some(Instant::now() + INTERVAL);
            break;
        }
        whole
    }

    fn finish(
        &mut self,
        channels: &[Arc<Channel>],
        repaired: Vec<Result<Repaired, StoreError>>,
        whole: &mut Vec<Whole>,
    ) {
        for (channel, repaired) in channels.iter().zip(repaired) {
            let outcome = match repaired {
                Ok(Repaired::Partly) => continue,
                Ok(Repaired::Whole) => {
                    channel.set_behind(false);
                    self.monitor.counters.repairs.add(1);
                    let before = self.unsure.len();
                    self.unsure.retain(|other| !Arc::ptr_eq(other, channel));
                    let was_unsure = self.unsure.len() < before;
                    whole.push(Whole { channel: Arc::clone(channel), was_unsure });
                    Ok(())
                }
                Err(error) => {
                    self.report(channel, &error);
                    Err(error)
                }
            };
            self.stale.retain(|other| !Arc::ptr_eq(other, channel));
            for waiter in self.waiters.extract_if(.., |waiter| Arc::ptr_eq(&waiter.channel, channel)) {
                let _ = waiter.done.send(outcome.clone());
            }
        }
        self.fanout.announce(channels.iter().map(|channel| channel.delivery()));
    }

    fn report(&self, channel: &Channel, error: &StoreError) {
        let about = format_args!("channel {}", channel.info.name);
        self.monitor.failures.failed("a channel could not be read again", about, error);
    }
}

/// Reads a page for each of the channels in one call of the store.
async fn repair(
    channels: &[Arc<Channel>],
    source: Source<'_>,
) -> Result<Vec<Result<Repaired, StoreError>>, StoreError> {
    let limit = PageLimit::new(EVENTS, source.limits.answer_bytes / channels.len().max(1));
    let positions: Vec<_> = channels.iter().map(|channel| (channel.info.id, channel.position())).collect();
    let replays = source.store.after_many(&positions, limit).await?;
    if replays.len() != channels.len() {
        return Err(StoreError::new("the store answered other positions than it was given"));
    }
    let mut repaired = Vec::with_capacity(channels.len());
    for (channel, replay) in channels.iter().zip(replays) {
        repaired.push(match replay {
            Some(replay) => Ok(channel.repair(replay, source).await?),
            None => Err(StoreError::new("the channel's log is gone")),
        });
    }
    Ok(repaired)
}

/// Adds a channel to a list that has each once.
pub(crate) fn remember(channels: &mut Vec<Arc<Channel>>, channel: &Arc<Channel>) {
    if !channels.iter().any(|known| Arc::ptr_eq(known, channel)) {
        channels.push(Arc::clone(channel));
    }
}
