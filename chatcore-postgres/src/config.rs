//! The settings for connecting, with their defaults.

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
    pub(crate) listen_url: Option<String>,
    pub(crate) application_name: String,
    pub(crate) schema: String,
    pub(crate) migrate: bool,
    pub(crate) search_index: bool,
    pub(crate) pgbouncer: bool,
    pub(crate) connections: usize,
    pub(crate) blob_connections: usize,
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
            listen_url: None,
            application_name: "chatcore".to_owned(),
            schema: "chatcore".to_owned(),
            migrate: true,
            search_index: false,
            pgbouncer: false,
            connections: 8,
            blob_connections: 4,
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

    /// Sets the schema with the store's tables. Default `chatcore`. Each schema is a separate store.
    pub fn schema(mut self, schema: &str) -> Self {
        schema.clone_into(&mut self.schema);
        self
    }

    /// Sets whether to bring the schema up to date. Default true. With `false` the schema must already be up to
    /// date, by [`PostgresStore::migrations_sql`](crate::PostgresStore::migrations_sql), and the role needs no
    /// right to create.
    pub fn migrate(mut self, migrate: bool) -> Self {
        self.migrate = migrate;
        self
    }

    /// Sets whether to search with an index of the messages' texts. Default false.
    ///
    /// - Without the index, a search reads a thousand messages per call.
    /// - With it, one call finds a rare word anywhere in the log, and each publish costs more. The index needs the
    ///   extensions `pg_trgm` and `btree_gin`, which come with PostgreSQL, and ICU.
    ///
    /// A missing index is created when the store connects, and nobody can publish meanwhile. On a large log, run
    /// [`PostgresStore::search_index_sql`](crate::PostgresStore::search_index_sql) first, with
    /// `CREATE INDEX CONCURRENTLY`.
    pub fn search_index(mut self, search_index: bool) -> Self {
        self.search_index = search_index;
        self
    }

    /// Sets whether connections go through a pgbouncer in transaction mode. Default false. With `true`, no
    /// statement is prepared by name and no option is set on the connection, so the role must have the timeouts.
    pub fn pgbouncer(mut self, between: bool) -> Self {
        self.pgbouncer = between;
        self
    }

    /// Sets where [`bus`](Self::bus) connects. The default is the store's URL. Set it if a pooler in transaction mode is in
    /// the way: the bus needs connections of its own, directly to the primary.
    pub fn listen_url(mut self, url: &str) -> Self {
        self.listen_url = Some(url.to_owned());
        self
    }

    /// Sets the name of the connections, which `pg_stat_activity` shows. Default `chatcore`. One in the URL wins.
    pub fn application_name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.application_name);
        self
    }

    /// Sets the most connections for everything but appends and files. Default 8, at least 1.
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections.max(1);
        self
    }

    /// Sets the most connections of [`PostgresBlobs`](crate::PostgresBlobs), for files. Default 4, at least 1. Each is
    /// opened when it is first needed.
    pub fn blob_connections(mut self, connections: usize) -> Self {
        self.blob_connections = connections.max(1);
        self
    }

    /// Sets how many batches commit at the same time, each on its own connection. Default 2, at least 1.
    pub fn writers(mut self, writers: usize) -> Self {
        self.writers = writers.max(1);
        self
    }

    /// Sets the most items per transaction. Default 512, at least 1.
    pub fn batch(mut self, items: usize) -> Self {
        self.batch = items.max(1);
        self
    }

    /// Sets how many calls of `append` fit into the queue for the writers. Default 1,024, at least 1. Further
    /// calls wait for room.
    pub fn queue(mut self, calls: usize) -> Self {
        self.queue = calls.max(1);
        self
    }

    /// Sets how long to wait for a free connection, and for opening and checking one. Default 3 s each.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how long to wait for the answer to a query before its connection is closed. Default 5 s. The server gets
    /// the same bound for a statement and for an idle transaction.
    pub fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.answer_timeout = timeout;
        self
    }

    /// Sets how long the server waits for a lock. Default 3 s.
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// Sets how long an append is tried, from its call to its answer. Default 10 s. It should be below the engine's
    /// `Limits::store_timeout`.
    pub fn retry_for(mut self, bound: Duration) -> Self {
        self.retry_for = bound;
        self
    }

    /// Keeps at least the newest `messages` (at least 1) of each channel, and prunes older ones in the background. By
    /// default everything is kept. Either way, a nonce is kept for at least
    /// [`NONCE_LIFE`](chatcore::store::NONCE_LIFE).
    pub fn history(mut self, messages: u64) -> Self {
        self.history = Some(messages.max(1));
        self
    }

    /// Sets the root certificates, in PEM, for verifying the server. The default is the system's. Most hosted
    /// databases have their own certificate authority.
    #[cfg(feature = "tls")]
    pub fn root_certificates(mut self, pem: &[u8]) -> Self {
        self.roots = Some(pem.to_vec());
        self
    }

    /// Returns a pool of up to `connections` for the app's own use of the same database, with the same TLS and bounds.
    /// It has no connection yet. Each connection is checked before it is handed out, so the pool never hands out one
    /// that the server has closed.
    ///
    /// # Errors
    /// [`ConnectError`] if the URL is invalid or TLS can't be set up.
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

    /// Returns the settings of the bus's connections. They have no option but those of the URL.
    pub(crate) fn bus_config(&self) -> Result<PoolConfig, ConnectError> {
        let connection = self.bare_connection(self.listen_url.as_ref().unwrap_or(&self.url))?;
        Ok(PoolConfig { connection, prepare: false, ..self.pool_config()? })
    }

    fn connection(&self) -> Result<tokio_postgres::Config, ConnectError> {
        let mut config = self.bare_connection(&self.url)?;
        if !self.pgbouncer {
            // The options of the URL come last, so they win.
            let options = format!("{} {}", self.session_options(), config.get_options().unwrap_or_default());
            config.options(options.trim());
        }
        Ok(config)
    }

    fn bare_connection(&self, url: &str) -> Result<tokio_postgres::Config, ConnectError> {
        let mut config =
            tokio_postgres::Config::from_str(url).map_err(|error| ConnectError::Url(Box::new(error)))?;
        config
            .connect_timeout(self.connect_timeout)
            .keepalives(true)
            .keepalives_idle(Duration::from_secs(10))
            .keepalives_interval(Duration::from_secs(3))
            .keepalives_retries(3)
            .tcp_user_timeout(Duration::from_secs(15));
        if config.get_application_name().is_none() {
            config.application_name(&self.application_name);
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
    fn a_session_has_timeouts_unless_there_is_a_pooler() {
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
