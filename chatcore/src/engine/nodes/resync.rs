//! Asking the store what this node may have missed.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::bus::envelope::NodeId;
use crate::bus::sender::NOTICES;
use crate::channel::Channel;
use crate::channel::remote::Told;
use crate::engine::Engine;
use crate::engine::nodes::Nodes;
use crate::store::StoreError;

/// The time between two resyncs of all channels if nothing asks for one.
const BACKSTOP: Duration = Duration::from_secs(30);

/// The longest random wait before a resync, so that all nodes do not ask at once.
const JITTER: Duration = Duration::from_millis(500);

/// The time after a failure of the store.
const RETRY: Duration = Duration::from_secs(1);

/// The channels per query.
const CHANNELS: usize = 500;

/// The partitions whose channels are to be compared with the store.
#[derive(Debug)]
pub(super) struct Resyncs {
    wanted: Mutex<Wanted>,
    changed: Notify,
    random: AtomicU64,
}

#[derive(Debug, Default)]
struct Wanted {
    all: bool,
    partitions: BTreeSet<u8>,
    /// Whether it need not wait for a random time.
    at_once: bool,
}

impl Resyncs {
    pub(super) fn new(NodeId(node): NodeId) -> Self {
        Self { wanted: Mutex::default(), changed: Notify::new(), random: AtomicU64::new(node) }
    }

    /// Asks for the channels of a partition.
    pub(super) fn want(&self, partition: u8) {
        self.wanted().partitions.insert(partition);
        self.changed.notify_one();
    }

    /// Asks for all channels.
    pub(super) fn want_all(&self) {
        self.wanted().all = true;
        self.changed.notify_one();
    }

    /// Asks for all channels at once, since nothing is heard of the other nodes.
    pub(super) fn poll(&self) {
        let mut wanted = self.wanted();
        (wanted.all, wanted.at_once) = (true, true);
        drop(wanted);
        self.changed.notify_one();
    }

    fn jitter(&self) -> Duration {
        // The multiplier of a well-known generator (MMIX). The upper bits are the good ones.
        let next =
            |at: u64| at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let before = self.random.load(Ordering::Relaxed);
        self.random.store(next(before), Ordering::Relaxed);
        let part = u32::try_from(next(before) >> 40).unwrap_or_default();
        JITTER.mul_f64(f64::from(part) / f64::from(1_u32 << 24))
    }

    // Held to change or take what is wanted, never across an await.
    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().expect("invariant: nothing panics under this lock")
    }
}

impl Engine {
    /// Compares the channels in memory with the store whenever something may have been missed, for ever.
    pub(super) async fn resync(self: Arc<Self>, nodes: Arc<Nodes>) {
        let resyncs = &nodes.resyncs;
        if let Err(error) = self.begin_channels().await {
            // Every look for channels tries again.
            self.monitor.failures.failed("the newest channel could not be read", "", &error);
            resyncs.want(NOTICES);
        }
        loop {
            if timeout(BACKSTOP, resyncs.changed.notified()).await.is_err() {
                resyncs.want_all();
            }
            if !resyncs.wanted().at_once {
                // What is asked for meanwhile is answered too.
                let _ = timeout(resyncs.jitter(), std::future::pending::<()>()).await;
            }
            let wanted = std::mem::take(&mut *resyncs.wanted());
            if !wanted.all && wanted.partitions.is_empty() {
                continue;
            }
            self.monitor.counters.resyncs.add(1);
            let mut is_failed = false;
            if (wanted.all || wanted.partitions.contains(&NOTICES))
                && let Err(error) = self.find_channels(&nodes).await
            {
                self.monitor.failures.failed("the newest channels could not be read", "", &error);
                is_failed = true;
            }
            let is_wanted = |channel: &Arc<Channel>| {
                wanted.all || wanted.partitions.contains(&nodes.sender.partition_of(channel.info.id))
            };
            let channels: Vec<_> = self.registry.all().into_iter().filter(is_wanted).collect();
            for channels in channels.chunks(CHANNELS) {
                if let Err(error) = self.compare(channels).await {
                    self.monitor.failures.failed("the heads of the channels could not be read", "", &error);
                    is_failed = true;
                    break;
                }
            }
            if is_failed {
                resyncs.want_all();
                sleep(RETRY).await;
            }
        }
    }

    /// Has those of the channels repaired whose logs go on in the store.
    async fn compare(&self, channels: &[Arc<Channel>]) -> Result<(), StoreError> {
        let ids: Vec<_> = channels.iter().map(|channel| channel.info.id).collect();
        let heads = self.in_time(self.store.heads(&ids)).await?;
        for (channel, head) in channels.iter().zip(heads) {
            let Some(head) = head else { continue };
            let here = channel.position();
            if (here.epoch != head.epoch || here.seq < head.seq) && !self.appends.tell(channel, Told::Behind)
            {
                return Err(StoreError::new("too much waits for the channel's append group"));
            }
        }
        Ok(())
    }
}
