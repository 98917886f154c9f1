//! How a connection learns which of its channels have new events: the wake protocol.
//!
//! A publish marks each subscription of the channel. The first mark since the connection last looked puts the
//! subscription on the connection's ready list and wakes its task. Later marks find `queued` set and cost one
//! atomic swap. The connection clears `queued` **before** it reads the ring: an event pushed after the clear marks
//! again, and an event pushed before it is in the ring that is about to be read. So no event is missed. The list
//! has each subscription at most once, so it is bounded by the connection's subscriptions.
//!
//! `tests/tests/wake_protocol.rs` compiles this file with loom's primitives and explores the interleavings.

use std::task::Waker;

use super::sync::{Arc, AtomicBool, AtomicWaker, Mutex, Ordering};

/// The entries for which a list keeps its room.
pub(crate) const FEW: usize = 4;

/// The subscriptions of a connection that may have new events, and the task to wake for them.
#[derive(Debug)]
pub(crate) struct ReadyList<K> {
    ready: Mutex<Vec<K>>,
    waker: AtomicWaker,
}

impl<K> Default for ReadyList<K> {
    fn default() -> Self {
        Self { ready: Mutex::new(Vec::new()), waker: AtomicWaker::new() }
    }
}

impl<K> ReadyList<K> {
    /// Sets the task to wake. Call it before looking at the list, so that later marks wake it.
    pub(crate) fn register(&self, waker: &Waker) {
        self.waker.register_by_ref(waker);
    }

    /// Wakes the connection's task.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }

    /// Moves the ready subscriptions to the end of `into`.
    pub(crate) fn take(&self, into: &mut impl Extend<K>) {
        // Held to move a few words. The fan-out takes it once per wake, not per event.
        let mut ready = self.ready.lock().expect("invariant: nothing panics under this lock");
        if ready.is_empty() {
            return;
        }
        into.extend(ready.drain(..));
        // An idle connection keeps no more than most need.
        if ready.capacity() > FEW {
            *ready = Vec::new();
        }
    }
}

/// A connection's subscription to a channel, as the fan-out sees it.
#[derive(Debug)]
pub(crate) struct WakeMark<K> {
    key: K,
    queued: AtomicBool,
    list: Arc<ReadyList<K>>,
}

impl<K: Clone> WakeMark<K> {
    /// Returns the subscription that the connection with `list` knows as `key`.
    pub(crate) fn new(key: K, list: Arc<ReadyList<K>>) -> Self {
        Self { key, queued: AtomicBool::new(false), list }
    }

    /// Marks the channel as having new events. Call it after the push to the ring.
    pub(crate) fn mark(&self) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.list.ready.lock().expect("invariant: nothing panics under this lock").push(self.key.clone());
            self.list.wake();
        }
    }

    /// Clears the mark. Call it before reading the ring.
    pub(crate) fn clear(&self) {
        self.queued.swap(false, Ordering::AcqRel);
    }
}
