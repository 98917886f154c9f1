//! The builder of a chat.

use std::fmt;
use std::sync::Arc;

use crate::bus::Bus;
use crate::bus::envelope::NodeId;
use crate::chat::{Chat, Inner};
use crate::engine::Engine;
use crate::engine::nodes::Nodes;
use crate::limits::Limits;
use crate::model::policy::{OpenPolicy, Policy};
use crate::model::time::Clock;
use crate::protocol::Encoder;
use crate::store::Store;
use crate::store::blob::BlobStore;

/// Builds a [`Chat`].
pub struct ChatBuilder {
    store: Arc<dyn Store>,
    blobs: Option<Arc<dyn BlobStore>>,
    policy: Arc<dyn Policy>,
    limits: Limits,
    clock: Clock,
    base: String,
    bus: Option<Arc<dyn Bus>>,
    node: Option<u64>,
}

impl ChatBuilder {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            blobs: None,
            policy: Arc::new(OpenPolicy),
            limits: Limits::default(),
            clock: Clock::default(),
            base: String::new(),
            bus: None,
            node: None,
        }
    }

    /// Sets the store for attachments' bytes. Without it there are no attachments.
    #[must_use]
    pub fn blobs(mut self, blobs: impl BlobStore) -> Self {
        self.blobs = Some(Arc::new(blobs));
        self
    }

    /// Sets the policy, which decides who may do what. The default is [`OpenPolicy`].
    #[must_use]
    pub fn policy(mut self, policy: impl Policy) -> Self {
        self.policy = Arc::new(policy);
        self
    }

    /// Sets the limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the clock that measures the age of uploads, instead of the system's: for tests and simulations. It
    /// ignores jumps of the clock as [`Clock::steady`] does, with [`Limits::upload_ttl`] as the patience.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Connects the chat with the other nodes: the chats of other processes on the same store. They tell each other
    /// what happens by the bus. Without it, a chat learns of another's messages when it next appends to the channel or
    /// loads it.
    ///
    /// A bus may lose what it carries. Each node notices that within a second or two, and reads the store. So a bus that
    /// reaches other processes needs a store that they share ([`EventStore::shared`](crate::store::EventStore::shared)):
    /// [`build`](Self::build) panics without one.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use chatcore::bus::LocalBus;
    /// use chatcore::{ChannelName, Chat, MemoryStore, NewMessage, User};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (store, bus) = (MemoryStore::new(), Arc::new(LocalBus::new()));
    /// let one = Chat::builder(store.clone()).bus(bus.clone()).build();
    /// let other = Chat::builder(store).bus(bus).build();
    /// let (name, host) = (ChannelName::new("general")?, User::new("u_host", "Host")?);
    /// one.ensure_channel(&name, "", &host).await?;
    /// let mut reader = other.connect(chatcore::Identity::new(User::new("u_ann", "Ann")?))?;
    /// reader.subscribe("general").await?;
    /// one.publish(&host, &name, NewMessage::text("Hello, other node!")).await?;
    /// while let Some(event) = reader.next_event().await {
    ///     if let chatcore::protocol::ChatEvent::Message { message, .. } = event {
    ///         assert_eq!(message.text, "Hello, other node!");
    ///         break;
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn bus(mut self, bus: impl Bus) -> Self {
        self.bus = Some(Arc::new(bus));
        self
    }

    /// Sets the number of this node, instead of a random one, so that a simulation has one seed. It must be new at
    /// each start.
    #[cfg(feature = "testkit")]
    #[must_use]
    pub fn node_number(mut self, node: u64) -> Self {
        self.node = Some(node);
        self
    }

    /// Sets the path under which a transport serves the chat, such as `/chat`. Attachments' URLs begin with it.
    /// The default is the root.
    #[must_use]
    pub fn base(mut self, path: &str) -> Self {
        let path = path.trim_matches('/');
        self.base = if path.is_empty() { String::new() } else { format!("/{path}") };
        self
    }

    /// Starts the chat's tasks on the current tokio runtime.
    ///
    /// # Panics
    /// Panics outside of a tokio runtime, and if the bus reaches other processes but the store is not shared with them.
    #[must_use]
    pub fn build(self) -> Chat {
        let reaches_others = self.bus.as_ref().is_some_and(|bus| bus.crosses_processes());
        assert!(
            !reaches_others || self.store.shared(),
            "the bus reaches other processes, but they can't share this store: use one that is shared, such as \
             chatcore-postgres, or LocalBus for the chats of one process"
        );
        let encoder = Encoder::new(&self.base);
        let limits = Arc::new(self.limits);
        let node = self.node.map_or_else(NodeId::random, NodeId);
        let nodes = self.bus.map(|bus| Arc::new(Nodes::new(node, bus)));
        let engine =
            Engine::new(self.store, self.blobs, self.policy, limits, self.clock, encoder, nodes.clone());
        let engine = Arc::new(engine);
        let departures = Arc::clone(&engine.departures);
        let (sweeper, teller, eraser) = (Arc::clone(&engine), Arc::clone(&engine), Arc::clone(&engine));
        let mut background = vec![
            tokio::spawn(async move { departures.run().await }),
            tokio::spawn(sweeper.keep_swept()),
            tokio::spawn(teller.keep_telling()),
            tokio::spawn(eraser.keep_erasing()),
        ];
        if let Some(nodes) = nodes {
            background.extend(nodes.start(&engine));
        }
        Chat { inner: Arc::new(Inner { engine, background }) }
    }
}

impl fmt::Debug for ChatBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatBuilder").field("base", &self.base).finish_non_exhaustive()
    }
}
