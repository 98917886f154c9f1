//! The members of channels inside a write transaction: their changes, and what they allow.

use chatcore::store::{
    Append, AppendBody, AppendError, ChannelInfo, ChannelKind, Leaving, Member, MemberOp, Notify, Role,
    Standing, judge, needs_standing,
};
use chatcore::{ChannelId, Seq, User, UserId};
use redb::ReadableTable;

use crate::error::TransactionError;
use crate::log::{Changes, Outcome};
use crate::schema::{decode, encode};

impl Changes<'_> {
    /// Decides whether the channel and its members allow an append. For a message, an edit, a delete or a reaction in an
    /// open channel this reads two rows that aren't there.
    pub(crate) fn judge(&self, item: &Append) -> Outcome<()> {
        let (author_erased, subject_erased) = self.erased_of(item)?;
        let is_change = matches!(item.body, AppendBody::Member { .. } | AppendBody::Change { .. });
        if !is_change && !author_erased && self.tables.restricted.read()?.get(item.channel.0)?.is_none() {
            return Ok(Ok(()));
        }
        let Some(info) = self.channel(item.channel)? else { return Ok(Err(AppendError::NoSuchChannel)) };
        if !needs_standing(item, info.kind) {
            let standing = Standing::new(None, None, 0, 0).with_erased(author_erased, subject_erased);
            return Ok(judge(item, &info, standing));
        }
        let author = self.member(info.id, &item.author.id)?;
        let (subject, (members, owners)) = match &item.body {
            AppendBody::Member { user, .. } => (self.member(info.id, &user.id)?, self.counts(info.id)?),
            _ => (None, (0, 0)),
        };
        let [members, owners] = [members, owners].map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        let standing = Standing::new(author.as_ref(), subject.as_ref(), members, owners);
        Ok(judge(item, &info, standing.with_erased(author_erased, subject_erased)))
    }

    /// Returns a membership, with the name that the user had when it was stored.
    pub(crate) fn member(
        &self,
        channel: ChannelId,
        user: &UserId,
    ) -> Result<Option<Member>, TransactionError> {
        let row = self.tables.members.read()?.get((channel.0, user.as_str()))?;
        row.map(|row| decode(row.value())).transpose()
    }

    /// Returns how many members a channel has, and how many of them own it.
    fn counts(&self, channel: ChannelId) -> Result<(u64, u64), TransactionError> {
        Ok(self.tables.member_counts.read()?.get(channel.0)?.map_or((0, 0), |row| row.value()))
    }

    /// Returns the ids of a channel's members.
    pub(crate) fn member_ids(&self, channel: ChannelId) -> Result<Vec<String>, TransactionError> {
        let mut ids = Vec::new();
        for row in self.tables.members.read()?.range((channel.0, "")..(channel.0 + 1, ""))? {
            ids.push(row?.0.value().1.to_owned());
        }
        Ok(ids)
    }

    /// Changes a member as the event at `seq` says.
    pub(crate) fn change_member(
        &mut self,
        channel: ChannelId,
        op: MemberOp,
        user: &User,
        role: Option<Role>,
        seq: Seq,
    ) -> Result<(), TransactionError> {
        let broken = || TransactionError::Broken("invalid row: a member has no channel");
        let info = self.channel(channel)?.ok_or_else(broken)?;
        match op {
            MemberOp::Added => {
                let member = Member::new(user.clone(), role.unwrap_or_default()).with_since(seq);
                self.put_member(&info, &member)
            }
            MemberOp::Removed | MemberOp::Left => self.remove_member(&info, &user.id),
            MemberOp::Role => match self.member(channel, &user.id)? {
                Some(mut member) => {
                    member.role = role.unwrap_or_default();
                    self.put_member(&info, &member)
                }
                None => Ok(()),
            },
        }
    }

    /// Stores a new or changed member.
    pub(crate) fn put_member(&mut self, info: &ChannelInfo, member: &Member) -> Result<(), TransactionError> {
        let user = &member.user.id;
        let before = self.member(info.id, user)?;
        self.recount(info.id, before.map(|member| member.role), Some(member.role))?;
        // The current avatar is with the user.
        let mut row = member.clone();
        row.user = row.user.with_avatar(None);
        let row = encode(&row)?;
        self.tables.members.write()?.insert((info.id.0, user.as_str()), row.as_slice())?;
        self.note_place(user, info.id)?;
        if info.kind != ChannelKind::Open {
            let key = (user.as_str(), info.archived, info.name.as_str());
            self.tables.lists.write()?.insert(key, info.id.0)?;
        }
        Ok(())
    }

    fn remove_member(&mut self, info: &ChannelInfo, user: &UserId) -> Result<(), TransactionError> {
        let Some(before) = self.member(info.id, user)? else { return Ok(()) };
        self.recount(info.id, Some(before.role), None)?;
        self.tables.members.write()?.remove((info.id.0, user.as_str()))?;
        self.tables.lists.write()?.remove((user.as_str(), info.archived, info.name.as_str()))?;
        Ok(())
    }

    /// Counts a member whose role was `before` and is `after`. `None` is the role of nobody.
    fn recount(
        &mut self,
        channel: ChannelId,
        before: Option<Role>,
        after: Option<Role>,
    ) -> Result<(), TransactionError> {
        let count = |role: Option<Role>| (u64::from(role.is_some()), u64::from(role == Some(Role::Owner)));
        let (members, owners) = self.counts(channel)?;
        let (fewer, more) = (count(before), count(after));
        if fewer != more {
            let counts =
                ((members + more.0).saturating_sub(fewer.0), (owners + more.1).saturating_sub(fewer.1));
            self.tables.member_counts.write()?.insert(channel.0, counts)?;
        }
        Ok(())
    }

    /// Enters a user in an open channel, and returns whether they are new. Returns `None` if there is no such channel.
    pub(crate) fn join_open(
        &mut self,
        channel: ChannelId,
        user: User,
    ) -> Result<Option<bool>, TransactionError> {
        let Some(info) = self.channel(channel)? else { return Ok(None) };
        let is_new = info.kind == ChannelKind::Open
            && self.member(channel, &user.id)?.is_none()
            && !self.is_erased(&user.id)?;
        if is_new {
            let member = Member::new(user, Role::Member);
            self.put_member(&info, &member)?;
            self.journal_join(channel, &member)?;
        }
        Ok(Some(is_new))
    }

    /// Removes a user from an open channel. Returns `None` if there is no such channel.
    pub(crate) fn leave_open(
        &mut self,
        channel: ChannelId,
        user: &UserId,
    ) -> Result<Option<Leaving>, TransactionError> {
        let Some(info) = self.channel(channel)? else { return Ok(None) };
        let member = self.member(channel, user)?.filter(|_| info.kind == ChannelKind::Open);
        let Some(member) = member else { return Ok(Some(Leaving::NotAMember)) };
        let (members, owners) = self.counts(channel)?;
        if member.role == Role::Owner && owners <= 1 && members > 1 {
            return Ok(Some(Leaving::LastOwner));
        }
        self.remove_member(&info, user)?;
        Ok(Some(Leaving::Left))
    }

    /// Sets what a member wants to be told of. Returns whether the user is a member.
    pub(crate) fn set_notify(
        &mut self,
        channel: ChannelId,
        user: &UserId,
        notify: Notify,
    ) -> Result<bool, TransactionError> {
        let Some(mut member) = self.member(channel, user)? else { return Ok(false) };
        if member.notify != notify {
            member.notify = notify;
            let row = encode(&member)?;
            self.tables.members.write()?.insert((channel.0, user.as_str()), row.as_slice())?;
        }
        Ok(true)
    }
}
