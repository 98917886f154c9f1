//! The counts of a soak so far, over all participants.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::report::Row;
use crate::load::Acked;

/// The counts and the acknowledgements.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    acked: Mutex<HashMap<String, Acked>>,
    publishes: AtomicU64,
    under_way: AtomicU64,
    deliveries: AtomicU64,
    connects: AtomicU64,
    resumes: AtomicU64,
    resets: AtomicU64,
    lost: AtomicU64,
    doubled: AtomicU64,
}

impl Ledger {
    pub(super) fn began(&self) {
        self.under_way.fetch_add(1, Ordering::Relaxed);
    }

    /// Records that a publish was acknowledged.
    pub(super) fn acked(&self, channel: &str, nonce: String, seq: u64) {
        let mut acked = self.acked.lock().expect("invariant: nothing panics under this lock");
        acked.entry(channel.to_owned()).or_default().push((nonce, seq));
        self.publishes.fetch_add(1, Ordering::Relaxed);
        self.under_way.fetch_sub(1, Ordering::Relaxed);
    }

    /// Returns how many publishes have begun and are not acknowledged.
    pub(super) fn under_way(&self) -> u64 {
        self.under_way.load(Ordering::Relaxed)
    }

    pub(super) fn take_acked(&self, channel: &str) -> Acked {
        let mut acked = self.acked.lock().expect("invariant: nothing panics under this lock");
        acked.remove(channel).unwrap_or_default()
    }

    /// Records an event at a socket whose last event was `last`.
    pub(super) fn delivered(&self, last: u64, seq: u64) {
        self.deliveries.fetch_add(1, Ordering::Relaxed);
        if seq <= last {
            self.doubled.fetch_add(1, Ordering::Relaxed);
        } else {
            self.lost.fetch_add(seq - last - 1, Ordering::Relaxed);
        }
    }

    pub(super) fn connected(&self) {
        self.connects.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn resumed(&self) {
        self.resumes.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn reset(&self) {
        self.resets.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the counts so far.
    pub(super) fn row(&self, life: usize, resident_bytes: u64) -> Row {
        let now = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Row {
            life,
            resident_bytes,
            publishes: now(&self.publishes),
            deliveries: now(&self.deliveries),
            connects: now(&self.connects),
            resumes: now(&self.resumes),
            resets: now(&self.resets),
            lost: now(&self.lost),
            doubled: now(&self.doubled),
        }
    }
}
