//! Pictures of people, on real sockets and each store.

use chatcore::{Avatar, UserId};
use chatcore_tests::{Backend, Server};
use serde_json::json;

async fn a_picture_is_told_and_listed(backend: Backend) {
    let server = Server::on(backend, crate::unlimited).await;
    let (mut ann, mut bob) = (server.member("ann", "general").await, server.member("bob", "general").await);
    let users = || json!({"type": "users", "channel": "general"});
    while ann.ok(users()).await["users"].as_array().expect("a list").len() < 2 {}
    bob.ok(json!({"type": "join", "channel": "general"})).await;

    let id = UserId::new("u_bob").expect("an id");
    let picture = Avatar::new("https://example.com/bob.png").expect("a URL");
    server.chat.put_profile(&id, "Robert", Some(picture)).await.expect("a profile is stored");
    let robert = json!({"id": "u_bob", "name": "Robert", "avatar": "https://example.com/bob.png"});
    assert_eq!(ann.event("user_changed").await["user"], robert, "{backend:?}");
    assert_eq!(ann.ok(users()).await["users"][1], robert, "{backend:?}");
    let members = ann.ok(json!({"type": "members", "channel": "general"})).await;
    assert_eq!(members["members"][1]["user"], robert, "{backend:?}");
    let opened = ann.ok(json!({"type": "open_direct", "users": ["u_bob"]})).await;
    assert_eq!(opened["channel"]["users"], json!([{"id": "u_ann", "name": "ann"}, robert]), "{backend:?}");

    bob.publish("general", "hello").await;
    let author = ann.event("message").await["author"].clone();
    assert_eq!(author, json!({"id": "u_bob", "name": "bob"}), "{backend:?}: the name of the session alone");

    server.chat.put_profile(&id, "Robert", None).await.expect("a profile is stored");
    let plain = json!({"id": "u_bob", "name": "Robert"});
    assert_eq!(ann.event("user_changed").await["user"], plain, "{backend:?}");
    assert_eq!(ann.ok(users()).await["users"][1], plain, "{backend:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_picture_is_told_and_listed_in_memory() {
    a_picture_is_told_and_listed(Backend::Memory).await;
}

#[tokio::test]
async fn a_picture_is_told_and_listed_in_redb() {
    a_picture_is_told_and_listed(Backend::Redb).await;
}

#[tokio::test]
async fn a_picture_is_told_and_listed_in_postgres() {
    a_picture_is_told_and_listed(Backend::Postgres).await;
}
