//! The laws of the traits, for the implementations in this crate.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;

use async_trait::async_trait;
use chatcore::MemoryStore;
use chatcore::blob::FolderBlobs;
use chatcore::bus::LocalBus;
use chatcore::store::{Append, AppendBody, Directory, EventStore, PageLimit, Store};
use chatcore::testkit::store::clock::{self, HandSet};
use chatcore::testkit::{BlobFixture, BusFixture, Faults, FaultyStore, Random, StoreFixture};
use chatcore::{ChannelId, ChannelName, Nonce, User};
use tempfile::TempDir;

mod memory {
    use super::*;

    struct Memory;

    #[async_trait]
    impl StoreFixture for Memory {
        type Store = MemoryStore;

        async fn open(&self) -> MemoryStore {
            MemoryStore::new()
        }

        async fn another(&self, open: &MemoryStore) -> MemoryStore {
            open.clone()
        }
    }

    chatcore::store_conformance!(Memory);

    #[tokio::test]
    async fn a_clock_that_was_wrong_once_stops_no_channel() {
        let hand = HandSet::default();
        let store = MemoryStore::new().with_clock(hand.clock());
        clock::a_clock_that_was_wrong_once_stops_no_channel(store, async |now| hand.set(now)).await;
    }

    #[tokio::test]
    async fn a_nonce_from_a_wrong_clock_lasts_a_day() {
        let hand = HandSet::default();
        let store = MemoryStore::new().with_clock(hand.clock());
        clock::a_nonce_from_a_wrong_clock_lasts_a_day(store, async |now| hand.set(now)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_jump_forgets_no_nonce() {
        let (hand, hour) = (HandSet::default(), std::time::Duration::from_secs(3_600));
        let at = |hours: i64| chatcore::Timestamp::from_millis(1_700_000_000_000 + hours * 3_600_000);
        hand.set(at(0));
        let store = MemoryStore::with_retention(1).with_clock(hand.clock());
        let channel = super::channel(&store).await;
        let publish = async |i| store.append(vec![publish(channel, i)]).await.remove(0).unwrap();
        tokio::time::advance(25 * hour).await;
        hand.set(at(25));
        let first = publish(1).await;
        // Two days ahead, and back: the first message is trimmed in the meantime.
        hand.set(at(73));
        publish(2).await;
        publish(3).await;
        hand.set(at(25));
        let again = publish(1).await;
        assert_eq!((again.seq, again.duplicate), (first.seq, true));
    }
}

/// A faulty store with delays but without faults behaves like the store inside.
mod delayed {
    use super::*;

    struct Delayed;

    #[async_trait]
    impl StoreFixture for Delayed {
        type Store = FaultyStore<MemoryStore>;

        async fn open(&self) -> Self::Store {
            delayed(MemoryStore::new())
        }

        async fn another(&self, open: &Self::Store) -> Self::Store {
            delayed(open.inner().clone())
        }
    }

    fn delayed(store: MemoryStore) -> FaultyStore<MemoryStore> {
        let faults = Faults { delay: 0.5, ..Faults::default() };
        FaultyStore::new(store, faults, Random::from_env().seed())
    }

    chatcore::store_conformance!(Delayed);
}

/// A store behind pointers is the store that they point to.
mod pointer {
    use super::*;

    struct Pointer;

    #[async_trait]
    impl StoreFixture for Pointer {
        type Store = Arc<Box<dyn Store>>;

        async fn open(&self) -> Self::Store {
            Arc::new(Box::new(MemoryStore::new()))
        }

        async fn another(&self, open: &Self::Store) -> Self::Store {
            Arc::clone(open)
        }
    }

    chatcore::store_conformance!(Pointer);
}

mod folder {
    use super::*;

    struct Folder(TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }
    }

    #[async_trait]
    impl BlobFixture for Folder {
        type Blobs = FolderBlobs;

        async fn open(&self) -> FolderBlobs {
            FolderBlobs::open(self.0.path()).await.unwrap()
        }

        async fn pieces(&self) -> Option<usize> {
            let mut folders = vec![self.0.path().to_path_buf()];
            let mut files = 0;
            while let Some(folder) = folders.pop() {
                for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
                    if entry.file_type().unwrap().is_dir() {
                        folders.push(entry.path());
                    } else {
                        files += 1;
                    }
                }
            }
            Some(files)
        }
    }

    chatcore::blob_conformance!(Folder::new());
}

mod local_bus {
    use super::*;

    struct Local(Arc<LocalBus>);

    #[async_trait]
    impl BusFixture for Local {
        type Bus = Arc<LocalBus>;

        async fn open(&self) -> Arc<LocalBus> {
            Arc::clone(&self.0)
        }
    }

    chatcore::bus_conformance!(Local(Arc::default()));
}

#[test]
fn every_law_is_a_test() {
    let stores = include_str!("../../src/testkit/store/mod.rs");
    let laws = [
        (include_str!("../../src/testkit/store/append.rs"), stores),
        (include_str!("../../src/testkit/store/attachments.rs"), stores),
        (include_str!("../../src/testkit/store/dedupe.rs"), stores),
        (include_str!("../../src/testkit/store/directory.rs"), stores),
        (include_str!("../../src/testkit/store/messages.rs"), stores),
        (include_str!("../../src/testkit/store/pages.rs"), stores),
        (include_str!("../../src/testkit/store/prune.rs"), stores),
        (include_str!("../../src/testkit/store/reopen.rs"), stores),
        (include_str!("../../src/testkit/store/replay.rs"), stores),
        (include_str!("../../src/testkit/store/search.rs"), stores),
        (include_str!("../../src/testkit/blob.rs"), include_str!("../../src/testkit/blob.rs")),
        (include_str!("../../src/testkit/bus.rs"), include_str!("../../src/testkit/bus.rs")),
    ];
    for (file, list) in laws {
        for law in file.split("pub async fn ").skip(1).filter_map(|rest| rest.split('<').next()) {
            assert!(list.lines().any(|line| line.trim() == law), "{law} is in no list");
        }
    }
}

#[tokio::test]
async fn retries_through_any_faults_store_each_message_once() {
    let random = Random::from_env();
    let memory = MemoryStore::new();
    let channel = channel(&memory).await;
    let faults = Faults { delay: 0.2, ..Faults::everywhere(0.3) };
    let store = FaultyStore::new(memory.clone(), faults, random.bits());
    let mut failed = 0;
    for i in 0..100 {
        while store.append(vec![publish(channel, i)]).await.remove(0).is_err() {
            failed += 1;
        }
    }
    assert!(failed > 20, "of a hundred messages, {failed} failed");
    let stored =
        memory.messages_before(channel, u64::MAX, PageLimit::items(usize::MAX)).await.unwrap().messages;
    assert!(stored.iter().map(|m| m.nonce.as_str()).eq((0..100).map(|i| i.to_string())));
}

#[tokio::test]
async fn each_injected_fault_fails_only_its_calls() {
    let memory = MemoryStore::new();
    let channel = channel(&memory).await;
    let head = async || memory.heads(&[channel]).await.unwrap().remove(0).unwrap().seq;
    let faulty = |faults| FaultyStore::new(memory.clone(), faults, 1);

    let before = faulty(Faults { before_write: 1.0, ..Faults::default() });
    assert!(before.append(vec![publish(channel, 1)]).await.remove(0).is_err());
    assert_eq!(head().await, 0);
    assert_eq!(before.channel_count().await.unwrap(), 1);

    let after = faulty(Faults { after_write: 1.0, ..Faults::default() });
    assert!(after.append(vec![publish(channel, 1)]).await.remove(0).is_err());
    assert_eq!(head().await, 1);

    let read = faulty(Faults { read: 1.0, ..Faults::default() });
    assert!(read.channel_count().await.is_err());
    assert_eq!(read.append(vec![publish(channel, 2)]).await.remove(0).unwrap().seq, 2);
}

async fn channel(store: &MemoryStore) -> ChannelId {
    let by = User::new("u_ann", "Ann").unwrap();
    store.create_channel(&ChannelName::new("general").unwrap(), "", &by).await.unwrap().into_channel().id
}

fn publish(channel: ChannelId, i: u32) -> Append {
    let body = AppendBody::Message {
        nonce: Nonce::new(i.to_string()).unwrap(),
        text: format!("text {i}").into(),
        reply_to: None,
        attachments: Vec::new(),
        extras: None,
    };
    Append::new(channel, User::new("u_ann", "Ann").unwrap(), body)
}
