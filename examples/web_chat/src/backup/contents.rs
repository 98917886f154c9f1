//! The contents of a backup: a copy of the databases, and the files that belong to it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chatcore::blob::FolderBlobs;
use chatcore::store::StoreError;
use chatcore::{AttachmentId, Chat, Timestamp};
use chatcore_redb::RedbStore;
use tokio::runtime::Handle;

use super::archive::{FILES, MESSAGES, NAMES, Name, Writer};
use crate::accounts::RedbAccounts;
use crate::folder;

/// The folder for the copies during a backup, in the data folder.
const COPIES: &str = "backup";

/// The number of uploads per read of the copy.
const PAGE: usize = 256;

/// The most ids of missing files that the note lists.
const TOLD: usize = 10;

/// The cache of the copy while its uploads are listed, in bytes.
const CACHE: usize = 4 << 20;

/// A data folder to back up.
#[derive(Clone, Debug)]
pub(crate) struct Contents {
    pub(crate) data: PathBuf,
    /// The messages and accounts, unless they are in a database.
    pub(crate) databases: Option<(RedbStore, Arc<RedbAccounts>)>,
    /// The chat that uses the folder, if one does. It keeps the files during the backup.
    pub(crate) chat: Option<Chat>,
}

/// Why a backup failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContentsError {
    #[error("the folder {} can't be used", .path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("the databases can't be copied")]
    Copy(#[from] chatcore_redb::BackupError),
    #[error("the copy of the messages can't be opened")]
    Open(#[from] chatcore_redb::OpenError),
    #[error("the list of files can't be read")]
    Uploads(#[from] StoreError),
    #[error("{} can't be read", .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the backup can't be written")]
    Write(#[from] io::Error),
}

/// The folder for the copies, which is removed on drop.
struct Copies(PathBuf);

impl Copies {
    fn make(data: &Path) -> Result<Self, ContentsError> {
        let path = data.join(COPIES);
        let made = remove_copies(data).and_then(|()| folder::open(&path));
        made.map_err(|source| ContentsError::Folder { path: path.clone(), source })?;
        Ok(Self(path))
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            let folder = self.0.display();
            tracing::warn!(%folder, %error, "a backup's copies could not be removed; the next start removes them");
        }
    }
}

/// Removes what a killed backup has left.
pub(crate) fn remove_copies(data: &Path) -> io::Result<()> {
    match fs::remove_dir_all(data.join(COPIES)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl Contents {
    /// Writes the archive, and returns a note about missing files. Blocks, so call it on a thread that may wait
    /// for the runtime.
    ///
    /// Files are held before the databases are copied, so each file that the copy refers to exists.
    ///
    /// # Errors
    /// [`ContentsError`].
    pub(crate) fn write(&self, out: impl Write, runtime: &Handle) -> Result<Option<String>, ContentsError> {
        let _held = self.chat.as_ref().map(|chat| runtime.block_on(chat.hold_files()));
        let mut archive = Writer::begin(out, self.databases.is_some(), Timestamp::now())?;
        let mut missing = Missing::default();
        match &self.databases {
            None => self.add_all_files(&mut archive)?,
            Some((store, accounts)) => {
                let copies = Copies::make(&self.data)?;
                let (names, messages) = (copies.0.join(NAMES), copies.0.join(MESSAGES));
                runtime.block_on(accounts.backup(&names))?;
                runtime.block_on(store.backup(&messages))?;
                add_database(&mut archive, &Name::Names, &names)?;
                add_database(&mut archive, &Name::Messages, &messages)?;
                // Opening the copy changes its bytes, so it is added to the archive first.
                let copy = RedbStore::builder().cache_bytes(CACHE).open(&messages)?;
                self.add_files(&mut archive, &copy, runtime, &mut missing)?;
            }
        }
        archive.finish()?;
        Ok(missing.told())
    }

    /// Adds the files that a copy of the messages refers to.
    fn add_files(
        &self,
        archive: &mut Writer<impl Write>,
        copy: &RedbStore,
        runtime: &Handle,
        missing: &mut Missing,
    ) -> Result<(), ContentsError> {
        let mut last: Option<AttachmentId> = None;
        loop {
            let page = runtime.block_on(copy.uploads(last.as_ref(), PAGE))?;
            let ended = page.len() < PAGE;
            for upload in page {
                let id = upload.attachment.id;
                if !self.add_file(archive, &id, Some(upload.attachment.size))? {
                    missing.add(&id);
                }
                last = Some(id);
            }
            if ended {
                return Ok(());
            }
        }
    }

    /// Adds every file in the folder.
    fn add_all_files(&self, archive: &mut Writer<impl Write>) -> Result<(), ContentsError> {
        each_file(&self.data.join(FILES), |id, _| self.add_file(archive, id, None).map(drop))
    }

    /// Adds a file, and returns whether it exists with this size.
    fn add_file(
        &self,
        archive: &mut Writer<impl Write>,
        id: &AttachmentId,
        size: Option<u64>,
    ) -> Result<bool, ContentsError> {
        let path = self.data.join(FILES).join(FolderBlobs::path_of(id));
        let read = |source| ContentsError::Read { path: path.clone(), source };
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            opened => opened.map_err(read)?,
        };
        let metadata = file.metadata().map_err(read)?;
        if !metadata.is_file() || size.is_some_and(|size| size != metadata.len()) {
            return Ok(false);
        }
        archive.add(&Name::File(id.clone()), metadata.len(), &mut file)?;
        Ok(true)
    }
}

fn add_database(archive: &mut Writer<impl Write>, name: &Name, path: &Path) -> Result<(), ContentsError> {
    let read = |source| ContentsError::Read { path: path.to_path_buf(), source };
    let mut file = File::open(path).map_err(read)?;
    let size = file.metadata().map_err(read)?.len();
    Ok(archive.add(name, size, &mut file)?)
}

/// Calls `visit` for each file of an attachment, with its path. Other files below `root` are not the service's.
///
/// # Errors
/// An error of `visit`, or [`ContentsError`] if a folder can't be read.
pub(crate) fn each_file<E: From<ContentsError>>(
    root: &Path,
    mut visit: impl FnMut(&AttachmentId, &Path) -> Result<(), E>,
) -> Result<(), E> {
    for folder in folders(root)? {
        for folder in folders(&folder)? {
            for path in entries(&folder)? {
                let name = path.file_name().and_then(|name| name.to_str());
                let id = name.and_then(|name| AttachmentId::new(name).ok());
                if let Some(id) = id.filter(|id| root.join(FolderBlobs::path_of(id)) == path) {
                    visit(&id, &path)?;
                }
            }
        }
    }
    Ok(())
}

fn folders(folder: &Path) -> Result<Vec<PathBuf>, ContentsError> {
    let mut folders = entries(folder)?;
    folders.retain(|path| path.is_dir());
    Ok(folders)
}

/// Returns the paths in a folder, which may have been removed in the meantime.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, ContentsError> {
    let read = |source| ContentsError::Read { path: folder.to_path_buf(), source };
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed
            .map_err(read)?
            .map(|entry| entry.map(|entry| entry.path()).map_err(read))
            .collect::<Result<_, _>>(),
    }
}

/// Files that messages refer to, but that are not in the folder.
#[derive(Default)]
struct Missing {
    number: u64,
    first: Vec<String>,
}

impl Missing {
    fn add(&mut self, id: &AttachmentId) {
        self.number += 1;
        if self.first.len() < TOLD {
            self.first.push(id.to_string());
        }
    }

    fn told(&self) -> Option<String> {
        let subject = match self.number {
            0 => return None,
            1 => "1 file is".to_owned(),
            more => format!("{more} files are"),
        };
        let ids = self.first.join(", ");
        let dots = if self.number > TOLD as u64 { ", …" } else { "" };
        Some(format!(
            "{subject} missing or damaged in the data folder, and so not in the backup: {ids}{dots}"
        ))
    }
}
