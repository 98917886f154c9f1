//! Every error code of the protocol, over the socket.

use std::time::Duration;

use chatcore::store::Directory;
use chatcore::testkit::{Faults, FaultyStore};
use chatcore::{ChannelName, MemoryStore, User};
use chatcore_tests::{Server, http};
use serde_json::json;

#[tokio::test]
async fn bad_frame() {
    let server = Server::with(|setup| setup.limits.bad_frames_per_minute = 1_000).await;
    let mut ann = server.client("ann").await;
    for (frame, id) in [
        ("hi", json!(null)),
        ("[]", json!(null)),
        ("{}", json!(null)),
        (r#"{"id":3}"#, json!(3)),
        (r#"{"type":"ping"}"#, json!(null)),
        (r#"{"type":"ping","id":"3"}"#, json!(null)),
        (r#"{"type":7,"id":3}"#, json!(3)),
        (r#"{"type":"subscribe","id":3}"#, json!(3)),
        (r#"{"type":"subscribe","id":3,"channel":7}"#, json!(3)),
        (r#"{"type":"history","id":3,"channel":"a","before":1,"limit":0}"#, json!(3)),
        (r#"{"type":"history","id":3,"channel":"a","before":1,"limit":101}"#, json!(3)),
        (r#"{"type":"subscribe","id":3,"channel":"a","limit":101}"#, json!(3)),
        (r#"{"type":"search","id":3,"channel":"a"}"#, json!(3)),
        (r#"{"type":"search","id":3,"channel":"a","query":7}"#, json!(3)),
        (r#"{"type":"search","id":3,"channel":"a","query":"x","before":-1}"#, json!(3)),
        (r#"{"type":"search","id":3,"channel":"a","query":"x","limit":0}"#, json!(3)),
        (r#"{"type":"search","id":3,"channel":"a","query":"x","limit":51}"#, json!(3)),
        (r#"{"type":"publish","id":3,"channel":"a","nonce":"","text":"x"}"#, json!(3)),
        (r#"{"type":"publish","id":3,"channel":"a","nonce":"n","text":"\ud83d"}"#, json!(3)),
        (r#"{"type":"publish","channel":"a","nonce":"n","text":"\ud83d","id":3}"#, json!(3)),
        (r#"{"type":"publish","id":3,"channel":"a","nonce":"n","text":"x","reply_to":1e999}"#, json!(3)),
        (r#"{"type":"read","id":3,"channel":"a","channel":"b","seq":1}"#, json!(3)),
        (r#"{"type":"ping","id":3}}"#, json!(3)),
        (r#"{"type":"ping","id":3"#, json!(3)),
    ] {
        ann.send(frame).await;
        let answer = ann.frame().await;
        assert_eq!(
            (&answer["type"], &answer["code"]),
            (&json!("error"), &json!("bad_frame")),
            "{frame}: {answer}"
        );
        assert_eq!(answer["id"], id, "{frame}: {answer}");
        assert_eq!(answer["retryable"], false);
    }
    ann.ok(json!({"type": "ping"})).await;
}

#[tokio::test]
async fn an_unknown_field_of_any_value_is_ignored() {
    let server = Server::start().await;
    let mut ann = server.client("ann").await;
    for odd in [r#""\ud83d""#, "1e999", r#"{"a":1,"a":2}"#, &"[".repeat(10_000)] {
        let end = "]".repeat(odd.len() / 10_000 * 10_000);
        ann.send(&format!(r#"{{"type":"ping","id":3,"later":{odd}{end},"text":{odd}{end}}}"#)).await;
        let answer = ann.frame().await;
        assert_eq!((&answer["type"], &answer["id"]), (&json!("ok"), &json!(3)), "{odd:.40}: {answer}");
    }
}

#[tokio::test]
async fn unknown_command() {
    let server = Server::start().await;
    let mut ann = server.client("ann").await;
    ann.refused(json!({"type": "fly"}), "unknown_command").await;
}

#[tokio::test]
async fn too_large() {
    let server = Server::with(|setup| {
        setup.limits.text_chars = 5;
        setup.limits.topic_chars = 5;
        setup.limits.emoji_bytes = 8;
        setup.limits.attachments = 1;
    })
    .await;
    let mut ann = server.member("ann", "general").await;
    ann.publish("general", "ééééé").await;
    let publish = json!({"type": "publish", "channel": "general", "nonce": "n", "text": "éééééé"});
    ann.refused(publish, "too_large").await;
    ann.refused(json!({"type": "edit", "channel": "general", "seq": 1, "text": "sixsix"}), "too_large").await;
    let publish = json!({"type": "publish", "channel": "general", "nonce": "n", "text": "x", "attachments": ["a", "b"]});
    ann.refused(publish, "too_large").await;
    let react = json!({"type": "react", "channel": "general", "seq": 1, "emoji": "123456789", "on": true});
    ann.refused(react, "too_large").await;
    ann.refused(json!({"type": "create_channel", "name": "x", "topic": "sixsix"}), "too_large").await;
    let search = |query: &str| json!({"type": "search", "channel": "general", "query": query});
    ann.ok(search(&"é".repeat(128))).await;
    ann.refused(search(&"é".repeat(129)), "too_large").await;
    ann.ok(search("1 2 3 4 5 6 7 8")).await;
    ann.refused(search("1 2 3 4 5 6 7 8 9"), "too_large").await;
}

#[tokio::test]
async fn empty() {
    let server = Server::start().await;
    let mut ann = server.member("ann", "general").await;
    for text in ["", " \n\t"] {
        let publish = json!({"type": "publish", "channel": "general", "nonce": "n", "text": text});
        ann.refused(publish, "empty").await;
    }
    ann.publish("general", "one").await;
    ann.refused(json!({"type": "edit", "channel": "general", "seq": 1, "text": ""}), "empty").await;
    for query in ["", " \n\u{3000}"] {
        ann.refused(json!({"type": "search", "channel": "general", "query": query}), "empty").await;
    }
}

#[tokio::test]
async fn no_such_channel() {
    let server = Server::start().await;
    let mut ann = server.client("ann").await;
    for channel in ["nowhere", "", "no/name", "../etc"] {
        for command in [
            json!({"type": "subscribe", "channel": channel}),
            json!({"type": "publish", "channel": channel, "nonce": "n", "text": "x"}),
            json!({"type": "edit", "channel": channel, "seq": 1, "text": "x"}),
            json!({"type": "delete", "channel": channel, "seq": 1}),
            json!({"type": "react", "channel": channel, "seq": 1, "emoji": "👍", "on": true}),
            json!({"type": "history", "channel": channel, "before": 1}),
            json!({"type": "search", "channel": channel, "query": "x"}),
            json!({"type": "read", "channel": channel, "seq": 1}),
            json!({"type": "unread", "channel": channel, "seq": 1}),
        ] {
            ann.refused(command, "no_such_channel").await;
        }
    }
}

#[tokio::test]
async fn name_taken_carries_the_channel() {
    let server = Server::start().await;
    let mut ann = server.client("ann").await;
    ann.ok(json!({"type": "create_channel", "name": "rust help"})).await;
    let answer = ann.refused(json!({"type": "create_channel", "name": "RUST-Help"}), "name_taken").await;
    assert_eq!(answer["channel"], "rust-help");
}

#[tokio::test]
async fn bad_name() {
    let server = Server::start().await;
    let mut ann = server.client("ann").await;
    for name in ["", "   ", "a/b", "#a", "..", "🦀", "\u{202e}a", "a\u{0}", &"x".repeat(65)] {
        ann.refused(json!({"type": "create_channel", "name": name}), "bad_name").await;
    }
    ann.ok(json!({"type": "create_channel", "name": "x".repeat(64)})).await;
}

#[tokio::test]
async fn not_subscribed() {
    let server = Server::start().await;
    let mut ann = server.client("ann").await;
    ann.ok(json!({"type": "create_channel", "name": "general"})).await;
    ann.refused(json!({"type": "typing", "channel": "general"}), "not_subscribed").await;
    ann.refused(json!({"type": "unsubscribe", "channel": "general"}), "not_subscribed").await;
}

#[tokio::test]
async fn no_such_message() {
    let server = Server::start().await;
    let mut ann = server.member("ann", "general").await;
    ann.publish("general", "one").await;
    ann.ok(json!({"type": "react", "channel": "general", "seq": 1, "emoji": "👍", "on": true})).await;
    ann.publish("general", "two").await;
    ann.ok(json!({"type": "delete", "channel": "general", "seq": 3})).await;
    // After the head, an event that is not a message, and a deleted message.
    for seq in [0, 2, 3, 99] {
        ann.refused(
            json!({"type": "edit", "channel": "general", "seq": seq, "text": "x"}),
            "no_such_message",
        )
        .await;
        ann.refused(json!({"type": "delete", "channel": "general", "seq": seq}), "no_such_message").await;
        let react = json!({"type": "react", "channel": "general", "seq": seq, "emoji": "👍", "on": true});
        ann.refused(react, "no_such_message").await;
    }
    for seq in [2, 99] {
        let reply =
            json!({"type": "publish", "channel": "general", "nonce": "n", "text": "x", "reply_to": seq});
        ann.refused(reply, "no_such_message").await;
    }
}

#[tokio::test]
async fn no_such_attachment() {
    let server = Server::start().await;
    let mut ann = server.member("ann", "general").await;
    let mut bob = server.member("bob", "general").await;
    bob.ok(json!({"type": "create_channel", "name": "other"})).await;
    let path = "/chat/channels/general/attachments?name=a";
    let id = http(server.addr, "POST", path, &["x-user: ann"], b"x").await.json()["id"].clone();
    let publish = |channel: &str, nonce: &str, id: &serde_json::Value| json!({"type": "publish", "channel": channel, "nonce": nonce, "text": "", "attachments": [id]});
    for id in [json!("a_unknown"), json!(""), json!("../../etc/passwd")] {
        ann.refused(publish("general", "n", &id), "no_such_attachment").await;
    }
    bob.refused(publish("general", "n", &id), "no_such_attachment").await;
    ann.refused(publish("other", "n", &id), "no_such_attachment").await;
    ann.ok(publish("general", "n", &id)).await;
    ann.refused(publish("general", "m", &id), "no_such_attachment").await;
    assert_eq!(ann.ok(publish("general", "n", &id)).await["duplicate"], true);
}

#[tokio::test]
async fn not_allowed_hides_whether_a_channel_exists() {
    let server = Server::start().await;
    let mut root = server.member("root", "secret").await;
    root.publish("secret", "one").await;
    let mut ann = server.member("ann", "general").await;
    ann.publish("general", "mine").await;
    for command in [
        json!({"type": "create_channel", "name": "secret"}),
        json!({"type": "subscribe", "channel": "secret"}),
        json!({"type": "publish", "channel": "secret", "nonce": "n", "text": "x"}),
        json!({"type": "edit", "channel": "secret", "seq": 1, "text": "x"}),
        json!({"type": "delete", "channel": "secret", "seq": 1}),
        json!({"type": "react", "channel": "secret", "seq": 1, "emoji": "👍", "on": true}),
        json!({"type": "history", "channel": "secret", "before": 9}),
        json!({"type": "search", "channel": "secret", "query": "one"}),
        json!({"type": "read", "channel": "secret", "seq": 1}),
        json!({"type": "unread", "channel": "secret", "seq": 1}),
    ] {
        ann.refused(command, "not_allowed").await;
    }
    let channels = ann.ok(json!({"type": "channels"})).await;
    assert_eq!(channels["channels"].as_array().unwrap().len(), 1, "{channels}");

    let mut bob = server.member("bob", "general").await;
    bob.refused(json!({"type": "edit", "channel": "general", "seq": 1, "text": "x"}), "not_allowed").await;
    bob.refused(json!({"type": "delete", "channel": "general", "seq": 1}), "not_allowed").await;
    let mut guest = server.client("guest").await;
    guest.ok(json!({"type": "subscribe", "channel": "general"})).await;
    let publish = json!({"type": "publish", "channel": "general", "nonce": "n", "text": "x"});
    guest.refused(publish, "not_allowed").await;
    guest.refused(json!({"type": "typing", "channel": "general"}), "not_allowed").await;
    guest.refused(json!({"type": "create_channel", "name": "mine"}), "not_allowed").await;
}

#[tokio::test]
async fn rate_limited_says_when_to_retry() {
    let server = Server::with(|setup| {
        setup.limits.commands_per_second = 1;
        setup.limits.command_burst = 3;
    })
    .await;
    let mut ann = server.client("ann").await;
    for _ in 0..3 {
        ann.ok(json!({"type": "ping"})).await;
    }
    let answer = ann.refused(json!({"type": "ping"}), "rate_limited").await;
    let wait = answer["retry_ms"].as_u64().expect("when to retry");
    assert!((1..=1_000).contains(&wait), "{answer}");
}

/// Lets the server read what was sent to it: this request comes after it, on the same thread.
async fn settle(server: &Server) {
    assert_eq!(http(server.addr, "GET", "/", &[], b"").await.status, 404);
}

#[tokio::test]
async fn draining_answers_accepted_commands_and_refuses_new_ones() {
    let store = FaultyStore::new(MemoryStore::new(), Faults::default(), 1);
    let server = Server::over(store.clone(), tempfile::tempdir().unwrap(), |_| ()).await;
    let mut ann = server.member("ann", "general").await;
    // The store holds this command up, and so the end of the connection.
    let held = store.hold();
    let accepted =
        ann.tell(json!({"type": "publish", "channel": "general", "nonce": "n", "text": "x"})).await;
    settle(&server).await;
    server.chat.drain();
    assert_eq!(ann.event("draining").await["type"], "draining");
    let late = ann.tell(json!({"type": "ping"})).await;
    settle(&server).await;
    drop(held);
    assert_eq!(ann.answer(accepted).await["seq"], 1);
    let refused = ann.answer(late).await;
    assert_eq!((&refused["code"], &refused["retryable"]), (&json!("draining"), &json!(true)), "{refused}");
    assert!(refused["retry_ms"].is_u64(), "{refused}");
    assert_eq!(ann.closed().await, 1001);
}

#[tokio::test]
async fn a_failing_store_gives_unavailable() {
    let faults = Faults { before_write: 1.0, ..Faults::default() };
    let store = MemoryStore::new();
    let (name, ann) = (ChannelName::new("general").unwrap(), User::new("u_ann", "ann").unwrap());
    store.create_channel(&name, "", &ann).await.unwrap();
    let server = Server::over(FaultyStore::new(store, faults, 1), tempfile::tempdir().unwrap(), |_| ()).await;
    let mut ann = server.client("ann").await;
    ann.ok(json!({"type": "subscribe", "channel": "general"})).await;
    let publish = json!({"type": "publish", "channel": "general", "nonce": "n", "text": "x"});
    assert!(ann.refused(publish, "unavailable").await["retry_ms"].is_u64());
    ann.refused(json!({"type": "create_channel", "name": "x"}), "unavailable").await;
    let path = "/chat/channels/general/attachments?name=a";
    let answer = http(server.addr, "POST", path, &["x-user: ann"], b"x").await;
    answer.assert_error(503, "unavailable");
    assert!(answer.header("retry-after").is_some());
}

#[tokio::test]
async fn a_rate_limit_ends_after_its_time() {
    // A rate limit slows down the burst, not the rest of the connection.
    let server = Server::with(|setup| {
        setup.limits.commands_per_second = 1_000;
        setup.limits.command_burst = 1;
    })
    .await;
    let mut ann = server.client("ann").await;
    ann.ok(json!({"type": "ping"})).await;
    loop {
        let answer = ann.ask(json!({"type": "ping"})).await;
        if answer["type"] == "ok" {
            break;
        }
        assert_eq!(answer["code"], "rate_limited");
        tokio::time::sleep(Duration::from_millis(answer["retry_ms"].as_u64().expect("a wait"))).await;
    }
}
