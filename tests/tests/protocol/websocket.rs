//! The WebSocket protocol of RFC 6455, against the connection's own code as an echo server.
//!
//! The kinds of cases are those of Autobahn's test suite, sections 1 to 7, 9 and 10. `docs/reliability.md` says
//! how to run the whole suite.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;

use chatcore_hyper::testkit::Echo;
use chatcore_hyper::{Config, serve};
use chatcore_tests::{Frame, Raw, frame, must};
use tokio::net::TcpListener;

const MESSAGE_BYTES: usize = 1 << 20;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;
const FIN: u8 = 0x80;

async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, Echo::new(MESSAGE_BYTES, Config::default())).into_future());
    addr
}

/// Sends bytes and returns the first frame of the response; `None` if the connection ends without one.
async fn answer(addr: SocketAddr, bytes: &[u8]) -> Option<Frame> {
    let mut raw = Raw::upgraded(addr, "anybody").await;
    raw.write(bytes).await;
    raw.frame().await
}

/// Sends bytes and returns the close code of the server.
async fn closed(addr: SocketAddr, bytes: &[u8]) -> Option<u16> {
    let mut raw = Raw::upgraded(addr, "anybody").await;
    raw.write(bytes).await;
    raw.closed().await
}

fn close_frame(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(FIN | CLOSE, &[&code.to_be_bytes(), reason].concat())
}

#[tokio::test]
async fn messages_of_every_size_come_back_in_one_frame() {
    let addr = echo().await;
    let mut raw = Raw::upgraded(addr, "anybody").await;
    for size in [0, 1, 125, 126, 127, 128, 65_535, 65_536, MESSAGE_BYTES] {
        for opcode in [TEXT, BINARY] {
            raw.write(&frame(FIN | opcode, &vec![b'*'; size])).await;
            let back = raw.frame().await.unwrap();
            assert!(back == Frame { opcode, payload: vec![b'*'; size] }, "{size} bytes of opcode {opcode}");
        }
    }
}

#[tokio::test]
async fn a_message_one_byte_too_long_closes_with_1009() {
    let addr = echo().await;
    let whole = frame(FIN | BINARY, &vec![0; MESSAGE_BYTES + 1]);
    assert_eq!(closed(addr, &whole[..100]).await, Some(1009), "by its length, before its bytes come");
    let pieces = [frame(BINARY, &vec![0; MESSAGE_BYTES]), frame(FIN, b"x")].concat();
    assert_eq!(closed(addr, &pieces).await, Some(1009));
}

#[tokio::test]
async fn a_fragmented_message_comes_back_whole() {
    let addr = echo().await;
    for size in [1, 3, 64, 4_096] {
        let payload: Vec<u8> = (0..20_000_u32).map(|n| b'a' + (n % 26) as u8).collect();
        let pieces: Vec<&[u8]> = payload.chunks(size).collect();
        let mut bytes = Vec::new();
        for (at, piece) in pieces.iter().enumerate() {
            let first = if at == 0 { TEXT } else { 0 };
            let fin = if at + 1 == pieces.len() { FIN } else { 0 };
            bytes.extend(frame(fin | first, piece));
        }
        assert!(answer(addr, &bytes).await == Some(Frame { opcode: TEXT, payload }), "pieces of {size}");
    }
}

#[tokio::test]
async fn a_message_may_arrive_byte_by_byte() {
    let addr = echo().await;
    let mut raw = Raw::upgraded(addr, "anybody").await;
    for byte in frame(FIN | TEXT, "κόσμε".as_bytes()) {
        raw.write(&[byte]).await;
    }
    assert_eq!(raw.frame().await.unwrap().payload, "κόσμε".as_bytes());
}

#[tokio::test]
async fn a_ping_between_fragments_is_answered_with_its_payload() {
    let addr = echo().await;
    for payload in [&b""[..], b"hello", &[0xff; 125]] {
        let pong = Frame { opcode: PONG, payload: payload.to_vec() };
        assert_eq!(answer(addr, &frame(FIN | PING, payload)).await, Some(pong));
    }
    let mut raw = Raw::upgraded(addr, "anybody").await;
    let bytes = [frame(TEXT, b"a"), frame(FIN | PING, b"1"), frame(0, b"b"), frame(FIN, b"c")].concat();
    raw.write(&bytes).await;
    assert_eq!(raw.frame().await, Some(Frame { opcode: PONG, payload: b"1".to_vec() }));
    assert_eq!(raw.frame().await, Some(Frame { opcode: TEXT, payload: b"abc".to_vec() }));
}

#[tokio::test]
async fn an_unsolicited_pong_is_ignored() {
    let addr = echo().await;
    let bytes = [frame(FIN | PONG, b"x"), frame(FIN | TEXT, b"y")].concat();
    assert_eq!(answer(addr, &bytes).await, Some(Frame { opcode: TEXT, payload: b"y".to_vec() }));
}

#[tokio::test]
async fn invalid_framing_closes_with_1002() {
    let addr = echo().await;
    let mut cases: Vec<(String, Vec<u8>)> = vec![
        ("a ping of 126 bytes".into(), frame(FIN | PING, &[0; 126])),
        ("a ping in fragments".into(), frame(PING, b"x")),
        ("a close in fragments".into(), frame(CLOSE, b"")),
        ("a continuation of nothing".into(), frame(FIN, b"x")),
        ("a first continuation of nothing".into(), frame(0, b"x")),
        ("a text amid fragments".into(), [frame(TEXT, b"a"), frame(FIN | TEXT, b"b")].concat()),
        ("a continuation after the last".into(), [frame(FIN | TEXT, b"a"), frame(FIN, b"b")].concat()),
        ("a frame without a mask".into(), vec![FIN | TEXT, 1, b'x']),
        ("a close of one byte".into(), frame(FIN | CLOSE, b"x")),
        ("a close of 126 bytes".into(), close_frame(1000, &[b'x'; 124])),
    ];
    for opcode in [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        cases.push((format!("the opcode {opcode}"), frame(FIN | opcode, b"")));
    }
    for bits in 1..8 {
        cases.push((format!("the reserved bits {bits}"), frame(FIN | (bits << 4) | TEXT, b"x")));
        cases.push((format!("the reserved bits {bits} of a ping"), frame(FIN | (bits << 4) | PING, b"")));
    }
    for (what, bytes) in cases {
        assert_eq!(closed(addr, &bytes).await, Some(1002), "{what}");
    }
}

#[tokio::test]
async fn a_close_is_answered_with_its_valid_code() {
    let addr = echo().await;
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        assert_eq!(closed(addr, &close_frame(code, b"why")).await, Some(code));
    }
    for code in [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535] {
        assert_eq!(closed(addr, &close_frame(code, b"")).await, Some(1002), "{code}");
    }
    let empty = answer(addr, &frame(FIN | CLOSE, b"")).await;
    assert_eq!(empty, Some(Frame { opcode: CLOSE, payload: Vec::new() }));
}

#[tokio::test]
async fn a_frame_after_a_close_is_not_answered() {
    let addr = echo().await;
    let mut raw = Raw::upgraded(addr, "anybody").await;
    let late = [close_frame(1000, b""), frame(FIN | TEXT, b"late"), frame(FIN | PING, b"late")].concat();
    raw.write(&late).await;
    assert_eq!(raw.frame().await.unwrap().opcode, CLOSE);
    assert_eq!(raw.frame().await, None);
    // Earlier frames are answered first.
    let mut raw = Raw::upgraded(addr, "anybody").await;
    raw.write(&[frame(FIN | TEXT, b"early"), close_frame(1000, b"")].concat()).await;
    assert_eq!(raw.frame().await.unwrap().payload, b"early");
    assert_eq!(raw.closed().await, Some(1000));
}

#[tokio::test]
async fn text_that_is_not_utf_8_closes_with_1007() {
    let addr = echo().await;
    let surrogate = b"\xed\xa0\x80";
    let overlong = b"\xc0\xaf";
    let beyond = b"\xf4\x90\x80\x80";
    let cut = &"κόσμε".as_bytes()[..3];
    for bad in [&surrogate[..], overlong, beyond, cut, b"\x80", b"\xff", b"\xf8\x88\x80\x80\x80"] {
        assert_eq!(closed(addr, &frame(FIN | TEXT, bad)).await, Some(1007), "{bad:x?}");
        let split = [frame(TEXT, b"good "), frame(FIN, bad)].concat();
        assert_eq!(closed(addr, &split).await, Some(1007), "{bad:x?} in a fragment");
    }
    // A fragment that can't become valid UTF-8 ends the connection before the message is complete.
    assert_eq!(closed(addr, &frame(TEXT, overlong)).await, Some(1007));
    let reason = close_frame(1000, b"\xff");
    assert!(matches!(closed(addr, &reason).await, Some(1002 | 1007)));
}

#[tokio::test]
async fn a_character_may_be_split_between_fragments() {
    let addr = echo().await;
    let text = "𝄞 κόσμε \u{10ffff}\u{fffe}".as_bytes();
    for at in 0..=text.len() {
        let bytes = [frame(TEXT, &text[..at]), frame(FIN, &text[at..])].concat();
        assert_eq!(answer(addr, &bytes).await.unwrap().payload, text, "split at {at}");
    }
}

#[tokio::test]
async fn a_thousand_pipelined_messages_come_back_in_order() {
    let addr = echo().await;
    let mut raw = Raw::upgraded(addr, "anybody").await;
    let messages: Vec<Vec<u8>> = (0..1_000_usize).map(|n| vec![b'a' + (n % 26) as u8; n]).collect();
    let bytes: Vec<u8> = messages.iter().flat_map(|message| frame(FIN | TEXT, message)).collect();
    raw.write(&bytes).await;
    must("all of them", async {
        for message in messages {
            assert_eq!(raw.frame().await.unwrap().payload, message);
        }
    })
    .await;
}
