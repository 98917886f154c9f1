//! Where a reader is in a ring, and how much it can take.

use crate::model::id::Seq;

/// A reader's position in a ring: it has every event up to and including `seq`, in the ring's generation
/// `generation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) generation: u64,
    pub(crate) seq: Seq,
}

/// The result of reading from a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// Everything was read.
    Caught(Cursor),
    /// The budget ran out.
    More(Cursor),
    /// The ring has moved past the cursor. The store has the events `from` to `to`.
    Lagged { from: Seq, to: Seq },
}

/// The bytes that a reader can take. The first frame always fits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    bytes: usize,
    first: bool,
}

impl Room {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { bytes, first: true }
    }

    /// Takes a frame's bytes if they fit. Returns whether they do.
    pub(crate) fn take(&mut self, bytes: usize) -> bool {
        if bytes > self.bytes && !self.first {
            return false;
        }
        self.spend(bytes);
        true
    }

    /// Takes the bytes of a frame that is already there.
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.first = false;
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes == 0 && !self.first
    }
}
