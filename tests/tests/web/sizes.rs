//! What a message costs on the wire: bytes of `web_chat`, with the ids that it gives to people.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;

use chatcore::Nonce;
use chatcore_tests::{Raw, frame};
use serde_json::{Value, json};

use crate::sign_in::{cookie, sign_in, start};

/// The most bytes of a message of 100 characters, with the header of its frame.
const MESSAGE: usize = 255;

/// The most bytes of the answer to a `subscribe` with 100 messages of 100 characters.
const SNAPSHOT: usize = 24 * 1024;

/// A text of 100 characters.
const TEXT: &str =
    "The train is late again, so begin without me; I read the notes on the way and call you at eleven ok.";

/// Signs somebody in, and opens a socket for the lean form.
async fn join(addr: SocketAddr, name: &str) -> Raw {
    let cookie = cookie(&sign_in(addr, name, &[]).await);
    let mut raw = Raw::connect(addr).await;
    let request = format!(
        "GET /chat/ws HTTP/1.1\r\nHost: {addr}\r\nCookie: {cookie}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: chatcore.v1.lean, chatcore.v1\r\n\r\n"
    );
    raw.write(request.as_bytes()).await;
    assert!(raw.head().await.starts_with("HTTP/1.1 101"));
    raw
}

/// Sends a command, and returns the payload of its answer.
async fn ask(raw: &mut Raw, command: &Value) -> Vec<u8> {
    raw.write(&frame(0x81, command.to_string().as_bytes())).await;
    next(raw, r#"{"type":"ok""#).await
}

async fn next(raw: &mut Raw, start: &str) -> Vec<u8> {
    loop {
        let payload = raw.frame().await.expect("an open connection").payload;
        assert!(!payload.starts_with(br#"{"type":"error""#), "{}", String::from_utf8_lossy(&payload));
        if payload.starts_with(start.as_bytes()) {
            return payload;
        }
    }
}

fn publish() -> Value {
    let nonce = Nonce::random();
    json!({"type": "publish", "id": 1, "channel": "general", "nonce": nonce, "text": TEXT})
}

#[tokio::test]
async fn a_message_and_a_snapshot_are_small_on_the_wire() {
    assert_eq!(TEXT.chars().count(), 100);
    let addr = start(&[]).await;
    let subscribe = json!({"type": "subscribe", "id": 1, "channel": "general"});
    let mut people = Vec::new();
    for name in ["Ann", "Bob", "Carla"] {
        people.push(join(addr, name).await);
    }
    let mut reader = join(addr, "Reader").await;
    ask(&mut reader, &subscribe).await;
    for n in 0..100 {
        ask(&mut people[n % 3], &publish()).await;
    }
    let message = next(&mut reader, r#"{"type":"message""#).await;
    // The header of a frame of 126 to 65,535 bytes has four.
    let bytes = message.len() + 4;
    println!("{bytes} bytes of {MESSAGE}: {}", String::from_utf8_lossy(&message));
    assert!(bytes <= MESSAGE, "{bytes} bytes, {MESSAGE} are allowed: {}", String::from_utf8_lossy(&message));
    for (reader, who) in [(&mut reader, "a reader"), (&mut people[0], "one of three authors")] {
        let snapshot = ask(reader, &subscribe).await;
        let messages = serde_json::from_slice::<Value>(&snapshot).unwrap()["messages"].take();
        assert_eq!(messages.as_array().unwrap().len(), 100);
        let bytes = snapshot.len() + 4;
        println!("{bytes} bytes of {SNAPSHOT} for {who}");
        assert!(bytes <= SNAPSHOT, "{bytes} bytes for {who}, {SNAPSHOT} are allowed");
    }
}
