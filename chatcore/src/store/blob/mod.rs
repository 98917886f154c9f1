//! Where the bytes of attachments are kept.

mod folder;
mod private;

use std::io;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

pub use self::folder::FolderBlobs;
use crate::model::id::AttachmentId;

/// Bytes as they come, or the reason why no more come.
pub type ByteStream = BoxStream<'static, io::Result<Bytes>>;

/// A place for files. `testkit::blob_conformance!` holds its laws as tests.
///
/// Beside each picture's file, under the id `p_` and the picture's, lies a blob with its previews. It is put when one is
/// first asked for, and removed with the file.
///
/// # Laws
/// - A blob is there whole or not at all, also after a crash, a failed stream or a dropped future.
/// - What was put is what is got, for every range.
#[async_trait]
pub trait BlobStore: Send + Sync + 'static {
    /// Stores a stream under `id`, durably, and returns its size. `id` is put once, but the previews'
    /// may be put again with the same bytes by a second process; an error is as good then.
    ///
    /// # Errors
    /// [`BlobError::TooLarge`] as soon as more than `limit` bytes came, [`BlobError::Stream`] where the
    /// stream failed, [`BlobError::Io`] where the store did. Nothing stays behind.
    ///
    /// # Cancel safety
    /// A dropped future stores nothing that can be got.
    async fn put(&self, id: &AttachmentId, bytes: ByteStream, limit: u64) -> Result<u64, BlobError>;

    /// Returns the bytes of `range`, which is cut to the blob's size; the whole blob with `0..u64::MAX`.
    ///
    /// # Errors
    /// [`BlobError::NotFound`], or [`BlobError::Io`] where the store can't be read.
    async fn get(&self, id: &AttachmentId, range: Range<u64>) -> Result<ByteStream, BlobError>;

    /// Removes a blob. One that is not there is removed already.
    ///
    /// # Errors
    /// [`BlobError::Io`] where the store can't be written.
    async fn delete(&self, id: &AttachmentId) -> Result<(), BlobError>;
}

/// Why a blob was not stored, read or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// There is no such blob.
    #[error("no such blob")]
    NotFound,
    /// More bytes came than are allowed.
    #[error("more than {limit} bytes")]
    TooLarge {
        /// How many are allowed.
        limit: u64,
    },
    /// The stream of bytes failed before its end.
    #[error("the upload was interrupted")]
    Stream(#[source] io::Error),
    /// The store failed.
    #[error("the blob store failed")]
    Io(#[from] io::Error),
}
