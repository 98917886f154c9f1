//! One connection's place in one channel, as its task and the fan-out share it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::link::{Link, SubscriptionKey};
use crate::outlet::{Burst, Sent};
use crate::panics::{Panicked, contain};
use crate::protocol::CloseReason;
use crate::ring::Cursor;
use crate::subscription::Subscription;
use crate::sync::Arc;

/// A connection's cursor in a channel's ring.
///
/// Two move it: the connection's task, which reads the ring from it, and the fan-out, which writes the newest
/// frames to the socket itself where the connection is level and its socket takes them. Whoever moves it holds
/// the cursor's lock until the frames are on their way, and the fan-out only tries it: where it finds the
/// lock taken, or the connection behind, it marks the subscription, and the task sees to it.
#[derive(Debug)]
pub(crate) struct Follower {
    link: Arc<Link>,
    key: SubscriptionKey,
    subscription: Subscription<SubscriptionKey>,
    /// `None` until the subscription is answered, and after it has ended.
    cursor: Mutex<Option<Cursor>>,
}

/// One burst on its way to a channel's followers.
pub(crate) struct Delivery<'a> {
    /// Who is here gets it.
    pub(crate) from: Cursor,
    /// Who has it is here.
    pub(crate) to: Cursor,
    /// Which round of the fan-out it is.
    pub(crate) round: u64,
    pub(crate) burst: &'a mut Burst,
}

/// What came of a burst at one connection.
enum Delivered {
    Now,
    /// Its task had read it already.
    Before,
    Not,
}

impl Follower {
    pub(crate) fn new(link: Arc<Link>, key: SubscriptionKey) -> Self {
        let subscription = link.subscription(key);
        Self { link, key, subscription, cursor: Mutex::new(None) }
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Says that the channel has something new: the connection's task will read it.
    pub(crate) fn mark(&self) {
        self.subscription.mark();
    }

    /// Writes the burst to all of them. One whose outlet panics is closed, since nobody knows how much of the burst
    /// is out, and the others get their bytes made anew. Returns how many it was written to.
    pub(crate) fn deliver_all(
        followers: &[Arc<Self>],
        delivery: &mut Delivery<'_>,
        panics: &mut Vec<Panicked>,
    ) -> u64 {
        let mut next = 0;
        let mut written = 0;
        while next < followers.len() {
            // Around all and not around each, which would be a fifth of a delivery's instructions.
            let served = contain(|| {
                for follower in &followers[next..] {
                    next += 1;
                    written += u64::from(follower.deliver(delivery));
                }
            });
            if let Err(panicked) = served {
                panics.push(panicked);
                delivery.burst.clear_wires();
                followers[next - 1].link.close(CloseReason::TooSlow);
            }
        }
        written
    }

    /// Writes the burst to the connection if that is all that it lacks; else leaves it to its task. Returns
    /// whether it was written.
    fn deliver(&self, delivery: &mut Delivery<'_>) -> bool {
        match self.try_deliver(delivery) {
            Delivered::Now => true,
            Delivered::Before => false,
            Delivered::Not => {
                self.mark();
                false
            }
        }
    }

    fn try_deliver(&self, delivery: &mut Delivery<'_>) -> Delivered {
        let Ok(mut cursor) = self.cursor.try_lock() else { return Delivered::Not };
        let Some(at) = *cursor else { return Delivered::Not };
        if at != delivery.from {
            let has_it = at.life == delivery.to.life && at.seq >= delivery.to.seq;
            return if has_it { Delivered::Before } else { Delivered::Not };
        }
        let Some(outlet) = self.link.outlet(self.key, delivery.round) else { return Delivered::Not };
        match outlet.try_send(delivery.burst) {
            Sent::All => {}
            Sent::Begun => self.link.wake(),
            Sent::Nothing => return Delivered::Not,
        }
        *cursor = Some(delivery.to);
        Delivered::Now
    }

    /// Begins or ends the fan-out to this connection.
    pub(crate) fn set_cursor(&self, cursor: Option<Cursor>) {
        *self.cursor() = cursor;
    }

    /// Takes the mark off and the cursor in hand, to read the ring from it.
    pub(crate) fn look(&self) -> MutexGuard<'_, Option<Cursor>> {
        self.subscription.clear();
        self.cursor()
    }

    fn cursor(&self) -> MutexGuard<'_, Option<Cursor>> {
        // An outlet may panic under this lock; what is behind it is whole all the same.
        self.cursor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
