//! Who belongs to which channel, and who sees which.

use std::iter::Peekable;
use std::ops::Bound;

use async_trait::async_trait;
use chatcore::store::{
    ChannelInfo, ChannelKind, Created, Leaving, Listed, ListedPage, Member, MemberPage, Membership,
    NewPrivate, Notify, PageLimit, StoreError, UserPage, name_matches,
};
use chatcore::{ChannelId, ChannelName, User, UserId};
use redb::{ReadOnlyTable, ReadTransaction};

use crate::directory::Profiles;
use crate::error::TransactionError;
use crate::log::Changes;
use crate::schema::{CHANNELS, EVERYBODY, Json, LISTS, MEMBER_COUNTS, MEMBERS, decode};
use crate::store::RedbStore;
use crate::writer::SyncMode;

fn no_such_channel() -> StoreError {
    StoreError::new("there is no such channel")
}

#[async_trait]
impl Membership for RedbStore {
    async fn create_private_within(
        &self,
        new: &NewPrivate,
        by: &User,
        most: usize,
    ) -> Result<Option<ChannelInfo>, StoreError> {
        let (new, by, clock) = (new.clone(), by.clone(), self.clock.clone());
        let create = move |changes: &mut Changes<'_>| changes.create_private(new, by, clock.now(), most);
        Ok(self.write(SyncMode::Disk, create).await??)
    }

    async fn open_direct_within(
        &self,
        name: &ChannelName,
        people: &[User],
        by: &User,
        most: usize,
    ) -> Result<Option<Created>, StoreError> {
        let (name, people, by, clock) = (name.clone(), people.to_vec(), by.clone(), self.clock.clone());
        let open = move |changes: &mut Changes<'_>| changes.open_direct(name, &people, by, clock.now(), most);
        Ok(self.write(SyncMode::Disk, open).await??)
    }

    async fn member(&self, channel: ChannelId, user: &UserId) -> Result<Option<Member>, StoreError> {
        let user = user.clone();
        self.read("the member can't be read", move |txn| People::open(txn)?.member(channel, &user)).await
    }

    async fn members(
        &self,
        channel: ChannelId,
        after: Option<&UserId>,
        limit: PageLimit,
    ) -> Result<MemberPage, StoreError> {
        let after = after.cloned();
        self.read("the members can't be read", move |txn| members(txn, channel, after.as_ref(), limit)).await
    }

    async fn listed(&self, user: &UserId, channel: ChannelId) -> Result<Option<Listed>, StoreError> {
        let user = user.clone();
        self.read("the channel can't be read", move |txn| People::open(txn)?.listed(&user, channel)).await
    }

    async fn channels_of(
        &self,
        user: &UserId,
        after: Option<&ChannelName>,
        archived: bool,
        limit: PageLimit,
    ) -> Result<ListedPage, StoreError> {
        let (user, after) = (user.clone(), after.cloned());
        let read = move |txn: &ReadTransaction| channels_of(txn, &user, after.as_ref(), archived, limit);
        self.read("the channels can't be read", read).await
    }

    async fn join_open(&self, channel: ChannelId, user: &User) -> Result<bool, StoreError> {
        let user = user.clone();
        let joined = self.write(SyncMode::Journal, move |changes| changes.join_open(channel, user)).await?;
        joined.ok_or_else(no_such_channel)
    }

    async fn leave_open(&self, channel: ChannelId, user: &UserId) -> Result<Leaving, StoreError> {
        let user = user.clone();
        let left = self.write(SyncMode::Disk, move |changes| changes.leave_open(channel, &user)).await?;
        left.ok_or_else(no_such_channel)
    }

    async fn set_notify(
        &self,
        channel: ChannelId,
        user: &UserId,
        notify: Notify,
    ) -> Result<bool, StoreError> {
        let user = user.clone();
        self.write(SyncMode::Disk, move |changes| changes.set_notify(channel, &user, notify)).await
    }

    async fn find_users(
        &self,
        query: &str,
        after: Option<&UserId>,
        limit: PageLimit,
    ) -> Result<UserPage, StoreError> {
        let (query, after) = (query.to_owned(), after.cloned());
        let read = move |txn: &ReadTransaction| find_users(txn, &query, after.as_ref(), limit);
        self.read("the users can't be read", read).await
    }
}

/// The tables of channels and people.
struct People {
    channels: ReadOnlyTable<u64, Json>,
    members: ReadOnlyTable<(u64, &'static str), Json>,
    counts: ReadOnlyTable<u64, (u64, u64)>,
    profiles: Profiles,
}

impl People {
    fn open(txn: &ReadTransaction) -> Result<Self, TransactionError> {
        Ok(Self {
            channels: txn.open_table(CHANNELS)?,
            members: txn.open_table(MEMBERS)?,
            counts: txn.open_table(MEMBER_COUNTS)?,
            profiles: Profiles::open(txn)?,
        })
    }

    /// Decodes a member, and gives them their current name and avatar.
    fn named(&self, row: &[u8]) -> Result<Member, TransactionError> {
        let mut member: Member = decode(row)?;
        if let Some(user) = self.profiles.user(&member.user.id)? {
            member.user = user;
        }
        Ok(member)
    }

    fn member(&self, channel: ChannelId, user: &UserId) -> Result<Option<Member>, TransactionError> {
        let row = self.members.get((channel.0, user.as_str()))?;
        row.map(|row| self.named(row.value())).transpose()
    }

    /// Reads a channel's members whose ids come after `after`.
    fn members_after(
        &self,
        channel: ChannelId,
        after: Option<&UserId>,
    ) -> Result<impl Iterator<Item = Result<Member, TransactionError>>, TransactionError> {
        let start = match after {
            Some(after) => Bound::Excluded((channel.0, after.as_str())),
            None => Bound::Included((channel.0, "")),
        };
        let rows = self.members.range((start, Bound::Excluded((channel.0 + 1, ""))))?;
        Ok(rows.map(|row| self.named(row?.1.value())))
    }

    /// Reads a channel as a user has it in their list.
    fn listed(&self, user: &UserId, channel: ChannelId) -> Result<Option<Listed>, TransactionError> {
        let Some(row) = self.channels.get(channel.0)? else { return Ok(None) };
        let info: ChannelInfo = decode(row.value())?;
        let member = self.member(channel, user)?;
        if info.kind != ChannelKind::Open && member.is_none() {
            return Ok(None);
        }
        let members = self.counts.get(channel.0)?.map_or(0, |row| row.value().0);
        let people = match info.kind {
            ChannelKind::Direct => self.members_after(channel, None)?.collect::<Result<Vec<_>, _>>()?,
            _ => Vec::new(),
        };
        let users = people.into_iter().map(|member| member.user).collect();
        Ok(Some(Listed::new(info, member, members).with_users(users)))
    }
}

fn members(
    txn: &ReadTransaction,
    channel: ChannelId,
    after: Option<&UserId>,
    limit: PageLimit,
) -> Result<MemberPage, TransactionError> {
    let people = People::open(txn)?;
    let mut page = limit.fill();
    let mut members = Vec::new();
    for member in people.members_after(channel, after)? {
        let member = member?;
        if !page.take(member.weight()) {
            return Ok(MemberPage::new(members, true));
        }
        members.push(member);
    }
    Ok(MemberPage::new(members, false))
}

fn channels_of(
    txn: &ReadTransaction,
    user: &UserId,
    after: Option<&ChannelName>,
    archived: bool,
    limit: PageLimit,
) -> Result<ListedPage, TransactionError> {
    let (lists, people) = (txn.open_table(LISTS)?, People::open(txn)?);
    let mut parts = Vec::new();
    for user in [EVERYBODY, user.as_str()] {
        parts.push(part(&lists, user, false, after)?);
        if archived {
            parts.push(part(&lists, user, true, after)?);
        }
    }
    let mut page = limit.fill();
    let mut channels = Vec::new();
    while let Some(channel) = next_by_name(&mut parts)? {
        let listed = people.listed(user, channel)?;
        let listed = listed.ok_or(TransactionError::Broken("invalid row: a list has no channel"))?;
        if !page.take(listed.weight()) {
            return Ok(ListedPage::new(channels, true));
        }
        channels.push(listed);
    }
    Ok(ListedPage::new(channels, false))
}

/// Reads a user's channels in one part of the lists, by name.
fn part(
    lists: &ReadOnlyTable<(&'static str, bool, &'static str), u64>,
    user: &str,
    archived: bool,
    after: Option<&ChannelName>,
) -> Result<Part, TransactionError> {
    let start = match after {
        Some(after) => Bound::Excluded((user, archived, after.as_str())),
        None => Bound::Included((user, archived, "")),
    };
    let user = user.to_owned();
    let rows = lists.range((start, Bound::Unbounded))?.map_while(move |row| match row {
        Ok((key, channel)) => {
            let (of, is_archived, name) = key.value();
            let is_part = of == user && is_archived == archived;
            is_part.then(|| Ok((name.to_owned(), ChannelId(channel.value()))))
        }
        Err(error) => Some(Err(error.into())),
    });
    Ok((Box::new(rows) as Box<dyn Iterator<Item = _>>).peekable())
}

/// Channels by name.
type Part = Peekable<Box<dyn Iterator<Item = Result<(String, ChannelId), TransactionError>>>>;

/// Takes the channel whose name comes first.
fn next_by_name(parts: &mut [Part]) -> Result<Option<ChannelId>, TransactionError> {
    let mut first: Option<(String, usize)> = None;
    for (at, part) in parts.iter_mut().enumerate() {
        let name = match part.peek() {
            Some(Ok((name, _))) => name,
            Some(Err(_)) => return part.next().transpose().map(|row| row.map(|(_, channel)| channel)),
            None => continue,
        };
        if first.as_ref().is_none_or(|(least, _)| name < least) {
            first = Some((name.clone(), at));
        }
    }
    let next = first.and_then(|(_, at)| parts[at].next()).transpose()?;
    Ok(next.map(|(_, channel)| channel))
}

fn find_users(
    txn: &ReadTransaction,
    query: &str,
    after: Option<&UserId>,
    limit: PageLimit,
) -> Result<UserPage, TransactionError> {
    let start = after.map_or(Bound::Unbounded, |id| Bound::Excluded(id.as_str()));
    let mut page = limit.fill();
    let mut users = Vec::new();
    let profiles = Profiles::open(txn)?;
    for row in profiles.names.range::<&str>((start, Bound::Unbounded))? {
        let (id, name) = row?;
        let id = UserId::new(id.value())
            .map_err(|_| TransactionError::Broken("invalid row: a user's id can't be one"))?;
        let avatar = profiles.avatar(&id)?;
        let user = User::from_stored(id, name.value()).with_avatar(avatar);
        if user.is_deleted() || !name_matches(&user.name, query) {
            continue;
        }
        if !page.take(UserPage::weight_of(&user)) {
            return Ok(UserPage::new(users, true));
        }
        users.push(user);
    }
    Ok(UserPage::new(users, false))
}
