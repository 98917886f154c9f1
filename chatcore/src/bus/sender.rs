//! What this node tells the others: items that wait for their envelopes, and the task that publishes these.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use crate::bus::envelope::{Encoded, EpochHash, HEADER, NodeId, encode};
use crate::bus::{Bus, BusLimits};
use crate::model::event::Event;
use crate::model::id::{ChannelId, Epoch, Seq};
use crate::model::time::Timestamp;

/// The bytes of all items that may wait. Beyond them, events are told by their channels' heads alone.
pub(crate) const WAITING: usize = 4 << 20;

/// The full envelopes that may wait in one partition. Beyond them, events are told by their channels' heads alone.
const WAITING_ENVELOPES: usize = 16;

/// How long a publish may take. Then the next envelope is tried, and the others find this one missing.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(5);

/// The partition of everything that belongs to no channel's log.
pub(crate) const NOTICES: u8 = 0;

/// Items for other nodes. Adding one never waits.
#[derive(Debug)]
pub(crate) struct Sender {
    node: NodeId,
    limits: BusLimits,
    state: Mutex<State>,
    changed: Notify,
    failed: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Debug)]
struct State {
    partitions: Vec<Partition>,
    /// The partitions with items.
    waiting: BTreeSet<u8>,
    /// The bytes of all items.
    bytes: usize,
}

#[derive(Debug, Default)]
struct Partition {
    /// The number of the last envelope.
    sent: u64,
    items: VecDeque<Encoded>,
    bytes: usize,
    /// The heads of channels whose events were too many or too large: at most as many as there are channels in
    /// memory.
    heads: BTreeMap<ChannelId, (EpochHash, Seq)>,
}

impl Sender {
    pub(crate) fn new(node: NodeId, limits: BusLimits) -> Self {
        let partitions = (0..limits.partitions.max(1)).map(|_| Partition::default()).collect();
        Self {
            node,
            limits,
            state: Mutex::new(State { partitions, waiting: BTreeSet::new(), bytes: 0 }),
            changed: Notify::new(),
            failed: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    pub(crate) fn node(&self) -> NodeId {
        self.node
    }

    /// Returns the number of envelopes that could not be published.
    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Returns the number of items that were dropped, or told by a head, because too much waited.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Returns the most bytes of one item.
    pub(crate) fn item_bytes(&self) -> usize {
        self.limits.max_bytes.saturating_sub(HEADER)
    }

    /// Returns the partition of a channel's log.
    pub(crate) fn partition_of(&self, channel: ChannelId) -> u8 {
        let partition = channel.0 % u64::from(self.limits.partitions.max(1));
        u8::try_from(partition).expect("invariant: less than the number of partitions")
    }

    /// Tells of a stored event.
    pub(crate) fn event(&self, channel: ChannelId, epoch: &Epoch, event: &Event) {
        let epoch = EpochHash::of(epoch);
        let item = Encoded::event(channel, epoch, event);
        let mut state = self.state();
        let at = self.partition_of(channel);
        if item.len() <= self.item_bytes() && state.has_room(at, &self.limits) {
            state.push(at, item);
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            state.push_head(at, channel, epoch, event.seq);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Tells that a channel's log has reached `seq`.
    pub(crate) fn head(&self, channel: ChannelId, epoch: &Epoch, seq: Seq) {
        self.state().push_head(self.partition_of(channel), channel, EpochHash::of(epoch), seq);
        self.changed.notify_one();
    }

    /// Tells something that belongs to no log. It is dropped if as much waits as may.
    pub(crate) fn notice(&self, notice: &impl Serialize) {
        self.notice_within(notice, 1);
    }

    /// Tells something that nobody misses. It is dropped if a quarter of what may wait does.
    pub(crate) fn hint(&self, notice: &impl Serialize) {
        self.notice_within(notice, 4);
    }

    fn notice_within(&self, notice: &impl Serialize, part: usize) {
        let item = Encoded::notice(notice);
        let mut state = self.state();
        if item.len() > self.item_bytes() || state.bytes + item.len() > WAITING / part {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        state.push(NOTICES, item);
        drop(state);
        self.changed.notify_one();
    }

    /// Adds a beat, made of the number of the last envelope in each partition.
    pub(crate) fn beat<B: Serialize>(&self, beat: impl FnOnce(Vec<u64>) -> B) {
        let mut state = self.state();
        if state.bytes >= WAITING {
            // Nothing is published, and this node will notice that it does not hear its own beats.
            return;
        }
        let sent = state.partitions.iter().map(|partition| partition.sent).collect();
        state.push(NOTICES, Encoded::beat(&beat(sent)));
        drop(state);
        self.changed.notify_one();
    }

    /// Publishes what is added, for ever: at once if nothing was published within the bus's interval, otherwise at its
    /// end.
    pub(crate) async fn run(self: Arc<Self>, bus: Arc<dyn Bus>) {
        let interval = self.limits.min_interval;
        loop {
            self.changed.notified().await;
            let mut began = Instant::now();
            while self.publish_round(&*bus).await {
                sleep_until(began + interval).await;
                began = Instant::now();
            }
            sleep_until(began + interval).await;
        }
    }

    /// Publishes an envelope for each partition with items. Returns whether more waits.
    async fn publish_round(&self, bus: &dyn Bus) -> bool {
        let waiting = self.state().waiting.clone();
        for partition in waiting {
            let Some(envelope) = self.next(partition) else { continue };
            let published = timeout(PUBLISH_TIMEOUT, bus.publish(partition, envelope)).await;
            if !matches!(published, Ok(Ok(()))) {
                // The envelope's number is used up, so the others notice that it is missing.
                self.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
        !self.state().waiting.is_empty()
    }

    /// Takes the next envelope of a partition.
    fn next(&self, partition: u8) -> Option<Bytes> {
        let mut state = self.state();
        let state = &mut *state;
        let taken = state.partitions.get_mut(usize::from(partition))?;
        let mut room = self.item_bytes();
        let mut items = Vec::new();
        while taken.items.front().is_some_and(|item| item.len() <= room)
            && let Some(item) = taken.items.pop_front()
        {
            room -= item.len();
            taken.bytes -= item.len();
            state.bytes -= item.len();
            items.push(item);
        }
        while taken.items.is_empty()
            && let Some((&channel, &(epoch, seq))) = taken.heads.first_key_value()
        {
            let item = Encoded::head(channel, epoch, seq);
            if item.len() > room {
                break;
            }
            room -= item.len();
            taken.heads.pop_first();
            items.push(item);
        }
        if taken.items.is_empty() && taken.heads.is_empty() {
            taken.items = VecDeque::new();
            state.waiting.remove(&partition);
        }
        if items.is_empty() {
            return None;
        }
        taken.sent += 1;
        let now = u64::try_from(Timestamp::now().as_millis()).unwrap_or_default();
        Some(encode(self.node, taken.sent, now, items.iter()))
    }

    // Held to add an item or to take an envelope, never across an await.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("invariant: nothing panics under this lock")
    }
}

impl State {
    fn has_room(&self, partition: u8, limits: &BusLimits) -> bool {
        let waits = self.partitions.get(usize::from(partition)).map_or(0, |partition| partition.bytes);
        self.bytes < WAITING && waits < limits.max_bytes.saturating_mul(WAITING_ENVELOPES)
    }

    fn push(&mut self, at: u8, item: Encoded) {
        if let Some(partition) = self.partitions.get_mut(usize::from(at)) {
            partition.bytes += item.len();
            self.bytes += item.len();
            partition.items.push_back(item);
            self.waiting.insert(at);
        }
    }

    fn push_head(&mut self, at: u8, channel: ChannelId, epoch: EpochHash, seq: Seq) {
        if let Some(partition) = self.partitions.get_mut(usize::from(at)) {
            let head = partition.heads.entry(channel).or_insert((epoch, seq));
            *head = if head.0 == epoch { (epoch, head.1.max(seq)) } else { (epoch, seq) };
            self.waiting.insert(at);
        }
    }
}
