//! The parts of a running chat, which carry out every command.

pub(crate) mod access;
pub(crate) mod answers;
pub(crate) mod attachments;
pub(crate) mod connections;
pub(crate) mod consumers;
pub(crate) mod drain;
mod eraser;
pub(crate) mod history;
pub(crate) mod members;
pub(crate) mod nodes;
pub(crate) mod previews;
mod rights;
mod sweeper;
pub(crate) mod tidings;
pub(crate) mod upload_slots;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

use crate::channel::append::AppendQueue;
use crate::channel::departures::Departures;
use crate::channel::registry::ChannelRegistry;
use crate::channel::{Channel, Source};
use crate::delivery::FanOut;
use crate::delivery::mailbox::Mailboxes;
use crate::engine::answers::Answers;
use crate::engine::connections::Connections;
use crate::engine::nodes::Nodes;
use crate::engine::previews::Previews;
use crate::engine::tidings::Tidings;
use crate::engine::upload_slots::Uploads;
use crate::limits::Limits;
use crate::limits::share::Shares;
use crate::limits::turns::Turns;
use crate::model::error::Error;
use crate::model::message::User;
use crate::model::name::ChannelName;
use crate::model::policy::{Action, Policy};
use crate::model::time::Clock;
use crate::protocol::{ChannelObject, ChatEvent, Encoder};
use crate::runtime::stats::{Held, Monitor, Stats};
use crate::store::Store;
use crate::store::blob::BlobStore;
use crate::store::pointer::Shared;

/// The parts of a running chat.
pub(crate) struct Engine {
    pub(crate) store: Shared<dyn Store>,
    pub(crate) blobs: Option<Shared<dyn BlobStore>>,
    pub(crate) policy: Arc<dyn Policy>,
    pub(crate) limits: Arc<Limits>,
    /// The clock for the age of uploads.
    pub(crate) clock: Clock,
    pub(crate) encoder: Encoder,
    pub(crate) registry: Arc<ChannelRegistry>,
    pub(crate) appends: AppendQueue,
    /// Runs while there is something to append to.
    _fanout: FanOut,
    pub(crate) departures: Arc<Departures>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) answers: Arc<Answers>,
    pub(crate) mailboxes: Arc<Mailboxes>,
    /// Bytes of the commands that wait or are carried out.
    pub(crate) command_bytes: AtomicUsize,
    /// The channels that connections remember as joined, beyond a few each.
    pub(crate) joined: Arc<AtomicUsize>,
    pub(crate) shares: Shares,
    pub(crate) uploads: Uploads,
    pub(crate) previews: Arc<Previews>,
    pub(crate) searches: Arc<Turns>,
    pub(crate) tidings: Tidings,
    pub(crate) monitor: Arc<Monitor>,
    /// Wakes the sweeper early, to remove the bytes of a deleted message.
    pub(crate) discarded: Notify,
    /// Wakes the eraser early.
    erasing: Notify,
    /// `None` without a bus.
    pub(crate) nodes: Option<Arc<Nodes>>,
    draining: AtomicBool,
    /// Notifies waiting uploads that a drain has begun.
    drain: Notify,
}

impl Engine {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        blobs: Option<Arc<dyn BlobStore>>,
        policy: Arc<dyn Policy>,
        limits: Arc<Limits>,
        clock: Clock,
        encoder: Encoder,
        nodes: Option<Arc<Nodes>>,
    ) -> Self {
        let store = Shared::new(store);
        let monitor = Arc::new(Monitor::default());
        let fanout = FanOut::start(&monitor);
        let registry = Arc::new(ChannelRegistry::new(&limits, encoder.clone(), nodes.is_some()));
        let mailboxes = Arc::new(Mailboxes::new(&limits, &monitor));
        let answers = Arc::new(Answers::new(&limits));
        let sender = nodes.as_ref().map(|nodes| &nodes.sender);
        Self {
            appends: AppendQueue::start(&store, &limits, &registry, &fanout.queue(), &monitor, sender),
            _fanout: fanout,
            departures: Arc::new(Departures::new(&limits)),
            uploads: Uploads::default(),
            previews: Previews::new(&limits),
            searches: Turns::new(limits.searches, limits.searches_per_user),
            tidings: Tidings::new(),
            monitor,
            shares: Shares::new(Arc::clone(&limits)),
            store,
            blobs: blobs.map(Shared::new),
            policy,
            clock: clock.steady(limits.upload_ttl),
            limits,
            encoder,
            registry,
            connections: Arc::default(),
            answers,
            mailboxes,
            command_bytes: AtomicUsize::new(0),
            joined: Arc::default(),
            discarded: Notify::new(),
            erasing: Notify::new(),
            nodes,
            draining: AtomicBool::new(false),
            drain: Notify::new(),
        }
    }

    pub(crate) fn source(&self) -> Source<'_> {
        Source { store: &*self.store, limits: &self.limits }
    }

    /// Returns a channel, loaded into memory.
    pub(crate) async fn channel(&self, name: &ChannelName) -> Result<Arc<Channel>, Error> {
        self.registry.get(name, self.source()).await
    }

    /// Shows a new channel to everyone who is connected to this node and may see it.
    pub(crate) fn show_channel(&self, name: &ChannelName, channel: &ChannelObject) {
        let frame = Encoder::notice(&ChatEvent::ChannelCreated { channel: channel.clone() });
        self.connections.for_each(|handle| {
            if self.policy.authorize(&handle.identity, Action::List(name)).is_ok() {
                handle.send(frame.clone());
            }
        });
    }

    /// Tells everyone who is connected to this node, and may know of the user, their new name or avatar.
    pub(crate) fn show_renamed(&self, user: &User) {
        let frame = Encoder::notice(&ChatEvent::UserChanged { user: user.clone() });
        self.connections.for_each(|handle| {
            if self.policy.authorize(&handle.identity, Action::Meet(&user.id)).is_ok() {
                handle.send(frame.clone());
            }
        });
    }

    pub(crate) fn stats(&self) -> Stats {
        self.monitor.counters.snapshot(&Held {
            connections: self.connections.len(),
            users: self.connections.users(),
            loaded_channels: self.registry.len(),
            ring_bytes: self.registry.rings().used(),
            answer_bytes: self.answers.held(),
            command_bytes: self.command_bytes.load(Ordering::Relaxed),
            append_queue: self.appends.len(),
            uploads_running: self.uploads.len(),
            bus: self.nodes.as_ref().map(|nodes| nodes.held()),
        })
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    pub(crate) fn start_draining(&self) {
        self.draining.store(true, Ordering::Release);
        self.drain.notify_waiters();
    }

    /// Waits for the drain to begin.
    pub(crate) async fn drain_begins(&self) {
        // Created before the check, so that it notices a drain that begins in between.
        let begins = self.drain.notified();
        if !self.is_draining() {
            begins.await;
        }
    }
}
