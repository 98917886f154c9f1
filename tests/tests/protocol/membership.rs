//! Private and direct channels: their commands, events and errors, on each store.

use chatcore_tests::{Backend, Client, Server};
use serde_json::{Value, json};

const BACKENDS: [Backend; 3] = [Backend::Memory, Backend::Redb, Backend::Postgres];

/// Connects people who know of each other. They ask until they do, so the server must be `unlimited`.
async fn people<const N: usize>(server: &Server, names: [&str; N]) -> [Client; N] {
    let mut clients = Vec::with_capacity(N);
    for name in names {
        clients.push(server.client(name).await);
    }
    let first = &mut clients[0];
    loop {
        let known = first.ok(json!({"type": "users", "limit": 50})).await;
        if known["users"].as_array().expect("a list").len() == N {
            break;
        }
    }
    clients.try_into().unwrap_or_else(|_| panic!("{N} clients"))
}

fn names(list: &Value, key: &str) -> Vec<String> {
    let list = list.as_array().expect("a list").iter();
    list.map(|one| one[key].as_str().expect("a text").to_owned()).collect()
}

#[tokio::test]
async fn a_private_channel_from_its_creation_to_a_removal() {
    for backend in BACKENDS {
        let server = Server::on(backend, crate::unlimited).await;
        let [mut ann, mut bob, mut cid] = people(&server, ["ann", "bob", "cid"]).await;
        let create = json!({"type": "create_channel", "kind": "private", "title": "Plans", "topic": "2027",
            "members": ["u_bob"], "history": "joined"});
        let made = ann.ok(create).await["channel"].clone();
        let key = made["name"].as_str().unwrap().to_owned();
        assert!(key.starts_with("pr.") && key.len() == 29, "{key}");
        assert_eq!(
            (&made["title"], &made["kind"], &made["role"], &made["members"]),
            (&json!("Plans"), &json!("private"), &json!("owner"), &json!(2))
        );
        let added = bob.event("channel_added").await["channel"].clone();
        assert_eq!((&added["name"], &added["role"]), (&made["name"], &json!("member")));

        ann.ok(json!({"type": "subscribe", "channel": key})).await;
        let start = bob.ok(json!({"type": "subscribe", "channel": key})).await;
        let said = json!({"type": "publish", "channel": key, "nonce": "1", "text": "hello @bob",
            "mentions": ["u_bob", "u_cid"], "data": {"ticket": 7}});
        ann.ok(said).await;
        let message = bob.event("message").await;
        assert_eq!((&message["mentions"], &message["data"]), (&json!(["u_bob"]), &json!({"ticket": 7})));
        let counts = bob.event("counts").await;
        assert_eq!((&counts["unread"], &counts["mentions"]), (&json!(1), &json!(1)));

        // Everybody else finds nothing there.
        for command in ["subscribe", "members", "join", "leave"] {
            cid.refused(json!({"type": command, "channel": key}), "no_such_channel").await;
        }
        cid.refused(json!({"type": "history", "channel": key, "before": 9}), "no_such_channel").await;
        assert!(cid.ok(json!({"type": "channels"})).await["channels"].as_array().unwrap().is_empty());

        // Roles, and what only owners may do.
        let members = bob.ok(json!({"type": "members", "channel": key})).await;
        assert_eq!(names(&members["members"], "role"), ["owner", "member"]);
        assert_eq!((&members["members"][0]["online"], &members["more"]), (&json!(true), &json!(false)));
        let invite = json!({"type": "add_members", "channel": key, "users": ["u_cid"]});
        bob.refused(invite.clone(), "not_allowed").await;
        let unknown = json!({"type": "add_members", "channel": key, "users": ["u_cid", "u_nobody"]});
        ann.refused(unknown, "no_such_user").await;
        let invited = ann.ok(invite.clone()).await["seq"].clone();
        assert!(ann.ok(invite).await.get("seq").is_none(), "cid is a member");
        let member = bob.event("member").await;
        assert_eq!(
            (&member["op"], &member["user"]["id"], &member["role"], &member["by"]["id"], &member["seq"]),
            (&json!("added"), &json!("u_cid"), &json!("member"), &json!("u_ann"), &invited)
        );
        let first = cid.ok(json!({"type": "subscribe", "channel": key})).await;
        assert_eq!(first["messages"], json!([]), "what was before their joining is hidden");
        ann.ok(json!({"type": "set_role", "channel": key, "user": "u_bob", "role": "owner"})).await;
        assert_eq!(bob.event("member").await["op"], "role");
        ann.refused(
            json!({"type": "set_role", "channel": key, "user": "u_zoe", "role": "owner"}),
            "not_a_member",
        )
        .await;

        // Titles and archives.
        let renamed = json!({"type": "update_channel", "channel": key, "title": "Großes", "archived": true});
        bob.ok(renamed).await;
        let changed = ann.event("channel_changed").await;
        assert_eq!(
            (&changed["title"], &changed["archived"], changed.get("topic"), &changed["by"]["id"]),
            (&json!("Großes"), &json!(true), None, &json!("u_bob"))
        );
        let late = json!({"type": "publish", "channel": key, "nonce": "2", "text": "late"});
        ann.refused(late.clone(), "archived").await;
        assert_eq!(ann.ok(json!({"type": "channels"})).await["channels"], json!([]));
        let listed = ann.ok(json!({"type": "channels", "archived": true})).await["channels"][0].clone();
        assert_eq!((&listed["title"], &listed["archived"]), (&json!("Großes"), &json!(true)));
        bob.ok(json!({"type": "update_channel", "channel": key, "archived": false})).await;
        ann.ok(late).await;

        // Notifications belong to the person, not to the device.
        bob.ok(json!({"type": "set_notify", "channel": key, "notify": "mentions"})).await;
        let mut phone = server.client("bob").await;
        assert_eq!(phone.ok(json!({"type": "channels"})).await["channels"][0]["notify"], "mentions");

        // The removal: everything up to it, and nothing after it.
        let removal =
            ann.ok(json!({"type": "remove_member", "channel": key, "user": "u_bob"})).await["seq"].clone();
        ann.publish(&key, "after").await;
        let gone = bob.event("channel_removed").await;
        assert_eq!((&gone["channel"], &gone["reason"]), (&json!(key), &json!("removed")));
        let seqs: Vec<u64> = bob
            .take_waiting()
            .iter()
            .filter(|frame| frame["channel"] == key.as_str())
            .filter_map(|frame| frame["seq"].as_u64())
            .collect();
        assert_eq!(seqs.iter().max(), removal.as_u64().as_ref(), "{seqs:?}");
        assert_eq!(phone.event("channel_removed").await["channel"], key.as_str());
        let position = json!({"epoch": start["epoch"], "seq": start["head"]});
        let resume = json!({"type": "subscribe", "channel": key, "after": position});
        bob.refused(resume, "no_such_channel").await;
        bob.refused(json!({"type": "publish", "channel": key, "nonce": "3", "text": "?"}), "no_such_channel")
            .await;

        // The last owner.
        ann.refused(json!({"type": "leave", "channel": key}), "last_owner").await;
        let left = cid.ok(json!({"type": "leave", "channel": key})).await;
        assert!(left["seq"].is_u64(), "{left}");
        assert_eq!(cid.event("channel_removed").await["reason"], "left");
        ann.ok(json!({"type": "leave", "channel": key})).await;
    }
}

#[tokio::test]
async fn a_direct_channel_is_its_people() {
    for backend in BACKENDS {
        let server = Server::on(backend, crate::unlimited).await;
        let [mut ann, mut bob, mut cid] = people(&server, ["ann", "bob", "cid"]).await;
        let opened = ann.ok(json!({"type": "open_direct", "users": ["u_bob"]})).await;
        let channel = &opened["channel"];
        assert_eq!(
            (&opened["created"], &channel["kind"], &channel["title"]),
            (&json!(true), &json!("direct"), &json!(""))
        );
        assert_eq!(names(&channel["users"], "id"), ["u_ann", "u_bob"]);
        let again = bob.ok(json!({"type": "open_direct", "users": ["u_ann", "u_ann"]})).await;
        assert_eq!((&again["channel"]["name"], &again["created"]), (&channel["name"], &json!(false)));
        assert_eq!(bob.event("channel_added").await["channel"]["name"], channel["name"]);
        let key = channel["name"].as_str().unwrap();
        bob.publish(key, "psst").await;
        cid.refused(json!({"type": "subscribe", "channel": key}), "no_such_channel").await;
        ann.refused(json!({"type": "add_members", "channel": key, "users": ["u_cid"]}), "not_allowed").await;
        ann.refused(json!({"type": "leave", "channel": key}), "not_allowed").await;
        ann.refused(json!({"type": "update_channel", "channel": key, "title": "Us"}), "not_allowed").await;
        let group = ann.ok(json!({"type": "open_direct", "users": ["u_cid", "u_bob"]})).await;
        assert_ne!(group["channel"]["name"], channel["name"]);
        let notes = ann.ok(json!({"type": "open_direct", "users": []})).await;
        assert_eq!(names(&notes["channel"]["users"], "id"), ["u_ann"]);
        let many: Vec<_> = (0..9).map(|n| format!("u_{n}")).collect();
        ann.refused(json!({"type": "open_direct", "users": many}), "bad_frame").await;
        ann.refused(json!({"type": "create_channel", "kind": "direct", "title": "x"}), "bad_frame").await;
    }
}

#[tokio::test]
async fn people_and_texts_are_found_where_one_may_read() {
    for backend in BACKENDS {
        let server = Server::on(backend, crate::unlimited).await;
        let [mut ann, mut bob, mut bea] = people(&server, ["ann", "bob", "bea"]).await;
        let found = ann.ok(json!({"type": "users", "query": "B"})).await;
        assert_eq!(
            (names(&found["users"], "id"), &found["more"]),
            (vec!["u_bea".into(), "u_bob".into()], &json!(false))
        );
        let page = ann.ok(json!({"type": "users", "limit": 1})).await;
        assert_eq!((names(&page["users"], "id"), &page["more"]), (vec!["u_ann".to_owned()], &json!(true)));

        ann.ok(json!({"type": "create_channel", "name": "general"})).await;
        let private = ann
            .ok(json!({"type": "create_channel", "kind": "private", "title": "Two", "members": ["u_bob"]}));
        let key = private.await["channel"]["name"].as_str().unwrap().to_owned();
        let found = bob.ok(json!({"type": "users", "channel": key})).await;
        assert_eq!(names(&found["users"], "id"), ["u_ann", "u_bob"]);
        for (channel, text) in [("general", "needle one"), (&key, "needle two"), ("general", "needle three")]
        {
            ann.publish(channel, text).await;
        }
        let mut texts = Vec::new();
        let mut search = json!({"type": "search", "query": "needle", "limit": 2});
        loop {
            let answer = bob.ok(search.clone()).await;
            for message in answer["messages"].as_array().unwrap() {
                texts.push((
                    message["channel"].as_str().unwrap().to_owned(),
                    message["text"].as_str().unwrap().to_owned(),
                ));
            }
            if answer["more"] == false {
                break;
            }
            search["before"] = answer["before"].clone();
        }
        let expected = [("general", "needle one"), ("general", "needle three"), (&*key, "needle two")];
        let expected = expected.map(|(channel, text)| (channel.to_owned(), text.to_owned()));
        assert_eq!(texts, expected);
        let outside = bea.ok(json!({"type": "search", "query": "needle"})).await;
        assert!(
            outside["messages"].as_array().unwrap().iter().all(|message| message["channel"] == "general")
        );
        bea.refused(json!({"type": "search", "query": "needle", "before": 7}), "bad_frame").await;
        bea.refused(json!({"type": "search", "query": "needle", "before": "x"}), "bad_frame").await;

        // An open channel is joined by publishing, or by a command, and left without a trace in its log.
        let role = async |client: &mut Client| {
            client.ok(json!({"type": "channels"})).await["channels"][0]["role"].clone()
        };
        assert_eq!(role(&mut bea).await, json!(null));
        bea.ok(json!({"type": "join", "channel": "general"})).await;
        assert_eq!(role(&mut bea).await, json!("member"));
        let left = bea.ok(json!({"type": "leave", "channel": "general"})).await;
        assert!(left.get("seq").is_none());
        bea.refused(json!({"type": "leave", "channel": "general"}), "not_a_member").await;
        bea.publish("general", "hello").await;
        while role(&mut bea).await != json!("member") {}
    }
}
