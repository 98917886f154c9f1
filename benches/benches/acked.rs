//! How many messages per second are acknowledged as durable, and how long does each wait? On PostgreSQL and on
//! redb, next to an insert of the same row by `pgbench`, and next to one transaction per message, on the same
//! server in the same run.
//!
//! Then: what do the trigger that notes news for consumers, and the index of events by author, cost a publish? The same
//! load without each, in turn with the whole.
//!
//! Prints tables. `SECONDS_EACH` sets how long each row is measured (3), and `ROWS` which rows: those whose `what
//! | publishers | channels` contains it. It does not show a network, nor a database server on a separate machine.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fmt;
use std::process::Command;
use std::time::{Duration, Instant};

use chatcore::protocol::Published;
use chatcore::store::{Append, AppendBody, Directory, EventStore, Store};
use chatcore::{Chat, Client, Identity, Limits, Nonce, User, protocol};
use chatcore_postgres::PostgresStore;
use chatcore_redb::RedbStore;
use chatcore_tests::{Database, Postgres};
use tokio::task::JoinHandle;

const SINGLY: &str = "a transaction per message, 16 connections";
const ON_POSTGRES: &str = "chatcore on PostgreSQL";
/// What a publish does for something else, and how to leave it out.
const PARTS: [(&str, &str); 3] = [
    ("without the consumers' trigger", "DROP TRIGGER chat_note_news ON chatcore.channel"),
    ("without the authors' index", "DROP INDEX chatcore.event_author"),
    ("without either", "DROP TRIGGER chat_note_news ON chatcore.channel; DROP INDEX chatcore.event_author"),
];
const PARTS_ROW: &str = "parts of a publish";
const PARTS_LOAD: (usize, usize) = (512, 64);
const ROUNDS: usize = 5;
const ON_REDB: &str = "chatcore on redb";
const PGBENCH_LOAD: (usize, usize) = (64, 64);
const TEXT: &str = "a message of about eighty bytes, as people write them all day long in a chat: ok?";

/// The results of one row of the table.
struct Row {
    what: &'static str,
    publishers: usize,
    channels: usize,
    per_second: f64,
    /// The sorted waiting times; empty if another program measured.
    waits: Vec<Duration>,
}

impl Row {
    fn new(what: &'static str, load: (usize, usize), waits: Vec<Duration>, long: Duration) -> Self {
        let per_second = waits.len() as f64 / long.as_secs_f64();
        Self { what, publishers: load.0, channels: load.1, per_second, waits }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, publishers, channels, per_second, waits } = self;
        write!(f, "| {what} | {publishers} | {channels} | {per_second:.0} |")?;
        for percent in [50, 99] {
            match waits.get(waits.len().saturating_sub(1) * percent / 100) {
                Some(wait) => write!(f, " {:.1} |", wait.as_secs_f64() * 1e3)?,
                None => write!(f, " |")?,
            }
        }
        Ok(())
    }
}

/// Runs publishers that publish the next message as soon as the last one is acknowledged.
async fn measure(
    what: &'static str,
    store: impl Store,
    (publishers, channels): (usize, usize),
    long: Duration,
) -> Row {
    let mut limits = Limits::default();
    limits.commands_per_second = 1_000_000;
    limits.command_burst = u32::MAX;
    limits.bytes_per_second = u64::MAX;
    limits.byte_burst = u64::MAX;
    limits.message_bytes_per_day = u64::MAX;
    limits.appends_per_user = usize::MAX;
    limits.subscriptions_per_user = usize::MAX;
    let chat = Chat::builder(store).limits(limits).build();
    let host = User::new("u_host", "host").unwrap();
    for n in 0..channels {
        let name = chatcore::ChannelName::new(&format!("c{n}")).unwrap();
        chat.ensure_channel(&name, "", &host).await.unwrap();
    }
    let publishing = (0..publishers).map(|n| {
        let user = User::new(&format!("u_{n}"), "publisher").unwrap();
        let client: Client = chat.connect(Identity::new(user)).unwrap();
        let channel = format!("c{}", n % channels);
        tokio::spawn(async move {
            let mut waits = Waits::new(long);
            for sent in 0.. {
                if !waits.go_on() {
                    break;
                }
                client.call::<Published>(publish(&channel, format!("{n}-{sent}"))).await.unwrap();
                waits.answered();
            }
            waits.waits
        })
    });
    let waits = join(publishing.collect()).await;
    Row::new(what, (publishers, channels), waits, long)
}

/// The same with a transaction per message, on as many connections as the store has writers.
async fn measure_singly(store: PostgresStore, (publishers, channels): (usize, usize), long: Duration) -> Row {
    let host = User::new("u_host", "host").unwrap();
    let mut ids = Vec::new();
    for n in 0..channels {
        let name = chatcore::ChannelName::new(&format!("c{n}")).unwrap();
        ids.push(store.create_channel(&name, "", &host).await.unwrap().into_channel().id);
    }
    let publishing = (0..publishers).map(|n| {
        let author = User::new(&format!("u_{n}"), "publisher").unwrap();
        let (store, channel) = (store.clone(), ids[n % channels]);
        tokio::spawn(async move {
            let mut waits = Waits::new(long);
            while waits.go_on() {
                let (nonce, text) = (Nonce::random(), TEXT.into());
                let body = AppendBody::Message {
                    nonce,
                    text,
                    reply_to: None,
                    attachments: Vec::new(),
                    extras: None,
                };
                let append = Append::new(channel, author.clone(), body);
                store.append(vec![append]).await.remove(0).unwrap();
                waits.answered();
            }
            waits.waits
        })
    });
    let waits = join(publishing.collect()).await;
    Row::new(SINGLY, (publishers, channels), waits, long)
}

/// Returns the waiting times of all messages of all publishers, sorted.
async fn join(publishers: Vec<JoinHandle<Vec<Duration>>>) -> Vec<Duration> {
    let mut all = Vec::new();
    for publisher in publishers {
        all.extend(publisher.await.unwrap());
    }
    all.sort_unstable();
    all
}

/// The waiting times of one publisher.
struct Waits {
    warm_at: Instant,
    end_at: Instant,
    began: Instant,
    waits: Vec<Duration>,
}

impl Waits {
    fn new(long: Duration) -> Self {
        let warm_at = Instant::now() + Duration::from_millis(500);
        Self { warm_at, end_at: warm_at + long, began: warm_at, waits: Vec::new() }
    }

    /// Begins the next message, unless the time is up.
    fn go_on(&mut self) -> bool {
        self.began = Instant::now();
        self.began < self.end_at
    }

    fn answered(&mut self) {
        if self.began >= self.warm_at {
            self.waits.push(self.began.elapsed());
        }
    }
}

fn publish(channel: &str, nonce: String) -> protocol::Command {
    protocol::Command::Publish {
        channel: channel.to_owned(),
        nonce,
        text: TEXT.to_owned(),
        attachments: Vec::new(),
        reply_to: None,
        mentions: Vec::new(),
        data: None,
    }
}

/// The protocol between `pgbench` and the server.
#[derive(Clone, Copy)]
enum Protocol {
    /// The default.
    Simple,
    Prepared,
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Self::Simple => "pgbench, a row per transaction",
            Self::Prepared => "pgbench, the same, prepared",
        }
    }

    fn option(self) -> &'static str {
        match self {
            Self::Simple => "--protocol=simple",
            Self::Prepared => "--protocol=prepared",
        }
    }
}

/// Inserts the row that a publish writes, one per transaction, from 64 clients of `pgbench`.
///
/// Prepared statements save the server the parsing and planning of each row that the simple protocol, the default
/// of `pgbench`, requires.
async fn pgbench(server: &Postgres, protocol: Protocol, long: Duration) -> Row {
    let database = server.database().await;
    // The store creates its tables: the row goes into a table with the same columns and indexes.
    drop(PostgresStore::connect(&database.url()).await.unwrap());
    let table = "CREATE TABLE single (LIKE chatcore.event INCLUDING ALL)";
    psql(server, &database, table);
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("insert.sql");
    let (publishers, channels) = PGBENCH_LOAD;
    let insert = format!(
        "\\set channel random(1, {channels})\n\\set seq random(1, 9000000000000000000)\n\
         INSERT INTO single (channel, seq, at, kind, author, author_name, nonce, digest, key, text, ordinal) \
         VALUES (:channel, :seq, 1700000000000, 0, 'u_1', 'publisher', :seq, md5(:seq::text)::uuid, :seq, '{TEXT}', 1);\n"
    );
    std::fs::write(&script, insert).unwrap();
    let mut command = Command::new(server.program("pgbench"));
    command.args(["--no-vacuum", "--jobs=2", protocol.option(), &format!("--client={publishers}")]);
    command.arg(format!("--time={}", long.as_secs().max(1))).arg("--file").arg(&script).arg(database.url());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let tps = said.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    let per_second = tps.unwrap_or_else(|| panic!("{said}{}", String::from_utf8_lossy(&output.stderr)));
    Row { what: protocol.name(), publishers, channels, per_second, waits: Vec::new() }
}

/// Runs SQL, and returns what it prints.
fn psql(server: &Postgres, database: &Database, sql: &str) -> String {
    let output = Command::new(server.program("psql")).args(["-qAtc", sql, &database.url()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the processor time of the server's processes that run now.
fn cpu(server: &Postgres, database: &Database) -> Duration {
    let pids = psql(server, database, "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()");
    let times = pids.lines().filter_map(|pid| std::fs::read_to_string(format!("/proc/{pid}/schedstat")).ok());
    Duration::from_nanos(times.map(|time| time.split(' ').next().unwrap().parse::<u64>().unwrap()).sum())
}

/// Measures a publish as it is and without its [`PARTS`], in turn, and prints the median of each and of its ratio to the
/// whole in the same round.
async fn measure_parts(server: &Postgres, long: Duration) {
    let variants: Vec<(&str, &str)> = [("as it is", "")].into_iter().chain(PARTS).collect();
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let mut round = Vec::new();
        for (_, left_out) in &variants {
            let database = server.database().await;
            let store = PostgresStore::connect(&database.url()).await.unwrap();
            psql(server, &database, left_out);
            let before = cpu(server, &database);
            // A clone keeps the connections, and so the server's processes.
            let row = measure(ON_POSTGRES, store.clone(), PARTS_LOAD, long).await;
            let took = cpu(server, &database).saturating_sub(before);
            let stored: f64 =
                psql(server, &database, "SELECT count(*) FROM chatcore.event").trim().parse().unwrap();
            round.push((row.per_second, took.as_secs_f64() * 1e6 / stored));
        }
        rounds.push(round);
    }
    println!(
        "\n| a publish on PostgreSQL | acked per second | to the whole | database CPU µs | to the whole |"
    );
    println!("|---|---|---|---|---|");
    for (n, (what, _)) in variants.iter().enumerate() {
        println!(
            "| {what} | {:.0} | {:.2} | {:.1} | {:.2} |",
            median(rounds.iter().map(|round| round[n].0)),
            median(rounds.iter().map(|round| round[n].0 / round[0].0)),
            median(rounds.iter().map(|round| round[n].1)),
            median(rounds.iter().map(|round| round[n].1 / round[0].1)),
        );
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Returns whether a row is selected.
fn wanted(what: &str, (publishers, channels): (usize, usize)) -> bool {
    let asked = std::env::var("ROWS").unwrap_or_default();
    format!("{what} | {publishers} | {channels}").contains(&asked)
}

#[tokio::main]
async fn main() {
    let seconds = std::env::var("SECONDS_EACH").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let long = Duration::from_secs(seconds);
    let server = Postgres::start().await;
    let folder = tempfile::tempdir().unwrap();
    println!("| what | publishers | channels | acked per second | p50 ms | p99 ms |");
    println!("|---|---|---|---|---|---|");
    for protocol in [Protocol::Simple, Protocol::Prepared] {
        if wanted(protocol.name(), PGBENCH_LOAD) {
            println!("{}", pgbench(&server, protocol, long).await);
        }
    }
    for load in [(512, 64), (512, 1)] {
        if wanted(SINGLY, load) {
            let url = server.database().await.url();
            let singly = PostgresStore::builder(&url).writers(16).batch(1).connect().await.unwrap();
            println!("{}", measure_singly(singly, load, long).await);
        }
    }
    const LOADS: [(usize, usize); 5] = [(1, 1), (64, 1), (64, 64), (512, 1), (512, 64)];
    for load in LOADS {
        if wanted(ON_POSTGRES, load) {
            let store = PostgresStore::connect(&server.database().await.url()).await.unwrap();
            println!("{}", measure(ON_POSTGRES, store, load, long).await);
        }
    }
    for (n, load) in LOADS.into_iter().enumerate() {
        if wanted(ON_REDB, load) {
            let store = RedbStore::open(folder.path().join(format!("{n}.redb"))).unwrap();
            println!("{}", measure(ON_REDB, store, load, long).await);
        }
    }
    if wanted(PARTS_ROW, PARTS_LOAD) {
        measure_parts(&server, long).await;
    }
}
