//! Blobs as files in a folder.

use std::io::{self, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::BytesMut;
use futures::stream::{self, StreamExt};
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use super::{BlobError, BlobStore, ByteStream};
use crate::id::AttachmentId;

/// Bytes read from a file at a time.
const CHUNK: usize = 64 << 10;

/// Blobs as files in a folder, spread over sub-folders by their id.
///
/// A blob is written to `incoming/`, synced, and moved to its place in one step; then the folder is synced.
/// What a crash leaves in `incoming/` is removed when the folder is opened again.
#[derive(Clone, Debug)]
pub struct FolderBlobs {
    root: PathBuf,
}

impl FolderBlobs {
    /// Opens a folder, which is made where it does not exist. Only one process may have it open.
    ///
    /// # Errors
    /// Where the folder can't be made or cleaned.
    pub async fn open(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        let incoming = root.join("incoming");
        match fs::remove_dir_all(&incoming).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(&incoming).await?,
        }
        Ok(Self { root })
    }

    fn place(&self, id: &AttachmentId) -> PathBuf {
        // Ids end in random digits: their last four spread files evenly over 65,536 folders.
        let name = id.as_str();
        let spread = name.get(name.len().saturating_sub(4)..).unwrap_or(name);
        let (first, second) = spread.split_at(spread.len() / 2);
        self.root.join(format!("x{first}")).join(format!("x{second}")).join(name)
    }
}

#[async_trait]
impl BlobStore for FolderBlobs {
    async fn put(&self, id: &AttachmentId, bytes: ByteStream, limit: u64) -> Result<u64, BlobError> {
        let incoming = Incoming { path: self.root.join("incoming").join(id.as_str()) };
        let size = incoming.write(bytes, limit).await?;
        let place = self.place(id);
        let folder = place.parent().expect("invariant: a blob's place is below the root");
        fs::create_dir_all(folder).await?;
        fs::rename(&incoming.path, &place).await?;
        let mut made = Some(folder);
        // Each folder on the way may be new, and its name is its parent's to keep.
        while let Some(folder) = made.filter(|folder| folder.starts_with(&self.root)) {
            sync_folder(folder).await?;
            made = folder.parent();
        }
        Ok(size)
    }

    async fn get(&self, id: &AttachmentId, range: Range<u64>) -> Result<ByteStream, BlobError> {
        let mut file = File::open(self.place(id)).await.map_err(missing)?;
        let size = file.metadata().await?.len();
        let start = range.start.min(size);
        let left = range.end.min(size).saturating_sub(start);
        file.seek(SeekFrom::Start(start)).await?;
        Ok(stream::try_unfold(file.take(left), |mut file| async move {
            let mut chunk =
                BytesMut::with_capacity(CHUNK.min(usize::try_from(file.limit()).unwrap_or(CHUNK)));
            let read = file.read_buf(&mut chunk).await?;
            Ok((read > 0).then(|| (chunk.freeze(), file)))
        })
        .boxed())
    }

    async fn delete(&self, id: &AttachmentId) -> Result<(), BlobError> {
        match fs::remove_file(self.place(id)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// A file that is being written, removed when it is dropped before it was moved to its place.
struct Incoming {
    path: PathBuf,
}

impl Incoming {
    async fn write(&self, mut bytes: ByteStream, limit: u64) -> Result<u64, BlobError> {
        let mut file = File::create_new(&self.path).await?;
        let mut size = 0_u64;
        while let Some(chunk) = bytes.next().await {
            let chunk = chunk.map_err(BlobError::Stream)?;
            size += chunk.len() as u64;
            if size > limit {
                return Err(BlobError::TooLarge { limit });
            }
            file.write_all(&chunk).await?;
        }
        file.flush().await?;
        file.sync_all().await?;
        Ok(size)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // Gone already where it was moved. Removing a name is quick enough for a drop.
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder).await?.sync_all().await
}

fn missing(error: io::Error) -> BlobError {
    if error.kind() == io::ErrorKind::NotFound { BlobError::NotFound } else { BlobError::Io(error) }
}
