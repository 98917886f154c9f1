//! Delivers new events from the rings to the sockets: one task per core, each serving one shard of subscribers at
//! a time.

pub(crate) mod cursor;
pub(crate) mod handle;
pub(crate) mod mailbox;
pub(crate) mod outgoing;
pub(crate) mod outlet;
pub(crate) mod ring;
pub(crate) mod ring_budget;
pub(crate) mod ring_cell;
mod ring_frames;
mod ring_messages;
pub(crate) mod shard;
pub(crate) mod subscriber;
mod sync;
mod turn;
pub(crate) mod wake;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::thread::available_parallelism;

use tokio::sync::Notify;
use tokio::task::yield_now;

use crate::delivery::outlet::Burst;
use crate::delivery::ring_cell::RingCell;
use crate::delivery::shard::{SHARD, Shard, Subscribers};
use crate::runtime::stats::Monitor;

/// The fan-out's tasks. Dropping it ends them.
#[derive(Debug)]
pub(crate) struct FanOut {
    queue: Arc<FanOutQueue>,
}

/// The shards with undelivered events. Each is queued at most once, so the queue is bounded by the subscribers.
#[derive(Debug)]
pub(crate) struct FanOutQueue {
    state: Mutex<State>,
    changed: Notify,
    monitor: Arc<Monitor>,
}

#[derive(Debug, Default)]
struct State {
    jobs: VecDeque<Job>,
    /// The current round, counted from 1. A round starts when the queue was empty. A connection subscribed to
    /// several of its channels gets one write.
    round: u64,
    /// The number of jobs taken in this round.
    taken: usize,
    closed: bool,
}

#[derive(Debug)]
struct Job {
    ring: Arc<RingCell>,
    shard: Arc<Shard>,
}

impl State {
    fn push(&mut self, job: Job) {
        if self.jobs.is_empty() || self.taken >= ROUND {
            self.round += 1;
            self.taken = 0;
        }
        self.jobs.push_back(job);
    }
}

/// The most jobs per round, if the queue never empties.
const ROUND: usize = 1_024;

impl FanOut {
    /// Starts the tasks.
    pub(crate) fn start(monitor: &Arc<Monitor>) -> Self {
        let queue = Arc::new(FanOutQueue {
            state: Mutex::default(),
            changed: Notify::new(),
            monitor: Arc::clone(monitor),
        });
        let tasks = available_parallelism().map_or(1, usize::from);
        for _ in 0..tasks {
            tokio::spawn(run(Arc::clone(&queue)));
        }
        Self { queue }
    }

    pub(crate) fn queue(&self) -> Arc<FanOutQueue> {
        Arc::clone(&self.queue)
    }
}

impl Drop for FanOut {
    fn drop(&mut self) {
        self.queue.state().closed = true;
        self.queue.changed.notify_waiters();
        self.queue.changed.notify_one();
    }
}

impl FanOutQueue {
    /// Delivers the new events of these channels' rings to all subscribers, in one round. Call it after the
    /// pushes.
    pub(crate) fn announce<'a>(&self, channels: impl Iterator<Item = (&'a Arc<RingCell>, &'a Subscribers)>) {
        let mut state = self.state();
        for (ring, subscribers) in channels {
            for shard in subscribers.shards().iter().filter(|shard| shard.ask()) {
                state.push(Job { ring: Arc::clone(ring), shard: Arc::clone(shard) });
            }
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Delivers the new events of a channel's ring to all subscribers: at once if they are in one shard and nothing
    /// waits for the fan-out's tasks, otherwise as [`announce`](Self::announce) does. Call it after the push.
    pub(crate) fn deliver(&self, (ring, subscribers): (&Arc<RingCell>, &Subscribers), burst: &mut Burst) {
        let shard = match &subscribers.shards()[..] {
            [] => return,
            [shard] => Arc::clone(shard),
            _ => return self.announce([(ring, subscribers)].into_iter()),
        };
        if !shard.ask() {
            return;
        }
        let job = Job { ring: Arc::clone(ring), shard };
        match self.own_round() {
            Some(round) => drop(self.serve(job, round, burst)),
            None => self.push(job),
        }
    }

    /// Returns a new round if no job waits.
    fn own_round(&self) -> Option<u64> {
        let mut state = self.state();
        if !state.jobs.is_empty() {
            return None;
        }
        state.round += 1;
        Some(state.round)
    }

    /// Gives a shard its turn. Returns the number of its subscribers.
    fn serve(&self, job: Job, round: u64, burst: &mut Burst) -> usize {
        let turn = job.shard.serve(&job.ring, round, burst);
        self.monitor.counters.deliveries.add(turn.deliveries);
        for panicked in turn.panics {
            let about = format_args!("channel {}", job.ring.channel());
            self.monitor.failures.failed("an outlet failed", about, &panicked);
        }
        if turn.again {
            self.push(job);
        }
        turn.subscribers
    }

    fn push(&self, job: Job) {
        self.state().push(job);
        self.changed.notify_one();
    }

    /// Takes the next job and its round. Returns `None` once the fan-out has ended.
    async fn next(&self, served: &mut usize) -> Option<(Job, u64)> {
        loop {
            {
                let mut state = self.state();
                if state.closed {
                    // Pass the permit on, so that the next task ends too.
                    self.changed.notify_one();
                    return None;
                }
                if let Some(job) = state.jobs.pop_front() {
                    if !state.jobs.is_empty() {
                        self.changed.notify_one();
                    }
                    state.taken += 1;
                    return Some((job, state.round));
                }
            }
            self.changed.notified().await;
            // Other append groups that are about to announce something share the round: a connection with channels of
            // several groups gets one write.
            yield_now().await;
            *served = 0;
        }
    }

    // Held for one push or pop, never across an await.
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("invariant: nothing panics under this lock")
    }
}

async fn run(queue: Arc<FanOutQueue>) {
    let mut burst = Burst::default();
    let mut served = 0;
    while let Some((job, round)) = queue.next(&mut served).await {
        // Yield to new commands, appends and connections with a backlog. Not after each small channel, or a
        // connection in many of them would wake once for each.
        served += 1 + queue.serve(job, round, &mut burst);
        if served >= SHARD {
            served = 0;
            yield_now().await;
        }
    }
}
