//! When the next sync is due.

use std::time::{Duration, Instant};

/// Consecutive commits without a sync. redb reuses freed pages only after a synced commit.
const COMMITS: u32 = 256;
/// What is not synced yet, or not committed.
pub(super) struct Unsynced {
    /// Commits since the last sync.
    commits: u32,
    /// The time of the first of them, or of the last failed sync.
    since: Option<Instant>,
    /// The time from `since` until a sync is due.
    within: Duration,
    /// The time since when the journal is ahead of the database.
    ahead_since: Option<Instant>,
    /// The time from `ahead_since` until a sync is due.
    ahead_within: Duration,
    /// Whether the file was just opened, and its last commit may not be on the disk.
    unknown: bool,
}

impl Unsynced {
    pub(super) fn new(within: Duration, ahead_within: Duration) -> Self {
        Self { commits: 0, since: None, within, ahead_since: None, ahead_within, unknown: false }
    }

    /// Notes a commit without a sync.
    pub(super) fn add(&mut self) {
        self.commits += 1;
        self.since.get_or_insert_with(Instant::now);
        self.ahead_since = None;
    }

    /// Notes a synced commit.
    pub(super) fn clear(&mut self) {
        (self.commits, self.since, self.ahead_since, self.unknown) = (0, None, None, false);
    }

    /// Notes that the file was opened again.
    pub(super) fn reopened(&mut self) {
        self.clear();
        self.add();
        self.unknown = true;
    }

    /// Notes that the journal has more than the database.
    pub(super) fn is_ahead(&mut self) {
        self.ahead_since.get_or_insert_with(Instant::now);
    }

    /// Starts the time until the next sync again, after one that failed.
    pub(super) fn put_off(&mut self) {
        self.since = self.since.map(|_| Instant::now());
        self.ahead_since = self.ahead_since.map(|_| Instant::now());
    }

    /// Returns the time until a sync is due, or `None` if there is nothing to sync.
    pub(super) fn left(&self) -> Option<Duration> {
        let left = |since: Instant, within: Duration| within.saturating_sub(since.elapsed());
        let ahead = self.ahead_since.map(|since| left(since, self.ahead_within));
        ahead.into_iter().chain(self.since.map(|since| left(since, self.within))).min()
    }

    /// Returns whether the next commit must be synced.
    pub(super) fn is_due(&self) -> bool {
        self.commits >= COMMITS || self.unknown || self.left() == Some(Duration::ZERO)
    }

    /// Returns whether there is a commit that is not synced.
    pub(super) fn has_commits(&self) -> bool {
        self.commits > 0
    }
}
