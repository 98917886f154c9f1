//! A redb file with one writer thread. The store is built on it, and an app can use it for its own tables.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use chatcore::store::StoreError;
use redb::backends::InMemoryBackend;
use redb::{Database, ReadTransaction, StorageBackend};

use crate::backup::{self, BackupError};
use crate::error::{OpenError, TransactionError};
use crate::journal::{Hooks, Journal, JournalFile};
use crate::layout::Layout;
use crate::opening::{Builder, Opening, prepare};
use crate::writer::{SyncMode, Writer};

/// An open redb file with the tables of the [`Layout`] `L`. Clones are handles to the same open file.
///
/// [`RedbStore`](crate::RedbStore) is built on it. An app can use it for its own tables, in a file of their own.
///
/// - One thread writes. It puts all waiting writes into one transaction, syncs the disk once, and then answers
///   them. If nothing changed, it writes nothing.
/// - At most 256 writes wait in the queue. Further calls wait until there is room.
/// - Reads run on tokio's blocking threads, so the methods need a tokio runtime. Reads don't wait for the writer, but in a
///   [`RedbStore`](crate::RedbStore) if something was answered that is in the journal alone.
/// - After a disk error, or a panic in redb or in a write, the current calls fail and the file is opened again.
///
/// Dropping the last handle waits for the writer and closes the file.
pub struct RedbFile<L: Layout> {
    writer: Arc<Writer<L>>,
}

impl<L: Layout> Clone for RedbFile<L> {
    fn clone(&self) -> Self {
        Self { writer: Arc::clone(&self.writer) }
    }
}

impl Builder {
    /// Opens a file with the layout `L`, as [`RedbFile::open`] does.
    ///
    /// # Errors
    /// [`OpenError`] if the file is empty, another program's, a newer version's, open elsewhere, or unusable.
    pub fn open_file<L: Layout>(self, path: impl AsRef<Path>) -> Result<RedbFile<L>, OpenError> {
        let path = path.as_ref().to_path_buf();
        let opener = move |opening| self.open_database::<L>(&path, opening);
        Ok(RedbFile { writer: Arc::new(Writer::start(Box::new(opener), self.sync_within, None)?) })
    }

    /// Opens a file whose layout uses a journal.
    pub(crate) fn open_journaled<L: Layout>(
        self,
        path: &Path,
        hooks: Hooks<L>,
    ) -> Result<RedbFile<L>, OpenError> {
        let journal = Journal::new(Box::new(JournalFile::beside(path)), hooks);
        let path = path.to_path_buf();
        let opener = move |opening| self.open_database::<L>(&path, opening);
        Ok(RedbFile { writer: Arc::new(Writer::start(Box::new(opener), self.sync_within, Some(journal))?) })
    }
}

impl<L: Layout> RedbFile<L> {
    /// Opens the file `path`. If it does not exist, creates it with mode 0600, and missing folders with mode 0700.
    /// Removes other users' access to an existing file.
    ///
    /// Blocks the thread for a few disk accesses, or for up to 5 s while another process has the file open.
    /// [`Builder::open_file`] opens a file with other settings.
    ///
    /// # Errors
    /// [`OpenError`] if the file is empty, another program's, a newer version's, open elsewhere, or unusable.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Builder::default().open_file(path)
    }

    /// Opens a database through `opener`, so that an app can put a [`StorageBackend`](redb::StorageBackend) between
    /// redb and the disk: one that encrypts, or one that fails on purpose in a test. `path` is for error texts.
    /// After a disk failure the writer's thread calls `opener` again.
    ///
    /// # Errors
    /// The [`OpenError`] of `opener`, or another one if the database has the wrong layout.
    pub fn open_with(
        path: impl AsRef<Path>,
        opener: impl Fn(Opening) -> Result<Database, OpenError> + Send + 'static,
    ) -> Result<Self, OpenError> {
        Self::open_synced_within(path, Builder::default().sync_within, None, opener)
    }

    pub(crate) fn open_synced_within(
        path: impl AsRef<Path>,
        sync_within: Duration,
        journal: Option<Journal<L>>,
        opener: impl Fn(Opening) -> Result<Database, OpenError> + Send + 'static,
    ) -> Result<Self, OpenError> {
        let path = path.as_ref().to_path_buf();
        let opener = move |opening| {
            let database = opener(opening)?;
            prepare::<L>(&path, &database)?;
            Ok(database)
        };
        Ok(Self { writer: Arc::new(Writer::start(Box::new(opener), sync_within, journal)?) })
    }

    /// Creates a database in memory. It is gone when its last handle is dropped.
    ///
    /// # Errors
    /// [`OpenError`] if the writer's thread can't be started.
    pub fn in_memory() -> Result<Self, OpenError> {
        let memory = Arc::new(InMemoryBackend::new());
        Self::open_with("memory", move |_| {
            let made = Database::builder().create_with_backend(Memory(Arc::clone(&memory)));
            made.map_err(|error| OpenError::Database {
                path: "memory".into(),
                source: Box::new(error.into()),
            })
        })
    }

    /// Runs `work` in the writer's next transaction, and returns when it is synced to the disk.
    ///
    /// # Errors
    /// [`StoreError`] if the transaction failed. Whether it was stored is then unknown. If `work` returns an error,
    /// every write in the same transaction fails; so return a refusal as part of `T` instead.
    ///
    /// # Cancel safety
    /// Once `work` is queued it runs, even if the future is dropped.
    pub async fn write<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&mut L::Changes<'_>) -> Result<T, TransactionError> + Send + 'static,
    {
        self.write_until(SyncMode::Disk, work).await
    }

    /// Runs `work` in the writer's next transaction, and returns when `sync` allows.
    pub(crate) async fn write_until<T, W>(&self, sync: SyncMode, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&mut L::Changes<'_>) -> Result<T, TransactionError> + Send + 'static,
    {
        self.writer.write(sync, work).await
    }

    /// Reads committed data on a blocking thread, since a page that is not cached comes from the disk, and decoding a
    /// hundred messages takes 160 µs. Switching threads and back costs 7 µs, about half of the time of reading one
    /// cached message.
    ///
    /// # Errors
    /// [`StoreError`] with the text `what`, such as "the names can't be read".
    pub async fn read<T, R>(&self, what: &'static str, read: R) -> Result<T, StoreError>
    where
        T: Send + 'static,
        R: FnOnce(&ReadTransaction) -> Result<T, TransactionError> + Send + 'static,
    {
        let reader = self.writer.reader().await?;
        let reading = tokio::task::spawn_blocking(move || read(&reader.begin()?));
        let failed = match reading.await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(failure)) => {
                if !matches!(failure, TransactionError::Database(_) | TransactionError::NotOpen) {
                    return Err(failure.during(what));
                }
                failure.during(what)
            }
            Err(error) => StoreError::because(what, error),
        };
        self.writer.look_after();
        Err(failed)
    }
}

impl<L: Layout> RedbFile<L> {
    /// Writes a copy of the file, as it is at one moment, to the new file `path` with mode 0600. The copy has
    /// everything that was answered before the call. Of a transaction that commits meanwhile it has all or nothing.
    /// Reads and writes go on during the backup.
    ///
    /// The copy has only the rows, so it is as small as they are and has no deleted data. Until it is whole and synced
    /// its name ends in `.new`. Every row is read and written once, on one of tokio's blocking threads, with 16 MiB of
    /// memory for the copy. During the backup the file can't reuse its freed pages, so it grows by what is written.
    ///
    /// # Errors
    /// [`BackupError`] if `path` exists, or if the copy fails. Then nothing is left of the backup.
    ///
    /// # Cancel safety
    /// A backup that has started goes on, even if the future is dropped.
    pub async fn backup(&self, path: impl AsRef<Path>) -> Result<(), BackupError> {
        let path = path.as_ref().to_path_buf();
        let failed = |source| BackupError::Failed {
            path: path.clone(),
            source: TransactionError::Uncommitted(source),
        };
        let reader = self.writer.reader().await.map_err(failed)?;
        let target = path.clone();
        let written = tokio::task::spawn_blocking(move || backup::write::<L>(&reader, &target)).await;
        let written = written.unwrap_or_else(|error| {
            Err(BackupError::Failed { path, source: TransactionError::Panicked(error.to_string()) })
        });
        if let Err(BackupError::Failed { .. }) = &written {
            // The failure may be this file's, not the copy's.
            self.writer.look_after();
        }
        written
    }
}

/// A backend in memory that keeps its bytes when the database is opened again.
#[derive(Debug)]
struct Memory(Arc<InMemoryBackend>);

impl StorageBackend for Memory {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}

impl<L: Layout> fmt::Debug for RedbFile<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbFile").finish_non_exhaustive()
    }
}
