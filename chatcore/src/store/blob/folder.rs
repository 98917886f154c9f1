//! Blobs as files in a folder.

use std::io::{self, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::BytesMut;
use futures::stream::{self, StreamExt};
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use super::incoming::OwnFolder;
use super::{BlobError, BlobStore, ByteStream, private};
use crate::model::id::AttachmentId;

/// The bytes read from a file at a time.
const CHUNK: usize = 16 << 10;

/// The folder of unfinished files.
const INCOMING: &str = "incoming";

/// Blobs as files in a folder, in sub-folders by their ids.
///
/// A blob is written to a folder of the store's own in `incoming/`, synced, and moved to its place in one step. Then the
/// folder is synced. Opening the folder removes what a crash left in `incoming/`.
///
/// Several processes may have one folder open, also from several machines, if its file system passes file locks
/// between them, as NFS does. No other process of an earlier version may have it open: it would remove running uploads.
///
/// On Unix only the owner has access: folders have mode 0700, files 0600. If other users can enter the folder when
/// it is opened, their access to it and to everything in it is removed. Stricter modes set by an operator stay.
#[derive(Clone, Debug)]
pub struct FolderBlobs {
    root: PathBuf,
    incoming: Arc<OwnFolder>,
}

impl FolderBlobs {
    /// Opens a folder, and creates it and missing parents.
    ///
    /// # Errors
    /// If the folder can't be created, cleaned, locked or made private.
    pub async fn open(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        let folder = root.clone();
        let incoming = blocking(move || {
            let incoming = OwnFolder::create(&folder.join(INCOMING))?;
            private::tighten(&folder)?;
            Ok(Arc::new(incoming))
        });
        Ok(Self { root, incoming: incoming.await? })
    }

    /// Returns the path of a blob's file below the folder, for a backup or another tool that copies the files.
    #[must_use]
    pub fn path_of(id: &AttachmentId) -> PathBuf {
        // Ids end in random digits. The last four spread files evenly over 65,536 folders.
        let name = id.as_str();
        let spread = name.get(name.len().saturating_sub(4)..).unwrap_or(name);
        let (first, second) = spread.split_at(spread.len() / 2);
        Path::new(&format!("x{first}")).join(format!("x{second}")).join(name)
    }

    fn place(&self, id: &AttachmentId) -> PathBuf {
        self.root.join(Self::path_of(id))
    }
}

#[async_trait]
impl BlobStore for FolderBlobs {
    async fn put(&self, id: &AttachmentId, bytes: ByteStream, limit: u64) -> Result<u64, BlobError> {
        let (mut incoming, file) = Incoming::create(self.incoming.path.join(id.as_str())).await?;
        let written = write(File::from_std(file), bytes, limit).await;
        if written.is_err() {
            incoming.remove().await;
        }
        let size = written?;
        let place = self.place(id);
        let folder = place.parent().expect("invariant: a blob's place is below the root");
        make_folders(folder.to_path_buf()).await?;
        incoming.move_to(&place).await?;
        let mut made = Some(folder);
        // Each folder on the way may be new, and its parent holds its name.
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

/// An unfinished file, removed on drop unless it was moved to its place.
struct Incoming {
    path: PathBuf,
    is_there: bool,
}

impl Incoming {
    /// Creates the file and its guard in one step, so that a dropped future leaves no file.
    async fn create(path: PathBuf) -> io::Result<(Self, std::fs::File)> {
        blocking(move || {
            let file = private::create_file(&path)?;
            Ok((Self { path, is_there: true }, file))
        })
        .await
    }

    async fn move_to(&mut self, place: &Path) -> io::Result<()> {
        fs::rename(&self.path, place).await?;
        self.is_there = false;
        Ok(())
    }

    async fn remove(&mut self) {
        self.is_there = fs::remove_file(&self.path).await.is_err();
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.is_there {
            return;
        }
        let path = std::mem::take(&mut self.path);
        // If this fails, opening the folder again removes the file.
        let remove = move || drop(std::fs::remove_file(path));
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

async fn write(mut file: File, mut bytes: ByteStream, limit: u64) -> Result<u64, BlobError> {
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

async fn make_folders(folder: PathBuf) -> io::Result<()> {
    blocking(move || private::make_folders(&folder)).await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await?
}

async fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder).await?.sync_all().await
}

fn missing(error: io::Error) -> BlobError {
    if error.kind() == io::ErrorKind::NotFound { BlobError::NotFound } else { BlobError::Io(error) }
}
