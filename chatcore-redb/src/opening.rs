//! Opens a database file: creates it whole or not at all, waits for its lock, and lets only its owner read it.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use redb::backends::FileBackend;
use redb::{Database, DatabaseError, StorageError};

use crate::error::{OpenError, TransactionError};
use crate::layout::{Layout, LayoutKind};
use crate::private;

/// The time between two attempts to open a locked file.
const LOCK_RETRY: Duration = Duration::from_millis(20);

/// Whether the file is opened for the first time in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Opening {
    /// The first time: a missing file is created.
    First,
    /// Again, after redb refused all further work because the disk failed or a call panicked. A missing file is an
    /// error: an empty one in its place would look like a store that lost everything.
    Again,
}

/// Opens the database without checking its contents.
pub(crate) type Opener = Box<dyn Fn(Opening) -> Result<Database, OpenError> + Send>;

/// Settings for opening a file. [`RedbStore::builder`](crate::RedbStore::builder) begins with the defaults.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("chat.redb");
/// let store = chatcore_redb::RedbStore::builder().cache_bytes(16 << 20).open(path)?;
/// # drop(store);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Builder {
    lock_wait: Duration,
    cache_bytes: usize,
    pub(crate) sync_within: Duration,
}

impl Default for Builder {
    fn default() -> Self {
        Self { lock_wait: Duration::from_secs(5), cache_bytes: 64 << 20, sync_within: Duration::from_secs(5) }
    }
}

impl Builder {
    /// Sets how long to wait for a file that another process has open. Default 5 s: a process that was just killed
    /// keeps its lock for a moment.
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.lock_wait = wait;
        self
    }

    /// Sets how many bytes of the file are cached in memory. Default 64 MiB.
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// Sets the longest time from a commit without a sync to the next sync, if no other write syncs earlier. Default
    /// 5 s. A read marker is such a commit at once, or, with a journal, when a read comes within a second; otherwise it
    /// is synced after that second. If the machine crashes, only the newest markers can be lost.
    pub fn sync_within(mut self, time: Duration) -> Self {
        self.sync_within = time;
        self
    }

    /// Opens the file, or creates it if it does not exist.
    pub(crate) fn open_database<L: Layout>(
        self,
        path: &Path,
        opening: Opening,
    ) -> Result<Database, OpenError> {
        if opening == Opening::First
            && let Some(folder) = path.parent()
        {
            private::make_folders(folder)
                .map_err(|source| OpenError::Folder { path: path.to_path_buf(), source })?;
        }
        let began = Instant::now();
        loop {
            let made = opening == Opening::First && !path.try_exists().map_err(|e| failed(path, e))?;
            let opened = if made { self.make::<L>(path) } else { self.open_existing::<L>(path) };
            match opened {
                Err(OpenError::Locked { .. }) if began.elapsed() < self.lock_wait => {
                    std::thread::sleep(LOCK_RETRY.min(self.lock_wait));
                }
                // Another process created the file meanwhile.
                Err(OpenError::Database { source, .. }) if made && is_not_found(&source) => {}
                opened => return opened,
            }
        }
    }

    fn open_existing<L: Layout>(self, path: &Path) -> Result<Database, OpenError> {
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(|e| failed(path, e))?;
        // redb itself would create a database in an empty file.
        if file.metadata().map_err(|e| failed(path, e))?.len() == 0 {
            return Err(OpenError::Empty { path: path.to_path_buf() });
        }
        private::tighten(&file, path).map_err(|e| failed(path, e))?;
        let database = self.database(path, file)?;
        prepare::<L>(path, &database)?;
        Ok(database)
    }

    /// Creates the database under another name, and renames it when it is whole. A process that is killed meanwhile
    /// leaves no empty file, which the next start would refuse.
    fn make<L: Layout>(self, path: &Path) -> Result<Database, OpenError> {
        let unfinished = unfinished(path);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        private::set_mode(&mut options);
        let file = options.open(&unfinished).map_err(|e| failed(path, e))?;
        let database = self.database(path, file)?;
        // The open database holds the lock, so only one process renames its file, and only to a free name.
        if path.try_exists().map_err(|e| failed(path, e))? {
            drop(database);
            fs::remove_file(&unfinished).or_else(ignore_not_found).map_err(|e| failed(path, e))?;
            return self.open_existing::<L>(path);
        }
        prepare::<L>(path, &database)?;
        fs::rename(&unfinished, path).map_err(|e| failed(path, e))?;
        private::sync_folder_of(path).map_err(|e| failed(path, e))?;
        Ok(database)
    }

    fn database(self, path: &Path, file: fs::File) -> Result<Database, OpenError> {
        let backend = FileBackend::new(file);
        let opened = backend.and_then(|file| {
            let mut builder = Database::builder();
            builder.set_cache_size(self.cache_bytes);
            builder.create_with_backend(file)
        });
        let path = path.to_path_buf();
        opened.map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
                OpenError::Locked { path, waited: self.lock_wait }
            }
            DatabaseError::UpgradeRequired(_) => OpenError::Foreign { path },
            // redb's error for a file without its magic number.
            DatabaseError::Storage(StorageError::Io(e)) if e.kind() == io::ErrorKind::InvalidData => {
                OpenError::Foreign { path }
            }
            error => OpenError::Database { path, source: Box::new(error.into()) },
        })
    }
}

/// Checks a database's layout, and creates the tables in a new one.
pub(crate) fn prepare<L: Layout>(path: &Path, database: &Database) -> Result<(), OpenError> {
    let path = || path.to_path_buf();
    match L::prepare(database) {
        Ok(LayoutKind::Ours) => Ok(()),
        Ok(LayoutKind::Newer { found, known }) => Err(OpenError::Newer { path: path(), found, known }),
        Err(TransactionError::Database(source)) => Err(OpenError::Database { path: path(), source }),
        Ok(LayoutKind::Foreign) | Err(_) => Err(OpenError::Foreign { path: path() }),
    }
}

/// Returns the name that a file has until it is whole.
pub(crate) fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

fn failed(path: &Path, error: io::Error) -> OpenError {
    OpenError::Database { path: path.to_path_buf(), source: Box::new(redb::Error::Io(error)) }
}

fn is_not_found(error: &redb::Error) -> bool {
    matches!(error, redb::Error::Io(error) if error.kind() == io::ErrorKind::NotFound)
}

fn ignore_not_found(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}
