//! Drives a load against one server, and measures it.

use std::iter;
use std::time::{Duration, Instant};

use crate::client::{Client, Join, Tally};
use crate::process::{Cores, ServerProcess};
use crate::report::{Metric, Sample};
use crate::servers::Kind;
use crate::wire::{self, STANDARD, Window};

/// The users who share the connections where presence is not measured. Each stays online through a connection that
/// is not measured, so that no presence event is sent.
const USERS: usize = 16;

/// The time at the start of each load that is not measured.
const WARM_UP: Duration = Duration::from_millis(500);

/// After this time without data, everything counts as done.
const QUIET: Duration = Duration::from_millis(300);

/// The number of messages in the snapshot of a full ring.
const HISTORY: usize = 100;

/// The number of channels that are published to while others only exist.
const IN_USE: usize = 10;

/// The common settings of all measurements.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) cores: Option<Cores>,
    pub(crate) long: Duration,
}

/// A measurement in progress.
pub(crate) struct Run {
    server: ServerProcess,
    client: Client,
    long: Duration,
    nonce: u64,
    /// The deliveries and responses expected so far.
    expected: u64,
    answers: u64,
    sample: Sample,
}

/// The beginning of a measured period.
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
    /// Starts a server with this number of channels.
    pub(crate) fn start(kind: Kind, channels: usize, setup: &Setup) -> Self {
        let server = ServerProcess::start(kind, channels, setup.cores.as_ref());
        let client = Client::new(server.addr);
        let sample = Sample::default();
        Self { server, client, long: setup.long, nonce: 0, expected: 0, answers: 0, sample }
    }

    /// Opens a connection without subscriptions.
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

    /// Publishes a window of messages with `members` deliveries each.
    fn publish(&mut self, publisher: usize, window: &mut Window, members: usize) {
        self.expected += (window.len() * members) as u64;
        self.answers += window.len() as u64;
        self.client.tally().answered.clear();
        self.client.write(publisher, window.renew(&mut self.nonce));
    }

    /// Reads until everything expected has arrived; returns false on a timeout.
    fn settle(&mut self) -> bool {
        let (expected, answers) = (self.expected, self.answers);
        self.client.pump_until(|tally| tally.messages >= expected && tally.answers >= answers)
    }

    /// Reads until no more data arrives.
    fn quiet(&mut self) {
        while self.client.pump(QUIET) {}
        self.client.tally().answered.clear();
        self.answers = self.client.tally().answers;
    }

    /// Publishes the windows in turn for a while, each after the last has arrived everywhere.
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

    pub(crate) fn windows(&mut self, members: usize, window: usize, sizes: &[usize], stalled: usize) {
        self.members(members);
        for number in self.members(stalled) {
            self.client.stall(number);
        }
        let publisher = self.publisher();
        let window = Window::new(iter::repeat_n(0, window), sizes);
        self.measure_in_turn(publisher, &mut [window], members);
    }

    pub(crate) fn follower(&mut self, channels: usize, window: usize) {
        self.member("u_follower".to_owned(), 0..channels);
        let publisher = self.publisher();
        let mut windows: Vec<Window> = (0..channels)
            .step_by(window)
            .map(|first| Window::new(first..(first + window).min(channels), STANDARD))
            .collect();
        self.measure_in_turn(publisher, &mut windows, 1);
    }

    /// Joins the members of each channel, each as a separate user, and makes a window of one message for each.
    fn join_groups(&mut self, channels: usize, members: usize) -> Vec<(usize, Window)> {
        let joins = (0..channels * members).map(|n| {
            let channel = n % channels;
            Join { user: format!("u_{n}"), channels: channel..channel + 1 }
        });
        let numbers = self.client.join(joins);
        self.quiet();
        // A connection's number is its index in the joins, since none has left.
        let mut numbers = numbers;
        numbers.sort_unstable();
        numbers
            .into_iter()
            .map(|number| (number, Window::new(iter::once(number % channels), STANDARD)))
            .collect()
    }

    pub(crate) fn groups(&mut self, channels: usize, members: usize) {
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

    /// Lets every member publish again as soon as the last message is acknowledged.
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

    pub(crate) fn paced_channel(&mut self, members: usize, per_second: usize) {
        self.members(members);
        let publisher = self.publisher();
        self.quiet();
        let window = Window::new(iter::once(0), STANDARD);
        self.paced(&mut [(publisher, window)], 1, members, per_second);
    }

    pub(crate) fn paced_groups(&mut self, channels: usize, members: usize, per_second: usize) {
        let mut publishers = self.join_groups(channels, members);
        self.paced(&mut publishers, channels, members, per_second);
    }

    /// Lets the publishers publish in turn, at a steady total rate. The `n`th of them is in channel `n %
    /// channels`.
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

    pub(crate) fn idle(&mut self, channels: usize, members: usize) {
        // The one-time costs of the first connection are paid before the others connect.
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

    pub(crate) fn storm(&mut self) {
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

    pub(crate) fn publishes(&mut self) {
        let publisher = self.publisher();
        let mut windows = [Window::new((0..IN_USE).cycle().take(32), STANDARD)];
        self.in_turn(publisher, &mut windows, 0, WARM_UP);
        let begin = self.begin();
        self.in_turn(publisher, &mut windows, 0, self.long);
        let published = (self.client.tally().answers - begin.answers) as f64;
        self.set(Metric::PublishCpu, (self.server.cpu() - begin.cpu).as_secs_f64() * 1e6 / published);
    }

    pub(crate) fn loaded(&mut self, channels: usize) {
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

    pub(crate) fn end(mut self) -> Sample {
        let tally = self.client.tally();
        self.sample.lost = self.expected.saturating_sub(tally.messages);
        self.sample.out_of_order = tally.out_of_order;
        self.sample.complaints = std::mem::take(&mut tally.complaints);
        self.sample
    }
}
