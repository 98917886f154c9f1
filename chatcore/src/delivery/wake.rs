//! How a connection learns which of its channels have something for it: the wake protocol.
//!
//! A publish marks each subscription of the channel. The first mark since the connection last looked puts the
//! subscription on the connection's ready list and wakes its task; later ones find `queued` set and cost one
//! atomic swap. The connection clears `queued` **before** it reads the ring: an event pushed after the clear
//! marks anew, one pushed before it is in the ring that is about to be read. So none is missed, and the list
//! holds each subscription once at the most: it is bounded by the connection's subscriptions.
//!
//! `tests/tests/wake_protocol.rs` compiles this file against loom's primitives and walks through the
//! interleavings.

use std::mem::take;
use std::task::Waker;

use super::sync::{Arc, AtomicBool, AtomicWaker, Mutex, Ordering};

/// The subscriptions of one connection that may have something to read, and the task to wake for them.
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
    /// Sets whom to wake. Call it before looking at the list: what is marked later wakes.
    pub(crate) fn register(&self, waker: &Waker) {
        self.waker.register_by_ref(waker);
    }

    /// Wakes the connection's task.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }

    /// Moves what is ready behind `into`.
    pub(crate) fn take(&self, into: &mut impl Extend<K>) {
        // Held for a move of a few words; the fan-out takes it once a wake, not once an event.
        let ready = take(&mut *self.ready.lock().expect("invariant: nothing panics under this lock"));
        into.extend(ready);
    }
}

/// One connection's interest in one channel, as the channel's fan-out sees it.
#[derive(Debug)]
pub(crate) struct WakeMark<K> {
    key: K,
    queued: AtomicBool,
    list: Arc<ReadyList<K>>,
}

impl<K: Clone> WakeMark<K> {
    /// Makes the subscription that the connection with `list` knows as `key`.
    pub(crate) fn new(key: K, list: Arc<ReadyList<K>>) -> Self {
        Self { key, queued: AtomicBool::new(false), list }
    }

    /// Says that the channel has something new. Call it after the push to the ring.
    pub(crate) fn mark(&self) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.list.ready.lock().expect("invariant: nothing panics under this lock").push(self.key.clone());
            self.list.wake();
        }
    }

    /// Takes the mark off. Call it before reading the ring.
    pub(crate) fn clear(&self) {
        self.queued.swap(false, Ordering::AcqRel);
    }
}
