//! Which events of a log are messages, and the messages that have changed since.

use std::collections::{BTreeMap, VecDeque};
use std::iter;
use std::ops::Range;

use crate::model::id::Seq;
use crate::model::message::Message;

/// Most messages stay as they were said, so that their event has all of them. Only those with an edit or a reaction are
/// here. A deleted one is not: its event is redacted.
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// The `seq`s of messages that follow each other without another event, in order, but the newest ones.
    older: VecDeque<Range<Seq>>,
    /// The newest ones, by themselves: most messages are added to them.
    newest: Range<Seq>,
    len: usize,
    changed: BTreeMap<Seq, Message>,
}

impl Messages {
    /// Adds the newest message.
    pub(super) fn push(&mut self, seq: Seq) {
        debug_assert!(self.newest.end <= seq);
        if self.newest.is_empty() || self.newest.end != seq {
            let before = std::mem::replace(&mut self.newest, seq..seq);
            self.older.extend(Some(before).filter(|before| !before.is_empty()));
        }
        self.newest.end = seq + 1;
        self.len += 1;
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn has(&self, seq: Seq) -> bool {
        self.from(seq).next() == Some(seq)
    }

    /// Returns the message with `n` older ones.
    pub(super) fn nth(&self, n: usize) -> Option<Seq> {
        let mut left = n as Seq;
        for run in self.older.iter().chain([&self.newest]) {
            let len = run.end - run.start;
            if left < len {
                return Some(run.start + left);
            }
            left -= len;
        }
        None
    }

    /// Returns those before `seq`.
    pub(super) fn before(&self, seq: Seq) -> impl DoubleEndedIterator<Item = Seq> {
        let end = self.older.partition_point(|run| run.start < seq);
        let runs = self.older.range(..end).chain(iter::once(&self.newest));
        runs.flat_map(move |run| run.start..run.end.min(seq))
    }

    /// Returns those from `seq` on.
    pub(super) fn from(&self, seq: Seq) -> impl DoubleEndedIterator<Item = Seq> {
        let start = self.older.partition_point(|run| run.end <= seq);
        let runs = self.older.range(start..).chain(iter::once(&self.newest));
        runs.flat_map(move |run| run.start.max(seq)..run.end)
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
        while self.older.front().is_some_and(|run| run.end <= first) {
            self.len -= self.older.pop_front().map_or(0, |run| (run.end - run.start) as usize);
        }
        let run = self.older.front_mut().unwrap_or(&mut self.newest);
        let start = first.clamp(run.start, run.end);
        self.len -= (start - run.start) as usize;
        run.start = start;
        self.changed = self.changed.split_off(&first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_those_that_were_added_and_not_trimmed() {
        let mut messages = Messages::default();
        let mut expected: VecDeque<Seq> = VecDeque::new();
        let mut seq = 0;
        for step in 0..60 {
            // Runs of one to seven messages, after one to three other events.
            seq += step % 3 + 1;
            for _ in 0..=(step * 5 % 7) {
                seq += 1;
                messages.push(seq);
                expected.push_back(seq);
            }
            if step % 4 == 3 {
                let through = expected[0] + step % 11;
                messages.trim(through);
                expected.retain(|message| *message > through);
            }
            assert_eq!(messages.len(), expected.len());
            for (n, message) in expected.iter().enumerate() {
                assert_eq!(messages.nth(n), Some(*message));
            }
            assert_eq!(messages.nth(expected.len()), None);
            for at in 0..seq + 3 {
                assert_eq!(messages.has(at), expected.contains(&at), "{at}");
                let [before, from] = [true, false].map(|is_before| {
                    expected.iter().copied().filter(|other| (*other < at) == is_before).collect::<Vec<_>>()
                });
                assert_eq!(messages.before(at).collect::<Vec<_>>(), before);
                assert_eq!(messages.from(at).collect::<Vec<_>>(), from);
                assert!(messages.before(at).rev().eq(before.iter().rev().copied()));
                assert!(messages.from(at).rev().eq(from.iter().rev().copied()));
            }
        }
        messages.trim(Seq::MAX - 1);
        assert_eq!((messages.len(), messages.nth(0), messages.from(0).next()), (0, None, None));
        messages.push(seq + 9);
        assert_eq!((messages.len(), messages.nth(0)), (1, Some(seq + 9)));
    }
}
