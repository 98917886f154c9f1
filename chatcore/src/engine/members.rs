//! Who belongs to a channel: creating private and direct channels, and everything that changes members and channels.

use std::sync::Arc;

use crate::channel::Channel;
use crate::engine::Engine;
use crate::engine::nodes::endings::Ending;
use crate::engine::nodes::notice::Notice;
use crate::engine::tidings::Tiding;
use crate::limits::share::Share;
use crate::model::append::{Append, AppendBody};
use crate::model::error::{Error, ErrorCode};
use crate::model::id::{ChannelId, Seq, UserId};
use crate::model::membership::{ChannelKind, MemberOp, Notify, Role};
use crate::model::message::User;
use crate::model::name::ChannelName;
use crate::protocol::RemovalReason;
use crate::store::{Appended, ChannelInfo, Created, Leaving, NewPrivate};

/// Who does something: a user, whose membership the store checks, or the app itself.
#[derive(Clone, Copy)]
pub(crate) struct Actor<'a> {
    user: &'a User,
    /// A user's share. The app itself has none.
    share: Option<&'a Arc<Share>>,
}

impl<'a> Actor<'a> {
    pub(crate) fn user(user: &'a User, share: &'a Arc<Share>) -> Self {
        Self { user, share: Some(share) }
    }

    pub(crate) fn app(user: &'a User) -> Self {
        Self { user, share: None }
    }
}

/// What an update changes. What is `None` stays.
#[derive(Debug, Default)]
pub(crate) struct Update {
    pub(crate) title: Option<String>,
    pub(crate) topic: Option<String>,
    pub(crate) archived: Option<bool>,
}

/// The letters of generated names: 32 that can't be mistaken for each other.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Returns a name that nobody can guess: the beginning, and 130 random bits.
fn generated(start: &str) -> ChannelName {
    let mut random = [0; 26];
    getrandom::fill(&mut random).expect("invariant: the system has a source of randomness");
    let letters = random.iter().map(|byte| char::from(LETTERS[usize::from(byte & 31)]));
    let name: String = start.chars().chain(letters).collect();
    ChannelName::new(&name).expect("invariant: letters and digits are a name")
}

/// Returns a name for a new private channel.
pub(crate) fn private_name() -> ChannelName {
    generated("pr.")
}

/// Returns a name for a new direct channel.
pub(crate) fn direct_name() -> ChannelName {
    generated("dm.")
}

impl Engine {
    /// Creates a private channel, whose owner is the actor, and adds people.
    pub(crate) async fn create_private(
        &self,
        actor: Actor<'_>,
        new: &NewPrivate,
        people: &[User],
    ) -> Result<ChannelInfo, Error> {
        let most = self.limits.channels;
        let made = self.store.create_private_within(new, actor.user, most).await;
        let made = self.unless_erased(made, std::slice::from_ref(actor.user)).await?;
        let info = made.ok_or_else(|| Error::too_many_channels(most))?;
        self.tell_added(info.id, [actor.user.id.clone()]);
        if !people.is_empty() {
            let channel = self.channel(&info.name).await?;
            self.add_members(actor, &channel, people).await?;
        }
        Ok(info)
    }

    /// Returns the direct channel of these people, of whom the actor is one, and whether it is new.
    pub(crate) async fn open_direct(
        &self,
        actor: Actor<'_>,
        name: &ChannelName,
        people: &[User],
    ) -> Result<(ChannelInfo, bool), Error> {
        let most = self.limits.channels;
        let opened = self.store.open_direct_within(name, people, actor.user, most).await;
        let opened = self.unless_erased(opened, people).await?;
        let opened = opened.ok_or_else(|| Error::too_many_channels(most))?;
        let is_new = matches!(opened, Created::New(_));
        let info = opened.into_channel();
        if is_new {
            self.tell_added(info.id, people.iter().map(|user| user.id.clone()));
        }
        Ok((info, is_new))
    }

    /// Adds people, and returns the `seq` of the last one's event, or `None` if all were members.
    pub(crate) async fn add_members(
        &self,
        actor: Actor<'_>,
        channel: &Arc<Channel>,
        people: &[User],
    ) -> Result<Option<Seq>, Error> {
        let (mut last, mut added, mut refused) = (None, Vec::new(), None);
        for user in people {
            let body = AppendBody::Member {
                op: MemberOp::Added,
                user: user.clone(),
                role: Role::Member,
                most: self.limits.members,
            };
            match self.log_change(actor, channel, body).await {
                Ok(appended) => {
                    last = Some(appended.seq);
                    added.push(user.id.clone());
                }
                Err(error) if error.changes_nothing() => {}
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            }
        }
        self.tell_added(channel.info.id, added);
        refused.map_or(Ok(last), Err)
    }

    /// Removes a member, or lets the actor leave. Nothing of a private channel reaches them after this event, at any node.
    pub(crate) async fn remove_member(
        &self,
        actor: Actor<'_>,
        channel: &Arc<Channel>,
        user: &User,
        op: MemberOp,
    ) -> Result<Seq, Error> {
        let body = AppendBody::Member { op, user: user.clone(), role: Role::Member, most: usize::MAX };
        let appended = self.log_change(actor, channel, body).await?;
        if channel.info.kind == ChannelKind::Open {
            self.tell_added(channel.info.id, [user.id.clone()]);
            return Ok(appended.seq);
        }
        let reason = if op == MemberOp::Left { RemovalReason::Left } else { RemovalReason::Removed };
        self.end(Ending::Member {
            user: user.id.clone(),
            channel: channel.info.name.clone(),
            id: channel.info.id,
            seq: appended.seq,
            reason,
        });
        Ok(appended.seq)
    }

    /// Gives a member another role, and returns the `seq` of the event, or the log's last one if they have that role.
    pub(crate) async fn set_role(
        &self,
        actor: Actor<'_>,
        channel: &Arc<Channel>,
        user: &User,
        role: Role,
    ) -> Result<Seq, Error> {
        let body = AppendBody::Member { op: MemberOp::Role, user: user.clone(), role, most: usize::MAX };
        let seq = self.log_or_keep(actor, channel, body).await?;
        self.tell_added(channel.info.id, [user.id.clone()]);
        Ok(seq)
    }

    /// Changes the channel itself, and returns the `seq` of the event, or the log's last one if nothing changes.
    pub(crate) async fn update_channel(
        &self,
        actor: Actor<'_>,
        channel: &Arc<Channel>,
        update: Update,
    ) -> Result<Seq, Error> {
        let Update { title, topic, archived } = update;
        self.log_or_keep(actor, channel, AppendBody::Change { title, topic, archived }).await
    }

    async fn log_or_keep(
        &self,
        actor: Actor<'_>,
        channel: &Arc<Channel>,
        body: AppendBody,
    ) -> Result<Seq, Error> {
        match self.log_change(actor, channel, body).await {
            Ok(appended) => Ok(appended.seq),
            Err(error) if error.changes_nothing() => Ok(channel.position().seq),
            Err(error) => Err(error),
        }
    }

    async fn log_change(
        &self,
        actor: Actor<'_>,
        channel: &Arc<Channel>,
        body: AppendBody,
    ) -> Result<Appended, Error> {
        if channel.info.kind == ChannelKind::Direct {
            let why = "a direct channel is its people: neither it nor who is in it can be changed";
            return Err(Error::new(ErrorCode::NotAllowed, why));
        }
        let place = actor.share.map(|share| share.enqueue()).transpose()?;
        let append = Append::new(channel.info.id, actor.user.clone(), body);
        let append = Append { checked: actor.share.is_some(), ..append };
        let pending = self.appends.enqueue(Arc::clone(channel), append, place)?;
        pending.await
    }

    /// Puts an open channel into a user's list.
    pub(crate) async fn join(&self, channel: ChannelId, user: &User) -> Result<(), Error> {
        if self.store.join_open(channel, user).await? {
            self.tell_added(channel, [user.id.clone()]);
        }
        Ok(())
    }

    /// Returns a member of a channel. The first message to an open channel makes its author a member, even if the join
    /// still waits.
    pub(crate) async fn member(&self, info: &ChannelInfo, user: &UserId) -> Result<User, Error> {
        if info.kind == ChannelKind::Open {
            self.finish_joins_of(user).await;
        }
        let member = self.store.member(info.id, user).await?;
        Ok(member.ok_or_else(Error::not_a_member)?.user)
    }

    /// Takes an open channel off a user's list.
    pub(crate) async fn leave_open(&self, channel: ChannelId, user: &UserId) -> Result<(), Error> {
        self.finish_joins_of(user).await;
        let left = self.store.leave_open(channel, user).await;
        // Also if the answer was lost: the next message joins again.
        self.forget_joined(user);
        match left? {
            Leaving::Left => self.tell_added(channel, [user.clone()]),
            Leaving::NotAMember => return Err(Error::not_a_member()),
            Leaving::LastOwner => return Err(Error::last_owner()),
        }
        Ok(())
    }

    /// Sets what a user wants to be told of. It joins an open channel.
    pub(crate) async fn set_notify(
        &self,
        info: &ChannelInfo,
        user: &User,
        notify: Notify,
    ) -> Result<(), Error> {
        if info.kind == ChannelKind::Open {
            self.store.join_open(info.id, user).await?;
        }
        if !self.store.set_notify(info.id, &user.id, notify).await? {
            return Err(Error::not_a_member());
        }
        self.tell_added(info.id, [user.id.clone()]);
        Ok(())
    }

    /// Returns these users, in order.
    ///
    /// # Errors
    /// `no_such_user` if nobody has one of the ids, or who had it was erased.
    pub(crate) async fn people(&self, ids: &[UserId]) -> Result<Vec<User>, Error> {
        let mut known = self.store.users(ids).await?;
        let mut take = |id| known.remove(id).filter(|user| !user.is_deleted());
        ids.iter().map(|id| take(id).ok_or_else(Error::no_such_user)).collect()
    }

    /// Shows users, at all nodes, how they have a channel in their lists now.
    pub(crate) fn tell_added(&self, channel: ChannelId, users: impl IntoIterator<Item = UserId>) {
        let users: Vec<_> = users.into_iter().collect();
        for user in &users {
            self.tell_soon(Tiding::Added { user: user.clone(), channel });
        }
        if !users.is_empty() {
            self.tell_nodes(|| Notice::Added { channel, users });
        }
    }

    /// Tells users, at all nodes, how much they have to read in a channel now.
    pub(crate) fn tell_counts(&self, channel: &ChannelInfo, users: impl IntoIterator<Item = UserId>) {
        let users: Vec<_> = users.into_iter().collect();
        let (id, name) = (channel.id, &channel.name);
        for user in &users {
            self.tell_soon(Tiding::Counts { user: user.clone(), channel: id, name: name.clone() });
        }
        if !users.is_empty() {
            self.tell_nodes(|| Notice::Counts { channel: id, name: name.clone(), users });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_name_is_new_and_its_beginning_says_what_it_is() {
        let (one, other) = (private_name(), private_name());
        assert_ne!(one, other);
        assert!(one.as_str().starts_with("pr.") && one.as_str().len() == 29, "{one}");
        assert!(direct_name().as_str().starts_with("dm."));
    }
}
