//! Durable consumers: their positions, and the channels that have news for them.

use std::time::Duration;

use async_trait::async_trait;
use chatcore::store::{Check, Consumers, Lease, News, NewsPage, PageLimit, StartAt, StoreError};
use chatcore::{ChannelId, ConsumerName, Epoch, Position};
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::directory::{CHANNEL_COLUMNS, CHANNEL_WEIGHT, CHANNEL_WIDTH, channel_info};
use crate::error::Failure;
use crate::event::{seq, signed, unsigned};
use crate::log::one_more;
use crate::page::{PageQuery, fill};
use crate::store::PostgresStore;

/// Reads [`CHANNEL_COLUMNS`] and, after them, whether the consumer has read nothing of the channel, and its position.
fn news(row: &Row) -> Result<News, Failure> {
    let is_new: bool = row.try_get(CHANNEL_WIDTH)?;
    let epoch: &str = row.try_get(CHANNEL_WIDTH + 1)?;
    let epoch = Epoch::new(epoch).map_err(|_| Failure::Broken("invalid epoch in the database"))?;
    let check: Option<String> = row.try_get(CHANNEL_WIDTH + 3)?;
    let invalid = |_| Failure::Broken("invalid check of an event in the database");
    let check: Option<Check> =
        check.map(|check| serde_json::from_value(Value::String(check))).transpose().map_err(invalid)?;
    let check = if is_new { Some(Check::START) } else { check };
    let position = Position::new(epoch, seq(row, CHANNEL_WIDTH + 2)?).with_check(check);
    Ok(News::new(channel_info(row)?, position))
}

impl PostgresStore {
    /// Runs a statement with one row and one column as its answer.
    async fn one_value<T>(&self, sql: &str, params: &[(&(dyn ToSql + Sync), Type)]) -> Result<T, Failure>
    where
        T: for<'a> tokio_postgres::types::FromSql<'a>,
    {
        let rows = self.database.query(sql, params).await?;
        let row = rows.first().ok_or(Failure::Broken("the database returned no row"))?;
        Ok(row.try_get(0)?)
    }

    async fn create_reader(&self, name: &ConsumerName, start: StartAt, most: usize) -> Result<bool, Failure> {
        let sql = format!("SELECT {}.chat_create_consumer($1, $2, $3)", self.schema);
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.one_value(
            &sql,
            &[(&name.as_str(), Type::TEXT), (&(start == StartAt::End), Type::BOOL), (&most, Type::INT8)],
        )
        .await
    }

    async fn readers(&self) -> Result<Vec<ConsumerName>, Failure> {
        let sql = format!("SELECT name FROM {}.consumer ORDER BY name", self.schema);
        let rows = self.database.query(&sql, &[]).await?;
        let name = |row: &Row| {
            let name: &str = row.try_get(0)?;
            ConsumerName::new(name).map_err(|_| Failure::Broken("invalid name of a consumer in the database"))
        };
        rows.iter().map(name).collect()
    }

    async fn take(&self, name: &ConsumerName, holder: u64, term: Duration) -> Result<Option<Lease>, Failure> {
        let sql = format!("SELECT {}.chat_take_consumer($1, $2, $3)", self.schema);
        let holder = i64::from_ne_bytes(holder.to_ne_bytes());
        let params: [(&(dyn ToSql + Sync), Type); 3] =
            [(&name.as_str(), Type::TEXT), (&holder, Type::INT8), (&term.as_secs_f64(), Type::FLOAT8)];
        match self.one_value::<Option<i64>>(&sql, &params).await? {
            Some(0) => Err(Failure::Broken("there is no such consumer")),
            taken => Ok(taken.map(|generation| Lease::new(name.clone(), unsigned(generation)))),
        }
    }

    /// Sets the end of a lease to `seconds` from now. Returns whether it is the last one.
    async fn set_end(&self, lease: &Lease, seconds: Option<f64>) -> Result<bool, Failure> {
        let sql = format!(
            "UPDATE {}.consumer \
             SET until = coalesce(clock_timestamp() + make_interval(secs => $3), '-infinity'::timestamptz) \
             WHERE name = $1 AND generation = $2 RETURNING true",
            self.schema
        );
        let params: [(&(dyn ToSql + Sync), Type); 3] = [
            (&lease.consumer.as_str(), Type::TEXT),
            (&signed(lease.generation), Type::INT8),
            (&seconds, Type::FLOAT8),
        ];
        Ok(!self.database.query(&sql, &params).await?.is_empty())
    }

    async fn news_of(
        &self,
        name: &ConsumerName,
        after: ChannelId,
        limit: PageLimit,
    ) -> Result<NewsPage, Failure> {
        let found = format!(
            "SELECT (channel).*, is_new, epoch AS read_epoch, seq AS read_seq, event_check \
             FROM {}.chat_consumer_news($1, $2, $3)",
            self.schema
        );
        let rows = PageQuery { found: &found, key: "id", weight: CHANNEL_WEIGHT, bytes: "$4" };
        let sql = rows.select(&format!("{CHANNEL_COLUMNS}, is_new, read_epoch, read_seq, event_check"));
        let (items, bytes) = (one_more(limit), signed(limit.bytes as u64));
        let params: [(&(dyn ToSql + Sync), Type); 4] = [
            (&name.as_str(), Type::TEXT),
            (&signed(after.0), Type::INT8),
            (&items, Type::INT8),
            (&bytes, Type::INT8),
        ];
        let rows = self.database.query(&sql, &params).await?;
        let (news, more) = fill(&rows, limit, CHANNEL_WIDTH + 4, news, News::weight)?;
        Ok(NewsPage::new(news, more))
    }

    async fn set_positions(
        &self,
        lease: &Lease,
        positions: &[(ChannelId, Position)],
    ) -> Result<bool, Failure> {
        let sql = format!("SELECT {}.chat_advance($1, $2, $3, $4, $5, $6)", self.schema);
        let channels: Vec<i64> = positions.iter().map(|(channel, _)| signed(channel.0)).collect();
        let epochs: Vec<&str> = positions.iter().map(|(_, position)| position.epoch.as_str()).collect();
        let seqs: Vec<i64> = positions.iter().map(|(_, position)| signed(position.seq)).collect();
        let checks: Vec<Option<&str>> =
            positions.iter().map(|(_, position)| position.check.as_ref().map(Check::as_str)).collect();
        self.one_value(
            &sql,
            &[
                (&lease.consumer.as_str(), Type::TEXT),
                (&signed(lease.generation), Type::INT8),
                (&channels, Type::INT8_ARRAY),
                (&epochs, Type::TEXT_ARRAY),
                (&seqs, Type::INT8_ARRAY),
                (&checks, Type::TEXT_ARRAY),
            ],
        )
        .await
    }
}

#[async_trait]
impl Consumers for PostgresStore {
    async fn create_consumer_within(
        &self,
        name: &ConsumerName,
        start: StartAt,
        most: usize,
    ) -> Result<bool, StoreError> {
        let created = self.create_reader(name, start, most).await;
        created.map_err(|failure| failure.during("the consumer can't be created"))
    }

    async fn consumers(&self) -> Result<Vec<ConsumerName>, StoreError> {
        self.readers().await.map_err(|failure| failure.during("the consumers can't be read"))
    }

    async fn remove_consumer(&self, name: &ConsumerName) -> Result<bool, StoreError> {
        let sql = format!("SELECT {}.chat_remove_consumer($1)", self.schema);
        let removed = self.one_value(&sql, &[(&name.as_str(), Type::TEXT)]).await;
        removed.map_err(|failure| failure.during("the consumer can't be removed"))
    }

    async fn take_consumer(
        &self,
        name: &ConsumerName,
        holder: u64,
        term: Duration,
    ) -> Result<Option<Lease>, StoreError> {
        let taken = self.take(name, holder, term).await;
        taken.map_err(|failure| failure.during("the lease of a consumer can't be taken"))
    }

    async fn renew_lease(&self, lease: &Lease, term: Duration) -> Result<bool, StoreError> {
        let renewed = self.set_end(lease, Some(term.as_secs_f64())).await;
        renewed.map_err(|failure| failure.during("the lease of a consumer can't be renewed"))
    }

    async fn end_lease(&self, lease: &Lease) -> Result<(), StoreError> {
        let ended = self.set_end(lease, None).await;
        ended.map(drop).map_err(|failure| failure.during("the lease of a consumer can't be ended"))
    }

    async fn news(
        &self,
        name: &ConsumerName,
        after: ChannelId,
        limit: PageLimit,
    ) -> Result<NewsPage, StoreError> {
        let found = self.news_of(name, after, limit).await;
        found.map_err(|failure| failure.during("the news of a consumer can't be read"))
    }

    async fn advance(&self, lease: &Lease, positions: &[(ChannelId, Position)]) -> Result<bool, StoreError> {
        let moved = self.set_positions(lease, positions).await;
        moved.map_err(|failure| failure.during("the positions of a consumer can't be moved"))
    }
}
