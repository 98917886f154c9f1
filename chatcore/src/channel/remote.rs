//! What other nodes tell of a channel, as its append group takes it.

use std::sync::Arc;

use tokio::time::Instant;

use crate::bus::envelope::EpochHash;
use crate::bus::sender::Sender;
use crate::channel::Channel;
use crate::channel::group::Group;
use crate::channel::reorder::Reorder;
use crate::delivery::ring::Push;
use crate::model::event::Event;
use crate::model::id::Seq;

/// What another node has told of a channel.
#[derive(Debug)]
pub(crate) enum Told {
    /// An event was stored.
    Event { epoch: EpochHash, event: Box<Event> },
    /// The log has reached this `seq`.
    Head { epoch: EpochHash, seq: Seq },
    /// The ring lacks something that is stored.
    Behind,
}

impl Told {
    /// Returns the bytes that count towards those that may wait.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Event { event, .. } => event.weight(),
            Self::Head { .. } | Self::Behind => 0,
        }
    }
}

/// What an append group has if there are other nodes.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(super) sender: Arc<Sender>,
    pub(super) reorder: Reorder,
}

impl Remote {
    pub(crate) fn new(sender: &Arc<Sender>) -> Self {
        Self { sender: Arc::clone(sender), reorder: Reorder::default() }
    }
}

impl Group {
    /// Takes what another node has told. Returns whether the ring has new events.
    pub(super) fn take(&mut self, channel: &Arc<Channel>, told: Told) -> bool {
        let (epoch, seq, event) = match told {
            Told::Event { epoch, event } => (epoch, event.seq, Some(event)),
            Told::Head { epoch, seq } => (epoch, seq, None),
            Told::Behind => {
                self.lacks(channel);
                return false;
            }
        };
        let head = channel.ring().read().head().clone();
        if EpochHash::of(&head.epoch) != epoch {
            self.lacks(channel);
            return false;
        }
        if seq <= head.seq {
            return false;
        }
        match event {
            Some(event) if seq == head.seq + 1 => {
                if channel.push(&event) == Push::Gap {
                    self.lacks(channel);
                }
                self.release(channel);
                true
            }
            Some(event) => {
                self.hold(channel, *event);
                false
            }
            None => {
                self.lacks(channel);
                false
            }
        }
    }

    /// Keeps an event that came before those that it follows, which another node may tell in a moment. Without other
    /// nodes, they are read from the store.
    pub(super) fn hold(&mut self, channel: &Arc<Channel>, event: Event) {
        let is_early = event.seq > channel.position().seq;
        let held = match &mut self.remote {
            Some(remote) if is_early => remote.reorder.hold(channel, event, Instant::now()),
            _ => false,
        };
        if held {
            self.monitor.counters.reordered.add(1);
            channel.set_behind(true);
        } else {
            self.lacks(channel);
        }
    }

    /// Pushes the events that came early and whose time has come. Returns whether there were any.
    pub(super) fn release(&mut self, channel: &Arc<Channel>) -> bool {
        let Some(remote) = self.remote.as_mut().filter(|remote| !remote.reorder.is_empty()) else {
            return false;
        };
        if !remote.reorder.holds(channel.info.id) {
            return false;
        }
        let (mut is_new, now) = (false, Instant::now());
        while let Some(event) = remote.reorder.next(channel.info.id, channel.position().seq, now) {
            is_new |= channel.push(&event) == Push::Done;
        }
        if !remote.reorder.holds(channel.info.id) && !self.repairs.has(channel) {
            channel.set_behind(false);
        }
        is_new
    }

    /// Marks the channels whose early events have waited long enough to be read from the store.
    pub(super) fn give_up_waiting(&mut self) {
        let Some(remote) = &mut self.remote else { return };
        for channel in remote.reorder.take_due(Instant::now()) {
            self.repairs.mark(&channel);
        }
    }
}
