//! Stored files: who may read them, and how unused ones are removed.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chatcore::attachments::FileKind;
use chatcore::blob::{BlobError, BlobStore, ByteStream, FolderBlobs};
use chatcore::testkit::{CapturedLog, Faults, FaultyStore, Random};
use chatcore::{AttachmentId, Chat, Clock, Identity, Limits, MemoryStore, Timestamp, User};
use futures::StreamExt;
use tempfile::TempDir;

fn identity(name: &str) -> Identity {
    Identity::new(User::new(&format!("u_{name}"), name).unwrap())
}

/// A blob store whose files can't be removed at first.
#[derive(Default)]
struct Place {
    files: Mutex<HashSet<AttachmentId>>,
    stuck: Mutex<HashSet<AttachmentId>>,
    panicking: Mutex<HashSet<AttachmentId>>,
}

#[derive(Clone, Default)]
struct Blobs(Arc<Place>);

#[async_trait]
impl BlobStore for Blobs {
    async fn put(&self, id: &AttachmentId, mut bytes: ByteStream, _: u64) -> Result<u64, BlobError> {
        while let Some(chunk) = bytes.next().await {
            chunk.map_err(BlobError::Stream)?;
        }
        self.0.files.lock().unwrap().insert(id.clone());
        self.0.stuck.lock().unwrap().insert(id.clone());
        Ok(1)
    }

    async fn get(&self, _: &AttachmentId, _: Range<u64>) -> Result<ByteStream, BlobError> {
        Err(BlobError::NotFound)
    }

    async fn delete(&self, id: &AttachmentId) -> Result<(), BlobError> {
        if self.0.panicking.lock().unwrap().contains(id) {
            // Without the panic hook, which would print each panic.
            std::panic::resume_unwind(Box::new("a place panics on purpose"));
        }
        if self.0.stuck.lock().unwrap().contains(id) {
            return Err(io::Error::from(io::ErrorKind::PermissionDenied).into());
        }
        self.0.files.lock().unwrap().remove(id);
        Ok(())
    }
}

async fn upload(chat: &Chat, name: &str) -> AttachmentId {
    let stream = futures::stream::iter([Ok(Bytes::from_static(b"x"))]).boxed();
    let kind = |_: &[u8]| FileKind::new("image/png");
    chat.upload(&identity("ann"), "a", name, stream, kind).await.unwrap().id
}

#[tokio::test(start_paused = true)]
async fn a_file_that_can_not_be_removed_blocks_no_other() {
    let log = CapturedLog::begin();
    let mut limits = Limits::default();
    limits.upload_ttl = Duration::ZERO;
    let blobs = Blobs::default();
    let chat = Chat::builder(MemoryStore::new()).blobs(blobs.clone()).limits(limits).build();
    chat.connect(identity("ann")).unwrap().create_channel("a", "").await.unwrap();
    // More files than one read of the index returns, before and after those that can be removed.
    let mut ids = Vec::new();
    for i in 0..700 {
        ids.push(upload(&chat, &format!("{i}.png")).await);
    }
    let random = Random::from_env();
    let stuck: HashSet<_> = ids.iter().filter(|_| random.chance(0.9)).cloned().collect();
    let panicking = stuck.iter().take(3).cloned().collect();
    *blobs.0.stuck.lock().unwrap() = stuck.clone();
    *blobs.0.panicking.lock().unwrap() = panicking;
    let left = || blobs.0.files.lock().unwrap().clone();
    // The sweeper runs on its own.
    while left() != stuck {
        assert!(left().is_superset(&stuck));
        tokio::time::advance(Duration::from_secs(1)).await;
    }

    tokio::time::sleep(Duration::from_secs(60)).await;
    let told = log.take();
    assert!(told.iter().any(|line| line.contains("an unused file could not be removed")), "{told:?}");
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(log.take().is_empty(), "nothing new is told of the same files");

    // The obstacle disappears, and a later sweep removes the rest.
    blobs.0.stuck.lock().unwrap().clear();
    blobs.0.panicking.lock().unwrap().clear();
    while !left().is_empty() {
        tokio::time::advance(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn held_files_are_removed_after_the_last_hold() {
    let mut limits = Limits::default();
    limits.upload_ttl = Duration::ZERO;
    let blobs = Blobs::default();
    let chat = Chat::builder(MemoryStore::new()).blobs(blobs.clone()).limits(limits).build();
    chat.connect(identity("ann")).unwrap().create_channel("a", "").await.unwrap();
    let (one, other) = (chat.hold_files().await, chat.hold_files().await);
    upload(&chat, "unused.png").await;
    blobs.0.stuck.lock().unwrap().clear();
    let left = || blobs.0.files.lock().unwrap().len();
    drop(one);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(left(), 1, "many sweeps came by");
    drop(other);
    while left() > 0 {
        tokio::time::advance(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_sweeps_only_in_its_turn() {
    let mut limits = Limits::default();
    limits.upload_ttl = Duration::ZERO;
    let (blobs, others_sweep) = (Blobs::default(), Faults { others_sweep: 1.0, ..Faults::default() });
    let store = FaultyStore::new(MemoryStore::new(), others_sweep, Random::from_env().seed());
    let chat = Chat::builder(store.clone()).blobs(blobs.clone()).limits(limits).build();
    chat.connect(identity("ann")).unwrap().create_channel("a", "").await.unwrap();
    upload(&chat, "unused.png").await;
    blobs.0.stuck.lock().unwrap().clear();
    let left = || blobs.0.files.lock().unwrap().len();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(left(), 1, "another node has the turn");
    store.set_faults(Faults::default());
    while left() > 0 {
        tokio::time::advance(Duration::from_secs(1)).await;
    }
}

const HOUR: Duration = Duration::from_secs(3_600);

/// A clock that may be wrong: the process's own clock plus this many milliseconds.
fn wrong_by(millis: &Arc<AtomicI64>) -> Clock {
    let (begin, millis) = (tokio::time::Instant::now(), Arc::clone(millis));
    Clock::new(move || {
        let right = Timestamp::from_millis(1_700_000_000_000).plus(begin.elapsed());
        Timestamp::from_millis(right.as_millis() + millis.load(Ordering::SeqCst))
    })
}

/// Creates a chat with a channel whose clock is wrong by this much, and its files, which can be removed.
async fn by_clock(wrong: &Arc<AtomicI64>) -> (Chat, Blobs) {
    let blobs = Blobs::default();
    let chat = Chat::builder(MemoryStore::new()).blobs(blobs.clone()).clock(wrong_by(wrong)).build();
    chat.connect(identity("ann")).unwrap().create_channel("a", "").await.unwrap();
    (chat, blobs)
}

#[tokio::test(start_paused = true)]
async fn a_clock_jump_removes_no_file() {
    let wrong = Arc::new(AtomicI64::new(0));
    let (chat, blobs) = by_clock(&wrong).await;
    let left = || blobs.0.files.lock().unwrap().len();
    tokio::time::sleep(HOUR).await;
    upload(&chat, "before.png").await;
    blobs.0.stuck.lock().unwrap().clear();
    wrong.store(86_400_000, Ordering::SeqCst);
    tokio::time::sleep(HOUR / 4).await;
    assert_eq!(left(), 1, "a day ahead");
    wrong.store(-86_400_000, Ordering::SeqCst);
    upload(&chat, "behind.png").await;
    blobs.0.stuck.lock().unwrap().clear();
    tokio::time::sleep(HOUR / 4).await;
    wrong.store(0, Ordering::SeqCst);
    tokio::time::sleep(HOUR / 4).await;
    assert_eq!(left(), 2, "and back");
    tokio::time::sleep(HOUR / 2 - Duration::from_secs(60)).await;
    assert_eq!(left(), 1, "an hour after the first");
    tokio::time::sleep(HOUR / 2).await;
    assert_eq!(left(), 0, "an hour after the second");
}

#[tokio::test(start_paused = true)]
async fn an_unused_file_dated_by_a_wrong_clock_is_removed() {
    let wrong = Arc::new(AtomicI64::new(315_360_000_000));
    let (chat, blobs) = by_clock(&wrong).await;
    upload(&chat, "ten years ahead.png").await;
    blobs.0.stuck.lock().unwrap().clear();
    wrong.store(0, Ordering::SeqCst);
    tokio::time::sleep(HOUR - Duration::from_secs(60)).await;
    assert_eq!(blobs.0.files.lock().unwrap().len(), 1, "it may be used for an hour");
    tokio::time::sleep(HOUR).await;
    assert!(blobs.0.files.lock().unwrap().is_empty());
}

#[cfg(unix)]
mod permissions {
    use std::fs::{Permissions, create_dir_all, metadata, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};

    use super::*;

    fn mode(path: &Path) -> u32 {
        metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn below(folder: &Path) -> Vec<PathBuf> {
        let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        paths
            .flat_map(
                |path| if path.is_dir() { [vec![path.clone()], below(&path)].concat() } else { vec![path] },
            )
            .collect()
    }

    async fn put(blobs: &FolderBlobs, name: &str) {
        let bytes = futures::stream::iter([Ok(Bytes::from_static(b"x"))]).boxed();
        blobs.put(&AttachmentId::new(name).unwrap(), bytes, 9).await.unwrap();
    }

    #[tokio::test]
    async fn only_the_owner_can_access_a_new_folder() {
        let folder = TempDir::new().unwrap();
        let root = folder.path().join("some/files");
        let blobs = FolderBlobs::open(&root).await.unwrap();
        put(&blobs, "a_1234").await;
        assert_eq!((mode(&folder.path().join("some")), mode(&root)), (0o700, 0o700));
        for path in below(&root) {
            assert_eq!(mode(&path), if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
        }
    }

    #[tokio::test]
    async fn opening_a_folder_removes_other_users_access() {
        let folder = TempDir::new().unwrap();
        let root = folder.path();
        let file = root.join("x12/x34/a_1234");
        create_dir_all(file.parent().unwrap()).unwrap();
        write(&file, "x").unwrap();
        for path in [root.to_path_buf()].iter().chain(&below(root)) {
            set_permissions(path, Permissions::from_mode(if path.is_dir() { 0o755 } else { 0o664 })).unwrap();
        }
        set_permissions(root.join("x12"), Permissions::from_mode(0o500)).unwrap();
        FolderBlobs::open(root).await.unwrap();
        assert_eq!((mode(root), mode(&root.join("x12/x34")), mode(&file)), (0o700, 0o700, 0o600));
        assert_eq!(mode(&root.join("x12")), 0o500, "what was stricter stays so");
        set_permissions(root.join("x12"), Permissions::from_mode(0o700)).unwrap();
    }
}
