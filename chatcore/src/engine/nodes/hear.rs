//! Hearing the other nodes, and oneself.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use serde::{Deserialize, Serialize};
use tokio::task::yield_now;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::bus::BusEvent;
use crate::bus::envelope::{Envelope, Item, Json, NodeId};
use crate::bus::peers::{LEASE, Order, Peers};
use crate::channel::Channel;
use crate::channel::remote::Told;
use crate::engine::Engine;
use crate::engine::nodes::Nodes;
use crate::engine::nodes::notice::Notice;
use crate::model::event::Event;
use crate::model::id::{ChannelId, Seq};
use crate::model::time::Timestamp;

/// The time between two beats.
const BEAT: Duration = Duration::from_secs(1);

/// How long a beat may take to come back. Then this node takes the bus to be broken.
const PROBE: Duration = Duration::from_secs(2);

/// How long envelopes that a beat has told of may take to come.
const SETTLE: Duration = Duration::from_millis(50);

/// How long changes of who is there gather before the others are told.
const GATHER: Duration = Duration::from_millis(100);

/// How long after the begin of a shutdown people still count as being here. Until then they come back at other nodes.
const HOLD: Duration = Duration::from_secs(10);

/// The events after which other tasks have their turn.
const EVENTS: u32 = 32;

/// What a node tells every second.
#[derive(Debug, Serialize, Deserialize)]
struct Beat {
    number: u64,
    /// The number of the last envelope in each partition.
    sent: Vec<u64>,
    /// The digest of who is in which channel at the node.
    presence: u64,
}

/// What this node has heard.
struct Hearing {
    engine: Arc<Engine>,
    nodes: Arc<Nodes>,
    peers: Peers,
    /// Envelopes that a beat has told of and that have not come, by when they should have.
    expected: VecDeque<Expected>,
    /// The last beat's number.
    beats: u64,
    /// The beats that have not come back, by their number.
    probes: VecDeque<(u64, Instant)>,
    /// When the newest beat that has come back was told.
    probed: Instant,
    /// When the first beat came back.
    heard_since: Option<Instant>,
    /// The digest that each other node has told last.
    digests: BTreeMap<NodeId, u64>,
    /// Whether there is a new node, which is told everybody who is here.
    greets: bool,
    /// When the others are told who came and left.
    tell_presence: Option<Instant>,
    /// When this node began to shut down.
    drained: Option<Instant>,
}

struct Expected {
    due: Instant,
    node: NodeId,
    partition: u8,
    number: u64,
}

impl Engine {
    /// Handles what other nodes tell, for ever.
    pub(super) async fn hear_nodes(
        self: Arc<Self>,
        nodes: Arc<Nodes>,
        mut events: BoxStream<'static, BusEvent>,
    ) {
        let mut hearing = Hearing::new(self, Arc::clone(&nodes));
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut handled = 0;
        loop {
            let due = hearing.expected.front().map(|expected| expected.due);
            let tell = hearing.tell_presence;
            tokio::select! {
                // Beats come first, however much the others tell.
                biased;
                _ = beats.tick() => hearing.beat(),
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => hearing.settle(),
                () = sleep_until(tell.unwrap_or_else(Instant::now)), if tell.is_some() => hearing.tell_presence(),
                () = nodes.presence.changed.notified(), if tell.is_none() => {
                    hearing.tell_presence = Some(Instant::now() + GATHER);
                }
                event = events.next() => match event {
                    Some(event) => {
                        hearing.event(&event);
                        handled += 1;
                        if handled % EVENTS == 0 {
                            yield_now().await;
                        }
                    }
                    // The bus is gone. The store is polled from now on.
                    None => events = stream::pending().boxed(),
                },
            }
        }
    }
}

impl Hearing {
    fn new(engine: Arc<Engine>, nodes: Arc<Nodes>) -> Self {
        Self {
            peers: Peers::new(nodes.bus.limits().partitions),
            engine,
            nodes,
            expected: VecDeque::new(),
            beats: 0,
            probes: VecDeque::new(),
            probed: Instant::now(),
            heard_since: None,
            digests: BTreeMap::new(),
            greets: false,
            tell_presence: None,
            drained: None,
        }
    }

    /// Tells that this node is there, and looks whether it hears itself and the others.
    fn beat(&mut self) {
        let now = Instant::now();
        self.beats += 1;
        let number = self.beats;
        if self.engine.is_draining() && self.drained.is_none() {
            self.drained = Some(now);
        }
        if self.drained.is_some_and(|drained| now - drained >= HOLD) {
            self.tell_presence();
        }
        self.nodes.presence.forget_closed();
        if number == LEASE.as_secs() {
            // A node that ended before this one heard of it may have stored something that it told nobody.
            self.nodes.resyncs.want_all();
        }
        let presence = self.nodes.presence.digest();
        self.nodes.sender.beat(|sent| Beat { number, sent, presence });
        self.probes.push_back((number, now));
        if self.probes.len() > 60 {
            self.probes.pop_front();
        }
        if now - self.probed >= PROBE {
            self.set_heard(false);
        }
        if self.nodes.is_heard() {
            for node in self.peers.expire(now) {
                self.engine.forget_node(node);
                // It may have died before it told what it stored last.
                self.nodes.resyncs.want_all();
            }
        } else {
            self.nodes.resyncs.poll();
        }
        self.digests.retain(|node, _| self.peers.has(*node));
        self.nodes.peers.store(self.peers.len(), Ordering::Relaxed);
    }

    /// Tells the others who came and left.
    fn tell_presence(&mut self) {
        self.tell_presence = None;
        let keeps =
            self.engine.is_draining() && self.drained.is_none_or(|drained| Instant::now() - drained < HOLD);
        self.nodes.presence.tell(&self.nodes.sender, keeps);
        if std::mem::take(&mut self.greets) {
            self.nodes.presence.greet(&self.nodes.sender);
        }
    }

    fn set_heard(&mut self, heard: bool) {
        if self.nodes.is_heard.swap(heard, Ordering::Relaxed) == heard {
            return;
        }
        if heard {
            self.peers.renew(Instant::now());
            self.nodes.resyncs.want_all();
        } else {
            let failures = &self.engine.monitor.failures;
            failures.limited("the bus carries nothing, so the store is asked for news every second", "");
        }
    }

    fn event(&mut self, event: &BusEvent) {
        match event {
            BusEvent::Message { partition, bytes } => {
                if let Some(envelope) = Envelope::read(bytes) {
                    self.envelope(*partition, envelope);
                }
            }
            BusEvent::Disrupted => {
                // Until this node hears itself again.
                self.set_heard(false);
                self.probes.clear();
                self.nodes.resyncs.want_all();
            }
            BusEvent::Restored => self.nodes.resyncs.want_all(),
        }
    }

    fn envelope(&mut self, partition: u8, envelope: Envelope<'_>) {
        if envelope.node == self.nodes.sender.node() {
            self.own(envelope);
            return;
        }
        let now = Instant::now();
        let counters = &self.engine.monitor.counters;
        counters.envelopes.add(1);
        let here = u64::try_from(Timestamp::now().as_millis()).unwrap_or_default();
        counters.add_lag(Duration::from_millis(here.saturating_sub(envelope.sent_ms)));
        let order = self.peers.envelope(envelope.node, partition, envelope.number, now);
        match order {
            Order::First => {
                self.nodes.resyncs.want_all();
                // It may have started just now, and know nobody who is here.
                self.greets = true;
                self.tell_presence.get_or_insert(now + GATHER);
            }
            Order::Gap => {
                counters.gaps.add(1);
                self.nodes.resyncs.want(partition);
                self.nodes.presence.drop_answer(envelope.node);
            }
            Order::Next | Order::Late => {}
        }
        for item in envelope.items() {
            self.item(envelope.node, order, item, now);
        }
    }

    /// Notes which of this node's own beats has come back.
    fn own(&mut self, envelope: Envelope<'_>) {
        for item in envelope.items() {
            let Item::Beat(beat) = item else { continue };
            let Some(beat) = beat.read::<Beat>() else { continue };
            let back = self.probes.iter().take_while(|(number, _)| *number <= beat.number).count();
            let Some((_, told)) = self.probes.drain(..back).next_back() else { continue };
            self.probed = told;
            let took = Instant::now() - told;
            if took < PROBE {
                self.nodes.probe.store(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
                self.set_heard(true);
                self.catch_up();
            }
        }
    }

    /// Notes whether this node knows who is at the others. They tell it when they hear its first beat, so it does when the
    /// second one has come back. If one of them never agrees, this node serves without it after a while.
    fn catch_up(&mut self) {
        let now = Instant::now();
        let Some(since) = self.heard_since else {
            self.heard_since = Some(now);
            return;
        };
        let presence = &self.nodes.presence;
        if now - since >= LEASE || !self.digests.iter().any(|(node, digest)| presence.differs(*node, *digest))
        {
            self.nodes.has_caught_up.store(true, Ordering::Relaxed);
        }
    }

    fn item(&mut self, node: NodeId, order: Order, item: Item<'_>, now: Instant) {
        if matches!(item, Item::Head { .. } | Item::Event { .. }) {
            self.engine.monitor.appended.ring();
        }
        match item {
            Item::Head { channel, epoch, seq } => self.tell(channel, |_| Some(Told::Head { epoch, seq })),
            Item::Event { channel, epoch, seq, event } => self.tell(channel, |channel| {
                let is_known = channel.ring().is_filled() && channel.position().seq >= seq;
                // One of another log of the same length is found by the next event or resync.
                let told = || read(event, seq).map(|event| Told::Event { epoch, event });
                (!is_known).then(|| told().unwrap_or(Told::Head { epoch, seq }))
            }),
            Item::Beat(beat) => {
                if let Some(beat) = beat.read::<Beat>().filter(|_| order != Order::Late) {
                    self.expect(node, &beat, now);
                    self.digests.insert(node, beat.presence);
                    if self.nodes.presence.differs(node, beat.presence) {
                        self.nodes.sender.hint(&Notice::AskEverybody { of: node });
                    }
                }
            }
            Item::Notice(notice) => {
                // A log's events have positions. Other news may be old by now.
                let counts = |notice: &Notice| order != Order::Late || notice.is_timeless();
                if let Some(notice) = notice.read().filter(counts) {
                    self.engine.heed(node, notice);
                }
            }
        }
    }

    /// Tells a channel's append group, if the channel is in memory.
    fn tell(&self, id: ChannelId, told: impl FnOnce(&Channel) -> Option<Told>) {
        let Some(channel) = self.engine.registry.by_id(id) else { return };
        let Some(told) = told(&channel) else { return };
        if !channel.ring().is_filled() {
            // The log is being read, perhaps as it was before. Who reads it looks at this mark afterwards.
            channel.set_behind(true);
            if !channel.ring().is_filled() {
                return;
            }
        }
        if !self.engine.appends.tell(&channel, told) {
            self.nodes.resyncs.want(self.nodes.sender.partition_of(id));
        }
    }

    /// Waits a moment for the envelopes that a beat tells of.
    fn expect(&mut self, node: NodeId, beat: &Beat, now: Instant) {
        for (partition, &number) in (0..=u8::MAX).zip(&beat.sent) {
            if self.peers.lacks(node, partition, number) {
                self.expected.push_back(Expected { due: now + SETTLE, node, partition, number });
            }
        }
    }

    /// Asks the store about envelopes that have not come.
    fn settle(&mut self) {
        let now = Instant::now();
        let due = self.expected.iter().take_while(|expected| expected.due <= now).count();
        for Expected { node, partition, number, .. } in self.expected.drain(..due) {
            if self.peers.lacks(node, partition, number) {
                self.peers.skip(node, partition, number);
                self.engine.monitor.counters.gaps.add(1);
                self.nodes.resyncs.want(partition);
            }
        }
    }
}

/// Reads an event, which must be at `seq`.
fn read(event: Json<'_>, seq: Seq) -> Option<Box<Event>> {
    event.read::<Event>().filter(|event| event.seq == seq).map(Box::new)
}
