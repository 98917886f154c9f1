//! A connection's subscription to a channel, shared by its task and the fan-out.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::delivery::cursor::Cursor;
use crate::delivery::handle::{ConnectionHandle, SubscriptionKey};
use crate::delivery::outlet::{Burst, Sent};
use crate::delivery::ring_cell::RingCell;
use crate::delivery::wake::WakeMark;
use crate::model::id::Seq;
use crate::model::name::ChannelName;
use crate::protocol::{CloseReason, RemovalReason};
use crate::runtime::panics::{Panicked, contain};

/// A connection's cursor in a channel's ring.
///
/// Two tasks move it: the connection's task, which reads the ring from it, and the fan-out. The fan-out writes the
/// newest frames to the socket itself, if the connection has everything before them and its socket accepts them.
///
/// The task that moves the cursor holds its lock until the frames are on their way. The fan-out only tries the
/// lock. If the lock is taken or the connection is behind, the fan-out marks the subscription, and the
/// connection's task reads the ring. If that task gets no turn for long, the fan-out
/// [catches up](Self::catch_up) for it.
#[derive(Debug)]
pub(crate) struct Subscriber {
    handle: Arc<ConnectionHandle>,
    ring: Arc<RingCell>,
    key: SubscriptionKey,
    wake_mark: WakeMark<SubscriptionKey>,
    place: Mutex<Place>,
    /// Whether the subscription has ended, or ends with an event. Set under the place's lock.
    ended: AtomicBool,
    /// Whether the channel's members count this connection.
    counted: AtomicBool,
}

/// How far a subscription has come.
#[derive(Debug, Default)]
pub(crate) enum Place {
    /// It is not answered yet.
    #[default]
    Begun,
    /// It has everything up to the cursor.
    Live(Cursor),
    /// Its right to read has ended with an event: the connection's task, not the fan-out, writes what is left.
    Ending(Box<Last>),
    /// Nothing more is written.
    Ended,
}

/// The end of a subscription whose right to read has ended.
#[derive(Debug)]
pub(crate) struct Last {
    /// `None` until the subscription is answered.
    cursor: Option<Cursor>,
    /// The last event that the client may have.
    seq: Seq,
    reason: RemovalReason,
}

/// What a connection's task can read of its subscription.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reading {
    /// Everything after the cursor.
    Live(Cursor),
    /// What is after the cursor, up to and including this event.
    UpTo(Cursor, Seq, RemovalReason),
}

impl Place {
    /// Returns what can be read, or `None` if that is nothing.
    pub(crate) fn reading(&self) -> Option<Reading> {
        match self {
            Self::Begun | Self::Ended => None,
            Self::Live(cursor) => Some(Reading::Live(*cursor)),
            Self::Ending(last) => last.cursor.map(|cursor| Reading::UpTo(cursor, last.seq, last.reason)),
        }
    }

    /// Moves the cursor to where everything before it was read.
    pub(crate) fn move_to(&mut self, to: Cursor) {
        match self {
            Self::Begun | Self::Live(_) => *self = Self::Live(to),
            Self::Ending(last) => last.cursor = Some(to),
            Self::Ended => {}
        }
    }
}

/// A burst for a channel's subscribers.
pub(crate) struct Delivery<'a> {
    /// Subscribers at this cursor receive the burst.
    pub(crate) from: Cursor,
    /// Their cursor afterwards.
    pub(crate) to: Cursor,
    /// The round of the fan-out.
    pub(crate) round: u64,
    pub(crate) burst: &'a mut Burst,
    /// The number of subscribers that it was written to.
    pub(crate) written: u64,
    /// The number of earlier frames that were written, each counted per subscriber.
    pub(crate) late: u64,
}

/// What became of a burst at a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivered {
    /// The subscriber has it.
    Written,
    /// It is left to the connection's task.
    Left,
    /// The same, and the task is far behind.
    Late,
}

/// How many events a connection's task may leave to be read. Then the fan-out tries to write them, and again after as
/// many.
const LATE: Seq = 64;

impl Delivery<'_> {
    /// Returns whether it is time to catch up for a subscriber that has everything up to `at` only.
    fn is_to_catch_up(&self, at: Cursor) -> bool {
        at.seq + LATE <= self.to.seq && self.from.seq / LATE != self.to.seq / LATE
    }
}

impl Subscriber {
    pub(crate) fn new(handle: Arc<ConnectionHandle>, ring: Arc<RingCell>, key: SubscriptionKey) -> Self {
        let wake_mark = handle.wake_mark(key);
        Self {
            handle,
            ring,
            key,
            wake_mark,
            place: Mutex::default(),
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

    /// Returns whether it is a subscription to the channel with that name.
    pub(crate) fn is_of(&self, channel: &ChannelName) -> bool {
        self.ring.channel() == channel
    }

    /// Leaves a frame about the channel that the client must get.
    pub(crate) fn send(&self, frame: &Bytes) {
        self.handle.send_of(self.ring.channel(), frame, || !self.is_ended());
    }

    /// Leaves a frame about the channel that may be dropped.
    pub(crate) fn offer(&self, frame: &Bytes) {
        self.handle.offer_of(self.ring.channel(), frame, || !self.is_ended());
    }

    /// Marks the channel as having new events, which the connection's task will read.
    pub(crate) fn mark(&self) {
        self.wake_mark.mark();
    }

    /// Writes the burst to all of them, and then, with its buffers, what those need who are far behind. If an outlet
    /// panics, its connection is closed, since nobody knows how much was written, and the bytes are encoded again for the
    /// others.
    pub(crate) fn deliver_all(
        subscribers: &[Arc<Self>],
        delivery: &mut Delivery<'_>,
        panics: &mut Vec<Panicked>,
    ) {
        let mut late = Vec::new();
        let mut next = 0;
        while next < subscribers.len() {
            // One `catch_unwind` for all: one per subscriber would cost a fifth of a delivery's instructions.
            let served = contain(|| {
                let mut rest = subscribers[next..].iter();
                while let Some(subscriber) = rest.next() {
                    next += 1;
                    Self::fetch(rest.as_slice());
                    if subscriber.deliver(delivery) == Delivered::Late {
                        late.push(subscriber);
                    }
                }
            });
            if let Err(panicked) = served {
                panics.push(panicked);
                delivery.burst.clear_written();
                subscribers[next - 1].handle.close(CloseReason::TooSlow);
            }
        }
        for subscriber in late {
            if let Err(panicked) = contain(|| subscriber.catch_up(delivery)) {
                panics.push(panicked);
                subscriber.handle.close(CloseReason::TooSlow);
            }
        }
    }

    /// Reads what the next of them need, each from another place: so the memory has them all ready at once, and not one after
    /// the other when they are used.
    #[inline]
    fn fetch(next: &[Arc<Self>]) {
        if let [first, second, third, ..] = next {
            let third = u64::from(third.ended.load(Ordering::Relaxed));
            black_box(first.handle.fetch_outlet() ^ second.handle.fetch() ^ third);
        }
    }

    /// Writes the burst to the connection if it needs only that. Otherwise marks it for its task.
    fn deliver(&self, delivery: &mut Delivery<'_>) -> Delivered {
        let delivered = self.try_deliver(delivery);
        if delivered != Delivered::Written {
            self.mark();
        }
        delivered
    }

    /// Writes the burst if possible.
    fn try_deliver(&self, delivery: &mut Delivery<'_>) -> Delivered {
        let Ok(mut place) = self.place.try_lock() else { return Delivered::Left };
        let Place::Live(at) = &mut *place else { return Delivered::Left };
        if *at != delivery.from {
            return match at.generation == delivery.to.generation {
                true if at.seq >= delivery.to.seq => Delivered::Written,
                true if delivery.is_to_catch_up(*at) => Delivered::Late,
                _ => Delivered::Left,
            };
        }
        let Some(outlet) = self.handle.outlet(self.key, delivery.round) else { return Delivered::Left };
        delivery.burst.write_for(self.handle.reader());
        match outlet.try_send(delivery.burst) {
            Sent::All => {}
            Sent::Partial => self.handle.wake(),
            Sent::Nothing => return Delivered::Left,
        }
        *at = delivery.to;
        delivery.written += 1;
        Delivered::Written
    }

    /// Writes what the connection's task has not come to read, if its socket accepts it. The task was woken, but on a busy
    /// machine it may get its turn so late that the ring has moved past the cursor.
    fn catch_up(&self, delivery: &mut Delivery<'_>) {
        let Ok(mut place) = self.place.try_lock() else { return };
        let Place::Live(at) = &mut *place else { return };
        let Some(outlet) = self.handle.late_outlet() else { return };
        let (Some(to), _) = self.ring.next_burst(*at, delivery.burst) else { return };
        if to == *at {
            return;
        }
        delivery.burst.write_for(self.handle.reader());
        match outlet.try_send(delivery.burst) {
            Sent::All => {}
            Sent::Partial => self.handle.wake(),
            Sent::Nothing => return,
        }
        delivery.late += to.seq - at.seq;
        *at = to;
    }

    /// Starts the subscription where its answer ends, unless it has ended.
    pub(crate) fn go_live(&self, from: Cursor) {
        self.place().move_to(from);
    }

    /// Ends the subscription. Nothing of the channel is written after this, even by a fan-out that still has the
    /// subscriber in hand. Returns whether it had already ended.
    pub(crate) fn end(&self) -> bool {
        let before = std::mem::replace(&mut *self.place(), Place::Ended);
        self.ended.store(true, Ordering::Release);
        matches!(before, Place::Ended)
    }

    /// Ends the subscription with the event at `seq`: the client gets it and everything before it, and nothing after. Call
    /// this before a later event is in the ring.
    pub(crate) fn end_with(&self, seq: Seq, reason: RemovalReason) {
        let mut place = self.place();
        let cursor = match *place {
            Place::Begun => None,
            Place::Live(cursor) => Some(cursor),
            Place::Ending(_) | Place::Ended => return,
        };
        *place = Place::Ending(Box::new(Last { cursor, seq, reason }));
        self.ended.store(true, Ordering::Release);
        drop(place);
        self.mark();
    }

    /// Ends the subscription for good if an event has ended it and the client was not told yet. Then it calls `note` with
    /// the event's `seq` while [`tells_removal`](Self::tells_removal) is still true for others, and returns why.
    pub(crate) fn take_end(&self, note: impl FnOnce(Seq)) -> Option<RemovalReason> {
        let mut place = self.place();
        let Place::Ending(last) = &*place else { return None };
        let reason = last.reason;
        note(last.seq);
        *place = Place::Ended;
        Some(reason)
    }

    /// Returns whether the subscription will tell the client of a removal that its ring has: one that has only begun
    /// since then does not know of it.
    pub(crate) fn tells_removal(&self) -> bool {
        matches!(&*self.place(), Place::Live(_) | Place::Ending(_))
    }

    /// Returns whether the client may have the event at `seq` and those before it.
    pub(crate) fn may_have(&self, seq: Seq) -> bool {
        match &*self.place() {
            Place::Begun | Place::Live(_) => true,
            Place::Ending(last) => seq <= last.seq,
            Place::Ended => false,
        }
    }

    fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Notes that the channel's members count this connection.
    pub(crate) fn set_counted(&self) {
        self.counted.store(true, Ordering::Release);
    }

    /// Returns whether the caller must remove this connection from the count. Only the first call returns true.
    pub(crate) fn take_counted(&self) -> bool {
        self.counted.swap(false, Ordering::AcqRel)
    }

    /// Clears the mark and returns the place, to read the ring from it.
    pub(crate) fn look(&self) -> MutexGuard<'_, Place> {
        self.wake_mark.clear();
        self.place()
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        // An outlet may panic under this lock. The place is valid anyway.
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
