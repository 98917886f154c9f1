//! Events that came before those that they follow.
//!
//! Another node's events come by the bus, and this node's own come from the store. If both append to a channel, an event
//! may come a moment too early. It waits here for those before it; if they don't come, the log is read from the store.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::channel::Channel;
use crate::model::event::Event;
use crate::model::id::{ChannelId, Seq};

/// How long an event waits for those before it.
const PATIENCE: Duration = Duration::from_millis(25);

/// The most events of a channel that wait, and their bytes. Beyond them, the log is read from the store.
const EVENTS: usize = 64;
const BYTES: usize = 64 << 10;

/// The most bytes of early events of all the group's channels.
pub(crate) const TOTAL: usize = 4 << 20;

/// The early events of one append group's channels.
#[derive(Debug, Default)]
pub(crate) struct Reorder {
    channels: HashMap<ChannelId, Early>,
    bytes: usize,
}

#[derive(Debug)]
struct Early {
    channel: Arc<Channel>,
    events: BTreeMap<Seq, Event>,
    bytes: usize,
    /// When the log is read from the store, unless it is being read.
    due: Option<Instant>,
}

impl Reorder {
    pub(crate) fn is_empty(&self) -> bool {
        self.channels.is_empty()
    }

    /// Keeps an early event. Returns false if as many wait as may.
    pub(crate) fn hold(&mut self, channel: &Arc<Channel>, event: Event, now: Instant) -> bool {
        let weight = event.weight();
        if self.bytes + weight > TOTAL {
            return false;
        }
        let early = self.channels.entry(channel.info.id).or_insert_with(|| Early {
            channel: Arc::clone(channel),
            events: BTreeMap::new(),
            bytes: 0,
            due: None,
        });
        early.due.get_or_insert(now + PATIENCE);
        if early.events.len() >= EVENTS || early.bytes + weight > BYTES {
            return false;
        }
        let known = early.events.insert(event.seq, event).map_or(0, |known| known.weight());
        early.bytes = early.bytes + weight - known;
        self.bytes = self.bytes + weight - known;
        true
    }

    /// Takes the event after `head`, and drops those up to it. Later ones wait from `now` on.
    pub(crate) fn next(&mut self, channel: ChannelId, head: Seq, now: Instant) -> Option<Event> {
        let early = self.channels.get_mut(&channel)?;
        let mut next = None;
        while let Some(first) = early.events.first_entry().filter(|first| *first.key() <= head + 1) {
            let event = first.remove();
            early.bytes -= event.weight();
            self.bytes -= event.weight();
            if event.seq == head + 1 {
                next = Some(event);
                break;
            }
        }
        early.due.get_or_insert(now + PATIENCE);
        if early.events.is_empty() {
            self.channels.remove(&channel);
        }
        next
    }

    /// Returns whether events of the channel wait.
    pub(crate) fn holds(&self, channel: ChannelId) -> bool {
        self.channels.contains_key(&channel)
    }

    /// Returns when the first event has waited long enough.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.channels.values().filter_map(|early| early.due).min()
    }

    /// Returns the channels whose events have waited long enough, each once.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<Arc<Channel>> {
        let due = self.channels.values_mut().filter(|early| early.due.is_some_and(|due| due <= now));
        due.map(|early| {
            early.due = None;
            Arc::clone(&early.channel)
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::ring_budget::Rings;
    use crate::limits::Limits;
    use crate::model::event::EventKind;
    use crate::model::message::User;
    use crate::model::name::ChannelName;
    use crate::model::time::Timestamp;
    use crate::protocol::Encoder;
    use crate::store::ChannelInfo;

    fn channel() -> Arc<Channel> {
        let info = ChannelInfo::new(
            ChannelId(1),
            ChannelName::new("a").unwrap(),
            Timestamp::from_millis(0),
            User::new("u_ann", "Ann").unwrap(),
        );
        let rings = Arc::new(Rings::new(&Limits::default()));
        Arc::new(Channel::new(info, Encoder::new(""), rings))
    }

    fn event(seq: Seq, bytes: usize) -> Event {
        let kind = EventKind::Edited {
            target: 1,
            text: "x".repeat(bytes).into(),
            by: User::new("u_ann", "Ann").unwrap(),
            mentions: None,
            data: None,
        };
        Event { seq, at: Timestamp::from_millis(0), kind }
    }

    #[test]
    fn early_events_come_out_in_order_and_once() {
        let (mut early, channel, now) = (Reorder::default(), channel(), Instant::now());
        for seq in [7, 5, 3, 5, 6] {
            assert!(early.hold(&channel, event(seq, 1), now));
        }
        assert_eq!(early.next(ChannelId(1), 3, now), None, "the event after 3 is missing");
        assert_eq!(early.next(ChannelId(2), 3, now), None);
        let seqs: Vec<_> =
            (4..9).map_while(|head| early.next(ChannelId(1), head, now)).map(|e| e.seq).collect();
        assert_eq!(seqs, [5, 6, 7]);
        assert!(early.is_empty() && early.bytes == 0);
    }

    #[test]
    fn a_channel_holds_its_bounds_and_nothing_past_them() {
        let (mut early, channel, now) = (Reorder::default(), channel(), Instant::now());
        assert!((0..EVENTS as Seq).all(|seq| early.hold(&channel, event(seq, 1), now)));
        assert!(!early.hold(&channel, event(99, 1), now));
        let mut early = Reorder::default();
        let room = BYTES - event(1, 0).weight();
        assert!(early.hold(&channel, event(1, room), now));
        assert!(!early.hold(&channel, event(2, 0), now));
    }

    #[test]
    fn events_wait_for_so_long_and_then_again() {
        let (mut early, channel, now) = (Reorder::default(), channel(), Instant::now());
        early.hold(&channel, event(5, 1), now);
        early.hold(&channel, event(9, 1), now);
        assert_eq!(early.due(), Some(now + PATIENCE));
        assert!(early.take_due(now).is_empty());
        assert_eq!(early.take_due(now + PATIENCE).len(), 1);
        assert_eq!(early.due(), None, "the log is being read");
        assert!(early.next(ChannelId(1), 4, now + PATIENCE).is_some());
        assert_eq!(early.due(), Some(now + 2 * PATIENCE));
    }
}
