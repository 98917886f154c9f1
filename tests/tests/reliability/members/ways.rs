//! Every way to read or change a private channel is closed to a removed member, and to a stranger it looks like none.

use std::io::Cursor;
use std::net::SocketAddr;

use chatcore::ChannelName;
use chatcore_tests::{Answer, Backend, Server, http, on_every_store};
use image::{ImageFormat, RgbImage};
use serde_json::{Value, json};

use super::{frames_of, id, known, private, remove, unlimited};

on_every_store!(
    every_way_to_read_is_closed_after_the_removal,
    a_private_channel_of_others_looks_like_none_in_every_answer,
);

/// Every command that reads or changes a channel.
fn ways_in(channel: &str) -> Vec<Value> {
    let mut ways = vec![
        json!({"type": "subscribe"}),
        json!({"type": "subscribe", "limit": 0}),
        json!({"type": "history", "before": 1_000}),
        json!({"type": "history", "after": 0}),
        json!({"type": "history", "around": 1}),
        json!({"type": "search", "query": "secret"}),
        json!({"type": "members"}),
        json!({"type": "users"}),
        json!({"type": "users", "query": "a"}),
        json!({"type": "read", "seq": 1}),
        json!({"type": "unread", "seq": 1}),
        json!({"type": "publish", "nonce": "1", "text": "x"}),
        json!({"type": "publish", "nonce": "2", "text": "x", "reply_to": 2}),
        json!({"type": "publish", "nonce": "3", "text": "x", "mentions": ["u_ann", "@channel"], "data": {"a": 1}}),
        json!({"type": "edit", "seq": 2, "text": "x"}),
        json!({"type": "delete", "seq": 2}),
        json!({"type": "react", "seq": 2, "emoji": "👍", "on": true}),
        json!({"type": "update_channel", "title": "x"}),
        json!({"type": "update_channel", "archived": true}),
        json!({"type": "add_members", "users": ["u_ann"]}),
        json!({"type": "add_members", "users": ["u_bob"]}),
        json!({"type": "remove_member", "user": "u_ann"}),
        json!({"type": "set_role", "user": "u_bob", "role": "owner"}),
        json!({"type": "set_notify", "notify": "none"}),
        json!({"type": "join"}),
        json!({"type": "leave"}),
    ];
    ways.iter_mut().for_each(|way| way["channel"] = channel.into());
    ways
}

/// A picture that has a preview.
fn picture() -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::new(500, 400).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Everything that a client can do with a file and a known `ETag`: the method, the URL and a header.
fn ways_to_a_file(url: &str, etag: &str) -> Vec<(&'static str, String, String)> {
    let preview = format!("{url}?preview=360");
    let mut ways = Vec::new();
    for method in ["GET", "HEAD"] {
        for header in [
            String::from("Accept: */*"),
            String::from("Range: bytes=0-1"),
            format!("If-None-Match: {etag}"),
            String::from("If-None-Match: *"),
            format!("If-Match: {etag}"),
            format!("If-Range: {etag}\r\nRange: bytes=2-"),
        ] {
            ways.push((method, url.to_owned(), header.clone()));
            ways.push((method, preview.clone(), header));
        }
    }
    ways
}

async fn get(addr: SocketAddr, name: &str, way: &(&str, String, String)) -> Answer {
    http(addr, way.0, &way.1, &[&format!("x-user: {name}"), &way.2], b"").await
}

async fn every_way_to_read_is_closed_after_the_removal(backend: Backend) {
    let server = Server::on(backend, unlimited).await;
    known(&server, &["ann", "bob"]).await;
    let (mut ann, mut bob) = (server.client("ann").await, server.client("bob").await);
    let key = private(&mut ann, &["bob"]).await;
    let post = format!("/chat/channels/{key}/attachments?name=secret.png");
    let file = http(server.addr, "POST", &post, &["x-user: ann"], &picture()).await.json();
    let publish = json!({"type": "publish", "channel": key, "nonce": "p", "text": "secret", "mentions": ["u_bob"],
        "attachments": [file["id"]]});
    let first = ann.ok(publish).await["seq"].clone();
    let reply =
        json!({"type": "publish", "channel": key, "nonce": "r", "text": "secret reply", "reply_to": first});
    ann.ok(reply).await;

    // Everything was open, and is warm in whatever keeps it.
    let opened = bob.ok(json!({"type": "subscribe", "channel": key})).await;
    assert_eq!(opened["messages"][1]["reply_to"], first);
    for (command, list, items) in [
        (json!({"type": "history", "channel": key, "before": 1_000}), "messages", 2),
        (json!({"type": "search", "channel": key, "query": "secret"}), "messages", 2),
        (json!({"type": "search", "query": "secret"}), "messages", 2),
        (json!({"type": "members", "channel": key}), "members", 2),
        (json!({"type": "users", "channel": key}), "users", 2),
        (json!({"type": "channels"}), "channels", 1),
    ] {
        let answer = bob.ok(command.clone()).await;
        assert_eq!(answer[list].as_array().unwrap().len(), items, "{command}: {answer}");
    }
    let url = file["url"].as_str().unwrap();
    let whole = get(server.addr, "bob", &("GET", url.to_owned(), String::from("Accept: */*"))).await;
    let etag = whole.header("etag").unwrap().to_owned();
    let ways = ways_to_a_file(url, &etag);
    for way in &ways {
        let status = get(server.addr, "bob", way).await.status;
        assert!(matches!(status, 200 | 206 | 304 | 412), "{way:?}: {status}");
    }

    remove(&mut ann, &key, "bob").await;
    bob.event("channel_removed").await;
    bob.take_waiting();
    let mut later = server.client("bob").await;
    let resume = json!({"type": "subscribe", "channel": key,
        "after": {"epoch": opened["epoch"], "seq": opened["head"], "check": opened["check"]}});
    for device in [&mut bob, &mut later] {
        for command in ways_in(&key).into_iter().chain([resume.clone()]) {
            device.refused(command, "no_such_channel").await;
        }
        device.refused(json!({"type": "typing", "channel": key}), "not_subscribed").await;
        assert_eq!(device.ok(json!({"type": "search", "query": "secret"})).await["messages"], json!([]));
        for archived in [false, true] {
            let listed = device.ok(json!({"type": "channels", "archived": archived})).await;
            assert_eq!(listed["channels"], json!([]));
        }
    }
    for way in &ways {
        let answer = get(server.addr, "bob", way).await;
        assert_eq!(answer.status, 404, "{way:?}");
        assert_eq!(answer.header("etag"), None, "{way:?}");
    }
    get(server.addr, "bob", &ways[0]).await.assert_error(404, "no_such_attachment");
    http(server.addr, "POST", &post, &["x-user: bob"], b"x").await.assert_error(404, "no_such_channel");

    // No notification, whoever names him, and nothing about anybody there.
    let publish = json!({"type": "publish", "channel": key, "nonce": "q", "text": "@bob",
        "mentions": ["u_bob", "@channel"]});
    let seq = ann.ok(publish).await["seq"].clone();
    ann.ok(json!({"type": "edit", "channel": key, "seq": seq, "text": "!", "mentions": ["u_bob"]})).await;
    ann.ok(json!({"type": "subscribe", "channel": key})).await;
    ann.tell(json!({"type": "typing", "channel": key})).await;
    ann.ok(json!({"type": "update_channel", "channel": key, "title": "Without bob"})).await;
    let page = ann.ok(json!({"type": "history", "channel": key, "before": 1_000, "limit": 1})).await;
    assert_eq!(page["messages"][0]["mentions"], Value::Null, "the mentioned can read it");
    assert_eq!(ann.ok(json!({"type": "users", "channel": key})).await["users"].as_array().unwrap().len(), 1);
    let key = ChannelName::new(&key).unwrap();
    assert_eq!(server.chat.channels_of(&id("bob"), None).await.unwrap().channels.len(), 0);
    assert_eq!(frames_of(&mut bob, key.as_str()).await, Vec::<Value>::new());
    // This one has connected so soon after the removal that it may be told of it.
    let told = frames_of(&mut later, key.as_str()).await;
    assert!(told.iter().all(|frame| frame["type"] == "channel_removed") && told.len() <= 1, "{told:?}");
}

async fn a_private_channel_of_others_looks_like_none_in_every_answer(backend: Backend) {
    let server = Server::on(backend, unlimited).await;
    known(&server, &["ann", "bob", "eve"]).await;
    let (mut ann, mut eve) = (server.client("ann").await, server.client("eve").await);
    let key = private(&mut ann, &["bob"]).await;
    let direct = ann.ok(json!({"type": "open_direct", "users": ["u_bob"]})).await["channel"]["name"].clone();
    for existing in [key.as_str(), direct.as_str().unwrap()] {
        ann.publish(existing, "secret").await;
        let post = |channel: &str| format!("/chat/channels/{channel}/attachments?name=x");
        let file = http(server.addr, "POST", &post(existing), &["x-user: ann"], &picture()).await.json();
        let attached = json!({"type": "publish", "channel": existing, "nonce": "f", "text": "secret",
            "attachments": [file["id"]]});
        ann.ok(attached).await;
        let missing = format!("{}{}", &existing[..3], "a".repeat(existing.len() - 3));
        for (real, invented) in ways_in(existing).into_iter().zip(ways_in(&missing)) {
            let what = real.to_string();
            let mut answers = [eve.ask(real).await, eve.ask(invented).await];
            answers.iter_mut().for_each(|answer| answer["id"] = Value::Null);
            assert_eq!(answers[0], answers[1], "{what}");
            assert_eq!(answers[0]["code"], "no_such_channel", "{what}");
        }
        let create = |name: &str| json!({"type": "create_channel", "name": name});
        for name in [existing, &missing] {
            eve.refused(create(name), "bad_name").await;
        }
        let uploads = [existing, &missing].map(post);
        for path in &uploads {
            http(server.addr, "POST", path, &["x-user: eve"], b"x")
                .await
                .assert_error(404, "no_such_channel");
        }
        let url = file["url"].as_str().unwrap();
        let id = file["id"].as_str().unwrap();
        let invented = url.replace(id, &format!("a_{}", id[2..].chars().rev().collect::<String>()));
        for (real, invented) in ways_to_a_file(url, "\"x\"").iter().zip(ways_to_a_file(&invented, "\"x\"")) {
            let real_answer = get(server.addr, "eve", real).await;
            let invented = get(server.addr, "eve", &invented).await;
            let without_date = |answer: &Answer| {
                let headers = answer.headers.iter().filter(|(name, _)| name != "date").cloned();
                (answer.status, headers.collect::<Vec<_>>(), answer.body.clone())
            };
            assert_eq!(without_date(&real_answer), without_date(&invented), "{real:?}");
            assert_eq!(real_answer.status, 404, "{real:?}");
        }
    }
}
