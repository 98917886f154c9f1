//! The list of the channels that a user may see, one page at a time.

use tokio::task::yield_now;

use crate::connection::admission::Listing;
use crate::connection::commands::Outcome;
use crate::delivery::handle::{ConnectionHandle, SubscriptionKey};
use crate::engine::Engine;
use crate::model::error::Error;
use crate::model::name::ChannelName;
use crate::model::policy::Action;
use crate::protocol::{ChannelObject, Encoder, Reply};
use crate::store::{Listed, PageLimit};

/// Channels read and checked per step.
const STEP: usize = 256;

/// The result of a walk through the directory.
struct Walk {
    visible: Vec<Listed>,
    /// If there may be more channels: the last name that was checked.
    reached: Option<ChannelName>,
}

impl Engine {
    /// Lists the channels that a user can see by name, after `after` or from the start, up to `limit` and the bytes of an
    /// answer. Archived ones are left out unless `archived`.
    ///
    /// The next page begins after the last listed channel. If hidden channels follow that, it begins at a mark
    /// that only this session understands, since a name would reveal a channel.
    pub(crate) async fn channels(
        &self,
        handle: &ConnectionHandle,
        key: SubscriptionKey,
        after: Option<ChannelName>,
        archived: bool,
        limit: usize,
    ) -> Result<Outcome, Error> {
        self.begin_channels().await?;
        let limit = PageLimit::new(limit, self.limits.answer_bytes);
        let Walk { visible, mut reached } = self.walk(handle, after, archived, limit).await?;
        let ids: Vec<_> = visible.iter().map(|listed| listed.info.id).collect();
        let unread = self.store.unread(&handle.identity.user.id, &ids).await?;
        let mut page = limit.fill();
        let mut channels: Vec<ChannelObject> = Vec::with_capacity(visible.len());
        for (listed, unread) in visible.into_iter().zip(unread) {
            // The store may have taken a long time.
            if !self.may_list(handle, &listed.info.name) {
                continue;
            }
            let channel = ChannelObject::new(listed, unread);
            if !page.take(Encoder::channel_len(&channel)) {
                reached = channels.last().map(|last| last.name.clone());
                break;
            }
            channels.push(channel);
        }
        let is_listed = channels.last().map(|last| &last.name) == reached.as_ref();
        let listing = reached.clone().filter(|_| !is_listed).map(|reached| Listing::new(key, reached));
        let mark = listing.as_ref().map(|listing| listing.mark().to_owned());
        let after = mark.or(reached.map(|reached| reached.to_string()));
        Ok(Outcome { listing, ..Reply::Channels { channels, after }.into() })
    }

    /// Checks channels in steps, so that memory is bounded whatever the policy hides.
    async fn walk(
        &self,
        handle: &ConnectionHandle,
        mut after: Option<ChannelName>,
        archived: bool,
        limit: PageLimit,
    ) -> Result<Walk, Error> {
        let mut page = limit.fill();
        let mut visible: Vec<Listed> = Vec::new();
        let mut left = self.limits.channels_scan.max(1);
        loop {
            let step = PageLimit::new(left.min(STEP), limit.bytes);
            let user = &handle.identity.user.id;
            let found = self.store.channels_of(user, after.as_ref(), archived, step).await?;
            left = left.saturating_sub(found.channels.len());
            after = found.channels.last().map(|listed| listed.info.name.clone());
            for listed in found.channels {
                if !self.may_list(handle, &listed.info.name) {
                    continue;
                }
                if !page.take(listed.weight()) {
                    let reached = visible.last().map(|last| last.info.name.clone());
                    return Ok(Walk { visible, reached });
                }
                visible.push(listed);
            }
            if !found.more || left == 0 {
                return Ok(Walk { visible, reached: after.filter(|_| found.more) });
            }
            yield_now().await;
        }
    }

    fn may_list(&self, handle: &ConnectionHandle, name: &ChannelName) -> bool {
        self.policy.authorize(&handle.identity, Action::List(name)).is_ok()
    }
}
