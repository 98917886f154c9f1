//! The real service killed in the middle of its work: nothing acknowledged is lost, nothing is doubled.
#![allow(missing_docs, clippy::unwrap_used)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use chatcore_tests::load::{Acked, assert_kept, write};
use chatcore_tests::{Client, Postgres, http, must};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

const KILLS: usize = 10;
const WRITERS: usize = 4;
/// Twice the default of `Limits::store_timeout`.
const BOUND: Duration = Duration::from_secs(30);

/// The service in a process of its own.
struct Service {
    child: Child,
    addr: SocketAddr,
}

impl Service {
    async fn start(data: &Path, database: Option<&str>) -> Self {
        let mut child = Command::new(binary())
            .args(["--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(database.into_iter().flat_map(|url| ["--database-url", url]))
            .env_remove("DATABASE_URL")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = must("the service says where it is", async {
            loop {
                let line = lines.next_line().await.unwrap().expect("the service runs");
                if let Some((_, addr)) = line.split_once("http://") {
                    return addr.to_owned();
                }
            }
        });
        let addr = line.await.parse().unwrap();
        Self { child, addr }
    }

    /// Ends it with SIGKILL.
    async fn kill(mut self) {
        must("the end of a killed process", self.child.kill()).await.unwrap();
    }
}

/// `cargo test --workspace` builds the example before it runs this.
fn binary() -> PathBuf {
    let here = std::env::current_exe().unwrap();
    let binary = here.ancestors().nth(2).unwrap().join("examples/web_chat");
    assert!(binary.is_file(), "build it first: cargo build -p web_chat --example web_chat");
    binary
}

async fn sign_in(addr: SocketAddr) -> String {
    let answer = http(addr, "POST", "/session", &[], br#"{"name":"writer"}"#).await;
    assert_eq!(answer.status, 200);
    answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_redb_killed_ten_times_in_mid_load_it_keeps_every_acknowledged_message_once_in_its_seq() {
    keeps_all(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_killed_ten_times_in_mid_load_it_keeps_every_acknowledged_message_once_in_its_seq() {
    let database = Postgres::shared().await.database().await;
    keeps_all(Some(&database.url())).await;
}

async fn keeps_all(database: Option<&str>) {
    let folder = tempfile::tempdir().unwrap();
    let mut acked = Acked::new();
    let mut signed_in = None;
    // Nothing tells the writers to stop: the kill does.
    let (_stop, stopped) = watch::channel(false);
    for round in 0..KILLS {
        let service = Service::start(folder.path(), database).await;
        let cookie = match &signed_in {
            Some(cookie) => cookie,
            None => signed_in.insert(sign_in(service.addr).await),
        };
        let mut writers = Vec::new();
        for n in 0..WRITERS {
            let client = Client::connect_with_cookie(service.addr, cookie).await;
            writers.push(tokio::spawn(write(client, format!("r{round}w{n}"), BOUND, stopped.clone())));
        }
        // Killed once the work is well under way: the log has grown by some hundred messages.
        let mut watcher = Client::connect_with_cookie(service.addr, cookie).await;
        let head = watcher.ok(json!({"type": "subscribe", "channel": "general", "limit": 0})).await["head"]
            .as_u64()
            .unwrap();
        while watcher.log_event().await["seq"].as_u64().unwrap() < head + 200 {}
        service.kill().await;
        for writer in writers {
            acked.extend(must("a writer notices", writer).await.unwrap());
        }
    }
    assert!(acked.len() > KILLS * 100, "{} were acknowledged", acked.len());

    let service = Service::start(folder.path(), database).await;
    let mut reader = Client::connect_with_cookie(service.addr, &signed_in.unwrap()).await;
    assert_kept(&mut reader, acked).await;
}
