//! From a path to an open database: made whole or not at all, waited for, and readable by its owner only.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use redb::backends::FileBackend;
use redb::{Database, DatabaseError, StorageError};

use crate::error::{OpenError, TransactionError};
use crate::layout::{Layout, LayoutKind};
use crate::private;

/// How often a locked file is tried while it is waited for.
const LOCK_RETRY: Duration = Duration::from_millis(20);

/// Which opening of the file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// The process's first: a file that does not exist is made.
    First,
    /// After a failed disk or a panic made redb refuse all further work: a file that does not exist is an
    /// error, as an empty one in its place would pass for a store that lost everything.
    Again,
}

/// Opens the database, without a look at what it holds.
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
    /// Sets how long to wait for a file that another process has open; by default 5 s, as a predecessor that
    /// was just killed holds its lock for a moment longer.
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.lock_wait = wait;
        self
    }

    /// Sets how many bytes of the file are kept in memory; by default 64 MiB.
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// Sets after how long at most a read marker is on the disk, if no other write syncs it before; by default 5 s. A
    /// crash of the machine loses no older one.
    pub fn sync_within(mut self, time: Duration) -> Self {
        self.sync_within = time;
        self
    }

    /// Opens the file, or makes it if it does not exist.
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
                // Another process made the file meanwhile.
                Err(OpenError::Database { source, .. }) if made && is_not_found(&source) => {}
                opened => return opened,
            }
        }
    }

    fn open_existing<L: Layout>(self, path: &Path) -> Result<Database, OpenError> {
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(|e| failed(path, e))?;
        // Not redb's own way to open, which makes a database of an empty file.
        if file.metadata().map_err(|e| failed(path, e))?.len() == 0 {
            return Err(OpenError::Empty { path: path.to_path_buf() });
        }
        private::tighten(&file, path).map_err(|e| failed(path, e))?;
        let database = self.database(path, file)?;
        prepare::<L>(path, &database)?;
        Ok(database)
    }

    /// Makes the database under another name, and gives it its own when it is whole: a process that is
    /// killed meanwhile leaves no empty file, which the next start would refuse.
    fn make<L: Layout>(self, path: &Path) -> Result<Database, OpenError> {
        let unfinished = unfinished(path);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        private::set_mode(&mut options);
        let file = options.open(&unfinished).map_err(|e| failed(path, e))?;
        let database = self.database(path, file)?;
        // The database has the file's lock: only its holder gives it the name, and only if that is free.
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
            // What redb says of a file without its magic number.
            DatabaseError::Storage(StorageError::Io(e)) if e.kind() == io::ErrorKind::InvalidData => {
                OpenError::Foreign { path }
            }
            error => OpenError::Database { path, source: Box::new(error.into()) },
        })
    }
}

/// Looks at what a database holds, and makes the tables in a new one.
pub(crate) fn prepare<L: Layout>(path: &Path, database: &Database) -> Result<(), OpenError> {
    let path = || path.to_path_buf();
    match L::prepare(database) {
        Ok(LayoutKind::Ours) => Ok(()),
        Ok(LayoutKind::Newer { found, known }) => Err(OpenError::Newer { path: path(), found, known }),
        Err(TransactionError::Database(source)) => Err(OpenError::Database { path: path(), source }),
        Ok(LayoutKind::Foreign) | Err(_) => Err(OpenError::Foreign { path: path() }),
    }
}

/// Returns the name of a file until it is whole.
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
