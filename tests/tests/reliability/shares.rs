//! Clients that request more than their share, over real sockets, are slowed down or refused with a retry time.
//!
//! Durations are only checked for a minimum, so a busy machine changes nothing.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chatcore_hyper::web::Allowance;
use chatcore_tests::{Answer, Client, Frame, Raw, Server, Setup, frame, http};
use clap::Parser;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use web_chat::{App, Options};

/// A burst of ten commands, then one per second; so a burst of twenty frames, then two per second.
fn slow(setup: &mut Setup) {
    (setup.limits.command_burst, setup.limits.commands_per_second) = (10, 1);
}

async fn pongs(raw: &mut Raw, count: usize) {
    let mut pongs = 0;
    while pongs < count {
        let Frame { opcode, .. } = raw.frame().await.expect("an open connection");
        pongs += usize::from(opcode == 10);
    }
}

async fn assert_unharmed(server: &Server) {
    let mut ann = server.client("ann").await;
    ann.ok(json!({"type": "ping"})).await;
}

#[tokio::test]
async fn a_flood_of_pings_is_slowed_down() {
    let server = Server::with(slow).await;
    let mut eve = Raw::websocket(server.addr, "eve").await;
    let began = Instant::now();
    eve.write(&frame(0x89, b"").repeat(23)).await;
    pongs(&mut eve, 23).await;
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    assert_unharmed(&server).await;
}

#[tokio::test]
async fn a_flood_of_pongs_is_slowed_down() {
    let server = Server::with(slow).await;
    let mut eve = Raw::websocket(server.addr, "eve").await;
    let began = Instant::now();
    eve.write(&frame(0x8a, b"").repeat(22)).await;
    eve.write(&frame(0x89, b"")).await;
    pongs(&mut eve, 1).await;
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_flood_of_empty_fragments_is_slowed_down() {
    let server = Server::with(slow).await;
    let mut eve = Raw::websocket(server.addr, "eve").await;
    let began = Instant::now();
    eve.write(&frame(0x01, br#"{"type":"ping","#)).await;
    // In separate writes, so that the first ones do not arrive together with the rest.
    for _ in 0..3 {
        eve.write(&frame(0x00, b"").repeat(7)).await;
        tokio::task::yield_now().await;
    }
    eve.write(&frame(0x80, br#""id":7}"#)).await;
    let answer = eve.frame().await.expect("an open connection");
    assert_eq!(serde_json::from_slice::<Value>(&answer.payload).unwrap(), json!({"type": "ok", "id": 7}));
    eve.write(&frame(0x89, b"")).await;
    pongs(&mut eve, 1).await;
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    assert_unharmed(&server).await;
}

#[tokio::test]
async fn a_flood_of_refused_commands_is_answered_and_slowed_down() {
    let server = Server::with(slow).await;
    let mut eve = server.client("eve").await;
    let began = Instant::now();
    let mut ids = Vec::new();
    for _ in 0..23 {
        ids.push(eve.tell(json!({"type": "ping"})).await);
    }
    let mut refused = 0;
    for id in ids {
        let answer = eve.answer(id).await;
        if answer["type"] == "error" {
            assert_eq!(answer["code"], "rate_limited");
            assert!(answer["retry_ms"].as_u64().is_some_and(|wait| (1..=1_000).contains(&wait)), "{answer}");
            refused += 1;
        }
    }
    assert!(refused >= 10, "{refused}");
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_users_sixty_first_channel_waits_a_minute() {
    let server = Server::start().await;
    let mut eve = server.client("eve").await;
    for n in 0..60 {
        eve.ok(json!({"type": "create_channel", "name": format!("c{n}")})).await;
    }
    let refused = eve.refused(json!({"type": "create_channel", "name": "more"}), "rate_limited").await;
    assert!(refused["retry_ms"].as_u64().is_some_and(|wait| (30_000..=60_000).contains(&wait)), "{refused}");
    let mut other = server.client("ann").await;
    other.ok(json!({"type": "create_channel", "name": "more"})).await;
}

/// Starts `web_chat`, in memory.
async fn start(arguments: &[&str]) -> SocketAddr {
    let options = Options::parse_from(["web_chat", "--memory"].iter().chain(arguments));
    let app = App::open(&options).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(app.serve(listener, std::future::pending()));
    addr
}

async fn sign_in(addr: SocketAddr, name: &str, headers: &[&str]) -> Answer {
    http(addr, "POST", "/session", headers, json!({ "name": name }).to_string().as_bytes()).await
}

/// Checks that a response is a 429 with a `Retry-After` of at most this many seconds.
#[track_caller]
fn assert_limited(answer: &Answer, seconds: u64) {
    answer.assert_error(429, "rate_limited");
    let wait: u64 = answer.header("retry-after").expect("when to come back").parse().expect("seconds");
    assert!((1..=seconds).contains(&wait), "{wait}");
}

#[tokio::test]
async fn sign_ins_per_address_are_bounded() {
    // One per minute, so that none is added during the test.
    let addr = start(&["--sign-in-interval", "60000"]).await;
    for n in 0..100 {
        assert_eq!(sign_in(addr, &format!("name {n}"), &[]).await.status, 200, "{n}");
    }
    assert_limited(&sign_in(addr, "one more", &[]).await, 60);
    // A forwarding header that is not trusted does not change the address.
    assert_limited(&sign_in(addr, "one more", &["X-Forwarded-For: 192.0.2.1"]).await, 60);
    http(addr, "GET", "/session", &[], b"").await.assert_error(401, "unauthorized");
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_address_has_its_own_sign_ins() {
    let addr = start(&["--trust-forwarded", "1", "--sign-ins", "1", "--sign-in-interval", "60000"]).await;
    let from = async |name: &str, header: &str| sign_in(addr, name, &[header]).await;
    assert_eq!(from("ann", "X-Forwarded-For: 192.0.2.1").await.status, 200);
    assert_limited(&from("eve", "X-Forwarded-For: 6.6.6.6, 192.0.2.1").await, 60);
    assert_limited(&from("eve", "X-Forwarded-For: ::ffff:192.0.2.1").await, 60);
    assert_eq!(from("bob", "Forwarded: for=192.0.2.2;proto=https").await.status, 200);
    assert_eq!(from("carl", "X-Forwarded-For: 2001:db8::1").await.status, 200);
    assert_limited(&from("dora", "X-Forwarded-For: 2001:db8::2").await, 60);
}

#[tokio::test]
async fn handshakes_per_address_are_bounded() {
    let server = Server::with(|setup| {
        setup.config.handshakes = Allowance::new(2, Duration::from_secs(60));
    })
    .await;
    let _held = (server.client("ann").await, server.client("bob").await);
    let answer = http(server.addr, "GET", "/chat/ws", &["x-user: eve"], b"").await;
    assert_limited(&answer, 60);
}

#[tokio::test]
async fn connections_per_address_are_bounded() {
    let server = Server::with(|setup| setup.http.connections_per_address = 2).await;
    let held = (server.client("ann").await, server.client("bob").await);
    let mut third = Raw::connect(server.addr).await;
    assert!(third.rest().await.is_empty(), "closed without an answer");
    drop(held);
    while server.chat.connections() > 0 {
        tokio::task::yield_now().await;
    }
    // Their sockets close after their sessions.
    loop {
        let mut raw = Raw::connect(server.addr).await;
        if raw.try_write(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").is_ok()
            && raw.rest().await.starts_with(b"HTTP/1.1 404")
        {
            break;
        }
    }
}

async fn upload(addr: SocketAddr, user: &str, bytes: &[u8]) -> Answer {
    let user = format!("x-user: {user}");
    http(addr, "POST", "/chat/channels/general/attachments?name=a", &[&user], bytes).await
}

#[tokio::test]
async fn uploads_per_address_are_bounded_in_number_and_bytes() {
    let server = Server::with(|setup| {
        setup.config.uploads = Allowance::new(4, Duration::from_secs(60));
        setup.config.upload_bytes_per_day = 3 << 10;
    })
    .await;
    let _ann: Client = server.member("ann", "general").await;
    assert_eq!(upload(server.addr, "ann", &[0; 2_048]).await.status, 201);
    assert_eq!(upload(server.addr, "bob", &[0; 1_024]).await.status, 201);
    assert_limited(&upload(server.addr, "carl", &[0; 1_024]).await, 86_400);
    assert_eq!(upload(server.addr, "carl", b"little").await.status, 201);
    assert_limited(&upload(server.addr, "dora", b"x").await, 60);
}

#[tokio::test]
async fn many_users_of_one_address_leave_uploads_for_others() {
    let server = Server::with(|setup| setup.config.uploads_per_address = 2).await;
    let _ann: Client = server.member("ann", "general").await;
    let mut held = Vec::new();
    for user in ["bob", "carl"] {
        let mut raw = Raw::connect(server.addr).await;
        let head = format!(
            "POST /chat/channels/general/attachments?name=a HTTP/1.1\r\nHost: localhost\r\nx-user: {user}\r\n\
             Content-Length: 9\r\nExpect: 100-continue\r\n\r\n"
        );
        raw.write(head.as_bytes()).await;
        // It has its slot when its body is requested.
        assert!(raw.head().await.starts_with("HTTP/1.1 100"));
        held.push(raw);
    }
    assert_limited(&upload(server.addr, "dora", b"x").await, 1);
    held[0].write(b"123456789").await;
    assert!(held[0].head().await.starts_with("HTTP/1.1 201"));
    assert_eq!(upload(server.addr, "dora", b"x").await.status, 201);
}

/// Requests a WebSocket of `name` from an address behind the proxy. Returns the connection and the response's
/// status.
async fn socket_from(server: &Server, name: &str, address: &str) -> (Raw, String) {
    let mut raw = Raw::connect(server.addr).await;
    let head = format!(
        "GET /chat/ws HTTP/1.1\r\nHost: localhost\r\nx-user: {name}\r\nX-Forwarded-For: {address}\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    raw.write(head.as_bytes()).await;
    let head = raw.head().await;
    (raw, head.split(' ').nth(1).unwrap().to_owned())
}

#[tokio::test]
async fn behind_a_proxy_sockets_per_address_are_bounded() {
    let server = Server::with(|setup| {
        setup.http.trust_forwarded = 1;
        setup.config.sockets_per_address = 2;
    })
    .await;
    let (one, first) = socket_from(&server, "ann", "192.0.2.1").await;
    let (_two, second) = socket_from(&server, "bob", "192.0.2.1").await;
    assert_eq!([first, second], ["101", "101"], "at the limit");
    assert_eq!(socket_from(&server, "carl", "192.0.2.1").await.1, "429", "one past it");
    let (_other, other) = socket_from(&server, "carl", "192.0.2.2").await;
    assert_eq!(other, "101", "another address");
    drop(one);
    while socket_from(&server, "carl", "192.0.2.1").await.1 != "101" {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn requests_per_address_are_bounded() {
    let server =
        Server::with(|setup| setup.config.requests = Allowance::new(3, Duration::from_secs(60))).await;
    for path in ["/chat/ui/chat.js", "/chat/attachments/a_1/x", "/chat/nothing"] {
        assert_ne!(http(server.addr, "GET", path, &[], b"").await.status, 429, "{path}");
    }
    assert_limited(&http(server.addr, "GET", "/chat/ui/chat.js", &[], b"").await, 60);

    let addr = start(&["--requests", "3", "--request-interval", "60000"]).await;
    for method in ["DELETE", "GET", "POST"] {
        assert_ne!(http(addr, method, "/session", &[], b"").await.status, 429, "{method}");
    }
    for (method, path) in [("DELETE", "/session"), ("GET", "/"), ("GET", "/nothing")] {
        assert_limited(&http(addr, method, path, &[], b"").await, 60);
    }
    assert_eq!(http(addr, "GET", "/healthz", &[], b"").await.status, 200, "health checks are not counted");
    assert_eq!(
        http(addr, "GET", "/chat/ui/chat.js", &[], b"").await.status,
        200,
        "the chat counts by itself"
    );
}

#[tokio::test]
async fn a_restart_keeps_the_count_of_file_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let start = async || {
        let data = data.to_str().unwrap();
        let arguments = ["web_chat", "--data", data, "--files-per-user", "10", "--files-total", "1k"];
        let app = App::open(&Options::parse_from(arguments)).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = tokio::spawn(app.serve(listener, async move { drop(stopped.await) }));
        (addr, stop, serving)
    };
    let upload = async |addr, cookie: &str, bytes: &[u8]| {
        http(addr, "POST", "/chat/channels/general/attachments?name=a", &[cookie], bytes).await
    };
    let (addr, stop, serving) = start().await;
    let answer = sign_in(addr, "ann", &[]).await;
    let cookie = format!("Cookie: {}", answer.header("set-cookie").unwrap().split(';').next().unwrap());
    assert_eq!(upload(addr, &cookie, &[0; 8]).await.status, 201);
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();

    let (addr, _stop, _serving) = start().await;
    let refused = upload(addr, &cookie, &[0; 3]).await;
    refused.assert_error(507, "storage_full");
    assert!(refused.json()["message"].as_str().unwrap().contains("10 bytes"), "{refused:?}");
    assert_eq!(upload(addr, &cookie, &[0; 2]).await.status, 201, "at the limit");
}
