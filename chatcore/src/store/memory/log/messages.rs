//! Which events of a log are messages, and the messages that have changed since.

use std::collections::{BTreeMap, VecDeque};

use crate::model::id::Seq;
use crate::model::message::Message;

/// Most messages stay as they were said, so that their event has all of them. Only those with an edit or a reaction are
/// here. A deleted one is not: its event is redacted.
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// In order. They come in at the end and are trimmed at the front, so adding one searches for nothing.
    seqs: VecDeque<Seq>,
    changed: BTreeMap<Seq, Message>,
}

impl Messages {
    /// Adds the newest message.
    pub(super) fn push(&mut self, seq: Seq) {
        debug_assert!(self.seqs.back().is_none_or(|last| *last < seq));
        self.seqs.push_back(seq);
    }

    pub(super) fn len(&self) -> usize {
        self.seqs.len()
    }

    pub(super) fn has(&self, seq: Seq) -> bool {
        self.seqs.get(self.place(seq)) == Some(&seq)
    }

    /// Returns the newest message.
    pub(super) fn last(&self) -> Option<Seq> {
        self.seqs.back().copied()
    }

    /// Returns the message with `n` older ones.
    pub(super) fn nth(&self, n: usize) -> Option<Seq> {
        self.seqs.get(n).copied()
    }

    /// Returns those before `seq`.
    pub(super) fn before(&self, seq: Seq) -> impl DoubleEndedIterator<Item = Seq> {
        self.seqs.range(..self.place(seq)).copied()
    }

    /// Returns those from `seq` on.
    pub(super) fn from(&self, seq: Seq) -> impl DoubleEndedIterator<Item = Seq> {
        self.seqs.range(self.place(seq)..).copied()
    }

    /// Returns a message that has changed.
    pub(super) fn changed(&self, seq: Seq) -> Option<&Message> {
        self.changed.get(&seq)
    }

    /// Keeps a message that has changed.
    pub(super) fn put(&mut self, message: Message) {
        self.changed.insert(message.seq, message);
    }

    /// Takes a message that has changed.
    pub(super) fn take_changed(&mut self, seq: Seq) -> Option<Message> {
        self.changed.remove(&seq)
    }

    /// Returns the messages after `from` up to and including `through` that have changed.
    pub(super) fn changed_within(&mut self, from: Seq, through: Seq) -> impl Iterator<Item = &mut Message> {
        let later = self.changed.range_mut(from.saturating_add(1)..);
        later.map(|(_, message)| message).take_while(move |message| message.seq <= through)
    }

    /// Removes everything up to and including `through`.
    pub(super) fn trim(&mut self, through: Seq) {
        let first = through.saturating_add(1);
        self.seqs.drain(..self.place(first));
        self.changed = self.changed.split_off(&first);
    }

    /// Returns the index of the first message that is not before `seq`.
    fn place(&self, seq: Seq) -> usize {
        self.seqs.partition_point(|other| *other < seq)
    }
}
