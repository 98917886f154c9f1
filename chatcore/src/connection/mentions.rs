//! Whom a message mentions: of those that its author names, those who can read the channel.

use std::sync::Arc;

use crate::channel::Channel;
use crate::delivery::handle::ConnectionHandle;
use crate::engine::Engine;
use crate::model::error::Error;
use crate::model::id::UserId;
use crate::model::membership::{ChannelKind, Mention, Mentions};
use crate::model::policy::Action;
use crate::store::PageLimit;

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
            () if mentions.list.contains(&Mention::Channel) => self.people_of(channel).await?,
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
        let mut readers = Vec::new();
        for mention in &list {
            if let Mention::User(user) = mention
                && self.can_be_read_by(channel, user).await?
            {
                readers.push(user.clone());
            }
        }
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

    async fn can_be_read_by(&self, channel: &Channel, user: &UserId) -> Result<bool, Error> {
        Ok(match channel.info.kind {
            ChannelKind::Open => self.store.users(std::slice::from_ref(user)).await?.contains_key(user),
            _ => self.store.member(channel.info.id, user).await?.is_some(),
        })
    }

    /// Returns how many members a channel has, up to one more than nobody may mention by default.
    async fn people_of(&self, channel: &Channel) -> Result<u64, Error> {
        let page = PageLimit::new(self.limits.members.saturating_add(1), PageLimit::MAX);
        let members = self.store.members(channel.info.id, None, page).await?;
        Ok(members.members.len() as u64)
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
