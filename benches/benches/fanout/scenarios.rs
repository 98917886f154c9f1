//! The loads, and what each of them measures.

use std::iter;
use std::time::{Duration, Instant};

use crate::client::{Client, Join, Tally};
use crate::process::{Cores, ServerProcess};
use crate::report::{Metric, Sample, Table};
use crate::servers::Kind;
use crate::wire::{self, TEXT, Window};

/// Users that share the connections where presence is not measured. Each stays online through a connection that is
/// not measured, so that no arrival or departure is told of.
const USERS: usize = 16;

/// What is not measured at the begin of each load.
const WARM_UP: Duration = Duration::from_millis(500);

/// How long nothing may come until all is taken for done.
const QUIET: Duration = Duration::from_millis(300);

/// Texts from a short word to the longest that a message may have.
const MIXED: &[usize] = &[80, 300, 1_000, 3_000, 8_000];
const STANDARD: &[usize] = &[TEXT.len()];

/// Messages of a full ring's snapshot.
const HISTORY: usize = 100;

/// Channels that are published to while others only exist.
const IN_USE: usize = 10;

/// One row for each server.
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
    /// One channel; a window of messages is written once all members have the window before.
    Windows { members: usize, window: usize, sizes: &'static [usize], stalled: usize },
    /// One channel, and messages at a steady rate.
    Paced { members: usize, per_second: usize },
    /// Channels in which every member publishes its next message when the last is answered.
    Groups { channels: usize, members: usize },
    /// The same channels with messages at a steady rate, from each member in turn.
    PacedGroups { channels: usize, members: usize, per_second: usize },
    /// One connection that follows many channels.
    Follower { channels: usize, window: usize },
    /// Connections that do nothing.
    Idle { channels: usize, members: usize },
    /// Connections that open, join a channel with a full ring, and leave.
    Storm,
    /// Publishes to some of many channels, with nobody there.
    Publishes { channels: usize },
    /// Channels that are loaded and empty.
    Loaded { channels: usize },
}

/// Those that show how cost grows.
const COMPARED: &[Kind] = &[Kind::Epoll, Kind::Tokio, Kind::ChatcoreMemory];

/// Those that keep what they are told.
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
    rate("1,000 members, 5 messages a second", 5),
    scenario(
        "1,000 members, 20 messages a second",
        Table::Paced,
        Load::Paced { members: 1_000, per_second: 20 },
    ),
    rate("1,000 members, 80 messages a second", 80),
    scenario(
        "200 channels × 10 members, each a message a second",
        Table::Paced,
        Load::PacedGroups { channels: 200, members: 10, per_second: 2_000 },
    ),
    scenario("5,000 idle, 100 a channel", Table::Idle, Load::Idle { channels: 50, members: 100 }),
    scenario("storm on a ring of 100 messages", Table::Joins, Load::Storm),
    publishes("10 channels exist", 10),
    publishes("1,000 channels exist", 1_000),
    publishes("100,000 channels exist", 100_000),
    Scenario {
        name: "10,000 empty channels in memory",
        table: Table::Channels,
        servers: CHATCORE,
        load: Load::Loaded { channels: 10_000 },
    },
];

/// What all measurements share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) cores: Option<Cores>,
    pub(crate) long: Duration,
}

impl Scenario {
    /// Measures a new server.
    pub(crate) fn measure(&self, kind: Kind, setup: &Setup) -> Sample {
        let channels = match self.load {
            Load::Windows { .. } | Load::Paced { .. } | Load::Storm => 1,
            // One more for those that publish without members.
            Load::Idle { channels, .. } | Load::Loaded { channels } => channels + 1,
            Load::Groups { channels, .. }
            | Load::PacedGroups { channels, .. }
            | Load::Follower { channels, .. }
            | Load::Publishes { channels } => channels,
        };
        let server = ServerProcess::start(kind, channels, setup.cores);
        let client = Client::new(server.addr);
        let mut run = Run {
            server,
            client,
            long: setup.long,
            nonce: 0,
            expected: 0,
            answers: 0,
            sample: Sample::default(),
        };
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

/// One measurement under way.
struct Run {
    server: ServerProcess,
    client: Client,
    long: Duration,
    nonce: u64,
    /// Deliveries and answers that are owed by now.
    expected: u64,
    answers: u64,
    sample: Sample,
}

/// Where a measured stretch began.
struct Begin {
    at: Instant,
    cpu: Duration,
    messages: u64,
    message_bytes: u64,
    answers: u64,
}

fn shared_user(n: usize) -> String {
    format!("u_{}", n % USERS)
}

impl Run {
    /// Opens a connection that follows nothing.
    fn publisher(&mut self) -> usize {
        self.member("u_publisher".to_owned(), 0..0)
    }

    fn member(&mut self, user: String, channels: std::ops::Range<usize>) -> usize {
        self.client.join([Join { user, channels }])[0]
    }

    fn members(&mut self, count: usize) -> Vec<usize> {
        self.client.join((0..count).map(|n| Join { user: shared_user(n), channels: 0..1 }))
    }

    fn begin(&mut self) -> Begin {
        let &mut Tally { messages, message_bytes, answers, .. } = self.client.tally();
        Begin { at: Instant::now(), cpu: self.server.cpu(), messages, message_bytes, answers }
    }

    fn set(&mut self, metric: Metric, value: f64) {
        self.sample.values.push((metric, value));
    }

    /// Publishes a window, of which each message has `members` deliveries.
    fn publish(&mut self, publisher: usize, window: &mut Window, members: usize) {
        self.expected += (window.len() * members) as u64;
        self.answers += window.len() as u64;
        self.client.tally().answered.clear();
        self.client.write(publisher, window.renew(&mut self.nonce));
    }

    /// Reads until all that is owed has come; says whether it has.
    fn settle(&mut self) -> bool {
        let (expected, answers) = (self.expected, self.answers);
        self.client.pump_until(|tally| tally.messages >= expected && tally.answers >= answers)
    }

    /// Reads until nothing comes any more.
    fn quiet(&mut self) {
        while self.client.pump(QUIET) {}
        self.client.tally().answered.clear();
        self.answers = self.client.tally().answers;
    }

    /// Publishes the windows in turn for a while, each when the last has arrived everywhere.
    fn in_turn(&mut self, publisher: usize, windows: &mut [Window], members: usize, long: Duration) {
        let begin = Instant::now();
        for n in (0..windows.len()).cycle() {
            self.publish(publisher, &mut windows[n], members);
            if !self.settle() || begin.elapsed() >= long {
                return;
            }
        }
    }

    /// Measures windows in turn, after a warm-up.
    fn measure_in_turn(&mut self, publisher: usize, windows: &mut [Window], members: usize) {
        self.answers = self.client.tally().answers;
        self.in_turn(publisher, windows, members, WARM_UP);
        let begin = self.begin();
        self.in_turn(publisher, windows, members, self.long);
        self.set_deliveries(&begin);
    }

    fn set_deliveries(&mut self, begin: &Begin) {
        let (elapsed, cpu) = (begin.at.elapsed(), self.server.cpu() - begin.cpu);
        let deliveries = (self.client.tally().messages - begin.messages) as f64;
        let bytes = (self.client.tally().message_bytes - begin.message_bytes) as f64;
        self.set(Metric::FrameBytes, bytes / deliveries);
        self.set(Metric::Deliveries, deliveries / elapsed.as_secs_f64());
        self.set(Metric::Cpu, cpu.as_secs_f64() * 1e6 / deliveries);
    }

    fn windows(&mut self, members: usize, window: usize, sizes: &[usize], stalled: usize) {
        self.members(members);
        for number in self.members(stalled) {
            self.client.stall(number);
        }
        let publisher = self.publisher();
        let window = Window::new(iter::repeat_n(0, window), sizes);
        self.measure_in_turn(publisher, &mut [window], members);
    }

    fn follower(&mut self, channels: usize, window: usize) {
        self.member("u_follower".to_owned(), 0..channels);
        let publisher = self.publisher();
        let mut windows: Vec<Window> = (0..channels)
            .step_by(window)
            .map(|first| Window::new(first..(first + window).min(channels), STANDARD))
            .collect();
        self.measure_in_turn(publisher, &mut windows, 1);
    }

    /// Joins the members of each channel, a user each, and makes the window of each: one message.
    fn join_groups(&mut self, channels: usize, members: usize) -> Vec<(usize, Window)> {
        let joins = (0..channels * members).map(|n| {
            let channel = n % channels;
            Join { user: format!("u_{n}"), channels: channel..channel + 1 }
        });
        let numbers = self.client.join(joins);
        self.quiet();
        // A connection's number tells its place among the joins, since none has left.
        let mut numbers = numbers;
        numbers.sort_unstable();
        numbers
            .into_iter()
            .map(|number| (number, Window::new(iter::once(number % channels), STANDARD)))
            .collect()
    }

    fn groups(&mut self, channels: usize, members: usize) {
        let mut publishers = self.join_groups(channels, members);
        for (number, window) in &mut publishers {
            self.publish(*number, window, members);
        }
        self.saturate(&mut publishers, members, WARM_UP);
        let begin = self.begin();
        self.saturate(&mut publishers, members, self.long);
        self.set_deliveries(&begin);
        self.settle();
    }

    /// Lets everybody publish again as soon as the last message is answered.
    fn saturate(&mut self, publishers: &mut [(usize, Window)], members: usize, long: Duration) {
        let begin = Instant::now();
        let mut answered = Vec::new();
        while begin.elapsed() < long {
            if !self.client.pump(QUIET) && self.client.tally().answered.is_empty() {
                return;
            }
            std::mem::swap(&mut answered, &mut self.client.tally().answered);
            for number in answered.drain(..) {
                self.publish(number, &mut publishers[number].1, members);
            }
        }
    }

    fn paced_channel(&mut self, members: usize, per_second: usize) {
        self.members(members);
        let publisher = self.publisher();
        self.quiet();
        let window = Window::new(iter::once(0), STANDARD);
        self.paced(&mut [(publisher, window)], 1, members, per_second);
    }

    fn paced_groups(&mut self, channels: usize, members: usize, per_second: usize) {
        let mut publishers = self.join_groups(channels, members);
        self.paced(&mut publishers, channels, members, per_second);
    }

    /// Lets each publisher publish in turn, at a steady rate in all. The `n`th of them is in channel `n % channels`.
    fn paced(
        &mut self,
        publishers: &mut [(usize, Window)],
        channels: usize,
        members: usize,
        per_second: usize,
    ) {
        let step = Duration::from_secs(1) / per_second as u32;
        let mut heads = vec![0; channels];
        let mut turn = (0..publishers.len()).cycle();
        let mut steady = |run: &mut Self, long: Duration| {
            run.client.tally().start_clock(channels);
            let begin = Instant::now();
            let mut next = begin;
            while next < begin + long {
                while let Some(wait) =
                    next.checked_duration_since(Instant::now()).filter(|wait| !wait.is_zero())
                {
                    run.client.pump(wait);
                }
                let n = turn.next().unwrap_or_default();
                let (number, window) = &mut publishers[n];
                let channel = n % channels;
                heads[channel] += 1;
                run.client.tally().sending(channel, heads[channel]);
                run.publish(*number, window, members);
                next += step;
            }
            run.settle();
        };
        steady(self, WARM_UP);
        let begin = self.begin();
        steady(self, self.long);
        self.set_deliveries(&begin);
        let histogram = self.client.tally().stop_clock();
        for (metric, time) in [
            (Metric::P50, histogram.quantile(0.5)),
            (Metric::P99, histogram.quantile(0.99)),
            (Metric::Max, histogram.max()),
        ] {
            self.set(metric, time.as_secs_f64() * 1e3);
        }
    }

    fn idle(&mut self, channels: usize, members: usize) {
        // What the first connection costs once is there before the others come.
        let sink = channels;
        let resident = self.member("u_resident".to_owned(), sink..sink + 1);
        self.quiet();
        let before = self.server.rss_kib();
        let joins = (0..channels * members).map(|n| {
            let channel = n % channels;
            Join { user: format!("u_{n}"), channels: channel..channel + 1 }
        });
        let numbers = self.client.join(joins);
        self.quiet();
        let connections = numbers.len() as f64;
        let joined = self.server.rss_kib();
        self.set(Metric::JoinedKib, (joined as f64 - before as f64) / connections);

        for channel in 0..channels {
            for size in [80, 300, 1_500, 8_000] {
                self.publish(resident, &mut Window::new(iter::once(channel), &[size]), members);
                self.settle();
            }
        }
        for number in numbers {
            self.publish(number, &mut Window::new(iter::once(sink), &[80]), 1);
            self.client.write(number, &wire::ping(8_000));
            self.answers += 1;
            self.settle();
        }
        self.quiet();
        let used = self.server.rss_kib();
        self.set(Metric::UsedKib, (used as f64 - before as f64) / connections);
    }

    fn storm(&mut self) {
        self.members(USERS);
        let publisher = self.publisher();
        self.quiet();
        self.publish(publisher, &mut Window::new(iter::repeat_n(0, HISTORY), STANDARD), USERS);
        self.settle();
        self.client.tally().answered.clear();
        self.storm_for(WARM_UP);
        let begin = self.begin();
        let joined = self.storm_for(self.long) as f64;
        self.set(Metric::Joins, joined / begin.at.elapsed().as_secs_f64());
        self.set(Metric::JoinCpu, (self.server.cpu() - begin.cpu).as_secs_f64() * 1e6 / joined);
    }

    fn storm_for(&mut self, long: Duration) -> usize {
        let begin = Instant::now();
        let mut count = 0;
        let joins = iter::from_fn(|| {
            count += 1;
            let join = Join { user: shared_user(count), channels: 0..1 };
            (begin.elapsed() < long).then_some(join)
        });
        self.client.join_and_leave(joins);
        count - 1
    }

    fn publishes(&mut self) {
        let publisher = self.publisher();
        let mut windows = [Window::new((0..IN_USE).cycle().take(32), STANDARD)];
        self.in_turn(publisher, &mut windows, 0, WARM_UP);
        let begin = self.begin();
        self.in_turn(publisher, &mut windows, 0, self.long);
        let published = (self.client.tally().answers - begin.answers) as f64;
        self.set(Metric::PublishCpu, (self.server.cpu() - begin.cpu).as_secs_f64() * 1e6 / published);
    }

    fn loaded(&mut self, channels: usize) {
        let visitor = self.member("u_visitor".to_owned(), channels..channels + 1);
        self.quiet();
        let before = self.server.rss_kib();
        for channel in 0..channels {
            self.client.write(visitor, &[wire::subscribe(channel), wire::unsubscribe(channel)].concat());
            self.answers += 2;
            self.settle();
        }
        self.quiet();
        let after = self.server.rss_kib();
        self.set(Metric::ChannelKib, (after as f64 - before as f64) / channels as f64);
    }

    fn end(mut self) -> Sample {
        let tally = self.client.tally();
        self.sample.lost = self.expected.saturating_sub(tally.messages);
        self.sample.out_of_order = tally.out_of_order;
        self.sample.complaints = std::mem::take(&mut tally.complaints);
        self.sample
    }
}
