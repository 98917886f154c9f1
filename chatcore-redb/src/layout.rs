//! What a file holds, and how one write transaction works on it.

use redb::{Database, ReadTransaction, WriteTransaction};

use crate::error::TransactionError;

/// What a [`RedbFile`](crate::RedbFile) holds: its tables, and what a write transaction works with.
pub trait Layout: Sized + Send + Sync + 'static {
    /// The tables, open in one write transaction, which the jobs of a batch share.
    type Changes<'t>;

    /// Looks at a database that was just opened, and makes the tables in an empty one.
    ///
    /// # Errors
    /// [`TransactionError`] if the database can't be read or written.
    fn prepare(database: &Database) -> Result<LayoutKind, TransactionError>;

    /// Begins a batch.
    ///
    /// # Errors
    /// [`TransactionError`] fails the whole batch.
    fn begin(txn: &WriteTransaction) -> Result<Self::Changes<'_>, TransactionError>;

    /// Ends a batch before its commit, and returns whether it changed anything. If it did not, nothing is
    /// written and the disk is not synced.
    ///
    /// # Errors
    /// [`TransactionError`] fails the whole batch.
    fn finish(changes: Self::Changes<'_>) -> Result<bool, TransactionError>;

    /// Copies everything into an empty database, for a backup; [`copy_table`](crate::copy_table) copies a table.
    ///
    /// # Errors
    /// [`TransactionError`] ends the backup.
    fn copy(from: &ReadTransaction, to: &WriteTransaction) -> Result<(), TransactionError>;
}

/// What a database is to a [`Layout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutKind {
    /// It has this layout.
    Ours,
    /// Another program made it.
    Foreign,
    /// A newer version of the program made it.
    Newer {
        /// The layout's version in the file.
        found: u64,
        /// The newest version that is known.
        known: u64,
    },
}
