//! The real service stops, by the signals that a service manager and a person send.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::time::Duration;

use chatcore_tests::load::{assert_kept, write};
use chatcore_tests::{Client, Raw, Server, Service, http, must};
use serde_json::{Value, json};
use tokio::sync::watch;

/// The size of a file that does not fit into the buffers of sockets.
const LARGE: usize = 8 << 20;

/// A service with a long grace time, a signed-in user, and a download of that user that is not read.
async fn with_a_client_that_hangs(grace: &str) -> (Service, String, Raw, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::with(folder.path(), &["--grace", grace]).await;
    let cookie = service.sign_in("ann").await;
    let header = format!("Cookie: {cookie}");
    let path = "/chat/channels/general/attachments?name=x";
    let file = http(service.addr, "POST", path, &[&header], &vec![7; LARGE]).await.json();
    let mut hanging = Raw::connect(service.addr).await;
    let url = file["url"].as_str().unwrap();
    let request = format!("GET {url} HTTP/1.1\r\nHost: {}\r\n{header}\r\n\r\n", service.addr);
    hanging.write(request.as_bytes()).await;
    assert!(hanging.head().await.starts_with("HTTP/1.1 200"));
    (service, cookie, hanging, folder)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_drains_and_exits_with_0() {
    let folder = tempfile::tempdir().unwrap();
    let mut service = Service::with(folder.path(), &[]).await;
    let cookie = service.sign_in("ann").await;
    let mut reader = Client::connect_with_cookie(service.addr, &cookie).await;
    reader.ok(json!({"type": "subscribe", "channel": "general"})).await;
    // Nothing tells the writer to stop: the drain ends it.
    let (_stop, stopped) = watch::channel(false);
    let writer = Client::connect_with_cookie(service.addr, &cookie).await;
    let writing = tokio::spawn(write(writer, "w".into(), Duration::from_secs(30), stopped));
    while reader.log_event().await["seq"].as_u64().unwrap() < 100 {}
    service.signal("TERM");
    let line = service.logged("SIGTERM").await;
    assert!(line.contains("draining 2 connections for at most 10 s"), "{line}");
    assert!(reader.event("draining").await["retry_ms"].is_u64());
    assert_eq!(reader.closed().await, 1001);
    let acked = must("the writer is told", writing).await.unwrap();
    assert_eq!(service.ended().await.code(), Some(0));

    let service = Service::with(folder.path(), &[]).await;
    let mut reader = Client::connect_with_cookie(service.addr, &cookie).await;
    assert_kept(&mut reader, acked).await;
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    for second in ["TERM", "INT"] {
        let (mut service, cookie, _hanging, _folder) = with_a_client_that_hangs("3600").await;
        let mut client = Client::connect_with_cookie(service.addr, &cookie).await;
        service.signal("TERM");
        service.logged("draining").await;
        assert_eq!(client.closed().await, 1001);
        service.signal(second);
        service.logged("ended at once").await;
        assert_eq!(service.ended().await.code(), Some(0), "after a second {second}");
    }
}

#[tokio::test]
async fn ctrl_c_drains_for_one_second() {
    let (mut service, cookie, _hanging, _folder) = with_a_client_that_hangs("3600").await;
    let mut client = Client::connect_with_cookie(service.addr, &cookie).await;
    service.signal("INT");
    let line = service.logged("Ctrl-C").await;
    assert!(line.contains("for at most 1 s"), "{line}");
    client.event("draining").await;
    assert_eq!(client.closed().await, 1001);
    assert_eq!(service.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_client_that_hangs_delays_exit_only_by_the_grace() {
    let (mut service, _cookie, _hanging, _folder) = with_a_client_that_hangs("1").await;
    service.signal("TERM");
    service.logged("connections were still open at the end of the grace period").await;
    assert_eq!(service.ended().await.code(), Some(0));
}

#[tokio::test]
async fn sighup_does_not_end_the_service() {
    let folder = tempfile::tempdir().unwrap();
    let mut service = Service::with(folder.path(), &[]).await;
    let cookie = service.sign_in("ann").await;
    let mut client = Client::connect_with_cookie(service.addr, &cookie).await;
    for _ in 0..2 {
        service.signal("HUP");
        service.logged("SIGHUP does nothing").await;
        client.ok(json!({"type": "ping"})).await;
    }
}

#[tokio::test]
async fn an_upload_in_progress_is_told_that_the_service_drains() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::with(folder.path(), &["--grace", "2"]).await;
    let cookie = service.sign_in("ann").await;
    let mut upload = Raw::connect(service.addr).await;
    let head = format!(
        "POST /chat/channels/general/attachments?name=x HTTP/1.1\r\nHost: {}\r\nCookie: {cookie}\r\n\
         Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n",
        service.addr
    );
    upload.write(head.as_bytes()).await;
    // The server requests the body once it reads it.
    assert!(upload.head().await.starts_with("HTTP/1.1 100"));
    upload.write(b"begun").await;
    service.signal("TERM");
    upload.answer().await.assert_error(503, "draining");
    assert_eq!(service.ended().await.code(), Some(0));
}

#[tokio::test]
async fn clients_are_told_different_times_to_come_back() {
    let server = Server::start().await;
    let mut clients = Vec::new();
    for n in 0..50 {
        clients.push(server.client(&format!("u{n}")).await);
    }
    server.chat.drain();
    let mut returns = HashSet::new();
    for client in &mut clients {
        let retry_ms = client.event("draining").await["retry_ms"].as_u64().unwrap();
        assert!((1_000..1_500).contains(&retry_ms), "{retry_ms}");
        returns.insert(retry_ms);
        assert_eq!(client.closed().await, 1001);
    }
    assert_eq!(returns.len(), 50, "each has a time of its own");
}

#[tokio::test]
async fn the_time_to_come_back_is_bounded_by_its_limit() {
    let server = Server::with(|setup| setup.limits.drain_spread = Duration::from_millis(20)).await;
    let mut clients = Vec::new();
    for n in 0..20 {
        clients.push(server.client(&format!("u{n}")).await);
    }
    server.chat.drain();
    for client in &mut clients {
        let told: Value = client.event("draining").await;
        assert!((1_000..1_020).contains(&told["retry_ms"].as_u64().unwrap()), "{told}");
    }
}
