//! Each failure is logged, over real sockets, and no line contains a secret.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Duration;

use chatcore::MemoryStore;
use chatcore::testkit::{CapturedLog, Faults, FaultyStore};
use chatcore_tests::{Raw, Server, frame, http, must};
use serde_json::json;

const SECRET: &str = "5ecret";

/// Takes lines until one has this prefix.
async fn line(log: &CapturedLog, begins: &str) -> String {
    let found = async {
        loop {
            if let Some(line) = log.take().into_iter().find(|line| line.starts_with(begins)) {
                return line;
            }
            tokio::task::yield_now().await;
        }
    };
    must(begins, found).await
}

async fn faulty() -> (Server, FaultyStore<MemoryStore>) {
    let store = FaultyStore::new(MemoryStore::new(), Faults::default(), 1);
    let server = Server::over(store.clone(), tempfile::tempdir().unwrap(), |_| ()).await;
    (server, store)
}

async fn upload(server: &Server) -> chatcore_tests::Answer {
    let path = format!("/chat/channels/general/attachments?name={SECRET}.txt");
    let headers = ["x-user: ann", "Cookie: chat_session=5ecret"];
    http(server.addr, "POST", &path, &headers, SECRET.as_bytes()).await
}

fn empty_files(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { empty_files(&path) } else { std::fs::write(path, b"").unwrap() }
    }
}

#[tokio::test]
async fn each_kind_of_misbehaving_client_is_logged() {
    let log = CapturedLog::begin();
    let server = Server::start().await;
    for (bytes, code, begins) in [
        (frame(0xf1, b"x"), 1002, "INFO a client broke the WebSocket protocol about=user u_eve"),
        (frame(0x82, b"x"), 1003, "INFO a client sent a binary frame about=user u_eve"),
        (frame(0x81, b"\xff\xff"), 1007, "INFO a client sent text that is not UTF-8 about=user u_eve"),
        (frame(0x81, &[b'x'; 70_000]), 1009, "INFO a client sent a frame over the limit about=user u_eve"),
    ] {
        let mut eve = Raw::websocket(server.addr, "eve").await;
        eve.write(&bytes).await;
        assert_eq!(eve.closed().await, Some(code));
        line(&log, begins).await;
    }
    let mut eve = Raw::websocket(server.addr, "eve").await;
    for _ in 0..30 {
        eve.write(&frame(0x81, b"{")).await;
    }
    line(&log, "INFO a client sent too many malformed frames about=user u_eve").await;
    let mut eve = Raw::connect(server.addr).await;
    eve.write(b"GET / HTTP/9.9\r\n\r\n").await;
    line(&log, "INFO a client sent an invalid HTTP request").await;
    let stats = server.chat.stats();
    assert!(
        stats.closes.iter().filter(|(reason, _)| reason.code() < 1_010).all(|(_, n)| *n <= 1),
        "{stats:?}"
    );
}

#[tokio::test]
async fn a_client_that_leaves_is_not_logged() {
    let log = CapturedLog::begin();
    let server = Server::start().await;
    let mut ann = server.member("ann", "general").await;
    let mut bob = Raw::websocket(server.addr, "bob").await;
    ann.ok(json!({"type": "ping"})).await;
    ann.close().await;
    bob.write(&frame(0x88, &1000_u16.to_be_bytes())).await;
    assert_eq!(bob.closed().await, Some(1000));
    drop(Raw::websocket(server.addr, "eve").await);
    server.stop().await;
    assert_eq!(log.take(), [""; 0]);
}

#[tokio::test]
async fn a_failed_request_is_logged_with_its_cause() {
    let log = CapturedLog::begin();
    let (server, store) = faulty().await;
    server.member("ann", "general").await;
    store.set_faults(Faults { read: 1.0, ..Faults::default() });
    assert_eq!(upload(&server).await.status, 503);
    let answer = http(server.addr, "GET", "/chat/attachments/a_1/x", &["x-user: ann"], b"").await;
    assert_eq!(answer.status, 503);
    let error = "error=the store is unavailable; try again: a read that fails on purpose";
    let expected = [format!("ERROR an upload failed {error}"), format!("ERROR a request failed {error}")];
    assert_eq!(log.take(), expected);
}

#[tokio::test]
async fn a_short_or_missing_file_is_logged() {
    let log = CapturedLog::begin();
    let (server, _) = faulty().await;
    server.member("ann", "general").await;
    let uploaded = upload(&server).await.json();
    let get = async || {
        let path = uploaded["url"].as_str().unwrap();
        let mut raw = Raw::connect(server.addr).await;
        raw.write(
            format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nx-user: ann\r\n\r\n").as_bytes(),
        )
        .await;
        String::from_utf8(raw.rest().await).unwrap()
    };
    empty_files(&server.folder().join("blobs"));
    get().await;
    line(&log, "ERROR an attachment could not be read to its end").await;
    std::fs::remove_dir_all(server.folder().join("blobs")).unwrap();
    assert!(get().await.contains(" 404 "));
    line(&log, "ERROR an attachment's file is missing about=attachment a_").await;
}

#[tokio::test]
async fn the_log_has_no_secrets() {
    let log = CapturedLog::at(tracing::Level::TRACE);
    let (server, store) = faulty().await;
    let mut ann = server.member("ann", "general").await;
    let commands = [
        json!({"type": "publish", "channel": "general", "nonce": "1", "text": SECRET}),
        json!({"type": "edit", "channel": "general", "seq": 1, "text": SECRET}),
        json!({"type": "search", "channel": "general", "query": SECRET}),
        json!({"type": "create_channel", "name": "b", "topic": SECRET}),
        json!({"type": "react", "channel": "general", "seq": 1, "emoji": "👍", "on": true}),
        json!({"type": SECRET}),
    ];
    let all = Faults { append_panics: 0.3, ..Faults::everywhere(0.6) };
    for faults in [Faults::default(), all, Faults::everywhere(1.0)] {
        store.set_faults(faults);
        for _ in 0..5 {
            for command in &commands {
                ann.ask(command.clone()).await;
            }
            upload(&server).await;
        }
    }
    ann.send(format!("{SECRET}{{")).await;
    let mut eve = Raw::connect(server.addr).await;
    eve.write(format!("{SECRET} / HTTP/1.1\r\n{SECRET}\r\n\r\n").as_bytes()).await;
    let _ = eve.rest().await;
    tokio::time::timeout(Duration::from_secs(30), server.stop()).await.unwrap();
    drop(store);
    let lines = log.take();
    assert!(lines.iter().any(|line| line.starts_with("ERROR append failed")), "{lines:#?}");
    let told: Vec<_> = lines.iter().filter(|line| line.contains(SECRET)).collect();
    assert!(told.is_empty(), "{told:#?}");
}
