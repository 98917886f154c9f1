//! The messages of a log in their current state.

use std::collections::VecDeque;

use crate::model::attachment::Attachment;
use crate::model::id::Seq;
use crate::model::message::Message;

/// Messages in the order of their `seq`s. They come in at the end and are trimmed at the front, so a queue is enough, and
/// adding one searches for nothing.
#[derive(Debug, Default)]
pub(super) struct Messages(VecDeque<Message>);

impl Messages {
    /// Adds the newest message.
    pub(super) fn push(&mut self, message: Message) {
        debug_assert!(self.0.back().is_none_or(|last| last.seq < message.seq));
        self.0.push_back(message);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn has(&self, seq: Seq) -> bool {
        self.get(seq).is_some()
    }

    pub(super) fn get(&self, seq: Seq) -> Option<&Message> {
        self.0.get(self.place(seq)).filter(|message| message.seq == seq)
    }

    pub(super) fn get_mut(&mut self, seq: Seq) -> Option<&mut Message> {
        let place = self.place(seq);
        self.0.get_mut(place).filter(|message| message.seq == seq)
    }

    /// Returns the message with `n` older ones.
    pub(super) fn nth(&self, n: usize) -> Option<&Message> {
        self.0.get(n)
    }

    /// Returns those before `seq`.
    pub(super) fn before(&self, seq: Seq) -> impl DoubleEndedIterator<Item = &Message> {
        self.0.range(..self.place(seq))
    }

    /// Returns those from `seq` on.
    pub(super) fn from(&self, seq: Seq) -> impl DoubleEndedIterator<Item = &Message> {
        self.0.range(self.place(seq)..)
    }

    /// Returns those after `from` up to and including `through`.
    pub(super) fn within_mut(&mut self, from: Seq, through: Seq) -> impl Iterator<Item = &mut Message> {
        let start = self.place(from.saturating_add(1));
        self.0.range_mut(start..).take_while(move |message| message.seq <= through)
    }

    /// Removes everything up to and including `through`. Returns the attachments of what was removed.
    pub(super) fn trim(&mut self, through: Seq) -> Vec<Attachment> {
        let end = self.place(through.saturating_add(1));
        self.0.drain(..end).flat_map(|message| message.attachments).collect()
    }

    /// Returns the index of the first message that is not before `seq`.
    fn place(&self, seq: Seq) -> usize {
        self.0.partition_point(|message| message.seq < seq)
    }
}
