//! People who were erased. What is done with their rows is in `13_erasures.sql`.

use async_trait::async_trait;
use chatcore::store::{
    ChannelInfo, ErasedUser, Erasure, Erasures, NextTraces, StoreError, SweepTurn, Traces,
};
use chatcore::{ChannelId, Seq, UserId};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::directory::{CHANNEL_COLUMNS, channel_info};
use crate::error::Failure;
use crate::event::{channel_id, kind, signed, unsigned, user_id};
use crate::store::PostgresStore;
use crate::turn::Chore;

/// Reads the columns `chat_user`, `keeps_texts` and `done`.
fn erased(row: &Row) -> Result<ErasedUser, Failure> {
    let erasure = if row.try_get(1)? { Erasure::KeepTexts } else { Erasure::Tombstones };
    Ok(ErasedUser::new(user_id(row.try_get(0)?)?, erasure, row.try_get(2)?))
}

/// With tombstones, redacts the edits by a person in a part of a log whose message was deleted or pruned. A pruned message
/// can't be deleted, so nothing else redacts its edits. The channel's row is locked before any of its events, as an append
/// does.
fn redact_edits_sql(schema: &str) -> String {
    format!(
        "WITH held AS MATERIALIZED (SELECT c.id FROM {schema}.channel AS c WHERE c.id = $2 FOR UPDATE) \
         UPDATE {schema}.event AS e SET text = '', mentions = NULL, data = NULL \
         FROM held, {schema}.erased AS x \
         WHERE x.chat_user = $1 AND NOT x.done AND NOT x.keeps_texts \
             AND e.author = $1 AND e.channel = held.id AND e.kind = 1 \
             AND (e.channel, e.seq) > (x.channel, x.seq) AND e.seq <= $3 \
             AND (e.text <> '' OR e.mentions IS NOT NULL OR e.data IS NOT NULL) \
             AND NOT EXISTS ( \
                 SELECT FROM {schema}.event AS t WHERE t.channel = e.channel AND t.seq = e.target AND NOT t.deleted \
             )"
    )
}

impl PostgresStore {
    /// Calls a function with the person as its first parameter.
    async fn call(
        &self,
        function: &str,
        user: &UserId,
        others: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, Failure> {
        let id = user.as_str();
        let mut params: Vec<(&(dyn ToSql + Sync), Type)> = vec![(&id, Type::TEXT)];
        params.extend_from_slice(others);
        let holes: Vec<String> = (1..=params.len()).map(|hole| format!("${hole}")).collect();
        let sql = format!("SELECT * FROM {}.{function}({})", self.schema, holes.join(", "));
        self.database.query(&sql, &params).await
    }

    async fn one_erased(&self, user: &UserId) -> Result<Option<ErasedUser>, Failure> {
        let sql =
            format!("SELECT chat_user, keeps_texts, done FROM {}.erased WHERE chat_user = $1", self.schema);
        let rows = self.database.query(&sql, &[(&user.as_str(), Type::TEXT)]).await?;
        rows.first().map(erased).transpose()
    }

    async fn erasures_under_way(&self, limit: usize) -> Result<Vec<ErasedUser>, Failure> {
        let sql = format!(
            "SELECT chat_user, keeps_texts, done FROM {}.erased WHERE NOT done ORDER BY chat_user LIMIT $1",
            self.schema
        );
        let rows = self.database.query(&sql, &[(&signed(limit as u64), Type::INT8)]).await?;
        rows.iter().map(erased).collect()
    }

    async fn traces(&self, user: &UserId, limit: usize) -> Result<NextTraces, Failure> {
        let limit = signed(limit.max(1) as u64);
        let rows = self.call("chat_next_traces", user, &[(&limit, Type::INT8)]).await?;
        let Some((first, found)) = rows.split_first() else {
            return Err(Failure::Broken("the database returned no row"));
        };
        match first.try_get::<_, i16>(0)? {
            0 => return Ok(NextTraces::Nothing),
            1 => return Ok(NextTraces::Later),
            _ => {}
        }
        let info = self.channel_of(channel_id(first.try_get(1)?)).await?;
        let through: i64 = first.try_get(2)?;
        let mut traces = Traces::new(info, if through == i64::MAX { Seq::MAX } else { unsigned(through) });
        for row in found {
            let seq = unsigned(row.try_get(4)?);
            if row.try_get::<_, i16>(3)? == kind::MESSAGE {
                traces.messages.push(seq);
                continue;
            }
            let reaction = (seq, row.try_get(5)?);
            if !traces.reactions.contains(&reaction) {
                traces.reactions.push(reaction);
            }
        }
        Ok(NextTraces::Found(traces))
    }

    /// Covers a part of a log. Its texts go before its mark moves, so after a crash between the two they go again.
    async fn cover(&self, user: &UserId, channel: ChannelId, through: Seq) -> Result<(), Failure> {
        let (id, channel, through) = (user.as_str(), signed(channel.0), signed(through));
        let part: [(&(dyn ToSql + Sync), Type); 2] = [(&channel, Type::INT8), (&through, Type::INT8)];
        let params = [(&id as &(dyn ToSql + Sync), Type::TEXT), part[0].clone(), part[1].clone()];
        self.database.query(&redact_edits_sql(&self.schema), &params).await?;
        self.call("chat_cover_traces", user, &part).await.map(drop)
    }

    async fn channel_of(&self, id: ChannelId) -> Result<ChannelInfo, Failure> {
        let sql = format!("SELECT {CHANNEL_COLUMNS} FROM {}.channel WHERE id = $1", self.schema);
        let rows = self.database.query(&sql, &[(&signed(id.0), Type::INT8)]).await?;
        channel_info(rows.first().ok_or(Failure::Broken("an event in the database has no channel"))?)
    }

    async fn let_in(&self, user: &UserId) -> Result<bool, Failure> {
        let sql = format!("SELECT {}.chat_readmit($1)", self.schema);
        // Not repeated: a second try would find nobody.
        let rows = self.database.query_once(&sql, &[(&user.as_str(), Type::TEXT)]).await?;
        let row = rows.first().ok_or(Failure::Broken("the database returned no row"))?;
        Ok(row.try_get(0)?)
    }
}

#[async_trait]
impl Erasures for PostgresStore {
    async fn begin_erasure(&self, user: &UserId, erasure: Erasure) -> Result<(), StoreError> {
        let keeps_texts = erasure == Erasure::KeepTexts;
        let begun = self.call("chat_begin_erasure", user, &[(&keeps_texts, Type::BOOL)]).await;
        begun.map(drop).map_err(|f| f.during("the erasure can't begin"))
    }

    async fn erased_user(&self, user: &UserId) -> Result<Option<ErasedUser>, StoreError> {
        self.one_erased(user).await.map_err(|f| f.during("the erasure can't be read"))
    }

    async fn erasures(&self, limit: usize) -> Result<Vec<ErasedUser>, StoreError> {
        self.erasures_under_way(limit).await.map_err(|f| f.during("the erasures can't be read"))
    }

    async fn next_traces(&self, user: &UserId, limit: usize) -> Result<NextTraces, StoreError> {
        let traces = self.traces(user, limit).await;
        traces.map_err(|f| f.during("the traces of an erased person can't be read"))
    }

    async fn cover_traces(&self, user: &UserId, channel: ChannelId, through: Seq) -> Result<(), StoreError> {
        let covered = self.cover(user, channel, through).await;
        covered.map_err(|f| f.during("the traces of an erased person can't be covered"))
    }

    async fn end_erasure(&self, user: &UserId) -> Result<(), StoreError> {
        let ended = self.call("chat_end_erasure", user, &[]).await;
        ended.map(drop).map_err(|f| f.during("the erasure can't be ended"))
    }

    async fn readmit(&self, user: &UserId) -> Result<bool, StoreError> {
        self.let_in(user).await.map_err(|f| f.during("the user can't be readmitted"))
    }

    async fn erasure_turn(&self) -> Result<Option<SweepTurn>, StoreError> {
        let turn = self.turns.turn(&self.schema, Chore::Erase).await;
        let turn = turn.map_err(|f| f.during("the turn to erase can't be taken"))?;
        Ok(turn.map(SweepTurn::held_by))
    }
}
