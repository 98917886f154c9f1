//! The store: a handle to one schema of a database, and the reads of its logs.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chatcore::store::Append;
use chatcore::store::{
    AppendError, Appended, Durability, EventStore, Found, Head, NONCE_LIFE, Page, PageLimit, Replay,
    StoreError,
};
use chatcore::{ChannelId, Epoch, Message, Position, SearchQuery, Seq, Timestamp};
use tokio_postgres::types::Type;
use tokio_postgres::{Row, Transaction};

use crate::append::{Call, Item};
use crate::blobs::{Files, PostgresBlobs};
use crate::config::{Builder, check_schema};
use crate::database::Database;
use crate::error::{ConnectError, Failure, InvalidSchemaName};
use crate::event::{
    CHECK_COLUMNS, CHECK_WIDTH, MESSAGE_COLUMNS, Rows, check, event, message, message_page, seq, signed,
    unsigned,
};
use crate::retention::Retention;
use crate::schema;
use crate::search::{self, SearchIndex};
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

    async fn page(&self, channel: ChannelId, before: Seq, limit: PageLimit) -> Result<Page, Failure> {
        let (items, bytes) = (one_more(limit), signed(limit.bytes as u64));
        let params: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 4] = [
            (&signed(channel.0), Type::INT8),
            (&signed(before), Type::INT8),
            (&items, Type::INT8),
            (&bytes, Type::INT8),
        ];
        let rows = self.database.query(&page_sql(&self.schema), &params).await?;
        let mut page = message_page(&rows, &mut limit.fill())?;
        page.messages.reverse();
        Ok(page)
    }

    async fn replay(
        &self,
        channel: ChannelId,
        position: &Position,
        limit: PageLimit,
    ) -> Result<Replay, Failure> {
        // One statement, so that the head and the events belong together.
        let rows = Rows {
            schema: &self.schema,
            condition: "channel = c.id AND seq > $3",
            order: "seq",
            items: "$4",
            bytes: "$5",
        };
        let sql = format!(
            "SELECT c.epoch, c.last_seq, c.trimmed, p.*, e.* FROM {0}.channel AS c \
             LEFT JOIN LATERAL ( \
                 SELECT {CHECK_COLUMNS} FROM {0}.event WHERE channel = c.id AND seq = $3 \
             ) AS p ON true \
             LEFT JOIN LATERAL ({1}) AS e ON c.epoch = $2 AND c.trimmed <= $3 WHERE c.id = $1 ORDER BY e.seq",
            self.schema,
            rows.events()
        );
        let rows = self
            .database
            .query(
                &sql,
                &[
                    (&signed(channel.0), Type::INT8),
                    (&position.epoch.as_str(), Type::TEXT),
                    (&signed(position.seq), Type::INT8),
                    (&one_more(limit), Type::INT8),
                    (&signed(limit.bytes as u64), Type::INT8),
                ],
            )
            .await?;
        if rows.is_empty() {
            return Err(Failure::Broken("there is no such channel"));
        }
        match valid_replay(&rows, 0, position, limit)? {
            Some(replay) => Ok(replay),
            None => {
                let head = self.heads_of(&[channel]).await?.pop().flatten();
                head.map(Replay::Reset).ok_or(Failure::Broken("there is no such channel"))
            }
        }
    }

    async fn replays(
        &self,
        positions: &[(ChannelId, Position)],
        limit: PageLimit,
    ) -> Result<Vec<Option<Replay>>, Failure> {
        let rows = Rows {
            schema: &self.schema,
            condition: "channel = c.id AND seq > asked.seq",
            order: "seq",
            items: "$4",
            bytes: "$5",
        };
        let sql = format!(
            "SELECT asked.n, c.epoch, c.last_seq, c.trimmed, p.*, e.* \
             FROM unnest($1, $2, $3) WITH ORDINALITY AS asked (id, epoch, seq, n) \
             JOIN {0}.channel AS c ON c.id = asked.id \
             LEFT JOIN LATERAL ( \
                 SELECT {CHECK_COLUMNS} FROM {0}.event WHERE channel = c.id AND seq = asked.seq \
             ) AS p ON true \
             LEFT JOIN LATERAL ({1}) AS e ON c.epoch = asked.epoch AND c.trimmed <= asked.seq \
             ORDER BY asked.n, e.seq",
            self.schema,
            rows.events()
        );
        let ids: Vec<i64> = positions.iter().map(|(channel, _)| signed(channel.0)).collect();
        let epochs: Vec<&str> = positions.iter().map(|(_, position)| position.epoch.as_str()).collect();
        let seqs: Vec<i64> = positions.iter().map(|(_, position)| signed(position.seq)).collect();
        let rows = self
            .database
            .query(
                &sql,
                &[
                    (&ids, Type::INT8_ARRAY),
                    (&epochs, Type::TEXT_ARRAY),
                    (&seqs, Type::INT8_ARRAY),
                    (&one_more(limit), Type::INT8),
                    (&signed(limit.bytes as u64), Type::INT8),
                ],
            )
            .await?;
        let mut replays: Vec<Option<Replay>> = vec![None; positions.len()];
        let mut invalid = Vec::new();
        let numbers = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<i64>, _>>()?;
        for of_one in numbers.chunk_by(i64::eq).scan(0, |start, numbers| {
            let range = *start..*start + numbers.len();
            *start = range.end;
            Some(range)
        }) {
            let at = usize::try_from(numbers[of_one.start] - 1).unwrap_or(usize::MAX);
            let Some((_, position)) = positions.get(at) else { continue };
            replays[at] = valid_replay(&rows[of_one], 1, position, limit)?;
            if replays[at].is_none() {
                invalid.push(at);
            }
        }
        if !invalid.is_empty() {
            let channels: Vec<_> = invalid.iter().map(|at| positions[*at].0).collect();
            for (at, head) in invalid.into_iter().zip(self.heads_of(&channels).await?) {
                replays[at] = head.map(Replay::Reset);
            }
        }
        Ok(replays)
    }

    async fn one(&self, channel: ChannelId, seq: Seq) -> Result<Option<Message>, Failure> {
        let sql = format!(
            "SELECT {MESSAGE_COLUMNS} FROM {}.event WHERE channel = $1 AND kind = 0 AND seq = $2",
            self.schema
        );
        let params = [signed(channel.0), signed(seq)];
        let rows = self.database.query(&sql, &[(&params[0], Type::INT8), (&params[1], Type::INT8)]).await?;
        rows.first().map(message).transpose()
    }

    async fn heads_of(&self, channels: &[ChannelId]) -> Result<Vec<Option<Head>>, Failure> {
        let ids: Vec<i64> = channels.iter().map(|id| signed(id.0)).collect();
        let sql = format!(
            "SELECT c.epoch, c.last_seq, c.id, e.* FROM {0}.channel AS c LEFT JOIN LATERAL ( \
                 SELECT {CHECK_COLUMNS} FROM {0}.event WHERE channel = c.id AND seq = c.last_seq \
             ) AS e ON true WHERE c.id = ANY ($1)",
            self.schema
        );
        let rows = self.database.query(&sql, &[(&ids, Type::INT8_ARRAY)]).await?;
        let mut heads: HashMap<i64, Head> = HashMap::new();
        for row in &rows {
            let seq = seq(row, 1)?;
            heads.insert(row.try_get(2)?, Head::new(epoch(row, 0)?, seq, check(row, 3, seq)?));
        }
        Ok(ids.iter().map(|id| heads.get(id).cloned()).collect())
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

/// Returns the query for the newest messages before a `seq`. Its parameters: channel, `seq`, items, bytes.
pub(crate) fn page_sql(schema: &str) -> String {
    let condition = "channel = $1 AND kind = 0 AND seq < $2";
    Rows { schema, condition, order: "seq DESC", items: "$3", bytes: "$4" }.messages()
}

/// Reads the rows of one channel, whose columns begin at `first`: its epoch, head and trimmed `seq`, the check of the
/// position, and an event. Returns `None` if the position is not valid.
fn valid_replay(
    rows: &[Row],
    first: usize,
    position: &Position,
    limit: PageLimit,
) -> Result<Option<Replay>, Failure> {
    let row = &rows[0];
    let (epoch, last) = (epoch(row, first)?, seq(row, first + 1)?);
    let trimmed = unsigned(row.try_get(first + 2)?);
    if position.epoch != epoch
        || position.seq > last
        || position.seq < trimmed
        || !position.fits(check(row, first + 3, position.seq)?)
    {
        return Ok(None);
    }
    let from = first + 3 + CHECK_WIDTH;
    let none = row.try_get::<_, Option<i64>>(from)?.is_none();
    let rows = if none { &[] } else { rows };
    let mut page = limit.fill();
    let mut events = Vec::with_capacity(rows.len());
    for row in rows {
        let event = event(row, from)?;
        if !page.take(event.weight()) {
            break;
        }
        events.push(event);
    }
    let more = events.last().map_or(position.seq, |event| event.seq) < last;
    Ok(Some(Replay::Events { events, more }))
}

/// Returns one item more than a page has, which shows whether there are more pages.
pub(crate) fn one_more(limit: PageLimit) -> i64 {
    signed((limit.items as u64).saturating_add(1))
}

fn epoch(row: &Row, column: usize) -> Result<Epoch, Failure> {
    let epoch: &str = row.try_get(column)?;
    Epoch::new(epoch).map_err(|_| Failure::Broken("invalid epoch in the database"))
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
        self.page(channel, before, limit).await.map_err(|f| f.during("the messages can't be read"))
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
