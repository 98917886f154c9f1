//! The reads of the logs.

use std::collections::HashMap;

use chatcore::store::{Head, Page, PageLimit, Replay};
use chatcore::{ChannelId, Epoch, Message, Position, Seq};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::error::Failure;
use crate::event::{
    CHECK_COLUMNS, CHECK_WIDTH, MESSAGE_COLUMNS, Rows, check, event, message, message_page, seq, signed,
    unsigned,
};
use crate::store::PostgresStore;

impl PostgresStore {
    /// Returns the page of messages that [`page_sql`] or [`later_page_sql`] reads from `seq` on, in its order.
    pub(crate) async fn page(
        &self,
        sql: &str,
        channel: ChannelId,
        seq: Seq,
        limit: PageLimit,
    ) -> Result<Page, Failure> {
        let (items, bytes) = (one_more(limit), signed(limit.bytes as u64));
        let params: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 4] = [
            (&signed(channel.0), Type::INT8),
            (&signed(seq), Type::INT8),
            (&items, Type::INT8),
            (&bytes, Type::INT8),
        ];
        let rows = self.database.query(sql, &params).await?;
        message_page(&rows, &mut limit.fill())
    }

    pub(crate) async fn replay(
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

    pub(crate) async fn replays(
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

    pub(crate) async fn one(&self, channel: ChannelId, seq: Seq) -> Result<Option<Message>, Failure> {
        let sql = format!(
            "SELECT {MESSAGE_COLUMNS} FROM {}.event WHERE channel = $1 AND kind = 0 AND seq = $2",
            self.schema
        );
        let params = [signed(channel.0), signed(seq)];
        let rows = self.database.query(&sql, &[(&params[0], Type::INT8), (&params[1], Type::INT8)]).await?;
        rows.first().map(message).transpose()
    }

    pub(crate) async fn heads_of(&self, channels: &[ChannelId]) -> Result<Vec<Option<Head>>, Failure> {
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
}

/// Returns the query for the newest messages before a `seq`. Its parameters: channel, `seq`, items, bytes.
pub(crate) fn page_sql(schema: &str) -> String {
    let condition = "channel = $1 AND kind = 0 AND seq < $2";
    Rows { schema, condition, order: "seq DESC", items: "$3", bytes: "$4" }.messages()
}

/// Returns the query for the oldest messages after a `seq`. Its parameters: channel, `seq`, items, bytes.
pub(crate) fn later_page_sql(schema: &str) -> String {
    let condition = "channel = $1 AND kind = 0 AND seq > $2";
    Rows { schema, condition, order: "seq", items: "$3", bytes: "$4" }.messages()
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
