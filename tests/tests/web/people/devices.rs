//! What people do for themselves: their devices, links to sign in, and their names.

use super::*;

on_both_stores!(
    a_link_makes_a_phone_the_same_person,
    a_device_is_signed_out_from_the_list,
    all_other_devices_are_signed_out,
    guesses_of_links_are_limited_per_address,
    a_rename_is_seen_by_all_sessions,
    a_name_is_given_up_on_purpose,
);

async fn a_link_makes_a_phone_the_same_person(store: Store) {
    let chat = Chat::start(store, &[]).await;
    let laptop = chat.name("Ann").await;
    let made = laptop.send("POST", "/account/link", None).await.json();
    let (link, url) = (made["link"].as_str().unwrap(), made["url"].as_str().unwrap());
    assert_eq!(url, format!("http://{}/#link={link}", chat.addr), "the secret is in the fragment");
    assert_eq!((link.len(), &made["seconds"]), (34, &json!(600)), "140 bits in seven groups");
    assert!(
        made["qr"]["size"].as_u64().unwrap() > 20 && made["qr"]["path"].as_str().unwrap().starts_with('M')
    );
    for _ in 0..2 {
        let found = chat.look_at(link).await.json();
        assert_eq!(found, json!({ "kind": "sign_in", "user": laptop.user }), "looking does not use it up");
    }
    let phone = chat.join(json!({ "link": link.to_lowercase() }), PHONE).await;
    assert_eq!(phone.user, laptop.user);
    chat.try_join(json!({ "link": link }), PHONE).await.assert_error(404, "invalid_link");
    chat.look_at(link).await.assert_error(404, "invalid_link");
    for wrong in ["", "x", "0000-0000-0000-0000-0000-0000-0000"] {
        chat.try_join(json!({ "link": wrong }), PHONE).await.assert_error(404, "invalid_link");
    }
    let both = json!({ "name": "Bob", "link": link });
    chat.try_join(both, PHONE).await.assert_error(422, "bad_frame");
    let (mut one, mut two) = (laptop.connect().await, phone.connect().await);
    assert_eq!(one.welcome["user"], two.welcome["user"]);
    one.ok(json!({"type": "subscribe", "channel": "general"})).await;
    two.ok(json!({"type": "subscribe", "channel": "general"})).await;
    one.publish("general", "from the laptop").await;
    assert_eq!(two.log_event().await["text"], "from the laptop");
    two.ok(json!({"type": "read", "channel": "general", "seq": 1})).await;
    assert_eq!(one.event("read").await["seq"], 1, "what the phone reads is read on the laptop");
    let devices = phone.get("/account").await["devices"].clone();
    let names: Vec<_> =
        devices.as_array().unwrap().iter().map(|one| (&one["name"], &one["current"])).collect();
    assert!(names.contains(&(&json!("Safari on iPhone"), &json!(true))), "{devices}");
    assert!(names.contains(&(&json!("Firefox on Linux"), &json!(false))), "{devices}");
}

async fn a_device_is_signed_out_from_the_list(store: Store) {
    let chat = Chat::start(store, &[]).await;
    let laptop = chat.name("Ann").await;
    let phone = chat.join(json!({ "link": laptop.link("/account/link").await }), PHONE).await;
    let bob = chat.name("Bob").await;
    let (mut one, mut two) = (laptop.connect().await, phone.connect().await);
    let devices = laptop.get("/account").await["devices"].clone();
    let other = devices.as_array().unwrap().iter().find(|one| one["current"] == false).unwrap()["id"].clone();
    let path = format!("/account/devices/{}", other.as_str().unwrap());
    bob.send("DELETE", &path, None).await.assert_error(404, "not_found");
    assert_eq!(laptop.send("DELETE", &path, None).await.status, 204);
    assert_eq!(two.closed().await, 4100);
    phone.send("GET", "/session", None).await.assert_error(401, "unauthorized");
    one.ok(json!({"type": "ping"})).await;
    laptop.send("DELETE", &path, None).await.assert_error(404, "not_found");
    laptop.send("DELETE", "/account/devices/x", None).await.assert_error(404, "not_found");
    let own = laptop.get("/account").await["devices"][0]["id"].as_str().unwrap().to_owned();
    let out = laptop.send("DELETE", &format!("/account/devices/{own}"), None).await;
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"), "one's own device, too");
    assert_eq!(one.closed().await, 4100);
}

async fn all_other_devices_are_signed_out(store: Store) {
    let chat = Chat::start(store, &[]).await;
    let laptop = chat.name("Ann").await;
    let phone = chat.join(json!({ "link": laptop.link("/account/link").await }), PHONE).await;
    let (mut one, mut two) = (laptop.connect().await, phone.connect().await);
    assert_eq!(phone.send("DELETE", "/account/devices", None).await.status, 204);
    assert_eq!(one.closed().await, 4100);
    two.ok(json!({"type": "ping"})).await;
    assert_eq!(phone.get("/account").await["devices"].as_array().unwrap().len(), 1);
}

async fn guesses_of_links_are_limited_per_address(store: Store) {
    let chat = Chat::start(store, &["--sign-ins", "4", "--sign-in-interval", "60000"]).await;
    let ann = chat.name("Ann").await;
    chat.look_at("x").await.assert_error(404, "invalid_link");
    chat.try_join(json!({ "link": "x" }), PHONE).await.assert_error(404, "invalid_link");
    let link = ann.link("/account/link").await;
    chat.look_at(&link).await.assert_error(429, "rate_limited");
    chat.try_join(json!({ "link": link }), PHONE).await.assert_error(429, "rate_limited");
    ann.send("POST", "/account/link", None).await.assert_error(429, "rate_limited");
    ann.send("PATCH", "/account", Some(json!({ "name": "Anna" }))).await.assert_error(429, "rate_limited");
}

async fn a_rename_is_seen_by_all_sessions(store: Store) {
    let chat = Chat::start(store, &[]).await;
    let (ann, bob) = (chat.name("Ann").await, chat.name("Bob").await);
    let phone = chat.join(json!({ "link": ann.link("/account/link").await }), PHONE).await;
    let mut reader = bob.connect().await;
    reader.ok(json!({"type": "subscribe", "channel": "general"})).await;
    ann.connect().await.publish("general", "before").await;
    let before = reader.log_event().await;
    let rename = async |name: &str| ann.send("PATCH", "/account", Some(json!({ "name": name }))).await;
    rename("bob").await.assert_error(409, "name_taken");
    rename("a\nb").await.assert_error(422, "bad_name");
    let renamed = rename("Anna").await.json();
    assert_eq!(renamed["user"], json!({ "id": ann.user["id"], "name": "Anna" }));
    for device in [&ann, &phone] {
        assert_eq!(device.get("/session").await["name"], "Anna");
        assert_eq!(device.connect().await.welcome["user"]["name"], "Anna");
    }
    phone.connect().await.publish("general", "after").await;
    let after = reader.log_event().await;
    assert_eq!((&after["author"]["name"], &after["author"]["id"]), (&json!("Anna"), &before["author"]["id"]));
    assert_eq!(rename("Anna").await.status, 200, "to the same name, after a lost answer");
    assert_eq!(chat.name("Ann").await.user["name"], "Ann", "the old name is free");
}

async fn a_name_is_given_up_on_purpose(store: Store) {
    let chat = Chat::start(store, &[]).await;
    let (owner, ann) = (chat.name("Owner").await, chat.name("Ann").await);
    owner.send("DELETE", "/account", None).await.assert_error(403, "not_allowed");
    let link = ann.link("/account/link").await;
    let mut client = ann.connect().await;
    let gone = ann.send("DELETE", "/account", None).await;
    assert_eq!((gone.status, gone.header("clear-site-data")), (204, Some("\"cache\"")));
    assert!(gone.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(client.closed().await, 4100);
    ann.send("GET", "/account", None).await.assert_error(401, "unauthorized");
    chat.try_join(json!({ "link": link }), PHONE).await.assert_error(404, "invalid_link");
    assert_ne!(chat.name("Ann").await.user["id"], ann.user["id"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_signed_out_at_one_node_is_cut_at_another() {
    let database = Postgres::shared().await.database().await;
    let (here, there, url) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), database.url());
    let start = async |data: &TempDir| {
        let arguments = ["web_chat", "--data", data.path().to_str().unwrap(), "--database-url", &url];
        serve(App::open(&Options::parse_from(arguments)).await.unwrap()).await
    };
    let one = Chat { addr: start(&here).await, _database: None, _data: None };
    let two = Chat { addr: start(&there).await, _database: None, _data: None };
    let laptop = one.name("Ann").await;
    let link = laptop.link("/account/link").await;
    let phone = two.join(json!({ "link": link }), PHONE).await;
    let mut client = phone.connect().await;
    assert_eq!(laptop.send("DELETE", "/account/devices", None).await.status, 204);
    assert_eq!(client.closed().await, 4100);
    phone.send("GET", "/session", None).await.assert_error(401, "unauthorized");
}

#[tokio::test]
async fn a_link_is_kept_in_no_cache_and_sent_to_no_other_site() {
    let chat = Chat::start(Store::Redb, &[]).await;
    let made = chat.name("Ann").await.send("POST", "/account/link", None).await;
    assert_eq!(made.header("cache-control"), Some("no-store"));
    for path in ["/", "/account.html", "/admin.html"] {
        let answer = http(chat.addr, "GET", path, &[], b"").await;
        assert_eq!((answer.status, answer.header("referrer-policy")), (200, Some("same-origin")), "{path}");
    }
}
