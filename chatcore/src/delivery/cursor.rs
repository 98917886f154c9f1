//! Where a reader is in a ring.

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
