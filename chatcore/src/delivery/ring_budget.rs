//! The bytes of all rings, and of the lists encoded from them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::limits::Limits;

/// The bytes that all rings hold, and their bound.
#[derive(Debug)]
pub(crate) struct Rings {
    used: AtomicUsize,
    /// Counts the uses of all rings, to find the least recently used. A clock could be set back.
    uses: AtomicU64,
    total: usize,
    floor: usize,
}

impl Rings {
    pub(crate) fn new(limits: &Limits) -> Self {
        let total = limits.rings_bytes_total;
        // Of frames and of messages, so half of the total is enough for all channels at their floor.
        Self {
            used: AtomicUsize::new(0),
            uses: AtomicU64::new(0),
            total,
            floor: total / limits.loaded_channels.max(1) / 4,
        }
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Returns the number of the next use of a ring.
    pub(crate) fn next_use(&self) -> u64 {
        self.uses.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.used() > self.total
    }

    /// Returns whether enough is free again: an eighth, so that not every event frees a little.
    pub(crate) fn has_room(&self) -> bool {
        self.used() <= self.total - self.total / 8
    }

    /// Returns how many bytes of frames, and of messages, a shrunk ring keeps.
    pub(crate) fn floor(&self) -> usize {
        self.floor
    }
}

/// A part of the used bytes. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Charge {
    rings: Arc<Rings>,
    bytes: usize,
}

impl Charge {
    pub(crate) fn new(rings: &Arc<Rings>, bytes: usize) -> Self {
        rings.used.fetch_add(bytes, Ordering::Relaxed);
        Self { rings: Arc::clone(rings), bytes }
    }

    pub(crate) fn rings(&self) -> &Arc<Rings> {
        &self.rings
    }

    pub(crate) fn set(&mut self, bytes: usize) {
        // Adding the difference, which may be negative, is one operation.
        self.rings.used.fetch_add(bytes.wrapping_sub(self.bytes), Ordering::Relaxed);
        self.bytes = bytes;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.rings.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
