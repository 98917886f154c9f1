//! Two chats on one schema, as two nodes: one at a time removes files, and each file is removed once.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chatcore::attachments::FileKind;
use chatcore::blob::{BlobError, BlobStore, ByteStream};
use chatcore::store::AttachmentIndex;
use chatcore::testkit::{Faults, FaultyStore};
use chatcore::{AttachmentId, Chat, Identity, Limits, NewMessage, User};
use chatcore_postgres::{PostgresBlobs, PostgresStore};
use chatcore_tests::{Postgres, must};
use futures::{StreamExt, stream};
use tokio::sync::{Semaphore, mpsc};

const CHANNEL: &str = "a";

/// A node's way to the files of all. It tells of each removal before it begins, and waits for a permit.
struct GatedBlobs {
    files: PostgresBlobs,
    node: usize,
    removals: mpsc::UnboundedSender<(usize, AttachmentId)>,
    permits: Arc<Semaphore>,
}

#[async_trait]
impl BlobStore for GatedBlobs {
    async fn put(&self, id: &AttachmentId, bytes: ByteStream, limit: u64) -> Result<u64, BlobError> {
        self.files.put(id, bytes, limit).await
    }

    async fn get(&self, id: &AttachmentId, range: Range<u64>) -> Result<ByteStream, BlobError> {
        self.files.get(id, range).await
    }

    async fn delete(&self, id: &AttachmentId) -> Result<(), BlobError> {
        // Previews are removed with their files.
        if !id.as_str().starts_with("p_") {
            self.removals.send((self.node, id.clone())).expect("the test listens");
            self.permits.acquire().await.expect("never closed").forget();
        }
        self.files.delete(id).await
    }
}

/// Publishes a message with a file and deletes it. Returns the file's id.
async fn discard(chat: &Chat, ann: &Identity) -> AttachmentId {
    let bytes = stream::iter([Ok(Bytes::from_static(b"a file"))]).boxed();
    let kind = |_: &[u8]| FileKind::new("text/plain");
    let file = chat.upload(ann, CHANNEL, "plan.txt", bytes, kind).await.expect("an upload").id;
    let client = chat.connect(ann.clone()).expect("a session");
    let message = NewMessage::text("").attachment(file.clone());
    let seq = client.send(CHANNEL, message).await.expect("a message").seq;
    client.delete(CHANNEL, seq).await.expect("a delete");
    file
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_sweeps_at_a_time_and_each_file_is_removed_once() {
    let url = Postgres::shared().await.database().await.url();
    let (removals, mut removed) = mpsc::unbounded_channel();
    let permits = Arc::new(Semaphore::new(0));
    let mut nodes = Vec::new();
    for node in 0..2 {
        let store = PostgresStore::connect(&url).await.expect("connects");
        let (removals, permits) = (removals.clone(), Arc::clone(&permits));
        let blobs = GatedBlobs { files: store.blobs(), node, removals, permits };
        let store = FaultyStore::new(store, Faults::default(), 1);
        // Each node looks every second, and after each delete. A removal may wait for its permit.
        let limits = Limits::default()
            .with_channel_idle(Duration::from_secs(2))
            .with_store_timeout(Duration::from_secs(300));
        nodes.push((Chat::builder(store.clone()).blobs(blobs).limits(limits).build(), store));
    }
    let [(one, one_store), (other, other_store)] = <[_; 2]>::try_from(nodes).expect("two nodes");
    let ann = Identity::new(User::new("u_ann", "Ann").expect("a user"));
    one.connect(ann.clone()).expect("a session").create_channel(CHANNEL, "").await.expect("a channel");

    let mut files = vec![discard(&one, &ann).await];
    let (sweeping, first) = must("a sweep", removed.recv()).await.expect("a removal");
    assert_eq!(first, files[0]);
    for n in 0..6 {
        files.push(discard(if n % 2 == 0 { &one } else { &other }, &ann).await);
    }
    // While one node removes a file, the other one asks for the turn in vain, and removes nothing.
    let idle = if sweeping == 0 { &other_store } else { &one_store };
    must("three refused turns", idle.turns_refused(3)).await;
    assert!(removed.try_recv().is_err(), "one file is being removed");

    permits.add_permits(1_000);
    let mut gone = HashSet::from([first]);
    while gone.len() < files.len() {
        let (_, file) = must("a removal", removed.recv()).await.expect("a removal");
        assert!(gone.insert(file.clone()), "{file} was removed twice");
    }
    // What the index has forgotten can't be removed again.
    for file in &files {
        must("a file is forgotten", async {
            while one_store.upload(file).await.expect("the index").is_some() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    assert!(removed.try_recv().is_err(), "a file was removed twice");
    assert_eq!(gone, files.into_iter().collect());
}
