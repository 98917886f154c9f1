//! Whom a message mentions: of those that its author names, those who can read the channel.

use std::sync::Arc;

use crate::channel::Channel;
use crate::delivery::handle::ConnectionHandle;
use crate::engine::Engine;
use crate::model::error::Error;
use crate::model::id::UserId;
use crate::model::membership::{ChannelKind, Mention, Mentions};
use crate::model::policy::Action;

impl Engine {
    /// Returns the mentions of a user's message.
    ///
    /// # Errors
    /// `not_allowed` if the policy does not let the user mention so many people at once.
    pub(crate) async fn mentions(
        &self,
        handle: &ConnectionHandle,
        channel: &Arc<Channel>,
        list: Vec<Mention>,
    ) -> Result<Mentions, Error> {
        let mentions = self.mentions_of(channel, list).await?;
        let people = match () {
            () if mentions.list.contains(&Mention::Channel) => {
                let listed = self.store.listed(&handle.identity.user.id, channel.info.id).await?;
                listed.map_or(0, |listed| listed.members)
            }
            () if mentions.list.contains(&Mention::Here) => mentions.here.len() as u64,
            () => return Ok(mentions),
        };
        self.policy
            .authorize(&handle.identity, Action::MentionAll { channel: &channel.info.name, people })?;
        Ok(mentions)
    }

    /// Returns the mentions of a message, by the app or a user.
    pub(crate) async fn mentions_of(
        &self,
        channel: &Arc<Channel>,
        mut list: Vec<Mention>,
    ) -> Result<Mentions, Error> {
        if list.is_empty() {
            return Ok(Mentions::default());
        }
        let named = list.iter().filter_map(|mention| match mention {
            Mention::User(user) => Some(user.clone()),
            _ => None,
        });
        let readers = self.readers_among(channel, named.collect()).await?;
        list.retain(|mention| !matches!(mention, Mention::User(user) if !readers.contains(user)));
        let here = match list.contains(&Mention::Here) {
            true => {
                self.open_presence(channel);
                let online = channel.online().everybody();
                online.into_iter().take(self.limits.presence_members).map(|user| user.id).collect()
            }
            false => Vec::new(),
        };
        Ok(Mentions::new(list, here))
    }

    /// Returns those of the users who exist and can read the channel by its members.
    async fn readers_among(&self, channel: &Channel, mut users: Vec<UserId>) -> Result<Vec<UserId>, Error> {
        if channel.info.kind == ChannelKind::Open {
            let known = self.store.users(&users).await?;
            users.retain(|user| known.get(user).is_some_and(|user| !user.is_deleted()));
            return Ok(users);
        }
        let mut readers = Vec::with_capacity(users.len());
        for user in users {
            let member = self.store.member(channel.info.id, &user).await?;
            if member.is_some_and(|member| !member.user.is_deleted()) {
                readers.push(user);
            }
        }
        Ok(readers)
    }
}

/// Returns the people who are mentioned by name, or as one of those who are online, except the author. Those whom
/// `@channel` means hear of it from the message itself.
pub(crate) fn mentioned(mentions: &Mentions, author: &UserId) -> Vec<UserId> {
    let named = mentions.list.iter().filter_map(|mention| match mention {
        Mention::User(user) => Some(user),
        _ => None,
    });
    let mut users: Vec<UserId> =
        named.chain(&mentions.here).filter(|user| *user != author).cloned().collect();
    users.sort_unstable();
    users.dedup();
    users
}
