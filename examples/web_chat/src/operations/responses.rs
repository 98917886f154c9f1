//! The number of responses by status.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;

/// The lowest status.
const FIRST: u16 = 100;
const STATUSES: usize = 500;

/// Counts responses by status. Clones share the counts.
#[derive(Clone, Debug)]
pub(crate) struct Responses(Arc<[AtomicU64]>);

impl Default for Responses {
    fn default() -> Self {
        Self((0..STATUSES).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Responses {
    pub(crate) fn count(&self, status: StatusCode) {
        if let Some(count) = self.0.get(usize::from(status.as_u16() - FIRST)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns the statuses that occurred, and how often.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        (FIRST..).zip(counts).filter(|(_, count)| *count > 0)
    }
}
