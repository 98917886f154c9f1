//! The open channels that a connection's user has joined by publishing to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::model::id::ChannelId;
use crate::model::moment::Moment;

/// The channels that a connection remembers in any case.
const OWN: usize = 64;

/// The channels of all connections beyond that.
pub(crate) const TOTAL: usize = 1 << 18;

/// How long they are remembered. Their user may leave them at another node, and this one may never hear of it.
const REMEMBERED: Duration = Duration::from_secs(10 * 60);

/// The channels to which a connection has published, sorted: the store need not be asked again whether its user has
/// joined them. Most connections have none.
#[derive(Debug)]
pub(super) struct Joined {
    channels: Vec<ChannelId>,
    since: Moment,
    /// How many all connections remember beyond their own.
    total: Arc<AtomicUsize>,
}

impl Joined {
    pub(super) fn new(total: &Arc<AtomicUsize>, now: Moment) -> Box<Self> {
        Box::new(Self { channels: Vec::new(), since: now, total: Arc::clone(total) })
    }

    /// Returns whether the store must be asked again.
    pub(super) fn is_stale(&self, now: Moment) -> bool {
        now - self.since >= REMEMBERED
    }

    /// Notes a channel, and returns whether it was not there.
    pub(super) fn note(&mut self, channel: ChannelId) -> bool {
        let Err(at) = self.channels.binary_search(&channel) else { return false };
        if self.channels.len() < OWN || self.take_room() {
            if self.channels.is_empty() {
                // Most connections publish to one channel.
                self.channels.reserve_exact(1);
            }
            self.channels.insert(at, channel);
        } else {
            // In place of its neighbour, not of the oldest: a publisher to all of them in turn meets some again.
            let at = at.min(self.channels.len() - 1);
            self.channels[at] = channel;
        }
        true
    }

    /// Takes room for one more, if there is some.
    fn take_room(&self) -> bool {
        let has_room = self.total.fetch_add(1, Ordering::Relaxed) < TOTAL;
        if !has_room {
            self.total.fetch_sub(1, Ordering::Relaxed);
        }
        has_room
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.total.fetch_sub(self.channels.len().saturating_sub(OWN), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_new_once() {
        let mut joined = Joined::new(&Arc::default(), Moment::default());
        let new = [3, 1, 2, 3, 1].map(|channel| joined.note(ChannelId(channel)));
        assert_eq!(new, [true, true, true, false, false]);
    }

    #[test]
    fn beyond_a_few_connections_share_a_total() {
        let total = Arc::new(AtomicUsize::new(TOTAL - 2));
        let own = OWN as u64;
        let mut joined = Joined::new(&total, Moment::default());
        assert!((0..own + 2).all(|channel| joined.note(ChannelId(channel))));
        assert!((0..own + 2).all(|channel| !joined.note(ChannelId(channel))));
        let mut other = Joined::new(&total, Moment::default());
        assert!((0..2 * own).all(|channel| other.note(ChannelId(channel))));
        assert_eq!((other.channels.len(), total.load(Ordering::Relaxed)), (OWN, TOTAL));
        assert!(other.channels.is_sorted());
        assert!((0..2 * own).any(|channel| !other.note(ChannelId(channel))), "some are met again");
        drop(joined);
        assert_eq!(total.load(Ordering::Relaxed), TOTAL - 2);
    }
}
