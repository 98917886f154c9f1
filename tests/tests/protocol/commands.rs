//! Every command of the protocol: its input, and the content of its `ok`.

use chatcore::Identity;
use chatcore_tests::{Backend, Client, Server, http};
use serde_json::{Value, json};

fn is_time(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.len() == 24 && text.ends_with('Z') && text.as_bytes()[19] == b'.')
}

#[tokio::test]
async fn welcome_comes_first_with_user_and_limits() {
    let server = Server::with(|setup| setup.limits.attachment_bytes = 1_000).await;
    let ann = server.client("ann").await;
    let limits = json!({"frame_bytes": 65_536, "text_chars": 8_000, "text_bytes": 61_440, "attachment_bytes": 1_000,
        "attachments": 10, "topic_chars": 250, "query_chars": 128});
    let user = json!({"id": "u_ann", "name": "ann"});
    assert_eq!(ann.welcome, json!({"type": "welcome", "version": 1, "user": user, "limits": limits}));
}

#[tokio::test]
async fn create_channel_returns_the_channel() {
    let server = Server::start().await;
    let mut ann = server.client("ann").await;
    let answer =
        ann.ok(json!({"type": "create_channel", "name": " Rust  Beginners ", "topic": "help"})).await;
    let channel = &answer["channel"];
    assert!(is_time(&channel["created_at"]));
    assert_eq!(
        *channel,
        json!({
            "name": "rust-beginners", "title": "rust-beginners", "topic": "help", "kind": "open", "role": "owner",
            "members": null, "archived": false, "notify": "all", "created_at": channel["created_at"],
            "created_by": {"id": "u_ann", "name": "ann"}, "head": 0, "read": 0, "unread": 0, "mentions": 0,
        })
    );
}

#[tokio::test]
async fn channels_are_sorted_by_name_with_unread_counts() {
    let server = Server::start().await;
    let mut ann = server.client("ann").await;
    for name in ["zebra", "apple"] {
        ann.ok(json!({"type": "create_channel", "name": name})).await;
    }
    ann.ok(json!({"type": "subscribe", "channel": "zebra"})).await;
    let first = ann.publish("zebra", "one").await;
    ann.publish("zebra", "two").await;
    ann.ok(json!({"type": "react", "channel": "zebra", "seq": first, "emoji": "👍", "on": true})).await;

    let mut bob = server.client("bob").await;
    bob.ok(json!({"type": "read", "channel": "zebra", "seq": first})).await;
    let channels = bob.ok(json!({"type": "channels"})).await["channels"].clone();
    let names: Vec<_> = channels.as_array().unwrap().iter().map(|channel| channel["name"].clone()).collect();
    assert_eq!(names, ["apple", "zebra"]);
    let zebra = &channels[1];
    assert_eq!(
        (&zebra["head"], &zebra["read"], &zebra["unread"]),
        (&json!(3), &json!(1), &json!(1)),
        "{zebra}"
    );
}

#[tokio::test]
async fn unread_counts_other_peoples_messages() {
    let server = Server::start().await;
    let mut ann = server.member("ann", "general").await;
    let mut bob = server.client("bob").await;
    let unread = async |client: &mut Client| {
        client.ok(json!({"type": "channels"})).await["channels"][0]["unread"].clone()
    };
    for n in 0..5 {
        ann.publish("general", &format!("gone {n}")).await;
    }
    let mut phone = server.client("ann").await;
    assert_eq!(unread(&mut phone).await, 0, "one's own are not unread on another device");
    assert_eq!(unread(&mut bob).await, 5);
    for seq in 1..=5 {
        ann.ok(json!({"type": "delete", "channel": "general", "seq": seq})).await;
    }
    assert_eq!(unread(&mut bob).await, 0, "there is nothing to read in tombstones");
    for n in 0..120 {
        ann.publish("general", &format!("kept {n}")).await;
    }
    assert_eq!(unread(&mut bob).await, 100, "a newcomer begins at the newest page");
    bob.ok(json!({"type": "read", "channel": "general", "seq": 5})).await;
    assert_eq!(unread(&mut bob).await, 120);
}

#[tokio::test]
async fn subscribe_without_a_position_returns_the_newest_messages() {
    let server = Server::start().await;
    let mut ann = server.member("ann", "general").await;
    for text in ["one", "two", "three"] {
        ann.publish("general", text).await;
    }
    ann.ok(json!({"type": "edit", "channel": "general", "seq": 2, "text": "2"})).await;
    ann.ok(json!({"type": "delete", "channel": "general", "seq": 3})).await;
    ann.ok(json!({"type": "react", "channel": "general", "seq": 2, "emoji": "👍", "on": true})).await;

    let mut bob = server.client("bob").await;
    let answer = bob.ok(json!({"type": "subscribe", "channel": "General", "limit": 2})).await;
    assert_eq!(
        (&answer["channel"], &answer["reset"], &answer["head"]),
        (&json!("general"), &json!(true), &json!(6))
    );
    assert!(answer["epoch"].as_str().is_some_and(|epoch| !epoch.is_empty()));
    let members = json!([{"id": "u_ann", "name": "ann"}, {"id": "u_bob", "name": "bob"}]);
    assert_eq!(answer["members"], members);
    let messages = answer["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 2);
    let (edited, deleted) = (&messages[0], &messages[1]);
    assert!(is_time(&edited["at"]) && is_time(&edited["edited_at"]));
    assert_eq!(
        *edited,
        json!({
            "seq": 2, "author": {"id": "u_ann", "name": "ann"}, "at": edited["at"], "text": "2",
            "edited_at": edited["edited_at"],
            "reactions": [{"emoji": "👍", "users": ["u_ann"]}],
        })
    );
    assert_eq!(
        (&deleted["seq"], &deleted["text"], &deleted["deleted"]),
        (&json!(3), &json!(""), &json!(true))
    );
}

#[tokio::test]
async fn subscribe_with_a_position_returns_later_events() {
    let server = Server::start().await;
    let mut ann = server.member("ann", "general").await;
    for text in ["one", "two", "three"] {
        ann.publish("general", text).await;
    }
    let mut bob = server.client("bob").await;
    let epoch = bob.ok(json!({"type": "subscribe", "channel": "general", "limit": 0})).await["epoch"].clone();
    let after = json!({"epoch": epoch, "seq": 1});
    let answer = bob.ok(json!({"type": "subscribe", "channel": "general", "after": after})).await;
    assert_eq!((&answer["reset"], &answer["head"]), (&json!(false), &json!(3)));
    let events = answer["events"].as_array().unwrap();
    assert_eq!(events.iter().map(|e| e["seq"].as_u64().unwrap()).collect::<Vec<_>>(), [2, 3]);
    assert!(events.iter().all(|e| e["type"] == "message" && e["channel"] == "general"), "{answer}");
}

#[tokio::test]
async fn limit_zero_subscribes_without_messages() {
    let server = Server::start().await;
    let mut ann = server.member("ann", "general").await;
    ann.publish("general", "one").await;
    let mut bob = server.client("bob").await;
    let answer = bob.ok(json!({"type": "subscribe", "channel": "general", "limit": 0})).await;
    assert_eq!(
        (&answer["messages"], &answer["head"], &answer["reset"]),
        (&json!([]), &json!(1), &json!(true))
    );
    ann.publish("general", "two").await;
    assert_eq!(bob.event("message").await["seq"], 2);
}

#[tokio::test]
async fn unsubscribe_ends_the_events() {
    let server = Server::start().await;
    let mut ann = server.member("ann", "general").await;
    let mut bob = server.member("bob", "general").await;
    bob.ok(json!({"type": "unsubscribe", "channel": "general"})).await;
    ann.publish("general", "one").await;
    bob.ok(json!({"type": "subscribe", "channel": "general", "limit": 0})).await;
    ann.publish("general", "two").await;
    assert_eq!(bob.event("message").await["text"], "two", "nothing of the time between came");
}

#[tokio::test]
async fn publish_is_idempotent_by_nonce_and_author() {
    let server = Server::start().await;
    let mut ann = server.member("ann", "general").await;
    let mut bob = server.member("bob", "general").await;
    let command = json!({"type": "publish", "channel": "general", "nonce": "n1", "text": "hi"});
    let first = ann.ok(command.clone()).await;
    assert_eq!(
        (&first["channel"], &first["seq"], &first["duplicate"]),
        (&json!("general"), &json!(1), &json!(false))
    );
    assert!(is_time(&first["at"]));
    let again = ann.ok(command.clone()).await;
    assert_eq!((&again["seq"], &again["at"], &again["duplicate"]), (&json!(1), &first["at"], &json!(true)));
    assert_eq!(bob.ok(command).await["seq"], 2, "another author's nonce is another one");
}

#[tokio::test]
async fn publish_replies_to_another_message() {
    let server = Server::start().await;
    let mut ann = server.member("ann", "general").await;
    ann.publish("general", "question").await;
    let command =
        json!({"type": "publish", "channel": "general", "nonce": "a", "text": "answer", "reply_to": 1});
    ann.ok(command).await;
    assert_eq!(ann.event("message").await["reply_to"], Value::Null);
    assert_eq!(ann.event("message").await["reply_to"], 1);
}

#[tokio::test]
async fn publish_accepts_an_attachment_without_text() {
    let server = Server::start().await;
    let mut ann = server.member("ann", "general").await;
    let path = "/chat/channels/general/attachments?name=notes.txt";
    let attachment = http(server.addr, "POST", path, &["x-user: ann"], b"hello").await.json();
    let command = json!({"type": "publish", "channel": "general", "nonce": "f", "text": "", "attachments": [attachment["id"]]});
    ann.ok(command).await;
    assert_eq!(ann.event("message").await["attachments"], json!([attachment]));
}

#[tokio::test]
async fn edit_delete_and_react_return_their_seq() {
    let server = Server::start().await;
    let mut ann = server.member("ann", "general").await;
    ann.publish("general", "one").await;
    let edit = ann.ok(json!({"type": "edit", "channel": "general", "seq": 1, "text": "1"})).await;
    assert_eq!((&edit["channel"], &edit["seq"]), (&json!("general"), &json!(2)));
    let react = |on: bool| json!({"type": "react", "channel": "general", "seq": 1, "emoji": "🎉", "on": on});
    assert_eq!(ann.ok(react(true)).await["seq"], 3);
    assert_eq!(ann.ok(react(false)).await["seq"], 4);
    let delete = ann.ok(json!({"type": "delete", "channel": "general", "seq": 1})).await;
    assert_eq!((&delete["channel"], &delete["seq"]), (&json!("general"), &json!(5)));
}

async fn search_finds_texts_as_they_stand(backend: Backend) {
    let server = Server::on(backend, |_| ()).await;
    let mut ann = server.member("ann", "general").await;
    for text in ["The Release is on Friday", "rеlease", "releases, fridays", "FRIDAY: release", "lunch"] {
        ann.publish("general", text).await;
    }
    ann.ok(json!({"type": "edit", "channel": "general", "seq": 5, "text": "release it, friday"})).await;
    ann.ok(json!({"type": "delete", "channel": "general", "seq": 4})).await;
    let search = |more: Value| {
        let mut command = json!({"type": "search", "channel": "General", "query": " release  FRIDAY "});
        let fields = command.as_object_mut().expect("an object");
        fields.extend(more.as_object().expect("an object").clone());
        command
    };
    let answer = ann.ok(search(json!({}))).await;
    let history = ann.ok(json!({"type": "history", "channel": "general", "before": 99})).await;
    let expected = json!([history["messages"][0], history["messages"][2], history["messages"][4]]);
    assert_eq!(answer, json!({"type": "ok", "id": answer["id"], "messages": expected, "more": false}));

    let answer = ann.ok(search(json!({"limit": 2}))).await;
    assert_eq!(answer["messages"], json!([expected[1], expected[2]]), "the newest, oldest first");
    assert_eq!((&answer["more"], &answer["before"]), (&json!(true), &json!(3)));
    let answer = ann.ok(search(json!({"limit": 50, "before": 3}))).await;
    assert_eq!((&answer["messages"], &answer["more"]), (&json!([expected[0]]), &json!(false)));

    let user = chatcore::User::new("u_bot", "bot").expect("a user");
    let bot = server.chat.connect(Identity::new(user)).expect("room for a bot");
    let page = bot.search("general", "friday", None).await.expect("an answer");
    assert_eq!(page.messages.iter().map(|message| message.seq).collect::<Vec<_>>(), [1, 3, 5]);
    assert_eq!((page.more, page.before), (false, None));
}

#[tokio::test]
async fn search_finds_current_texts_in_memory() {
    search_finds_texts_as_they_stand(Backend::Memory).await;
}

#[tokio::test]
async fn search_finds_current_texts_in_redb() {
    search_finds_texts_as_they_stand(Backend::Redb).await;
}

#[tokio::test]
async fn search_finds_current_texts_in_postgres() {
    search_finds_texts_as_they_stand(Backend::Postgres).await;
}

#[tokio::test]
async fn a_search_reads_a_bounded_part_and_says_where_to_go_on() {
    let server = Server::start().await;
    let mut ann = server.member("ann", "general").await;
    let user = chatcore::User::new("u_bot", "bot").unwrap();
    // In steps below the burst of one connection.
    let scan = chatcore::store::SEARCH_SCAN;
    for step in 0..3 {
        let bot = server.chat.connect(Identity::new(user.clone())).unwrap();
        for n in 0..scan / 3 + 2 {
            let text = if step == 0 && n == 0 { "needle" } else { "hay" };
            bot.publish("general", text).await.unwrap();
        }
    }
    let search = json!({"type": "search", "channel": "general", "query": "needle"});
    let answer = ann.ok(search.clone()).await;
    assert_eq!((&answer["messages"], &answer["more"]), (&json!([]), &json!(true)));
    let mut next = search;
    next["before"] = answer["before"].clone();
    let answer = ann.ok(next).await;
    assert_eq!((&answer["messages"][0]["seq"], &answer["more"]), (&json!(1), &json!(false)));
}

#[tokio::test]
async fn read_moves_the_marker_only_forward() {
    let server = Server::start().await;
    let mut ann = server.member("ann", "general").await;
    for text in ["one", "two", "three"] {
        ann.publish("general", text).await;
    }
    for (seq, expected) in [(2, 2), (1, 2), (99, 3)] {
        ann.ok(json!({"type": "read", "channel": "general", "seq": seq})).await;
        let channels = ann.ok(json!({"type": "channels"})).await;
        assert_eq!(channels["channels"][0]["read"], expected, "after {seq}");
    }
}

#[tokio::test]
async fn unread_moves_the_marker_only_back() {
    let server = Server::start().await;
    let mut ann = server.member("ann", "general").await;
    let mut bob = server.member("bob", "general").await;
    for text in ["one", "two", "three"] {
        ann.publish("general", text).await;
    }
    bob.ok(json!({"type": "read", "channel": "general", "seq": 3})).await;
    for (seq, read) in [(9, 3), (3, 2), (2, 1), (3, 1)] {
        bob.ok(json!({"type": "unread", "channel": "general", "seq": seq})).await;
        let channels = bob.ok(json!({"type": "channels"})).await;
        let general = &channels["channels"][0];
        assert_eq!((&general["read"], &general["unread"]), (&json!(read), &json!(3 - read)), "from {seq}");
    }
    bob.refused(json!({"type": "unread", "channel": "nowhere", "seq": 1}), "no_such_channel").await;
    bob.refused(json!({"type": "unread", "channel": "general", "seq": -1}), "bad_frame").await;
}

#[tokio::test]
async fn typing_and_ping_are_answered() {
    let server = Server::start().await;
    let mut ann = server.member("ann", "general").await;
    let typing = ann.ok(json!({"type": "typing", "channel": "general"})).await;
    let ping = ann.ok(json!({"type": "ping"})).await;
    assert_eq!(ping, json!({"type": "ok", "id": typing["id"].as_i64().unwrap() + 1}));
}

#[tokio::test]
async fn answers_keep_the_order_of_their_commands() {
    let server = Server::start().await;
    let mut ann = server.member("ann", "general").await;
    let mut ids = Vec::new();
    for n in 0..40 {
        let nonce = n.to_string();
        ids.push(
            ann.tell(json!({"type": "publish", "channel": "general", "nonce": nonce, "text": "x"})).await,
        );
        ids.push(ann.tell(json!({"type": "ping"})).await);
        ids.push(ann.tell(json!({"type": "history", "channel": "general", "before": 5})).await);
        ids.push(ann.tell(json!({"type": "edit", "channel": "nowhere", "seq": 5, "text": ""})).await);
    }
    let mut answered = Vec::new();
    while answered.len() < ids.len() {
        let frame = ann.frame().await;
        if matches!(frame["type"].as_str(), Some("ok" | "error")) {
            answered.push(frame["id"].as_i64().unwrap());
        }
    }
    assert_eq!(answered, ids);
}

#[tokio::test]
async fn unknown_fields_are_ignored() {
    let server = Server::start().await;
    let mut ann = server.client("ann").await;
    ann.ok(json!({"type": "ping", "later": {"deep": [1, null]}})).await;
}
