//! A redb file with one writer: what the store is made of, for an app's own tables too.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use chatcore::store::StoreError;
use redb::backends::InMemoryBackend;
use redb::{Database, ReadTransaction, StorageBackend};

use crate::backup::{self, BackupError};
use crate::error::{OpenError, TransactionError};
use crate::layout::Layout;
use crate::opening::{Builder, Opening, prepare};
use crate::writer::{SyncMode, Writer};

/// An open redb file that holds what `L` says. Clones are handles on the same open file.
///
/// It is what [`RedbStore`](crate::RedbStore) is made of. An app uses it for tables of its own, in a file of
/// their own: [`Layout`] says which.
///
/// One thread writes: it takes every write that waits into one transaction and one sync of the disk, and
/// answers after it. If nothing changed it writes nothing. At most 256 writes wait; a further one waits for a
/// place. Reads run on tokio's blocking threads, so the methods need a tokio runtime; they don't wait for the
/// writer. After an error of the disk, or a panic in redb or in a write, the calls of that moment fail and
/// the file is opened again.
///
/// Dropping the last handle waits for the writer, and closes the file.
pub struct RedbFile<L: Layout> {
    writer: Arc<Writer<L>>,
}

impl<L: Layout> Clone for RedbFile<L> {
    fn clone(&self) -> Self {
        Self { writer: Arc::clone(&self.writer) }
    }
}

impl Builder {
    /// Opens a file of the layout `L`, as [`RedbFile::open`] does.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_file<L: Layout>(self, path: impl AsRef<Path>) -> Result<RedbFile<L>, OpenError> {
        let path = path.as_ref().to_path_buf();
        let opener = move |opening| self.open_database::<L>(&path, opening);
        Ok(RedbFile { writer: Arc::new(Writer::start(Box::new(opener), self.sync_within)?) })
    }
}

impl<L: Layout> RedbFile<L> {
    /// Opens the file `path`, or makes it, with mode 0600, if it does not exist, and its folders with mode 0700.
    /// An existing file that others may read is made its owner's alone.
    ///
    /// It blocks, for the time of a few disk accesses, or up to 5 s while another process has the file open.
    /// [`Builder::open_file`] opens it with other settings.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Builder::default().open_file(path)
    }

    /// Opens what `opener` opens, which makes room for a layer between redb and the disk: a
    /// [`StorageBackend`](redb::StorageBackend) that encrypts, or one that fails on purpose in a test. `path` is
    /// for error texts. It is called again, on the writer's thread, after the disk failed.
    ///
    /// # Errors
    /// [`OpenError`], also that of `opener`.
    pub fn open_with(
        path: impl AsRef<Path>,
        opener: impl Fn(Opening) -> Result<Database, OpenError> + Send + 'static,
    ) -> Result<Self, OpenError> {
        Self::open_synced_within(path, Builder::default().sync_within, opener)
    }

    pub(crate) fn open_synced_within(
        path: impl AsRef<Path>,
        sync_within: Duration,
        opener: impl Fn(Opening) -> Result<Database, OpenError> + Send + 'static,
    ) -> Result<Self, OpenError> {
        let path = path.as_ref().to_path_buf();
        let opener = move |opening| {
            let database = opener(opening)?;
            prepare::<L>(&path, &database)?;
            Ok(database)
        };
        Ok(Self { writer: Arc::new(Writer::start(Box::new(opener), sync_within)?) })
    }

    /// Makes a database in memory, which ends with its last handle.
    ///
    /// # Errors
    /// [`OpenError`] if there is no thread for the writer.
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

    /// Runs `work` in the writer's next transaction, and answers when it is on the disk.
    ///
    /// # Errors
    /// [`StoreError`] if the transaction failed; whether it was stored is then unknown. `work` that fails, fails
    /// every write of the same transaction: a refusal is part of `T`.
    ///
    /// # Cancel safety
    /// Once the work is queued it is done, also if the future is dropped.
    pub async fn write<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&mut L::Changes<'_>) -> Result<T, TransactionError> + Send + 'static,
    {
        self.write_until(SyncMode::Disk, work).await
    }

    /// Runs `work` in the writer's next transaction, and answers when `sync` says.
    pub(crate) async fn write_until<T, W>(&self, sync: SyncMode, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&mut L::Changes<'_>) -> Result<T, TransactionError> + Send + 'static,
    {
        self.writer.write(sync, work).await
    }

    /// Reads what is committed, on a blocking thread: a page that is not in the cache comes from the disk, and
    /// decoding a hundred messages takes 160 µs. The way there and back costs 7 µs, about half of what one cached
    /// message takes.
    ///
    /// # Errors
    /// [`StoreError`] that says `what` could not be done.
    pub async fn read<T, R>(&self, what: &'static str, read: R) -> Result<T, StoreError>
    where
        T: Send + 'static,
        R: FnOnce(&ReadTransaction) -> Result<T, TransactionError> + Send + 'static,
    {
        let reader = self.writer.reader();
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
    /// Writes a copy to the new file `path`, with mode 0600, as the file stands at one moment: everything that was
    /// answered before the call is in it, and of what is written meanwhile either a whole transaction or nothing.
    /// Others read and write meanwhile.
    ///
    /// The copy holds the rows alone, so it is as small as they are and has nothing of what was deleted. It is called
    /// `path` and `.new` until it is whole and synced. Every row is read and written once, on one of tokio's blocking
    /// threads and with 16 MiB of memory for the copy. Until it is done the file does not use its freed pages again,
    /// so it grows by what is written meanwhile.
    ///
    /// # Errors
    /// [`BackupError`]. Then there is no file.
    ///
    /// # Cancel safety
    /// A backup that has begun goes on if the future is dropped.
    pub async fn backup(&self, path: impl AsRef<Path>) -> Result<(), BackupError> {
        let (reader, path) = (self.writer.reader(), path.as_ref().to_path_buf());
        let target = path.clone();
        let written = tokio::task::spawn_blocking(move || backup::write::<L>(&reader, &target)).await;
        let written = written.unwrap_or_else(|error| {
            Err(BackupError::Failed { path, source: TransactionError::Panicked(error.to_string()) })
        });
        if let Err(BackupError::Failed { .. }) = &written {
            // It may be this file that failed.
            self.writer.look_after();
        }
        written
    }
}

/// Bytes in memory, which are still there when a database is opened on them again.
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
