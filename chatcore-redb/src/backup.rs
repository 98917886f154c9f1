//! Backups: copies a file's rows, as they are at one moment, into a new file while writes go on.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{Builder, Key, ReadTransaction, TableDefinition, Value, WriteTransaction};

use crate::error::TransactionError;
use crate::layout::Layout;
use crate::opening::unfinished;
use crate::private;
use crate::writer::{Reader, contained};

/// Bytes of the new file that are cached in memory.
const CACHE: usize = 16 << 20;

/// Why a backup failed. Nothing is left of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// A file of this name exists, or the unfinished file of a killed backup to this name.
    #[error("{path} exists, and a backup never overwrites a file: choose another name, or remove it")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be read, or the backup could not be written.
    #[error("the backup {path} can't be written")]
    Failed {
        /// The backup.
        path: PathBuf,
        /// Why.
        source: TransactionError,
    },
}

/// Copies every row of a table, in the order of the keys.
///
/// # Errors
/// [`TransactionError`] if one of the files can't be read or written.
pub fn copy_table<K: Key + 'static, V: Value + 'static>(
    from: &ReadTransaction,
    to: &WriteTransaction,
    table: TableDefinition<'_, K, V>,
) -> Result<(), TransactionError> {
    let mut copy = to.open_table(table)?;
    for row in from.open_table(table)?.range::<K::SelfType<'_>>(..)? {
        let (key, value) = row?;
        copy.insert(key.value(), value.value())?;
    }
    Ok(())
}

/// Writes a backup. It blocks.
pub(crate) fn write<L: Layout>(reader: &Reader, path: &Path) -> Result<(), BackupError> {
    contained(|| Ok(write_new::<L>(reader, path)))
        .unwrap_or_else(|source| Err(BackupError::Failed { path: path.to_path_buf(), source }))
}

fn write_new<L: Layout>(reader: &Reader, path: &Path) -> Result<(), BackupError> {
    let failed = |source| BackupError::Failed { path: path.to_path_buf(), source };
    if path.try_exists().map_err(|error| failed(error_of(error)))? {
        return Err(BackupError::Exists { path: path.to_path_buf() });
    }
    let unfinished = unfinished(path);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    private::set_mode(&mut options);
    let file = options.open(&unfinished).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => BackupError::Exists { path: unfinished.clone() },
        _ => failed(error_of(error)),
    })?;
    let mut rest = Rest(Some(unfinished));
    fill::<L>(reader, file).map_err(failed)?;
    rest.name(path).map_err(|error| failed(error_of(error)))
}

fn fill<L: Layout>(reader: &Reader, file: fs::File) -> Result<(), TransactionError> {
    let from = reader.begin()?;
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE);
    let database = builder.create_with_backend(FileBackend::new(file)?)?;
    let mut to = database.begin_write()?;
    // So that the copy can be opened without a repair.
    to.set_quick_repair(true);
    L::copy(&from, &to)?;
    to.commit()?;
    Ok(database.close()?)
}

/// An unfinished file, removed on drop unless it got its final name.
struct Rest(Option<PathBuf>);

impl Rest {
    fn name(&mut self, path: &Path) -> io::Result<()> {
        if let Some(unfinished) = &self.0 {
            fs::rename(unfinished, path)?;
        }
        self.0 = None;
        private::sync_folder_of(path)
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // The first failure is the one to report.
            let _ = fs::remove_file(path);
        }
    }
}

fn error_of(error: io::Error) -> TransactionError {
    TransactionError::from(redb::Error::Io(error))
}
