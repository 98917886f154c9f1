//! Repairs: they read from the store what rings lack.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::channel::{Channel, Repaired, Source};
use crate::delivery::FanOutQueue;
use crate::limits::Limits;
use crate::model::id::ChannelId;
use crate::runtime::panics::contain_async;
use crate::runtime::stats::Monitor;
use crate::store::pointer::Shared;
use crate::store::{PageLimit, Store, StoreError};

/// The time between two repairs after a failure.
const INTERVAL: Duration = Duration::from_millis(500);

/// How often a channel is looked at after an append with an unknown outcome, and the longest time between two looks: some 10
/// minutes in all. The store may have hung, and still do what it was given.
const LOOKS: u32 = 24;
const LONGEST_WAIT: Duration = Duration::from_secs(30);

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
    /// Channels with an append whose outcome is unknown.
    unsure: HashMap<ChannelId, Unsure>,
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

/// A channel that may still get an event from an append that was answered as failed.
struct Unsure {
    channel: Arc<Channel>,
    /// How often it was looked at, and when it is next.
    looks: u32,
    next: Instant,
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
            unsure: HashMap::new(),
            waiters: Vec::new(),
            due: None,
        }
    }

    /// Marks a channel to be read again.
    pub(crate) fn mark(&mut self, channel: &Arc<Channel>) {
        remember(&mut self.stale, channel);
    }

    /// Marks a channel to be read again after an append with an unknown outcome, now and several times later. The ring serves
    /// meanwhile.
    pub(crate) fn mark_unsure(&mut self, channel: &Arc<Channel>) {
        let unsure = Unsure { channel: Arc::clone(channel), looks: 0, next: Instant::now() };
        self.unsure.insert(channel.info.id, unsure);
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
        !self.waiters.is_empty() || (self.due.is_none() && self.is_stale())
    }

    /// Returns whether there is anything to repair.
    pub(crate) fn is_stale(&self) -> bool {
        !self.stale.is_empty() || self.unsure.values().any(|unsure| unsure.looks == 0)
    }

    /// Returns when a failed repair is to be tried again, or a channel to be looked at.
    pub(crate) fn due(&self) -> Option<Instant> {
        let look = self.unsure.values().map(|unsure| unsure.next).min();
        // After a failure, all wait for it.
        self.due.or(look)
    }

    /// Marks the channels whose next look has come.
    fn look(&mut self) {
        let now = Instant::now();
        for unsure in self.unsure.values_mut().filter(|unsure| unsure.next <= now) {
            remember(&mut self.stale, &unsure.channel);
            unsure.next = now + LONGEST_WAIT.min(Duration::from_secs(1 << unsure.looks.min(5)));
            unsure.looks += 1;
        }
    }

    /// Repairs the channels until the store fails. Then the store is unavailable, and the rest waits for the next
    /// batch or interval. Returns the repaired channels.
    pub(crate) async fn run(&mut self) -> Vec<Whole> {
        let mut whole = Vec::new();
        self.due = None;
        self.look();
        while !self.stale.is_empty() {
            let channels: Vec<_> = self.stale.iter().take(CHANNELS).map(Arc::clone).collect();
            let source = Source { store: &*self.store, limits: &self.limits };
            let round = contain_async(repair(&channels, source));
            let failure = match timeout(self.limits.store_timeout, round).await {
                Ok(Ok(Ok(repaired))) => match self.finish(&channels, repaired, &mut whole) {
                    true => continue,
                    false => break,
                },
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

    /// Returns whether others can be repaired at once: not if one has failed, which is then the last.
    fn finish(
        &mut self,
        channels: &[Arc<Channel>],
        repaired: Vec<Result<Repaired, Failed>>,
        whole: &mut Vec<Whole>,
    ) -> bool {
        let mut failed = Vec::new();
        for (channel, repaired) in channels.iter().zip(repaired) {
            let outcome = match repaired {
                Ok(Repaired::Partly) => continue,
                Ok(Repaired::Whole) => {
                    self.monitor.counters.repairs.add(1);
                    let id = channel.info.id;
                    let looks = self.unsure.get(&id).map(|unsure| unsure.looks);
                    if looks.is_some_and(|looks| looks >= LOOKS) {
                        self.unsure.remove(&id);
                    }
                    channel.set_behind(false);
                    whole.push(Whole { channel: Arc::clone(channel), was_unsure: looks.is_some() });
                    Ok(())
                }
                Err(Failed::Gone) => {
                    self.unsure.remove(&channel.info.id);
                    Err(StoreError::new("the channel's log is gone"))
                }
                Err(Failed::Again(error)) => {
                    failed.push(Arc::clone(channel));
                    Err(error)
                }
            };
            if let Err(error) = &outcome {
                self.report(channel, error);
            }
            self.stale.retain(|other| !Arc::ptr_eq(other, channel));
            for waiter in self.waiters.extract_if(.., |waiter| Arc::ptr_eq(&waiter.channel, channel)) {
                let _ = waiter.done.send(outcome.clone());
            }
        }
        self.fanout.announce(channels.iter().map(|channel| channel.delivery()));
        if failed.is_empty() {
            return true;
        }
        self.stale.append(&mut failed);
        self.due = Some(Instant::now() + INTERVAL);
        false
    }

    fn report(&self, channel: &Channel, error: &StoreError) {
        let about = format_args!("channel {}", channel.info.name);
        self.monitor.failures.failed("a channel could not be read again", about, error);
    }
}

/// Why one channel could not be repaired.
enum Failed {
    /// The store has no such log.
    Gone,
    /// It is tried again.
    Again(StoreError),
}

/// Reads a page for each of the channels in one call of the store.
async fn repair(
    channels: &[Arc<Channel>],
    source: Source<'_>,
) -> Result<Vec<Result<Repaired, Failed>>, StoreError> {
    let limit = PageLimit::new(EVENTS, source.limits.answer_bytes / channels.len().max(1));
    let positions: Vec<_> = channels.iter().map(|channel| (channel.info.id, channel.position())).collect();
    let replays = source.store.after_many(&positions, limit).await?;
    if replays.len() != channels.len() {
        return Err(StoreError::new("the store answered other positions than it was given"));
    }
    let mut repaired = Vec::with_capacity(channels.len());
    for (channel, replay) in channels.iter().zip(replays) {
        repaired.push(match replay {
            Some(replay) => channel.repair(replay, source).await.map_err(Failed::Again),
            None => Err(Failed::Gone),
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
