//! The other nodes: chats of other processes on the same store.
//!
//! The store has the truth. What nodes tell each other by the bus are hints, and each node notices when one is lost:
//! envelopes are numbered, every node tells the number of its last one each second, and hears that itself if the bus
//! works. Then it asks the store for the heads of its channels, and reads what it lacks.

pub(crate) mod channels;
pub(crate) mod endings;
mod hear;
pub(crate) mod notice;
mod presence;
mod recent;
mod resync;
pub(crate) mod roster;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::bus::Bus;
use crate::bus::envelope::NodeId;
use crate::bus::sender::Sender;
use crate::engine::Engine;
use crate::engine::nodes::channels::NewChannels;
use crate::engine::nodes::endings::Endings;
use crate::engine::nodes::presence::Presence;
use crate::engine::nodes::resync::Resyncs;
use crate::runtime::panics::contain_async;
use crate::runtime::stats::HeldBus;
use crate::store::StoreError;

/// How this node and the others hear of each other.
pub(crate) struct Nodes {
    pub(crate) sender: Arc<Sender>,
    bus: Arc<dyn Bus>,
    resyncs: Resyncs,
    presence: Presence,
    endings: Endings,
    channels: NewChannels,
    is_heard: AtomicBool,
    has_caught_up: AtomicBool,
    peers: AtomicUsize,
    /// In nanoseconds.
    probe: AtomicU64,
}

impl Nodes {
    pub(crate) fn new(node: NodeId, bus: Arc<dyn Bus>) -> Self {
        Self {
            sender: Arc::new(Sender::new(node, bus.limits())),
            resyncs: Resyncs::new(node),
            presence: Presence::default(),
            endings: Endings::new(),
            channels: NewChannels::new(),
            bus,
            is_heard: AtomicBool::new(false),
            has_caught_up: AtomicBool::new(false),
            peers: AtomicUsize::new(0),
            probe: AtomicU64::new(0),
        }
    }

    /// Starts the tasks.
    pub(crate) fn start(self: Arc<Self>, engine: &Arc<Engine>) -> Vec<JoinHandle<()>> {
        // Before anything is told, so that this node hears itself.
        let events = self.bus.subscribe();
        let sender = Arc::clone(&self.sender);
        let mut tasks = vec![
            tokio::spawn(sender.run(Arc::clone(&self.bus))),
            tokio::spawn(Arc::clone(engine).hear_nodes(Arc::clone(&self), events)),
        ];
        if let Some(waiting) = self.endings.take_waiting() {
            tasks.push(tokio::spawn(Arc::clone(engine).keep_endings(waiting)));
        }
        tasks.push(tokio::spawn(Arc::clone(engine).resync(self)));
        tasks
    }

    /// Returns whether this node hears what it says itself.
    pub(crate) fn is_heard(&self) -> bool {
        self.is_heard.load(Ordering::Relaxed)
    }

    pub(crate) fn held(&self) -> HeldBus {
        HeldBus {
            is_heard: self.is_heard(),
            has_caught_up: self.has_caught_up.load(Ordering::Relaxed),
            peers: self.peers.load(Ordering::Relaxed),
            probe: Duration::from_nanos(self.probe.load(Ordering::Relaxed)),
            dropped: self.sender.dropped(),
            unpublished: self.sender.failed(),
        }
    }
}

impl Engine {
    /// Waits for the store, for as long as it may take.
    pub(crate) async fn in_time<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match timeout(self.limits.store_timeout, contain_async(call)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(panicked)) => Err(StoreError::because("the store panicked", panicked)),
            Err(late) => Err(StoreError::because("the store did not answer in time", late)),
        }
    }
}
