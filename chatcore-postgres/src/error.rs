//! Errors of the database, and what to do about each.

use std::error::Error;
use std::fmt;
use std::ops::Deref;

use chatcore::store::StoreError;
use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

/// An invalid name for a schema. A valid one has 1 to 63 of `a`–`z`, `0`–`9` and `_`, and does not start with a digit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid schema name {0:?}: use 1 to 63 of a-z, 0-9 and _, not starting with a digit")]
pub struct InvalidSchemaName(pub(crate) String);

/// Why a [`PostgresStore`](crate::PostgresStore) could not be connected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL is invalid, or has an unknown option.
    #[error("invalid database URL")]
    Url(#[source] Box<dyn Error + Send + Sync>),
    /// The URL requires TLS, and this program was built without the feature `tls`.
    #[error("the database URL requires TLS: build chatcore-postgres with the feature `tls`")]
    NoTls,
    /// TLS can't be set up.
    #[error("TLS can't be set up for the database")]
    Tls(#[source] Box<dyn Error + Send + Sync>),
    /// The schema's name is invalid.
    #[error(transparent)]
    SchemaName(#[from] InvalidSchemaName),
    /// The database's encoding is not UTF-8, so it can't store every text. Nothing was changed.
    #[error(
        "the database has the encoding {found}, which can't store every text: create one with \
         CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
    )]
    Encoding {
        /// The database's encoding, as PostgreSQL names it.
        found: String,
    },
    /// A newer version of this library has migrated the schema. It was not changed.
    #[error(
        "schema {schema} has version {found}, and this program supports versions up to {known}: use a newer program"
    )]
    Newer {
        /// The schema.
        schema: String,
        /// The schema's version.
        found: i32,
        /// The newest version that this library supports.
        known: i32,
    },
    /// An applied migration differs from this library's migration of the same number.
    #[error(
        "migration {version} of schema {schema} differs from this program's: restore the schema, or use the version that created it"
    )]
    Changed {
        /// The schema.
        schema: String,
        /// The migration.
        version: i32,
    },
    /// The server lacks something that the search index needs. Nothing was changed.
    #[error("the search index needs {what}, which this PostgreSQL server does not have")]
    SearchIndexNeeds {
        /// An extension, or ICU.
        what: String,
    },
    /// There is no search index, and [`Builder::migrate`](crate::Builder::migrate) is off.
    #[error("schema {schema} has no search index: run the script of PostgresStore::search_index_sql")]
    NoSearchIndex {
        /// The schema.
        schema: String,
    },
    /// The database can't be reached, or refuses a statement of a migration.
    #[error("the database can't be opened")]
    Database(#[source] Box<dyn Error + Send + Sync>),
}

/// Why a query failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("no connection to the database")]
    Pool(#[source] Box<PoolError>),
    #[error("a database call failed")]
    Database(#[source] Box<Answered>),
    #[error("the database did not answer in time")]
    Timeout,
    #[error("{0}")]
    Broken(&'static str),
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(Box::new(Answered(error)))
    }
}

/// An error of the database that does not quote data. The server's details, such as `Failing row contains (…)`,
/// and its messages about data would put people's texts into the log.
#[derive(Debug)]
pub(crate) struct Answered(tokio_postgres::Error);

impl Deref for Answered {
    type Target = tokio_postgres::Error;

    fn deref(&self) -> &tokio_postgres::Error {
        &self.0
    }
}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(answer) = self.0.as_db_error() else { return self.0.fmt(f) };
        let code = answer.code().code();
        match &code[..2] {
            "22" => write!(f, "{} {code}: the data was rejected", answer.severity()),
            _ => write!(f, "{} {code}: {}", answer.severity(), answer.message()),
        }
    }
}

impl Error for Answered {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // An answer of the database has no further cause.
        if self.0.as_db_error().is_some() { None } else { self.0.source() }
    }
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        Self::Pool(Box::new(error))
    }
}

/// What to do about a failed write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Try again: the connection or the server was gone, or other transactions were in the way.
    Again,
    /// Split the batch: the database rejected the data of one item.
    Bisect,
    /// Give up: another try would fail too.
    None,
}

impl Failure {
    /// Returns a store's error with the text `what`.
    pub(crate) fn during(self, what: &'static str) -> StoreError {
        StoreError::because(what, self)
    }

    /// Returns the error of connecting.
    pub(crate) fn on_connect(self) -> ConnectError {
        ConnectError::Database(Box::new(self))
    }

    /// Returns whether nothing was done because the server is read-only.
    pub(crate) fn is_read_only(&self) -> bool {
        self.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION)
    }

    /// Returns whether the connection ended before the answer.
    pub(crate) fn is_of_a_lost_connection(&self) -> bool {
        match (self, self.code()) {
            (_, Some(state)) => ends_connection(state),
            (Self::Database(error), None) => error.is_closed() || io_error(error),
            _ => false,
        }
    }

    fn code(&self) -> Option<&SqlState> {
        if let Self::Database(error) = self { error.code() } else { None }
    }

    pub(crate) fn remedy(&self) -> Remedy {
        match self {
            Self::Pool(_) | Self::Timeout => Remedy::Again,
            Self::Database(error) => match error.code() {
                Some(state) => remedy_of(state),
                // No answer from the server: the connection is gone.
                None if error.is_closed() || io_error(error) => Remedy::Again,
                None => Remedy::None,
            },
            Self::Broken(_) => Remedy::None,
        }
    }
}

/// Returns the remedy for a code, by its class: see "PostgreSQL Error Codes", appendix A of PostgreSQL's
/// documentation.
fn remedy_of(state: &SqlState) -> Remedy {
    const LOCK_NOT_AVAILABLE: &str = "55P03";
    const QUERY_CANCELED: &str = "57014";
    const READ_ONLY: &str = "25006"; // a standby that a failover has not reached yet
    match (&state.code()[..2], state.code()) {
        ("22" | "23", _) => Remedy::Bisect,
        // Connection, resources, operator intervention, system error, serialization and deadlock.
        ("08" | "40" | "53" | "57" | "58", _) | (_, LOCK_NOT_AVAILABLE | QUERY_CANCELED | READ_ONLY) => {
            Remedy::Again
        }
        _ => Remedy::None,
    }
}

/// Returns whether a server, or a pooler in front of it, ends a connection with this code.
fn ends_connection(state: &SqlState) -> bool {
    const ADMIN_SHUTDOWN: &str = "57P01";
    const CRASH_SHUTDOWN: &str = "57P02";
    const IDLE_SESSION_TIMEOUT: &str = "57P05";
    state.code().starts_with("08")
        || [ADMIN_SHUTDOWN, CRASH_SHUTDOWN, IDLE_SESSION_TIMEOUT].contains(&state.code())
}

fn io_error(error: &tokio_postgres::Error) -> bool {
    error.source().is_some_and(|source| source.is::<std::io::Error>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_errors_are_bisected_and_temporary_ones_tried_again() {
        for (code, remedy) in [
            ("22021", Remedy::Bisect),
            ("23505", Remedy::Bisect),
            ("57P01", Remedy::Again),
            ("40P01", Remedy::Again),
            ("55P03", Remedy::Again),
            ("25006", Remedy::Again),
            ("42501", Remedy::None),
        ] {
            assert_eq!(remedy_of(&SqlState::from_code(code)), remedy, "{code}");
        }
    }

    #[test]
    fn ended_connections_are_told_from_ended_statements() {
        for (code, ended) in
            [("57P01", true), ("57P05", true), ("08P01", true), ("57014", false), ("53300", false)]
        {
            assert_eq!(ends_connection(&SqlState::from_code(code)), ended, "{code}");
        }
    }
}
