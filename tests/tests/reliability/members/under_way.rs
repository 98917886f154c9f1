//! What a member has begun when they are removed, sign out or are erased: it is done before that, or it ends with it.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use chatcore::protocol::CloseReason;
use chatcore::testkit::{Faults, FaultyStore, Random};
use chatcore::{ChannelName, Erasure, Role};
use chatcore_tests::{Backend, Client, Raw, Server, must, on_every_store};
use serde_json::{Value, json};
use tokio::task::yield_now;

use super::{frames_of, id, known, private, remove, unlimited, user};

on_every_store!(
    what_is_under_way_ends_with_the_membership,
    what_is_under_way_ends_with_the_sign_out,
    what_is_under_way_ends_with_the_erasure
);

/// Begins an upload, and returns when the server has accepted it and waits for its bytes.
async fn begun_upload(addr: SocketAddr, name: &str, channel: &str) -> Raw {
    let mut raw = Raw::connect(addr).await;
    let head = format!(
        "POST /chat/channels/{channel}/attachments?name=x HTTP/1.1\r\nHost: x\r\nx-user: {name}\r\n\
         Connection: close\r\nContent-Length: 6\r\nExpect: 100-continue\r\n\r\n"
    );
    raw.write(head.as_bytes()).await;
    assert!(raw.head().await.starts_with("HTTP/1.1 100"));
    raw.write(b"abc").await;
    raw
}

/// Waits until no file is stored, nor a part of one.
async fn no_file_is_left(server: &Server) {
    fn is_empty(folder: &Path) -> bool {
        std::fs::read_dir(folder).unwrap().all(|entry| {
            let path = entry.unwrap().path();
            // The names of files begin with `a_`. Another one is the store's own lock.
            if path.is_dir() {
                is_empty(&path)
            } else {
                !path.file_name().unwrap().as_encoded_bytes().starts_with(b"a_")
            }
        })
    }
    let folder = server.folder().join("blobs");
    must("nothing is left of an upload", async {
        while !is_empty(&folder) {
            yield_now().await;
        }
    })
    .await;
}

/// A server whose store takes its time, at random.
async fn slow(backend: Backend, random: &Random) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let delays = Faults { delay: 0.5, longest_delay: Duration::from_millis(3), ..Faults::default() };
    let store = FaultyStore::new(backend.open(folder.path()).await, delays, random.bits());
    Server::over(store, folder, |setup| {
        unlimited(setup);
        setup.limits.presence_grace = Duration::ZERO;
    })
    .await
}

/// Sends commands without waiting, some turns of the scheduler apart. Returns their ids.
async fn tell_all(client: &mut Client, commands: &[Value], random: &Random) -> Vec<i64> {
    let mut ids = Vec::new();
    for command in commands {
        for _ in 0..random.below(10) {
            yield_now().await;
        }
        ids.push(client.tell(command.clone()).await);
    }
    ids
}

async fn what_is_under_way_ends_with_the_membership(backend: Backend) {
    let random = Random::from_env();
    let server = slow(backend, &random).await;
    known(&server, &["ann", "bob"]).await;
    let (mut ann, mut bob) = (server.client("ann").await, server.client("bob").await);
    let key = private(&mut ann, &[]).await;
    let name = ChannelName::new(&key).unwrap();
    let epoch = ann.ok(json!({"type": "subscribe", "channel": key})).await["epoch"].clone();
    for round in 0..10 {
        let added = server.chat.add_member(&user("ann"), &name, &user("bob")).await.unwrap();
        bob.ok(json!({"type": "subscribe", "channel": key})).await;
        let upload = begun_upload(server.addr, "bob", &key).await;
        let commands = [
            json!({"type": "publish", "channel": key, "nonce": format!("a{round}"), "text": format!("bob {round}")}),
            json!({"type": "history", "channel": key, "before": 1_000}),
            json!({"type": "subscribe", "channel": key, "after": {"epoch": epoch, "seq": added}}),
            json!({"type": "publish", "channel": key, "nonce": format!("b{round}"), "text": format!("bob {round}")}),
        ];
        let removing = async {
            for _ in 0..random.below(40) {
                yield_now().await;
            }
            let removal = remove(&mut ann, &key, "bob").await;
            (removal, ann.publish(&key, &format!("after {round}")).await)
        };
        let ((removal, after), ids) =
            must("both are done", async { tokio::join!(removing, tell_all(&mut bob, &commands, &random)) })
                .await;
        let mut written = Vec::new();
        for (command, id) in commands.iter().zip(ids) {
            let answer = bob.answer(id).await;
            if answer["type"] == "error" {
                assert_eq!(answer["code"], "no_such_channel", "{command}: {answer}");
                continue;
            }
            if command["type"] == "publish" {
                written.push(answer["seq"].as_u64().unwrap());
            }
            let texts = answer.to_string();
            assert!(!texts.contains(&format!("after {round}")), "{command}: {texts}");
        }
        bob.event("channel_removed").await;
        assert!(written.iter().all(|seq| *seq < removal), "{written:?} of {removal}");
        // Whatever of his was stored is before the removal, and was acknowledged.
        let page = ann.ok(json!({"type": "history", "channel": key, "before": after, "limit": 100})).await;
        let his = page["messages"].as_array().unwrap().iter().filter(|message| {
            message["author"]["id"] == "u_bob" && message["text"] == format!("bob {round}")
        });
        let his: Vec<_> = his.map(|message| message["seq"].as_u64().unwrap()).collect();
        assert_eq!(his, written, "round {round}");
        let mut upload = upload;
        upload.write(b"def").await;
        upload.answer().await.assert_error(404, "no_such_channel");
        no_file_is_left(&server).await;
        // What he got is a whole part of the log that ends with the removal.
        let seqs: Vec<u64> = bob
            .take_waiting()
            .iter()
            .filter(|frame| frame["channel"] == key.as_str() && frame["check"].is_string())
            .filter_map(|frame| frame["seq"].as_u64())
            .collect();
        assert!(seqs.iter().all(|seq| *seq <= removal), "{seqs:?} of {removal}");
        assert_eq!(frames_of(&mut bob, &key).await, Vec::<Value>::new(), "round {round}");
    }
}

async fn what_is_under_way_ends_with_the_sign_out(backend: Backend) {
    let random = Random::from_env();
    let server = slow(backend, &random).await;
    known(&server, &["ann", "bob"]).await;
    let mut ann = server.client("ann").await;
    let key = private(&mut ann, &["bob"]).await;
    let name = ChannelName::new(&key).unwrap();
    assert_eq!(server.chat.member(&name, &id("bob")).await.unwrap().unwrap().role, Role::Member);
    let mut last = ann.ok(json!({"type": "subscribe", "channel": key})).await["head"].as_u64().unwrap();
    for round in 0..10 {
        let mut bob = server.client("bob").await;
        let mut upload = begun_upload(server.addr, "bob", &key).await;
        let commands = [
            json!({"type": "publish", "channel": key, "nonce": format!("a{round}"), "text": "bob"}),
            json!({"type": "subscribe", "channel": key}),
            json!({"type": "publish", "channel": key, "nonce": format!("b{round}"), "text": "bob"}),
        ];
        tell_all(&mut bob, &commands, &random).await;
        for _ in 0..random.below(40) {
            yield_now().await;
        }
        server.chat.disconnect(&id("bob"), CloseReason::SignedOut);
        assert_eq!(bob.closed().await, 4100);
        upload.write(b"def").await;
        upload.answer().await.assert_error(403, "not_allowed");
        no_file_is_left(&server).await;
        // What was stored is what the others see: each event once, and none that is in the log alone.
        let end = ann.publish(&key, &format!("after {round}")).await;
        let mut seen = Vec::new();
        while seen.last().is_none_or(|(seq, _)| *seq < end) {
            let event = ann.event("message").await;
            seen.push((event["seq"].as_u64().unwrap(), event["text"].clone()));
        }
        assert_eq!(
            seen.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(),
            (last + 1..=end).collect::<Vec<_>>()
        );
        let page = ann.ok(json!({"type": "history", "channel": key, "before": end + 1, "limit": 100})).await;
        let stored: Vec<_> = page["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| (message["seq"].as_u64().unwrap(), message["text"].clone()))
            .filter(|(seq, _)| *seq > last)
            .collect();
        assert_eq!(seen, stored, "round {round}");
        last = end;
        must("he is not online", async {
            while server.chat.online(&name).contains(&user("bob")) {
                yield_now().await;
            }
        })
        .await;
    }
}

async fn what_is_under_way_ends_with_the_erasure(backend: Backend) {
    let random = Random::from_env();
    let server = slow(backend, &random).await;
    known(&server, &["ann"]).await;
    let mut ann = server.client("ann").await;
    let key = private(&mut ann, &[]).await;
    let name = ChannelName::new(&key).unwrap();
    for round in 0..10 {
        let who = format!("bob{round}");
        known(&server, &[&who]).await;
        server.chat.add_member(&user("ann"), &name, &user(&who)).await.unwrap();
        let mut bob = server.client(&who).await;
        let mut upload = begun_upload(server.addr, &who, &key).await;
        let commands = [
            json!({"type": "publish", "channel": key, "nonce": "a", "text": "bob"}),
            json!({"type": "subscribe", "channel": key}),
            json!({"type": "publish", "channel": key, "nonce": "b", "text": "bob"}),
            json!({"type": "create_channel", "name": format!("c-{who}")}),
            json!({"type": "leave", "channel": key}),
        ];
        tell_all(&mut bob, &commands, &random).await;
        for _ in 0..random.below(40) {
            yield_now().await;
        }
        let erasure = if random.below(2) == 0 { Erasure::Tombstones } else { Erasure::KeepTexts };
        server.chat.erase_user(&id(&who), erasure).await.unwrap();
        assert_eq!(bob.closed().await, 4100);
        upload.write(b"def").await;
        upload.answer().await.assert_error(403, "not_allowed");
        must("the erasure ends", async {
            while !server.chat.erasure(&id(&who)).await.unwrap().expect("erased").done {
                yield_now().await;
            }
        })
        .await;
        no_file_is_left(&server).await;
        let last = ann.publish(&key, "after").await;
        let page = ann.ok(json!({"type": "history", "channel": key, "before": last, "limit": 100})).await;
        for message in page["messages"].as_array().unwrap() {
            if message["author"]["id"] == format!("u_{who}") {
                assert_eq!(message["author"]["name"], "Deleted user", "round {round}: {message}");
                assert_eq!(message["deleted"] == true, erasure == Erasure::Tombstones, "{message}");
            }
        }
        let listed = ann.ok(json!({"type": "channels"})).await.to_string();
        let members = ann.ok(json!({"type": "members", "channel": key})).await.to_string();
        assert!(!listed.contains(&format!("\"name\":\"{who}\"")), "{listed}");
        assert!(!members.contains(&who), "{members}");
        must("nobody shows them as online", async {
            while server.chat.online(&name).iter().any(|user| user.id == id(&who)) {
                yield_now().await;
            }
        })
        .await;
    }
}
