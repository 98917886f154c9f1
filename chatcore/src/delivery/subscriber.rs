//! One connection's place in one channel, as its task and the fan-out share it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::delivery::handle::{ConnectionHandle, SubscriptionKey};
use crate::delivery::outlet::{Burst, Sent};
use crate::delivery::ring::Cursor;
use crate::delivery::ring_cell::RingCell;
use crate::delivery::wake::WakeMark;
use crate::model::name::ChannelName;
use crate::protocol::CloseReason;
use crate::runtime::panics::{Panicked, contain};

/// A connection's cursor in a channel's ring.
///
/// Two move it: the connection's task, which reads the ring from it, and the fan-out, which writes the newest
/// frames to the socket itself where the connection is level and its socket takes them. Whoever moves it holds
/// the cursor's lock until the frames are on their way, and the fan-out only tries it: where it finds the
/// lock taken, or the connection behind, it marks the subscription, and the task sees to it.
#[derive(Debug)]
pub(crate) struct Subscriber {
    handle: Arc<ConnectionHandle>,
    ring: Arc<RingCell>,
    key: SubscriptionKey,
    wake_mark: WakeMark<SubscriptionKey>,
    /// `None` until the subscription is answered, and after it has ended.
    cursor: Mutex<Option<Cursor>>,
    /// Whether the subscription is over. Set under the cursor's lock.
    ended: AtomicBool,
    /// Whether the channel's members count this connection.
    counted: AtomicBool,
}

/// One burst on its way to a channel's subscribers.
pub(crate) struct Delivery<'a> {
    /// Who is here gets it.
    pub(crate) from: Cursor,
    /// Who has it is here.
    pub(crate) to: Cursor,
    /// Which round of the fan-out it is.
    pub(crate) round: u64,
    pub(crate) burst: &'a mut Burst,
    /// How many it was written to.
    pub(crate) written: u64,
}

impl Subscriber {
    pub(crate) fn new(handle: Arc<ConnectionHandle>, ring: Arc<RingCell>, key: SubscriptionKey) -> Self {
        let wake_mark = handle.wake_mark(key);
        Self {
            handle,
            ring,
            key,
            wake_mark,
            cursor: Mutex::new(None),
            ended: AtomicBool::new(false),
            counted: AtomicBool::new(false),
        }
    }

    pub(crate) fn handle(&self) -> &Arc<ConnectionHandle> {
        &self.handle
    }

    pub(crate) fn ring(&self) -> &Arc<RingCell> {
        &self.ring
    }

    /// Returns whether it is a subscription to the channel of that name.
    pub(crate) fn is_of(&self, channel: &ChannelName) -> bool {
        self.ring.channel() == channel
    }

    /// Leaves a frame about the channel that the client has to see.
    pub(crate) fn send(&self, frame: &Bytes) {
        self.handle.send_of(self.ring.channel(), frame, || !self.is_ended());
    }

    /// Leaves a frame about the channel that nobody misses.
    pub(crate) fn offer(&self, frame: &Bytes) {
        self.handle.offer_of(self.ring.channel(), frame, || !self.is_ended());
    }

    /// Says that the channel has something new: the connection's task will read it.
    pub(crate) fn mark(&self) {
        self.wake_mark.mark();
    }

    /// Writes the burst to all of them. One whose outlet panics is closed, since nobody knows how much of the burst
    /// is out, and the others get their bytes made anew.
    pub(crate) fn deliver_all(
        subscribers: &[Arc<Self>],
        delivery: &mut Delivery<'_>,
        panics: &mut Vec<Panicked>,
    ) {
        let mut next = 0;
        while next < subscribers.len() {
            // Around all and not around each, which would be a fifth of a delivery's instructions.
            let served = contain(|| {
                for subscriber in &subscribers[next..] {
                    next += 1;
                    subscriber.deliver(delivery);
                }
            });
            if let Err(panicked) = served {
                panics.push(panicked);
                delivery.burst.clear_wires();
                subscribers[next - 1].handle.close(CloseReason::TooSlow);
            }
        }
    }

    /// Writes the burst to the connection if that is all that it lacks; else leaves it to its task.
    fn deliver(&self, delivery: &mut Delivery<'_>) {
        if !self.try_deliver(delivery) {
            self.mark();
        }
    }

    /// Returns whether the connection has the burst now.
    fn try_deliver(&self, delivery: &mut Delivery<'_>) -> bool {
        let Ok(mut cursor) = self.cursor.try_lock() else { return false };
        let Some(at) = *cursor else { return false };
        if at != delivery.from {
            return at.generation == delivery.to.generation && at.seq >= delivery.to.seq;
        }
        let Some(outlet) = self.handle.outlet(self.key, delivery.round) else { return false };
        match outlet.try_send(delivery.burst) {
            Sent::All => {}
            Sent::Partial => self.handle.wake(),
            Sent::Nothing => return false,
        }
        *cursor = Some(delivery.to);
        delivery.written += 1;
        true
    }

    /// Begins the fan-out to this connection, unless the subscription is over already.
    pub(crate) fn go_live(&self, from: Cursor) {
        let mut cursor = self.cursor();
        if !self.is_ended() {
            *cursor = Some(from);
        }
    }

    /// Ends the subscription: nothing of the channel is written after this, also by a fan-out that still has the
    /// subscriber in hand. Returns whether it was over already.
    pub(crate) fn end(&self) -> bool {
        let mut cursor = self.cursor();
        *cursor = None;
        self.ended.swap(true, Ordering::AcqRel)
    }

    fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Notes that the channel's members count this connection.
    pub(crate) fn set_counted(&self) {
        self.counted.store(true, Ordering::Release);
    }

    /// Returns whether the caller is to count the connection out: the first one to ask is.
    pub(crate) fn take_counted(&self) -> bool {
        self.counted.swap(false, Ordering::AcqRel)
    }

    /// Takes the mark off and the cursor in hand, to read the ring from it.
    pub(crate) fn look(&self) -> MutexGuard<'_, Option<Cursor>> {
        self.wake_mark.clear();
        self.cursor()
    }

    fn cursor(&self) -> MutexGuard<'_, Option<Cursor>> {
        // An outlet may panic under this lock; what is behind it is whole all the same.
        self.cursor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
