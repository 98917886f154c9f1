//! How to connect: every bound with its default.

use std::str::FromStr;
use std::time::Duration;

use deadpool_postgres::{Pool, RecyclingMethod};

use crate::database::PoolConfig;
use crate::error::{ConnectError, InvalidSchemaName};

/// Settings for connecting. [`PostgresStore::builder`](crate::PostgresStore::builder) begins with the defaults.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    pub(crate) url: String,
    pub(crate) schema: String,
    pub(crate) migrate: bool,
    pub(crate) search_index: bool,
    pub(crate) pgbouncer: bool,
    pub(crate) connections: usize,
    pub(crate) writers: usize,
    pub(crate) batch: usize,
    pub(crate) queue: usize,
    pub(crate) connect_timeout: Duration,
    pub(crate) answer_timeout: Duration,
    pub(crate) lock_timeout: Duration,
    pub(crate) retry_for: Duration,
    pub(crate) history: Option<u64>,
    #[cfg(feature = "tls")]
    pub(crate) roots: Option<Vec<u8>>,
}

impl Builder {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            schema: "chatcore".to_owned(),
            migrate: true,
            search_index: false,
            pgbouncer: false,
            connections: 8,
            writers: 2,
            batch: 512,
            queue: 1_024,
            connect_timeout: Duration::from_secs(3),
            answer_timeout: Duration::from_secs(5),
            lock_timeout: Duration::from_secs(3),
            retry_for: Duration::from_secs(10),
            history: None,
            #[cfg(feature = "tls")]
            roots: None,
        }
    }

    /// Sets the schema that holds the store's tables; `chatcore` by default. Two schemas are two stores.
    pub fn schema(mut self, schema: &str) -> Self {
        schema.clone_into(&mut self.schema);
        self
    }

    /// Sets whether to bring the schema up to date; true by default. With `false` the schema must be up to
    /// date already, by [`PostgresStore::migrations_sql`](crate::PostgresStore::migrations_sql), and the role needs no right to create.
    pub fn migrate(mut self, migrate: bool) -> Self {
        self.migrate = migrate;
        self
    }

    /// Sets whether to search by an index of the messages' texts; false by default. Then a search reads the log,
    /// a thousand messages a call; with the index one call finds a rare word wherever it is, and each publish
    /// costs more. It needs the extensions `pg_trgm` and `btree_gin`, which come with PostgreSQL, and ICU.
    ///
    /// Where there is no index yet, it is made at the next start, and nobody can publish meanwhile. On a large
    /// log, run [`PostgresStore::search_index_sql`](crate::PostgresStore::search_index_sql) before, with `CREATE INDEX CONCURRENTLY`.
    pub fn search_index(mut self, search_index: bool) -> Self {
        self.search_index = search_index;
        self
    }

    /// Sets whether a pgbouncer in transaction mode stands between; false by default. Then no statement is
    /// prepared by name and no option is set on the connection: the role must have the timeouts.
    pub fn pgbouncer(mut self, between: bool) -> Self {
        self.pgbouncer = between;
        self
    }

    /// Sets the most connections for all but appends; 8 by default, at least 1.
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections.max(1);
        self
    }

    /// Sets how many batches are committed at once, each on a connection of its own; 2 by default, at least 1.
    pub fn writers(mut self, writers: usize) -> Self {
        self.writers = writers.max(1);
        self
    }

    /// Sets the most items that one transaction appends; 512 by default, at least 1.
    pub fn batch(mut self, items: usize) -> Self {
        self.batch = items.max(1);
        self
    }

    /// Sets how many calls of `append` may wait for a writer; 1,024 by default, at least 1. Further ones wait
    /// for a place.
    pub fn queue(mut self, calls: usize) -> Self {
        self.queue = calls.max(1);
        self
    }

    /// Sets how long to wait for a connection: for a free one, to make one, or to check one; each 3 s by
    /// default.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how long to wait for the answer to one query before its connection is given up; 5 s by default.
    /// The server has the same bound for the statement and for an idle transaction.
    pub fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.answer_timeout = timeout;
        self
    }

    /// Sets how long the server waits for a lock; 3 s by default.
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// Sets how long an append is tried, from its call to its answer; 10 s by default. It should be below
    /// the engine's `Limits::store_timeout`.
    pub fn retry_for(mut self, bound: Duration) -> Self {
        self.retry_for = bound;
        self
    }

    /// Keeps at least the newest `messages` of each channel, at least 1, and prunes the rest now and then, in
    /// the background; by default everything is kept. A nonce is kept for 24 hours at least either way.
    pub fn history(mut self, messages: u64) -> Self {
        self.history = Some(messages.max(1));
        self
    }

    /// Sets the certificates, in PEM, by one of which the server's must be signed; by default those of the
    /// system. For a database with an authority of its own, as most hosted ones have.
    #[cfg(feature = "tls")]
    pub fn root_certificates(mut self, pem: &[u8]) -> Self {
        self.roots = Some(pem.to_vec());
        self
    }

    /// Makes a pool of up to `connections` for the app's own use of the same database, with the same TLS and
    /// bounds. None is made yet. Each is checked before it is handed out, so one that the server has dropped is
    /// not.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn pool(&self, connections: usize) -> Result<Pool, ConnectError> {
        self.pool_config()?.pool(connections, RecyclingMethod::Verified)
    }

    pub(crate) fn pool_config(&self) -> Result<PoolConfig, ConnectError> {
        Ok(PoolConfig {
            connection: self.connection()?,
            prepare: !self.pgbouncer,
            connect_timeout: self.connect_timeout,
            answer_timeout: self.answer_timeout,
            #[cfg(feature = "tls")]
            roots: self.roots.clone(),
        })
    }

    fn connection(&self) -> Result<tokio_postgres::Config, ConnectError> {
        let mut config = tokio_postgres::Config::from_str(&self.url)
            .map_err(|error| ConnectError::Url(Box::new(error)))?;
        config
            .connect_timeout(self.connect_timeout)
            .keepalives(true)
            .keepalives_idle(Duration::from_secs(10))
            .keepalives_interval(Duration::from_secs(3))
            .keepalives_retries(3)
            .tcp_user_timeout(Duration::from_secs(15));
        if config.get_application_name().is_none() {
            config.application_name("chatcore");
        }
        if !self.pgbouncer {
            // What the URL says comes last, and so wins.
            let options = format!("{} {}", self.session_options(), config.get_options().unwrap_or_default());
            config.options(options.trim());
        }
        Ok(config)
    }

    fn session_options(&self) -> String {
        let (answer, lock) = (self.answer_timeout.as_millis(), self.lock_timeout.as_millis());
        format!(
            "-c default_transaction_isolation=read\\ committed -c statement_timeout={answer} \
             -c lock_timeout={lock} -c idle_in_transaction_session_timeout={answer}"
        )
    }
}

/// Accepts a name that needs no quotes and no escapes in SQL.
pub(crate) fn check_schema(name: &str) -> Result<(), InvalidSchemaName> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty()
        || name.len() > 63
        || name.starts_with(|c: char| c.is_ascii_digit())
        || !name.chars().all(plain)
    {
        return Err(InvalidSchemaName(name.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_name_needs_no_quotes() {
        for good in ["chatcore", "_c1", &"a".repeat(63)] {
            assert!(check_schema(good).is_ok(), "{good}");
        }
        for bad in ["", "1a", "Chat", "a b", "a\"b", "é", &"a".repeat(64)] {
            assert_eq!(check_schema(bad), Err(InvalidSchemaName(bad.to_owned())));
        }
    }

    #[test]
    fn the_session_has_its_timeouts_unless_a_pooler_stands_between() {
        let builder = Builder::new("postgres://u@localhost/db?options=-c%20lock_timeout%3D7")
            .answer_timeout(Duration::from_millis(1_500));
        let config = builder.connection().expect("a URL");
        let options = config.get_options().expect("has options");
        assert!(options.contains("statement_timeout=1500 "), "{options}");
        assert!(options.ends_with("-c lock_timeout=7"), "{options}");
        let bare = Builder::new("postgres://u@localhost/db").pgbouncer(true).connection().expect("a URL");
        assert_eq!(bare.get_options(), None);
    }
}
