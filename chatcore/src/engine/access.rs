//! Whether a user can read a channel, by its members and by the app's policy, before a command reads it.

use crate::channel::Channel;
use crate::engine::Engine;
use crate::model::error::Error;
use crate::model::id::Seq;
use crate::model::membership::{ChannelKind, HistoryAccess};
use crate::model::name::ChannelName;
use crate::model::policy::{Action, Identity};
use crate::store::{ChannelInfo, Page};
use std::sync::Arc;

/// A channel that a user can read.
pub(crate) struct Readable {
    pub(crate) channel: Arc<Channel>,
    /// The first event that they can read.
    pub(crate) since: Seq,
}

impl Engine {
    /// Returns a channel that a user can read.
    ///
    /// # Errors
    /// `not_allowed` if the policy refuses it, whether the channel exists or not. `no_such_channel` if it does not
    /// exist, or if it is private or direct and the user is no member.
    pub(crate) async fn readable(&self, identity: &Identity, name: &ChannelName) -> Result<Readable, Error> {
        self.policy.authorize(identity, Action::Read(name))?;
        let channel = self.channel(name).await?;
        let since = self.first_readable(identity, &channel.info).await?;
        Ok(Readable { channel, since })
    }

    /// Returns the first event of a channel that a user can read now. The store is asked at each use: what was true a
    /// moment ago, or at another node, may be over. What it has answered after this call may be newer than the right to
    /// read, so call this again before the user gets it.
    ///
    /// # Errors
    /// As for [`readable`](Self::readable).
    pub(crate) async fn first_readable(&self, identity: &Identity, info: &ChannelInfo) -> Result<Seq, Error> {
        self.policy.authorize(identity, Action::Read(&info.name))?;
        if info.kind == ChannelKind::Open {
            return Ok(0);
        }
        let member = self.store.member(info.id, &identity.user.id).await?;
        let member = member.ok_or_else(Error::no_such_channel)?;
        self.policy.authorize(identity, Action::Read(&info.name))?;
        Ok(if info.history == HistoryAccess::Joined { member.since } else { 0 })
    }
}

/// Returns the part of a page that a user can read whose first event is `since`.
pub(crate) fn readable_part(mut page: Page, since: Seq) -> Page {
    let before = page.messages.len();
    page.messages.retain(|message| message.seq >= since);
    page.more &=
        page.messages.len() == before && page.messages.first().is_some_and(|first| first.seq > since);
    page
}
