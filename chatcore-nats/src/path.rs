//! Whether messages pass: a probe must come back before the bus counts as restored.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use chatcore::bus::Feed;
use tokio::sync::Notify;

/// What the tasks of a bus share: its feed, and whether messages pass.
#[derive(Debug)]
pub(crate) struct Path {
    pub(crate) feed: Feed,
    /// Held for a few instructions, never across an await.
    state: Mutex<State>,
    /// Told when a probe should be sent.
    pub(crate) changed: Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Restored,
    /// Messages may be lost until this probe comes back, if one was sent.
    Disrupted(Option<u64>),
}

impl Path {
    /// Returns a path that is disrupted until the first probe has come back.
    pub(crate) fn new() -> Self {
        let feed = Feed::default();
        feed.disrupted();
        Self { feed, state: Mutex::new(State::Disrupted(None)), changed: Notify::new() }
    }

    pub(crate) fn is_disrupted(&self) -> bool {
        *self.lock() != State::Restored
    }

    /// Notes that messages may have been lost. Probes that are on their way prove nothing any more. Returns whether the
    /// path was restored before.
    pub(crate) fn disrupt(&self) -> bool {
        let mut state = self.lock();
        let was = std::mem::replace(&mut *state, State::Disrupted(None));
        self.feed.disrupted();
        drop(state);
        self.changed.notify_one();
        was == State::Restored
    }

    /// Returns the payload of a new probe, or `None` if none is needed.
    pub(crate) fn probe(&self, number: u64) -> Option<Bytes> {
        let mut state = self.lock();
        let State::Disrupted(probe) = &mut *state else { return None };
        *probe = Some(number);
        Some(Bytes::copy_from_slice(&number.to_be_bytes()))
    }

    /// Takes the payload of a probe. Returns whether it is the awaited one, which restores the path.
    pub(crate) fn came_back(&self, payload: &[u8]) -> bool {
        let mut state = self.lock();
        let awaited =
            matches!(*state, State::Disrupted(Some(number)) if number.to_be_bytes().as_slice() == payload);
        if awaited {
            *state = State::Restored;
            self.feed.restored();
        }
        awaited
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_probe_since_a_disruption_restores() {
        let path = Path::new();
        let first = path.probe(1).expect("it is disrupted");
        let second = path.probe(2).expect("it is disrupted");
        assert!(!path.came_back(&first));
        assert!(path.came_back(&second));
        assert_eq!((path.is_disrupted(), path.probe(3)), (false, None));

        assert!(path.disrupt(), "it was restored");
        assert!(!path.came_back(&second), "a probe from before proves nothing");
        let third = path.probe(3).expect("it is disrupted");
        assert!(!path.disrupt(), "it was disrupted already");
        assert!(!path.came_back(&third));
        for foreign in [&b""[..], b"12345678", b"too long for a number"] {
            assert!(!path.came_back(foreign));
        }
        assert!(path.is_disrupted());
    }
}
