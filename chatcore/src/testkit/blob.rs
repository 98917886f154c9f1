//! The laws of [`BlobStore`]. [`blob_conformance!`](crate::blob_conformance) makes a test of each.

use std::io;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use super::Random;
use crate::model::id::AttachmentId;
use crate::store::blob::{BlobError, BlobStore, ByteStream};

/// A place for the blobs of one law, empty at first. Dropping the fixture removes it.
#[async_trait]
pub trait BlobFixture: Send + Sync + 'static {
    /// The blob store under test.
    type Blobs: BlobStore;

    /// Opens the place as a process does when it starts: the first time, and again after the store was dropped.
    /// Then earlier blobs must still exist, unless [`keeps`](Self::keeps) returns false.
    async fn open(&self) -> Self::Blobs;

    /// Returns whether blobs outlive the store that put them. For a store in memory they don't.
    fn keeps(&self) -> bool {
        true
    }

    /// Returns the number of files (or other parts) in the place, finished or not. The default, `None`, means that
    /// it can't be told. With this the laws see what a failed put leaves behind.
    async fn pieces(&self) -> Option<usize> {
        None
    }
}

/// Expands to one `#[tokio::test]` per law of [`BlobStore`]. See [`testkit`](crate::testkit).
#[macro_export]
macro_rules! blob_conformance {
    ($fixture:expr) => {
        $crate::__laws! { $fixture; blob;
            laws {
                a_blob_can_not_be_got_before_its_end_has_come
                a_blob_is_removed_once_and_again
                a_dropped_put_leaves_nothing
                a_failed_stream_leaves_nothing
                a_large_blob_is_the_same_bytes
                a_range_is_cut_to_the_blob
                an_empty_blob_is_a_blob
                an_unknown_blob_is_not_found
                blobs_do_not_mix
                blobs_outlive_the_store
                one_byte_over_the_limit_is_too_large
                the_limit_counts_bytes_seen_and_stops_reading
            }
        }
    };
}

/// The laws, each a function that panics if the store breaks it.
pub mod laws {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A read returns the bytes that were put, and `put` returns their number. Two blobs stay separate.
    pub async fn blobs_do_not_mix<F: BlobFixture>(fixture: F) {
        let blobs = fixture.open().await;
        let (a, b) = (id("a_1"), id("a_2"));
        assert_eq!(blobs.put(&a, chunks(&[b"one, ", b"two"]), 100).await.expect("a blob is put"), 8);
        assert_eq!(blobs.put(&b, chunks(&[b"three"]), 100).await.expect("a blob is put"), 5);
        assert_eq!(get(&blobs, &a, WHOLE).await, b"one, two");
        assert_eq!(get(&blobs, &b, WHOLE).await, b"three");
    }

    /// A blob of no bytes exists, and each of its ranges is empty.
    pub async fn an_empty_blob_is_a_blob<F: BlobFixture>(fixture: F) {
        let blobs = fixture.open().await;
        for (name, parts) in [("a_none", &[][..]), ("a_empty", &[b"".as_slice(), b""][..])] {
            assert_eq!(blobs.put(&id(name), chunks(parts), 0).await.expect("a blob is put"), 0);
            assert_eq!(get(&blobs, &id(name), WHOLE).await, b"");
            assert_eq!(get(&blobs, &id(name), 0..1).await, b"");
            assert_eq!(get(&blobs, &id(name), 5..9).await, b"");
        }
    }

    /// A range is cut to the blob. A range that is empty or past the end has no bytes.
    pub async fn a_range_is_cut_to_the_blob<F: BlobFixture>(fixture: F) {
        let blobs = fixture.open().await;
        let id = id("a_1");
        blobs.put(&id, chunks(&[b"0123", b"456789"]), 10).await.expect("a blob is put");
        let cases: [(Range<u64>, &[u8]); 10] = [
            (WHOLE, b"0123456789"),
            (0..10, b"0123456789"),
            (0..1, b"0"),
            (3..7, b"3456"),
            (9..10, b"9"),
            (8..1_000, b"89"),
            (4..4, b""),
            (10..11, b""),
            (11..u64::MAX, b""),
            (u64::MAX - 1..u64::MAX, b""),
        ];
        for (range, expected) in cases {
            assert_eq!(get(&blobs, &id, range.clone()).await, expected, "{range:?}");
        }
        let backwards = Range { start: 7, end: 3 };
        assert_eq!(get(&blobs, &id, backwards).await, b"");
    }

    /// A few MiB in chunks of odd sizes are read back unchanged, whole and in part.
    pub async fn a_large_blob_is_the_same_bytes<F: BlobFixture>(fixture: F) {
        let blobs = fixture.open().await;
        let random = Random::from_env();
        let bytes: Vec<u8> =
            (0..3 << 17).flat_map(|_| random.bits().to_le_bytes()).chain([1, 2, 3]).collect();
        let mut parts = Vec::new();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let size = rest.len().min(1 + random.below(100_003) as usize);
            parts.push(Ok(Bytes::copy_from_slice(&rest[..size])));
            rest = &rest[size..];
        }
        let id = id("a_1");
        let size = bytes.len() as u64;
        assert_eq!(blobs.put(&id, stream::iter(parts).boxed(), size).await.expect("a blob is put"), size);
        assert!(get(&blobs, &id, WHOLE).await == bytes, "the bytes differ");
        for _ in 0..20 {
            let start = random.below(size);
            let end = start + random.below(size - start + 1);
            assert!(
                get(&blobs, &id, start..end).await == bytes[start as usize..end as usize],
                "{start}..{end}"
            );
        }
    }

    /// Exactly as many bytes as the limit are stored. One more is [`BlobError::TooLarge`] and leaves nothing.
    pub async fn one_byte_over_the_limit_is_too_large<F: BlobFixture>(fixture: F) {
        let blobs = fixture.open().await;
        assert_eq!(blobs.put(&id("a_at"), chunks(&[b"12345", b"678"]), 8).await.expect("a blob is put"), 8);
        assert_eq!(get(&blobs, &id("a_at"), WHOLE).await, b"12345678");
        let before = fixture.pieces().await;
        for (name, limit, parts) in
            [("a_b", 8, &[b"12345".as_slice(), b"6789"][..]), ("a_c", 0, &[b"1".as_slice()][..])]
        {
            let outcome = blobs.put(&id(name), chunks(parts), limit).await;
            assert!(matches!(outcome, Err(BlobError::TooLarge { limit: l }) if l == limit), "{outcome:?}");
            assert_absent(&blobs, &id(name)).await;
        }
        assert_eq!(fixture.pieces().await, before, "what was too large left something behind");
    }

    /// The limit holds for an endless stream: soon after it, no more is read.
    pub async fn the_limit_counts_bytes_seen_and_stops_reading<F: BlobFixture>(fixture: F) {
        let blobs = fixture.open().await;
        let read = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&read);
        let endless = stream::repeat_with(move || {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok(Bytes::from_static(&[7; 100]))
        });
        let outcome = blobs.put(&id("a_1"), endless.boxed(), 1_000).await;
        assert!(matches!(outcome, Err(BlobError::TooLarge { limit: 1_000 })), "{outcome:?}");
        let read = read.load(Ordering::Relaxed);
        assert!(read <= 100, "{read} chunks were read where 11 are too many");
        assert_absent(&blobs, &id("a_1")).await;
    }

    /// A stream that fails, at once or late, is [`BlobError::Stream`] and leaves nothing.
    pub async fn a_failed_stream_leaves_nothing<F: BlobFixture>(fixture: F) {
        let blobs = fixture.open().await;
        let before = fixture.pieces().await;
        for good in [0_u8, 1, 20] {
            let failing = stream::iter(0..=good).map(move |i| match i {
                i if i == good => Err(io::Error::from(io::ErrorKind::ConnectionReset)),
                i => Ok(Bytes::from(vec![i; 10_000])),
            });
            let id = id(&format!("a_{good}"));
            let outcome = blobs.put(&id, failing.boxed(), 1 << 20).await;
            let Err(BlobError::Stream(source)) = outcome else { panic!("{outcome:?} is not Stream") };
            assert_eq!(source.kind(), io::ErrorKind::ConnectionReset);
            assert_absent(&blobs, &id).await;
        }
        assert_eq!(fixture.pieces().await, before, "a failed stream left something behind");
    }

    /// A put whose future is dropped, unpolled or while it waits for bytes, stores nothing.
    pub async fn a_dropped_put_leaves_nothing<F: BlobFixture>(fixture: F) {
        let blobs = fixture.open().await;
        drop(blobs.put(&id("a_unpolled"), chunks(&[b"x"]), 10));
        assert_absent(&blobs, &id("a_unpolled")).await;
        for good in [0, 1, 5] {
            let id = id(&format!("a_{good}"));
            let reached = Arc::new(tokio::sync::Notify::new());
            let put = blobs.put(&id, stalled(good, &reached), 1 << 20);
            tokio::select! {
                outcome = put => panic!("a put ended before its stream: {outcome:?}"),
                () = reached.notified() => {}
            }
            assert_absent(&blobs, &id).await;
        }
        drop(blobs);
        assert_absent(&fixture.open().await, &id("a_5")).await;
    }

    /// A blob can't be read, not even in part, while its bytes are still coming.
    pub async fn a_blob_can_not_be_got_before_its_end_has_come<F: BlobFixture>(fixture: F) {
        let blobs = Arc::new(fixture.open().await);
        let reached = Arc::new(tokio::sync::Notify::new());
        let bytes = stalled(3, &reached);
        let put = tokio::spawn({
            let blobs = Arc::clone(&blobs);
            async move { blobs.put(&id("a_1"), bytes, 1 << 20).await.map(drop) }
        });
        reached.notified().await;
        assert_absent(&*blobs, &id("a_1")).await;
        put.abort();
        assert!(put.await.is_err_and(|e| e.is_cancelled()), "the put was cut off");
        assert_absent(&*blobs, &id("a_1")).await;
    }

    /// A removed blob is gone. Removing it again, or one that never existed, is not an error.
    pub async fn a_blob_is_removed_once_and_again<F: BlobFixture>(fixture: F) {
        let blobs = fixture.open().await;
        let before = fixture.pieces().await;
        for name in ["a_1", "a_2"] {
            blobs.put(&id(name), chunks(&[b"same bytes"]), 100).await.expect("a blob is put");
        }
        for _ in 0..2 {
            blobs.delete(&id("a_1")).await.expect("a blob is removed");
            assert_absent(&blobs, &id("a_1")).await;
            assert_eq!(get(&blobs, &id("a_2"), WHOLE).await, b"same bytes");
        }
        blobs.delete(&id("a_2")).await.expect("a blob is removed");
        blobs.delete(&id("a_never")).await.expect("nothing is removed");
        assert_eq!(fixture.pieces().await, before, "removed blobs left something behind");
    }

    /// A blob that was never put is [`BlobError::NotFound`], for every range.
    pub async fn an_unknown_blob_is_not_found<F: BlobFixture>(fixture: F) {
        let blobs = fixture.open().await;
        assert_absent(&blobs, &id("a_1")).await;
        blobs.put(&id("a_12"), chunks(&[b"x"]), 10).await.expect("a blob is put");
        for absent in ["a_1", "a_123", "a_"] {
            assert_absent(&blobs, &id(absent)).await;
        }
        assert!(
            matches!(blobs.get(&id("a_1"), 3..3).await, Err(BlobError::NotFound)),
            "an empty range of nothing"
        );
    }

    /// Opened again, the store has the blobs that were put and not removed.
    pub async fn blobs_outlive_the_store<F: BlobFixture>(fixture: F) {
        if !fixture.keeps() {
            return;
        }
        let blobs = fixture.open().await;
        for name in ["a_kept", "a_gone"] {
            blobs.put(&id(name), chunks(&[name.as_bytes()]), 100).await.expect("a blob is put");
        }
        blobs.delete(&id("a_gone")).await.expect("a blob is removed");
        drop(blobs);
        let blobs = fixture.open().await;
        assert_eq!(get(&blobs, &id("a_kept"), WHOLE).await, b"a_kept");
        assert_absent(&blobs, &id("a_gone")).await;
    }

    /// A stream of `good` chunks that then reports its position and waits for ever.
    fn stalled(good: usize, reached: &Arc<tokio::sync::Notify>) -> ByteStream {
        let reached = Arc::clone(reached);
        let stall = stream::once(async move {
            reached.notify_one();
            std::future::pending().await
        });
        stream::iter(0..good).map(|_| Ok(Bytes::from_static(&[1; 10_000]))).chain(stall).boxed()
    }
}

const WHOLE: Range<u64> = 0..u64::MAX;

fn id(text: &str) -> AttachmentId {
    AttachmentId::new(text).expect("a valid id")
}

fn chunks(parts: &[&[u8]]) -> ByteStream {
    let parts: Vec<_> = parts.iter().map(|part| Ok(Bytes::copy_from_slice(part))).collect();
    stream::iter(parts).boxed()
}

async fn get<B: BlobStore>(blobs: &B, id: &AttachmentId, range: Range<u64>) -> Vec<u8> {
    let stream = blobs.get(id, range).await.expect("the blob can be got");
    stream.map_ok(|part| part.to_vec()).try_concat().await.expect("the blob's bytes come to their end")
}

async fn assert_absent<B: BlobStore>(blobs: &B, id: &AttachmentId) {
    match blobs.get(id, WHOLE).await {
        Err(BlobError::NotFound) => {}
        Err(other) => panic!("{id} gave {other:?}"),
        Ok(_) => panic!("{id} is there"),
    }
}
