//! PostgreSQL crashes, or the network to it fails, under load: nothing acknowledged is lost or duplicated, every
//! publish is answered within its bound, and the data in memory is still served.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use chatcore_postgres::PostgresStore;
use chatcore_tests::load::{Acked, assert_kept, write};
use chatcore_tests::{Client, Database, Postgres, Proxy, Server, Traffic, must};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const CRASHES: usize = 5;
const WRITERS: usize = 4;
/// The minimum time during which the network discards everything.
const BLACK_HOLE: Duration = Duration::from_secs(10);
/// The number of other messages between two disturbances.
const BETWEEN: u64 = 100;

/// The timeouts of a store and of the engine above it.
#[derive(Clone, Copy)]
struct Times {
    connect: Duration,
    answer: Duration,
    retry_for: Duration,
    store: Duration,
}

/// For tests with a dead network: the sooner it is noticed, the sooner the test is over.
const SHORT: Times = Times {
    connect: Duration::from_millis(500),
    answer: Duration::from_secs(1),
    retry_for: Duration::from_secs(3),
    store: Duration::from_secs(5),
};

/// For tests with a slow network: the defaults.
const DEFAULT: Times = Times {
    connect: Duration::from_secs(3),
    answer: Duration::from_secs(5),
    retry_for: Duration::from_secs(10),
    store: Duration::from_secs(15),
};

impl Times {
    /// The time within which every command is answered: promise 8.
    fn bound(self) -> Duration {
        self.store * 2
    }
}

/// A server over a database behind a proxy, and users who publish to it.
struct Loaded {
    proxy: Proxy,
    server: Server,
    watcher: Client,
    times: Times,
    stop: watch::Sender<bool>,
    writers: Vec<JoinHandle<Acked>>,
    acked: Acked,
}

impl Loaded {
    async fn start(database: &Database, times: Times) -> Self {
        let proxy = Proxy::start(database.server().addr()).await.unwrap();
        let server = serve(&database.url_at(proxy.addr()), times).await;
        let mut watcher = server.member("writer", "general").await;
        let (stop, stopped) = watch::channel(false);
        let mut writers = Vec::new();
        for n in 0..WRITERS {
            let client = server.client("writer").await;
            writers.push(tokio::spawn(write(client, format!("w{n}"), times.bound(), stopped.clone())));
        }
        grow(&mut watcher).await;
        Self { proxy, server, watcher, times, stop, writers, acked: Acked::new() }
    }

    /// Publishes within the bound, and returns the response.
    async fn publish(&mut self, nonce: &str) -> Value {
        let publish = json!({"type": "publish", "channel": "general", "nonce": nonce, "text": nonce});
        let id = self.watcher.tell(publish).await;
        let answer = timeout(self.times.bound(), self.watcher.answer(id)).await.expect("an answer in time");
        if answer["type"] == "ok" {
            self.acked.push((nonce.to_owned(), answer["seq"].as_u64().unwrap()));
        }
        answer
    }

    /// Ends the load, and checks the log.
    async fn assert_kept(mut self) {
        grow(&mut self.watcher).await;
        self.stop.send_replace(true);
        for writer in self.writers {
            self.acked.extend(must("a writer ends", writer).await.unwrap());
        }
        let mut reader = self.server.client("writer").await;
        assert_kept(&mut reader, self.acked).await;
    }
}

async fn serve(url: &str, times: Times) -> Server {
    let store = PostgresStore::builder(url)
        .connect_timeout(times.connect)
        .answer_timeout(times.answer)
        .lock_timeout(times.answer)
        .retry_for(times.retry_for)
        .connect()
        .await
        .unwrap();
    Server::over(store, tempfile::tempdir().unwrap(), |setup| {
        setup.limits.store_timeout = times.store;
        setup.limits.commands_per_second = 1_000_000;
        setup.limits.command_burst = 1_000_000;
    })
    .await
}

/// Waits until others have published more messages.
async fn grow(watcher: &mut Client) {
    let seq = async |watcher: &mut Client| watcher.log_event().await["seq"].as_u64().unwrap();
    let until = seq(watcher).await + BETWEEN;
    while seq(watcher).await < until {}
}

fn query(database: &Database, sql: &str) -> String {
    let psql = database.server().program("psql");
    let done = Command::new(psql).args(["-qAt", "-c", sql, &database.url()]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn a_killed_postgres_restarts_with_its_data() {
    let postgres = Postgres::start().await;
    let (one, other) = (postgres.database().await, postgres.database().await);
    assert_ne!(one.url(), other.url());
    query(&one, "create table kept (n int); insert into kept values (7)");
    postgres.kill().await;
    assert!(std::net::TcpStream::connect(postgres.addr()).is_err(), "nobody listens");
    postgres.restart().await;
    assert_eq!(query(&one, "select n from kept"), "7");
    assert_eq!(query(&one, "show fsync"), "on");
}

#[tokio::test]
async fn a_test_postgres_ends_with_its_killed_test() {
    const STARTS_ONE: &str = "CHATCORE_TEST_STARTS_ONE";
    if std::env::var_os(STARTS_ONE).is_some() {
        let postgres = Postgres::start().await;
        println!("\n{}", postgres.addr());
        return std::future::pending().await;
    }
    let name = "postgres::a_test_postgres_ends_with_its_killed_test";
    let mut starter = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(STARTS_ONE, "1")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(starter.stdout.take().unwrap()).lines();
    let addr = must("a server starts", async {
        loop {
            let line = lines.next_line().await.unwrap().expect("the process runs");
            if let Ok(addr) = line.parse::<SocketAddr>() {
                return addr;
            }
        }
    });
    let mut connection = TcpStream::connect(addr.await).await.unwrap();
    // A client that has not sent its startup message would delay the shutdown: PostgreSQL waits for it.
    connection.write_all(b"\0\0\0\x17\0\x03\0\0user\0postgres\0\0").await.unwrap();
    must("the server lets in", connection.read_exact(&mut [0; 9])).await.unwrap();
    starter.kill().await.unwrap();
    // The end of the stream, or a reset.
    let _ = must("the server ends", connection.read_to_end(&mut Vec::new())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_crashed_five_times_loses_no_message() {
    let postgres = Postgres::start().await;
    let mut loaded = Loaded::start(&postgres.database().await, DEFAULT).await;
    for round in 0..CRASHES {
        postgres.kill().await;
        postgres.restart().await;
        // Published on the connections that the crash has broken.
        assert_eq!(loaded.publish(&format!("after crash {round}")).await["type"], "ok");
        grow(&mut loaded.watcher).await;
    }
    loaded.assert_kept().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_cut_off_from_its_database_serves_reads() {
    let database = Postgres::shared().await.database().await;
    let mut loaded = Loaded::start(&database, SHORT).await;
    let mut reader = loaded.server.client("reader").await;
    loaded.proxy.set(Traffic::Cut);
    let refused = loaded.publish("refused").await;
    assert_eq!((&refused["code"], &refused["retryable"]), (&json!("unavailable"), &json!(true)), "{refused}");
    let opened = reader.ok(json!({"type": "subscribe", "channel": "general", "limit": 10})).await;
    assert_eq!(opened["messages"].as_array().unwrap().len(), 10, "the ring goes on");
    let after = json!({"epoch": opened["epoch"], "seq": opened["head"].as_u64().unwrap() - 5});
    let resumed = reader.ok(json!({"type": "subscribe", "channel": "general", "after": after})).await;
    assert_eq!((&resumed["reset"], resumed["events"].as_array().unwrap().len()), (&json!(false), 5));
    loaded.proxy.set(Traffic::Pass);
    loaded.assert_kept().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_two_seconds_late_are_waited_for() {
    let database = Postgres::shared().await.database().await;
    let mut loaded = Loaded::start(&database, DEFAULT).await;
    loaded.proxy.set(Traffic::Delay(Duration::from_secs(2)));
    assert_eq!(loaded.publish("late").await["type"], "ok");
    loaded.proxy.set(Traffic::Pass);
    loaded.assert_kept().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_database_delays_answers_up_to_the_bound() {
    let database = Postgres::shared().await.database().await;
    let mut loaded = Loaded::start(&database, SHORT).await;
    loaded.proxy.set(Traffic::BlackHole);
    let swallowed = Instant::now();
    for n in 0.. {
        let refused = loaded.publish(&format!("refused {n}")).await;
        assert_eq!(refused["code"], "unavailable", "{refused}");
        if swallowed.elapsed() >= BLACK_HOLE {
            break;
        }
    }
    loaded.proxy.set(Traffic::Pass);
    loaded.assert_kept().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_lost_at_commit_loses_and_repeats_nothing() {
    let database = Postgres::shared().await.database().await;
    let mut loaded = Loaded::start(&database, DEFAULT).await;
    for round in 0..10 {
        let nonce = format!("lost at commit {round}");
        let lost = loaded.proxy.lose_answer_to(nonce.as_str());
        assert_eq!(loaded.publish(&nonce).await["type"], "ok");
        must("the answer is lost", lost).await.unwrap();
    }
    loaded.assert_kept().await;
}
