//! The bytes of all large answers that are being made or not yet written, over all connections.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;
use dashmap::DashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use crate::delivery::handle::ConnectionHandle;
use crate::limits::Limits;
use crate::model::id::UserId;
use crate::protocol::CloseReason;

/// The bytes per permit. A semaphore counts at most 2³² of them at once.
const UNIT: usize = 1_024;

/// How often an answer's bytes are in memory while it is made: in the store's page, in the encoded list, and in
/// the answer.
const COPIES: usize = 3;

/// The bytes for large answers, given out in turn.
///
/// Before it reads anything, a command takes its bytes: first from its user's share, then from the total, each in
/// the order of the requests. The answer carries them, so they are free when its bytes are, whatever happens to
/// its connection.
#[derive(Debug)]
pub(crate) struct Answers {
    limits: Arc<Limits>,
    total: Arc<Semaphore>,
    /// The shares of the users that hold bytes or wait for some.
    shares: DashMap<UserId, Arc<Semaphore>>,
    /// The connections that hold bytes or wait for some.
    holders: Mutex<BTreeMap<u64, Holder>>,
    next: AtomicU64,
}

#[derive(Debug)]
struct Holder {
    /// Weak, since the bytes that wait in its socket's queue belong to this entry.
    handle: Weak<ConnectionHandle>,
    /// When the connection is closed if others wait.
    due: Instant,
}

/// The entry of an answer among the holders.
#[derive(Debug)]
struct Turn {
    answers: Arc<Answers>,
    id: u64,
}

/// The share of a user. It is removed with its last holder.
#[derive(Debug)]
struct Share {
    answers: Arc<Answers>,
    user: UserId,
    semaphore: Arc<Semaphore>,
}

/// The bytes of one answer. Dropping them gives them back.
#[derive(Debug)]
pub(crate) struct Reservation {
    total: OwnedSemaphorePermit,
    own: OwnedSemaphorePermit,
    turn: Turn,
    /// Dropped after the permit.
    _share: Share,
}

impl Answers {
    pub(crate) fn new(limits: &Arc<Limits>) -> Self {
        Self {
            total: Arc::new(Semaphore::new(units(limits.outgoing_bytes_total))),
            limits: Arc::clone(limits),
            shares: DashMap::new(),
            holders: Mutex::default(),
            next: AtomicU64::new(0),
        }
    }

    /// Returns how many bytes of the total are taken.
    pub(crate) fn held(&self) -> usize {
        let all = units(self.limits.outgoing_bytes_total);
        all.saturating_sub(self.total.available_permits()) * UNIT
    }

    /// Takes the bytes of one large answer, if it need not wait for them.
    pub(crate) fn try_reserve(self: &Arc<Self>, handle: &Arc<ConnectionHandle>) -> Option<Reservation> {
        let wanted = self.permits();
        let share = self.share_of(&handle.identity.user.id);
        // If others wait for a semaphore, nothing can be taken from it.
        let own = Arc::clone(&share.semaphore).try_acquire_many_owned(wanted).ok()?;
        let total = Arc::clone(&self.total).try_acquire_many_owned(wanted).ok()?;
        let turn = self.queue(handle, self.time_to_answer());
        Some(Reservation { total, own, turn, _share: share })
    }

    /// Waits for the bytes of one large answer. After [`Limits::answer_patience`] it closes connections that take
    /// longer than that to read their answers.
    pub(crate) async fn reserve(self: &Arc<Self>, handle: &Arc<ConnectionHandle>) -> Reservation {
        let patience = self.limits.answer_patience;
        let wanted = self.permits();
        let share = self.share_of(&handle.identity.user.id);
        let own = Arc::clone(&share.semaphore).acquire_many_owned(wanted);
        let own = own.await.expect("invariant: the semaphore is never closed");
        let turn = self.queue(handle, Duration::ZERO);
        let mut total = pin!(Arc::clone(&self.total).acquire_many_owned(wanted));
        let total = loop {
            // A connection that is writing something else does not poll this, and may hold what it got.
            turn.is_due_in(2 * patience);
            match timeout(patience, &mut total).await {
                Ok(total) => break total.expect("invariant: the semaphore is never closed"),
                Err(_) => self.close_slow(),
            }
        };
        turn.is_due_in(self.time_to_answer());
        Reservation { total, own, turn, _share: share }
    }

    /// Returns how long an answer may take to be made and read before its connection blocks others.
    fn time_to_answer(&self) -> Duration {
        self.limits.store_timeout + self.limits.answer_patience
    }

    /// Returns the permits of an answer that is being made.
    fn permits(&self) -> u32 {
        let Limits { outgoing_bytes_total, outgoing_bytes_per_user, answer_bytes, .. } = *self.limits;
        let most = units(outgoing_bytes_total.min(outgoing_bytes_per_user));
        u32::try_from(units(answer_bytes.saturating_mul(COPIES)).min(most)).unwrap_or(u32::MAX)
    }

    fn queue(self: &Arc<Self>, handle: &Arc<ConnectionHandle>, wait: Duration) -> Turn {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.holders().insert(id, Holder { handle: Arc::downgrade(handle), due: Instant::now() + wait });
        Turn { answers: Arc::clone(self), id }
    }

    fn share_of(self: &Arc<Self>, user: &UserId) -> Share {
        let entry = self.shares.entry(user.clone());
        let share = || Arc::new(Semaphore::new(units(self.limits.outgoing_bytes_per_user)));
        let semaphore = Arc::clone(&entry.or_insert_with(share));
        Share { answers: Arc::clone(self), user: user.clone(), semaphore }
    }

    /// Closes the connections whose answers took too long while others wait.
    fn close_slow(&self) {
        let now = Instant::now();
        let slow = |holder: &&Holder| holder.due <= now;
        let slow: Vec<_> =
            self.holders().values().filter(slow).filter_map(|holder| holder.handle.upgrade()).collect();
        slow.iter().for_each(|handle| handle.close(CloseReason::TooSlow));
    }

    // Held for one insertion, removal or walk over the current answers, never across an await.
    fn holders(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Holder>> {
        self.holders.lock().expect("invariant: nothing panics under this lock")
    }
}

/// Returns the number of permits for so many bytes, at least one.
fn units(bytes: usize) -> usize {
    bytes.div_ceil(UNIT).clamp(1, Semaphore::MAX_PERMITS)
}

impl Reservation {
    /// Gives back what the finished answer does not need, and ties the rest to its bytes.
    pub(crate) fn hold(mut self, answer: Bytes) -> Bytes {
        let needed = units(answer.len());
        for permit in [&mut self.total, &mut self.own] {
            let spare = permit.num_permits().saturating_sub(needed);
            drop(permit.split(spare));
        }
        self.turn.is_due_in(self.turn.answers.limits.answer_patience);
        Bytes::from_owner(Held { answer, _reservation: self })
    }
}

impl Turn {
    fn is_due_in(&self, wait: Duration) {
        if let Some(holder) = self.answers.holders().get_mut(&self.id) {
            holder.due = Instant::now() + wait;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.answers.holders().remove(&self.id);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // Besides the map's, this one and those of other answers exist.
        self.answers.shares.remove_if(&self.user, |_, share| Arc::strong_count(share) <= 2);
    }
}

/// An answer and the bytes that it holds.
struct Held {
    answer: Bytes,
    _reservation: Reservation,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.answer
    }
}
