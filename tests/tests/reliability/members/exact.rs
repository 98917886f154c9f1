//! A removed member gets every event up to the removal and nothing after it, at whatever node.

use chatcore_tests::{Backend, Client, Server, Traffic, on_every_store};
use serde_json::{Value, json};

use super::{frames_of, known, private, remove, unlimited};

on_every_store!(a_removed_member_gets_all_up_to_the_removal_and_nothing_after);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_at_another_node_is_exact() {
    let ([here, there], _bus) = Server::two(unlimited).await;
    removal_is_exact(&here, &there).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_at_another_node_is_exact_while_the_bus_is_cut() {
    let ([here, there], bus) = Server::two(unlimited).await;
    bus.set(Traffic::Cut);
    removal_is_exact(&here, &there).await;
}

async fn a_removed_member_gets_all_up_to_the_removal_and_nothing_after(backend: Backend) {
    let server = Server::on(backend, unlimited).await;
    removal_is_exact(&server, &server).await;
}

/// Waits until a client gets a message with this text.
async fn reads(client: &mut Client, text: &str) {
    while client.event("message").await["text"] != text {}
}

/// Ann removes bob at one node. He has two devices at the other one, where cid is a member too.
async fn removal_is_exact(here: &Server, there: &Server) {
    known(here, &["ann", "bob", "cid"]).await;
    let (mut ann, mut cid) = (here.client("ann").await, there.client("cid").await);
    let (mut bob, mut phone) = (there.client("bob").await, there.client("bob").await);
    let key = private(&mut ann, &["bob", "cid"]).await;
    for client in [&mut ann, &mut cid] {
        client.ok(json!({"type": "subscribe", "channel": key})).await;
    }
    let head = bob.ok(json!({"type": "subscribe", "channel": key})).await["head"].as_u64().unwrap();
    for n in 0..20 {
        ann.publish(&key, &format!("before {n}")).await;
    }
    let removal = remove(&mut ann, &key, "bob").await;
    for n in 0..20 {
        ann.publish(&key, &format!("after {n}")).await;
    }
    // Cid's node has got all of that, and everything that could tell bob of the channel happens there too.
    reads(&mut cid, "after 19").await;
    let mention =
        json!({"type": "publish", "channel": key, "nonce": "m", "text": "@bob", "mentions": ["u_bob"]});
    cid.ok(mention).await;
    cid.tell(json!({"type": "typing", "channel": key})).await;
    ann.tell(json!({"type": "typing", "channel": key})).await;
    reads(&mut ann, "@bob").await;
    let mut another = there.client("dan").await;
    another.refused(json!({"type": "subscribe", "channel": key}), "no_such_channel").await;

    let gone = json!({"type": "channel_removed", "channel": key, "reason": "removed"});
    assert_eq!(bob.event("channel_removed").await, gone);
    let seqs: Vec<u64> = bob
        .take_waiting()
        .iter()
        .filter(|frame| frame["channel"] == key.as_str() && frame["check"].is_string())
        .map(|frame| frame["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(
        seqs,
        (head + 1..=removal).collect::<Vec<_>>(),
        "none is missing, and none is beyond {removal}"
    );
    assert_eq!(phone.event("channel_removed").await, gone);
    phone.take_waiting();
    for device in [&mut bob, &mut phone] {
        device.refused(json!({"type": "read", "channel": key, "seq": head}), "no_such_channel").await;
        device.refused(json!({"type": "typing", "channel": key}), "not_subscribed").await;
        let listed = device.ok(json!({"type": "channels", "archived": true})).await["channels"].clone();
        assert_eq!(listed, json!([]));
        assert_eq!(frames_of(device, &key).await, Vec::<Value>::new());
    }
    let online = cid.ok(json!({"type": "subscribe", "channel": key})).await["members"].clone();
    assert!(online.as_array().unwrap().iter().all(|user| user["id"] != "u_bob"), "{online}");
}
