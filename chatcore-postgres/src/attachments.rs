//! The attachment index: all uploads, and those that can be removed.

use async_trait::async_trait;
use chatcore::store::{AttachmentIndex, FileBytes, StoreError, SweepTurn, Upload};
use chatcore::{AttachmentId, ChannelName, Timestamp, UserId};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::error::Failure;
use crate::event::{at, channel_id, signed, unsigned, upload_state, upload_state_columns, user_id};
use crate::store::PostgresStore;
use crate::turn::Chore;

fn read(row: &Row) -> Result<Upload, Failure> {
    let (attachment, name): (&str, &str) = (row.try_get(0)?, row.try_get(2)?);
    let attachment =
        serde_json::from_str(attachment).map_err(|_| Failure::Broken("invalid upload in the database"))?;
    let name =
        ChannelName::existing(name).map_err(|_| Failure::Broken("invalid channel name in the database"))?;
    let (channel, owner) = (channel_id(row.try_get(1)?), user_id(row.try_get(3)?)?);
    let state = upload_state(row.try_get(5)?, row.try_get(6)?)?;
    Ok(Upload::new(attachment, channel, name, owner, at(row, 4)?).with_state(state))
}

impl PostgresStore {
    async fn enter(&self, upload: &Upload, most: FileBytes) -> Result<bool, Failure> {
        let sql =
            format!("SELECT {}.chat_put_upload($1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9, $10)", self.schema);
        let bound = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let attachment = serde_json::to_string(&upload.attachment)
            .map_err(|_| Failure::Broken("the upload can't be written as JSON"))?;
        let (state, seq) = upload_state_columns(upload.state);
        let rows = self
            .database
            .query(
                &sql,
                &[
                    (&upload.attachment.id.as_str(), Type::TEXT),
                    (&signed(upload.channel.0), Type::INT8),
                    (&upload.channel_name.as_str(), Type::TEXT),
                    (&upload.owner.as_str(), Type::TEXT),
                    (&upload.at.as_millis(), Type::INT8),
                    (&state, Type::INT2),
                    (&seq, Type::INT8),
                    (&attachment, Type::TEXT),
                    (&bound(most.owner), Type::INT8),
                    (&bound(most.all), Type::INT8),
                ],
            )
            .await?;
        let row = rows.first().ok_or(Failure::Broken("the database returned no row"))?;
        Ok(row.try_get(0)?)
    }

    async fn count_bytes(&self, owner: &UserId) -> Result<FileBytes, Failure> {
        let sql = format!("SELECT owner, bytes FROM {}.file_bytes WHERE owner IN ('', $1)", self.schema);
        let mut bytes = FileBytes::default();
        for row in self.database.query(&sql, &[(&owner.as_str(), Type::TEXT)]).await? {
            let of = if row.try_get::<_, &str>(0)?.is_empty() { &mut bytes.all } else { &mut bytes.owner };
            *of = unsigned(row.try_get(1)?);
        }
        Ok(bytes)
    }

    async fn find_upload(&self, id: &AttachmentId) -> Result<Option<Upload>, Failure> {
        let sql = format!(
            "SELECT attachment::text, channel, channel_name, owner, at, state, seq \
             FROM {}.upload WHERE id = $1",
            self.schema
        );
        let rows = self.database.query(&sql, &[(&id.as_str(), Type::TEXT)]).await?;
        rows.first().map(read).transpose()
    }

    async fn unneeded(&self, before: Timestamp, limit: usize) -> Result<Vec<AttachmentId>, Failure> {
        let sql = format!(
            "SELECT id FROM {}.upload WHERE reclaimable_from < $1 ORDER BY reclaimable_from LIMIT $2",
            self.schema
        );
        let (before, limit) = (before.as_millis(), signed(limit as u64));
        let rows = self.database.query(&sql, &[(&before, Type::INT8), (&limit, Type::INT8)]).await?;
        let id = |row: &Row| {
            AttachmentId::new(row.try_get::<_, &str>(0)?)
                .map_err(|_| Failure::Broken("invalid upload id in the database"))
        };
        rows.iter().map(id).collect()
    }

    async fn bring_back(&self, now: Timestamp) -> Result<(), Failure> {
        let sql = format!("UPDATE {}.upload SET at = $1 WHERE reclaimable_from > $1", self.schema);
        self.database.query(&sql, &[(&now.as_millis(), Type::INT8)]).await?;
        Ok(())
    }

    async fn claim(&self, id: &AttachmentId) -> Result<bool, Failure> {
        let sql = format!(
            "WITH claimed AS (UPDATE {0}.upload SET state = 3, seq = NULL \
                 WHERE id = $1 AND state <> 2 RETURNING id) \
             SELECT EXISTS (SELECT FROM claimed) OR NOT EXISTS (SELECT FROM {0}.upload WHERE id = $1)",
            self.schema
        );
        let rows = self.database.query(&sql, &[(&id.as_str(), Type::TEXT)]).await?;
        let row = rows.first().ok_or(Failure::Broken("the database returned no row"))?;
        Ok(row.try_get(0)?)
    }

    async fn remove(&self, id: &AttachmentId) -> Result<(), Failure> {
        let sql = format!("DELETE FROM {}.upload WHERE id = $1 AND state = 3", self.schema);
        self.database.query(&sql, &[(&id.as_str(), Type::TEXT)]).await?;
        Ok(())
    }
}

#[async_trait]
impl AttachmentIndex for PostgresStore {
    async fn put_upload_within(&self, upload: &Upload, most: FileBytes) -> Result<bool, StoreError> {
        self.enter(upload, most).await.map_err(|f| f.during("the upload can't be entered"))
    }

    async fn file_bytes(&self, owner: &UserId) -> Result<FileBytes, StoreError> {
        self.count_bytes(owner).await.map_err(|f| f.during("the bytes of files can't be read"))
    }

    async fn upload(&self, id: &AttachmentId) -> Result<Option<Upload>, StoreError> {
        self.find_upload(id).await.map_err(|f| f.during("the upload can't be read"))
    }

    async fn reclaimable(&self, before: Timestamp, limit: usize) -> Result<Vec<AttachmentId>, StoreError> {
        self.unneeded(before, limit).await.map_err(|f| f.during("the uploads can't be read"))
    }

    async fn date_back(&self, now: Timestamp) -> Result<(), StoreError> {
        self.bring_back(now).await.map_err(|f| f.during("the uploads can't be dated back"))
    }

    async fn discard_upload(&self, id: &AttachmentId) -> Result<bool, StoreError> {
        self.claim(id).await.map_err(|f| f.during("the upload can't be discarded"))
    }

    async fn forget_upload(&self, id: &AttachmentId) -> Result<(), StoreError> {
        self.remove(id).await.map_err(|f| f.during("the upload can't be forgotten"))
    }

    async fn sweep_turn(&self) -> Result<Option<SweepTurn>, StoreError> {
        let turn = self.turns.turn(&self.schema, Chore::Sweep).await;
        let turn = turn.map_err(|f| f.during("the turn to sweep can't be taken"))?;
        Ok(turn.map(SweepTurn::held_by))
    }
}
