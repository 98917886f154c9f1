//! Storage for the bytes of attachments.

mod folder;
mod incoming;
mod private;

use std::io;
use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

pub use self::folder::FolderBlobs;
use crate::model::error::{Error, ErrorCode};
use crate::model::id::AttachmentId;

/// A stream of bytes, which may end with an error.
pub type ByteStream = BoxStream<'static, io::Result<Bytes>>;

/// A store for files. `testkit::blob_conformance!` tests its laws.
///
/// A picture's previews are a blob too, with the id `p_` and the picture's. It is put when a preview is first
/// requested, and removed with the file.
///
/// # Laws
/// - A blob exists whole or not at all, even after a crash, a failed stream or a dropped future.
/// - A read returns the bytes that were put, for every range.
///
/// ```
/// use std::collections::HashMap;
/// use std::ops::Range;
/// use std::sync::Mutex;
///
/// use async_trait::async_trait;
/// use bytes::{Bytes, BytesMut};
/// use chatcore::AttachmentId;
/// use chatcore::blob::{BlobError, BlobStore, ByteStream};
/// use futures::{StreamExt, TryStreamExt, stream};
///
/// /// Files in memory, for a test.
/// #[derive(Default)]
/// struct MemoryBlobs(Mutex<HashMap<AttachmentId, Bytes>>);
///
/// #[async_trait]
/// impl BlobStore for MemoryBlobs {
///     async fn put(&self, id: &AttachmentId, mut bytes: ByteStream, limit: u64) -> Result<u64, BlobError> {
///         let mut whole = BytesMut::new();
///         while let Some(part) = bytes.try_next().await.map_err(BlobError::Stream)? {
///             whole.extend_from_slice(&part);
///             if whole.len() as u64 > limit {
///                 return Err(BlobError::TooLarge { limit });
///             }
///         }
///         let size = whole.len() as u64;
///         self.0.lock().unwrap().insert(id.clone(), whole.freeze());
///         Ok(size)
///     }
///
///     async fn get(&self, id: &AttachmentId, range: Range<u64>) -> Result<ByteStream, BlobError> {
///         let whole = self.0.lock().unwrap().get(id).cloned().ok_or(BlobError::NotFound)?;
///         let within = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(whole.len());
///         let part = whole.slice(within(range.start)..within(range.end.max(range.start)));
///         Ok(stream::iter([Ok(part)]).boxed())
///     }
///
///     async fn delete(&self, id: &AttachmentId) -> Result<(), BlobError> {
///         self.0.lock().unwrap().remove(id);
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
pub trait BlobStore: Send + Sync + 'static {
    /// Stores a stream under `id`, durably, and returns its size. Each `id` is put once. Only the blob of previews
    /// may be put again, with the same bytes, by a second process; an error is fine then.
    ///
    /// # Errors
    /// - [`BlobError::TooLarge`] as soon as more than `limit` bytes came
    /// - [`BlobError::Stream`] if the stream failed
    /// - [`BlobError::Io`] if the store failed
    ///
    /// Nothing is left of a failed blob.
    ///
    /// # Cancel safety
    /// If the future is dropped, no blob can be read.
    async fn put(&self, id: &AttachmentId, bytes: ByteStream, limit: u64) -> Result<u64, BlobError>;

    /// Returns the bytes of `range`, which is cut to the blob's size: `0..u64::MAX` is the whole blob. If the blob is
    /// removed meanwhile, the stream ends with its last byte, or with an error of the kind
    /// [`NotFound`](io::ErrorKind::NotFound).
    ///
    /// # Errors
    /// [`BlobError::NotFound`], or [`BlobError::Io`] if the store can't be read.
    async fn get(&self, id: &AttachmentId, range: Range<u64>) -> Result<ByteStream, BlobError>;

    /// Removes a blob. Removing a missing blob succeeds.
    ///
    /// # Errors
    /// [`BlobError::Io`] if the store can't be written.
    async fn delete(&self, id: &AttachmentId) -> Result<(), BlobError>;
}

/// Why a blob was not stored, read or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// The blob does not exist.
    #[error("no such blob")]
    NotFound,
    /// More bytes came than are allowed.
    #[error("more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// The stream of bytes failed before its end.
    #[error("the upload was interrupted")]
    Stream(#[source] io::Error),
    /// The store failed.
    #[error("the blob store failed")]
    Io(#[from] io::Error),
}

impl From<BlobError> for Error {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::NotFound => Self::no_such_attachment(),
            BlobError::TooLarge { limit } => {
                Self::new(ErrorCode::TooLarge, format!("a file can have at most {limit} bytes"))
            }
            BlobError::Stream(_) => {
                Self::new(ErrorCode::BadFrame, "the upload was interrupted").caused_by(error)
            }
            BlobError::Io(_) => Self::new(ErrorCode::Unavailable, "the file store is unavailable; try again")
                .with_retry_after(Duration::from_secs(1))
                .caused_by(error),
        }
    }
}
