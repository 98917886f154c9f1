//! What a member finds who was removed and comes back, and what renames leave as it was.

use chatcore::User;
use chatcore_tests::{Backend, Server, http, on_every_store};
use serde_json::{Value, json};

use super::{id, known, private_with, remove, unlimited};

on_every_store!(a_return_shows_the_gap_only_with_the_whole_history, links_and_mentions_outlive_renames);

async fn a_return_shows_the_gap_only_with_the_whole_history(backend: Backend) {
    let server = Server::on(backend, unlimited).await;
    known(&server, &["ann", "bob"]).await;
    let (mut ann, mut bob) = (server.client("ann").await, server.client("bob").await);
    for (history, shown) in [("all", true), ("joined", false)] {
        let key = private_with(&mut ann, &["bob"], history).await;
        let opened = bob.ok(json!({"type": "subscribe", "channel": key})).await;
        ann.publish(&key, "seen").await;
        remove(&mut ann, &key, "bob").await;
        bob.event("channel_removed").await;
        let post = format!("/chat/channels/{key}/attachments?name=gap.txt");
        let file = http(server.addr, "POST", &post, &["x-user: ann"], b"secret file").await.json();
        let gap = json!({"type": "publish", "channel": key, "nonce": "g", "text": "secret gap",
            "attachments": [file["id"]]});
        let gap = ann.ok(gap).await["seq"].as_u64().unwrap();
        ann.ok(json!({"type": "edit", "channel": key, "seq": gap, "text": "secret gap, edited"})).await;
        let add = json!({"type": "add_members", "channel": key, "users": [id("bob")]});
        let back = ann.ok(add).await["seq"].as_u64().unwrap();
        bob.event("channel_added").await;
        ann.publish(&key, "after").await;

        // A resume from before the removal has every event, or it is a reset.
        let after = json!({"epoch": opened["epoch"], "seq": opened["head"], "check": opened["check"]});
        let resumed = bob.ok(json!({"type": "subscribe", "channel": key, "after": after})).await;
        assert_eq!(resumed["reset"], !shown, "{history}");
        let again = bob.ok(json!({"type": "subscribe", "channel": key})).await;
        let page = bob.ok(json!({"type": "history", "channel": key, "before": 1_000})).await;
        for answer in [&resumed, &again, &page] {
            assert_eq!(answer.to_string().contains("secret gap"), shown, "{history}: {answer}");
            assert!(answer.to_string().contains("after"), "{history}: {answer}");
        }
        let older = bob.ok(json!({"type": "history", "channel": key, "before": back})).await;
        assert_eq!(older["messages"].as_array().unwrap().is_empty(), !shown, "{history}: {older}");
        for search in [
            json!({"type": "search", "query": "secret", "channel": key}),
            json!({"type": "search", "query": "secret"}),
        ] {
            let found = bob.ok(search).await;
            let keys = found["messages"].as_array().unwrap().iter();
            let here =
                keys.filter(|message| message["channel"] == key.as_str() || message["channel"].is_null());
            assert_eq!(here.count(), usize::from(shown), "{history}: {found}");
        }
        let url = file["url"].as_str().unwrap();
        let status = http(server.addr, "GET", url, &["x-user: bob"], b"").await.status;
        assert_eq!(status, if shown { 200 } else { 404 }, "{history}");
        let listed = bob.ok(json!({"type": "channels"})).await["channels"].clone();
        let listed =
            listed.as_array().unwrap().iter().find(|channel| channel["name"] == key.as_str()).unwrap();
        assert_eq!(listed["unread"], if shown { 3 } else { 1 }, "{history}");
    }
}

async fn links_and_mentions_outlive_renames(backend: Backend) {
    let server = Server::on(backend, unlimited).await;
    known(&server, &["ann", "bob"]).await;
    let (mut ann, mut bob) = (server.client("ann").await, server.client("bob").await);
    let key = private_with(&mut ann, &["bob"], "all").await;
    bob.ok(json!({"type": "subscribe", "channel": key})).await;
    let mention = json!({"type": "publish", "channel": key, "nonce": "in the outbox", "text": "hello @bob",
        "mentions": ["u_bob"]});
    let said = ann.ok(mention.clone()).await["seq"].as_u64().unwrap();
    bob.publish(&key, "as bob").await;

    ann.ok(json!({"type": "update_channel", "channel": key, "title": "Other plans"})).await;
    let robert = User::new("u_bob", "Robert").unwrap();
    server.chat.remember_user(&robert).await.unwrap();
    let renamed = json!({"id": "u_bob", "name": "Robert"});
    assert_eq!(ann.event("user_changed").await["user"], renamed);

    // The key of a link or a draft, the nonce of the outbox, and the mention lead to where they led.
    let linked = json!({"type": "history", "channel": key, "before": said + 1, "limit": 1});
    for client in [&mut ann, &mut bob] {
        let message = client.ok(linked.clone()).await["messages"][0].clone();
        assert_eq!((&message["seq"], &message["mentions"]), (&json!(said), &json!(["u_bob"])));
    }
    let again = ann.ok(mention).await;
    assert_eq!((&again["seq"], &again["duplicate"]), (&json!(said), &json!(true)));
    let listed = bob.ok(json!({"type": "channels"})).await["channels"][0].clone();
    assert_eq!(
        (&listed["name"], &listed["title"], &listed["mentions"]),
        (&json!(key), &json!("Other plans"), &json!(1))
    );
    let members = ann.ok(json!({"type": "members", "channel": key})).await["members"].clone();
    assert_eq!(members[1]["user"], renamed);
    for (query, found) in [("rob", json!([renamed])), ("bob", json!([]))] {
        let people = ann.ok(json!({"type": "users", "channel": key, "query": query})).await;
        assert_eq!(people["users"], found, "{query}");
    }
    // Messages keep the name of their time.
    let own = ann.ok(json!({"type": "history", "channel": key, "before": 1_000, "limit": 1})).await;
    assert_eq!(own["messages"][0]["author"]["name"], "bob");
    let remaining: Vec<Value> = bob.take_waiting();
    assert!(remaining.iter().all(|frame| frame["type"] != "channel_removed"), "{remaining:?}");
}
