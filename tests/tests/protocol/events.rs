//! Every event of the protocol: when it is sent, to whom, and its content.

use std::time::Duration;

use chatcore_tests::{Server, must};
use serde_json::{Value, json};

fn user(name: &str) -> Value {
    json!({"id": format!("u_{name}"), "name": name})
}

/// Returns an event's check, which has eight letters, digits or signs.
fn check(event: &Value) -> &str {
    let check = event["check"].as_str().expect("a check");
    assert_eq!(check.len(), 8, "{check}");
    check
}

#[tokio::test]
async fn message_goes_to_all_subscribers_and_the_author() {
    let server = Server::start().await;
    let mut ann = server.member("ann", "general").await;
    let mut bob = server.member("bob", "general").await;
    ann.publish("general", "hi").await;
    for (client, nonce) in [(&mut ann, Some("hi")), (&mut bob, None)] {
        let event = client.event("message").await;
        let mut expected = json!({
            "type": "message", "channel": "general", "seq": 1, "author": user("ann"), "at": event["at"],
            "text": "hi", "check": check(&event),
        });
        if let Some(nonce) = nonce {
            expected["nonce"] = nonce.into();
        }
        assert_eq!(event, expected);
    }
}

#[tokio::test]
async fn edited_deleted_and_reaction_say_who_and_when() {
    let server = Server::start().await;
    let mut ann = server.member("ann", "general").await;
    let mut bob = server.member("bob", "general").await;
    ann.publish("general", "hi").await;
    ann.ok(json!({"type": "edit", "channel": "general", "seq": 1, "text": "ho"})).await;
    bob.ok(json!({"type": "react", "channel": "general", "seq": 1, "emoji": "👍", "on": true})).await;
    ann.ok(json!({"type": "delete", "channel": "general", "seq": 1})).await;
    let expected = [
        json!({"type": "edited", "channel": "general", "seq": 2, "target": 1, "text": "ho", "by": user("ann")}),
        json!({"type": "reaction", "channel": "general", "seq": 3, "target": 1, "emoji": "👍", "on": true, "by": user("bob")}),
        json!({"type": "deleted", "channel": "general", "seq": 4, "target": 1, "by": user("ann")}),
    ];
    assert_eq!(bob.log_event().await["type"], "message");
    for mut expected in expected {
        let event = bob.log_event().await;
        assert!(event["at"].is_string());
        expected["at"] = event["at"].clone();
        expected["check"] = check(&event).into();
        assert_eq!(event, expected);
    }
}

#[tokio::test]
async fn channel_created_goes_to_everyone_who_may_see_it() {
    let server = Server::start().await;
    let mut ann = server.client("ann").await;
    let mut root = server.client("root").await;
    root.ok(json!({"type": "create_channel", "name": "secret"})).await;
    let mut created = root.ok(json!({"type": "create_channel", "name": "news", "topic": "all of it"})).await;
    // Others have not joined it.
    created["channel"]["role"] = json!(null);
    let event = ann.event("channel_created").await;
    assert_eq!(
        event,
        json!({"type": "channel_created", "channel": created["channel"]}),
        "and not the secret one"
    );
}

#[tokio::test]
async fn presence_says_who_comes_and_goes() {
    let server = Server::with(|setup| setup.limits.presence_grace = Duration::ZERO).await;
    let mut ann = server.member("ann", "general").await;
    ann.take_waiting();
    let mut bob = server.member("bob", "general").await;
    let presence = |online: bool| json!({"type": "presence", "channel": "general", "user": user("bob"), "online": online});
    assert_eq!(ann.event("presence").await, presence(true));
    assert_eq!(bob.close().await, 1000);
    assert_eq!(ann.event("presence").await, presence(false));
    drop(server.member("bob", "general").await);
    assert_eq!(ann.event("presence").await, presence(true));
    assert_eq!(ann.event("presence").await, presence(false), "a connection cut off leaves too");
}

#[tokio::test]
async fn typing_goes_to_other_subscribers() {
    let server = Server::with(|setup| setup.limits.typing_interval = Duration::from_secs(3_600)).await;
    let mut ann = server.member("ann", "general").await;
    let mut bob = server.member("bob", "general").await;
    for _ in 0..3 {
        ann.ok(json!({"type": "typing", "channel": "general"})).await;
    }
    ann.publish("general", "done").await;
    let typing = bob.event("typing").await;
    assert_eq!(typing, json!({"type": "typing", "channel": "general", "user": user("ann")}));
    bob.event("message").await;
    bob.ok(json!({"type": "ping"})).await;
    assert!(bob.take_waiting().iter().all(|event| event["type"] != "typing"), "once in the interval");
    ann.ok(json!({"type": "ping"})).await;
    assert!(ann.take_waiting().iter().all(|event| event["type"] != "typing"), "not to its author");
}

#[tokio::test]
async fn unread_reaches_the_users_other_connections() {
    let server = Server::start().await;
    let mut phone = server.member("ann", "general").await;
    let mut laptop = server.member("ann", "general").await;
    let mut bob = server.member("bob", "general").await;
    for text in ["one", "two"] {
        bob.publish("general", text).await;
    }
    phone.ok(json!({"type": "read", "channel": "general", "seq": 2})).await;
    phone.ok(json!({"type": "unread", "channel": "general", "seq": 2})).await;
    assert_eq!(laptop.event("unread").await, json!({"type": "unread", "channel": "general", "seq": 2}));
    // It never moves the marker forward, and returns its position.
    phone.ok(json!({"type": "unread", "channel": "general", "seq": 9})).await;
    assert_eq!(laptop.event("unread").await, json!({"type": "unread", "channel": "general", "seq": 2}));
    for client in [&mut phone, &mut bob] {
        client.ok(json!({"type": "ping"})).await;
        assert!(client.take_waiting().iter().all(|event| event["type"] != "unread"));
    }
}

#[tokio::test]
async fn read_reaches_the_users_other_connections() {
    let server = Server::start().await;
    let mut phone = server.member("ann", "general").await;
    let mut laptop = server.member("ann", "general").await;
    let mut bob = server.member("bob", "general").await;
    phone.publish("general", "hi").await;
    phone.ok(json!({"type": "read", "channel": "general", "seq": 1})).await;
    assert_eq!(laptop.event("read").await, json!({"type": "read", "channel": "general", "seq": 1}));
    for client in [&mut phone, &mut bob] {
        client.ok(json!({"type": "ping"})).await;
        assert!(client.take_waiting().iter().all(|event| event["type"] != "read"));
    }
}

#[tokio::test]
async fn a_client_gets_draining_before_its_close() {
    let mut server = Server::start().await;
    let mut ann = server.member("ann", "general").await;
    server.begin_stop();
    let draining = ann.event("draining").await;
    assert!(draining["retry_ms"].as_u64().is_some_and(|wait| wait > 0), "{draining}");
    assert_eq!(ann.closed().await, 1001);
    must("the server stops", server.stop()).await;
}

#[tokio::test]
async fn a_reader_behind_the_ring_is_told_lagged_and_catches_up() {
    // One read returns more than the ring holds, so many concurrent appends overtake the cursor.
    let server = Server::with(|setup| {
        setup.limits.ring_events = 4;
        setup.limits.commands_per_second = 1_000_000;
        setup.limits.command_burst = 1_000_000;
    })
    .await;
    let mut slow = chatcore_tests::Raw::websocket(server.addr, "slow").await;
    let mut ann = server.member("ann", "general").await;
    let subscribe = json!({"type": "subscribe", "id": 1, "channel": "general"}).to_string();
    slow.write(&chatcore_tests::frame(0x81, subscribe.as_bytes())).await;
    while !slow.frame().await.expect("an answer").payload.starts_with(br#"{"type":"ok""#) {}

    // It reads nothing while more is published than the socket's buffers hold.
    let text = "x".repeat(8_000);
    for n in 0..1_500 {
        let nonce = n.to_string();
        ann.ok(json!({"type": "publish", "channel": "general", "nonce": nonce, "text": text})).await;
        ann.take_waiting();
    }
    let mut last = 0;
    let lagged = loop {
        let frame = slow.frame().await.expect("still connected");
        let event: Value = serde_json::from_slice(&frame.payload).expect("JSON");
        match event["type"].as_str() {
            Some("message") => {
                assert_eq!(event["seq"], last + 1, "no gap before the lag");
                last += 1;
            }
            Some("lagged") => break event,
            _ => {}
        }
    };
    assert_eq!(lagged["channel"], "general");
    assert_eq!(lagged["from"], last + 1);
    assert!(lagged["to"].as_u64() >= lagged["from"].as_u64(), "{lagged}");
}
