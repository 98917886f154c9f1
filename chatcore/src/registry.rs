//! The channels in memory: loaded on first use, dropped when nobody uses them.

use dashmap::DashMap;
use std::time::Instant;

use crate::channel::{Channel, Source};
use crate::config::Limits;
use crate::error::Error;
use crate::name::ChannelName;
use crate::store::ChannelInfo;
use crate::sync::Arc;

/// The channels in memory, by name. Nothing here grows with the channels that merely exist.
#[derive(Debug, Default)]
pub(crate) struct ChannelRegistry {
    loaded: DashMap<ChannelName, Arc<Channel>>,
}

impl ChannelRegistry {
    /// Returns the channel if it is in memory and its ring is filled.
    pub(crate) fn loaded(&self, name: &ChannelName) -> Option<Arc<Channel>> {
        // Cloned under the shard's lock: `evict` counts on that.
        self.loaded.get(name).map(|entry| Arc::clone(&entry)).filter(|channel| channel.is_loaded())
    }

    /// Returns the channel, from the store if it is not in memory.
    ///
    /// # Errors
    /// `no_such_channel`, or `unavailable` where the store can't be read or too many channels are in use.
    pub(crate) async fn get(&self, name: &ChannelName, source: Source<'_>) -> Result<Arc<Channel>, Error> {
        if let Some(channel) = self.loaded(name) {
            return Ok(channel);
        }
        let info = source.store.channel(name).await?.ok_or_else(Error::no_such_channel)?;
        let channel = self.enter(info, source.limits)?;
        channel.load(source).await?;
        Ok(channel)
    }

    fn enter(&self, info: ChannelInfo, limits: &Limits) -> Result<Arc<Channel>, Error> {
        if self.loaded.len() >= limits.loaded_channels && !self.loaded.contains_key(&info.name) {
            self.evict(Instant::now());
            if self.loaded.len() >= limits.loaded_channels {
                return Err(Error::overloaded());
            }
        }
        let entry = self.loaded.entry(info.name.clone());
        Ok(Arc::clone(&entry.or_insert_with(|| Arc::new(Channel::new(info)))))
    }

    /// Returns how many channels are in memory.
    pub(crate) fn len(&self) -> usize {
        self.loaded.len()
    }

    /// Returns how many bytes the channels' rings hold.
    pub(crate) fn ring_bytes(&self) -> usize {
        let loaded = self.loaded.iter().filter(|channel| channel.is_loaded());
        loaded.map(|channel| channel.ring().bytes()).sum()
    }

    /// Drops the channels that nobody holds and nobody has used since `before`.
    pub(crate) fn evict(&self, before: Instant) {
        // A channel is only ever cloned out of the map under the shard's lock, which `retain` holds: a count
        // of one is the map's own, and can't change until the entry is gone.
        self.loaded.retain(|_, channel| Arc::strong_count(channel) > 1 || *channel.used() >= before);
    }
}
