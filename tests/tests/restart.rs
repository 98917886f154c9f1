//! The real service killed in the middle of its work: nothing acknowledged is lost, nothing is doubled.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use chatcore_tests::{Client, http, must};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio_websockets::{ClientBuilder, Message};

const KILLS: usize = 10;
const WRITERS: usize = 4;

/// The service in a process of its own.
struct Service {
    child: Child,
    addr: SocketAddr,
}

impl Service {
    async fn start(data: &Path) -> Self {
        let mut child = Command::new(binary())
            .args(["--listen", "127.0.0.1:0", "--data"])
            .arg(data)
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

/// Publishes as fast as it is acknowledged, eight at a time, until the connection breaks. Returns the nonces
/// and `seq`s of what was acknowledged.
async fn write(addr: SocketAddr, cookie: String, prefix: String) -> Vec<(String, u64)> {
    let mut acked = Vec::new();
    let header = http::HeaderValue::from_str(&cookie).unwrap();
    let connecting = ClientBuilder::new()
        .uri(&format!("ws://{addr}/chat/ws"))
        .unwrap()
        .add_header(http::header::COOKIE, header)
        .unwrap();
    let Ok((mut socket, _)) = connecting.connect().await else { return acked };
    for id in 0_u64.. {
        let nonce = format!("{prefix}-{id}");
        let publish =
            json!({"type": "publish", "id": id, "channel": "general", "nonce": nonce, "text": nonce});
        if socket.send(Message::text(publish.to_string())).await.is_err() {
            return acked;
        }
        if id < 8 {
            continue;
        }
        loop {
            let Some(Ok(message)) = socket.next().await else { return acked };
            let Some(text) = message.as_text() else { return acked };
            let frame: Value = serde_json::from_str(text).unwrap();
            if frame["type"] == "ok" {
                let id = frame["id"].as_u64().unwrap();
                acked.push((format!("{prefix}-{id}"), frame["seq"].as_u64().unwrap()));
                break;
            }
            if frame["type"] == "error" {
                assert_eq!(frame["code"], "rate_limited", "{frame}");
                break;
            }
        }
    }
    acked
}

async fn sign_in(addr: SocketAddr) -> String {
    let answer = http(addr, "POST", "/session", &[], br#"{"name":"writer"}"#).await;
    assert_eq!(answer.status, 200);
    answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

/// Reads the whole log backwards, and returns it forwards.
async fn read_all(client: &mut Client) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    let mut before = u64::from(u32::MAX);
    loop {
        let page = json!({"type": "history", "channel": "general", "before": before, "limit": 100});
        let page = client.ok(page).await;
        let messages = page["messages"].as_array().unwrap();
        all.splice(0..0, messages.iter().cloned());
        if page["more"] == false {
            return all;
        }
        before = messages[0]["seq"].as_u64().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_ten_times_in_mid_load_it_keeps_every_acknowledged_message_once_in_its_seq() {
    let folder = tempfile::tempdir().unwrap();
    let mut acked: HashMap<String, u64> = HashMap::new();
    let mut signed_in: Option<String> = None;
    for round in 0..KILLS {
        let service = Service::start(folder.path()).await;
        let cookie = match &signed_in {
            Some(cookie) => cookie.clone(),
            None => signed_in.insert(sign_in(service.addr).await).clone(),
        };
        let writers: Vec<_> = (0..WRITERS)
            .map(|n| tokio::spawn(write(service.addr, cookie.clone(), format!("r{round}w{n}"))))
            .collect();
        // Killed once the work is well under way: the log has grown by some hundred messages.
        let mut watcher = Client::connect_with_cookie(service.addr, &cookie).await;
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

    let service = Service::start(folder.path()).await;
    let mut reader = Client::connect_with_cookie(service.addr, &signed_in.unwrap()).await;
    let stored = read_all(&mut reader).await;
    let mut by_nonce = HashMap::new();
    for (at, message) in stored.iter().enumerate() {
        assert_eq!(message["seq"], at + 1, "no gap");
        let nonce = message["nonce"].as_str().unwrap().to_owned();
        assert_eq!(by_nonce.insert(nonce, at as u64 + 1), None, "no double");
    }
    for (nonce, seq) in acked {
        assert_eq!(by_nonce.get(&nonce), Some(&seq), "{nonce} is there, in its seq");
    }
}
