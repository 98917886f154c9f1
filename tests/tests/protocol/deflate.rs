//! permessage-deflate of RFC 7692 on real sockets. Autobahn's sections 12 and 13 have more messages.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;

use chatcore_hyper::testkit::Echo;
use chatcore_hyper::{Config, serve};
use chatcore_tests::deflate::{ACCEPTED, OFFER, deflate, inflate};
use chatcore_tests::{Client, Frame, Raw, Server, frame};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const MESSAGE_BYTES: usize = 1 << 20;

/// FIN, RSV1 and the opcode of a text.
const COMPRESSED_TEXT: u8 = 0xc1;

async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, Echo::new(MESSAGE_BYTES, Config::default())).into_future());
    addr
}

/// Ordinary prose of `chars` ASCII characters: the words of this project's design, from the `n`-th part on.
fn prose(n: usize, chars: usize) -> String {
    let design = include_str!("../../../docs/design.md");
    let letters = design.chars().filter(|c| c.is_ascii_alphabetic() || ".,' \n".contains(*c));
    let words = letters.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().cycle().skip(n * chars).take(chars).collect()
}

#[tokio::test]
async fn an_offer_is_accepted_without_context_in_both_directions() {
    let server = Server::start().await;
    let with_window = format!("{ACCEPTED}; server_max_window_bits=15");
    for (offer, accepted) in [
        (OFFER, Some(ACCEPTED)),
        ("x; y, permessage-deflate", Some(ACCEPTED)),
        ("permessage-deflate; server_max_window_bits=15", Some(&*with_window)),
        ("permessage-deflate; server_max_window_bits=10", None),
        ("permessage-deflate; server_max_window_bits=10, permessage-deflate", Some(ACCEPTED)),
        ("permessage-deflate; unknown", None),
        ("permessage-deflate; \"", None),
        ("=;,\"", None),
    ] {
        let (mut raw, answer) = Raw::offering(server.addr, "ann", Some(offer)).await;
        assert_eq!(answer.as_deref(), accepted, "{offer}");
        assert!(raw.frame().await.unwrap().payload.starts_with(br#"{"type":"welcome""#), "{offer}");
    }
    assert_eq!(Raw::offering(server.addr, "ann", None).await.1, None);
}

#[tokio::test]
async fn a_service_without_compression_declines_it() {
    let server = Server::with(|setup| setup.config.deflate = false).await;
    let (mut raw, answer) = Raw::offering(server.addr, "ann", Some(OFFER)).await;
    assert_eq!(answer, None);
    raw.frame().await.unwrap();
    raw.write(&frame(COMPRESSED_TEXT, &deflate(b"{}"))).await;
    assert_eq!(raw.closed().await, Some(1002));
}

#[tokio::test]
async fn messages_of_every_size_come_back_through_compression() {
    let mut raw = Raw::deflating(echo().await, "anybody", OFFER).await;
    for size in [0, 1, 125, 126, 511, 512, 1_024, 49_152, 49_153, 65_535, 65_536, 300_000] {
        let text = prose(1, size).into_bytes();
        for bytes in [frame(COMPRESSED_TEXT, &deflate(&text)), frame(0x81, &text)] {
            raw.write(&bytes).await;
            let back = raw.frame().await.unwrap();
            assert!(back == Frame { opcode: 1, payload: text.clone() }, "{size} bytes");
        }
    }
    assert!(raw.received_bytes() < 900_000, "{}", raw.received_bytes());
}

#[tokio::test]
async fn a_compressed_message_may_come_in_any_fragments() {
    let addr = echo().await;
    let text = prose(1, 5_000);
    let deflated = deflate(text.as_bytes());
    for size in [1, 7, 1_000] {
        let mut raw = Raw::deflating(addr, "anybody", OFFER).await;
        let mut bytes = frame(0x41, b"");
        for piece in deflated.chunks(size) {
            bytes.extend(frame(0x00, piece));
            bytes.extend(frame(0x8a, b"a pong"));
        }
        bytes.extend(frame(0x80, b""));
        raw.write(&bytes).await;
        assert_eq!(raw.frame().await.unwrap().payload, text.as_bytes(), "pieces of {size}");
    }
}

#[tokio::test]
async fn hostile_messages_are_refused_by_their_kind() {
    let server = Server::start().await;
    let bomb = deflate(&vec![b' '; 64 << 20]);
    let large = deflate(&[b' '; 65_537]);
    for (what, bytes, code) in [
        ("a bomb", frame(COMPRESSED_TEXT, &bomb[..60_000]), 1009),
        ("one byte too many", frame(COMPRESSED_TEXT, &large), 1009),
        ("the ratio", frame(COMPRESSED_TEXT, &deflate(&[b' '; 65_000])), 1009),
        ("no data", frame(COMPRESSED_TEXT, b""), 1002),
        ("a truncated message", frame(COMPRESSED_TEXT, &deflate(prose(1, 500).as_bytes())[..100]), 1002),
        ("what is not compressed", frame(COMPRESSED_TEXT, br#"{"type":"ping","id":1}"#), 1002),
        ("what is not UTF-8", frame(COMPRESSED_TEXT, &deflate(b"\xff")), 1007),
        ("a binary message", frame(0xc2, &deflate(b"x")), 1003),
        ("a compressed ping", frame(0xc9, b""), 1002),
        ("a mark within a message", [frame(0x41, b""), frame(0xc0, &deflate(b"x"))].concat(), 1002),
        ("another extension's mark", frame(0xe1, &deflate(b"x")), 1002),
    ] {
        let mut raw = Raw::deflating(server.addr, "mallory", OFFER).await;
        raw.write(&bytes).await;
        assert_eq!(raw.closed().await, Some(code), "{what}");
    }
    let mut raw = Raw::deflating(server.addr, "ann", OFFER).await;
    let text = format!(r#"{{"type":"create_channel","id":1,"name":"{}"}}"#, "😀".repeat(8_000));
    raw.write(&frame(COMPRESSED_TEXT, &deflate(text.as_bytes()))).await;
    raw.frame().await.unwrap();
    assert!(
        raw.frame().await.unwrap().payload.starts_with(br#"{"type":"error","id":1"#),
        "it is only a bad name"
    );
}

#[tokio::test]
async fn events_are_compressed_from_512_bytes_for_who_takes_it() {
    let server = Server::with(super::unlimited).await;
    let mut ann = Client::connect_deflating(server.addr, "ann").await;
    ann.ok(json!({"type": "create_channel", "name": "general"})).await;
    let follow = br#"{"type":"subscribe","id":1,"channel":"general"}"#;
    let mut raws = [
        Raw::deflating(server.addr, "bob", OFFER).await,
        Raw::deflating(server.addr, "cid", OFFER).await,
        Raw::websocket(server.addr, "dan").await,
    ];
    let mut texts = Vec::new();
    for raw in &mut raws {
        raw.write(&frame(0x81, follow)).await;
        while !raw.frame().await.unwrap().payload.starts_with(br#"{"type":"ok""#) {}
    }
    for chars in 200..=400 {
        let text = prose(chars, chars);
        let publish =
            json!({"type": "publish", "channel": "general", "nonce": format!("n{chars}"), "text": text});
        ann.ok(publish).await;
        texts.push(text);
    }
    for (at, raw) in raws.iter_mut().enumerate() {
        let mut compressed = 0;
        for text in &texts {
            let (first, payload) = loop {
                let (first, payload) = raw.fragment().await.unwrap();
                let payload = if first == COMPRESSED_TEXT { inflate(&payload) } else { payload };
                if payload.starts_with(br#"{"type":"message""#) {
                    break (first, payload);
                }
            };
            assert_eq!(first == COMPRESSED_TEXT, at < 2 && payload.len() >= 512, "{} bytes", payload.len());
            compressed += u32::from(first == COMPRESSED_TEXT);
            let event: Value = serde_json::from_slice(&payload).unwrap();
            assert_eq!(event["text"], **text);
        }
        assert_eq!(compressed > 0, at < 2);
    }
}

/// Publishes `count` texts by three people, each of `chars` characters, with a client's nonces.
async fn conversation(server: &Server, count: usize, chars: usize) {
    let mut people = Vec::new();
    for name in ["ann", "bob", "cid"] {
        people.push(Client::connect(server.addr, name).await);
    }
    people[0].ok(json!({"type": "create_channel", "name": "general"})).await;
    for n in 0..count {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).unwrap();
        let nonce: String = nonce.iter().map(|byte| format!("{byte:02x}")).collect();
        let person = &mut people[n * n % 3];
        let publish =
            json!({"type": "publish", "channel": "general", "nonce": nonce, "text": prose(n, chars)});
        person.ok(publish).await;
    }
}

#[tokio::test]
async fn a_snapshot_of_100_messages_is_small_on_the_wire() {
    let server = Server::with(super::unlimited).await;
    conversation(&server, 100, 100).await;
    let mut reader = Client::connect_deflating(server.addr, "dan").await;
    let before = reader.received_bytes();
    let answer = reader.ok(json!({"type": "subscribe", "channel": "general"})).await;
    let bytes = reader.received_bytes() - before;
    println!("{bytes} bytes on the wire, {} plain", answer.to_string().len());
    assert_eq!(answer["messages"].as_array().unwrap().len(), 100);
    assert!(bytes <= 6 << 10, "{bytes} bytes");
}

#[tokio::test]
async fn a_large_answer_is_the_same_in_compressed_fragments() {
    let server = Server::with(super::unlimited).await;
    conversation(&server, 60, 8_000).await;
    let history = json!({"type": "history", "channel": "general", "before": 61});
    let mut plain = Client::connect(server.addr, "dan").await;
    let mut deflating = Client::connect_deflating(server.addr, "dan").await;
    let expected = plain.ok(history.clone()).await;
    let before = deflating.received_bytes();
    assert!(deflating.ok(history).await["messages"] == expected["messages"]);
    let bytes = deflating.received_bytes() - before;
    assert!(expected.to_string().len() > 400_000 && bytes < 300_000, "{bytes} bytes");
    // Other answers follow it.
    deflating.ok(json!({"type": "ping"})).await;
}
