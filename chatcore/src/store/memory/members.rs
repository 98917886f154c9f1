//! Who belongs to which channel, in memory.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use async_trait::async_trait;

use super::erasures::was_erased;
use super::log::Log;
use super::{MemoryStore, State, no_such_channel};
use crate::model::append::{Append, AppendBody};
use crate::model::id::{ChannelId, Seq, UserId};
use crate::model::membership::{ChannelKind, HistoryAccess, Member, MemberOp, Notify, Role};
use crate::model::message::User;
use crate::model::name::ChannelName;
use crate::store::{
    AppendError, ChannelInfo, Created, Leaving, Listed, ListedPage, MemberPage, Membership, NewPrivate,
    PageLimit, Standing, StoreError, UserPage, judge, name_matches, needs_standing,
};

/// The members of all channels.
#[derive(Debug, Default)]
pub(super) struct Members {
    of: HashMap<ChannelId, BTreeMap<UserId, Member>>,
    /// The open channels by name, which everybody can see.
    open: BTreeMap<ChannelName, ChannelId>,
    /// Each user's private and direct channels by name.
    closed: HashMap<UserId, BTreeMap<ChannelName, ChannelId>>,
    /// The direct channels by the ids of their people, sorted.
    directs: HashMap<Vec<UserId>, ChannelId>,
}

impl Members {
    fn get(&self, channel: ChannelId, user: &UserId) -> Option<&Member> {
        self.of.get(&channel)?.get(user)
    }

    fn count(&self, channel: ChannelId) -> usize {
        self.of.get(&channel).map_or(0, BTreeMap::len)
    }

    fn owners(&self, channel: ChannelId) -> usize {
        let of = self.of.get(&channel).into_iter().flat_map(BTreeMap::values);
        of.filter(|member| member.role == Role::Owner).count()
    }

    /// Decides whether the channel and its members allow an append.
    pub(super) fn judge(
        &self,
        append: &Append,
        info: &ChannelInfo,
        erased: (bool, bool),
    ) -> Result<(), AppendError> {
        if !needs_standing(append, info.kind) {
            return judge(append, info, Standing::new(None, None, 0, 0).with_erased(erased.0, erased.1));
        }
        let subject = match &append.body {
            AppendBody::Member { user, .. } => self.get(info.id, &user.id),
            _ => None,
        };
        let author = self.get(info.id, &append.author.id);
        let standing = Standing::new(author, subject, self.count(info.id), self.owners(info.id));
        judge(append, info, standing.with_erased(erased.0, erased.1))
    }

    /// Takes a user's name out of their membership.
    pub(super) fn erase_name(&mut self, channel: ChannelId, user: &UserId) {
        if let Some(member) = self.of.get_mut(&channel).and_then(|members| members.get_mut(user)) {
            member.user.erase_name(user);
        }
    }

    /// Returns the first event that a user can read of a channel, if they are a member who can't read all of its past.
    pub(super) fn hidden_until(&self, user: &UserId, info: &ChannelInfo) -> Seq {
        let is_hidden = info.history == HistoryAccess::Joined;
        self.get(info.id, user).filter(|_| is_hidden).map_or(0, |member| member.since)
    }

    fn enter(&mut self, info: &ChannelInfo, mut member: Member) {
        // The current one is with the user.
        member.user.forget_avatar();
        if info.kind != ChannelKind::Open {
            let closed = self.closed.entry(member.user.id.clone()).or_default();
            closed.insert(info.name.clone(), info.id);
        }
        self.of.entry(info.id).or_default().insert(member.user.id.clone(), member);
    }

    fn remove(&mut self, channel: ChannelId, name: &ChannelName, user: &UserId) -> bool {
        if let Some(closed) = self.closed.get_mut(user) {
            closed.remove(name);
        }
        self.of.get_mut(&channel).is_some_and(|members| members.remove(user).is_some())
    }
}

impl State {
    /// Returns the id of the channel that is created next.
    pub(super) fn next_channel(&self) -> ChannelId {
        ChannelId(self.logs.len() as u64 + 1)
    }

    /// Enters a new channel with its first members. The first of them owns it, unless it is a direct one.
    pub(super) fn enter_channel(&mut self, info: &ChannelInfo, people: &[User]) {
        self.names.insert(info.name.clone(), info.id);
        self.looks.insert(info.name.look(), info.id);
        let mut log = Log::new(info.clone());
        people.iter().chain([&info.created_by]).for_each(|user| log.note(self.hashes.of_user(&user.id)));
        self.logs.push(log);
        if info.kind == ChannelKind::Open {
            self.members.open.insert(info.name.clone(), info.id);
        }
        let role = if info.kind == ChannelKind::Direct { Role::Member } else { Role::Owner };
        for user in people {
            self.members.enter(info, Member::new(user.clone(), role));
        }
    }

    /// Changes a member as the event at `seq` says.
    pub(super) fn change_member(
        &mut self,
        channel: ChannelId,
        op: MemberOp,
        user: User,
        role: Role,
        seq: Seq,
    ) {
        let Some(info) = self.log(channel).map(|log| log.info().clone()) else { return };
        match op {
            MemberOp::Added => {
                self.members.enter(&info, Member::new(user, role).with_since(seq));
            }
            MemberOp::Removed | MemberOp::Left => {
                self.members.remove(channel, &info.name, &user.id);
            }
            MemberOp::Role => {
                let member = self.members.of.get_mut(&channel).and_then(|members| members.get_mut(&user.id));
                if let Some(member) = member {
                    member.role = role;
                }
            }
        }
    }

    /// Returns a member with the user's current name.
    fn named(&self, member: &Member) -> Member {
        let user = self.users.get(&member.user.id).unwrap_or(&member.user).clone();
        Member { user, ..member.clone() }
    }

    fn listed(&self, user: &UserId, channel: ChannelId) -> Option<Listed> {
        let info = self.log(channel)?.info();
        let member = self.members.get(channel, user).map(|member| self.named(member));
        if info.kind != ChannelKind::Open && member.is_none() {
            return None;
        }
        let listed = Listed::new(info.clone(), member, self.members.count(channel) as u64);
        let is_direct = info.kind == ChannelKind::Direct;
        let people = self.members.of.get(&channel).filter(|_| is_direct).into_iter();
        Some(
            listed.with_users(
                people.flat_map(BTreeMap::values).map(|member| self.named(member).user).collect(),
            ),
        )
    }
}

#[async_trait]
impl Membership for MemoryStore {
    async fn create_private_within(
        &self,
        new: &NewPrivate,
        by: &User,
        most: usize,
    ) -> Result<Option<ChannelInfo>, StoreError> {
        let mut state = self.state();
        if state.erased.has(&by.id) {
            return Err(was_erased());
        }
        if state.names.contains_key(&new.name) {
            return Err(taken());
        }
        if state.names.len() >= most {
            return Ok(None);
        }
        let info = ChannelInfo::new(state.next_channel(), new.name.clone(), self.clock.now(), by.clone());
        let info = info.with_title(&*new.title).with_topic(&*new.topic);
        let info = info.with_kind(ChannelKind::Private, new.history);
        state.enter_channel(&info, std::slice::from_ref(by));
        Ok(Some(info))
    }

    async fn open_direct_within(
        &self,
        name: &ChannelName,
        people: &[User],
        by: &User,
        most: usize,
    ) -> Result<Option<Created>, StoreError> {
        let mut state = self.state();
        let mut ids: Vec<_> = people.iter().map(|user| user.id.clone()).collect();
        ids.sort_unstable();
        if let Some(known) = state.members.directs.get(&ids).and_then(|id| state.log(*id)) {
            return Ok(Some(Created::Exists(known.info().clone())));
        }
        if people.iter().any(|user| state.erased.has(&user.id)) {
            return Err(was_erased());
        }
        if state.names.contains_key(name) {
            return Err(taken());
        }
        if state.names.len() >= most {
            return Ok(None);
        }
        let info = ChannelInfo::new(state.next_channel(), name.clone(), self.clock.now(), by.clone());
        let info = info.with_title("").with_kind(ChannelKind::Direct, HistoryAccess::All);
        state.enter_channel(&info, people);
        state.members.directs.insert(ids, info.id);
        Ok(Some(Created::New(info)))
    }

    async fn member(&self, channel: ChannelId, user: &UserId) -> Result<Option<Member>, StoreError> {
        let state = self.state();
        Ok(state.members.get(channel, user).map(|member| state.named(member)))
    }

    async fn members(
        &self,
        channel: ChannelId,
        after: Option<&UserId>,
        limit: PageLimit,
    ) -> Result<MemberPage, StoreError> {
        let state = self.state();
        let Some(members) = state.members.of.get(&channel) else {
            return Ok(MemberPage::new(Vec::new(), false));
        };
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let later = members.range((start, Bound::Unbounded)).map(|(_, member)| state.named(member));
        let mut later = later.peekable();
        let mut page = limit.fill();
        let mut found = Vec::new();
        while let Some(member) = later.next_if(|member| page.take(member.weight())) {
            found.push(member);
        }
        Ok(MemberPage::new(found, later.peek().is_some()))
    }

    async fn listed(&self, user: &UserId, channel: ChannelId) -> Result<Option<Listed>, StoreError> {
        Ok(self.state().listed(user, channel))
    }

    async fn channels_of(
        &self,
        user: &UserId,
        after: Option<&ChannelName>,
        archived: bool,
        limit: PageLimit,
    ) -> Result<ListedPage, StoreError> {
        let state = self.state();
        let range = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let none = BTreeMap::new();
        let mut open = state.members.open.range::<ChannelName, _>(range).peekable();
        let mut closed =
            state.members.closed.get(user).unwrap_or(&none).range::<ChannelName, _>(range).peekable();
        let mut next = || match (open.peek(), closed.peek()) {
            (Some((one, _)), Some((other, _))) if one > other => closed.next(),
            (Some(_), _) => open.next(),
            (None, _) => closed.next(),
        };
        let mut page = limit.fill();
        let mut channels = Vec::new();
        while let Some((_, id)) = next() {
            let Some(listed) = state.listed(user, *id).filter(|one| archived || !one.info.archived) else {
                continue;
            };
            if !page.take(listed.weight()) {
                return Ok(ListedPage::new(channels, true));
            }
            channels.push(listed);
        }
        Ok(ListedPage::new(channels, false))
    }

    async fn join_open(&self, channel: ChannelId, user: &User) -> Result<bool, StoreError> {
        let mut state = self.state();
        let info = state.log(channel).ok_or_else(no_such_channel)?.info().clone();
        let is_new = info.kind == ChannelKind::Open && state.members.get(channel, &user.id).is_none();
        let is_new = is_new && !state.erased.has(&user.id);
        if is_new {
            let hash = state.hashes.of_user(&user.id);
            state.log_mut(channel).ok_or_else(no_such_channel)?.note(hash);
            state.members.enter(&info, Member::new(user.clone(), Role::Member));
        }
        Ok(is_new)
    }

    async fn leave_open(&self, channel: ChannelId, user: &UserId) -> Result<Leaving, StoreError> {
        let mut state = self.state();
        let info = state.log(channel).ok_or_else(no_such_channel)?.info().clone();
        let member = state.members.get(channel, user).filter(|_| info.kind == ChannelKind::Open);
        let Some(member) = member else { return Ok(Leaving::NotAMember) };
        let is_last = member.role == Role::Owner && state.members.owners(channel) == 1;
        if is_last && state.members.count(channel) > 1 {
            return Ok(Leaving::LastOwner);
        }
        state.members.remove(channel, &info.name, user);
        Ok(Leaving::Left)
    }

    async fn set_notify(
        &self,
        channel: ChannelId,
        user: &UserId,
        notify: Notify,
    ) -> Result<bool, StoreError> {
        let mut state = self.state();
        let member = state.members.of.get_mut(&channel).and_then(|members| members.get_mut(user));
        let is_member = member.is_some();
        if let Some(member) = member {
            member.notify = notify;
        }
        Ok(is_member)
    }

    async fn find_users(
        &self,
        query: &str,
        after: Option<&UserId>,
        limit: PageLimit,
    ) -> Result<UserPage, StoreError> {
        let state = self.state();
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let later = state.users.range((start, Bound::Unbounded)).map(|(_, user)| user);
        let mut later = later.filter(|user| !user.is_deleted() && name_matches(&user.name, query)).peekable();
        let mut page = limit.fill();
        let mut users = Vec::new();
        while let Some(user) = later.next_if(|user| page.take(UserPage::weight_of(user))) {
            users.push(user.clone());
        }
        Ok(UserPage::new(users, later.peek().is_some()))
    }
}

fn taken() -> StoreError {
    StoreError::new("a channel has that name already")
}
