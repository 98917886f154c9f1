//! A channel's followers, in slices that are served side by side.

use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard};

use crate::channel::Channel;
use crate::delivery::outlet::{BURST_FRAMES, Burst};
use crate::delivery::ring::{Cursor, Read, Room};
use crate::delivery::subscriber::{Delivery, Follower};
use crate::delivery::turn::Turn;
use crate::runtime::panics::Panicked;

/// Followers of one slice: so many are written to before others have their turn.
pub(crate) const SLICE: usize = 128;

/// Bursts of one turn, for a ring that runs ahead.
const BURSTS: usize = 4;

/// Who follows a channel.
#[derive(Debug, Default)]
pub(crate) struct Followers {
    slices: RwLock<Vec<Arc<Slice>>>,
}

/// Some of a channel's followers. One at a time writes to them.
#[derive(Debug)]
pub(crate) struct Slice {
    /// Copied on a change while a turn goes on, so that joining waits for no socket.
    followers: Mutex<Arc<Vec<Arc<Follower>>>>,
    /// Up to where this slice's followers were told.
    told: Mutex<Cursor>,
    turn: Turn,
}

/// What came of a turn.
#[must_use]
pub(crate) struct Served {
    /// Whether the slice is to be queued again.
    pub(crate) again: bool,
    pub(crate) followers: usize,
    /// Frames that were written, each for each follower.
    pub(crate) deliveries: u64,
    /// Outlets that panicked.
    pub(crate) panics: Vec<Panicked>,
}

impl Followers {
    /// Adds a follower; `told` is where the channel's ring ends. Returns the slice to [`remove`](Self::remove)
    /// it from.
    pub(crate) fn add(&self, follower: Arc<Follower>, told: impl FnOnce() -> Cursor) -> Arc<Slice> {
        let mut slices = self.slices.write().expect("invariant: nothing panics under this lock");
        // Under the list's lock, or an emptied slice could be dropped from the list with the newcomer in it.
        for slice in slices.iter().rev() {
            let mut followers = slice.followers();
            if followers.len() < SLICE {
                Arc::make_mut(&mut followers).push(follower);
                return Arc::clone(slice);
            }
        }
        let slice = Arc::new(Slice {
            followers: Mutex::new(Arc::new(vec![follower])),
            told: Mutex::new(told()),
            turn: Turn::new(),
        });
        slices.push(Arc::clone(&slice));
        slice
    }

    pub(crate) fn remove(&self, slice: &Arc<Slice>, follower: &Arc<Follower>) {
        let mut slices = self.slices.write().expect("invariant: nothing panics under this lock");
        let mut followers = slice.followers();
        if let Some(at) = followers.iter().position(|other| Arc::ptr_eq(other, follower)) {
            let list = Arc::make_mut(&mut followers);
            list.swap_remove(at);
            if list.len() < list.capacity() / 4 {
                list.shrink_to_fit();
            }
        }
        if followers.is_empty() {
            slices.retain(|other| !Arc::ptr_eq(other, slice));
            if slices.len() < slices.capacity() / 4 {
                slices.shrink_to_fit();
            }
        }
    }

    pub(crate) fn slices(&self) -> RwLockReadGuard<'_, Vec<Arc<Slice>>> {
        self.slices.read().expect("invariant: nothing panics under this lock")
    }

    /// Calls `visit` for each follower.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&Follower)) {
        for slice in self.slices().iter() {
            let followers = Arc::clone(&slice.followers());
            followers.iter().for_each(|follower| visit(follower));
        }
    }
}

impl Slice {
    /// Asks for a turn; says whether the caller is to queue it.
    #[must_use]
    pub(crate) fn ask(&self) -> bool {
        self.turn.ask()
    }

    /// Takes a turn: hands what is new in the ring to the followers.
    pub(crate) fn serve(&self, channel: &Channel, round: u64, burst: &mut Burst) -> Served {
        self.turn.take();
        let followers = Arc::clone(&self.followers());
        let mut told = self.told.lock().expect("invariant: nothing panics under this lock");
        let (mut deliveries, mut panics) = (0, Vec::new());
        let mut more = true;
        for _ in 0..BURSTS {
            let (next, left) = next_burst(channel, *told, burst);
            match next {
                // Somebody asked twice for the same.
                Some(to) if to == *told => {}
                Some(to) => {
                    let mut delivery = Delivery { from: *told, to, round, burst, written: 0 };
                    Follower::deliver_all(&followers, &mut delivery, &mut panics);
                    deliveries += delivery.written * (to.seq - told.seq);
                    *told = to;
                }
                // The ring has moved past this slice: each follower's task finds out where it stands.
                None => {
                    *told = channel.ring().cursor();
                    followers.iter().for_each(|follower| follower.mark());
                }
            }
            more = left;
            if !more {
                break;
            }
        }
        drop(told);
        burst.clear();
        let asked = self.turn.end();
        let again = asked || (more && self.turn.ask());
        Served { followers: followers.len(), again, deliveries, panics }
    }

    fn followers(&self) -> MutexGuard<'_, Arc<Vec<Arc<Follower>>>> {
        self.followers.lock().expect("invariant: nothing panics under this lock")
    }
}

/// Reads the frames after `from`; returns the cursor behind them, `None` where the ring has moved past, and
/// whether there is more.
fn next_burst(channel: &Channel, from: Cursor, burst: &mut Burst) -> (Option<Cursor>, bool) {
    // The burst bounds itself.
    let room = &mut Room::new(usize::MAX);
    let (read, count) = burst.refill(|frames| channel.ring().read(from, BURST_FRAMES, room, frames));
    match read {
        Read::Caught(end) | Read::More(end) => {
            let to = Cursor { life: end.life, seq: from.seq + count as u64 };
            (Some(to), to != end || matches!(read, Read::More(_)))
        }
        Read::Lagged { .. } => (None, false),
    }
}
