//! Channels, members and people, for the app's own code.

use std::sync::Arc;

use crate::channel::Channel;
use crate::chat::Chat;
use crate::chat::app::{find, in_time};
use crate::connection::checks::{DIRECT_PEOPLE, checked_title, checked_topic};
use crate::engine::Engine;
use crate::engine::members::{Actor, Update, direct_name, private_name};
use crate::model::error::{Error, ErrorCode};
use crate::model::id::{Seq, UserId};
use crate::model::membership::{ChannelKind, HistoryAccess, Member, MemberOp, Role};
use crate::model::message::User;
use crate::model::name::ChannelName;
use crate::store::{ChannelInfo, MemberPage, NewPrivate, PageLimit};

/// For the app's own code, which is trusted: these calls need no session and no membership, and don't ask the
/// [`Policy`](crate::Policy). Users who are connected, to any node, are told at once.
///
/// If a future is dropped, the call may have had its effect or not.
impl Chat {
    /// Creates a private channel, whose owner and first member is `owner`. Others are [added](Self::add_member). Its
    /// name, which is its key, is generated.
    ///
    /// ```
    /// use chatcore::{Chat, HistoryAccess, MemoryStore, NewMessage, User};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let chat = Chat::builder(MemoryStore::new()).build();
    /// let (helpdesk, ann) = (User::new("u_helpdesk", "Helpdesk")?, User::new("u_ann", "Ann")?);
    /// let ticket = chat.create_private(&helpdesk, "Ticket 4711", "", HistoryAccess::All).await?;
    /// chat.add_member(&helpdesk, &ticket.name, &ann).await?;
    /// chat.publish(&helpdesk, &ticket.name, NewMessage::text("We are on it.").system()).await?;
    /// assert_eq!(chat.unread(&ann.id, &ticket.name).await?.messages, 1);
    /// chat.archive(&helpdesk, &ticket.name, true).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `bad_name` or `too_large` for a title or a topic over its limit. `not_allowed` if there are already
    /// [`Limits::channels`](crate::Limits::channels) channels. `unavailable` if the store fails.
    pub async fn create_private(
        &self,
        owner: &User,
        title: &str,
        topic: &str,
        history: HistoryAccess,
    ) -> Result<ChannelInfo, Error> {
        let engine = self.engine();
        let title = checked_title(&engine.limits, title)?;
        let topic = checked_topic(&engine.limits, topic)?;
        let new = NewPrivate::new(private_name(), title).with_topic(topic).with_history(history);
        in_time(engine, engine.create_private(Actor::app(owner), &new, &[])).await
    }

    /// Returns the direct channel of exactly these 1 to 9 people, and creates it if there is none.
    ///
    /// # Errors
    /// `bad_frame` for no people or too many. `not_allowed` if there are already
    /// [`Limits::channels`](crate::Limits::channels) channels. `unavailable` if the store fails.
    pub async fn open_direct(&self, people: &[User]) -> Result<ChannelInfo, Error> {
        let engine = self.engine();
        let mut distinct: Vec<User> = Vec::with_capacity(people.len());
        for user in people {
            if distinct.iter().all(|known| known.id != user.id) {
                distinct.push(user.clone());
            }
        }
        let Some(first) = distinct.first().filter(|_| distinct.len() <= DIRECT_PEOPLE).cloned() else {
            let why = format!("a direct channel has 1 to {DIRECT_PEOPLE} people");
            return Err(Error::new(ErrorCode::BadFrame, why));
        };
        let name = direct_name();
        let opened = engine.open_direct(Actor::app(&first), &name, &distinct);
        Ok(in_time(engine, opened).await?.0)
    }

    /// Adds a person to a channel, as `by`. Returns the `seq` of the event in its log, or `None` if they are a member.
    ///
    /// # Errors
    /// `no_such_channel`. `not_allowed` for a direct channel. `archived`, `too_many_members`. `unavailable` if the store
    /// fails.
    pub async fn add_member(
        &self,
        by: &User,
        channel: &ChannelName,
        user: &User,
    ) -> Result<Option<Seq>, Error> {
        let engine = self.engine();
        let channel = load(engine, channel).await?;
        engine.add_members(Actor::app(by), &channel, std::slice::from_ref(user)).await
    }

    /// Removes a member from a channel, as `by`, and returns the `seq` of the event in its log. In a private channel no
    /// connection of theirs gets anything after it, at any node.
    ///
    /// # Errors
    /// `no_such_channel`, `not_a_member`. `last_owner` if others remain. `not_allowed` for a direct channel. `unavailable`
    /// if the store fails.
    pub async fn remove_member(&self, by: &User, channel: &ChannelName, user: &UserId) -> Result<Seq, Error> {
        let engine = self.engine();
        let channel = load(engine, channel).await?;
        let user = in_time(engine, engine.member(&channel.info, user)).await?;
        engine.remove_member(Actor::app(by), &channel, &user, MemberOp::Removed).await
    }

    /// Gives a member another role, as `by`, and returns the `seq` of the event in the channel's log, or its last one if
    /// they have that role.
    ///
    /// # Errors
    /// As for [`remove_member`](Self::remove_member), and `archived`.
    pub async fn set_role(
        &self,
        by: &User,
        channel: &ChannelName,
        user: &UserId,
        role: Role,
    ) -> Result<Seq, Error> {
        let engine = self.engine();
        let channel = load(engine, channel).await?;
        let user = in_time(engine, engine.member(&channel.info, user)).await?;
        engine.set_role(Actor::app(by), &channel, &user, role).await
    }

    /// Returns a page of a channel's members by user id, those after `after`, or from the first. A page has at most
    /// [`Limits::members_page`](crate::Limits::members_page) members. [`online`](Self::online) has those who are there now.
    ///
    /// # Errors
    /// `no_such_channel`. `unavailable` if the store fails.
    pub async fn members(&self, channel: &ChannelName, after: Option<&UserId>) -> Result<MemberPage, Error> {
        let engine = self.engine();
        let limit = PageLimit::new(engine.limits.members_page.max(1), engine.limits.answer_bytes);
        in_time(engine, async {
            let (_, id) = find(engine, channel).await?;
            Ok(engine.store.members(id, after, limit).await?)
        })
        .await
    }

    /// Returns a user's membership in a channel.
    ///
    /// # Errors
    /// `no_such_channel`. `unavailable` if the store fails.
    pub async fn member(&self, channel: &ChannelName, user: &UserId) -> Result<Option<Member>, Error> {
        let engine = self.engine();
        in_time(engine, async {
            let (_, id) = find(engine, channel).await?;
            Ok(engine.store.member(id, user).await?)
        })
        .await
    }

    /// Changes a channel's title and topic, as `by`, and returns the `seq` of the event in its log, or its last one if
    /// nothing changes. What is `None` stays.
    ///
    /// # Errors
    /// `no_such_channel`, `archived`. `bad_name` or `too_large` for a title or a topic over its limit. `not_allowed` for a
    /// direct channel. `unavailable` if the store fails.
    pub async fn update_channel(
        &self,
        by: &User,
        channel: &ChannelName,
        title: Option<&str>,
        topic: Option<&str>,
    ) -> Result<Seq, Error> {
        let engine = self.engine();
        let update = Update {
            title: title.map(|title| checked_title(&engine.limits, title)).transpose()?,
            topic: topic.map(|topic| checked_topic(&engine.limits, topic)).transpose()?,
            archived: None,
        };
        let channel = load(engine, channel).await?;
        engine.update_channel(Actor::app(by), &channel, update).await
    }

    /// Archives a channel, as `by`, or brings it back. Returns the `seq` of the event in its log, or its last one if
    /// nothing changes. An archived channel can be read and searched, but not written to. Lists have it as archived.
    ///
    /// # Errors
    /// `no_such_channel`. `not_allowed` for a direct channel. `unavailable` if the store fails.
    pub async fn archive(&self, by: &User, channel: &ChannelName, archived: bool) -> Result<Seq, Error> {
        let engine = self.engine();
        let channel = load(engine, channel).await?;
        let update = Update { archived: Some(archived), ..Update::default() };
        engine.update_channel(Actor::app(by), &channel, update).await
    }

    /// Returns a channel with its current title, topic and archive, or `None` if there is none with this name.
    ///
    /// # Errors
    /// `unavailable` if the store fails.
    pub async fn channel(&self, name: &ChannelName) -> Result<Option<ChannelInfo>, Error> {
        let engine = self.engine();
        in_time(engine, async { Ok(engine.store.channel(name).await?) }).await
    }

    /// Returns whether a user can read a channel by its kind and members, whatever the policy says. Nobody can read one
    /// that does not exist.
    ///
    /// # Errors
    /// `unavailable` if the store fails.
    pub async fn is_visible_to(&self, channel: &ChannelName, user: &UserId) -> Result<bool, Error> {
        let engine = self.engine();
        in_time(engine, async {
            let Some(info) = engine.store.channel(channel).await? else { return Ok(false) };
            Ok(info.kind == ChannelKind::Open || engine.store.member(info.id, user).await?.is_some())
        })
        .await
    }
}

async fn load(engine: &Engine, channel: &ChannelName) -> Result<Arc<Channel>, Error> {
    in_time(engine, async {
        let (name, _) = find(engine, channel).await?;
        engine.channel(&name).await
    })
    .await
}
