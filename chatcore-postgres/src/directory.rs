//! The directory: channels, read markers and revocations.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use chatcore::store::{
    ChannelInfo, ChannelKind, ChannelPage, Created, Directory, HistoryAccess, PageLimit, Revocation,
    StoreError, UNREAD_SCAN, UNREAD_SCAN_NEW, Unread,
};
use chatcore::{ChannelId, ChannelName, Epoch, Seq, User, UserId};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::error::Failure;
use crate::event::{at, channel_id, seq, signed, unsigned, user};
use crate::log::one_more;
use crate::page::{PageQuery, fill};
use crate::store::PostgresStore;

/// The columns that [`channel_info`] reads, in order.
pub(crate) const CHANNEL_COLUMNS: &str =
    "id, name, topic, created_at, created_by, created_by_name, title, kind, history, archived";
/// The number of [`CHANNEL_COLUMNS`].
pub(crate) const CHANNEL_WIDTH: usize = 10;

/// The weight of a channel's row, equal to [`ChannelInfo::weight`].
pub(crate) const CHANNEL_WEIGHT: &str = "(256 + octet_length(name) + octet_length(title) + octet_length(topic) \
    + octet_length(created_by) + octet_length(created_by_name))";

/// Reads [`CHANNEL_COLUMNS`].
pub(crate) fn channel_info(row: &Row) -> Result<ChannelInfo, Failure> {
    let name: &str = row.try_get(1)?;
    let name =
        ChannelName::existing(name).map_err(|_| Failure::Broken("invalid channel name in the database"))?;
    let by = user(row.try_get(4)?, row.try_get(5)?)?;
    let (topic, title): (&str, &str) = (row.try_get(2)?, row.try_get(6)?);
    let kind = match row.try_get::<_, i16>(7)? {
        0 => ChannelKind::Open,
        1 => ChannelKind::Private,
        2 => ChannelKind::Direct,
        _ => return Err(Failure::Broken("unknown kind of channel in the database")),
    };
    let history = match row.try_get::<_, i16>(8)? {
        0 => HistoryAccess::All,
        1 => HistoryAccess::Joined,
        _ => return Err(Failure::Broken("unknown access to the history of a channel in the database")),
    };
    let info = ChannelInfo::new(channel_id(row.try_get(0)?), name, at(row, 3)?, by);
    Ok(info.with_topic(topic).with_title(title).with_kind(kind, history).with_archived(row.try_get(9)?))
}

/// A channel to create.
pub(crate) struct NewChannel<'a> {
    pub(crate) name: &'a ChannelName,
    pub(crate) title: &'a str,
    pub(crate) topic: &'a str,
    pub(crate) kind: ChannelKind,
    pub(crate) history: HistoryAccess,
    pub(crate) by: &'a User,
    /// Of a direct channel, the hash of its people.
    pub(crate) people: Option<Vec<u8>>,
    pub(crate) members: &'a [User],
}

impl NewChannel<'_> {
    /// Returns the columns `kind` and `history`.
    fn columns(&self) -> Result<(i16, i16), Failure> {
        let kind = match self.kind {
            ChannelKind::Open => 0,
            ChannelKind::Private => 1,
            ChannelKind::Direct => 2,
            _ => return Err(Failure::Broken("this version of the store does not know that kind of channel")),
        };
        let history = match self.history {
            HistoryAccess::All => 0,
            HistoryAccess::Joined => 1,
            _ => {
                return Err(Failure::Broken(
                    "this version of the store does not know that access to a history",
                ));
            }
        };
        Ok((kind, history))
    }
}

impl PostgresStore {
    async fn list(&self, after: Option<&ChannelName>, limit: PageLimit) -> Result<ChannelPage, Failure> {
        // No name is empty, so '' is before all.
        self.page_by("name", (&after.map_or("", ChannelName::as_str), Type::TEXT), limit).await
    }

    async fn list_after(&self, id: ChannelId, limit: PageLimit) -> Result<ChannelPage, Failure> {
        self.page_by("id", (&signed(id.0), Type::INT8), limit).await
    }

    /// Returns a page of the channels whose `key`, a column, comes after a value.
    async fn page_by(
        &self,
        key: &str,
        after: (&(dyn ToSql + Sync), Type),
        limit: PageLimit,
    ) -> Result<ChannelPage, Failure> {
        let found = format!("SELECT * FROM {}.channel WHERE {key} > $1 ORDER BY {key} LIMIT $2", self.schema);
        let rows = PageQuery { found: &found, key, weight: CHANNEL_WEIGHT, bytes: "$3" };
        let (items, bytes) = (one_more(limit), signed(limit.bytes as u64));
        let params: [(&(dyn ToSql + Sync), Type); 3] = [after, (&items, Type::INT8), (&bytes, Type::INT8)];
        let rows = self.database.query(&rows.select(CHANNEL_COLUMNS), &params).await?;
        let (channels, more) = fill(&rows, limit, CHANNEL_WIDTH, channel_info, ChannelInfo::weight)?;
        Ok(ChannelPage::new(channels, more))
    }

    async fn newest(&self) -> Result<Option<ChannelId>, Failure> {
        let sql = format!("SELECT max(id) FROM {}.channel", self.schema);
        let rows = self.database.query(&sql, &[]).await?;
        let id: Option<i64> = rows.first().map(|row| row.try_get(0)).transpose()?.flatten();
        Ok(id.map(channel_id))
    }

    async fn count(&self) -> Result<usize, Failure> {
        let sql = format!("SELECT count(*) FROM {}.channel", self.schema);
        let rows = self.database.query(&sql, &[]).await?;
        let count: i64 = rows.first().map(|row| row.try_get(0)).transpose()?.unwrap_or(0);
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// Finds the channel with this name, or else one whose name looks the same.
    async fn find(&self, name: &ChannelName) -> Result<Option<ChannelInfo>, Failure> {
        let sql = format!(
            "SELECT {CHANNEL_COLUMNS} FROM {0}.channel \
             WHERE name = $1 OR id = (SELECT channel FROM {0}.channel_look WHERE look = $2) \
             ORDER BY name <> $1 LIMIT 1",
            self.schema
        );
        let params: [(&(dyn ToSql + Sync), Type); 2] =
            [(&name.as_str(), Type::TEXT), (&name.look(), Type::TEXT)];
        let rows = self.database.query(&sql, &params).await?;
        rows.first().map(channel_info).transpose()
    }

    async fn open(
        &self,
        name: &ChannelName,
        topic: &str,
        by: &User,
        most: usize,
    ) -> Result<Option<Created>, Failure> {
        // Looks first, so that a taken name waits for no lock.
        if let Some(info) = self.find(name).await? {
            return Ok(Some(Created::Exists(info)));
        }
        let new = NewChannel {
            name,
            title: name.as_str(),
            topic,
            kind: ChannelKind::Open,
            history: HistoryAccess::All,
            by,
            people: None,
            members: std::slice::from_ref(by),
        };
        self.create(&new, most).await
    }

    /// Creates a channel, unless there are `most`.
    pub(crate) async fn create(&self, new: &NewChannel<'_>, most: usize) -> Result<Option<Created>, Failure> {
        let columns = CHANNEL_COLUMNS.split(", ").map(|column| format!("(channel).{column}, "));
        let sql = format!(
            "SELECT {}is_new FROM {}.chat_create_channel( \
                 $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
            columns.collect::<String>(),
            self.schema
        );
        let (epoch, (kind, history)) = (Epoch::random(), new.columns()?);
        let ids: Vec<&str> = new.members.iter().map(|user| user.id.as_str()).collect();
        let names: Vec<&str> = new.members.iter().map(User::stored_name).collect();
        let params: [(&(dyn ToSql + Sync), Type); 13] = [
            (&new.name.as_str(), Type::TEXT),
            (&new.title, Type::TEXT),
            (&new.topic, Type::TEXT),
            (&kind, Type::INT2),
            (&history, Type::INT2),
            (&new.by.id.as_str(), Type::TEXT),
            (&new.by.stored_name(), Type::TEXT),
            (&epoch.as_str(), Type::TEXT),
            (&i64::try_from(most).unwrap_or(i64::MAX), Type::INT8),
            (&new.name.look(), Type::TEXT),
            (&new.people, Type::BYTEA),
            (&ids, Type::TEXT_ARRAY),
            (&names, Type::TEXT_ARRAY),
        ];
        // Not repeated: a second try would find the first one's channel and report it as existing.
        let rows = self.database.query_once(&sql, &params).await?;
        let created = rows.first().map(|row| {
            let outcome = if row.try_get(CHANNEL_WIDTH)? { Created::New } else { Created::Exists };
            Ok(outcome(channel_info(row)?))
        });
        created.transpose()
    }

    async fn move_marker(&self, user: &UserId, channel: ChannelId, seq: Seq) -> Result<Seq, Failure> {
        let sql = format!("SELECT {}.chat_mark_read($1, $2, $3)", self.schema);
        self.marker_moved_by(&sql, user, channel, seq).await
    }

    async fn move_marker_back(&self, user: &UserId, channel: ChannelId, seq: Seq) -> Result<Seq, Failure> {
        let schema = &self.schema;
        let sql = format!(
            "WITH moved AS (UPDATE {schema}.marker SET seq = $3 \
                 WHERE chat_user = $1 AND channel = $2 AND seq > $3 \
                     AND NOT EXISTS (SELECT FROM {schema}.erased WHERE chat_user = $1) RETURNING seq) \
             SELECT coalesce((SELECT seq FROM moved), \
                 (SELECT seq FROM {schema}.marker WHERE chat_user = $1 AND channel = $2), 0) \
             FROM {schema}.channel WHERE id = $2"
        );
        self.marker_moved_by(&sql, user, channel, seq.saturating_sub(1)).await
    }

    async fn marker_moved_by(
        &self,
        sql: &str,
        user: &UserId,
        channel: ChannelId,
        seq: Seq,
    ) -> Result<Seq, Failure> {
        let rows = self
            .database
            .query(
                sql,
                &[(&user.as_str(), Type::TEXT), (&signed(channel.0), Type::INT8), (&signed(seq), Type::INT8)],
            )
            .await?;
        let now: Option<i64> = rows.first().map(|row| row.try_get(0)).transpose()?.flatten();
        now.map(unsigned).ok_or(Failure::Broken("there is no such channel"))
    }

    async fn count_unread(&self, user: &UserId, channels: &[ChannelId]) -> Result<Vec<Unread>, Failure> {
        let sql = unread_sql(&self.schema);
        let ids: Vec<i64> = channels.iter().map(|id| signed(id.0)).collect();
        let rows =
            self.database.query(&sql, &[(&user.as_str(), Type::TEXT), (&ids, Type::INT8_ARRAY)]).await?;
        let unread = |row: &Row| {
            let unread = Unread::new(seq(row, 0)?, unsigned(row.try_get(1)?), seq(row, 2)?);
            Ok(unread.with_mentions(unsigned(row.try_get(3)?)))
        };
        rows.iter().map(unread).collect()
    }
}

impl PostgresStore {
    async fn revoke(&self, key: u64, what: &str) -> Result<(), Failure> {
        let sql = format!(
            "WITH old AS (DELETE FROM {0}.revocation WHERE at < clock_timestamp() - interval '1 day') \
             INSERT INTO {0}.revocation (key, what) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING",
            self.schema
        );
        // The key is 64 bits of any kind.
        let key = i64::from_ne_bytes(key.to_ne_bytes());
        self.database.query(&sql, &[(&key, Type::INT8), (&what, Type::TEXT)]).await?;
        Ok(())
    }

    async fn revoked(&self, since: Duration) -> Result<Vec<Revocation>, Failure> {
        let sql = format!(
            "SELECT key, what, (extract(epoch FROM clock_timestamp() - at) * 1000)::bigint FROM {}.revocation \
             WHERE at > clock_timestamp() - $1 * interval '1 millisecond' ORDER BY at DESC LIMIT 10000",
            self.schema
        );
        let since = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        let rows = self.database.query(&sql, &[(&since, Type::INT8)]).await?;
        let revocation = |row: &Row| {
            let key = u64::from_ne_bytes(row.try_get::<_, i64>(0)?.to_ne_bytes());
            let age = Duration::from_millis(unsigned(row.try_get(2)?));
            Ok(Revocation::new(key, row.try_get(1)?, age))
        };
        rows.iter().map(revocation).collect()
    }
}

/// Returns the query for a user's unread messages. Its parameters: user, channels.
///
/// It counts each channel's messages from the newest back to the marker, or to where the user's history begins. One
/// statement is one snapshot, so the counts and the head belong together.
pub(crate) fn unread_sql(schema: &str) -> String {
    // Equal to `Mentions::mean`.
    let mentioned = "mentions -> 'list' ?| ARRAY[$1, '@channel'] \
        OR (mentions -> 'list' ? '@here' AND mentions -> 'here' ? $1)";
    let unread = "author <> $1 AND NOT deleted";
    format!(
        "SELECT coalesce(m.seq, 0), u.messages, coalesce(c.last_seq, 0), u.mentions \
         FROM unnest($2) WITH ORDINALITY AS asked (id, n) \
         LEFT JOIN {schema}.channel AS c ON c.id = asked.id \
         LEFT JOIN {schema}.marker AS m ON m.chat_user = $1 AND m.channel = asked.id \
         LEFT JOIN {schema}.member AS j ON c.history = 1 AND j.channel = asked.id AND j.chat_user = $1 \
         CROSS JOIN LATERAL ( \
             SELECT count(*) FILTER (WHERE {unread}) AS messages, \
                 count(*) FILTER (WHERE {unread} AND ({mentioned})) AS mentions FROM ( \
                 SELECT author, deleted, coalesce(edited_mentions, mentions) AS mentions FROM {schema}.event \
                 WHERE channel = asked.id AND kind = 0 \
                     AND seq > greatest(coalesce(m.seq, 0), coalesce(j.since, 0) - 1) ORDER BY seq DESC \
                 LIMIT CASE WHEN m.seq > 0 THEN {UNREAD_SCAN} ELSE {UNREAD_SCAN_NEW} END \
             ) AS newest \
         ) AS u ORDER BY asked.n"
    )
}

#[async_trait]
impl Directory for PostgresStore {
    async fn channels(
        &self,
        after: Option<&ChannelName>,
        limit: PageLimit,
    ) -> Result<ChannelPage, StoreError> {
        self.list(after, limit).await.map_err(|f| f.during("the channels can't be read"))
    }

    async fn channel_count(&self) -> Result<usize, StoreError> {
        self.count().await.map_err(|f| f.during("the channels can't be counted"))
    }

    async fn newest_channel(&self) -> Result<Option<ChannelId>, StoreError> {
        self.newest().await.map_err(|f| f.during("the newest channel can't be read"))
    }

    async fn channels_after(&self, id: ChannelId, limit: PageLimit) -> Result<ChannelPage, StoreError> {
        self.list_after(id, limit).await.map_err(|f| f.during("the channels can't be read"))
    }

    async fn channel(&self, name: &ChannelName) -> Result<Option<ChannelInfo>, StoreError> {
        let found = self.find(name).await.map_err(|f| f.during("the channel can't be read"))?;
        Ok(found.filter(|info| info.name.is_same_as(name)))
    }

    async fn create_channel_within(
        &self,
        name: &ChannelName,
        topic: &str,
        by: &User,
        most: usize,
    ) -> Result<Option<Created>, StoreError> {
        self.open(name, topic, by, most).await.map_err(|f| f.during("the channel can't be created"))
    }

    /// The commit does not wait for the disk.
    async fn mark_read(&self, user: &UserId, channel: ChannelId, seq: Seq) -> Result<Seq, StoreError> {
        self.move_marker(user, channel, seq).await.map_err(|f| f.during("the read marker can't be moved"))
    }

    async fn mark_unread(&self, user: &UserId, channel: ChannelId, seq: Seq) -> Result<Seq, StoreError> {
        self.move_marker_back(user, channel, seq)
            .await
            .map_err(|f| f.during("the read marker can't be moved"))
    }

    async fn unread(&self, user: &UserId, channels: &[ChannelId]) -> Result<Vec<Unread>, StoreError> {
        self.count_unread(user, channels).await.map_err(|f| f.during("the read markers can't be read"))
    }

    async fn put_user(&self, user: &User) -> Result<(), StoreError> {
        let stored = match user.avatar() {
            Some(_) => self.remember_profile(user).await,
            None => self.remember(user).await,
        };
        stored.map_err(|f| f.during("the user can't be remembered"))
    }

    async fn put_profile(&self, user: &User) -> Result<(), StoreError> {
        self.remember_profile(user).await.map_err(|f| f.during("the profile can't be stored"))
    }

    async fn users(&self, ids: &[UserId]) -> Result<HashMap<UserId, User>, StoreError> {
        self.remembered(ids).await.map_err(|f| f.during("the users can't be read"))
    }

    async fn put_revocation(&self, key: u64, what: &str) -> Result<(), StoreError> {
        self.revoke(key, what).await.map_err(|f| f.during("the revocation can't be stored"))
    }

    async fn revocations(&self, since: Duration) -> Result<Vec<Revocation>, StoreError> {
        self.revoked(since).await.map_err(|f| f.during("the revocations can't be read"))
    }
}
