//! What the store does when its disk fails, on a disk that fails on purpose.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use chatcore::store::{AppendError, AttachmentIndex, Directory, EventStore};
use chatcore::testkit::Random;
use chatcore::{Append, AppendBody, AttachmentId, ChannelId, ChannelName, EventKind, Nonce, Position, User};
use redb::backends::FileBackend;
use redb::{Database, StorageBackend};

use crate::error::OpenError;
use crate::schema::prepare;
use crate::store::RedbStore;
use crate::writer::Opening;

/// What fails, as a set of bits.
const WRITES: u8 = 1;
const SYNCS: u8 = 2;
const OPENING: u8 = 4;

#[derive(Debug, Default)]
struct Faults {
    failing: AtomicU8,
    /// Calls that still succeed before the failing begins.
    spared: AtomicU64,
}

impl Faults {
    fn set(&self, failing: u8, spared: u64) {
        self.spared.store(spared, Ordering::SeqCst);
        self.failing.store(failing, Ordering::SeqCst);
    }

    fn check(&self, what: u8) -> io::Result<()> {
        if self.failing.load(Ordering::SeqCst) & what == 0 {
            return Ok(());
        }
        let spared = self.spared.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        spared.map(drop).map_err(|_| io::Error::from(io::ErrorKind::StorageFull))
    }
}

#[derive(Debug)]
struct FailingDisk {
    file: FileBackend,
    faults: Arc<Faults>,
}

impl StorageBackend for FailingDisk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.faults.check(WRITES)?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.faults.check(SYNCS)?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.faults.check(WRITES)?;
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}

fn open(path: &Path, faults: &Arc<Faults>) -> RedbStore {
    let (path, faults) = (path.to_path_buf(), Arc::clone(faults));
    let opener = move |opening| {
        let database =
            |source: redb::Error| OpenError::Database { path: path.clone(), source: Box::new(source) };
        faults.check(OPENING).map_err(|e| database(redb::Error::Io(e)))?;
        let first = opening == Opening::First;
        let file = OpenOptions::new().read(true).write(true).create(first).truncate(false).open(&path);
        let file = FileBackend::new(file.map_err(|e| database(redb::Error::Io(e)))?);
        let disk = FailingDisk { file: file.map_err(|e| database(e.into()))?, faults: Arc::clone(&faults) };
        let opened = Database::builder().create_with_backend(disk).map_err(|e| database(e.into()))?;
        prepare(&opened).map_err(|e| OpenError::of(&path, e))?;
        Ok(opened)
    };
    RedbStore::with_opener(Box::new(opener)).unwrap()
}

async fn channel(store: &RedbStore) -> ChannelId {
    let by = User::new("u_ann", "Ann").unwrap();
    store.create_channel(&ChannelName::new("general").unwrap(), "", &by).await.unwrap().into_channel().id
}

fn publish(channel: ChannelId, nonce: u64) -> Append {
    let body = AppendBody::Message {
        nonce: Nonce::new(nonce.to_string()).unwrap(),
        text: "x".repeat(2_000),
        reply_to: None,
        attachments: Vec::new(),
    };
    Append { channel, author: User::new("u_ann", "Ann").unwrap(), body }
}

async fn nonces(store: &RedbStore, channel: ChannelId) -> Vec<u64> {
    let head = store.heads(&[channel]).await.unwrap().remove(0).unwrap();
    let start = Position { epoch: head.epoch, seq: 0 };
    let replay = store.after(channel, &start, usize::MAX).await.unwrap();
    let chatcore::store::Replay::Events(log) = replay else { panic!("the log was reset") };
    assert!(log.iter().zip(1..).all(|(event, seq)| event.seq == seq) && log.len() as u64 == head.seq);
    let nonce = |kind: &EventKind| match kind {
        EventKind::Message(content) => content.nonce.as_str().parse().unwrap(),
        other => panic!("{other:?}"),
    };
    log.iter().map(|event| nonce(&event.kind)).collect()
}

#[tokio::test]
async fn a_full_disk_fails_the_writes_of_that_moment_and_no_later_ones() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chat.redb");
    let faults = Arc::new(Faults::default());
    let store = open(&path, &faults);
    let channel = channel(&store).await;
    store.append(vec![publish(channel, 1)]).await.remove(0).unwrap();

    faults.set(WRITES, 0);
    let outcomes = store.append(vec![publish(channel, 2), publish(channel, 3)]).await;
    assert!(outcomes.iter().all(|o| matches!(o, Err(AppendError::Store(_)))), "{outcomes:?}");
    assert!(store.discard_upload(&AttachmentId::new("a_1").unwrap()).await.is_err());

    faults.set(0, 0);
    store.append(vec![publish(channel, 2)]).await.remove(0).unwrap();
    assert_eq!(nonces(&store, channel).await, [1, 2]);
}

#[tokio::test]
async fn a_store_whose_file_can_not_be_opened_again_fails_until_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chat.redb");
    let faults = Arc::new(Faults::default());
    let store = open(&path, &faults);
    let channel = channel(&store).await;
    faults.set(WRITES | OPENING, 0);
    for nonce in 1..4 {
        assert!(store.append(vec![publish(channel, nonce)]).await.remove(0).is_err());
        assert!(store.channels().await.is_err(), "a read of a closed file fails");
    }
    faults.set(0, 0);
    assert_eq!(store.append(vec![publish(channel, 4)]).await.remove(0).unwrap().seq, 1);
    assert_eq!(nonces(&store, channel).await, [4]);
}

#[tokio::test]
async fn wherever_the_disk_fails_what_was_acknowledged_stays_once_and_without_a_gap() {
    let random = Random::from_env();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chat.redb");
    let faults = Arc::new(Faults::default());
    let mut store = open(&path, &faults);
    let channel = channel(&store).await;
    let (mut acknowledged, mut failed) = (Vec::new(), 0);
    for round in 0..60_u64 {
        faults.set(if random.chance(0.5) { WRITES } else { WRITES | SYNCS }, random.below(40));
        let batch: Vec<_> = (0..3).map(|i| round * 3 + i).collect();
        let mut stored = false;
        for attempt in 0..40 {
            let outcome = store.append(batch.iter().map(|n| publish(channel, *n)).collect()).await;
            if outcome.iter().all(Result::is_ok) {
                stored = true;
                break;
            }
            failed += 1;
            if attempt > 2 {
                faults.set(0, 0);
            }
        }
        assert!(stored, "the store does not recover");
        acknowledged.extend(batch);
        faults.set(0, 0);
        if random.chance(0.2) {
            drop(store);
            store = open(&path, &faults);
        }
        assert_eq!(nonces(&store, channel).await, acknowledged);
    }
    assert!(failed > 20, "the disk failed {failed} times");
}
