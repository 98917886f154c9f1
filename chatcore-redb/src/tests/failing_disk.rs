//! What the store does when its disk fails, on a disk that fails on purpose.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use chatcore::store::{
    Append, AppendBody, AppendError, AttachmentIndex, Directory, EventKind, EventStore, Leaving, MemberOp,
    Membership, NewPrivate, Notify, PageLimit, Replay, Role,
};
use chatcore::testkit::Random;
use chatcore::{AttachmentId, ChannelId, ChannelName, Nonce, Position, User, UserId};
use redb::backends::FileBackend;
use redb::{Database, StorageBackend};

use crate::backup::BackupError;
use crate::error::OpenError;
use crate::file::RedbFile;
use crate::journal::Journal;
use crate::opening::Opening;
use crate::store::{Chat, RedbStore};
use crate::writer::SyncMode;

/// What fails, as a set of bits.
pub(super) const WRITES: u8 = 1;
const SYNCS: u8 = 2;
pub(super) const OPENING: u8 = 4;
const READS: u8 = 8;
/// A write panics in place of failing, as a bug in redb would.
const PANICS: u8 = 16;
const OPENING_PANICS: u8 = 32;

#[derive(Debug, Default)]
pub(super) struct Faults {
    failing: AtomicU8,
    /// Calls that still succeed before the failing begins.
    spared: AtomicU64,
    syncs: AtomicU64,
    /// A sync waits while this is locked.
    hangs: std::sync::Mutex<()>,
}

impl Faults {
    pub(super) fn set(&self, failing: u8, spared: u64) {
        self.spared.store(spared, Ordering::SeqCst);
        self.failing.store(failing, Ordering::SeqCst);
    }

    pub(super) fn check(&self, what: u8) -> io::Result<()> {
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
        self.faults.check(READS)?;
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.faults.check(WRITES)?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.faults.check(SYNCS)?;
        drop(self.faults.hangs.lock());
        self.faults.syncs.fetch_add(1, Ordering::SeqCst);
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.faults.check(WRITES)?;
        self.faults.check(PANICS).expect("the disk fails on purpose");
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}

fn open(path: &Path, faults: &Arc<Faults>) -> RedbStore {
    open_synced_within(path, faults, Duration::from_secs(5))
}

fn open_synced_within(path: &Path, faults: &Arc<Faults>, within: Duration) -> RedbStore {
    open_with(path, faults, within, None)
}

pub(super) fn open_with(
    path: &Path,
    faults: &Arc<Faults>,
    within: Duration,
    journal: Option<Journal<Chat>>,
) -> RedbStore {
    let (file, faults) = (path.to_path_buf(), Arc::clone(faults));
    let opener = move |opening| {
        let path = &file;
        let database =
            |source: redb::Error| OpenError::Database { path: path.clone(), source: Box::new(source) };
        faults.check(OPENING_PANICS).expect("the opening fails on purpose");
        faults.check(OPENING).map_err(|e| database(redb::Error::Io(e)))?;
        let first = opening == Opening::First;
        let file = OpenOptions::new().read(true).write(true).create(first).truncate(false).open(path);
        let file = FileBackend::new(file.map_err(|e| database(redb::Error::Io(e)))?);
        let disk = FailingDisk { file: file.map_err(|e| database(e.into()))?, faults: Arc::clone(&faults) };
        // Without a cache, so that every read is one of the disk's.
        Database::builder().set_cache_size(0).create_with_backend(disk).map_err(|e| database(e.into()))
    };
    RedbStore::of(RedbFile::open_synced_within(path, within, journal, opener).unwrap())
}

pub(super) async fn channel(store: &RedbStore) -> ChannelId {
    let by = User::new("u_ann", "Ann").unwrap();
    store.create_channel(&ChannelName::new("general").unwrap(), "", &by).await.unwrap().into_channel().id
}

pub(super) fn publish(channel: ChannelId, nonce: u64) -> Append {
    let body = AppendBody::Message {
        nonce: Nonce::new(nonce.to_string()).unwrap(),
        text: "x".repeat(2_000).into(),
        reply_to: None,
        attachments: Vec::new(),
        extras: None,
    };
    Append::new(channel, User::new("u_ann", "Ann").unwrap(), body)
}

pub(super) async fn nonces(store: &RedbStore, channel: ChannelId) -> Vec<u64> {
    let head = store.heads(&[channel]).await.unwrap().remove(0).unwrap();
    let start = Position::new(head.epoch, 0);
    let replay = store.after(channel, &start, PageLimit::items(usize::MAX)).await.unwrap();
    let Replay::Events { events: log, .. } = replay else { panic!("the log was reset") };
    assert!(log.iter().zip(1..).all(|(event, seq)| event.seq == seq) && log.len() as u64 == head.seq);
    let nonce = |kind: &EventKind| match kind {
        EventKind::Message(content) => content.nonce.as_str().parse().unwrap(),
        other => panic!("{other:?}"),
    };
    log.iter().map(|event| nonce(&event.kind)).collect()
}

#[tokio::test]
async fn a_full_disk_fails_only_the_current_writes() {
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
async fn a_store_fails_until_its_file_can_be_reopened() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chat.redb");
    let faults = Arc::new(Faults::default());
    let store = open(&path, &faults);
    let channel = channel(&store).await;
    faults.set(WRITES | OPENING, 0);
    for nonce in 1..4 {
        assert!(store.append(vec![publish(channel, nonce)]).await.remove(0).is_err());
        assert!(store.channel_count().await.is_err(), "a read of a closed file fails");
    }
    faults.set(0, 0);
    assert_eq!(store.append(vec![publish(channel, 4)]).await.remove(0).unwrap().seq, 1);
    assert_eq!(nonces(&store, channel).await, [4]);
}

#[tokio::test]
async fn a_panic_in_redb_fails_only_the_current_calls() {
    let dir = tempfile::tempdir().unwrap();
    let faults = Arc::new(Faults::default());
    let store = open(&dir.path().join("chat.redb"), &faults);
    let channel = channel(&store).await;
    store.append(vec![publish(channel, 1)]).await.remove(0).unwrap();
    for nonce in 2..5 {
        faults.set(PANICS, 0);
        let outcome = store.append(vec![publish(channel, nonce)]).await.remove(0);
        let Err(AppendError::Store(error)) = outcome else { panic!("{outcome:?}") };
        let why = std::error::Error::source(&error).unwrap().to_string();
        assert!(why.contains("the disk fails on purpose"), "{why}");
        faults.set(0, 0);
        store.append(vec![publish(channel, nonce)]).await.remove(0).unwrap();
    }
    assert_eq!(nonces(&store, channel).await, [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_panic_while_reopening_the_file_is_contained() {
    let dir = tempfile::tempdir().unwrap();
    let faults = Arc::new(Faults::default());
    let store = open(&dir.path().join("chat.redb"), &faults);
    let channel = channel(&store).await;
    faults.set(PANICS | OPENING_PANICS, 0);
    for nonce in 1..4 {
        assert!(store.append(vec![publish(channel, nonce)]).await.remove(0).is_err());
    }
    faults.set(0, 0);
    store.append(vec![publish(channel, 4)]).await.remove(0).unwrap();
    assert_eq!(nonces(&store, channel).await, [4]);
}

#[tokio::test]
async fn a_panic_in_a_write_rolls_its_batch_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("chat.redb"), &Arc::default());
    let channel = channel(&store).await;
    let panicked = store.write::<(), _>(SyncMode::Disk, |changes| {
        changes.tables.users.write()?.insert("u_ann", "Ann")?;
        panic!("a write fails on purpose")
    });
    assert!(panicked.await.is_err());
    assert!(store.users(&[UserId::new("u_ann").unwrap()]).await.unwrap().is_empty());
    assert_eq!(store.append(vec![publish(channel, 1)]).await.remove(0).unwrap().seq, 1);
}

#[tokio::test]
async fn failed_reads_recover_without_a_write() {
    let dir = tempfile::tempdir().unwrap();
    let faults = Arc::new(Faults::default());
    let store = open(&dir.path().join("chat.redb"), &faults);
    let channel = channel(&store).await;
    store.append((0..50).map(|nonce| publish(channel, nonce)).collect()).await;
    faults.set(READS, 0);
    assert!(store.message(channel, 25).await.is_err());
    faults.set(0, 0);
    until_read(&store).await;
    assert!(store.message(channel, 25).await.unwrap().is_some());
}

#[tokio::test]
async fn reads_reopen_a_file_that_was_unavailable() {
    let dir = tempfile::tempdir().unwrap();
    let faults = Arc::new(Faults::default());
    let store = open(&dir.path().join("chat.redb"), &faults);
    let channel = channel(&store).await;
    faults.set(WRITES | OPENING, 0);
    assert!(store.append(vec![publish(channel, 1)]).await.remove(0).is_err());
    assert!(store.channel_count().await.is_err());
    faults.set(0, 0);
    until_read(&store).await;
}

#[tokio::test]
async fn a_backup_of_a_failing_disk_can_be_made_later() {
    let dir = tempfile::tempdir().unwrap();
    let faults = Arc::new(Faults::default());
    let store = open(&dir.path().join("chat.redb"), &faults);
    let channel = channel(&store).await;
    store.append((0..50).map(|nonce| publish(channel, nonce)).collect()).await;
    let backup = dir.path().join("backup.redb");
    for spared in [0, 20] {
        faults.set(READS, spared);
        let error = store.backup(&backup).await.unwrap_err();
        assert!(matches!(error, BackupError::Failed { .. }), "{error:?}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "only the store is there");
        faults.set(0, 0);
        // Nothing else reads or writes meanwhile.
        let again = async {
            while store.backup(&backup).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), again).await.expect("backups fail for ever");
        assert_eq!(nonces(&RedbStore::open(&backup).unwrap(), channel).await.len(), 50);
        std::fs::remove_file(&backup).unwrap();
    }
}

async fn until_read(store: &RedbStore) {
    let reading = async {
        // The writer checks the file in the meantime.
        while store.channel_count().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), reading).await.expect("reads fail for ever");
}

/// Marks three messages as read in turn, and waits after each until the disk was synced, with no other write.
#[tokio::test]
async fn read_markers_reach_the_disk_without_another_write() {
    let dir = tempfile::tempdir().unwrap();
    let faults = Arc::new(Faults::default());
    let store = open_synced_within(&dir.path().join("chat.redb"), &faults, Duration::from_millis(1));
    let (channel, bob) = (channel(&store).await, UserId::new("u_bob").unwrap());
    store.append((0..3).map(|nonce| publish(channel, nonce)).collect()).await;
    for seq in 1..=3 {
        let before = faults.syncs.load(Ordering::SeqCst);
        store.mark_read(&bob, channel, seq).await.unwrap();
        let synced = async {
            while faults.syncs.load(Ordering::SeqCst) == before {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), synced).await.expect("a marker is never synced");
    }
}

#[tokio::test]
async fn a_write_that_changes_nothing_does_not_sync() {
    let dir = tempfile::tempdir().unwrap();
    let faults = Arc::new(Faults::default());
    let store = open(&dir.path().join("chat.redb"), &faults);
    let channel = channel(&store).await;
    let ann = User::new("u_ann", "Ann").unwrap();
    let unknown = AttachmentId::new("a_1").unwrap();
    store.put_user(&ann).await.unwrap();
    store.append(vec![publish(channel, 1)]).await.remove(0).unwrap();
    let private = ChannelName::new("pr.a").unwrap();
    let private = NewPrivate::new(private, "Plans");
    let private = store.create_private_within(&private, &ann, 9).await.unwrap().unwrap().id;
    let direct = ChannelName::new("dm.a").unwrap();
    store.open_direct_within(&direct, std::slice::from_ref(&ann), &ann, 9).await.unwrap();
    let before = faults.syncs.load(Ordering::SeqCst);
    store.put_user(&ann).await.unwrap();
    assert!(!store.join_open(channel, &ann).await.unwrap());
    assert_eq!(store.leave_open(private, &ann.id).await.unwrap(), Leaving::NotAMember);
    assert!(store.set_notify(private, &ann.id, Notify::All).await.unwrap());
    store.open_direct_within(&direct, std::slice::from_ref(&ann), &ann, 9).await.unwrap();
    let leave = AppendBody::Member { op: MemberOp::Removed, user: ann.clone(), role: Role::Owner, most: 9 };
    let stranger = User::new("u_bob", "Bob").unwrap();
    let refused = vec![Append::new(private, stranger, leave).checked()];
    assert!(store.append(refused).await.remove(0).is_err());
    assert!(store.append(vec![publish(channel, 1)]).await.remove(0).unwrap().duplicate);
    assert!(store.append(vec![publish(ChannelId(9), 1)]).await.remove(0).is_err());
    assert!(store.discard_upload(&unknown).await.unwrap());
    store.forget_upload(&unknown).await.unwrap();
    store.create_channel(&ChannelName::new("general").unwrap(), "", &ann).await.unwrap();
    assert_eq!(faults.syncs.load(Ordering::SeqCst), before);
    store.put_user(&User::new("u_ann", "Anna").unwrap()).await.unwrap();
    assert!(faults.syncs.load(Ordering::SeqCst) > before);
}

#[tokio::test]
async fn acknowledged_messages_survive_any_disk_failure() {
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

/// A sync takes longer than a chat waits for its store. The publish is refused, and stored in the end.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_hanging_disk_stores_late_reaches_subscribers() {
    use chatcore::protocol::ChatEvent;

    let (dir, faults) = (tempfile::tempdir().unwrap(), Arc::<Faults>::default());
    let store = open(&dir.path().join("chat.redb"), &faults);
    let id = channel(&store).await;
    let mut limits = chatcore::Limits::default();
    limits.store_timeout = Duration::from_millis(200);
    let chat = chatcore::Chat::builder(store.clone()).limits(limits).build();
    let connect = |name: &str| {
        let user = User::new(&format!("u_{name}"), name).unwrap();
        chat.connect(chatcore::Identity::new(user)).unwrap()
    };
    let (mut reader, writer) = (connect("reader"), connect("writer"));
    reader.subscribe("general").await.unwrap();
    {
        let hang = std::thread::spawn({
            let faults = Arc::clone(&faults);
            let (begun, begins) = std::sync::mpsc::channel();
            let (end, ends) = std::sync::mpsc::channel::<()>();
            let thread = std::thread::spawn(move || {
                let _hanging = faults.hangs.lock().unwrap();
                begun.send(()).unwrap();
                let _ = ends.recv();
            });
            begins.recv().unwrap();
            move || (thread, end)
        });
        let (thread, end) = hang.join().unwrap();
        assert!(writer.publish("general", "late").await.is_err());
        drop(end);
        thread.join().unwrap();
    }
    while store.heads(&[id]).await.unwrap()[0].as_ref().unwrap().seq == 0 {
        tokio::task::yield_now().await;
    }
    let seen = async { while !matches!(reader.next_event().await, Some(ChatEvent::Message { .. })) {} };
    assert!(tokio::time::timeout(Duration::from_secs(5), seen).await.is_ok(), "it is in the store alone");
}
