//! The events of a log, in pieces, so that a log that grows moves none of them.

use std::collections::VecDeque;

use crate::model::event::Event;
use crate::model::id::Seq;

/// The most events of a piece.
const PIECE: usize = 16;

/// Consecutive events. They come in at the end and are trimmed at the front.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// None is empty, and all but the first and the last are full.
    pieces: VecDeque<VecDeque<Event>>,
}

impl Events {
    pub(super) fn len(&self) -> usize {
        match (self.pieces.front(), self.pieces.back()) {
            (Some(first), Some(last)) if self.pieces.len() > 1 => {
                first.len() + (self.pieces.len() - 2) * PIECE + last.len()
            }
            (first, _) => first.map_or(0, VecDeque::len),
        }
    }

    /// Returns the oldest event.
    pub(super) fn first(&self) -> Option<&Event> {
        self.pieces.front()?.front()
    }

    /// Returns the newest event.
    pub(super) fn last(&self) -> Option<&Event> {
        self.pieces.back()?.back()
    }

    /// Adds the newest event.
    pub(super) fn push(&mut self, event: Event) {
        match self.pieces.back_mut() {
            Some(last) if last.len() < PIECE => last.push_back(event),
            last => {
                // The first piece grows, since most channels have few events.
                let room = if last.is_some() { PIECE } else { 1 };
                let mut piece = VecDeque::with_capacity(room);
                piece.push_back(event);
                self.pieces.push_back(piece);
            }
        }
    }

    /// Removes the events up to and including `through`.
    pub(super) fn trim(&mut self, through: Seq) {
        while let Some(first) = self.pieces.front_mut() {
            while first.front().is_some_and(|event| event.seq <= through) {
                first.pop_front();
            }
            if !first.is_empty() {
                return;
            }
            self.pieces.pop_front();
        }
    }

    pub(super) fn get(&self, seq: Seq) -> Option<&Event> {
        let (piece, at) = self.place(seq)?;
        self.pieces.get(piece)?.get(at)
    }

    pub(super) fn get_mut(&mut self, seq: Seq) -> Option<&mut Event> {
        let (piece, at) = self.place(seq)?;
        self.pieces.get_mut(piece)?.get_mut(at)
    }

    /// Returns the events after `seq`.
    pub(super) fn after(&self, seq: Seq) -> impl Iterator<Item = &Event> {
        let (piece, at) = self.place_after(seq);
        let pieces = self.pieces.range(piece..).enumerate();
        pieces.flat_map(move |(n, piece)| piece.range(if n == 0 { at } else { 0 }..))
    }

    /// Returns the events after `seq`.
    pub(super) fn after_mut(&mut self, seq: Seq) -> impl Iterator<Item = &mut Event> {
        let (piece, at) = self.place_after(seq);
        let pieces = self.pieces.range_mut(piece..).enumerate();
        pieces.flat_map(move |(n, piece)| piece.range_mut(if n == 0 { at } else { 0 }..))
    }

    /// Returns the place of the first event after `seq`: its piece, and its index there. If there is none, it is where the
    /// next one comes.
    fn place_after(&self, seq: Seq) -> (usize, usize) {
        match (self.first(), self.last()) {
            (Some(first), Some(last)) => {
                let next = seq.saturating_add(1).clamp(first.seq, last.seq + 1);
                self.place(next).expect("invariant: the first event is not after it")
            }
            _ => (0, 0),
        }
    }

    /// Returns the place of the event at `seq`, or where it will be, unless it is before the first one.
    fn place(&self, seq: Seq) -> Option<(usize, usize)> {
        let first = self.pieces.front()?;
        let at = usize::try_from(seq.checked_sub(first.front()?.seq)?).ok()?;
        Some(match at.checked_sub(first.len()) {
            None => (0, at),
            Some(beyond) => (1 + beyond / PIECE, beyond % PIECE),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::EventKind;
    use crate::model::message::User;
    use crate::model::time::Timestamp;

    #[test]
    fn events_are_found_by_their_seq_however_many_were_trimmed() {
        let mut events = Events::default();
        let by = User::new("u_1", "Ann").unwrap();
        let (mut begin, mut end) = (1, 0);
        for step in 0..40 {
            for _ in 0..=(step * 13 % 50) {
                end += 1;
                let kind = EventKind::Deleted { target: 1, by: by.clone() };
                events.push(Event::new(end, Timestamp::from_millis(0), kind));
            }
            if step % 3 == 2 {
                begin = (begin + step * 29 % 90).min(end + 1);
                events.trim(begin - 1);
            }
            assert_eq!(events.len() as u64, end + 1 - begin);
            assert!(events.pieces.iter().all(|piece| !piece.is_empty() && piece.len() <= PIECE));
            for seq in begin.saturating_sub(2)..end + 3 {
                let is_there = (begin..=end).contains(&seq);
                assert_eq!(events.get(seq).map(|event| event.seq), is_there.then_some(seq));
                assert_eq!(events.get_mut(seq).map(|event| event.seq), is_there.then_some(seq));
                let after: Vec<Seq> = ((seq + 1).max(begin)..=end).collect();
                assert_eq!(events.after(seq).map(|event| event.seq).collect::<Vec<_>>(), after);
                assert_eq!(events.after_mut(seq).map(|event| event.seq).collect::<Vec<_>>(), after);
            }
            assert_eq!(events.after(Seq::MAX).count(), 0);
        }
        events.trim(Seq::MAX);
        assert_eq!((events.len(), events.first(), events.after(0).count()), (0, None, 0));
    }
}
