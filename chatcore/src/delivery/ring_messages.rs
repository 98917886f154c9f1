//! A ring's newest messages, for a client that opens the channel.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use crate::delivery::ring_budget::{Charge, Rings};
use crate::delivery::ring_frames::{Frame, RingFrames};
use crate::limits::Limits;
use crate::model::event::Event;
use crate::model::id::{Seq, UserId};
use crate::protocol::{Encoded, Encoder, Form, Marks, MessageList, Reader};
use crate::store::PageLimit;

/// The newest messages of a log in their current state, bounded in number and in bytes.
///
/// An unchanged message is read from its frame while the ring has that frame.
#[derive(Debug)]
pub(super) struct RingMessages {
    bounds: PageLimit,
    answer_bytes: usize,
    messages: VecDeque<Kept>,
    bytes: usize,
    /// If the log has messages older than the first of `messages`: the bytes of the next older one when it was
    /// here, or 0.
    older: Option<usize>,
    /// The lists of all `messages` for answers, of each form that was asked for, until the next change.
    snapshots: Snapshots,
}

#[derive(Debug)]
struct Kept {
    seq: Seq,
    /// The bytes of its message in the full form.
    len: u32,
    /// The message, if it is not in its frame.
    own: Option<Box<Encoded>>,
}

impl Kept {
    fn encoded<'a>(&'a self, frames: &'a RingFrames) -> &'a Encoded {
        let own = self.own.as_deref().or_else(|| frames.at(self.seq));
        own.expect("invariant: a message is taken out of its frame before that is dropped")
    }
}

#[derive(Debug, Default)]
struct Snapshots {
    full: OnceLock<Snapshot>,
    lean: OnceLock<Snapshot>,
}

/// A list, encoded for all who have written none of its messages, and the bytes that it holds.
#[derive(Debug)]
struct Snapshot {
    list: MessageList,
    /// The marks of its authors.
    authors: Marks,
    _charge: Charge,
}

impl RingMessages {
    /// Returns no messages of a log. `has_older` says whether the log has some before the first that will be pushed.
    pub(super) fn new(limits: &Limits, has_older: bool) -> Self {
        Self {
            bounds: Self::bounds(limits),
            answer_bytes: limits.answer_bytes,
            messages: VecDeque::new(),
            bytes: 0,
            older: has_older.then_some(0),
            snapshots: Snapshots::default(),
        }
    }

    /// Drops all. The log has older ones.
    pub(super) fn begin_anew(&mut self) {
        let (bounds, answer_bytes) = (self.bounds, self.answer_bytes);
        let (messages, snapshots) = (VecDeque::new(), Snapshots::default());
        *self = Self { bounds, answer_bytes, messages, bytes: 0, older: Some(0), snapshots };
    }

    /// Returns how many messages a ring holds. One answer can have all of them.
    pub(super) fn bounds(limits: &Limits) -> PageLimit {
        PageLimit::new(limits.page_messages, limits.ring_bytes.min(limits.answer_bytes))
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Returns their bytes, without those of the snapshots, and as many as in the full form.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a message of `len` bytes that is in its frame, and drops the oldest ones over the bounds.
    #[inline]
    pub(super) fn push_framed(&mut self, seq: Seq, len: usize) {
        self.push(Kept { seq, len: len as u32, own: None });
    }

    /// Adds a message that is in no frame, and drops the oldest ones over the bounds.
    pub(super) fn push_own(&mut self, seq: Seq, message: Encoded) {
        self.push(Kept { seq, len: message.message_len() as u32, own: Some(Box::new(message)) });
    }

    #[inline]
    fn push(&mut self, kept: Kept) {
        self.bytes += kept.len as usize;
        self.messages.push_back(kept);
        self.trim();
    }

    /// Takes a message out of a frame that is dropped.
    #[inline]
    pub(super) fn take_out_of(&mut self, frame: Frame) {
        let Frame { subject: Some(seq), encoded, .. } = frame else { return };
        if self.messages.front().is_some_and(|oldest| oldest.seq <= seq) && encoded.is_message() {
            self.take(seq, encoded);
        }
    }

    #[cold]
    fn take(&mut self, seq: Seq, encoded: Encoded) {
        if let Ok(at) = self.place(seq) {
            self.messages[at].own.get_or_insert_with(|| Box::new(encoded));
        }
    }

    /// Returns the place of the message at `seq`.
    fn place(&self, seq: Seq) -> Result<usize, usize> {
        self.messages.binary_search_by_key(&seq, |kept| kept.seq)
    }

    /// Applies an edit, a delete or a reaction to the message that it is about.
    pub(super) fn apply(&mut self, event: &Event, target: Seq, frames: &RingFrames, encoder: &Encoder) {
        let Ok(at) = self.place(target) else { return };
        let message = encoder.apply(self.messages[at].encoded(frames), event);
        self.replace(at, message);
        self.trim();
    }

    /// Replaces a message by another state of it.
    fn replace(&mut self, at: usize, message: Encoded) {
        let kept = &mut self.messages[at];
        self.bytes -= kept.len as usize;
        kept.len = message.message_len() as u32;
        self.bytes += kept.len as usize;
        kept.own = Some(Box::new(message));
    }

    /// Takes an erased person's name out of every message. The frames don't have it any more.
    pub(super) fn forget(&mut self, user: &UserId, id: &str, frames: &RingFrames, encoder: &Encoder) {
        self.drop_snapshots();
        for at in 0..self.messages.len() {
            let kept = &mut self.messages[at];
            match &kept.own {
                Some(message) => {
                    if let Some(message) = encoder.forget_author(message, user, id) {
                        self.replace(at, message);
                    }
                }
                None => {
                    self.bytes -= kept.len as usize;
                    kept.len = kept.encoded(frames).message_len() as u32;
                    self.bytes += kept.len as usize;
                }
            }
        }
    }

    /// Drops the snapshots: the log has changed.
    #[inline]
    pub(super) fn drop_snapshots(&mut self) {
        self.snapshots = Snapshots::default();
    }

    /// Returns the newest messages for an answer, at most `limit`, oldest first, and whether the log has older
    /// ones. Returns `None` if the log may have more for the answer than there are here.
    pub(super) fn newest(
        &self,
        limit: usize,
        reader: Reader<'_>,
        frames: &RingFrames,
        rings: &Arc<Rings>,
    ) -> Option<(MessageList, bool)> {
        let room = |next: usize| self.bytes + next <= self.answer_bytes;
        let is_missing = |next| room(next) || self.messages.is_empty();
        if self.messages.len() < limit && self.older.is_some_and(is_missing) {
            return None;
        }
        let start = self.messages.len().saturating_sub(limit);
        let list = match start {
            0 => self.all(reader, frames, rings),
            _ => MessageList::for_reader(self.from(start, frames), reader),
        };
        Some((list, start > 0 || self.older.is_some()))
    }

    /// Returns the list of all messages. A reader who has written one of them, and gets its nonce, has a list of their own.
    fn all(&self, reader: Reader<'_>, frames: &RingFrames, rings: &Arc<Rings>) -> MessageList {
        let snapshot = match reader.form {
            Form::Full => &self.snapshots.full,
            Form::Lean => &self.snapshots.lean,
        };
        let snapshot = snapshot.get_or_init(|| {
            let list = MessageList::for_others(self.from(0, frames), reader.form);
            let mut authors = Marks::default();
            self.from(0, frames).filter_map(Encoded::author_mark).for_each(|mark| authors.add(mark));
            Snapshot { _charge: Charge::new(rings, list.len()), list, authors }
        });
        let is_author = reader.form == Form::Lean
            && snapshot.authors.may_have(reader.mark)
            && self.from(0, frames).any(|message| message.is_by(reader.user));
        if is_author { MessageList::for_reader(self.from(0, frames), reader) } else { snapshot.list.clone() }
    }

    fn from<'a>(&'a self, start: usize, frames: &'a RingFrames) -> impl Iterator<Item = &'a Encoded> + Clone {
        self.messages.range(start..).map(move |kept| kept.encoded(frames))
    }

    /// Drops the messages up to the last one of a person that is not deleted, and the snapshots.
    pub(super) fn drop_texts(&mut self, user: &UserId, id: &str, frames: &RingFrames) {
        self.drop_snapshots();
        let last = self.messages.iter().rposition(|kept| Encoder::is_text_of(kept.encoded(frames), user, id));
        for _ in 0..last.map_or(0, |last| last + 1) {
            self.drop_oldest();
        }
    }

    /// Keeps the newest messages, up to `floor` bytes, and no snapshots.
    pub(super) fn shrink(&mut self, floor: usize) {
        self.drop_snapshots();
        while self.bytes > floor {
            self.drop_oldest();
        }
        self.messages.shrink_to_fit();
    }

    fn trim(&mut self) {
        let PageLimit { items, bytes } = self.bounds;
        while self.messages.len() > items || self.bytes > bytes {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let oldest = self.messages.pop_front().expect("invariant: a ring with bytes has messages");
        self.bytes -= oldest.len as usize;
        self.older = Some(oldest.len as usize);
    }
}
