//! Every close code of the protocol, and what a connection leaves behind.

use chatcore::UserId;
use chatcore::protocol::CloseReason;
use chatcore_tests::{Client, Raw, Server, frame};
use serde_json::json;

#[tokio::test]
async fn close_1000_is_answered_with_1000_and_1001_with_1001() {
    let server = Server::start().await;
    assert_eq!(server.client("ann").await.close().await, 1000);
    let mut raw = Raw::websocket(server.addr, "ann").await;
    raw.write(&frame(0x88, &1001_u16.to_be_bytes())).await;
    assert_eq!(raw.closed().await, Some(1001));
    assert!(raw.rest().await.is_empty(), "and the server ends the connection");
}

#[tokio::test]
async fn close_1001_when_the_server_goes_away() {
    let server = Server::start().await;
    let mut ann = server.member("ann", "general").await;
    server.chat.drain();
    assert_eq!(ann.closed().await, 1001);
}

#[tokio::test]
async fn close_1002_for_a_frame_that_breaks_the_protocol() {
    let server = Server::start().await;
    let unmasked = b"\x81\x02hi".to_vec();
    let reserved_bit = frame(0xc1, b"hi");
    let reserved_opcode = frame(0x83, b"hi");
    let long_ping = frame(0x89, &[0; 126]);
    let fragmented_ping = frame(0x09, b"");
    let lone_continuation = frame(0x80, b"hi");
    let begun_twice = [frame(0x01, b"a"), frame(0x01, b"b")].concat();
    let short_close = frame(0x88, b"x");
    for bytes in [
        unmasked,
        reserved_bit,
        reserved_opcode,
        long_ping,
        fragmented_ping,
        lone_continuation,
        begun_twice,
        short_close,
    ] {
        let mut raw = Raw::websocket(server.addr, "ann").await;
        raw.write(&bytes).await;
        assert_eq!(raw.closed().await, Some(1002), "{bytes:x?}");
    }
}

#[tokio::test]
async fn close_1003_for_a_binary_frame() {
    let server = Server::start().await;
    let mut ann = server.client("ann").await;
    ann.send_binary(b"{\"type\":\"ping\",\"id\":1}").await;
    assert_eq!(ann.closed().await, 1003);
}

#[tokio::test]
async fn close_1007_for_text_that_is_not_utf_8() {
    let server = Server::start().await;
    let broken = [frame(0x81, b"{\"type\":\"\xff\"}"), [frame(0x01, b"\xc3"), frame(0x80, b"(")].concat()];
    for bytes in broken {
        let mut raw = Raw::websocket(server.addr, "ann").await;
        raw.write(&bytes).await;
        assert_eq!(raw.closed().await, Some(1007), "{bytes:x?}");
    }
}

#[tokio::test]
async fn close_1009_for_a_frame_over_the_limit() {
    let server = Server::with(|setup| setup.limits.frame_bytes = 1_000).await;
    let ping = json!({"type": "ping", "id": 1, "pad": ""}).to_string();
    let padded =
        |len: usize| ping.replace("\"pad\":\"\"", &format!("\"pad\":\"{}\"", "x".repeat(len - ping.len())));
    let mut ann = server.client("ann").await;
    ann.send(padded(1_000)).await;
    assert_eq!(ann.frame().await["type"], "ok", "at the limit");
    ann.send(padded(1_001)).await;
    assert_eq!(ann.closed().await, 1009, "one byte past it");

    // The length alone is enough: the server waits for nothing and reserves nothing.
    let mut raw = Raw::websocket(server.addr, "ann").await;
    raw.write(b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0").await;
    assert_eq!(raw.closed().await, Some(1009));
    let mut raw = Raw::websocket(server.addr, "ann").await;
    raw.write(&[frame(0x01, &[b'x'; 600]), frame(0x80, &[b'x'; 401])].concat()).await;
    assert_eq!(raw.closed().await, Some(1009), "fragments count together");
}

#[tokio::test]
async fn close_4000_for_too_many_malformed_frames() {
    let server = Server::with(|setup| setup.limits.bad_frames_per_minute = 20).await;
    let mut ann = server.client("ann").await;
    for _ in 0..20 {
        ann.send("what?").await;
        assert_eq!(ann.frame().await["code"], "bad_frame");
    }
    ann.send("what?").await;
    assert_eq!(ann.closed().await, 4000);
}

#[tokio::test]
async fn close_4000_for_too_many_connections() {
    let server = Server::with(|setup| {
        setup.limits.connections = 3;
        setup.limits.connections_per_user = 2;
    })
    .await;
    let _one = server.client("ann").await;
    let _two = server.client("ann").await;
    assert_eq!(Client::connect_raw(server.addr, "ann").await.closed().await, 4000, "of one user");
    let mut bob = server.client("bob").await;
    assert_eq!(Client::connect_raw(server.addr, "cid").await.closed().await, 4000, "of all");
    assert_eq!(bob.close().await, 1000);
    bob = loop {
        // The slot is free as soon as the server has finished closing.
        let mut next = Client::connect_raw(server.addr, "bob").await;
        match next.next().await {
            Ok(_) => break next,
            Err(code) => assert_eq!(code, Some(4000)),
        }
    };
    bob.ok(json!({"type": "ping"})).await;
}

#[tokio::test]
async fn close_4002_when_the_server_drains() {
    let server = Server::start().await;
    server.chat.drain();
    let mut late = Client::connect_raw(server.addr, "ann").await;
    assert_eq!(late.closed().await, 4002);
    assert!(late.take_waiting().is_empty(), "and no welcome");
}

#[tokio::test]
async fn close_4100_and_4101_end_one_users_connections() {
    let server = Server::start().await;
    for (reason, code) in [(CloseReason::SignedOut, 4100), (CloseReason::Banned, 4101)] {
        let mut ann = [server.client("ann").await, server.client("ann").await];
        let mut bob = server.client("bob").await;
        server.chat.disconnect(&UserId::new("u_ann").unwrap(), reason);
        for client in &mut ann {
            assert_eq!(client.closed().await, code);
        }
        bob.ok(json!({"type": "ping"})).await;
    }
}

#[tokio::test]
async fn commands_accepted_before_a_close_are_stored() {
    let server = Server::start().await;
    let mut bob = server.member("bob", "general").await;
    let mut ann = server.client("ann").await;
    for n in 0..20 {
        let nonce = n.to_string();
        ann.tell(json!({"type": "publish", "channel": "general", "nonce": nonce, "text": "x"})).await;
    }
    ann.close().await;
    for seq in 1..=20 {
        assert_eq!(bob.event("message").await["seq"], seq);
    }
}
