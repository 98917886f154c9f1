//! The primitives of the wake protocol. Its model test compiles `wake.rs` and `turn.rs` with loom's primitives
//! instead.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
pub(crate) use std::sync::{Arc, Mutex};

use std::task::Waker;

/// A waker that one task sets and any thread wakes.
#[derive(Debug, Default)]
pub(crate) struct AtomicWaker(futures::task::AtomicWaker);

impl AtomicWaker {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn register_by_ref(&self, waker: &Waker) {
        self.0.register(waker);
    }

    pub(crate) fn wake(&self) {
        self.0.wake();
    }
}
