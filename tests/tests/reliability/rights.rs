//! When a right ends, so does what depends on it: on sockets, for every path to a channel.
#![allow(clippy::unwrap_used)]

use chatcore::testkit::{Faults, FaultyStore, Random};
use chatcore::{ChannelName, MemoryStore, UserId};
use chatcore_tests::{Client, Server, http, must};
use serde_json::{Value, json};
use tokio::task::yield_now;

fn id(user: &str) -> UserId {
    UserId::new(format!("u_{user}")).unwrap()
}

fn general() -> ChannelName {
    ChannelName::new("general").unwrap()
}

/// Checks that the client is told of its removal, and then receives nothing of the channel.
async fn assert_removed(client: &mut Client) {
    let removed = client.event("channel_removed").await;
    assert_eq!(removed, json!({"type": "channel_removed", "channel": "general", "reason": "removed"}));
    // Frames that were on their way arrive before the response.
    client.take_waiting();
    client.ok(json!({"type": "ping"})).await;
    let later = client.take_waiting();
    assert!(later.iter().all(|frame| frame["channel"] != "general"), "{later:?}");
}

#[tokio::test]
async fn no_path_reaches_a_channel_after_its_right_ended() {
    let server = Server::start().await;
    let mut ann = server.member("ann", "general").await;
    let path = "/chat/channels/general/attachments?name=x";
    let file = http(server.addr, "POST", path, &["x-user: ann"], b"bytes").await.json();
    let files = json!([file["id"]]);
    ann.ok(
        json!({"type": "publish", "channel": "general", "nonce": "n", "text": "hi", "attachments": files}),
    )
    .await;
    let mut bob = server.member("bob", "general").await;
    let url = file["url"].as_str().unwrap();
    let etag = http(server.addr, "GET", url, &["x-user: bob"], b"").await.header("etag").unwrap().to_owned();
    let known = format!("If-None-Match: {etag}");
    assert_eq!(http(server.addr, "GET", url, &["x-user: bob", &known], b"").await.status, 304);
    let position = bob.ok(json!({"type": "subscribe", "channel": "general"})).await;
    let after = json!({"epoch": position["epoch"], "seq": 1});

    server.rules.forbid("bob", "general");
    server.chat.recheck(&id("bob"));
    ann.publish("general", "hidden").await;
    ann.tell(json!({"type": "typing", "channel": "general"})).await;
    assert_eq!(ann.event("presence").await["online"], true, "as he came");
    assert_eq!(ann.event("presence").await["online"], false, "and went, without a grace");
    assert_removed(&mut bob).await;
    for command in [
        json!({"type": "subscribe", "channel": "general"}),
        json!({"type": "subscribe", "channel": "general", "after": after}),
        json!({"type": "history", "channel": "general", "before": 9}),
        json!({"type": "search", "channel": "general", "query": "hi"}),
        json!({"type": "read", "channel": "general", "seq": 1}),
        json!({"type": "unread", "channel": "general", "seq": 1}),
        json!({"type": "publish", "channel": "general", "nonce": "m", "text": "x"}),
        json!({"type": "react", "channel": "general", "seq": 1, "emoji": "👍", "on": true}),
    ] {
        bob.refused(command, "not_allowed").await;
    }
    bob.refused(json!({"type": "typing", "channel": "general"}), "not_subscribed").await;
    assert_eq!(bob.ok(json!({"type": "channels"})).await["channels"], json!([]));
    for headers in [&["x-user: bob"][..], &["x-user: bob", &known], &["x-user: bob", "Range: bytes=0-1"]] {
        http(server.addr, "GET", url, headers, b"").await.assert_error(403, "not_allowed");
    }
    http(server.addr, "POST", path, &["x-user: bob"], b"x").await.assert_error(403, "not_allowed");
    let members = ann.ok(json!({"type": "subscribe", "channel": "general"})).await["members"].clone();
    assert_eq!(members.as_array().unwrap().len(), 1, "{members}");
}

#[tokio::test]
async fn a_revocation_ends_answers_and_subscriptions_on_all_sockets() {
    let store = FaultyStore::new(MemoryStore::new(), Faults::default(), 1);
    let folder = tempfile::tempdir().unwrap();
    let server = Server::over(store.clone(), folder, |_| ()).await;
    let mut ann = server.member("ann", "general").await;
    for n in 0..10 {
        ann.publish("general", &n.to_string()).await;
    }
    let mut sockets = [server.member("bob", "general").await, server.member("bob", "general").await];
    let held = store.hold_answers();
    let [first, second] = &mut sockets;
    let history = first.tell(json!({"type": "history", "channel": "general", "before": 9})).await;
    let search = second.tell(json!({"type": "search", "channel": "general", "query": "1"})).await;
    must("two answers wait", store.answers_held(2)).await;
    server.chat.revoke(&id("bob"), &general());
    drop(held);
    assert_eq!(first.answer(history).await["code"], "not_allowed");
    assert_eq!(second.answer(search).await["code"], "not_allowed");
    ann.publish("general", "later").await;
    for socket in &mut sockets {
        assert_removed(socket).await;
    }
}

const SUBSCRIBERS: usize = 20;
const PUBLISHERS: usize = 4;
const MESSAGES: usize = 150;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_no_frame_follows_channel_removed() {
    let random = Random::from_env();
    let server = Server::with(|setup| {
        (setup.limits.commands_per_second, setup.limits.command_burst) = (1_000_000, 1_000_000);
    })
    .await;
    drop(server.member("owner", "general").await);
    let mut readers = Vec::new();
    for n in 0..SUBSCRIBERS {
        readers.push(tokio::spawn(read_until_removed(server.member(&format!("r{n}"), "general").await)));
    }
    let mut publishers = Vec::new();
    for n in 0..PUBLISHERS {
        let mut publisher = server.member(&format!("p{n}"), "general").await;
        publishers.push(tokio::spawn(async move {
            for m in 0..MESSAGES {
                publisher.publish("general", &format!("{n}-{m}")).await;
                publisher.tell(json!({"type": "typing", "channel": "general"})).await;
            }
        }));
    }
    let mut heads = Vec::new();
    let mut probe = server.client("probe").await;
    for n in 0..SUBSCRIBERS {
        for _ in 0..random.below(200) {
            yield_now().await;
        }
        server.chat.revoke(&id(&format!("r{n}")), &general());
        // Everything with a higher `seq` was published after the call.
        heads.push(probe.publish("general", &format!("after {n}")).await);
    }
    for publisher in publishers {
        must("the publishers end", publisher).await.unwrap();
    }
    for (reader, head) in readers.into_iter().zip(heads) {
        let (mut client, seen) = must("a reader is told", reader).await.unwrap();
        assert!(seen < head, "event {seen} came although the right had ended before {head}");
        client.take_waiting();
        client.ok(json!({"type": "ping"})).await;
        let later = client.take_waiting();
        assert!(later.is_empty(), "{later:?}");
    }
}

/// Reads up to `channel_removed`, and returns the newest `seq` before it.
async fn read_until_removed(mut client: Client) -> (Client, u64) {
    let mut seen = 0;
    loop {
        let frame: Value = client.next().await.unwrap();
        if frame["type"] == "channel_removed" {
            return (client, seen);
        }
        seen = frame["seq"].as_u64().unwrap_or(seen);
    }
}
