//! Whose turn it is to hand out what is new: at most one at a time, and never nobody while there is something.
//!
//! A publish pushes to the ring, then asks. The first who asks queues the work; who asks while it waits finds it
//! queued. Whoever takes the turn says so **before** reading the ring: what is pushed later asks anew, and is
//! told at the turn's end to queue again.
//!
//! `tests/tests/wake_protocol.rs` compiles this file against loom's primitives and walks through the
//! interleavings.

use super::sync::{AtomicU8, Ordering};

const ASKED: u8 = 1;
const TAKEN: u8 = 2;

/// The turn to do one piece of work.
#[derive(Debug)]
pub(crate) struct Turn(AtomicU8);

impl Turn {
    pub(crate) fn new() -> Self {
        Self(AtomicU8::new(0))
    }

    /// Asks for the work to be done; says whether the caller is to queue it.
    #[must_use]
    pub(crate) fn ask(&self) -> bool {
        self.0.fetch_or(ASKED, Ordering::AcqRel) == 0
    }

    /// Takes the turn that was queued.
    pub(crate) fn take(&self) {
        self.0.swap(TAKEN, Ordering::AcqRel);
    }

    /// Ends the turn; says whether the caller is to queue the work again.
    #[must_use]
    pub(crate) fn end(&self) -> bool {
        self.0.compare_exchange(TAKEN, 0, Ordering::AcqRel, Ordering::Acquire).is_err() && {
            // The turn is over, the work is asked for: as if just now.
            self.0.swap(ASKED, Ordering::AcqRel);
            true
        }
    }
}
