//! New channels: each is shown once at this node, whether another node tells of it or only the store has it.
//!
//! The store's ids rise. So a node that knows the newest channel finds every later one in the store, also if the bus has
//! lost what was told of it, or the process that created it has ended before it could tell.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::OnceCell;
use tokio::task::yield_now;

use crate::engine::Engine;
use crate::engine::nodes::Nodes;
use crate::engine::nodes::recent::Recent;
use crate::model::id::ChannelId;
use crate::model::membership::ChannelKind;
use crate::model::time::Timestamp;
use crate::protocol::ChannelObject;
use crate::store::{ChannelInfo, Listed, PageLimit, StoreError, Unread};

/// The most channels that are remembered as shown. One that is not may be shown twice, which changes nothing.
pub(crate) const REMEMBERED: usize = 1_024;

/// The channels per query.
const PAGE: PageLimit = PageLimit::new(256, 256 << 10);

/// Which channels this node has shown to those who are connected to it.
#[derive(Debug)]
pub(super) struct NewChannels {
    /// The id of the channel up to which all are shown, or are in every list that was read here.
    known: OnceCell<AtomicU64>,
    /// By id and time, since a store that has lost its end gives ids again.
    shown: Mutex<Recent<(ChannelId, Timestamp)>>,
}

impl NewChannels {
    pub(super) fn new() -> Self {
        Self { known: OnceCell::new(), shown: Mutex::new(Recent::new(REMEMBERED)) }
    }
}

impl Engine {
    /// Notes the newest channel, once, before the first list of channels is read: every channel that is not in that list
    /// will be found later. Does nothing without other nodes.
    pub(crate) async fn begin_channels(&self) -> Result<(), StoreError> {
        if let Some(nodes) = &self.nodes {
            self.known_channel(nodes).await?;
        }
        Ok(())
    }

    async fn known_channel<'a>(&self, nodes: &'a Nodes) -> Result<&'a AtomicU64, StoreError> {
        let newest = || async {
            let newest = self.in_time(self.store.newest_channel()).await?;
            Ok(AtomicU64::new(newest.map_or(0, |ChannelId(id)| id)))
        };
        nodes.channels.known.get_or_try_init(newest).await
    }

    /// Shows a new channel to everyone who is connected to this node and may see it, unless that is done.
    pub(crate) fn show_once(&self, info: &ChannelInfo) {
        let note = |nodes: &Nodes| {
            // Nothing panics under this lock.
            let mut shown = nodes.channels.shown.lock().unwrap_or_else(PoisonError::into_inner);
            shown.note((info.id, info.created_at))
        };
        // Who is in a private or direct channel is told by its members.
        if self.nodes.as_deref().is_none_or(note) && info.kind == ChannelKind::Open {
            let listed = Listed::new(info.clone(), None, 0);
            self.show_channel(&info.name, &ChannelObject::new(listed, Unread::default()));
        }
    }

    /// Shows the channels that the store has and nobody has told of. Only one task calls it.
    pub(super) async fn find_channels(&self, nodes: &Nodes) -> Result<(), StoreError> {
        let known = self.known_channel(nodes).await?;
        let Some(newest) = self.in_time(self.store.newest_channel()).await? else { return Ok(()) };
        // If the store has lost its end, the next channels have ids that were there before.
        let mut at = ChannelId(known.load(Ordering::Relaxed)).min(newest);
        while at < newest {
            let page = self.in_time(self.store.channels_after(at, PAGE)).await?;
            for info in &page.channels {
                self.show_once(info);
                // There may be many channels, and many connections.
                yield_now().await;
            }
            at = page.channels.last().map_or(newest, |last| last.id);
            known.store(at.0, Ordering::Relaxed);
        }
        known.store(at.0, Ordering::Relaxed);
        Ok(())
    }
}
