//! What the owner of the service does: invitations, people, channels and their export.

use super::*;

on_both_stores!(
    a_new_name_needs_an_invitation_of_the_owner,
    only_the_owner_reaches_the_owners_requests,
    the_owner_lists_people_in_pages,
    the_owner_helps_and_removes_people,
    people_are_erased_by_the_owner_and_by_themselves,
    the_named_owner_signs_in_by_a_link,
    the_owner_exports_a_channel_whole_and_in_order,
    the_owner_archives_a_channel_and_brings_it_back,
    a_private_channel_is_hidden_from_the_owner_of_the_service,
);

async fn a_new_name_needs_an_invitation_of_the_owner(store: Store) {
    let chat = Chat::start(store, &["--join", "invite"]).await;
    let owner = chat.name("Owner").await;
    for name in ["Owner", "Ann"] {
        let refused = chat.try_join(json!({ "name": name }), LAPTOP).await;
        refused.assert_error(403, "not_invited");
    }
    for bad in [
        json!({ "uses": 0, "days": 1 }),
        json!({ "uses": 1, "days": 91 }),
        json!({ "uses": 1_001, "days": 1 }),
    ] {
        owner.send("POST", "/admin/invitations", Some(bad)).await.assert_error(422, "bad_frame");
    }
    let invite = async || {
        let invited =
            owner.send("POST", "/admin/invitations", Some(json!({ "uses": 1, "days": 7 }))).await.json();
        (
            invited["link"].as_str().unwrap().to_owned(),
            invited["invitation"]["id"].as_str().unwrap().to_owned(),
        )
    };
    let (code, _) = invite().await;
    assert_eq!(chat.look_at(&code).await.json(), json!({ "kind": "invitation" }));
    let with = |name: &str, code: &str| json!({ "name": name, "invitation": code });
    chat.try_join(with("owner", &code), LAPTOP).await.assert_error(409, "name_taken");
    chat.try_join(json!({ "link": code }), LAPTOP).await.assert_error(404, "invalid_link");
    let ann = chat.join(with("Ann", &code), LAPTOP).await;
    chat.try_join(with("Bob", &code), LAPTOP).await.assert_error(403, "not_invited");
    let phone = chat.join(json!({ "link": ann.link("/account/link").await }), PHONE).await;
    assert_eq!(phone.user, ann.user, "another device needs no invitation");
    let (code, id) = invite().await;
    let listed = owner.get("/admin/invitations").await;
    assert_eq!((&listed["join"], &listed["invitations"][0]["id"]), (&json!("invite"), &json!(id)));
    assert!(!listed.to_string().contains(&code), "a code is shown once");
    let path = format!("/admin/invitations/{id}");
    assert_eq!(owner.send("DELETE", &path, None).await.status, 204);
    owner.send("DELETE", &path, None).await.assert_error(404, "not_found");
    chat.try_join(with("Bob", &code), LAPTOP).await.assert_error(403, "not_invited");
}

async fn only_the_owner_reaches_the_owners_requests(store: Store) {
    let chat = Chat::start(store, &[]).await;
    let (owner, ann) = (chat.name("Owner").await, chat.name("Ann").await);
    let nobody = Device { addr: chat.addr, cookie: "x=y".into(), user: Value::Null };
    assert_eq!(
        (&owner.get("/account").await["owner"], &ann.get("/account").await["owner"]),
        (&json!(true), &json!(false))
    );
    let person = owner.path();
    for (method, path, body) in [
        ("GET", "/admin/people".to_owned(), None),
        ("PATCH", person.clone(), Some(json!({ "name": "Eve" }))),
        ("DELETE", person.clone(), None),
        ("DELETE", format!("{person}/devices"), None),
        ("POST", format!("{person}/link"), None),
        ("GET", "/admin/invitations".to_owned(), None),
        ("POST", "/admin/invitations".to_owned(), Some(json!({ "uses": 1, "days": 1 }))),
        ("DELETE", "/admin/invitations/x".to_owned(), None),
        ("GET", "/admin/channels".to_owned(), None),
        ("GET", "/admin/channels/general/export".to_owned(), None),
        ("PATCH", "/admin/channels/general".to_owned(), Some(json!({ "archived": true }))),
    ] {
        ann.send(method, &path, body.clone()).await.assert_error(403, "not_allowed");
        nobody.send(method, &path, body).await.assert_error(401, "unauthorized");
    }
    assert_eq!(owner.get("/session").await, owner.user, "nothing was changed");
}

async fn the_owner_lists_people_in_pages(store: Store) {
    let chat = Chat::start(store, &[]).await;
    let owner = chat.name("Zoe").await;
    for n in 0..51 {
        chat.name(&format!("person {n:02}")).await;
    }
    let first = owner.get("/admin/people").await;
    let names = |page: &Value| -> Vec<String> {
        let people = page["people"].as_array().unwrap().iter();
        people.map(|person| person["user"]["name"].as_str().unwrap().to_owned()).collect()
    };
    let (listed, after) = (names(&first), first["after"].as_str().unwrap());
    assert_eq!((listed.len(), &*listed[49]), (50, "person 49"));
    let after = after.replace('\n', "%0A").replace(' ', "%20");
    let rest = owner.get(&format!("/admin/people?after={after}")).await;
    assert_eq!(
        (names(&rest), &rest["after"]),
        (vec!["person 50".to_owned(), "Zoe".to_owned()], &Value::Null)
    );
    assert_eq!((&rest["people"][1]["owner"], &rest["people"][1]["devices"]), (&json!(true), &json!(1)));
    let found = owner.get("/admin/people?name=PERSON%204").await;
    assert_eq!((names(&found).len(), &found["after"]), (10, &Value::Null));
    assert_eq!(names(&owner.get("/admin/people?name=nobody").await), [""; 0]);
}

async fn the_owner_helps_and_removes_people(store: Store) {
    let chat = Chat::start(store, &[]).await;
    let (owner, ann) = (chat.name("Owner").await, chat.name("Ann").await);
    let mut client = ann.connect().await;
    assert_eq!(owner.send("DELETE", &format!("{}/devices", ann.path()), None).await.status, 204);
    assert_eq!(client.closed().await, 4100);
    ann.send("GET", "/session", None).await.assert_error(401, "unauthorized");
    chat.try_join(json!({ "name": "Ann" }), LAPTOP).await.assert_error(409, "name_taken");
    let link = owner.link(&format!("{}/link", ann.path())).await;
    let back = chat.join(json!({ "link": link }), PHONE).await;
    assert_eq!(back.user, ann.user, "who was locked out is back");
    let renamed = owner.send("PATCH", &ann.path(), Some(json!({ "name": "Anna" }))).await.json();
    assert_eq!(renamed["user"]["name"], "Anna");
    assert_eq!(back.get("/session").await["name"], "Anna");
    let mut client = back.connect().await;
    assert_eq!(owner.send("DELETE", &ann.path(), None).await.status, 204);
    assert_eq!(client.closed().await, 4100);
    owner.send("DELETE", &ann.path(), None).await.assert_error(404, "not_found");
    owner.send("POST", &format!("{}/link", ann.path()), None).await.assert_error(404, "not_found");
    owner.send("DELETE", &owner.path(), None).await.assert_error(403, "not_allowed");
    let erased = format!("{}?messages=delete", owner.path());
    owner.send("DELETE", &erased, None).await.assert_error(403, "not_allowed");
    assert_ne!(chat.name("Anna").await.user["id"], ann.user["id"]);
}

async fn people_are_erased_by_the_owner_and_by_themselves(store: Store) {
    let chat = Chat::start(store, &[]).await;
    let owner = chat.name("Owner").await;
    let mut seer = owner.connect().await;
    seer.ok(json!({"type": "subscribe", "channel": "general"})).await;
    for (name, messages, by_owner) in [("Ann", "delete", true), ("Bob", "keep", false)] {
        let person = chat.name(name).await;
        let mut client = person.connect().await;
        let seq = client.publish("general", &format!("of {name}")).await;
        let wrong = format!("{}?messages=burn", person.path());
        owner.send("DELETE", &wrong, None).await.assert_error(422, "bad_frame");
        let erased = match by_owner {
            true => owner.send("DELETE", &format!("{}?messages={messages}", person.path()), None).await,
            false => person.send("DELETE", &format!("/account?messages={messages}"), None).await,
        };
        assert_eq!(erased.status, 204);
        assert_eq!(client.closed().await, 4100);
        person.send("GET", "/session", None).await.assert_error(401, "unauthorized");
        let gone = json!({"id": person.user["id"], "name": "Deleted user", "deleted": true});
        loop {
            // A slow machine may take longer for the erasure than the pace of commands allows asking.
            let history = json!({"type": "history", "channel": "general", "before": seq + 1});
            let page = seer.patient(history).await;
            let message = page["messages"].as_array().unwrap().last().unwrap().clone();
            assert_eq!(message["author"], gone);
            if (message["deleted"] == true) == (messages == "delete") {
                break;
            }
        }
        let export = owner.send("GET", "/admin/channels/general/export", None).await;
        assert!(!String::from_utf8_lossy(&export.body).contains(&format!("\"{name}\"")));
        let again = chat.name(name).await;
        assert_ne!(again.user["id"], person.user["id"], "the name is free for somebody else");
    }
}

async fn the_named_owner_signs_in_by_a_link(store: Store) {
    let (app, database, data) = Chat::open(store, &["--owner", "Ann", "--join", "invite"]).await;
    let link = app.owner_link().await.unwrap().unwrap();
    let chat = Chat { addr: serve(app).await, _database: database, _data: data };
    chat.try_join(json!({ "name": "Eve" }), LAPTOP).await.assert_error(403, "not_invited");
    let ann = chat.join(json!({ "link": link }), LAPTOP).await;
    assert_eq!((&ann.user["name"], &ann.get("/account").await["owner"]), (&json!("Ann"), &json!(true)));
}

async fn the_owner_exports_a_channel_whole_and_in_order(store: Store) {
    let chat = Chat::start(store, &["--history", "3"]).await;
    let (owner, ann) = (chat.name("O*l*ga").await, chat.name("Ann").await);
    let mut client = ann.connect().await;
    for n in 1..=8 {
        client.publish("general", &format!("line {n}")).await;
    }
    client.ok(json!({"type": "edit", "channel": "general", "seq": 2, "text": "line **two**"})).await;
    client.ok(json!({"type": "delete", "channel": "general", "seq": 3})).await;
    owner.connect().await.publish("general", "the end").await;
    client.ok(json!({"type": "create_channel", "name": "empty"})).await;
    let listed = owner.get("/admin/channels").await["channels"].clone();
    assert_eq!((&listed[0]["name"], &listed[1]["name"]), (&json!("empty"), &json!("general")));

    let export = async |channel: &str, format: &str| {
        owner.send("GET", &format!("/admin/channels/{channel}/export{format}"), None).await
    };
    let answer = export("general", "").await;
    assert_eq!(answer.header("content-disposition"), Some("attachment"));
    let exported: Value = serde_json::from_slice(&dechunked(&answer)).unwrap();
    let texts: Vec<_> =
        exported["messages"].as_array().unwrap().iter().map(|one| one["text"].as_str().unwrap()).collect();
    assert_eq!(
        texts,
        ["line 1", "line **two**", "", "line 4", "line 5", "line 6", "line 7", "line 8", "the end"]
    );
    assert_eq!(
        (&exported["messages"][2]["deleted"], exported["messages"][0].get("nonce")),
        (&json!(true), None)
    );
    let answer = export("general", "?format=markdown").await;
    assert_eq!(answer.header("content-type"), Some("text/markdown; charset=utf-8"));
    let text = String::from_utf8(dechunked(&answer)).unwrap();
    assert!(text.starts_with("# general\n\nWhat everyone should know\n\n## 20"), "{text}");
    for part in [
        "line 1\n",
        ", edited\n\nline **two**\n",
        "*This message was deleted.*\n",
        "**O\\*l\\*ga**",
        "the end\n",
    ] {
        assert!(text.contains(part), "{part:?}: {text}");
    }
    let empty: Value = serde_json::from_slice(&dechunked(&export("empty", "").await)).unwrap();
    assert_eq!((&empty["channel"]["name"], &empty["messages"]), (&json!("empty"), &json!([])));
    export("nothing", "").await.assert_error(404, "not_found");
    export("general", "?format=pdf").await.assert_error(422, "bad_frame");
}

async fn the_owner_archives_a_channel_and_brings_it_back(store: Store) {
    let chat = Chat::start(store, &[]).await;
    let (owner, ann) = (chat.name("Olga").await, chat.name("Ann").await);
    let mut client = ann.connect().await;
    client.publish("general", "before").await;
    let archive = async |archived: bool| {
        owner.send("PATCH", "/admin/channels/general", Some(json!({ "archived": archived }))).await
    };
    assert_eq!(archive(true).await.json()["archived"], true);
    let refused = json!({"type": "publish", "channel": "general", "nonce": "n", "text": "during"});
    client.refused(refused, "archived").await;
    assert_eq!(
        owner.get("/admin/channels").await["channels"][0]["archived"],
        true,
        "it is still in the list"
    );
    assert_eq!(archive(false).await.json()["archived"], false);
    client.publish("general", "after").await;
    owner
        .send("PATCH", "/admin/channels/nothing", Some(json!({ "archived": true })))
        .await
        .assert_error(404, "not_found");
    owner.send("PATCH", "/admin/channels/general", Some(json!({}))).await.assert_error(422, "bad_frame");
}

async fn a_private_channel_is_hidden_from_the_owner_of_the_service(store: Store) {
    let chat = Chat::start(store, &[]).await;
    let (owner, ann) = (chat.name("Olga").await, chat.name("Ann").await);
    let mut client = ann.connect().await;
    let created = client.ok(json!({"type": "create_channel", "kind": "private", "title": "Plans"})).await;
    let key = created["channel"]["name"].as_str().unwrap().to_owned();
    client.publish(&key, "secret").await;
    let path = format!("/admin/channels/{key}");
    let there = async || {
        let listed = owner.get("/admin/channels").await["channels"].clone();
        listed.as_array().unwrap().iter().any(|channel| channel["name"] == json!(key))
    };
    assert!(!there().await);
    owner.send("GET", &format!("{path}/export"), None).await.assert_error(404, "not_found");
    owner.send("PATCH", &path, Some(json!({ "archived": true }))).await.assert_error(404, "not_found");
    client.ok(json!({"type": "add_members", "channel": key, "users": [owner.user["id"]]})).await;
    assert!(there().await, "as a member the owner sees it");
    let exported = dechunked(&owner.send("GET", &format!("{path}/export"), None).await);
    assert!(String::from_utf8(exported).unwrap().contains("secret"));
}

/// Returns the body of a response in chunks.
fn dechunked(answer: &Answer) -> Vec<u8> {
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"), "{answer:?}");
    let (mut rest, mut body) = (&answer.body[..], Vec::new());
    loop {
        let end = rest.windows(2).position(|pair| pair == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 4 + size..];
    }
}
