//! The events of a log, in pieces, so that a log that grows moves none of them.

use std::collections::VecDeque;
use std::mem::replace;

use crate::model::event::Event;
use crate::model::id::Seq;

/// The most events of a piece.
const PIECE: usize = 16;

/// Consecutive events. They come in at the end and are trimmed at the front.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// The pieces before the newest one. None is empty, and all but the first are full.
    older: VecDeque<VecDeque<Event>>,
    /// The newest piece, by itself, since events are added to it. It is empty if there are no events.
    newest: VecDeque<Event>,
}

impl Events {
    pub(super) fn len(&self) -> usize {
        let older = self.older.front().map_or(0, |first| first.len() + (self.older.len() - 1) * PIECE);
        older + self.newest.len()
    }

    /// Returns the oldest event.
    pub(super) fn first(&self) -> Option<&Event> {
        self.older.front().unwrap_or(&self.newest).front()
    }

    /// Returns the newest event.
    pub(super) fn last(&self) -> Option<&Event> {
        self.newest.back()
    }

    /// Adds the newest event.
    pub(super) fn push(&mut self, event: Event) {
        if self.newest.len() == PIECE {
            self.older.push_back(replace(&mut self.newest, VecDeque::with_capacity(PIECE)));
        }
        self.newest.push_back(event);
    }

    /// Removes the events up to and including `through`.
    pub(super) fn trim(&mut self, through: Seq) {
        loop {
            let first = self.older.front_mut().unwrap_or(&mut self.newest);
            while first.front().is_some_and(|event| event.seq <= through) {
                first.pop_front();
            }
            if !first.is_empty() || self.older.pop_front().is_none() {
                return;
            }
        }
    }

    pub(super) fn get(&self, seq: Seq) -> Option<&Event> {
        let (piece, at) = self.place(seq)?;
        self.older.get(piece).unwrap_or(&self.newest).get(at)
    }

    pub(super) fn get_mut(&mut self, seq: Seq) -> Option<&mut Event> {
        let (piece, at) = self.place(seq)?;
        self.older.get_mut(piece).unwrap_or(&mut self.newest).get_mut(at)
    }

    /// Returns the events after `seq`.
    pub(super) fn after(&self, seq: Seq) -> impl Iterator<Item = &Event> {
        let (piece, at) = self.place_after(seq);
        let pieces = self.older.range(piece..).chain([&self.newest]).enumerate();
        pieces.flat_map(move |(n, piece)| piece.range(if n == 0 { at } else { 0 }..))
    }

    /// Returns the events after `seq`.
    pub(super) fn after_mut(&mut self, seq: Seq) -> impl Iterator<Item = &mut Event> {
        let (piece, at) = self.place_after(seq);
        let pieces = self.older.range_mut(piece..).chain([&mut self.newest]).enumerate();
        pieces.flat_map(move |(n, piece)| piece.range_mut(if n == 0 { at } else { 0 }..))
    }

    /// Returns the place of the first event after `seq`, or the end of the newest piece if no event follows. A place is the
    /// number of a piece, counted through `older` to `newest`, and an index in it.
    fn place_after(&self, seq: Seq) -> (usize, usize) {
        let found = self.first().and_then(|first| self.place(seq.saturating_add(1).max(first.seq)));
        found.unwrap_or((self.older.len(), self.newest.len()))
    }

    /// Returns the place of an event.
    fn place(&self, seq: Seq) -> Option<(usize, usize)> {
        let first = self.older.front().unwrap_or(&self.newest);
        let at = usize::try_from(seq.checked_sub(first.front()?.seq)?).ok()?;
        let place = match at.checked_sub(first.len()) {
            None => (0, at),
            Some(beyond) => (1 + beyond / PIECE, beyond % PIECE),
        };
        let is_there =
            place.0 < self.older.len() || (place.0 == self.older.len() && place.1 < self.newest.len());
        is_there.then_some(place)
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
            assert!(events.older.iter().all(|piece| !piece.is_empty() && piece.len() <= PIECE));
            assert!(!events.newest.is_empty() || events.len() == 0);
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
