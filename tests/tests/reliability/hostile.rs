//! Clients that misbehave are refused or disconnected, and nobody else notices.

use std::time::Duration;

use chatcore_tests::{Client, Frame, Raw, Server, Setup, frame, http, must};
use serde_json::{Value, json};

/// Checks that the chat of another user continues undisturbed.
async fn assert_unharmed(server: &Server, ann: &mut Client, text: &str) {
    let mut bob = server.client("bob").await;
    bob.ok(json!({"type": "subscribe", "channel": "general", "limit": 0})).await;
    ann.publish("general", text).await;
    assert_eq!(bob.event("message").await["text"], text);
    assert_eq!(bob.close().await, 1000);
}

#[tokio::test]
async fn malformed_frames_are_answered_and_harm_no_one() {
    let server = Server::with(|setup| setup.limits.bad_frames_per_minute = 1_000).await;
    let mut ann = server.member("ann", "general").await;
    let mut eve = server.client("eve").await;
    let deep = format!(r#"{{"type":"read","id":1,"channel":{}{}}}"#, "[".repeat(20_000), "]".repeat(20_000));
    let many = format!("{{{}\"type\":\"ping\"}}", "\"a\":1,".repeat(8_000));
    let big = format!(r#"{{"type":"read","id":1,"channel":"general","seq":{}}}"#, "9".repeat(1_000));
    for text in [
        "",
        " ",
        "null",
        "0",
        "\"",
        "{",
        "}",
        "[[]]",
        "{\"type\":null,\"id\":1}",
        "{\"type\":\"\",\"id\":1}",
        "{\"type\":\"ping\",\"id\":1.5}",
        "{\"type\":\"ping\",\"id\":99999999999999999999}",
        "{\"type\":\"ping\",\"id\":1}{}",
        "{\"type\":\"read\",\"id\":1,\"channel\":\"general\",\"seq\":-1}",
        "\u{feff}{}",
        "{\"type\":\"ping\\u0000\",\"id\":1}",
        "{\"type\":\"publish\",\"id\":1,\"channel\":\"general\",\"nonce\":\"n\",\"text\":\"a\\u0000b\"}",
        "{\"type\":\"publish\",\"id\":1,\"channel\":\"general\",\"nonce\":\"n\",\"text\":\"\\ud800\"}",
        &deep,
        &many,
        &big,
    ] {
        eve.send(text).await;
        let answer = eve.frame().await;
        assert_eq!(answer["type"], "error", "{text:.80}: {answer}");
        assert!(answer.to_string().len() < 1_000, "an answer does not repeat what it was sent");
    }
    eve.ok(json!({"type": "ping"})).await;
    assert_unharmed(&server, &mut ann, "fine").await;
}

#[tokio::test]
async fn texts_that_look_like_code_come_back_unchanged() {
    let server = Server::start().await;
    let mut ann = server.member("ann", "general").await;
    let texts = [
        "<script>alert(1)</script>",
        "'; DROP TABLE channel; --",
        "\u{202e}abc\u{200b}",
        "{\"type\":\"ok\"}",
        "\\\"\\n\u{7f}\u{1}",
        "👩‍👩‍👧‍👦 नमस्ते \u{fffd}",
    ];
    for (n, text) in texts.into_iter().enumerate() {
        ann.ok(json!({"type": "publish", "channel": "general", "nonce": n.to_string(), "text": text})).await;
        assert_eq!(ann.event("message").await["text"], text);
    }
}

#[tokio::test]
async fn paths_lead_nowhere_else() {
    let server = Server::start().await;
    let mut ann = server.member("ann", "general").await;
    for path in [
        "/chat/../../../etc/passwd",
        "/chat/ui/../../../etc/passwd",
        "/chat/ui/..%2f..%2fetc%2fpasswd",
        "/chat/ui/%00",
        "/chat/attachments/%2e%2e%2f%2e%2e%2fetc/passwd",
        "/chat/attachments/%00/x",
        "/chat/attachments/%ff/x",
        "//chat/ws",
        "/chat//ws",
        "/CHAT/ws",
    ] {
        let answer = http(server.addr, "GET", path, &["x-user: eve"], b"").await;
        assert_eq!(answer.status, 404, "{path}");
    }
    let mut raw = Raw::connect(server.addr).await;
    raw.write(b"GET \x00\xff HTTP/1.1\r\n\r\n").await;
    assert!(raw.rest().await.starts_with(b"HTTP/1.1 400 "));
    let mut raw = Raw::connect(server.addr).await;
    raw.write(format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(1 << 20)).as_bytes()).await;
    let refused = raw.rest().await;
    assert!(refused.starts_with(b"HTTP/1.1 4"), "{:?}", String::from_utf8_lossy(&refused));
    assert_unharmed(&server, &mut ann, "fine").await;
}

fn short_times(setup: &mut Setup) {
    setup.config.upload_idle = Duration::from_millis(100);
    setup.config.close_timeout = Duration::from_millis(500);
    setup.http.header_timeout = Duration::from_millis(200);
}

#[tokio::test]
async fn slow_requests_are_cut_off() {
    let server = Server::with(short_times).await;
    let mut ann = server.member("ann", "general").await;
    let mut silent = Raw::connect(server.addr).await;
    let mut slow = Raw::connect(server.addr).await;
    slow.write(b"GET /chat/ws HTTP/1.1\r\nHost: x\r\nx-a: ").await;
    let mut upload = Raw::connect(server.addr).await;
    let head = "POST /chat/channels/general/attachments?name=a HTTP/1.1\r\nHost: x\r\nx-user: eve\r\nContent-Length: 9";
    upload.write(format!("{head}\r\n\r\nabc").as_bytes()).await;
    assert!(silent.rest().await.len() < 1_000, "a connection that says nothing");
    slow.rest().await;
    upload.answer().await.assert_error(422, "bad_frame");
    assert_unharmed(&server, &mut ann, "fine").await;
}

#[tokio::test]
async fn an_interrupted_upload_leaves_nothing() {
    let server = Server::start().await;
    let mut ann = server.member("ann", "general").await;
    let mut raw = Raw::connect(server.addr).await;
    let head = "POST /chat/channels/general/attachments?name=a HTTP/1.1\r\nHost: x\r\nx-user: eve\r\nContent-Length: 9";
    raw.write(format!("{head}\r\n\r\nabc").as_bytes()).await;
    drop(raw);
    let mut raw = Raw::connect(server.addr).await;
    let head = "POST /chat/channels/general/attachments?name=a HTTP/1.1\r\nHost: x\r\nx-user: eve\r\nTransfer-Encoding: chunked";
    raw.write(format!("{head}\r\n\r\nzz\r\nabc").as_bytes()).await;
    let answer = String::from_utf8_lossy(&raw.rest().await).into_owned();
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert_unharmed(&server, &mut ann, "fine").await;
}

#[tokio::test]
async fn names_of_uploads_can_not_inject_headers() {
    let server = Server::start().await;
    let mut ann = server.member("ann", "general").await;
    let name = "a%22%3B%20x%3D%22%E2%80%AEgpj.exe";
    let path = format!("/chat/channels/general/attachments?name={name}");
    let attachment = http(server.addr, "POST", &path, &["x-user: ann"], b"x").await.json();
    let url = attachment["url"].as_str().unwrap();
    let answer = http(server.addr, "GET", url, &["x-user: ann"], b"").await;
    let disposition = answer.header("content-disposition").unwrap();
    assert_eq!(
        disposition,
        "attachment; filename=\"a_; x=__gpj.exe\"; filename*=UTF-8''a%22%3B%20x%3D%22_gpj.exe"
    );
    assert_unharmed(&server, &mut ann, "fine").await;
}

#[tokio::test]
async fn a_ping_flood_from_a_client_that_never_reads_is_not_read() {
    let server = Server::with(|setup| {
        setup.config.write_timeout = Duration::from_millis(500);
        setup.config.close_timeout = Duration::from_millis(100);
        // Unlimited rates.
        (setup.limits.commands_per_second, setup.limits.command_burst) = (u32::MAX, u32::MAX);
    })
    .await;
    let mut ann = server.member("ann", "general").await;
    let mut eve = Raw::websocket(server.addr, "eve").await;
    let pings = frame(0x89, &[b'x'; 125]).repeat(500);
    // The pongs fill her socket, then her pings fill the server's: there it ends, since the server reads no
    // further. It holds one pong for her.
    let mut sent = 0;
    let flood = async {
        while eve.writable().await.is_ok() {
            match eve.try_write(&pings) {
                Ok(count) => sent += count,
                Err(_) => return,
            }
        }
    };
    must("the flood ends", flood).await;
    assert!(sent < 64 << 20, "{sent} bytes were taken");
    assert_unharmed(&server, &mut ann, "fine").await;
}

#[tokio::test]
async fn pings_are_answered_in_order_between_commands() {
    let server = Server::start().await;
    let mut raw = Raw::websocket(server.addr, "ann").await;
    let mut bytes = Vec::new();
    for n in 0..100_u8 {
        bytes.extend(frame(0x89, &[n]));
        bytes.extend(frame(0x81, format!(r#"{{"type":"ping","id":{n}}}"#).as_bytes()));
    }
    raw.write(&bytes).await;
    let (mut pongs, mut answers) = (Vec::new(), Vec::new());
    while pongs.len() < 100 || answers.len() < 100 {
        let Frame { opcode, payload } = raw.frame().await.expect("an open connection");
        match opcode {
            10 => pongs.push(payload),
            _ => answers.push(serde_json::from_slice::<Value>(&payload).unwrap()["id"].as_u64().unwrap()),
        }
    }
    assert_eq!(pongs, (0..100).map(|n| vec![n]).collect::<Vec<_>>());
    assert_eq!(answers, (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_command_may_arrive_in_single_byte_fragments() {
    let server = Server::start().await;
    let mut raw = Raw::websocket(server.addr, "ann").await;
    let command = br#"{"type":"ping","id":7,"x":"\u00e9"}"#;
    let last = command.len() - 1;
    for (at, byte) in command.iter().enumerate() {
        let first = match at {
            0 => 0x01,
            _ if at == last => 0x80,
            _ => 0x00,
        };
        raw.write(&frame(first, &[*byte])).await;
        raw.write(&frame(0x89, b"")).await;
    }
    let answer = loop {
        let frame = raw.frame().await.expect("an open connection");
        if frame.opcode == 1 {
            break frame.payload;
        }
    };
    assert_eq!(serde_json::from_slice::<Value>(&answer).unwrap(), json!({"type": "ok", "id": 7}));
    for byte in frame(0x81, br#"{"type":"ping","id":8}"#) {
        raw.write(&[byte]).await;
    }
    while !raw.frame().await.expect("an open connection").payload.ends_with(br#""id":8}"#) {}
}

#[tokio::test]
async fn endless_fragments_are_bounded_by_their_sum() {
    let server = Server::with(|setup| setup.limits.frame_bytes = 10_000).await;
    let mut ann = server.member("ann", "general").await;
    let mut eve = Raw::websocket(server.addr, "eve").await;
    let mut bytes = frame(0x01, b"");
    for _ in 0..2_000 {
        bytes.extend(frame(0x00, b"xxxxxxxxxx"));
    }
    eve.write(&bytes).await;
    assert_eq!(eve.closed().await, Some(1009));
    assert_unharmed(&server, &mut ann, "fine").await;
}

#[tokio::test]
async fn a_client_that_loses_its_connection_does_not_disturb_others() {
    let server = Server::start().await;
    let mut ann = server.member("ann", "general").await;
    for n in 0..50_u32 {
        let mut eve = Raw::websocket(server.addr, "eve").await;
        let subscribe = json!({"type": "subscribe", "id": 1, "channel": "general"}).to_string();
        eve.write(&frame(0x81, subscribe.as_bytes())).await;
        // Some disconnect before the response, some within a frame, some with a protocol error.
        match n % 3 {
            0 => {}
            1 => eve.write(b"\x81\xfe\xff").await,
            _ => eve.write(b"\xff\xff\xff\xff\xff\xff\xff").await,
        }
        drop(eve);
        ann.publish("general", &n.to_string()).await;
    }
    for n in 0..50_u32 {
        assert_eq!(ann.event("message").await["text"], n.to_string());
    }
    assert_unharmed(&server, &mut ann, "fine").await;
}

#[tokio::test]
async fn pipelined_commands_over_the_limit_wait() {
    let server = Server::with(|setup| {
        setup.limits.commands_in_flight = 2;
        setup.limits.commands_per_second = 1_000_000;
        setup.limits.command_burst = 1_000_000;
    })
    .await;
    let mut ann = server.member("ann", "general").await;
    let mut ids = Vec::new();
    for n in 0..500 {
        let nonce = n.to_string();
        ids.push(
            ann.tell(json!({"type": "publish", "channel": "general", "nonce": nonce, "text": "x"})).await,
        );
    }
    for (n, id) in ids.into_iter().enumerate() {
        assert_eq!(ann.answer(id).await["seq"], n as u64 + 1);
    }
}
