//! The cached end of one channel's log: its newest messages in their current state, and its newest frames.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::delivery::cursor::{Cursor, Read};
use crate::delivery::outgoing::Taken;
use crate::delivery::ring_budget::{Charge, Rings};
use crate::delivery::ring_frames::RingFrames;
use crate::delivery::ring_messages::RingMessages;
use crate::limits::Limits;
use crate::model::check::Check;
use crate::model::event::{Event, EventKind};
use crate::model::id::{Position, Seq, UserId};
use crate::protocol::{Encoded, Encoder, MessageList, Reader};
use crate::runtime::panics::contain;
use crate::store::{Head, Page, PageLimit};

/// The end of a channel's log in memory, bounded in number and in bytes.
///
/// Frames serve cursors and resume. Messages serve a client that opens the channel. Both are encoded once.
#[derive(Debug)]
pub(crate) struct HistoryRing {
    encoder: Encoder,
    head: Head,
    frames: RingFrames,
    messages: RingMessages,
    /// Incremented when the ring is rebuilt. Cursors of an earlier generation are stale.
    generation: u64,
    /// The bytes that it holds besides the snapshot.
    charge: Charge,
    /// The number of its last use, which is a push or a list.
    used: AtomicU64,
}

/// The bytes that a frame or a message takes besides its own.
const OVERHEAD: usize = 64;

/// The result of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Push {
    /// The event is the new head.
    Done,
    /// The ring already had the event.
    Known,
    /// Events before it are missing, or the ring's events are not the log's. Read the log from the store.
    Gap,
}

impl HistoryRing {
    /// Returns the ring of a log that ends at `head`, with its newest messages.
    pub(crate) fn new(
        limits: &Limits,
        encoder: Encoder,
        rings: &Arc<Rings>,
        head: Head,
        newest: &Page,
    ) -> Self {
        let mut messages = RingMessages::new(limits, newest.more);
        for message in &newest.messages {
            messages.push_own(message.seq, encoder.message(message));
        }
        let mut ring = Self {
            encoder,
            frames: RingFrames::new(limits, &head),
            head,
            messages,
            generation: 0,
            charge: Charge::new(rings, 0),
            used: AtomicU64::new(rings.next_use()),
        };
        ring.recharge();
        ring
    }

    /// Returns how many messages a ring holds. One answer can have all of them.
    pub(crate) fn messages_limit(limits: &Limits) -> PageLimit {
        RingMessages::bounds(limits)
    }

    /// Replaces the ring after the log was lost, rebuilt or trimmed. All cursors lag.
    pub(crate) fn restart(&mut self, limits: &Limits, head: Head, newest: &Page) {
        let generation = self.generation + 1;
        let rings = Arc::clone(self.charge.rings());
        *self = Self::new(limits, self.encoder.clone(), &rings, head, newest);
        self.generation = generation;
    }

    /// Returns the end of the ring's log.
    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    /// Returns the head as a cursor. Later events are live.
    pub(crate) fn cursor(&self) -> Cursor {
        self.cursor_at(self.head.seq)
    }

    /// Returns a cursor of this generation at `seq`.
    pub(crate) fn cursor_at(&self, seq: Seq) -> Cursor {
        Cursor { generation: self.generation, seq }
    }

    /// Adds the next event of the log, with its frame and its check.
    pub(crate) fn push(&mut self, event: &Event, frame: Encoded, check: Check) -> Push {
        if event.seq <= self.head.seq {
            // Another event at this position: the log in the store was restored and continued.
            let differs = self.check_at(event.seq).is_some_and(|known| known != check);
            return if differs { Push::Gap } else { Push::Known };
        }
        if event.seq != self.head.seq + 1 {
            return Push::Gap;
        }
        (self.head.seq, self.head.check) = (event.seq, Some(check));
        self.change(|ring| ring.add(event, frame, check));
        Push::Done
    }

    /// Changes the ring. If that panics, the ring begins anew after its head, and the store has the rest: the lock is not
    /// poisoned, and the channel goes on.
    fn change(&mut self, change: impl FnOnce(&mut Self)) {
        if contain(|| change(self)).is_err() {
            self.messages.begin_anew();
            self.frames.begin_anew(&self.head);
            self.generation += 1;
        }
        self.recharge();
    }

    fn add(&mut self, event: &Event, frame: Encoded, check: Check) {
        self.messages.drop_snapshots();
        match &event.kind {
            EventKind::Message(_) => self.messages.push_framed(event.seq, frame.message_len()),
            EventKind::Deleted { target, .. } => {
                self.messages.apply(event, *target, &self.frames, &self.encoder);
                self.frames.redact(*target, &self.encoder);
            }
            EventKind::Edited { target, .. } | EventKind::Reaction { target, .. } => {
                self.messages.apply(event, *target, &self.frames, &self.encoder);
            }
            EventKind::Member { .. } | EventKind::Changed { .. } => {}
        }
        let subject = match &event.kind {
            EventKind::Message(_) => Some(event.seq),
            EventKind::Edited { target, .. } => Some(*target),
            EventKind::Deleted { .. }
            | EventKind::Reaction { .. }
            | EventKind::Member { .. }
            | EventKind::Changed { .. } => None,
        };
        self.frames.push(subject, frame, check, |frame| self.messages.take_out_of(frame));
        self.used.store(self.charge.rings().next_use(), Ordering::Relaxed);
    }

    /// Adds up to `limit` frames after the cursor to `out` while they fit, as `reader` reads them.
    pub(crate) fn read(&self, cursor: Cursor, limit: usize, reader: Reader<'_>, out: &mut Taken<'_>) -> Read {
        self.take(cursor, limit, |frame| out.take(frame, reader))
    }

    /// Adds up to `limit` frames after the cursor to `out`, for readers of any form.
    pub(crate) fn read_all_forms(&self, cursor: Cursor, limit: usize, out: &mut Vec<Encoded>) -> Read {
        self.take(cursor, limit, |frame| {
            out.push(frame.clone());
            true
        })
    }

    /// Hands up to `limit` frames after the cursor to `take`, until it returns false for one that it does not take.
    #[inline]
    fn take(&self, cursor: Cursor, limit: usize, mut take: impl FnMut(&Encoded) -> bool) -> Read {
        if cursor.generation != self.generation || !self.holds_after(cursor.seq) {
            let from = if cursor.generation == self.generation { cursor.seq + 1 } else { 1 };
            return Read::Lagged { from, to: self.head.seq };
        }
        // A cursor set from the store may be ahead of the ring for a moment.
        let behind = self.behind(cursor.seq).unwrap_or_default();
        let mut count = 0;
        for frame in self.frames.newest(behind).take(limit) {
            if !take(frame) {
                break;
            }
            count += 1;
        }
        let next = Cursor { generation: self.generation, seq: cursor.seq + count as Seq };
        if count < behind { Read::More(next) } else { Read::Caught(next) }
    }

    /// Returns the frames after `position` that take `bytes` together, but at least one, as `reader` reads them, and the
    /// cursor after them. Returns `None` if the ring does not have them.
    pub(crate) fn frames_after(
        &self,
        position: &Position,
        bytes: usize,
        reader: Reader<'_>,
    ) -> Option<(Vec<Bytes>, Cursor)> {
        if position.epoch != self.head.epoch
            || !self.holds_after(position.seq)
            || !position.fits(self.check_at(position.seq))
        {
            return None;
        }
        let behind = self.behind(position.seq)?;
        let mut page = PageLimit { items: usize::MAX, bytes }.fill();
        let later = self.frames.newest(behind).map(|frame| (frame, frame.variant(reader)));
        let fitting = later.take_while(|(frame, variant)| page.take(frame.len(*variant) + 1));
        let frames: Vec<Bytes> = fitting.map(|(frame, variant)| frame.bytes(variant)).collect();
        let cursor = self.cursor_at(position.seq + frames.len() as Seq);
        Some((frames, cursor))
    }

    /// Returns whether the ring holds every event after `seq`.
    pub(crate) fn holds_after(&self, seq: Seq) -> bool {
        seq >= self.head.seq - self.frames.len() as Seq
    }

    /// Returns the check of the event at `seq`, if the ring knows it.
    pub(crate) fn check_at(&self, seq: Seq) -> Option<Check> {
        self.frames.check_before(self.behind(seq)?)
    }

    /// Returns how many events of the log are after `seq`, or `None` if the log ends before it.
    fn behind(&self, seq: Seq) -> Option<usize> {
        usize::try_from(self.head.seq.checked_sub(seq)?).ok()
    }

    /// Returns the newest messages for an answer, at most `limit`, oldest first, and whether the log has older
    /// ones. Returns `None` if the log may have more for the answer than the ring does.
    pub(crate) fn newest(&self, limit: usize, reader: Reader<'_>) -> Option<(MessageList, bool)> {
        let rings = self.charge.rings();
        let newest = self.messages.newest(limit, reader, &self.frames, rings)?;
        self.used.store(rings.next_use(), Ordering::Relaxed);
        Some(newest)
    }

    /// Returns the number of the ring's last use. A later use has a higher number.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Takes an erased person's name out of every frame and message.
    pub(crate) fn forget(&mut self, user: &UserId) {
        let id = Encoder::written_id(user);
        self.change(|ring| {
            ring.frames.forget(user, &id, &ring.encoder);
            ring.messages.forget(user, &id, &ring.frames, &ring.encoder);
        });
    }

    /// Drops what a person wrote, and what is older. It is read from the store, which knows what is left of it: the ring
    /// may have messages that were trimmed there.
    pub(crate) fn forget_texts(&mut self, user: &UserId) {
        let id = Encoder::written_id(user);
        self.change(|ring| {
            ring.messages.drop_texts(user, &id, &ring.frames);
            ring.frames.drop_texts(user, &id, |frame| ring.messages.take_out_of(frame));
        });
    }

    /// Keeps the newest frames and messages, up to `floor` bytes of each.
    pub(crate) fn shrink(&mut self, floor: usize) {
        self.messages.shrink(floor);
        self.frames.shrink(floor, |frame| self.messages.take_out_of(frame));
        self.recharge();
    }

    fn recharge(&mut self) {
        let count = self.frames.len() + self.messages.len();
        self.charge.set(self.frames.bytes() + self.messages.bytes() + count * OVERHEAD);
    }
}

#[cfg(test)]
mod tests;
