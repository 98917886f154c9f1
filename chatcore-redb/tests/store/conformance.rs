//! The laws of chatcore's store traits, on a redb file each.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use async_trait::async_trait;
use chatcore::testkit::StoreFixture;
use chatcore::testkit::store::clock::{self, HandSet};
use chatcore_redb::RedbStore;
use tempfile::TempDir;

struct File(TempDir);

impl File {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

#[async_trait]
impl StoreFixture for File {
    type Store = RedbStore;

    async fn open(&self) -> RedbStore {
        // No wait for the lock: the last handle's drop has closed the file.
        RedbStore::builder()
            .lock_wait(std::time::Duration::ZERO)
            .open(self.0.path().join("chat.redb"))
            .unwrap()
    }

    async fn another(&self, open: &RedbStore) -> RedbStore {
        open.clone()
    }
}

chatcore::store_conformance!(File::new());

#[tokio::test]
async fn a_clock_that_was_wrong_once_stops_no_channel() {
    let (file, hand) = (File::new(), HandSet::default());
    let store = file.open().await.with_clock(hand.clock());
    clock::a_clock_that_was_wrong_once_stops_no_channel(store, async |now| hand.set(now)).await;
}

#[tokio::test]
async fn a_nonce_from_a_wrong_clock_lasts_a_day() {
    let (file, hand) = (File::new(), HandSet::default());
    let store = file.open().await.with_clock(hand.clock());
    clock::a_nonce_from_a_wrong_clock_lasts_a_day(store, async |now| hand.set(now)).await;
}
