//! The command `web_chat restore`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chatcore::Timestamp;
use chatcore::store::StoreError;
use chatcore_postgres::PostgresStore;
use chatcore_redb::RedbStore;

use super::archive::{ArchiveError, FILES, MESSAGES, NAMES, Name, Reader};
use super::make::Sums;
use crate::accounts::{AccountsError, RedbAccounts};
use crate::app::{OpenError, off_the_workers};
use crate::folder;
use crate::options::Options;

/// Why a restore failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreError {
    #[error("{} can't be restored: {source}", .path.display())]
    Archive { path: PathBuf, source: ArchiveError },
    #[error("{} is not empty, and a restore never overwrites a file: set --data to a new folder", .0.display())]
    NotEmpty(PathBuf),
    #[error("the folder {} can't be written", .path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("{} holds messages and names: restore it without --database-url", .0.display())]
    DatabaseTooMany(PathBuf),
    #[error(
        "{} holds only files, since its service keeps messages in PostgreSQL: restore the database first, then set --database-url",
        .0.display()
    )]
    NoDatabase(PathBuf),
    #[error("{} does not match its own list of contents: {what}", .path.display())]
    Incomplete { path: PathBuf, what: &'static str },
    #[error("the restored messages can't be opened")]
    Messages(#[from] chatcore_redb::OpenError),
    #[error(transparent)]
    Names(#[from] AccountsError),
    #[error("the database can't be opened")]
    Database(#[from] OpenError),
    #[error("the channels can't be given new epochs")]
    Epochs(#[from] StoreError),
}

/// The result of a restore.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) sums: Sums,
    pub(crate) made_at: Timestamp,
}

/// Restores a backup into a new or empty folder. If `stopped` is set, it ends early and leaves nothing.
pub(crate) async fn restore(
    options: &Options,
    file: &Path,
    stopped: Arc<AtomicBool>,
) -> Result<Restored, RestoreError> {
    let archive = open(file.to_path_buf(), options.database_url.is_some()).await?;
    let database = match &options.database_url {
        Some(url) => Some(connect(options, url).await?),
        None => None,
    };
    let (data, path) = (options.data.clone(), file.to_path_buf());
    let wait = options.limits().store_timeout;
    let (restored, staging) = off_the_workers(move || {
        let staging = Staging::make(&data)?;
        let restored = extract(archive, &staging.path, &path, &stopped)?;
        if restored.sums.database {
            drop(RedbAccounts::open(&staging.path.join(NAMES), wait)?);
        }
        Ok::<_, RestoreError>((restored, staging))
    })
    .await?;
    if restored.sums.database {
        let messages = staging.path.join(MESSAGES);
        let store = off_the_workers(move || RedbStore::open(messages)).await?;
        store.renew_epochs().await?;
        // Closing the store waits for the disk.
        off_the_workers(move || drop(store)).await;
    }
    off_the_workers(move || staging.finish()).await?;
    if let Some(database) = database {
        database.renew_epochs().await?;
    }
    Ok(restored)
}

async fn connect(options: &Options, url: &str) -> Result<PostgresStore, OpenError> {
    Ok(options.database(url).await?.connect().await?)
}

type Archive = Reader<BufReader<File>>;

async fn open(file: PathBuf, has_database: bool) -> Result<Archive, RestoreError> {
    off_the_workers(move || {
        let failed = |source| RestoreError::Archive { path: file.clone(), source };
        let input = File::open(&file).map_err(|error| failed(ArchiveError::Read(error)))?;
        let archive = Reader::begin(BufReader::with_capacity(64 << 10, input)).map_err(failed)?;
        match (archive.manifest().database, has_database) {
            (true, true) => Err(RestoreError::DatabaseTooMany(file)),
            (false, false) => Err(RestoreError::NoDatabase(file)),
            _ => Ok(archive),
        }
    })
    .await
}

/// Extracts all entries of an archive into a folder, and verifies the archive.
fn extract(
    mut archive: Archive,
    folder: &Path,
    file: &Path,
    stopped: &AtomicBool,
) -> Result<Restored, RestoreError> {
    let failed = |source| RestoreError::Archive { path: file.to_path_buf(), source };
    let made_at = archive.manifest().made_at;
    let mut sums = Sums { database: archive.manifest().database, ..Sums::default() };
    let (mut messages, mut names) = (false, false);
    while let Some((name, size)) = archive.next().map_err(failed)? {
        match name {
            Name::Messages => messages = true,
            Name::Names => names = true,
            Name::File(_) => sums.files += 1,
        }
        sums.bytes += size;
        let path = folder.join(name.path());
        let write = |source| RestoreError::Folder { path: path.clone(), source };
        let parent = path.parent().unwrap_or(folder);
        folder::make(parent).map_err(write)?;
        // Refuses an entry that occurs twice.
        let mut out = new_file(&path).map_err(write)?;
        archive.copy(&mut Stoppable { out: &mut out, stopped }).map_err(|error| match error {
            ArchiveError::Write(_) if stopped.load(Ordering::Relaxed) => failed(ArchiveError::Stopped),
            ArchiveError::Write(source) => write(source),
            error => failed(error),
        })?;
        out.sync_all().map_err(write)?;
    }
    let what = match (sums.database, messages, names) {
        (true, false, _) => Some("the messages are missing"),
        (true, _, false) => Some("the names are missing"),
        (false, true, _) | (false, _, true) => Some("it has a database that it does not speak of"),
        _ => None,
    };
    match what {
        Some(what) => Err(RestoreError::Incomplete { path: file.to_path_buf(), what }),
        None => Ok(Restored { sums, made_at }),
    }
}

/// A file that accepts no more writes after a signal.
struct Stoppable<'a> {
    out: &'a mut File,
    stopped: &'a AtomicBool,
}

impl Write for Stoppable<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.stopped.load(Ordering::Relaxed) {
            // Not `Interrupted`, which callers retry.
            return Err(io::ErrorKind::Other.into());
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn new_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// The folder in the data folder for the files of an unfinished restore. It is removed on drop.
struct Staging {
    data: PathBuf,
    path: PathBuf,
    /// Whether the restore created the data folder.
    is_new: bool,
    is_done: bool,
}

impl Staging {
    fn make(data: &Path) -> Result<Self, RestoreError> {
        let path = data.join(folder::RESTORING);
        let failed = |source| RestoreError::Folder { path: data.to_path_buf(), source };
        let is_new = !data.try_exists().map_err(failed)?;
        if !is_new && fs::read_dir(data).map_err(failed)?.next().is_some() {
            return Err(RestoreError::NotEmpty(data.to_path_buf()));
        }
        folder::open(data).map_err(failed)?;
        let staging = Self { data: data.to_path_buf(), path, is_new, is_done: false };
        folder::make(&staging.path).map_err(failed)?;
        Ok(staging)
    }

    /// Moves the files to their final place, and syncs the folders.
    fn finish(mut self) -> Result<(), RestoreError> {
        let data = self.data.clone();
        let failed = |source| RestoreError::Folder { path: data.clone(), source };
        sync_folders(&self.path).map_err(failed)?;
        for name in [FILES, NAMES, MESSAGES] {
            let from = self.path.join(name);
            if from.try_exists().map_err(failed)? {
                fs::rename(from, self.data.join(name)).map_err(failed)?;
            }
        }
        folder::sync(&self.data).map_err(failed)?;
        fs::remove_dir_all(&self.path).map_err(failed)?;
        self.is_done = true;
        folder::sync(&self.data).map_err(failed)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        // Files that were moved already: the folder was empty before.
        let _ = fs::remove_dir_all(self.data.join(FILES));
        for name in [NAMES, MESSAGES] {
            let _ = fs::remove_file(self.data.join(name));
        }
        let removed = fs::remove_dir_all(&self.path);
        let removed = if self.is_new { removed.and_then(|()| fs::remove_dir(&self.data)) } else { removed };
        if let Err(error) = removed {
            let folder = self.data.display();
            tracing::error!(%folder, %error, "the rest of a failed restore could not be removed");
        }
    }
}

/// Syncs a folder and all folders below it, so that the names in them survive a power loss.
fn sync_folders(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    folder::sync(folder)
}
