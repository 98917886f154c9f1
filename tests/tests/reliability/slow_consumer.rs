//! A socket that never reads costs the others nothing, and receives what it missed when it comes back.

use std::time::Duration;

use chatcore_tests::{Raw, Server, Setup, frame};
use serde_json::{Value, json};

/// More events than the buffers of a socket and a ring hold together.
const EVENTS: u64 = 1_500;

fn small_ring(setup: &mut Setup) {
    // Large enough that a socket is stuck before its subscription lags.
    setup.limits.ring_events = 256;
    // The response to a resume over 300 long events fits.
    setup.limits.answer_bytes = 4 << 20;
    setup.limits.commands_per_second = 1_000_000;
    setup.limits.command_burst = 1_000_000;
}

/// Subscribes a raw client to `general`, and returns its position.
async fn subscribe(raw: &mut Raw, after: Value) -> Value {
    let command = json!({"type": "subscribe", "id": 1, "channel": "general", "after": after});
    raw.write(&frame(0x81, command.to_string().as_bytes())).await;
    loop {
        let frame = raw.frame().await.expect("an open connection");
        let answer: Value = serde_json::from_slice(&frame.payload).expect("JSON");
        if answer["type"] == "ok" {
            return answer;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_never_reads_does_not_delay_others() {
    let server = Server::with(small_ring).await;
    let mut ann = server.member("ann", "general").await;
    let mut bob = server.member("bob", "general").await;
    let mut stuck = Vec::new();
    for n in 0..5 {
        let mut raw = Raw::websocket(server.addr, &format!("stuck{n}")).await;
        subscribe(&mut raw, Value::Null).await;
        stuck.push(raw);
    }
    let text = "x".repeat(8_000);
    for n in 1..=EVENTS {
        let publish = json!({"type": "publish", "channel": "general", "nonce": n.to_string(), "text": text});
        assert_eq!(ann.ok(publish).await["seq"], n);
        ann.take_waiting();
        // Bob has each event before the next is published.
        assert_eq!(bob.event("message").await["seq"], n);
    }

    // When it reads again, it gets a gapless beginning, then `lagged`, and from its position the rest.
    let raw = &mut stuck[0];
    let mut last = 0;
    let lagged = loop {
        let frame = raw.frame().await.expect("an open connection");
        let event: Value = serde_json::from_slice(&frame.payload).expect("JSON");
        match event["type"].as_str() {
            Some("message") => {
                last += 1;
                assert_eq!(event["seq"], last);
            }
            Some("lagged") => break event,
            _ => {}
        }
    };
    assert_eq!((&lagged["from"], &lagged["to"]), (&json!(last + 1), &json!(EVENTS)));
    let epoch = bob.ok(json!({"type": "subscribe", "channel": "general", "limit": 0})).await["epoch"].clone();
    let answer = subscribe(raw, json!({"epoch": epoch, "seq": EVENTS - 300})).await;
    assert_eq!((&answer["reset"], answer["events"].as_array().expect("events").len()), (&json!(false), 300));
    let answer = subscribe(raw, json!({"epoch": epoch, "seq": 1})).await;
    assert_eq!(
        (&answer["reset"], &answer["head"]),
        (&json!(true), &json!(EVENTS)),
        "too far back is a reset"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stuck_socket_is_closed_and_resumes_by_position() {
    let server = Server::with(|setup| {
        small_ring(setup);
        setup.config.write_timeout = Duration::from_millis(200);
        // Nobody reads until everything is published, however long that takes.
        setup.config.close_timeout = Duration::from_secs(3_600);
        setup.limits.presence_grace = Duration::ZERO;
    })
    .await;
    let mut ann = server.member("ann", "general").await;
    let mut raw = Raw::websocket(server.addr, "stuck").await;
    let epoch = subscribe(&mut raw, Value::Null).await["epoch"].clone();
    let text = "x".repeat(8_000);
    for n in 1..=EVENTS {
        let publish = json!({"type": "publish", "channel": "general", "nonce": n.to_string(), "text": text});
        ann.ok(publish).await;
    }
    loop {
        let presence = ann.event("presence").await;
        if presence["online"] == false {
            assert_eq!(presence["user"]["id"], "u_stuck");
            break;
        }
    }

    // It reads what was on its way, without a gap, and then the reason why there is no more.
    let mut last = 0_u64;
    let code = loop {
        let frame = raw.frame().await.expect("a close before the end");
        if frame.opcode == 8 {
            break u16::from_be_bytes([frame.payload[0], frame.payload[1]]);
        }
        let event: Value = serde_json::from_slice(&frame.payload).unwrap_or_default();
        if event["type"] == "message" {
            last += 1;
            assert_eq!(event["seq"], last);
        }
    };
    assert_eq!(code, 4001);
    let mut raw = Raw::websocket(server.addr, "stuck").await;
    let answer = subscribe(&mut raw, json!({"epoch": epoch, "seq": last})).await;
    assert_eq!(answer["head"], EVENTS);
    let reset = EVENTS - last > 500;
    assert_eq!(answer["reset"], reset, "{last} of {EVENTS}");
}

#[tokio::test]
async fn a_full_mailbox_closes_its_connection_as_too_slow() {
    let server = Server::with(|setup| {
        small_ring(setup);
        setup.limits.mailbox = 16;
        setup.limits.topic_chars = 60_000;
        setup.limits.channels_at_once = u32::MAX;
    })
    .await;
    let mut eve = Raw::websocket(server.addr, "eve").await;
    let mut ann = server.client("ann").await;
    let topic = "x".repeat(60_000);
    // She reads nothing: events outside of logs fill her socket, then her mailbox. Others continue.
    let mut created = 0;
    while server.chat.connections() == 2 {
        created += 1;
        assert!(created < 1_000, "the mailbox has a bound");
        ann.ok(json!({"type": "create_channel", "name": format!("c{created}"), "topic": topic})).await;
        ann.take_waiting();
    }
    assert_eq!(eve.closed().await, Some(4001));
    ann.ok(json!({"type": "ping"})).await;
}
