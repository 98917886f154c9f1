//! Clients that ask for more than their share, over real sockets: they are slowed down or refused with a time.
//!
//! That something takes a while is only ever asserted from below, so a busy machine changes nothing.
#![allow(missing_docs, clippy::unwrap_used)]

use std::time::{Duration, Instant};

use chatcore_tests::{Frame, Raw, Server, Setup, frame};
use serde_json::{Value, json};

/// Ten commands at once, then one a second; so twenty frames at once, then two a second.
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
async fn a_flood_of_pings_is_read_at_its_pace() {
    let server = Server::with(slow).await;
    let mut eve = Raw::websocket(server.addr, "eve").await;
    let began = Instant::now();
    eve.write(&frame(0x89, b"").repeat(23)).await;
    pongs(&mut eve, 23).await;
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    assert_unharmed(&server).await;
}

#[tokio::test]
async fn pongs_that_nobody_asked_for_are_read_at_their_pace() {
    let server = Server::with(slow).await;
    let mut eve = Raw::websocket(server.addr, "eve").await;
    let began = Instant::now();
    eve.write(&frame(0x8a, b"").repeat(22)).await;
    eve.write(&frame(0x89, b"")).await;
    pongs(&mut eve, 1).await;
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test]
async fn empty_fragments_are_read_at_their_pace() {
    let server = Server::with(slow).await;
    let mut eve = Raw::websocket(server.addr, "eve").await;
    let began = Instant::now();
    eve.write(&frame(0x01, br#"{"type":"ping","#)).await;
    // In writes of their own, so that the first ones do not come along with the rest.
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
async fn refused_commands_are_answered_and_then_read_at_their_pace() {
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
async fn the_sixty_first_channel_of_a_user_waits_a_minute() {
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
