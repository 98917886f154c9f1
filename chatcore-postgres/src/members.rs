//! Who belongs to which channel.

use async_trait::async_trait;
use chatcore::store::{
    ChannelInfo, ChannelKind, Created, HistoryAccess, Leaving, Listed, ListedPage, Member, MemberPage,
    Membership, NewPrivate, Notify, PageLimit, Role, StoreError, UserPage,
};
use chatcore::{ChannelId, ChannelName, User, UserId};
use sha2::{Digest as _, Sha256};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::directory::{CHANNEL_COLUMNS, CHANNEL_WEIGHT, CHANNEL_WIDTH, NewChannel, channel_info};
use crate::error::Failure;
use crate::event::{profile, seq, signed, unsigned};
use crate::log::one_more;
use crate::page::{PageQuery, fill};
use crate::store::PostgresStore;

/// The columns that [`member`] reads, in order.
const MEMBER_COLUMNS: &str = "chat_user, member_name, role, notify, since, avatar";
/// The number of [`MEMBER_COLUMNS`].
const MEMBER_WIDTH: usize = 6;

/// Selects [`MEMBER_COLUMNS`] of the rows that fulfil a condition. A name and an avatar are those that were stored last.
fn members_where(schema: &str, condition: &str) -> String {
    let stored = format!("SELECT name, avatar FROM {schema}.chat_user WHERE id = j.chat_user LIMIT 1");
    format!(
        "SELECT j.chat_user, coalesce(u.name, j.name) AS member_name, j.role, j.notify, j.since, u.avatar \
         FROM {schema}.member AS j LEFT JOIN LATERAL ({stored}) AS u ON true WHERE {condition}"
    )
}

/// The weight of a member's or a user's columns, beside a fixed part.
const NAMES_WEIGHT: &str =
    "octet_length(chat_user) + octet_length(member_name) + coalesce(octet_length(avatar), 0)";

/// Reads [`MEMBER_COLUMNS`], beginning at column `first`. They are null if there is no member.
fn member(row: &Row, first: usize) -> Result<Option<Member>, Failure> {
    let Some(id) = row.try_get::<_, Option<&str>>(first)? else { return Ok(None) };
    let role = match row.try_get::<_, i16>(first + 2)? {
        0 => Role::Owner,
        1 => Role::Member,
        _ => return Err(Failure::Broken("unknown role of a member in the database")),
    };
    let notify = match row.try_get::<_, i16>(first + 3)? {
        0 => Notify::All,
        1 => Notify::Mentions,
        2 => Notify::None,
        _ => return Err(Failure::Broken("unknown wish of a member in the database")),
    };
    let user = profile(id, row.try_get(first + 1)?, row.try_get(first + 5)?)?;
    let member = Member::new(user, role);
    Ok(Some(member.with_notify(notify).with_since(seq(row, first + 4)?)))
}

/// Selects channels as the user `$1` has them in their list: what [`listed`] reads. `seen` has the columns `id` and
/// `name` of the channels. Each row is looked up by its key, whatever the planner knows of the tables.
fn listed_of(schema: &str, seen: &str) -> String {
    let own = members_where(schema, "j.channel = c.id AND j.chat_user = $1 LIMIT 1");
    let people = members_where(schema, "c.kind = 2 AND j.channel = c.id");
    format!(
        "SELECT c.*, m.*, p.* FROM ({seen}) AS seen \
         CROSS JOIN LATERAL (SELECT * FROM {schema}.channel WHERE id = seen.id LIMIT 1) AS c \
         LEFT JOIN LATERAL ({own}) AS m ON true \
         CROSS JOIN LATERAL ( \
             SELECT array_agg(chat_user ORDER BY chat_user) AS people_ids, \
                 array_agg(member_name ORDER BY chat_user) AS people_names, \
                 array_agg(avatar ORDER BY chat_user) AS people_avatars, \
                 coalesce(sum(64 + {NAMES_WEIGHT}), 0) AS people_weight \
             FROM ({people}) AS people \
         ) AS p"
    )
}

/// The columns that [`listed`] reads, in order.
fn listed_columns() -> String {
    format!("{CHANNEL_COLUMNS}, members, {MEMBER_COLUMNS}, people_ids, people_names, people_avatars")
}
/// The number of [`listed_columns`].
const LISTED_WIDTH: usize = CHANNEL_WIDTH + 1 + MEMBER_WIDTH + 3;

/// Reads [`listed_columns`].
fn listed(row: &Row) -> Result<Listed, Failure> {
    let (first, people) = (CHANNEL_WIDTH + 1, CHANNEL_WIDTH + 1 + MEMBER_WIDTH);
    let listed = Listed::new(channel_info(row)?, member(row, first)?, unsigned(row.try_get(CHANNEL_WIDTH)?));
    let ids: Option<Vec<&str>> = row.try_get(people)?;
    let names: Option<Vec<&str>> = row.try_get(people + 1)?;
    let avatars: Option<Vec<Option<&str>>> = row.try_get(people + 2)?;
    let people = ids.unwrap_or_default().into_iter().zip(names.unwrap_or_default());
    let people = people.zip(avatars.unwrap_or_default());
    let people = people.map(|((id, name), avatar)| profile(id, name, avatar));
    Ok(listed.with_users(people.collect::<Result<_, _>>()?))
}

/// Returns the query for a page of a user's channels. Its parameters: user, name before the page, whether archived ones
/// are on it, items, bytes.
///
/// The page joins ranges of two indexes: open channels, and the user's own private and direct ones, each apart from the
/// archived ones.
pub(crate) fn channels_sql(schema: &str) -> String {
    let open = |archived: &str| {
        format!(
            "(SELECT id, name FROM {schema}.channel WHERE kind = 0 AND {archived} AND name > $2 \
              ORDER BY name LIMIT $4)"
        )
    };
    let closed = |archived: &str| {
        format!(
            "(SELECT channel, closed_name FROM {schema}.member \
              WHERE chat_user = $1 AND {archived} AND closed_name > $2 ORDER BY closed_name LIMIT $4)"
        )
    };
    let (current, archived) = ("NOT archived", "archived AND $3");
    let parts = [open(current), closed(current), open(archived), closed(archived)];
    let seen = format!("{} ORDER BY name LIMIT $4", parts.join(" UNION ALL "));
    let found = listed_of(schema, &seen);
    let weight = format!("({CHANNEL_WEIGHT} + people_weight)");
    PageQuery { found: &found, key: "name", weight: &weight, bytes: "$5" }.select(&listed_columns())
}

/// Returns the hash of the people of a direct channel, whose ids are sorted.
fn hash_of(ids: &[&str]) -> Vec<u8> {
    let mut hash = Sha256::new();
    for id in ids {
        // The length separates an id from the next one.
        hash.update((id.len() as u64).to_le_bytes());
        hash.update(id);
    }
    hash.finalize().to_vec()
}

impl PostgresStore {
    async fn create_private(
        &self,
        new: &NewPrivate,
        by: &User,
        most: usize,
    ) -> Result<Option<ChannelInfo>, Failure> {
        let new = NewChannel {
            name: &new.name,
            title: &new.title,
            topic: &new.topic,
            kind: ChannelKind::Private,
            history: new.history,
            by,
            people: None,
            members: std::slice::from_ref(by),
        };
        Ok(self.create(&new, most).await?.map(Created::into_channel))
    }

    async fn open_direct(
        &self,
        name: &ChannelName,
        people: &[User],
        by: &User,
        most: usize,
    ) -> Result<Option<Created>, Failure> {
        let mut ids: Vec<&str> = people.iter().map(|user| user.id.as_str()).collect();
        ids.sort_unstable();
        let people_hash = hash_of(&ids);
        // Looks first, so that people who have their channel wait for no lock.
        let sql = format!("SELECT {CHANNEL_COLUMNS} FROM {}.channel WHERE people = $1", self.schema);
        let known = self.database.query(&sql, &[(&people_hash, Type::BYTEA)]).await?;
        if let Some(row) = known.first() {
            return Ok(Some(Created::Exists(channel_info(row)?)));
        }
        let new = NewChannel {
            name,
            title: "",
            topic: "",
            kind: ChannelKind::Direct,
            history: HistoryAccess::All,
            by,
            people: Some(people_hash),
            members: people,
        };
        self.create(&new, most).await
    }

    async fn one_member(&self, channel: ChannelId, user: &UserId) -> Result<Option<Member>, Failure> {
        let sql = members_where(&self.schema, "j.channel = $1 AND j.chat_user = $2");
        let params: [(&(dyn ToSql + Sync), Type); 2] =
            [(&signed(channel.0), Type::INT8), (&user.as_str(), Type::TEXT)];
        let rows = self.database.query(&sql, &params).await?;
        Ok(rows.first().map(|row| member(row, 0)).transpose()?.flatten())
    }

    async fn member_page(
        &self,
        channel: ChannelId,
        after: Option<&UserId>,
        limit: PageLimit,
    ) -> Result<MemberPage, Failure> {
        let condition = "j.channel = $1 AND j.chat_user > $2 ORDER BY j.chat_user LIMIT $3";
        let found = members_where(&self.schema, condition);
        // Equal to `Member::weight`.
        let weight = format!("(256 + {NAMES_WEIGHT})");
        let rows = PageQuery { found: &found, key: "chat_user", weight: &weight, bytes: "$4" };
        // No id is empty, so '' is before all.
        let params: [(&(dyn ToSql + Sync), Type); 4] = [
            (&signed(channel.0), Type::INT8),
            (&after.map_or("", UserId::as_str), Type::TEXT),
            (&one_more(limit), Type::INT8),
            (&signed(limit.bytes as u64), Type::INT8),
        ];
        let rows = self.database.query(&rows.select(MEMBER_COLUMNS), &params).await?;
        let read = |row: &Row| member(row, 0)?.ok_or(Failure::Broken("a member in the database has no id"));
        let (members, more) = fill(&rows, limit, MEMBER_WIDTH, read, Member::weight)?;
        Ok(MemberPage::new(members, more))
    }

    async fn one_listed(&self, user: &UserId, channel: ChannelId) -> Result<Option<Listed>, Failure> {
        let seen = format!(
            "SELECT id FROM {0}.channel AS o WHERE id = $2 AND (kind = 0 OR EXISTS ( \
                 SELECT FROM {0}.member AS j WHERE j.channel = o.id AND j.chat_user = $1))",
            self.schema
        );
        let found = listed_of(&self.schema, &seen);
        let sql = format!("SELECT {} FROM ({found}) AS found", listed_columns());
        let params: [(&(dyn ToSql + Sync), Type); 2] =
            [(&user.as_str(), Type::TEXT), (&signed(channel.0), Type::INT8)];
        self.database.query(&sql, &params).await?.first().map(listed).transpose()
    }

    async fn listed_page(
        &self,
        user: &UserId,
        after: Option<&ChannelName>,
        archived: bool,
        limit: PageLimit,
    ) -> Result<ListedPage, Failure> {
        // No name is empty, so '' is before all.
        let params: [(&(dyn ToSql + Sync), Type); 5] = [
            (&user.as_str(), Type::TEXT),
            (&after.map_or("", ChannelName::as_str), Type::TEXT),
            (&archived, Type::BOOL),
            (&one_more(limit), Type::INT8),
            (&signed(limit.bytes as u64), Type::INT8),
        ];
        let rows = self.database.query(&channels_sql(&self.schema), &params).await?;
        let (channels, more) = fill(&rows, limit, LISTED_WIDTH, listed, Listed::weight)?;
        Ok(ListedPage::new(channels, more))
    }

    async fn join(&self, channel: ChannelId, user: &User) -> Result<bool, Failure> {
        let sql = format!("SELECT {}.chat_join($1, $2, $3)", self.schema);
        let params: [(&(dyn ToSql + Sync), Type); 3] = [
            (&signed(channel.0), Type::INT8),
            (&user.id.as_str(), Type::TEXT),
            (&user.stored_name(), Type::TEXT),
        ];
        // Not repeated: a second try would report as a member whom the first one has entered.
        let rows = self.database.query_once(&sql, &params).await?;
        let is_new: Option<bool> = rows.first().map(|row| row.try_get(0)).transpose()?.flatten();
        is_new.ok_or(Failure::Broken("there is no such channel"))
    }

    async fn leave(&self, channel: ChannelId, user: &UserId) -> Result<Leaving, Failure> {
        let sql = format!("SELECT {}.chat_leave($1, $2)", self.schema);
        let params: [(&(dyn ToSql + Sync), Type); 2] =
            [(&signed(channel.0), Type::INT8), (&user.as_str(), Type::TEXT)];
        let rows = self.database.query_once(&sql, &params).await?;
        let outcome: Option<i16> = rows.first().map(|row| row.try_get(0)).transpose()?.flatten();
        match outcome {
            Some(0) => Ok(Leaving::Left),
            Some(1) => Ok(Leaving::NotAMember),
            Some(2) => Ok(Leaving::LastOwner),
            Some(_) => Err(Failure::Broken("the database answered a leave in an unknown way")),
            None => Err(Failure::Broken("there is no such channel")),
        }
    }

    async fn notify(&self, channel: ChannelId, user: &UserId, notify: Notify) -> Result<bool, Failure> {
        let notify: i16 = match notify {
            Notify::All => 0,
            Notify::Mentions => 1,
            Notify::None => 2,
            _ => return Err(Failure::Broken("this version of the store does not know that wish")),
        };
        let sql = format!(
            "UPDATE {}.member SET notify = $3 WHERE channel = $1 AND chat_user = $2 RETURNING notify",
            self.schema
        );
        let params: [(&(dyn ToSql + Sync), Type); 3] =
            [(&signed(channel.0), Type::INT8), (&user.as_str(), Type::TEXT), (&notify, Type::INT2)];
        Ok(!self.database.query(&sql, &params).await?.is_empty())
    }
}

#[async_trait]
impl Membership for PostgresStore {
    async fn create_private_within(
        &self,
        new: &NewPrivate,
        by: &User,
        most: usize,
    ) -> Result<Option<ChannelInfo>, StoreError> {
        self.create_private(new, by, most).await.map_err(|f| f.during("the channel can't be created"))
    }

    async fn open_direct_within(
        &self,
        name: &ChannelName,
        people: &[User],
        by: &User,
        most: usize,
    ) -> Result<Option<Created>, StoreError> {
        self.open_direct(name, people, by, most).await.map_err(|f| f.during("the channel can't be opened"))
    }

    async fn member(&self, channel: ChannelId, user: &UserId) -> Result<Option<Member>, StoreError> {
        self.one_member(channel, user).await.map_err(|f| f.during("the member can't be read"))
    }

    async fn members(
        &self,
        channel: ChannelId,
        after: Option<&UserId>,
        limit: PageLimit,
    ) -> Result<MemberPage, StoreError> {
        self.member_page(channel, after, limit).await.map_err(|f| f.during("the members can't be read"))
    }

    async fn listed(&self, user: &UserId, channel: ChannelId) -> Result<Option<Listed>, StoreError> {
        self.one_listed(user, channel).await.map_err(|f| f.during("the channel can't be read"))
    }

    async fn channels_of(
        &self,
        user: &UserId,
        after: Option<&ChannelName>,
        archived: bool,
        limit: PageLimit,
    ) -> Result<ListedPage, StoreError> {
        let page = self.listed_page(user, after, archived, limit).await;
        page.map_err(|f| f.during("the user's channels can't be read"))
    }

    async fn join_open(&self, channel: ChannelId, user: &User) -> Result<bool, StoreError> {
        self.join(channel, user).await.map_err(|f| f.during("the channel can't be joined"))
    }

    async fn leave_open(&self, channel: ChannelId, user: &UserId) -> Result<Leaving, StoreError> {
        self.leave(channel, user).await.map_err(|f| f.during("the channel can't be left"))
    }

    async fn set_notify(
        &self,
        channel: ChannelId,
        user: &UserId,
        notify: Notify,
    ) -> Result<bool, StoreError> {
        self.notify(channel, user, notify).await.map_err(|f| f.during("the member can't be changed"))
    }

    async fn find_users(
        &self,
        query: &str,
        after: Option<&UserId>,
        limit: PageLimit,
    ) -> Result<UserPage, StoreError> {
        self.people_named(query, after, limit).await.map_err(|f| f.during("the users can't be searched"))
    }
}
