//! A bounded set of the keys that were seen last.

use std::collections::{HashSet, VecDeque};
use std::hash::Hash;

/// The newest keys, of which the oldest are forgotten.
#[derive(Debug)]
pub(super) struct Recent<K> {
    keys: HashSet<K>,
    order: VecDeque<K>,
    most: usize,
}

impl<K: Clone + Eq + Hash> Recent<K> {
    /// Remembers at most so many keys.
    pub(super) fn new(most: usize) -> Self {
        Self { keys: HashSet::new(), order: VecDeque::new(), most }
    }

    /// Notes a key. Returns whether it was not there.
    pub(super) fn note(&mut self, key: K) -> bool {
        if !self.keys.insert(key.clone()) {
            return false;
        }
        self.order.push_back(key);
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.keys.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_keys_are_remembered_and_no_more() {
        let mut recent = Recent::new(3);
        assert!([1, 2, 3].into_iter().all(|key| recent.note(key)));
        assert!([1, 2, 3].into_iter().all(|key| !recent.note(key)));
        assert!(recent.note(4));
        assert!(recent.note(1), "it was the oldest");
        assert!(!recent.note(4) && !recent.note(3));
        assert_eq!((recent.keys.len(), recent.order.len()), (3, 3));
    }
}
