//! How does the cost of a commit grow with the file of `chatcore-redb`: the bytes written, the CPU and the time,
//! for one message and for a batch of 64?
//!
//! Prints a table, by the number of messages in the file when a row begins: 80 bytes each, of 2,000 authors in 200
//! channels, no two neighbours in the same channel. `MESSAGES` sets the most messages (1,000,000), `SECONDS_EACH`
//! how long each row is measured (2). It does not show a file that is larger than the machine's memory.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fs;
use std::time::{Duration, Instant};

use chatcore::store::{Append, AppendBody, Directory, EventStore};
use chatcore::testkit::Random;
use chatcore::{ChannelId, ChannelName, Nonce, User};
use chatcore_redb::RedbStore;

const CHANNELS: u64 = 200;
const AUTHORS: u64 = 2_000;
const TEXT: &str = "a message of about eighty bytes, as people write them all day long in a chat: ok?";
/// The size of a batch while the file grows.
const GROW: usize = 512;

/// A source of messages in random channels.
struct Source {
    random: Random,
    channels: Vec<ChannelId>,
    authors: Vec<User>,
    made: u64,
}

impl Source {
    async fn new(store: &RedbStore) -> Self {
        let authors: Vec<User> =
            (0..AUTHORS).map(|n| User::new(&format!("u_{n}"), "somebody").unwrap()).collect();
        let mut channels = Vec::new();
        for n in 0..CHANNELS {
            let name = ChannelName::new(&format!("c{n}")).unwrap();
            channels.push(store.create_channel(&name, "", &authors[0]).await.unwrap().into_channel().id);
        }
        Self { random: Random::new(1), channels, authors, made: 0 }
    }

    fn batch(&mut self, size: usize) -> Vec<Append> {
        (0..size).map(|_| self.message()).collect()
    }

    fn message(&mut self) -> Append {
        self.made += 1;
        let nonce = Nonce::new(format!("{:016x}-{}", self.random.bits(), self.made)).unwrap();
        Append::new(
            self.channels[self.random.below(CHANNELS) as usize],
            self.authors[self.random.below(AUTHORS) as usize].clone(),
            AppendBody::message(nonce, TEXT),
        )
    }
}

async fn append(store: &RedbStore, batch: Vec<Append>) {
    for answer in store.append(batch).await {
        answer.unwrap();
    }
}

/// What this process has used: CPU of all its threads, and bytes written to the disk.
struct Used {
    cpu: Duration,
    written: u64,
}

impl Used {
    fn now() -> Self {
        let mut nanos = 0;
        for task in fs::read_dir("/proc/self/task").unwrap() {
            // The times of threads that have just ended are missing, but the writer's thread stays.
            let line = fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap_or_default();
            nanos += line.split(' ').next().and_then(|run| run.parse::<u64>().ok()).unwrap_or(0);
        }
        let io = fs::read_to_string("/proc/self/io").unwrap();
        let written = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap();
        Self { cpu: Duration::from_nanos(nanos), written: written.parse().unwrap() }
    }
}

fn option<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

#[tokio::main]
async fn main() {
    let most: u64 = option("MESSAGES").unwrap_or(1_000_000);
    let long = Duration::from_secs_f64(option("SECONDS_EACH").unwrap_or(2.0));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("growth.redb");
    let store = RedbStore::open(&path).unwrap();
    let mut source = Source::new(&store).await;
    println!(
        "| messages | file MiB | gathered | ms per commit | CPU µs per commit | KiB written per commit |"
    );
    println!("|---|---|---|---|---|---|");
    for count in [1_000, 10_000, 100_000, 1_000_000, 10_000_000].into_iter().filter(|count| *count <= most) {
        while source.made < count {
            append(&store, source.batch(GROW)).await;
        }
        for size in [1, 64] {
            let (from, mut commits) = (source.made, 0.0);
            let (began, before) = (Instant::now(), Used::now());
            while began.elapsed() < long {
                append(&store, source.batch(size)).await;
                commits += 1.0;
            }
            let (took, used) = (began.elapsed(), Used::now());
            println!(
                "| {from} | {} | {size} | {:.1} | {:.0} | {:.0} |",
                fs::metadata(&path).unwrap().len() >> 20,
                took.as_secs_f64() * 1e3 / commits,
                (used.cpu - before.cpu).as_secs_f64() * 1e6 / commits,
                (used.written - before.written) as f64 / 1024.0 / commits,
            );
        }
    }
}
