//! A ring's newest frames, for cursors and resume.

use std::collections::VecDeque;

use crate::limits::Limits;
use crate::model::check::Check;
use crate::model::id::{Seq, UserId};
use crate::protocol::{Encoded, Encoder};
use crate::store::Head;

/// The frames of a log's newest events without a gap, bounded in number and in bytes. A place among them is said by
/// the number of frames after it.
#[derive(Debug)]
pub(super) struct RingFrames {
    most: usize,
    most_bytes: usize,
    frames: VecDeque<Frame>,
    /// The `seq` of the newest frame's event.
    head: Seq,
    bytes: usize,
    /// The check of the event before the oldest frame, if it is known.
    floor_check: Option<Check>,
}

#[derive(Debug)]
pub(super) struct Frame {
    /// The message that a delete must redact with this frame: the message itself, or the target of an edit.
    pub(super) subject: Option<Seq>,
    pub(super) encoded: Encoded,
    check: Check,
}

impl RingFrames {
    /// Returns no frames. The next one follows the event at the end of a log.
    pub(super) fn new(limits: &Limits, end: &Head) -> Self {
        Self {
            most: limits.ring_events,
            most_bytes: limits.ring_bytes,
            frames: VecDeque::new(),
            head: end.seq,
            bytes: 0,
            floor_check: end.check,
        }
    }

    /// Drops all. The next one follows the event at `end`.
    pub(super) fn begin_anew(&mut self, end: &Head) {
        let (most, most_bytes) = (self.most, self.most_bytes);
        let frames = VecDeque::new();
        *self = Self { most, most_bytes, frames, head: end.seq, bytes: 0, floor_check: end.check };
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a frame, and hands the oldest ones over the bounds to `dropped`.
    #[inline]
    pub(super) fn push(
        &mut self,
        subject: Option<Seq>,
        encoded: Encoded,
        check: Check,
        mut dropped: impl FnMut(Frame),
    ) {
        self.head += 1;
        self.bytes += encoded.held();
        self.frames.push_back(Frame { subject, encoded, check });
        while self.frames.len() > self.most || (self.bytes > self.most_bytes && self.frames.len() > 1) {
            dropped(self.drop_oldest());
        }
    }

    /// Returns the frame of the event at `seq`.
    #[inline]
    pub(super) fn at(&self, seq: Seq) -> Option<&Encoded> {
        let later = usize::try_from(self.head.checked_sub(seq)?).ok()?;
        let at = self.frames.len().checked_sub(later)?.checked_sub(1)?;
        self.frames.get(at).map(|frame| &frame.encoded)
    }

    /// Returns the newest `count` frames, oldest first. There must be as many.
    #[inline]
    pub(super) fn newest(&self, count: usize) -> impl Iterator<Item = &Encoded> {
        self.frames.range(self.frames.len() - count..).map(|frame| &frame.encoded)
    }

    /// Returns the check of the event before the newest `count`, if it is known.
    #[inline]
    pub(super) fn check_before(&self, count: usize) -> Option<Check> {
        match self.frames.len().checked_sub(count)? {
            0 => self.floor_check,
            above => self.frames.get(above - 1).map(|frame| frame.check),
        }
    }

    /// Removes the text of a deleted message from every frame that has it.
    pub(super) fn redact(&mut self, target: Seq, encoder: &Encoder) {
        for frame in self.frames.iter_mut().filter(|frame| frame.subject == Some(target)) {
            self.bytes -= frame.encoded.held();
            frame.encoded = encoder.redact(&frame.encoded, frame.check);
            self.bytes += frame.encoded.held();
        }
    }

    /// Takes an erased person's name out of every frame.
    pub(super) fn forget(&mut self, user: &UserId, id: &str, encoder: &Encoder) {
        for frame in &mut self.frames {
            if let Some(encoded) = encoder.forget(&frame.encoded, frame.check, user, id) {
                self.bytes -= frame.encoded.held();
                self.bytes += encoded.held();
                frame.encoded = encoded;
            }
        }
    }

    /// Drops the frames up to the last one with a text that a person wrote, and hands them to `dropped`.
    pub(super) fn drop_texts(&mut self, user: &UserId, id: &str, mut dropped: impl FnMut(Frame)) {
        let last = self.frames.iter().rposition(|frame| Encoder::has_text_of(&frame.encoded, user, id));
        for _ in 0..last.map_or(0, |last| last + 1) {
            dropped(self.drop_oldest());
        }
    }

    /// Keeps the newest frames, up to `floor` bytes, and hands the others to `dropped`.
    pub(super) fn shrink(&mut self, floor: usize, mut dropped: impl FnMut(Frame)) {
        while self.bytes > floor {
            dropped(self.drop_oldest());
        }
        self.frames.shrink_to_fit();
    }

    fn drop_oldest(&mut self) -> Frame {
        let oldest = self.frames.pop_front().expect("invariant: a ring with bytes has frames");
        self.bytes -= oldest.encoded.held();
        self.floor_check = Some(oldest.check);
        oldest
    }
}
