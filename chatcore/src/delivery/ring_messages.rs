//! A ring's newest messages, for a client that opens the channel.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use crate::delivery::ring_budget::{Charge, Rings};
use crate::limits::Limits;
use crate::model::event::Event;
use crate::model::id::{Seq, UserId};
use crate::protocol::{Encoder, Form, Fragment, Marks, MessageList, Reader};
use crate::store::PageLimit;

/// The newest messages of a log in their current state, bounded in number and in bytes.
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
    fragment: Fragment,
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

    /// Adds a message, and drops the oldest ones over the bounds.
    #[inline]
    pub(super) fn push(&mut self, seq: Seq, fragment: Fragment) {
        self.bytes += fragment.len();
        self.messages.push_back(Kept { seq, fragment });
        self.trim();
    }

    /// Applies an edit, a delete or a reaction to the message that it is about.
    pub(super) fn apply(&mut self, event: &Event, target: Seq, encoder: &Encoder) {
        let Ok(at) = self.messages.binary_search_by_key(&target, |kept| kept.seq) else { return };
        let kept = &mut self.messages[at];
        self.bytes -= kept.fragment.len();
        kept.fragment = encoder.apply(&kept.fragment, event);
        self.bytes += kept.fragment.len();
        self.trim();
    }

    /// Takes an erased person's name out of every message.
    pub(super) fn forget(&mut self, user: &UserId, id: &str, encoder: &Encoder) {
        self.drop_snapshots();
        for kept in &mut self.messages {
            if let Some(fragment) = encoder.forget_author(&kept.fragment, user, id) {
                self.bytes -= kept.fragment.len();
                self.bytes += fragment.len();
                kept.fragment = fragment;
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
        rings: &Arc<Rings>,
    ) -> Option<(MessageList, bool)> {
        let room = |next: usize| self.bytes + next <= self.answer_bytes;
        let is_missing = |next| room(next) || self.messages.is_empty();
        if self.messages.len() < limit && self.older.is_some_and(is_missing) {
            return None;
        }
        let start = self.messages.len().saturating_sub(limit);
        let list = match start {
            0 => self.all(reader, rings),
            _ => MessageList::for_reader(self.fragments(start), reader),
        };
        Some((list, start > 0 || self.older.is_some()))
    }

    /// Returns the list of all messages. A reader who has written one of them, and gets its nonce, has a list of their own.
    fn all(&self, reader: Reader<'_>, rings: &Arc<Rings>) -> MessageList {
        let snapshot = match reader.form {
            Form::Full => &self.snapshots.full,
            Form::Lean => &self.snapshots.lean,
        };
        let snapshot = snapshot.get_or_init(|| {
            let list = MessageList::for_others(self.fragments(0), reader.form);
            let mut authors = Marks::default();
            self.fragments(0).filter_map(Fragment::author_mark).for_each(|mark| authors.add(mark));
            Snapshot { _charge: Charge::new(rings, list.len()), list, authors }
        });
        let is_author = reader.form == Form::Lean
            && snapshot.authors.may_have(reader.mark)
            && self.fragments(0).any(|fragment| fragment.is_by(reader.user));
        if is_author { MessageList::for_reader(self.fragments(0), reader) } else { snapshot.list.clone() }
    }

    fn fragments(&self, start: usize) -> impl Iterator<Item = &Fragment> + Clone {
        self.messages.range(start..).map(|kept| &kept.fragment)
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
        self.bytes -= oldest.fragment.len();
        self.older = Some(oldest.fragment.len());
    }
}
