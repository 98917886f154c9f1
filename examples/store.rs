//! Your own store for the bytes of files, tested with the testkit: `cargo run --example store`, and `cargo test -p
//! chatcore-examples --test store` for its laws.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use chatcore::AttachmentId;
use chatcore::blob::{BlobError, BlobStore, ByteStream};
use chatcore_hyper::async_trait;
use futures::{StreamExt, stream};

/// Stores files in memory. Clones share the files.
#[derive(Clone, Default)]
pub(crate) struct MemoryBlobs(Arc<Mutex<HashMap<AttachmentId, Bytes>>>);

#[async_trait]
impl BlobStore for MemoryBlobs {
    async fn put(&self, id: &AttachmentId, mut bytes: ByteStream, limit: u64) -> Result<u64, BlobError> {
        let mut blob = Vec::new();
        while let Some(piece) = bytes.next().await {
            blob.extend_from_slice(&piece.map_err(BlobError::Stream)?);
            if blob.len() as u64 > limit {
                return Err(BlobError::TooLarge { limit });
            }
        }
        let size = blob.len() as u64;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), blob.into());
        Ok(size)
    }

    async fn get(&self, id: &AttachmentId, range: std::ops::Range<u64>) -> Result<ByteStream, BlobError> {
        let blobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let blob = blobs.get(id).ok_or(BlobError::NotFound)?;
        let [start, end] = [range.start, range.end].map(|at| at.min(blob.len() as u64) as usize);
        Ok(stream::iter([Ok(blob.slice(start.min(end)..end))]).boxed())
    }

    async fn delete(&self, id: &AttachmentId) -> Result<(), BlobError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (blobs, id) = (MemoryBlobs::default(), AttachmentId::random());
    // An app sets the store with `Chat::builder(store).blobs(blobs)`.
    println!("{id} has {} bytes", blobs.put(&id, stream::iter([Ok("hello".into())]).boxed(), 100).await?);
    Ok(())
}
