//! A folder of files that several stores have open, as several processes do.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use chatcore::AttachmentId;
use chatcore::blob::{BlobStore, FolderBlobs};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::oneshot;

fn id(text: &str) -> AttachmentId {
    AttachmentId::new(text).unwrap()
}

async fn read(blobs: &FolderBlobs, name: &str) -> Vec<u8> {
    let bytes = blobs.get(&id(name), 0..u64::MAX).await.unwrap();
    bytes.map_ok(|part| part.to_vec()).try_concat().await.unwrap()
}

fn entries(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[tokio::test]
async fn a_store_that_opens_lets_running_uploads_end() {
    let folder = tempfile::tempdir().unwrap();
    let one = Arc::new(FolderBlobs::open(folder.path()).await.unwrap());
    let ((begun, begins), (go_on, goes_on)) = (oneshot::channel(), oneshot::channel::<()>());
    let bytes = stream::iter([Ok(Bytes::from_static(b"first, "))]).chain(stream::once(async move {
        begun.send(()).unwrap();
        goes_on.await.unwrap();
        Ok(Bytes::from_static(b"second"))
    }));
    let put = tokio::spawn({
        let one = Arc::clone(&one);
        async move { one.put(&id("a_1"), bytes.boxed(), 100).await }
    });
    begins.await.unwrap();
    let other = FolderBlobs::open(folder.path()).await.unwrap();
    drop(FolderBlobs::open(folder.path()).await.unwrap());
    go_on.send(()).unwrap();
    assert_eq!(put.await.unwrap().unwrap(), 13);
    for store in [&*one, &other] {
        assert_eq!(read(store, "a_1").await, b"first, second");
    }
    let incoming = folder.path().join("incoming");
    assert_eq!(entries(&incoming), 2, "each open store has a folder");
    drop((one, other));
    assert_eq!(entries(&incoming), 0);
}

#[tokio::test]
async fn the_rests_of_dead_processes_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let incoming = folder.path().join("incoming");
    fs::create_dir_all(incoming.join("dead")).unwrap();
    fs::create_dir_all(incoming.join("killed-before-its-lock")).unwrap();
    for file in ["dead/lock", "dead/a_1", "killed-before-its-lock/a_2", "a_of_an_earlier_version"] {
        fs::write(incoming.join(file), "half").unwrap();
    }
    let alive = FolderBlobs::open(folder.path()).await.unwrap();
    assert_eq!(entries(&incoming), 1, "only the open store's own folder is left");
    drop(alive);
}

#[tokio::test]
async fn stores_that_open_at_once_disturb_no_upload() {
    let folder = tempfile::tempdir().unwrap();
    let stores = (0..20).map(|i| {
        let folder = folder.path().to_path_buf();
        tokio::spawn(async move {
            let blobs = FolderBlobs::open(folder).await.unwrap();
            let bytes = stream::iter([Ok(Bytes::from_static(b"bytes"))]).boxed();
            blobs.put(&id(&format!("a_{i}")), bytes, 100).await.unwrap();
            blobs
        })
    });
    for (i, store) in stores.collect::<Vec<_>>().into_iter().enumerate() {
        let store = store.await.unwrap();
        assert_eq!(read(&store, &format!("a_{i}")).await, b"bytes");
    }
}
