//! The laws of chatcore's blob store, on a PostgreSQL database each, and what is beyond them: leftovers, removals
//! during a download, lost parts.

use std::io;

use async_trait::async_trait;
use bytes::Bytes;
use chatcore::attachments::FileKind;
use chatcore::blob::{BlobError, BlobStore};
use chatcore::store::{AttachmentIndex, Upload, UploadState};
use chatcore::testkit::BlobFixture;
use chatcore::{Attachment, AttachmentId, ChannelId, ChannelName, Timestamp, UserId};
use chatcore_postgres::tokio_postgres::{self, Client, NoTls};
use chatcore_postgres::{PostgresBlobs, PostgresStore};
use chatcore_tests::{Database, Pgbouncer, Postgres};
use futures::{StreamExt, TryStreamExt, stream};

/// More than two parts, and a piece of a third.
const BYTES: usize = 150_000;

struct Empty(Database);

impl Empty {
    async fn new() -> Self {
        Self(Postgres::shared().await.database().await)
    }

    async fn client(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.0.url(), NoTls).await.expect("connects");
        tokio::spawn(connection);
        client
    }

    async fn store(&self) -> PostgresStore {
        PostgresStore::connect(&self.0.url()).await.expect("connects")
    }
}

#[async_trait]
impl BlobFixture for Empty {
    type Blobs = PostgresBlobs;

    async fn open(&self) -> PostgresBlobs {
        self.store().await.blobs()
    }

    async fn pieces(&self) -> Option<usize> {
        let count = "SELECT (SELECT count(*) FROM chatcore.blob) + (SELECT count(*) FROM chatcore.blob_part)";
        let row = self.client().await.query_one(count, &[]).await.expect("a row");
        Some(usize::try_from(row.get::<_, i64>(0)).expect("a count"))
    }
}

chatcore::blob_conformance!(Empty::new().await);

mod through_pgbouncer {
    use super::*;

    struct Pooled(Empty);

    impl Pooled {
        async fn new() -> Self {
            Self(Empty::new().await)
        }
    }

    #[async_trait]
    impl BlobFixture for Pooled {
        type Blobs = PostgresBlobs;

        async fn open(&self) -> PostgresBlobs {
            let url = self.0.0.url_at(Pgbouncer::shared().await.addr());
            let store = PostgresStore::builder(&url).pgbouncer(true).connect().await;
            store.unwrap_or_else(|error| panic!("{error:?}")).blobs()
        }

        async fn pieces(&self) -> Option<usize> {
            self.0.pieces().await
        }
    }

    chatcore::blob_conformance!(Pooled::new().await);
}

fn id(text: &str) -> AttachmentId {
    AttachmentId::new(text).expect("a valid id")
}

async fn put(blobs: &PostgresBlobs, name: &str, bytes: &'static [u8]) -> Result<u64, BlobError> {
    blobs.put(&id(name), stream::iter([Ok(Bytes::from_static(bytes))]).boxed(), u64::MAX).await
}

#[tokio::test]
async fn a_large_file_is_removed_in_steps() {
    let place = Empty::new().await;
    let blobs = place.open().await;
    put(&blobs, "a_1", &[1; 300 * (64 << 10)]).await.expect("a file is put");
    assert_eq!(place.pieces().await, Some(301));
    assert_eq!(blobs.size(&id("a_1")).await.expect("the size"), Some(300 * (64 << 10)));
    blobs.delete(&id("a_1")).await.expect("a file is removed");
    assert_eq!(place.pieces().await, Some(0));
    assert_eq!(blobs.size(&id("a_1")).await.expect("no size"), None);
}

#[tokio::test]
async fn a_download_ends_when_its_file_is_removed() {
    let place = Empty::new().await;
    let blobs = place.open().await;
    put(&blobs, "a_1", &[1; BYTES]).await.expect("a file is put");
    let mut bytes = blobs.get(&id("a_1"), 0..u64::MAX).await.expect("a file is read");
    let first = bytes.try_next().await.expect("a piece").expect("more than nothing");
    assert!(first.len() <= 16 << 10, "a reader holds {} bytes", first.len());
    blobs.delete(&id("a_1")).await.expect("a file is removed");
    let error = bytes.try_next().await.expect_err("the rest is gone");
    assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}");
}

#[tokio::test]
async fn a_lost_part_is_an_error_and_not_a_shorter_file() {
    let place = Empty::new().await;
    let blobs = place.open().await;
    put(&blobs, "a_1", &[1; BYTES]).await.expect("a file is put");
    place
        .client()
        .await
        .batch_execute("DELETE FROM chatcore.blob_part WHERE part = 1")
        .await
        .expect("a row goes");
    let bytes = blobs.get(&id("a_1"), 0..u64::MAX).await.expect("a file is read");
    let error = bytes.try_for_each(async |_| Ok(())).await.expect_err("a part is lost");
    assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
}

/// As after a crash of the server, which may lose the newest commits that did not wait for the disk.
#[tokio::test]
async fn a_file_without_all_of_its_parts_never_becomes_whole() {
    let place = Empty::new().await;
    let (blobs, client) = (place.open().await, place.client().await);
    let first = stream::iter([Ok(Bytes::from_static(&[1; 64 << 10]))]);
    let lose = stream::once(async move {
        let lost = client.execute("DELETE FROM chatcore.blob_part", &[]).await.expect("a row goes");
        assert_eq!(lost, 1, "the first part is stored before more is read");
        Ok(Bytes::from_static(&[2; 10]))
    });
    let outcome = blobs.put(&id("a_1"), first.chain(lose).boxed(), u64::MAX).await;
    assert!(matches!(outcome, Err(BlobError::Io(_))), "{outcome:?}");
    assert!(matches!(blobs.get(&id("a_1"), 0..1).await, Err(BlobError::NotFound)));
    assert_eq!(place.pieces().await, Some(0));
}

/// The previews of a picture may be put by two processes.
#[tokio::test]
async fn of_two_writers_of_one_file_the_first_one_counts() {
    let place = Empty::new().await;
    let (one, other) = (place.open().await, place.open().await);
    let (a, b) = tokio::join!(put(&one, "p_1", &[1; BYTES]), put(&other, "p_1", &[1; BYTES]));
    assert!(a.is_ok() != b.is_ok(), "{a:?} {b:?}");
    assert_eq!(place.pieces().await, Some(1 + 3), "nothing is left of the other");
}

#[tokio::test]
async fn what_a_killed_upload_left_is_removed_after_a_day() {
    let place = Empty::new().await;
    put(&place.open().await, "a_whole", b"whole").await.expect("a file is put");
    let client = place.client().await;
    let left = "INSERT INTO chatcore.blob (id, began) SELECT 'a_' || n, now() - n * interval '1 hour' \
            FROM generate_series(1, 600) AS n;
        INSERT INTO chatcore.blob_part SELECT number, 0, 'x' FROM chatcore.blob WHERE size IS NULL";
    client.batch_execute(left).await.expect("rows as killed processes leave them");
    let _blobs = place.open().await;
    let count = "SELECT count(*) FROM chatcore.blob WHERE began < now() - interval '1 day'";
    while client.query_one(count, &[]).await.expect("a row").get::<_, i64>(0) > 0 {
        tokio::task::yield_now().await;
    }
    let kept = "SELECT count(*), count(size) FROM chatcore.blob";
    let row = client.query_one(kept, &[]).await.expect("a row");
    let kept: (i64, i64) = (row.get(0), row.get(1));
    assert_eq!(kept, (24, 1), "younger ones may still be written");
}

#[tokio::test]
async fn files_of_the_index_that_are_elsewhere_are_listed() {
    let place = Empty::new().await;
    let store = place.store().await;
    let blobs = store.blobs();
    for (name, state) in [
        ("a_1", UploadState::Ready),
        ("a_2", UploadState::Attached(7)),
        ("a_3", UploadState::Receiving),
        ("a_4", UploadState::Discarded),
        ("a_5", UploadState::Ready),
    ] {
        let upload = Upload::new(
            Attachment::new(id(name), "plan.txt", 5, FileKind::new("text/plain")),
            ChannelId(1),
            ChannelName::new("general").expect("a name"),
            UserId::new("u_ann").expect("an id"),
            Timestamp::from_millis(1),
        );
        let upload = upload.with_state(state);
        store.put_upload(&upload).await.expect("an upload is stored");
    }
    let missing = async |after: Option<&AttachmentId>, limit| {
        let missing = blobs.missing(after, limit).await.expect("files can be listed");
        missing.into_iter().map(|file| file.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(missing(None, 10).await, ["a_1", "a_2", "a_5"]);
    assert_eq!(missing(None, 2).await, ["a_1", "a_2"]);
    assert_eq!(missing(Some(&id("a_2")), 2).await, ["a_5"]);
    put(&blobs, "a_2", b"bytes").await.expect("a file is put");
    assert_eq!(missing(None, 10).await, ["a_1", "a_5"]);
}
