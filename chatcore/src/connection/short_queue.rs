//! A queue that mostly has one item.

use std::collections::VecDeque;

/// A queue that holds its first item in place, and allocates memory for the others only.
#[derive(Debug)]
pub(super) struct ShortQueue<T> {
    first: Option<T>,
    /// Those after the first.
    #[expect(clippy::box_collection, reason = "an idle connection has none")]
    rest: Option<Box<VecDeque<T>>>,
}

impl<T> ShortQueue<T> {
    pub(super) const fn new() -> Self {
        Self { first: None, rest: None }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.as_ref().map_or(0, |rest| rest.len())
    }

    pub(super) fn push_back(&mut self, item: T) {
        match self.first {
            None => self.first = Some(item),
            Some(_) => self.rest.get_or_insert_default().push_back(item),
        }
    }

    pub(super) fn front(&self) -> Option<&T> {
        self.first.as_ref()
    }

    pub(super) fn front_mut(&mut self) -> Option<&mut T> {
        self.first.as_mut()
    }

    pub(super) fn back(&self) -> Option<&T> {
        self.rest.as_ref().and_then(|rest| rest.back()).or(self.first.as_ref())
    }

    /// Removes the first item, if there is one.
    pub(super) fn pop_front(&mut self) {
        self.first = self.rest.as_mut().and_then(|rest| rest.pop_front());
        if self.first.is_none() {
            self.rest = None;
        }
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.first.iter_mut().chain(self.rest.iter_mut().flat_map(|rest| rest.iter_mut()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_queue_keeps_its_order_and_nothing_when_it_is_empty() {
        let mut queue = ShortQueue::new();
        for most in [1, 2, 5] {
            assert!(queue.is_empty() && queue.rest.is_none() && queue.back().is_none());
            for item in 0..most {
                queue.push_back(item);
                assert_eq!((queue.len(), queue.front(), queue.back()), (item + 1, Some(&0), Some(&item)));
            }
            queue.iter_mut().for_each(|item| *item += 1);
            for item in 1..=most {
                assert_eq!(queue.front_mut(), Some(&mut item.clone()));
                queue.pop_front();
                assert_eq!(queue.len(), most - item);
            }
            queue.pop_front();
        }
    }
}
