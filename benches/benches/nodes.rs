//! What does it cost that a chat runs on several nodes? How long does a message take from a publish on one node to a
//! subscriber on another, how many deliveries per second do two and three nodes make, and how many messages does
//! PostgreSQL acknowledge with a bus and without?
//!
//! Prints three tables. `SECONDS_EACH` sets how long each row is measured (3). The nodes are chats in one process, each
//! with its own pool and its own connection to the bus, next to the database and to NATS on the same cores. So it does
//! not show sockets, a network, or what more cores add.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chatcore::bus::LocalBus;
use chatcore::protocol::ChatEvent;
use chatcore::{ChannelName, Chat, Client, Identity, NewMessage, User};
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
const READERS: usize = 192;
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

/// Counts what publishers on all nodes get acknowledged per second, each with one message in flight, and what readers
/// on all nodes are delivered. Returns both.
async fn throughput(nodes: &[Chat], readers: usize, long: Duration) -> (f64, f64) {
    let (acked, delivered) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let counts = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for n in 0..readers {
        let mut client = reader(&nodes[n % nodes.len()], &format!("r{n}"), n % CHANNELS).await;
        let (delivered, counts) = (Arc::clone(&delivered), Arc::clone(&counts));
        tasks.spawn(async move {
            while let Some(event) = client.next_event().await {
                let is_delivery = matches!(event, ChatEvent::Message { .. });
                delivered
                    .fetch_add(u64::from(is_delivery && counts.load(Ordering::Relaxed)), Ordering::Relaxed);
            }
        });
    }
    for n in 0..PUBLISHERS {
        // The channel of a publisher does not depend on its node.
        let (node, channel) = (nodes[n / CHANNELS % nodes.len()].clone(), channel(n % CHANNELS));
        let (acked, counts) = (Arc::clone(&acked), Arc::clone(&counts));
        tasks.spawn(async move {
            let author = user(&format!("p{n}"));
            loop {
                node.publish(&author, &channel, NewMessage::text(TEXT)).await.unwrap();
                acked.fetch_add(u64::from(counts.load(Ordering::Relaxed)), Ordering::Relaxed);
            }
        });
    }
    sleep(WARM).await;
    counts.store(true, Ordering::Relaxed);
    let began = Instant::now();
    sleep(long).await;
    counts.store(false, Ordering::Relaxed);
    let seconds = began.elapsed().as_secs_f64();
    let per_second = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64 / seconds;
    (per_second(&acked), per_second(&delivered))
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

    println!("\n| nodes | bus | acked per second | deliveries per second to {READERS} readers |");
    println!("|---|---|---|---|");
    for (carrier, count) in [
        (Carrier::None, 1),
        (Carrier::Postgres, 1),
        (Carrier::Postgres, 2),
        (Carrier::Postgres, 3),
        (Carrier::Nats, 2),
        (Carrier::Nats, 3),
    ] {
        let (acked, delivered) = throughput(&nodes(&server, carrier, count).await, READERS, long).await;
        println!("| {count} | {carrier} | {acked:.0} | {delivered:.0} |");
    }

    println!("\n| nodes, without readers | bus | acked per second | relative to no bus |");
    println!("|---|---|---|---|");
    let mut without = None;
    for carrier in [Carrier::None, Carrier::Postgres, Carrier::Nats] {
        let (acked, _) = throughput(&nodes(&server, carrier, 2).await, 0, long).await;
        let base = *without.get_or_insert(acked);
        println!("| 2 | {carrier} | {acked:.0} | {:.2} |", acked / base);
    }
}
