//! A channel's subscribers, in shards that are served side by side.

use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard};

use crate::delivery::cursor::Cursor;
use crate::delivery::outlet::Burst;
use crate::delivery::ring_cell::RingCell;
use crate::delivery::subscriber::{Delivery, Subscriber};
use crate::delivery::turn::Turn;
use crate::runtime::panics::Panicked;

/// The most subscribers per shard. After them, other shards have their turn.
pub(crate) const SHARD: usize = 128;

/// The most bursts per turn, if the ring runs ahead.
const BURSTS: usize = 4;

/// A channel's subscribers.
#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    shards: RwLock<Vec<Arc<Shard>>>,
}

/// Some of a channel's subscribers. One task at a time writes to them.
#[derive(Debug)]
pub(crate) struct Shard {
    /// Copied on a change during a turn, so that subscribing waits for no socket.
    subscribers: Mutex<Arc<Vec<Arc<Subscriber>>>>,
    /// The position up to which this shard's subscribers have the log.
    delivered_to: Mutex<Cursor>,
    turn: Turn,
}

/// The result of a turn.
#[must_use]
pub(crate) struct Served {
    /// Whether the shard is to be queued again.
    pub(crate) again: bool,
    pub(crate) subscribers: usize,
    /// Frames written, counted per subscriber.
    pub(crate) deliveries: u64,
    /// Outlets that panicked.
    pub(crate) panics: Vec<Panicked>,
}

impl Subscribers {
    /// Adds a subscriber. `delivered_to` is the end of the channel's ring. Returns the shard to
    /// [`remove`](Self::remove) the subscriber from.
    pub(crate) fn add(
        &self,
        subscriber: Arc<Subscriber>,
        delivered_to: impl FnOnce() -> Cursor,
    ) -> Arc<Shard> {
        let mut shards = self.shards.write().expect("invariant: nothing panics under this lock");
        // Under the list's lock. Otherwise an emptied shard could be dropped from the list with the new subscriber
        // in it.
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
    /// Asks for a turn. Returns whether the caller must queue it.
    #[must_use]
    pub(crate) fn ask(&self) -> bool {
        self.turn.ask()
    }

    /// Takes a turn: delivers the ring's new events to the subscribers.
    pub(crate) fn serve(&self, ring: &RingCell, round: u64, burst: &mut Burst) -> Served {
        self.turn.take();
        let subscribers = Arc::clone(&self.subscribers());
        let mut delivered_to = self.delivered_to.lock().expect("invariant: nothing panics under this lock");
        let (mut deliveries, mut panics) = (0, Vec::new());
        let mut more = true;
        for _ in 0..BURSTS {
            let (next, left) = ring.next_burst(*delivered_to, burst);
            match next {
                // A second request for the same events.
                Some(to) if to == *delivered_to => {}
                Some(to) => {
                    let mut delivery =
                        Delivery { from: *delivered_to, to, round, burst, written: 0, late: 0 };
                    Subscriber::deliver_all(&subscribers, &mut delivery, &mut panics);
                    deliveries += delivery.written * (to.seq - delivered_to.seq) + delivery.late;
                    *delivered_to = to;
                }
                // The ring has moved past this shard. Each subscriber's task finds out its own position.
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
