//! A file's tables, and how a write transaction uses them.

use redb::{Database, ReadTransaction, WriteTransaction};

use crate::error::TransactionError;

/// The tables of a [`RedbFile`](crate::RedbFile), and how a write transaction uses them.
pub trait Layout: Sized + Send + Sync + 'static {
    /// The tables, open in a write transaction that the writes of a batch share.
    type Changes<'t>;

    /// Checks the layout of a database that was just opened, and creates the tables in an empty one.
    ///
    /// # Errors
    /// [`TransactionError`] if the database can't be read or written.
    fn prepare(database: &Database) -> Result<LayoutKind, TransactionError>;

    /// Begins a batch.
    ///
    /// # Errors
    /// [`TransactionError`] if the tables can't be opened. It fails the whole batch.
    fn begin(txn: &WriteTransaction) -> Result<Self::Changes<'_>, TransactionError>;

    /// Ends a batch before its commit. Returns whether it changed anything. If not, nothing is written or synced.
    ///
    /// # Errors
    /// [`TransactionError`] if the last changes can't be made. It fails the whole batch.
    fn finish(changes: Self::Changes<'_>) -> Result<bool, TransactionError>;

    /// Copies all tables into an empty database, for a backup. [`copy_table`](crate::copy_table) copies one table.
    ///
    /// # Errors
    /// [`TransactionError`] if a database can't be read or written. It ends the backup.
    fn copy(from: &ReadTransaction, to: &WriteTransaction) -> Result<(), TransactionError>;
}

/// Whether a database has a [`Layout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LayoutKind {
    /// The database has this layout.
    Ours,
    /// Another program created the database.
    Foreign,
    /// A newer version of this program created the database.
    Newer {
        /// The layout's version in the file.
        found: u64,
        /// The newest version that this program supports.
        known: u64,
    },
}
