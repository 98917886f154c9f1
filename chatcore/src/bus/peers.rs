//! The other nodes, and which of their envelopes have come.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::bus::envelope::NodeId;

/// How long after its last envelope a node counts as gone.
pub(crate) const LEASE: Duration = Duration::from_secs(8);

/// The most nodes. A further one replaces the one that was silent for the longest time.
const PEERS: usize = 1_024;

/// The other nodes.
#[derive(Debug)]
pub(crate) struct Peers {
    partitions: usize,
    peers: BTreeMap<NodeId, Peer>,
}

#[derive(Debug)]
struct Peer {
    /// The number of the last envelope in each partition. `None` if none has come.
    seen: Vec<Option<u64>>,
    heard: Instant,
}

/// The place of an envelope among those of its node and partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The node is new here, or was silent for longer than its lease.
    First,
    /// It is the next one.
    Next,
    /// Envelopes before it are missing.
    Gap,
    /// It came twice, or after a later one.
    Late,
}

impl Peers {
    pub(crate) fn new(partitions: u8) -> Self {
        Self { partitions: usize::from(partitions.max(1)), peers: BTreeMap::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.peers.len()
    }

    pub(crate) fn has(&self, node: NodeId) -> bool {
        self.peers.contains_key(&node)
    }

    /// Notes an envelope.
    pub(crate) fn envelope(&mut self, node: NodeId, partition: u8, number: u64, now: Instant) -> Order {
        let is_new = !self.peers.contains_key(&node);
        if is_new && self.peers.len() >= PEERS {
            let silent = self.peers.iter().min_by_key(|(_, peer)| peer.heard).map(|(node, _)| *node);
            silent.and_then(|node| self.peers.remove(&node));
        }
        let seen = vec![None; self.partitions];
        let peer = self.peers.entry(node).or_insert(Peer { seen, heard: now });
        peer.heard = peer.heard.max(now);
        let Some(seen) = peer.seen.get_mut(usize::from(partition)) else { return Order::Late };
        let before = seen.unwrap_or_default();
        if number <= before {
            return Order::Late;
        }
        *seen = Some(number);
        match number == before + 1 {
            _ if is_new => Order::First,
            true => Order::Next,
            false => Order::Gap,
        }
    }

    /// Returns whether envelopes of the node up to `number` are missing.
    pub(crate) fn lacks(&self, node: NodeId, partition: u8, number: u64) -> bool {
        let seen = self.peers.get(&node).and_then(|peer| peer.seen.get(usize::from(partition)));
        seen.is_some_and(|seen| seen.unwrap_or_default() < number)
    }

    /// Gives up waiting for envelopes up to `number`.
    pub(crate) fn skip(&mut self, node: NodeId, partition: u8, number: u64) {
        let peer = self.peers.get_mut(&node);
        if let Some(seen) = peer.and_then(|peer| peer.seen.get_mut(usize::from(partition))) {
            *seen = Some(seen.unwrap_or_default().max(number));
        }
    }

    /// Gives every node a new lease: nothing could be heard of any.
    pub(crate) fn renew(&mut self, now: Instant) {
        self.peers.values_mut().for_each(|peer| peer.heard = now);
    }

    /// Removes and returns the nodes whose leases are over.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<NodeId> {
        let is_over = |peer: &Peer| now.saturating_duration_since(peer.heard) >= LEASE;
        let gone = self.peers.iter().filter(|(_, peer)| is_over(peer)).map(|(node, _)| *node).collect();
        self.peers.retain(|_, peer| !is_over(peer));
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId(1);

    #[test]
    fn a_missing_envelope_is_noticed() {
        let (mut peers, now) = (Peers::new(2), Instant::now());
        let orders = [(0, 5), (0, 6), (0, 8), (0, 7), (0, 8), (0, 9), (1, 1), (1, 2), (9, 1)]
            .map(|(partition, number)| peers.envelope(NODE, partition, number, now));
        use Order::{First, Gap, Late, Next};
        assert_eq!(orders, [First, Next, Gap, Late, Late, Next, Next, Next, Late]);
        assert!(peers.lacks(NODE, 1, 3) && !peers.lacks(NODE, 1, 2));
        peers.skip(NODE, 1, 3);
        assert!(!peers.lacks(NODE, 1, 3));
        assert!(!peers.lacks(NodeId(2), 0, 1), "nothing is known of that node");
    }

    #[test]
    fn a_silent_node_is_gone_after_its_lease() {
        let (mut peers, now) = (Peers::new(1), Instant::now());
        peers.envelope(NODE, 0, 1, now);
        assert_eq!(peers.expire(now + LEASE - Duration::from_millis(1)), []);
        peers.renew(now + LEASE);
        assert_eq!(peers.expire(now + LEASE), []);
        assert_eq!(peers.expire(now + 2 * LEASE), [NODE]);
        assert_eq!(peers.envelope(NODE, 0, 2, now), Order::First);
    }

    #[test]
    fn so_many_nodes_are_remembered_and_no_more() {
        let (mut peers, now) = (Peers::new(1), Instant::now());
        for node in 0..=PEERS as u64 {
            peers.envelope(NodeId(node), 0, 1, now + Duration::from_millis(node));
        }
        assert_eq!(peers.len(), PEERS);
        assert_eq!(peers.envelope(NodeId(1), 0, 2, now), Order::Next);
        assert_eq!(peers.envelope(NodeId(0), 0, 2, now), Order::First, "it was silent for the longest time");
    }
}
