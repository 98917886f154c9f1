//! The rows: each is a load and the servers that it is for.

use crate::report::{Sample, Table};
use crate::run::{Run, Setup};
use crate::servers::Kind;
use crate::wire::STANDARD;

/// The row to which publishes with more channels are compared.
pub(crate) const FEW_CHANNELS: &str = "10 channels exist";

/// Texts from a short word to the longest text of a message.
const MIXED: &[usize] = &[80, 300, 1_000, 3_000, 8_000];

/// One row per server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) table: Table,
    /// The servers that it is for.
    pub(crate) servers: &'static [Kind],
    load: Load,
}

#[derive(Clone, Copy, Debug)]
enum Load {
    /// One channel; a window of messages is written once all members have the previous window.
    Windows { members: usize, window: usize, sizes: &'static [usize], stalled: usize },
    /// One channel, and messages at a steady rate.
    Paced { members: usize, per_second: usize },
    /// Channels in which every member publishes its next message when the last is acknowledged.
    Groups { channels: usize, members: usize },
    /// The same channels with messages at a steady rate, from each member in turn.
    PacedGroups { channels: usize, members: usize, per_second: usize },
    /// One connection that follows many channels.
    Follower { channels: usize, window: usize },
    /// Idle connections.
    Idle { channels: usize, members: usize },
    /// Connections that open, join a channel with a full ring, and leave.
    Storm,
    /// Publishes to some of many channels, without subscribers.
    Publishes { channels: usize },
    /// Channels that are loaded and empty.
    Loaded { channels: usize },
}

/// The servers that show how cost grows.
const COMPARED: &[Kind] = &[Kind::Epoll, Kind::Tokio, Kind::ChatcoreMemory];

/// The servers that store messages.
const CHATCORE: &[Kind] = &[Kind::ChatcoreMemory, Kind::ChatcoreRedb];

const fn scenario(name: &'static str, table: Table, load: Load) -> Scenario {
    Scenario { name, table, servers: &Kind::ALL, load }
}

const fn windows(name: &'static str, members: usize, window: usize) -> Scenario {
    scenario(name, Table::FanOut, Load::Windows { members, window, sizes: STANDARD, stalled: 0 })
}

const fn texts(name: &'static str, window: usize, sizes: &'static [usize]) -> Scenario {
    let load = Load::Windows { members: 500, window, sizes, stalled: 0 };
    Scenario { name, table: Table::FanOut, servers: COMPARED, load }
}

const fn rate(name: &'static str, per_second: usize) -> Scenario {
    let load = Load::Paced { members: 1_000, per_second };
    Scenario { name, table: Table::Paced, servers: COMPARED, load }
}

const fn publishes(name: &'static str, channels: usize) -> Scenario {
    Scenario { name, table: Table::Publishes, servers: CHATCORE, load: Load::Publishes { channels } }
}

pub(crate) const SCENARIOS: &[Scenario] = &[
    windows("100 members, W1", 100, 1),
    windows("100 members, W32", 100, 32),
    windows("500 members, W1", 500, 1),
    windows("500 members, W32", 500, 32),
    windows("2,000 members, W1", 2_000, 1),
    windows("2,000 members, W32", 2_000, 32),
    windows("10,000 members, W1", 10_000, 1),
    windows("10,000 members, W32", 10_000, 32),
    scenario(
        "500 members and one that never reads, W32",
        Table::FanOut,
        Load::Windows { members: 500, window: 32, sizes: STANDARD, stalled: 1 },
    ),
    scenario(
        "500 members, texts of 80 B to 8 KB, W8",
        Table::FanOut,
        Load::Windows { members: 500, window: 8, sizes: MIXED, stalled: 0 },
    ),
    texts("500 members, texts of 80 B, W1", 1, &[80]),
    texts("500 members, texts of 800 B, W1", 1, &[800]),
    texts("500 members, texts of 8 KB, W1", 1, &[8_000]),
    texts("500 members, texts of 80 B, W8", 8, &[80]),
    texts("500 members, texts of 800 B, W8", 8, &[800]),
    texts("500 members, texts of 8 KB, W8", 8, &[8_000]),
    Scenario {
        name: "10 channels × 10 members, each with one message in flight",
        table: Table::FanOut,
        servers: COMPARED,
        load: Load::Groups { channels: 10, members: 10 },
    },
    scenario(
        "200 channels × 10 members, each with one message in flight",
        Table::FanOut,
        Load::Groups { channels: 200, members: 10 },
    ),
    scenario("one member in 500 channels, W50", Table::FanOut, Load::Follower { channels: 500, window: 50 }),
    rate("1,000 members, 5 messages per second", 5),
    scenario(
        "1,000 members, 20 messages per second",
        Table::Paced,
        Load::Paced { members: 1_000, per_second: 20 },
    ),
    rate("1,000 members, 80 messages per second", 80),
    scenario(
        "200 channels × 10 members, each a message per second",
        Table::Paced,
        Load::PacedGroups { channels: 200, members: 10, per_second: 2_000 },
    ),
    scenario("5,000 idle, 100 per channel", Table::Idle, Load::Idle { channels: 50, members: 100 }),
    scenario("storm on a ring of 100 messages", Table::Joins, Load::Storm),
    publishes(FEW_CHANNELS, 10),
    publishes("1,000 channels exist", 1_000),
    publishes("100,000 channels exist", 100_000),
    Scenario {
        name: "10,000 empty channels in memory",
        table: Table::Channels,
        servers: CHATCORE,
        load: Load::Loaded { channels: 10_000 },
    },
];

impl Scenario {
    /// Measures a new server.
    pub(crate) fn measure(&self, kind: Kind, setup: &Setup) -> Sample {
        let channels = match self.load {
            Load::Windows { .. } | Load::Paced { .. } | Load::Storm => 1,
            // One more for publishers without members.
            Load::Idle { channels, .. } | Load::Loaded { channels } => channels + 1,
            Load::Groups { channels, .. }
            | Load::PacedGroups { channels, .. }
            | Load::Follower { channels, .. }
            | Load::Publishes { channels } => channels,
        };
        let mut run = Run::start(kind, channels, setup);
        match self.load {
            Load::Windows { members, window, sizes, stalled } => run.windows(members, window, sizes, stalled),
            Load::Paced { members, per_second } => run.paced_channel(members, per_second),
            Load::Groups { channels, members } => run.groups(channels, members),
            Load::PacedGroups { channels, members, per_second } => {
                run.paced_groups(channels, members, per_second);
            }
            Load::Follower { channels, window } => run.follower(channels, window),
            Load::Idle { channels, members } => run.idle(channels, members),
            Load::Storm => run.storm(),
            Load::Publishes { .. } => run.publishes(),
            Load::Loaded { channels } => run.loaded(channels),
        }
        run.end()
    }
}
