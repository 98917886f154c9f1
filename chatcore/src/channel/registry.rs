//! The channels in memory: loaded on first use, dropped when nobody uses them.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use dashmap::DashMap;

use crate::channel::{Channel, Source};
use crate::delivery::ring_budget::Rings;
use crate::limits::Limits;
use crate::model::error::Error;
use crate::model::id::ChannelId;
use crate::model::name::ChannelName;
use crate::protocol::Encoder;
use crate::store::ChannelInfo;

/// The channels in memory, by name. Nothing here grows with the channels that only exist in the store.
#[derive(Debug)]
pub(crate) struct ChannelRegistry {
    loaded: DashMap<ChannelName, Arc<Channel>>,
    /// The names of the channels in memory by their ids, which other nodes send. `None` without other nodes.
    names: Option<DashMap<ChannelId, ChannelName>>,
    encoder: Encoder,
    rings: Arc<Rings>,
    /// Held while rings are trimmed.
    trimming: Mutex<()>,
}

impl ChannelRegistry {
    pub(crate) fn new(limits: &Limits, encoder: Encoder, has_nodes: bool) -> Self {
        Self {
            loaded: DashMap::new(),
            names: has_nodes.then(DashMap::new),
            encoder,
            rings: Arc::new(Rings::new(limits)),
            trimming: Mutex::default(),
        }
    }

    /// Returns the budget of all rings.
    pub(crate) fn rings(&self) -> &Arc<Rings> {
        &self.rings
    }

    /// Returns the channel if it is in memory and its ring is filled.
    pub(crate) fn loaded(&self, name: &str) -> Option<Arc<Channel>> {
        // Cloned under the shard's lock. `evict` relies on that.
        self.loaded.get(name).map(|entry| Arc::clone(&entry)).filter(|channel| channel.ring().is_filled())
    }

    /// Returns the channel with this exact name, loading it if it is not in memory.
    ///
    /// # Errors
    /// `no_such_channel`. `unavailable` if the store can't be read or too many channels are in use.
    pub(crate) async fn get(&self, name: &ChannelName, source: Source<'_>) -> Result<Arc<Channel>, Error> {
        if let Some(channel) = self.loaded(name.as_str()) {
            return Ok(channel);
        }
        let info = source.store.channel(name).await?.filter(|info| info.name == *name);
        let info = info.ok_or_else(Error::no_such_channel)?;
        let channel = self.enter(info, source.limits)?;
        channel.load(source).await?;
        self.trim();
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
        Ok(Arc::clone(&entry.or_insert_with(|| {
            if let Some(names) = &self.names {
                names.insert(info.id, info.name.clone());
            }
            Arc::new(Channel::new(info, self.encoder.clone(), Arc::clone(&self.rings)))
        })))
    }

    /// Returns the channel with this id if it is in memory. Its ring may not be filled yet. Finds nothing without other
    /// nodes.
    pub(crate) fn by_id(&self, id: ChannelId) -> Option<Arc<Channel>> {
        let name = self.names.as_ref()?.get(&id)?.clone();
        // Cloned under the shard's lock, as in `loaded`.
        self.loaded.get(&name).map(|entry| Arc::clone(&entry))
    }

    /// Returns the channels in memory whose rings are filled, in the order of their ids.
    pub(crate) fn all(&self) -> Vec<Arc<Channel>> {
        let loaded = self.loaded.iter().filter(|channel| channel.ring().is_filled());
        let mut channels: Vec<_> = loaded.map(|channel| Arc::clone(&channel)).collect();
        channels.sort_unstable_by_key(|channel| channel.info.id);
        channels
    }

    /// Returns how many channels are in memory.
    pub(crate) fn len(&self) -> usize {
        self.loaded.len()
    }

    /// Shrinks the least recently used rings, if all rings hold too much.
    pub(crate) fn trim(&self) {
        if !self.rings.is_over() {
            return;
        }
        // Another task is trimming already.
        let Ok(_trimming) = self.trimming.try_lock() else { return };
        let loaded = self.loaded.iter().filter(|channel| channel.ring().is_filled());
        let mut channels: Vec<_> = loaded.map(|channel| Arc::clone(&channel)).collect();
        channels.sort_by_cached_key(|channel| channel.ring().read().used());
        for channel in channels {
            if self.rings.has_room() {
                return;
            }
            channel.ring().shrink(self.rings.floor());
        }
    }

    /// Drops the channels that nothing refers to and that were not used since `before`.
    pub(crate) fn evict(&self, before: Instant) {
        // A channel is only cloned out of the map under the shard's lock, which `retain` holds. So a count of one
        // is the map's own, and can't change until the entry is gone.
        self.loaded.retain(|_, channel| {
            let is_used = Arc::strong_count(channel) > 1 || *channel.used() >= before;
            if let Some(names) = self.names.as_ref().filter(|_| !is_used) {
                names.remove(&channel.info.id);
            }
            is_used
        });
    }
}
