//! A channel's subscribers, in shards that are served side by side.

use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard};

use crate::delivery::outlet::{BURST_FRAMES, Burst};
use crate::delivery::ring::{Cursor, Read, Room};
use crate::delivery::ring_cell::RingCell;
use crate::delivery::subscriber::{Delivery, Subscriber};
use crate::delivery::turn::Turn;
use crate::runtime::panics::Panicked;

/// Subscribers of one shard: so many are written to before others have their turn.
pub(crate) const SHARD: usize = 128;

/// Bursts of one turn, for a ring that runs ahead.
const BURSTS: usize = 4;

/// A channel's subscribers.
#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    shards: RwLock<Vec<Arc<Shard>>>,
}

/// Some of a channel's subscribers. One at a time writes to them.
#[derive(Debug)]
pub(crate) struct Shard {
    /// Copied on a change while a turn goes on, so that joining waits for no socket.
    subscribers: Mutex<Arc<Vec<Arc<Subscriber>>>>,
    /// Up to where this shard's subscribers have been given the log.
    delivered_to: Mutex<Cursor>,
    turn: Turn,
}

/// What came of a turn.
#[must_use]
pub(crate) struct Served {
    /// Whether the shard is to be queued again.
    pub(crate) again: bool,
    pub(crate) subscribers: usize,
    /// Frames that were written, each for each subscriber.
    pub(crate) deliveries: u64,
    /// Outlets that panicked.
    pub(crate) panics: Vec<Panicked>,
}

impl Subscribers {
    /// Adds a subscriber; `delivered_to` is where the channel's ring ends. Returns the shard to [`remove`](Self::remove)
    /// it from.
    pub(crate) fn add(
        &self,
        subscriber: Arc<Subscriber>,
        delivered_to: impl FnOnce() -> Cursor,
    ) -> Arc<Shard> {
        let mut shards = self.shards.write().expect("invariant: nothing panics under this lock");
        // Under the list's lock, or an emptied shard could be dropped from the list with the newcomer in it.
        for shard in shards.iter().rev() {
            let mut subscribers = shard.subscribers();
            if subscribers.len() < SHARD {
                Arc::make_mut(&mut subscribers).push(subscriber);
                return Arc::clone(shard);
            }
        }
        let shard = Arc::new(Shard {
            subscribers: Mutex::new(Arc::new(vec![subscriber])),
            delivered_to: Mutex::new(delivered_to()),
            turn: Turn::new(),
        });
        shards.push(Arc::clone(&shard));
        shard
    }

    pub(crate) fn remove(&self, shard: &Arc<Shard>, subscriber: &Arc<Subscriber>) {
        let mut shards = self.shards.write().expect("invariant: nothing panics under this lock");
        let mut subscribers = shard.subscribers();
        if let Some(at) = subscribers.iter().position(|other| Arc::ptr_eq(other, subscriber)) {
            let list = Arc::make_mut(&mut subscribers);
            list.swap_remove(at);
            if list.len() < list.capacity() / 4 {
                list.shrink_to_fit();
            }
        }
        if subscribers.is_empty() {
            shards.retain(|other| !Arc::ptr_eq(other, shard));
            if shards.len() < shards.capacity() / 4 {
                shards.shrink_to_fit();
            }
        }
    }

    pub(crate) fn shards(&self) -> RwLockReadGuard<'_, Vec<Arc<Shard>>> {
        self.shards.read().expect("invariant: nothing panics under this lock")
    }

    /// Calls `visit` for each subscriber.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&Subscriber)) {
        for shard in self.shards().iter() {
            let subscribers = Arc::clone(&shard.subscribers());
            subscribers.iter().for_each(|subscriber| visit(subscriber));
        }
    }
}

impl Shard {
    /// Asks for a turn; says whether the caller is to queue it.
    #[must_use]
    pub(crate) fn ask(&self) -> bool {
        self.turn.ask()
    }

    /// Takes a turn: hands what is new in the ring to the subscribers.
    pub(crate) fn serve(&self, ring: &RingCell, round: u64, burst: &mut Burst) -> Served {
        self.turn.take();
        let subscribers = Arc::clone(&self.subscribers());
        let mut delivered_to = self.delivered_to.lock().expect("invariant: nothing panics under this lock");
        let (mut deliveries, mut panics) = (0, Vec::new());
        let mut more = true;
        for _ in 0..BURSTS {
            let (next, left) = next_burst(ring, *delivered_to, burst);
            match next {
                // Somebody asked twice for the same.
                Some(to) if to == *delivered_to => {}
                Some(to) => {
                    let mut delivery = Delivery { from: *delivered_to, to, round, burst, written: 0 };
                    Subscriber::deliver_all(&subscribers, &mut delivery, &mut panics);
                    deliveries += delivery.written * (to.seq - delivered_to.seq);
                    *delivered_to = to;
                }
                // The ring has moved past this shard: each subscriber's task finds out where it stands.
                None => {
                    *delivered_to = ring.read().cursor();
                    subscribers.iter().for_each(|subscriber| subscriber.mark());
                }
            }
            more = left;
            if !more {
                break;
            }
        }
        drop(delivered_to);
        burst.clear();
        let asked = self.turn.end();
        let again = asked || (more && self.turn.ask());
        Served { subscribers: subscribers.len(), again, deliveries, panics }
    }

    fn subscribers(&self) -> MutexGuard<'_, Arc<Vec<Arc<Subscriber>>>> {
        self.subscribers.lock().expect("invariant: nothing panics under this lock")
    }
}

/// Reads the frames after `from`; returns the cursor behind them, `None` where the ring has moved past, and
/// whether there is more.
fn next_burst(ring: &RingCell, from: Cursor, burst: &mut Burst) -> (Option<Cursor>, bool) {
    // The burst bounds itself.
    let room = &mut Room::new(usize::MAX);
    let (read, count) = burst.refill(|frames| ring.read().read(from, BURST_FRAMES, room, frames));
    match read {
        Read::Caught(end) | Read::More(end) => {
            let to = Cursor { generation: end.generation, seq: from.seq + count as u64 };
            (Some(to), to != end || matches!(read, Read::More(_)))
        }
        Read::Lagged { .. } => (None, false),
    }
}
