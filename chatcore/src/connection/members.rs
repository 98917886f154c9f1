//! Commands about who belongs to a channel, and about people.

use std::collections::HashSet;

use crate::channel::Channel;
use crate::delivery::handle::ConnectionHandle;
use crate::engine::Engine;
use crate::engine::access::Readable;
use crate::engine::members::{Actor, Update, direct_name};
use crate::model::error::Error;
use crate::model::id::{Seq, UserId};
use crate::model::membership::{ChannelKind, MemberOp, Notify, Role};
use crate::model::message::User;
use crate::model::moment::Moment;
use crate::model::name::ChannelName;
use crate::model::policy::Action;
use crate::protocol::{Added, DirectOpened, Logged, MemberList, MemberObject, People, Reply};
use crate::store::{NewPrivate, PageLimit, UserPage, name_matches};

/// People read per step.
const STEP: usize = 256;

/// One step of a look for people.
struct Found {
    users: Vec<User>,
    /// The last one that was looked at.
    last: Option<UserId>,
    more: bool,
}

impl Engine {
    pub(super) async fn make_private(
        &self,
        handle: &ConnectionHandle,
        new: &NewPrivate,
        members: &[UserId],
    ) -> Result<Reply, Error> {
        self.policy.authorize(&handle.identity, Action::CreateChannel(&new.name))?;
        let mut people = self.meet(handle, members).await?;
        people.retain(|user| user.id != handle.identity.user.id);
        handle.share.take_creation(Moment::now())?;
        let made = self.create_private(actor(handle), new, &people).await?;
        let channel = self.seen_by(&handle.identity.user.id, made.id).await?;
        Ok(Reply::Channel(Box::new(channel)))
    }

    pub(super) async fn write_to(&self, handle: &ConnectionHandle, users: &[UserId]) -> Result<Reply, Error> {
        let name = direct_name();
        self.policy.authorize(&handle.identity, Action::CreateChannel(&name))?;
        let mut people = self.meet(handle, users).await?;
        let own = &handle.identity.user;
        people.retain(|user| user.id != own.id);
        people.push(own.clone());
        handle.share.take_creation(Moment::now())?;
        let opened = self.open_direct(actor(handle), &name, &people).await;
        if !matches!(opened, Ok((_, true))) {
            handle.share.give_creation_back(Moment::now());
        }
        let (info, is_new) = opened?;
        let channel = self.seen_by(&own.id, info.id).await?;
        Ok(Reply::Direct(Box::new(DirectOpened::new(channel, is_new))))
    }

    pub(super) async fn update(
        &self,
        handle: &ConnectionHandle,
        name: &ChannelName,
        update: Update,
    ) -> Result<Reply, Error> {
        let Readable { channel, .. } = self.manageable(handle, name).await?;
        let seq = self.update_channel(actor(handle), &channel, update).await?;
        Ok(logged(name, seq))
    }

    pub(super) async fn list_members(
        &self,
        handle: &ConnectionHandle,
        name: &ChannelName,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Reply, Error> {
        let Readable { channel, .. } = self.readable(&handle.identity, name).await?;
        let limit = PageLimit::new(limit, self.limits.answer_bytes);
        let page = self.store.members(channel.info.id, after, limit).await?;
        self.open_presence(&channel);
        let online: HashSet<_> = channel.online().everybody().into_iter().map(|user| user.id).collect();
        self.first_readable(&handle.identity, &channel.info).await?;
        let members = page.members.into_iter().map(|member| {
            let is_online = online.contains(&member.user.id);
            MemberObject::new(member.user, member.role, is_online)
        });
        Ok(Reply::Members(MemberList::new(members.collect(), page.more)))
    }

    pub(super) async fn invite(
        &self,
        handle: &ConnectionHandle,
        name: &ChannelName,
        users: &[UserId],
    ) -> Result<Reply, Error> {
        let Readable { channel, .. } = self.manageable(handle, name).await?;
        let people = self.meet(handle, users).await?;
        let seq = self.add_members(actor(handle), &channel, &people).await?;
        Ok(Reply::Added(Added::new(name.clone(), seq)))
    }

    pub(super) async fn dismiss(
        &self,
        handle: &ConnectionHandle,
        name: &ChannelName,
        user: &UserId,
    ) -> Result<Reply, Error> {
        let Readable { channel, .. } = self.manageable(handle, name).await?;
        let user = self.member(&channel.info, user).await?;
        let seq = self.remove_member(actor(handle), &channel, &user, MemberOp::Removed).await?;
        Ok(logged(name, seq))
    }

    pub(super) async fn join_channel(
        &self,
        handle: &ConnectionHandle,
        name: &ChannelName,
    ) -> Result<Reply, Error> {
        let Readable { channel, .. } = self.readable(&handle.identity, name).await?;
        if channel.info.kind == ChannelKind::Open {
            self.join(channel.info.id, &handle.identity.user).await?;
        }
        Ok(Reply::Done)
    }

    pub(super) async fn leave_channel(
        &self,
        handle: &ConnectionHandle,
        name: &ChannelName,
    ) -> Result<Reply, Error> {
        let Readable { channel, .. } = self.readable(&handle.identity, name).await?;
        let user = &handle.identity.user;
        if channel.info.kind == ChannelKind::Open {
            self.leave_open(channel.info.id, &user.id).await?;
            return Ok(Reply::Done);
        }
        let seq = self.remove_member(actor(handle), &channel, user, MemberOp::Left).await?;
        Ok(logged(name, seq))
    }

    pub(super) async fn give_role(
        &self,
        handle: &ConnectionHandle,
        name: &ChannelName,
        user: &UserId,
        role: Role,
    ) -> Result<Reply, Error> {
        let Readable { channel, .. } = self.manageable(handle, name).await?;
        let user = self.member(&channel.info, user).await?;
        let seq = self.set_role(actor(handle), &channel, &user, role).await?;
        Ok(logged(name, seq))
    }

    pub(super) async fn notify(
        &self,
        handle: &ConnectionHandle,
        name: &ChannelName,
        notify: Notify,
    ) -> Result<Reply, Error> {
        let Readable { channel, .. } = self.readable(&handle.identity, name).await?;
        self.set_notify(&channel.info, &handle.identity.user, notify).await?;
        Ok(Reply::Done)
    }

    /// Finds people by name: all that the user may know of, or those who can read a channel.
    pub(super) async fn find_people(
        &self,
        handle: &ConnectionHandle,
        query: &str,
        channel: Option<&ChannelName>,
        mut after: Option<UserId>,
        limit: usize,
    ) -> Result<Reply, Error> {
        let readable = match channel {
            Some(name) => Some(self.readable(&handle.identity, name).await?.channel),
            None => None,
        };
        let closed = readable.as_ref().filter(|channel| channel.info.kind != ChannelKind::Open);
        let limit = PageLimit::new(limit, self.limits.answer_bytes);
        let mut page = limit.fill();
        let mut users: Vec<User> = Vec::new();
        let mut left = self.limits.channels_scan.max(1);
        let mut more = true;
        'pages: while more && left > 0 {
            let step = PageLimit::new(STEP.min(left), limit.bytes);
            let found = match closed {
                Some(channel) => self.members_named(channel, query, after.as_ref(), step).await?,
                None => {
                    let found = self.store.find_users(query, after.as_ref(), step).await?;
                    Found {
                        last: found.users.last().map(|user| user.id.clone()),
                        users: found.users,
                        more: found.more,
                    }
                }
            };
            (left, more) = (left.saturating_sub(STEP), found.more);
            after = found.last;
            for user in found.users {
                if self.policy.authorize(&handle.identity, Action::Meet(&user.id)).is_err() {
                    continue;
                }
                if !page.take(UserPage::weight_of(&user)) {
                    more = true;
                    break 'pages;
                }
                users.push(user);
            }
        }
        if let Some(channel) = &readable {
            self.first_readable(&handle.identity, &channel.info).await?;
        }
        // Without a user there is none to go on after.
        let more = more && !users.is_empty();
        Ok(Reply::People(People::new(users, more)))
    }

    /// Returns a page of the members of a channel whose names match.
    async fn members_named(
        &self,
        channel: &Channel,
        query: &str,
        after: Option<&UserId>,
        limit: PageLimit,
    ) -> Result<Found, Error> {
        let page = self.store.members(channel.info.id, after, limit).await?;
        let last = page.members.last().map(|member| member.user.id.clone());
        let users = page.members.into_iter().map(|member| member.user);
        let users = users.filter(|user| name_matches(&user.name, query)).collect();
        Ok(Found { users, last, more: page.more })
    }

    /// Returns a channel that the user can read, if the policy lets them change it. Whether their role does is decided by
    /// the store, with the change.
    async fn manageable(&self, handle: &ConnectionHandle, name: &ChannelName) -> Result<Readable, Error> {
        let readable = self.readable(&handle.identity, name).await?;
        self.policy.authorize(&handle.identity, Action::Manage(name))?;
        Ok(readable)
    }

    /// Returns people of whom the user may know.
    ///
    /// # Errors
    /// `no_such_user` if nobody has one of the ids, or the policy says that they may not know of them.
    async fn meet(&self, handle: &ConnectionHandle, ids: &[UserId]) -> Result<Vec<User>, Error> {
        for id in ids {
            let may = self.policy.authorize(&handle.identity, Action::Meet(id));
            may.map_err(|_| Error::no_such_user())?;
        }
        self.people(ids).await
    }
}

fn actor(handle: &ConnectionHandle) -> Actor<'_> {
    Actor::user(&handle.identity.user, &handle.share)
}

fn logged(name: &ChannelName, seq: Seq) -> Reply {
    Reply::Logged(Logged { channel: name.clone(), seq })
}
