//! Where the bytes of attachments are kept, and how they are moved from the data folder into the database.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chatcore::blob::{BlobError, BlobStore, ByteStream, FolderBlobs};
use chatcore::store::StoreError;
use chatcore::{Attachment, AttachmentId};
use chatcore_postgres::{PostgresBlobs, PostgresStore};
use clap::ValueEnum;
use futures::TryStreamExt;
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;

use crate::app::{OpenError, off_the_workers};
use crate::backup::{ContentsError, each_file, is_served};
use crate::options::Options;

/// The folder of the files, in the data folder.
const FOLDER: &str = "files";

/// The number of files per read of the index.
const PAGE: usize = 256;

/// The most ids that a list of files names.
const TOLD: usize = 10;

/// Where the bytes of attachments are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FilesIn {
    /// In the data folder.
    Folder,
    /// In the database, next to the messages.
    Database,
}

/// Opens the store for files: the database's, or the folder `files` in `data`.
///
/// # Errors
/// [`OpenError`] if it can't be opened, or if files of the database's messages are still in the folder.
pub(crate) async fn open(
    place: FilesIn,
    data: &Path,
    database: Option<&PostgresStore>,
) -> Result<Arc<dyn BlobStore>, OpenError> {
    let folder = data.join(FOLDER);
    if let (FilesIn::Database, Some(store)) = (place, database) {
        let blobs = store.blobs();
        // It is in the folder, and in the index of the database.
        let is_left = |file: &Attachment| size_in(&folder, &file.id).is_some_and(|size| size == file.size);
        if folder.is_dir() && find(&blobs, false, is_left).await?.is_some() {
            return Err(OpenError::FilesInFolder(folder));
        }
        return Ok(Arc::new(blobs));
    }
    if let Some(store) = database {
        let is_unreachable = |file: &Attachment| size_in(&folder, &file.id) != Some(file.size);
        if let Some(id) = find(&store.blobs(), true, is_unreachable).await? {
            tracing::warn!(
                folder = %folder.display(),
                file = %id,
                "the database has files of messages that the folder has not: with --files folder they answer 404. Leave \
                 out --files folder; if the folder has files of messages too, run web_chat move-files first"
            );
        }
    }
    let blobs = FolderBlobs::open(&folder).await;
    Ok(Arc::new(blobs.map_err(|source| OpenError::Folder { path: folder, source })?))
}

/// Returns the first wanted file of the database's index that is in the database, or that is not.
async fn find(
    blobs: &PostgresBlobs,
    is_held: bool,
    is_wanted: impl Fn(&Attachment) -> bool,
) -> Result<Option<AttachmentId>, StoreError> {
    let mut last = None;
    loop {
        let after = last.as_ref();
        let page = if is_held { blobs.held(after, PAGE).await? } else { blobs.missing(after, PAGE).await? };
        if let Some(file) = page.iter().find(|file| is_wanted(file)) {
            return Ok(Some(file.id.clone()));
        }
        match page.into_iter().last() {
            Some(file) => last = Some(file.id),
            None => return Ok(None),
        }
    }
}

/// Returns the size of a file in the folder.
fn size_in(folder: &Path, id: &AttachmentId) -> Option<u64> {
    let metadata = fs::metadata(folder.join(FolderBlobs::path_of(id))).ok()?;
    metadata.is_file().then_some(metadata.len())
}

/// Why files could not be moved.
#[derive(Debug, thiserror::Error)]
enum MoveError {
    #[error("files are moved into a database: set --database-url as for the service")]
    NoDatabase,
    #[error("there is no {} to move files from: set --data to the service's folder", .0.display())]
    NoFolder(PathBuf),
    #[error("a service runs on {}: stop it first, and every other that keeps its files there", .0.display())]
    Served(PathBuf),
    #[error("the database can't be opened")]
    Open(#[from] OpenError),
    #[error("the folder {} can't be opened", .path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("the files in the database can't be listed")]
    List(#[from] StoreError),
    #[error("file {id} can't be copied into the database")]
    Copy { id: AttachmentId, source: BlobError },
    #[error(
        "file {0} is not the same in the database and in the folder: nothing was removed from the folder"
    )]
    Differs(AttachmentId),
    #[error("the files in the folder can't be listed")]
    Walk(#[from] ContentsError),
    #[error("{} can't be removed: it is in the database now", .path.display())]
    Remove { path: PathBuf, source: io::Error },
}

/// What was moved, and what was not.
#[derive(Default)]
struct Moved {
    files: u64,
    previews: u64,
    bytes: u64,
    /// Files that the index has, and that are in neither place with their size.
    lost: Vec<AttachmentId>,
    /// Files in the folder that the database does not have.
    left: u64,
}

/// Moves all files of the database's messages from the data folder into the database, with their previews. Returns
/// the text to print.
///
/// First every file is copied, read back and compared. Only then are they removed from the folder. A move that was
/// interrupted goes on where it was.
///
/// # Errors
/// If a file can't be copied or differs. Then every file is still in the folder.
///
/// # Cancel safety
/// If the future is dropped, each file is in the folder or in the database, or in both.
pub async fn move_files(options: &Options) -> Result<String, Box<dyn Error>> {
    let url = options.database_url.as_ref().ok_or(MoveError::NoDatabase)?;
    let folder = options.data.join(FOLDER);
    if !folder.is_dir() {
        return Err(MoveError::NoFolder(folder).into());
    }
    if is_served(&options.data) {
        return Err(MoveError::Served(options.data.clone()).into());
    }
    let store = options.database(url).await?.connect().await.map_err(OpenError::from)?;
    let moving = Moving {
        from: FolderBlobs::open(&folder)
            .await
            .map_err(|source| MoveError::Folder { path: folder.clone(), source })?,
        to: store.blobs(),
        folder,
    };
    let mut moved = Moved::default();
    moving.copy_all(&mut moved).await?;
    let folder = moving.folder.clone();
    let runtime = Handle::current();
    let moved = off_the_workers(move || moving.remove_copied(moved, &runtime)).await?;
    Ok(moved.told(&folder))
}

struct Moving {
    from: FolderBlobs,
    to: PostgresBlobs,
    folder: PathBuf,
}

impl Moving {
    async fn copy_all(&self, moved: &mut Moved) -> Result<(), MoveError> {
        let mut last = None;
        loop {
            let page = self.to.missing(last.as_ref(), PAGE).await?;
            for file in &page {
                self.copy_with_previews(file, moved).await?;
            }
            let Some(file) = page.into_iter().last() else { return Ok(()) };
            tracing::info!(files = moved.files, bytes = moved.bytes, "copied so far");
            last = Some(file.id);
        }
    }

    async fn copy_with_previews(&self, file: &Attachment, moved: &mut Moved) -> Result<(), MoveError> {
        if size_in(&self.folder, &file.id) != Some(file.size) {
            moved.lost.push(file.id.clone());
            return Ok(());
        }
        moved.bytes += self.copy(&file.id).await?;
        moved.files += 1;
        let previews = AttachmentId::new(format!("p_{}", file.id)).ok();
        let Some(previews) = previews.filter(|id| size_in(&self.folder, id).is_some()) else { return Ok(()) };
        if self.to.size(&previews).await?.is_none() {
            moved.bytes += self.copy(&previews).await?;
            moved.previews += 1;
        }
        Ok(())
    }

    /// Copies a file, reads the copy back, and compares both. Returns the number of bytes.
    async fn copy(&self, id: &AttachmentId) -> Result<u64, MoveError> {
        let failed = |source| MoveError::Copy { id: id.clone(), source };
        let bytes = self.from.get(id, 0..u64::MAX).await.map_err(failed)?;
        let size = self.to.put(id, bytes, u64::MAX).await.map_err(failed)?;
        let here = hash(self.from.get(id, 0..u64::MAX).await.map_err(failed)?).await.map_err(failed)?;
        let there = hash(self.to.get(id, 0..u64::MAX).await.map_err(failed)?).await.map_err(failed)?;
        if here == there {
            return Ok(size);
        }
        self.to.delete(id).await.map_err(failed)?;
        Err(MoveError::Differs(id.clone()))
    }

    /// Removes every file from the folder that the database has with the same size. Blocks.
    fn remove_copied(&self, mut moved: Moved, runtime: &Handle) -> Result<Moved, MoveError> {
        each_file(&self.folder, |id, path| {
            let stored = runtime.block_on(self.to.size(id))?;
            if stored.is_none() || stored != size_in(&self.folder, id) {
                moved.left += 1;
                return Ok(());
            }
            let removed = fs::remove_file(path);
            removed.map_err(|source| MoveError::Remove { path: path.to_path_buf(), source })?;
            // The two folders above it, unless they have other files.
            for folder in path.ancestors().skip(1).take(2) {
                if fs::remove_dir(folder).is_err() {
                    break;
                }
            }
            Ok::<_, MoveError>(())
        })?;
        Ok(moved)
    }
}

async fn hash(bytes: ByteStream) -> Result<[u8; 32], BlobError> {
    let whole = bytes.try_fold(Sha256::new(), async |hash, piece| Ok(hash.chain_update(&piece))).await;
    Ok(whole?.finalize().into())
}

impl Moved {
    fn told(&self, folder: &Path) -> String {
        let Self { files, previews, bytes, lost, left } = self;
        let folder = folder.display();
        let mut told = format!(
            "Moved {files} files and the previews of {previews}, {bytes} bytes, from {folder} into the database"
        );
        if !lost.is_empty() {
            let ids: Vec<_> = lost.iter().take(TOLD).map(ToString::to_string).collect();
            let dots = if lost.len() > TOLD { ", …" } else { "" };
            let _ = write!(
                told,
                "\n{} files of messages are missing or damaged in the folder, and not in the database: {}{dots}",
                lost.len(),
                ids.join(", "),
            );
        }
        if *left > 0 {
            let _ =
                write!(told, "\n{left} files are left in the folder, since the database does not know them");
        }
        told
    }
}
