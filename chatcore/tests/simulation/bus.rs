//! A bus between nodes that loses, repeats, reorders and delays messages, and that can be cut.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chatcore::bus::{Bus, BusError, BusEvent, BusLimits, Feed};
use chatcore::testkit::Random;
use futures::stream::BoxStream;

/// What happens to messages.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BusFaults {
    /// The probability that a message is lost, for each receiver, 0 to 1.
    pub(crate) lost: f64,
    /// The probability that it comes twice, 0 to 1.
    pub(crate) twice: f64,
    /// The longest delay in milliseconds. Messages with different delays overtake each other.
    pub(crate) delay_ms: u64,
}

/// The network of all nodes.
#[derive(Debug)]
pub(crate) struct Network {
    random: Arc<Random>,
    limits: BusLimits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    faults: BusFaults,
    /// The connections that carry nothing: from one node to another.
    cut: BTreeSet<(usize, usize)>,
    /// The connection of each node to the bus.
    feeds: Vec<Arc<Feed>>,
}

impl Network {
    pub(crate) fn new(nodes: usize, limits: BusLimits, random: Arc<Random>) -> Arc<Self> {
        let feeds = (0..nodes).map(|_| Arc::default()).collect();
        Arc::new(Self { random, limits, state: Mutex::new(State { feeds, ..State::default() }) })
    }

    /// Returns the bus of a node that starts.
    pub(crate) fn bus(self: &Arc<Self>, node: usize) -> NodeBus {
        let feed = Arc::<Feed>::default();
        self.state().feeds[node] = Arc::clone(&feed);
        NodeBus { network: Arc::clone(self), node, feed }
    }

    pub(crate) fn set_faults(&self, faults: BusFaults) {
        self.state().faults = faults;
    }

    /// Lets nothing pass from one node to another. A node may be cut off from itself too.
    pub(crate) fn cut(&self, from: usize, to: usize) {
        self.state().cut.insert((from, to));
    }

    /// Tells a node that its connection to the bus is broken, or works again.
    pub(crate) fn tell(&self, node: usize, is_disrupted: bool) {
        let feed = Arc::clone(&self.state().feeds[node]);
        if is_disrupted { feed.disrupted() } else { feed.restored() }
    }

    /// Lets everything pass.
    pub(crate) fn heal(&self) {
        let mut state = self.state();
        state.cut.clear();
        state.faults = BusFaults::default();
        state.feeds.iter().for_each(|feed| feed.restored());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics under this lock")
    }
}

/// A node's connection to the bus.
#[derive(Debug)]
pub(crate) struct NodeBus {
    network: Arc<Network>,
    node: usize,
    feed: Arc<Feed>,
}

#[async_trait]
impl Bus for NodeBus {
    async fn publish(&self, partition: u8, bytes: Bytes) -> Result<(), BusError> {
        let Network { random, limits, .. } = &*self.network;
        limits.check(partition, &bytes)?;
        let state = self.network.state();
        for (to, feed) in state.feeds.iter().enumerate() {
            if state.cut.contains(&(self.node, to)) || random.chance(state.faults.lost) {
                continue;
            }
            let copies = if random.chance(state.faults.twice) { 2 } else { 1 };
            for _ in 0..copies {
                match random.below(state.faults.delay_ms + 1) {
                    0 => feed.message(partition, bytes.clone()),
                    delay => {
                        let (feed, bytes) = (Arc::clone(feed), bytes.clone());
                        tokio::spawn(async move {
                            tokio::time::sleep(Duration::from_millis(delay)).await;
                            feed.message(partition, bytes);
                        });
                    }
                }
            }
        }
        Ok(())
    }

    fn subscribe(&self) -> BoxStream<'static, BusEvent> {
        self.feed.subscribe()
    }

    fn limits(&self) -> BusLimits {
        self.network.limits.clone()
    }

    fn crosses_processes(&self) -> bool {
        false
    }
}
