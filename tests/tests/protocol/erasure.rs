//! People who are erased: what others see on the wire, on each store, and on two servers that are one chat.

use chatcore::{Erasure, UserId};
use chatcore_tests::{Backend, Client, Server};
use serde_json::{Value, json};

const BACKENDS: [Backend; 3] = [Backend::Memory, Backend::Redb, Backend::Postgres];

fn zoe() -> UserId {
    UserId::new("u_zoe").expect("an id")
}

fn gone() -> Value {
    json!({"id": "u_zoe", "name": "Deleted user", "deleted": true})
}

async fn done(server: &Server) {
    while !server.chat.erasure(&zoe()).await.expect("the store answers").expect("erased").done {
        tokio::task::yield_now().await;
    }
}

/// Checks that an erased person gets nothing but the close, whatever the app's sign-in still says.
async fn assert_refused(server: &Server) {
    let mut again = Client::connect_raw(server.addr, "zoe").await;
    assert_eq!(again.closed().await, 4100);
    assert_eq!(again.take_waiting(), Vec::<Value>::new(), "no welcome");
}

/// Everything that somebody can read of a channel, as text.
async fn everything(client: &mut Client, channel: &str) -> String {
    let start = client.ok(json!({"type": "subscribe", "channel": channel})).await;
    let after = json!({"epoch": start["epoch"], "seq": 0});
    let mut all = vec![start.clone()];
    for command in [
        json!({"type": "subscribe", "channel": channel, "after": after}),
        json!({"type": "history", "channel": channel, "before": 1000}),
        json!({"type": "search", "channel": channel, "query": "e"}),
        json!({"type": "members", "channel": channel}),
        json!({"type": "channels", "archived": true}),
        json!({"type": "users", "limit": 50}),
    ] {
        all.push(client.ok(command).await);
    }
    format!("{all:?}")
}

/// Has Zoe write, react, edit and invite, in an open, a private and a direct channel. Returns their names.
async fn live(ann: &mut Client, zoe: &mut Client) -> Vec<String> {
    let named = |answer: Value| answer["channel"]["name"].as_str().expect("a name").to_owned();
    let open = named(zoe.ok(json!({"type": "create_channel", "name": "zoes"})).await);
    let private =
        json!({"type": "create_channel", "kind": "private", "title": "Plans", "members": ["u_ann"]});
    let private = named(zoe.ok(private).await);
    let direct = named(zoe.ok(json!({"type": "open_direct", "users": ["u_ann"]})).await);
    for channel in [&open, &private, &direct] {
        for client in [&mut *ann, &mut *zoe] {
            client.ok(json!({"type": "subscribe", "channel": channel})).await;
        }
        let said = ann.publish(channel, "hello there").await;
        let first = zoe.publish(channel, "one here").await;
        zoe.publish(channel, "two here").await;
        zoe.ok(json!({"type": "edit", "channel": channel, "seq": first, "text": "one edited"})).await;
        zoe.ok(json!({"type": "react", "channel": channel, "seq": said, "emoji": "👍", "on": true})).await;
    }
    vec![open, private, direct]
}

#[tokio::test]
async fn nothing_is_read_under_the_name_of_an_erased_person() {
    for backend in BACKENDS {
        for erasure in [Erasure::Tombstones, Erasure::KeepTexts] {
            let server = Server::on(backend, crate::unlimited).await;
            let (mut ann, mut theirs) = (server.client("ann").await, server.client("zoe").await);
            while ann.ok(json!({"type": "users", "limit": 9})).await["users"].as_array().unwrap().len() < 2 {}
            let channels = live(&mut ann, &mut theirs).await;
            let name = r#"name": String("zoe")"#;
            assert!(everything(&mut ann, &channels[0]).await.contains(name), "this test would find the name");

            server.chat.erase_user(&zoe(), erasure).await.expect("it begins");
            assert_eq!(theirs.closed().await, 4100);
            loop {
                let changed = ann.event("user_changed").await;
                if changed["user"]["id"] == "u_zoe" {
                    assert_eq!(changed["user"], gone());
                    break;
                }
            }
            assert_refused(&server).await;
            done(&server).await;
            let tombstones = erasure == Erasure::Tombstones;
            for channel in &channels {
                let left = everything(&mut ann, channel).await;
                assert!(!left.contains(name), "{backend:?} {channel}: {left}");
                assert!(left.contains("hello there"), "{left}");
                assert_eq!(left.contains("one edited"), !tombstones, "{left}");
                let history = ann.ok(json!({"type": "history", "channel": channel, "before": 1000})).await;
                for message in history["messages"].as_array().unwrap() {
                    assert_eq!(message["reactions"], Value::Null, "their reaction is gone");
                    if message["author"]["id"] == "u_zoe" {
                        assert_eq!((&message["author"], message["deleted"] == true), (&gone(), tombstones));
                    }
                }
            }
            let members = |answer: &Value| {
                let members = answer["members"].as_array().expect("a list").iter();
                members.map(|one| (one["user"]["id"].clone(), one["role"].clone())).collect::<Vec<_>>()
            };
            let left = ann.ok(json!({"type": "members", "channel": channels[1]})).await;
            assert_eq!(members(&left), [(json!("u_ann"), json!("owner"))]);
            assert_refused(&server).await;
            // It waits for clients that don't answer its close.
            drop((ann, theirs));
            server.stop().await;
        }
    }
}

#[tokio::test]
async fn an_erased_person_is_gone_from_two_servers() {
    let ([here, there], _proxy) = Server::two(crate::unlimited).await;
    let (mut ann, mut theirs) = (there.client("ann").await, there.client("zoe").await);
    while ann.ok(json!({"type": "users", "limit": 9})).await["users"].as_array().unwrap().len() < 2 {}
    let channels = live(&mut ann, &mut theirs).await;
    here.chat.erase_user(&zoe(), Erasure::Tombstones).await.expect("it begins");
    assert_eq!(theirs.closed().await, 4100);
    done(&there).await;
    for server in [&here, &there] {
        assert_refused(server).await;
    }
    let mut bob = here.client("bob").await;
    for (client, channel) in [(&mut ann, &channels[1]), (&mut bob, &channels[0])] {
        let left = everything(client, channel).await;
        assert!(!left.contains(r#"name": String("zoe")"#), "{left}");
        assert!(!left.contains("one edited") && left.contains("hello there"), "{left}");
    }
}
