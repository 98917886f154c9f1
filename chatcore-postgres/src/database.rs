//! The database: a pool of connections, and queries with their bounds.

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Status};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};
use tokio_postgres::config::SslMode;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Connection, NoTls, Row};
#[cfg(feature = "tls")]
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::{ConnectError, Failure, Remedy};
use crate::pool::{take_connection, take_new_connection};

/// A statement's parameters with their types, so that it needs no round trip to be prepared.
pub(crate) type Params<'a> = &'a [(&'a (dyn ToSql + Sync), Type)];

/// A pool of connections to one database.
#[derive(Clone)]
pub(crate) struct Database {
    pool: Pool,
    prepare: bool,
    answer_timeout: Duration,
}

/// How to connect to a database, and how long to wait for it.
#[derive(Debug)]
pub(crate) struct PoolConfig {
    pub(crate) connection: tokio_postgres::Config,
    /// Whether statements are prepared by name.
    pub(crate) prepare: bool,
    pub(crate) connect_timeout: Duration,
    pub(crate) answer_timeout: Duration,
    /// The root certificates in PEM. `None` for the system's.
    #[cfg(feature = "tls")]
    pub(crate) roots: Option<Vec<u8>>,
}

impl PoolConfig {
    /// Returns a pool of up to `connections`. It has no connection yet.
    pub(crate) fn pool(&self, connections: usize, recycling: RecyclingMethod) -> Result<Pool, ConnectError> {
        Pool::builder(self.manager(ManagerConfig { recycling_method: recycling })?)
            .max_size(connections)
            .wait_timeout(Some(self.connect_timeout))
            .create_timeout(Some(self.connect_timeout))
            .recycle_timeout(Some(self.connect_timeout))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| ConnectError::Database(Box::new(error)))
    }

    fn manager(&self, recycling: ManagerConfig) -> Result<Manager, ConnectError> {
        let config = self.connection.clone();
        Ok(match self.connector()? {
            Connector::Plain => Manager::from_config(config, NoTls, recycling),
            #[cfg(feature = "tls")]
            Connector::Tls(tls) => Manager::from_config(config, tls, recycling),
        })
    }

    /// Returns what connects, with TLS or without.
    pub(crate) fn connector(&self) -> Result<Connector, ConnectError> {
        if self.connection.get_ssl_mode() == SslMode::Disable {
            return Ok(Connector::Plain);
        }
        #[cfg(feature = "tls")]
        return Ok(Connector::Tls(crate::tls::connector(self.roots.as_deref())?));
        #[cfg(not(feature = "tls"))]
        match self.connection.get_ssl_mode() {
            SslMode::Prefer => Ok(Connector::Plain),
            _ => Err(ConnectError::NoTls),
        }
    }
}

/// What opens connections, with TLS or without.
pub(crate) enum Connector {
    Plain,
    #[cfg(feature = "tls")]
    Tls(MakeRustlsConnect),
}

/// What a server sends on a connection without being asked, until the connection ends. Queries on the connection make
/// progress while this is polled.
pub(crate) type Messages = BoxStream<'static, Result<AsyncMessage, tokio_postgres::Error>>;

impl Connector {
    /// Opens a connection outside of any pool.
    pub(crate) async fn open(
        &self,
        config: &tokio_postgres::Config,
    ) -> Result<(Client, Messages), tokio_postgres::Error> {
        match self {
            Self::Plain => config.connect(NoTls).await.map(with_messages),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => config.connect(tls.clone()).await.map(with_messages),
        }
    }
}

fn with_messages<S, T>((client, mut connection): (Client, Connection<S, T>)) -> (Client, Messages)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    (client, stream::poll_fn(move |context| connection.poll_message(context)).boxed())
}

impl Database {
    /// Returns a database with a pool of up to `connections`. It has no connection yet.
    pub(crate) fn new(config: &PoolConfig, connections: usize) -> Result<Self, ConnectError> {
        // A query finds a dead connection by itself. Checking each one first would double the round trips.
        let pool = config.pool(connections, RecyclingMethod::Fast)?;
        Ok(Self { pool, prepare: config.prepare, answer_timeout: config.answer_timeout })
    }

    pub(crate) fn pool_status(&self) -> Status {
        self.pool.status()
    }

    pub(crate) async fn connection(&self) -> Result<Object, Failure> {
        Ok(take_connection(&self.pool).await?)
    }

    /// Runs a statement that may be repeated. If its connection was gone, as the pool's are after a restart of the
    /// server, runs it once more on a new one.
    pub(crate) async fn query(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Failure> {
        match self.query_once(sql, params).await {
            Err(failure) if failure.is_of_a_lost_connection() => self.query_anew(sql, params).await,
            outcome => outcome,
        }
    }

    /// Runs a statement. Repeats it only if nothing was done because the connection's server is, or was, read-only.
    pub(crate) async fn query_once(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Failure> {
        let connection = self.connection().await?;
        match self.on(connection, Instant::now() + self.answer_timeout, sql, params).await {
            Err(failure) if failure.is_read_only() => self.query_anew(sql, params).await,
            outcome => outcome,
        }
    }

    async fn query_anew(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Failure> {
        let connection = take_new_connection(&self.pool).await?;
        self.on(connection, Instant::now() + self.answer_timeout, sql, params).await
    }

    /// Runs a statement and gives up at `deadline`.
    pub(crate) async fn query_until(
        &self,
        deadline: Instant,
        sql: &str,
        params: Params<'_>,
    ) -> Result<Vec<Row>, Failure> {
        let connection = timeout_at(deadline, self.connection()).await.unwrap_or(Err(Failure::Timeout))?;
        self.on(connection, deadline.min(Instant::now() + self.answer_timeout), sql, params).await
    }

    /// Runs a statement on a connection. If the connection may be the cause of a failure, it is not used again.
    async fn on(
        &self,
        connection: Object,
        deadline: Instant,
        sql: &str,
        params: Params<'_>,
    ) -> Result<Vec<Row>, Failure> {
        let answer = timeout_at(deadline, self.run(&connection, sql, params)).await;
        let outcome = answer.unwrap_or(Err(Failure::Timeout));
        if let Err(failure) = &outcome
            && failure.remedy() == Remedy::Again
        {
            drop(Object::take(connection));
        }
        outcome
    }

    async fn run(&self, connection: &Object, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Failure> {
        if !self.prepare {
            return Ok(connection.query_typed(sql, params).await?);
        }
        let types: Vec<Type> = params.iter().map(|(_, kind)| kind.clone()).collect();
        let values: Vec<&(dyn ToSql + Sync)> = params.iter().map(|(value, _)| *value).collect();
        let statement = connection.prepare_typed_cached(sql, &types).await?;
        Ok(connection.query(&statement, &values).await?)
    }
}
