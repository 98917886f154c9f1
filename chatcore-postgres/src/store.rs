//! The store: a handle to one schema of a database.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chatcore::store::{
    Append, AppendError, Appended, Durability, EventStore, Found, Head, NONCE_LIFE, Page, PageLimit, Replay,
    StoreError,
};
use chatcore::{ChannelId, Message, Position, SearchQuery, Seq, Timestamp};
use tokio_postgres::Transaction;
use tokio_postgres::types::Type;

use crate::append::Call;
use crate::blobs::{Files, PostgresBlobs};
use crate::config::{Builder, check_schema};
use crate::database::Database;
use crate::error::{ConnectError, Failure, InvalidSchemaName};
use crate::event::signed;
use crate::item::Item;
use crate::log::{later_page_sql, page_sql};
use crate::retention::Retention;
use crate::schema;
use crate::search::{self, SearchIndex};
use crate::users;
use crate::writer::Writers;

/// The most events, and the most nonces, that one transaction of a prune removes. It bounds how long appends wait.
const PRUNE_STEP: i64 = 1_000;

/// The most turns that a process has at the same time.
const TURNS: usize = 3;

/// A durable [`Store`](chatcore::store::Store) in a PostgreSQL database. Clones are handles to the same connections.
/// Several processes may have a store on the same schema.
///
/// - Writer tasks put all waiting appends into one transaction, which the server syncs to its disk once, and then
///   answer them.
/// - If the future of an append is dropped, the append happens as a whole or not at all.
/// - While the database is away, an append is tried again for [`Builder::retry_for`]. After a [`StoreError`] its
///   outcome is unknown.
///
/// Connect and use the store inside a tokio runtime.
#[derive(Clone)]
pub struct PostgresStore {
    pub(crate) database: Database,
    pub(crate) schema: Arc<str>,
    pub(crate) search_index: Option<SearchIndex>,
    /// For files.
    files: Database,
    /// For turns, which close their connections.
    pub(crate) turns: Database,
    writers: Writers,
    _retention: Option<Arc<Retention>>,
}

impl Builder {
    /// Connects and brings the schema up to date.
    ///
    /// # Errors
    /// [`ConnectError`] if the settings are invalid, the database can't be used, or the schema is not one that this
    /// version supports.
    pub async fn connect(self) -> Result<PostgresStore, ConnectError> {
        PostgresStore::connect_with(&self).await
    }
}

impl PostgresStore {
    /// Connects to the database at `url` and brings the schema `chatcore` up to date. A URL is
    /// `postgres://user:password@host/database`, or `key=value` pairs as for libpq.
    ///
    /// # Errors
    /// [`ConnectError`] if the URL is invalid, the database can't be used, or the schema is not one that this version
    /// supports.
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        Self::builder(url).connect().await
    }

    /// Returns the settings for connecting to `url`, at their defaults.
    pub fn builder(url: &str) -> Builder {
        Builder::new(url)
    }

    /// Returns the script that creates the schema, as [`connect`](Self::connect) would. An administrator runs it on a
    /// database without the schema.
    ///
    /// # Errors
    /// [`InvalidSchemaName`] if `schema` is not a valid name.
    pub fn migrations_sql(schema: &str) -> Result<String, InvalidSchemaName> {
        check_schema(schema)?;
        Ok(schema::script(schema))
    }

    /// Returns the script that creates the search index of [`Builder::search_index`]. It runs after
    /// [`migrations_sql`](Self::migrations_sql).
    ///
    /// # Errors
    /// [`InvalidSchemaName`] if `schema` is not a valid name.
    pub fn search_index_sql(schema: &str) -> Result<String, InvalidSchemaName> {
        check_schema(schema)?;
        Ok(search::script(schema))
    }

    async fn connect_with(builder: &Builder) -> Result<Self, ConnectError> {
        check_schema(&builder.schema)?;
        let config = builder.pool_config()?;
        let database = Database::new(&config, builder.connections)?;
        let mut connection = database.connection().await.map_err(Failure::on_connect)?;
        let failed = |error: tokio_postgres::Error| Failure::from(error).on_connect();
        let transaction = connection.transaction().await.map_err(failed)?;
        schema::check_encoding(&transaction).await?;
        schema::migrate(&transaction, &builder.schema, builder.migrate).await?;
        schema::enter_looks(&transaction, &builder.schema).await?;
        users::enter_folded(&transaction, &builder.schema).await?;
        let search_index = match builder.search_index {
            true => Some(SearchIndex::open(&transaction, &builder.schema, builder.migrate).await?),
            false => None,
        };
        transaction.commit().await.map_err(failed)?;
        drop(connection);
        let appends = Database::new(&config, builder.writers)?;
        // Connects now: otherwise reads could take the server's last connection, and nothing could be appended.
        drop(appends.connection().await.map_err(Failure::on_connect)?);
        let writers = Writers::start(builder, &appends);
        let schema = builder.schema.as_str().into();
        // These connect when they are first used.
        let (files, turns) =
            (Database::new(&config, builder.blob_connections)?, Database::new(&config, TURNS)?);
        let store = Self { database, schema, search_index, files, turns, writers, _retention: None };
        // The task's own handle does not keep the task alive, so it ends with the caller's last handle.
        let retention = builder.history.map(|messages| Retention::start(store.clone(), messages));
        Ok(Self { _retention: retention, ..store })
    }

    /// Appends an item in the app's own transaction: the item is in the log if and only if the app's changes commit.
    ///
    /// - The channel's row stays locked until the commit, and other appends to the channel wait. So commit soon.
    /// - A running chat learns of the item with the channel's next append, or when it reads the log again. Call
    ///   `Chat::wake` after the commit, and it learns of it at once.
    ///
    /// # Errors
    /// - [`AppendError::Store`] if the database failed. PostgreSQL then refuses all further work in the transaction.
    ///   With an isolation stricter than READ COMMITTED, this is also the error if the channel has changed since the
    ///   transaction began.
    /// - Another [`AppendError`] if the item is refused. The transaction stays as it was.
    pub async fn publish_in(
        &self,
        transaction: &Transaction<'_>,
        item: Append,
    ) -> Result<Appended, AppendError> {
        const WHAT: &str = "the item could not be appended in the transaction";
        let items = Item::all(vec![item]).into_iter().collect::<Result<Vec<_>, _>>()?;
        let call = Call::new(&items);
        let rows = transaction
            .query_typed(&Call::sql(&self.schema), &call.params())
            .await
            .map_err(|error| Failure::from(error).during(WHAT))?;
        let mut answers = call.answers(&rows).map_err(|failure| failure.during(WHAT))?;
        answers.remove(0)
    }

    /// Returns a store for the bytes of attachments, in the same schema. Its background task ends with its last clone.
    ///
    /// ```no_run
    /// use chatcore::Chat;
    /// use chatcore_postgres::PostgresStore;
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let store = PostgresStore::connect("postgres://chat:secret@localhost/app").await?;
    /// let chat = Chat::builder(store.clone()).blobs(store.blobs()).build();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// Panics outside of a tokio runtime.
    #[must_use]
    pub fn blobs(&self) -> PostgresBlobs {
        let files = Files { database: self.files.clone(), schema: Arc::clone(&self.schema) };
        PostgresBlobs::start(files, self.turns.clone())
    }

    /// Gives every channel a new epoch, so that every client that resumes gets a reset. Call it before a chat
    /// serves the database, once after you restored it from a backup or promoted a standby without the last
    /// commits. A client that sends the check of its last event gets a reset anyway if it has seen lost events; a
    /// client of an earlier version needs the new epoch.
    ///
    /// # Errors
    /// [`StoreError`] if the database can't be written.
    pub async fn renew_epochs(&self) -> Result<(), StoreError> {
        let sql =
            format!("UPDATE {}.channel SET epoch = replace(gen_random_uuid()::text, '-', '')", self.schema);
        let renewed = self.database.query(&sql, &[]).await;
        renewed.map(drop).map_err(|failure| failure.during("the epochs can't be renewed"))
    }

    /// Returns how many connections the pool for reads has, and how many reads wait for one. The writers have
    /// their own connections.
    #[must_use]
    pub fn pool_status(&self) -> deadpool_postgres::Status {
        self.database.pool_status()
    }

    async fn prune_step(&self, channel: ChannelId, through: Seq, now: Timestamp) -> Result<bool, Failure> {
        let sql = format!("SELECT {}.chat_prune($1, $2, $3, $4)", self.schema);
        let expired = now.minus(NONCE_LIFE).as_millis();
        let rows = self
            .database
            .query(
                &sql,
                &[
                    (&signed(channel.0), Type::INT8),
                    (&signed(through), Type::INT8),
                    (&expired, Type::INT8),
                    (&PRUNE_STEP, Type::INT8),
                ],
            )
            .await?;
        let more: Option<bool> = rows.first().map(|row| row.try_get(0)).transpose()?.flatten();
        more.ok_or(Failure::Broken("there is no such channel"))
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("schema", &self.schema).finish_non_exhaustive()
    }
}

#[async_trait]
impl EventStore for PostgresStore {
    async fn append(&self, batch: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
        self.writers.append(batch).await
    }

    async fn after(
        &self,
        channel: ChannelId,
        position: &Position,
        limit: PageLimit,
    ) -> Result<Replay, StoreError> {
        self.replay(channel, position, limit).await.map_err(|f| f.during("the log can't be read"))
    }

    async fn after_many(
        &self,
        positions: &[(ChannelId, Position)],
        limit: PageLimit,
    ) -> Result<Vec<Option<Replay>>, StoreError> {
        self.replays(positions, limit).await.map_err(|f| f.during("the logs can't be read"))
    }

    async fn messages_before(
        &self,
        channel: ChannelId,
        before: Seq,
        limit: PageLimit,
    ) -> Result<Page, StoreError> {
        let page = self.page(&page_sql(&self.schema), channel, before, limit).await;
        let mut page = page.map_err(|f| f.during("the messages can't be read"))?;
        page.messages.reverse();
        Ok(page)
    }

    async fn messages_after(
        &self,
        channel: ChannelId,
        after: Seq,
        limit: PageLimit,
    ) -> Result<Page, StoreError> {
        let page = self.page(&later_page_sql(&self.schema), channel, after, limit).await;
        page.map_err(|f| f.during("the messages can't be read"))
    }

    async fn search(
        &self,
        channel: ChannelId,
        query: &SearchQuery,
        before: Seq,
        limit: PageLimit,
    ) -> Result<Found, StoreError> {
        self.find_messages(channel, query, before, limit).await
    }

    async fn message(&self, channel: ChannelId, seq: Seq) -> Result<Option<Message>, StoreError> {
        self.one(channel, seq).await.map_err(|f| f.during("the message can't be read"))
    }

    async fn heads(&self, channels: &[ChannelId]) -> Result<Vec<Option<Head>>, StoreError> {
        self.heads_of(channels).await.map_err(|f| f.during("the heads can't be read"))
    }

    /// Prunes in several transactions, so that no append waits long. If it fails or is dropped between two of them,
    /// the log is trimmed less far.
    async fn prune(&self, channel: ChannelId, through: Seq, now: Timestamp) -> Result<(), StoreError> {
        let step = async || self.prune_step(channel, through, now).await;
        while step().await.map_err(|f| f.during("the log can't be pruned"))? {}
        Ok(())
    }

    fn durability(&self) -> Durability {
        Durability::Disk
    }

    fn shared(&self) -> bool {
        true
    }
}
