//! What does it cost that a chat runs on several nodes? How long does a message take from a publish on one node to a
//! subscriber on another, how many deliveries per second do two and three nodes make, and how many messages does
//! PostgreSQL acknowledge with a bus and without?
//!
//! Prints three tables, and fails if a reader misses a message. `SECONDS_EACH` sets how long each row is measured (3).
//! The nodes are chats in one process, each with its own pool and its own connection to the bus, next to the database
//! and to NATS on the same cores. So it does not show sockets, a network, or what more cores add.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chatcore::bus::LocalBus;
use chatcore::protocol::ChatEvent;
use chatcore::{ChannelName, Chat, Client, Identity, NewMessage, Position, User};
use chatcore_benches::limits;
use chatcore_nats::NatsBus;
use chatcore_postgres::PostgresStore;
use chatcore_tests::{Nats, Postgres};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

const TEXT: &str = "a message of about eighty bytes, as people write them all day long in a chat: ok?";
/// The channels of the load.
const CHANNELS: usize = 64;
/// The time before a measurement, which does not count.
const WARM: Duration = Duration::from_millis(500);
/// The time between two messages whose way is measured.
const PROBE: Duration = Duration::from_millis(20);
/// The messages per second of the load, on all nodes together.
const LOAD: usize = 1_000;
/// The readers of the load, as many in each channel.
const READERS: usize = 192;
/// The time after which a delivery is lost.
const HUNG: Duration = Duration::from_secs(120);
const PUBLISHERS: usize = 256;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Carrier {
    None,
    Local,
    Postgres,
    Nats,
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "no bus",
            Self::Local => "within the process",
            Self::Postgres => "PostgreSQL",
            Self::Nats => "NATS",
        })
    }
}

fn user(name: &str) -> User {
    User::new(&format!("u_{name}"), name).unwrap()
}

fn channel(n: usize) -> ChannelName {
    ChannelName::new(&format!("c{n}")).unwrap()
}

/// Starts nodes on a new database, with the channels of the load and one for the probes.
async fn nodes(server: &Postgres, carrier: Carrier, count: usize) -> Vec<Chat> {
    let url = server.database().await.url();
    let local = Arc::new(LocalBus::new());
    let mut nodes = Vec::new();
    for _ in 0..count {
        let builder = PostgresStore::builder(&url);
        let bus = match carrier {
            Carrier::Postgres => Some(builder.bus().await.unwrap()),
            _ => None,
        };
        let chat = Chat::builder(builder.connect().await.unwrap()).limits(limits());
        let chat = match (carrier, bus) {
            (Carrier::Local, _) => chat.bus(Arc::clone(&local)),
            (Carrier::Nats, _) => {
                let nats = Nats::url_at(Nats::shared().await.addr());
                // A name space per database, since the server is shared.
                let space = url.rsplit('/').next().unwrap();
                chat.bus(NatsBus::builder(&nats).namespace(space).connect().await.unwrap())
            }
            (_, Some(bus)) => chat.bus(bus),
            _ => chat,
        };
        nodes.push(chat.build());
    }
    for n in 0..=CHANNELS {
        nodes[0].ensure_channel(&channel(n), "", &user("host")).await.unwrap();
    }
    nodes
}

async fn reader(node: &Chat, name: &str, n: usize) -> Client {
    let client = node.connect(Identity::new(user(name))).unwrap();
    client.subscribe(&format!("c{n}")).await.unwrap();
    client
}

/// Publishes at a steady rate, on all nodes and in all channels of the load, until the set is dropped.
fn load(nodes: &[Chat]) -> JoinSet<()> {
    let mut load = JoinSet::new();
    for n in 0..CHANNELS {
        let node = nodes[n % nodes.len()].clone();
        load.spawn(async move {
            let mut ticks = interval(Duration::from_secs_f64(CHANNELS as f64 / LOAD as f64));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                node.publish(&user("load"), &channel(n), NewMessage::text(TEXT)).await.unwrap();
            }
        });
    }
    load
}

/// Measures the time from before a publish on the first node to its event at a subscriber on the last one, sorted.
async fn latency(nodes: &[Chat], long: Duration) -> Vec<Duration> {
    let began = Instant::now();
    let probes = usize::try_from(long.as_millis() / PROBE.as_millis()).unwrap();
    let mut client = reader(nodes.last().unwrap(), "reader", CHANNELS).await;
    let reading = tokio::spawn(async move {
        let mut waits = Vec::with_capacity(probes);
        while waits.len() < probes {
            let event = client.next_event().await.expect("the reader stays connected");
            if let ChatEvent::Message { message, .. } = event {
                let sent = Duration::from_nanos(message.text.parse().unwrap());
                waits.push(began.elapsed().saturating_sub(sent));
            }
        }
        waits
    });
    let mut ticks = interval(PROBE);
    for _ in 0..probes {
        ticks.tick().await;
        let text = began.elapsed().as_nanos().to_string();
        nodes[0].publish(&user("probe"), &channel(CHANNELS), NewMessage::text(text)).await.unwrap();
    }
    let mut waits = reading.await.unwrap();
    waits.sort_unstable();
    waits
}

fn millis(sorted: &[Duration], percent: usize) -> f64 {
    sorted[(sorted.len() - 1) * percent / 100].as_secs_f64() * 1e3
}

/// What publishers and readers have counted.
#[derive(Default)]
struct Counts {
    /// The acknowledged messages.
    acked: AtomicU64,
    /// The messages that readers got as events, live or after they had lagged.
    delivered: AtomicU64,
    /// The messages that readers did not get as events, since they were too far behind: they got the newest ones.
    skipped: AtomicU64,
    is_over: AtomicBool,
}

/// What a run of publishers and readers has shown.
struct Throughput {
    acked_per_second: f64,
    delivered_per_second: f64,
    skipped: u64,
    /// The time from the last acknowledgement until every reader was level.
    behind: Duration,
}

/// Reads a channel for ever from a position, as a client does that comes back after it has lagged.
async fn read(mut client: Client, n: usize, mut at: Position, counts: Arc<Counts>) {
    let name = channel(n).to_string();
    loop {
        let event = client.next_event().await.expect("the reader stays connected");
        if matches!(event, ChatEvent::Lagged { .. }) {
            let start = client.resume(&name, at.clone()).await.unwrap();
            if start.start.is_snapshot() {
                counts.skipped.fetch_add(start.head - at.seq, Ordering::Relaxed);
                at = start.position();
            }
            for event in start.start.events() {
                take(event, &mut at, &counts);
            }
        } else {
            take(&event, &mut at, &counts);
        }
    }
}

fn take(event: &ChatEvent, at: &mut Position, counts: &Counts) {
    if let Some((_, seq)) = event.log_position() {
        *at = Position::new(at.epoch.clone(), seq).with_check(event.check());
        counts.delivered.fetch_add(1, Ordering::Relaxed);
    }
}

/// Counts what publishers on all nodes get acknowledged per second, each with one message in flight, and what readers
/// on all nodes are delivered. Then waits until every reader has everything.
async fn throughput(nodes: &[Chat], readers: usize, long: Duration) -> Throughput {
    let counts = Arc::new(Counts::default());
    let mut reading = JoinSet::new();
    for n in 0..readers {
        let client = nodes[n % nodes.len()].connect(Identity::new(user(&format!("r{n}")))).unwrap();
        let start = client.subscribe(channel(n % CHANNELS).as_str()).await.unwrap();
        reading.spawn(read(client, n % CHANNELS, start.position(), Arc::clone(&counts)));
    }
    let mut writing = JoinSet::new();
    for n in 0..PUBLISHERS {
        // The channel of a publisher does not depend on its node.
        let (node, channel) = (nodes[n / CHANNELS % nodes.len()].clone(), channel(n % CHANNELS));
        let counts = Arc::clone(&counts);
        writing.spawn(async move {
            let author = user(&format!("p{n}"));
            while !counts.is_over.load(Ordering::Relaxed) {
                node.publish(&author, &channel, NewMessage::text(TEXT)).await.unwrap();
                counts.acked.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    sleep(WARM).await;
    let now = || [&counts.acked, &counts.delivered].map(|count| count.load(Ordering::Relaxed));
    let (began, before) = (Instant::now(), now());
    sleep(long).await;
    let (seconds, after) = (began.elapsed().as_secs_f64(), now());
    let [acked, delivered] = [0, 1].map(|n| (after[n] - before[n]) as f64 / seconds);
    counts.is_over.store(true, Ordering::Relaxed);
    while let Some(written) = writing.join_next().await {
        written.unwrap();
    }
    let stopped = Instant::now();
    // Each channel has as many readers.
    let expected = counts.acked.load(Ordering::Relaxed) * (readers / CHANNELS) as u64;
    let got = || counts.delivered.load(Ordering::Relaxed) + counts.skipped.load(Ordering::Relaxed);
    while got() < expected {
        assert!(stopped.elapsed() < HUNG, "{} of {expected} deliveries never came", expected - got());
        sleep(Duration::from_millis(1)).await;
    }
    let behind = stopped.elapsed();
    Throughput {
        acked_per_second: acked,
        delivered_per_second: delivered,
        skipped: counts.skipped.load(Ordering::Relaxed),
        behind,
    }
}

#[tokio::main]
async fn main() {
    let seconds = std::env::var("SECONDS_EACH").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let long = Duration::from_secs(seconds);
    let server = Postgres::start().await;

    println!("| from a publish to a subscriber | load | p50 ms | p99 ms |");
    println!("|---|---|---|---|");
    for (carrier, count) in
        [(Carrier::None, 1), (Carrier::Local, 2), (Carrier::Postgres, 2), (Carrier::Nats, 2)]
    {
        let place = if count == 1 { "on the same node" } else { "on another node" };
        for is_loaded in [false, true] {
            let nodes = nodes(&server, carrier, count).await;
            let running = is_loaded.then(|| load(&nodes));
            sleep(WARM).await;
            let waits = latency(&nodes, long).await;
            drop(running);
            let load = if is_loaded { format!("{LOAD} messages per second") } else { "idle".to_owned() };
            let (p50, p99) = (millis(&waits, 50), millis(&waits, 99));
            println!("| {place}, {carrier} | {load} | {p50:.1} | {p99:.1} |");
        }
    }

    let each = READERS / CHANNELS;
    println!(
        "\n| nodes | bus | acked per second | deliveries per second, {each} for each message | skipped | level after ms |"
    );
    println!("|---|---|---|---|---|---|");
    for (carrier, count) in [
        (Carrier::None, 1),
        (Carrier::Postgres, 1),
        (Carrier::Postgres, 2),
        (Carrier::Postgres, 3),
        (Carrier::Nats, 2),
        (Carrier::Nats, 3),
    ] {
        let nodes = nodes(&server, carrier, count).await;
        let Throughput { acked_per_second, delivered_per_second, skipped, behind } =
            throughput(&nodes, READERS, long).await;
        let behind = behind.as_secs_f64() * 1e3;
        println!(
            "| {count} | {carrier} | {acked_per_second:.0} | {delivered_per_second:.0} | {skipped} | {behind:.0} |"
        );
    }

    println!("\n| nodes, without readers | bus | acked per second | relative to no bus |");
    println!("|---|---|---|---|");
    let mut without = None;
    for carrier in [Carrier::None, Carrier::Postgres, Carrier::Nats] {
        let acked = throughput(&nodes(&server, carrier, 2).await, 0, long).await.acked_per_second;
        let base = *without.get_or_insert(acked);
        println!("| 2 | {carrier} | {acked:.0} | {:.2} |", acked / base);
    }
}
