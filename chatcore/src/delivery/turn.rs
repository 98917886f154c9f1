//! Ensures that at most one task delivers a shard's new events, and that one does while any are pending.
//!
//! A publish pushes to the ring, then asks for a turn. The first to ask queues the work; others that ask meanwhile
//! find it queued. The task that takes the turn records that **before** it reads the ring. So an event that is
//! pushed later asks again, and the end of the turn returns that the work must be queued again.
//!
//! `tests/tests/wake_protocol.rs` compiles this file with loom's primitives and explores the interleavings.

use super::sync::{AtomicU8, Ordering};

const ASKED: u8 = 1;
const TAKEN: u8 = 2;

/// The turn to do some work.
#[derive(Debug)]
pub(crate) struct Turn(AtomicU8);

impl Turn {
    pub(crate) fn new() -> Self {
        Self(AtomicU8::new(0))
    }

    /// Asks for the work to be done. Returns whether the caller must queue it.
    #[must_use]
    pub(crate) fn ask(&self) -> bool {
        self.0.fetch_or(ASKED, Ordering::AcqRel) == 0
    }

    /// Takes the queued turn.
    pub(crate) fn take(&self) {
        self.0.swap(TAKEN, Ordering::AcqRel);
    }

    /// Ends the turn. Returns whether the caller must queue the work again.
    #[must_use]
    pub(crate) fn end(&self) -> bool {
        self.0.compare_exchange(TAKEN, 0, Ordering::AcqRel, Ordering::Acquire).is_err() && {
            // The turn is over and the work was asked for again, as if just now.
            self.0.swap(ASKED, Ordering::AcqRel);
            true
        }
    }
}
