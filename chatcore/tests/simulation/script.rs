//! What happens in a simulation: a script, made from a seed.

use std::time::Duration;

use chatcore::bus::BusLimits;
use chatcore::testkit::Random;

use crate::bus::BusFaults;

pub(crate) const CHANNELS: usize = 3;

/// A simulation.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) seed: u64,
    pub(crate) nodes: usize,
    pub(crate) limits: BusLimits,
    pub(crate) steps: Vec<Step>,
}

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// Somebody publishes messages at a node.
    Publish { node: usize, channel: usize, messages: usize },
    /// Somebody edits, deletes or reacts to the newest message at a node.
    Change { node: usize, channel: usize, kind: u64 },
    /// Somebody creates a channel at a node.
    Create { node: usize },
    /// A reader moves to a node.
    Move { reader: usize, node: usize },
    /// Nothing passes from one node to another.
    Cut { from: usize, to: usize },
    /// A node hears nothing and is not heard, not even by itself. The bus may notice.
    CutOff { node: usize, is_told: bool },
    /// The bus loses, repeats and delays.
    Faults(BusFaults),
    /// Everything passes again.
    Heal,
    /// A node dies, and another takes its place.
    Restart { node: usize },
    /// A visitor of one node signs out at another.
    SignOut { visited: usize, node: usize },
    /// Time passes.
    Wait { ms: u64 },
}

impl Script {
    pub(crate) fn new(seed: u64) -> Self {
        let random = Random::new(seed);
        let nodes = 2 + pick(&random, 4);
        let limits = BusLimits::default()
            .with_partitions(1 + u8::try_from(random.below(4)).expect("less than 4"))
            .with_max_bytes([600, 7_900, 900 << 10][pick(&random, 3)])
            .with_min_interval(Duration::from_millis([0, 10][pick(&random, 2)]));
        let steps = 10 + pick(&random, 30);
        let steps = (0..steps).map(|_| Step::new(&random, nodes)).collect();
        Self { seed, nodes, limits, steps }
    }
}

impl Step {
    fn new(random: &Random, nodes: usize) -> Self {
        let (node, channel) = (pick(random, nodes), pick(random, CHANNELS));
        match random.below(21) {
            0..=7 => Self::Publish { node, channel, messages: 1 + pick(random, 5) },
            8 => Self::Change { node, channel, kind: random.below(3) },
            9..=11 => Self::Move { reader: pick(random, nodes), node },
            12 => Self::Cut { from: node, to: pick(random, nodes) },
            13 => Self::CutOff { node, is_told: random.chance(0.5) },
            14 => Self::Faults(BusFaults {
                lost: [0.0, 0.1, 0.5][pick(random, 3)],
                twice: [0.0, 0.3][pick(random, 2)],
                delay_ms: [0, 5, 200][pick(random, 3)],
            }),
            15 => Self::Heal,
            16 => Self::Restart { node },
            18 => Self::Create { node },
            17 => Self::SignOut { visited: node, node: pick(random, nodes) },
            _ => Self::Wait { ms: [1, 30, 300, 3_000][pick(random, 4)] },
        }
    }
}

fn pick(random: &Random, of: usize) -> usize {
    usize::try_from(random.below(of as u64)).expect("less than a usize")
}
