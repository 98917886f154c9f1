//! A ring's newest messages, for a client that opens the channel.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use crate::delivery::ring_budget::{Charge, Rings};
use crate::limits::Limits;
use crate::model::event::Event;
use crate::model::id::{Seq, UserId};
use crate::protocol::{Encoder, Fragment, MessageList};
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
    /// The list of all `messages` for answers, until the next change.
    snapshot: OnceLock<Snapshot>,
}

#[derive(Debug)]
struct Kept {
    seq: Seq,
    fragment: Fragment,
}

/// An encoded list, and the bytes that it holds.
#[derive(Debug)]
struct Snapshot {
    list: MessageList,
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
            snapshot: OnceLock::new(),
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

    /// Returns their bytes, without those of the snapshot.
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
        self.drop_snapshot();
        for kept in &mut self.messages {
            if let Some(fragment) = encoder.forget_author(&kept.fragment, user, id) {
                self.bytes -= kept.fragment.len();
                self.bytes += fragment.len();
                kept.fragment = fragment;
            }
        }
    }

    /// Drops the snapshot: the log has changed.
    #[inline]
    pub(super) fn drop_snapshot(&mut self) {
        self.snapshot = OnceLock::new();
    }

    /// Returns the newest messages for an answer, at most `limit`, oldest first, and whether the log has older
    /// ones. Returns `None` if the log may have more for the answer than there are here.
    pub(super) fn newest(&self, limit: usize, rings: &Arc<Rings>) -> Option<(MessageList, bool)> {
        let room = |next: usize| self.bytes + next <= self.answer_bytes;
        let is_missing = |next| room(next) || self.messages.is_empty();
        if self.messages.len() < limit && self.older.is_some_and(is_missing) {
            return None;
        }
        let start = self.messages.len().saturating_sub(limit);
        let list = || MessageList::new(self.messages.range(start..).map(|kept| &kept.fragment));
        let snapshot = || {
            let list = list();
            Snapshot { _charge: Charge::new(rings, list.len()), list }
        };
        let list = if start == 0 { self.snapshot.get_or_init(snapshot).list.clone() } else { list() };
        Some((list, start > 0 || self.older.is_some()))
    }

    /// Keeps the newest messages, up to `floor` bytes, and no snapshot.
    pub(super) fn shrink(&mut self, floor: usize) {
        self.drop_snapshot();
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
