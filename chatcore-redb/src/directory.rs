//! The directory: channels, users and read markers.

use std::collections::HashMap;
use std::ops::Bound;

use async_trait::async_trait;
use chatcore::store::{ChannelInfo, ChannelPage, Created, Directory, PageLimit, StoreError, Unread};
use chatcore::{Avatar, ChannelId, ChannelName, Seq, User, UserId};
use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, ReadableTableMetadata};

use crate::error::TransactionError;
use crate::log::Changes;
use crate::schema::{AVATARS, CHANNELS, LOOKS, NAMES, USERS, decode};
use crate::store::RedbStore;
use crate::unread::unread;
use crate::writer::SyncMode;

impl Changes<'_> {
    /// Moves a marker on, and returns where it is, or `None` if there is no such channel.
    fn mark_read(
        &mut self,
        user: &UserId,
        channel: ChannelId,
        seq: Seq,
    ) -> Result<Option<Seq>, TransactionError> {
        let Some(head) = self.log(channel)?.map(|log| log.head) else { return Ok(None) };
        let key = (user.as_str(), channel.0);
        let now = self.tables.markers.read()?.get(key)?.map_or(0, |row| row.value());
        let next = seq.min(head);
        if next <= now || self.is_erased(user)? {
            return Ok(Some(now));
        }
        self.insert_marker(user.as_str(), channel, next)?;
        Ok(Some(next))
    }

    /// Moves a marker back, and returns where it is, or `None` if there is no such channel.
    fn mark_unread(
        &mut self,
        user: &UserId,
        channel: ChannelId,
        seq: Seq,
    ) -> Result<Option<Seq>, TransactionError> {
        if self.log(channel)?.is_none() {
            return Ok(None);
        }
        let key = (user.as_str(), channel.0);
        let now = self.tables.markers.read()?.get(key)?.map_or(0, |row| row.value());
        let next = seq.saturating_sub(1);
        if next >= now || self.is_erased(user)? {
            return Ok(Some(now));
        }
        self.insert_marker(user.as_str(), channel, next)?;
        Ok(Some(next))
    }

    pub(crate) fn insert_name(&mut self, user: &str, name: &str) -> Result<(), TransactionError> {
        self.tables.users.write()?.insert(user, name)?;
        self.journal_name(user, name);
        Ok(())
    }

    pub(crate) fn replace_avatar(
        &mut self,
        user: &str,
        avatar: Option<&str>,
    ) -> Result<(), TransactionError> {
        let avatars = self.tables.avatars.write()?;
        match avatar {
            Some(avatar) => avatars.insert(user, avatar)?,
            None => avatars.remove(user)?,
        };
        self.journal_avatar(user, avatar);
        Ok(())
    }

    pub(crate) fn insert_marker(
        &mut self,
        user: &str,
        channel: ChannelId,
        seq: Seq,
    ) -> Result<(), TransactionError> {
        self.tables.markers.write()?.insert((user, channel.0), seq)?;
        self.journal_marker(channel, user, seq);
        Ok(())
    }
}

fn no_such_channel() -> StoreError {
    StoreError::new("there is no such channel")
}

#[async_trait]
impl Directory for RedbStore {
    async fn channels(
        &self,
        after: Option<&ChannelName>,
        limit: PageLimit,
    ) -> Result<ChannelPage, StoreError> {
        let after = after.cloned();
        self.read("the channels can't be read", move |txn| channels(txn, after.as_ref(), limit)).await
    }

    async fn channel_count(&self) -> Result<usize, StoreError> {
        let names =
            self.read("the channels can't be counted", |txn| Ok(txn.open_table(NAMES)?.len()?)).await?;
        Ok(usize::try_from(names).unwrap_or(usize::MAX))
    }

    async fn channel(&self, name: &ChannelName) -> Result<Option<ChannelInfo>, StoreError> {
        let name = name.clone();
        self.read("the channel can't be read", move |txn| {
            let id = match txn.open_table(NAMES)?.get(name.as_str())? {
                Some(id) => Some(id),
                None => txn.open_table(LOOKS)?.get(name.look().as_str())?,
            };
            let Some(id) = id else { return Ok(None) };
            let row = txn.open_table(CHANNELS)?.get(id.value())?;
            let info: Option<ChannelInfo> = row.map(|row| decode(row.value())).transpose()?;
            Ok(info.filter(|info| info.name.is_same_as(&name)))
        })
        .await
    }

    async fn create_channel_within(
        &self,
        name: &ChannelName,
        topic: &str,
        by: &User,
        most: usize,
    ) -> Result<Option<Created>, StoreError> {
        let (name, topic, by, clock) = (name.clone(), topic.to_owned(), by.clone(), self.clock.clone());
        let create =
            move |changes: &mut Changes<'_>| changes.create_channel(name, topic, by, clock.now(), most);
        Ok(self.write(SyncMode::Disk, create).await??)
    }

    async fn mark_read(&self, user: &UserId, channel: ChannelId, seq: Seq) -> Result<Seq, StoreError> {
        let user = user.clone();
        let marked = self.write(SyncMode::Later, move |changes| changes.mark_read(&user, channel, seq));
        marked.await?.ok_or_else(no_such_channel)
    }

    async fn mark_unread(&self, user: &UserId, channel: ChannelId, seq: Seq) -> Result<Seq, StoreError> {
        let user = user.clone();
        let marked = self.write(SyncMode::Later, move |changes| changes.mark_unread(&user, channel, seq));
        marked.await?.ok_or_else(no_such_channel)
    }

    async fn unread(&self, user: &UserId, channels: &[ChannelId]) -> Result<Vec<Unread>, StoreError> {
        let (user, channels) = (user.clone(), channels.to_vec());
        self.read("the read markers can't be read", move |txn| unread(txn, &user, &channels)).await
    }

    async fn put_user(&self, user: &User) -> Result<(), StoreError> {
        let user = user.clone();
        self.write(SyncMode::Journal, move |changes| {
            put_name(changes, &user)?;
            if user.avatar().is_some() { put_avatar(changes, &user) } else { Ok(()) }
        })
        .await
    }

    async fn put_profile(&self, user: &User) -> Result<(), StoreError> {
        let user = user.clone();
        self.write(SyncMode::Journal, move |changes| {
            put_name(changes, &user)?;
            put_avatar(changes, &user)
        })
        .await
    }

    async fn users(&self, ids: &[UserId]) -> Result<HashMap<UserId, User>, StoreError> {
        let ids = ids.to_vec();
        self.read("the users can't be read", move |txn| users(txn, ids)).await
    }
}

fn channels(
    txn: &ReadTransaction,
    after: Option<&ChannelName>,
    limit: PageLimit,
) -> Result<ChannelPage, TransactionError> {
    let rows = txn.open_table(CHANNELS)?;
    let start = after.map_or(Bound::Unbounded, |name| Bound::Excluded(name.as_str()));
    let mut page = limit.fill();
    let mut channels: Vec<ChannelInfo> = Vec::new();
    let mut more = false;
    for name in txn.open_table(NAMES)?.range::<&str>((start, Bound::Unbounded))? {
        let id = name?.1.value();
        let row = rows.get(id)?.ok_or(TransactionError::Broken("invalid row: a name has no channel"))?;
        let info: ChannelInfo = decode(row.value())?;
        more = !page.take(info.weight());
        if more {
            break;
        }
        channels.push(info);
    }
    Ok(ChannelPage::new(channels, more))
}

fn put_name(changes: &mut Changes<'_>, user: &User) -> Result<(), TransactionError> {
    let stored = changes.tables.users.read()?.get(user.id.as_str())?;
    let is_known = stored.is_some_and(|name| name.value() == user.stored_name());
    if is_known || changes.is_erased(&user.id)? {
        return Ok(());
    }
    changes.insert_name(user.id.as_str(), user.stored_name())
}

fn put_avatar(changes: &mut Changes<'_>, user: &User) -> Result<(), TransactionError> {
    if changes.is_erased(&user.id)? {
        return Ok(());
    }
    let (id, avatar) = (user.id.as_str(), user.avatar().map(Avatar::as_str));
    let known = changes.tables.avatars.read()?.get(id)?;
    if known.as_ref().map(|known| known.value()) == avatar {
        return Ok(());
    }
    drop(known);
    changes.replace_avatar(id, avatar)
}

fn users(txn: &ReadTransaction, ids: Vec<UserId>) -> Result<HashMap<UserId, User>, TransactionError> {
    let profiles = Profiles::open(txn)?;
    let mut found = HashMap::new();
    for id in ids {
        if let Some(user) = profiles.user(&id)? {
            found.insert(id, user);
        }
    }
    Ok(found)
}

/// The tables of names and avatars.
pub(crate) struct Profiles {
    pub(crate) names: ReadOnlyTable<&'static str, &'static str>,
    avatars: ReadOnlyTable<&'static str, &'static str>,
}

impl Profiles {
    pub(crate) fn open(txn: &ReadTransaction) -> Result<Self, TransactionError> {
        Ok(Self { names: txn.open_table(USERS)?, avatars: txn.open_table(AVATARS)? })
    }

    /// Returns a user, if they were ever stored.
    pub(crate) fn user(&self, id: &UserId) -> Result<Option<User>, TransactionError> {
        let Some(name) = self.names.get(id.as_str())? else { return Ok(None) };
        Ok(Some(User::from_stored(id.clone(), name.value()).with_avatar(self.avatar(id)?)))
    }

    /// Returns where a user's picture is.
    pub(crate) fn avatar(&self, id: &UserId) -> Result<Option<Avatar>, TransactionError> {
        let Some(url) = self.avatars.get(id.as_str())? else { return Ok(None) };
        let avatar = Avatar::new(url.value());
        avatar.map(Some).map_err(|_| TransactionError::Broken("invalid row: an avatar can't be one"))
    }
}
