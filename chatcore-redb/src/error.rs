//! Why a file could not be opened, and how redb's errors become a store's.

use std::path::PathBuf;
use std::time::Duration;

use chatcore::store::StoreError;

/// Why a store's file could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The folder of the file could not be created.
    #[error("the folder of {path} can't be created")]
    Folder {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not a redb database, or another program created it. It was not changed.
    #[error("{path} is not a chat store: choose another file")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file is empty, as a failed copy or restore leaves it. It was not changed.
    #[error("{path} is empty: restore it from a backup, or remove it to start a new store")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A newer version of this library created the file or changed its layout. The file was not changed.
    #[error(
        "{path} has layout {found}, and this program supports layouts up to {known}: use a newer program"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The layout's version in the file.
        found: u64,
        /// The newest version that this library supports.
        known: u64,
    },
    /// Another process, or another store in this process, kept the file open during the whole wait.
    #[error("{path} is still open in another process or store after {} s", waited.as_secs_f32())]
    Locked {
        /// The file.
        path: PathBuf,
        /// How long the store waited.
        waited: Duration,
    },
    /// The file could not be read or written.
    #[error("{path} can't be opened")]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<redb::Error>,
    },
    /// The journal, a file beside the database with what was acknowledged last, could not be read or does not fit.
    #[error("the journal can't be brought into the database")]
    Journal(#[source] TransactionError),
    /// The writer's thread could not be started.
    #[error("the writer's thread can't be started")]
    Thread(#[source] std::io::Error),
}

/// Why a read or write transaction failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransactionError {
    /// The database failed.
    #[error("a database call failed")]
    Database(#[source] Box<redb::Error>),
    /// A row can't be decoded. The text has only the kind and place of the error, since serde's may quote the row.
    #[error("invalid row: {:?} error at byte {}", .0.classify(), .0.column())]
    Row(serde_json::Error),
    /// Rows contradict each other.
    #[error("{0}")]
    Broken(&'static str),
    /// The file is not open: it failed and could not be opened again yet.
    #[error("the file is not open")]
    NotOpen,
    /// What was answered before could not be committed.
    #[error("earlier writes could not be committed")]
    Uncommitted(#[source] StoreError),
    /// redb or a write panicked, with this text.
    #[error("the database code panicked: {0}")]
    Panicked(String),
}

impl<E: Into<redb::Error>> From<E> for TransactionError {
    fn from(error: E) -> Self {
        Self::Database(Box::new(error.into()))
    }
}

impl TransactionError {
    /// Returns a store's error with the text `what`.
    pub(crate) fn during(self, what: &'static str) -> StoreError {
        match self {
            Self::Database(error) => StoreError::because(what, error),
            other => StoreError::because(what, other),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[test]
    fn an_error_about_an_invalid_row_does_not_quote_it() {
        let error = serde_json::from_str::<u64>("\"5ecret\"").unwrap_err();
        assert!(error.to_string().contains("5ecret"), "serde quotes the row: {error}");
        let error = TransactionError::Row(error).during("the messages can't be read");
        let mut told = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            told += &format!(": {cause}");
            source = cause.source();
        }
        assert!(!told.contains("5ecret") && told.contains("invalid row"), "{told}");
    }
}
