//! Names and texts follow what people see: on sockets, over every store.
#![allow(clippy::unwrap_used)]

use chatcore::store::Directory;
use chatcore::{ChannelName, ErrorCode, MemoryStore};
use chatcore_tests::{Backend, Server, http};
use serde_json::json;

const STORES: [Backend; 3] = [Backend::Memory, Backend::Redb, Backend::Postgres];

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_found_by_any_typing_of_its_name() {
    for store in STORES {
        let server = Server::on(store, |_| ()).await;
        let mut ann = server.client("ann").await;
        for (first, others) in [
            ("ΣΑΣ", ["σασ", "σας"]),
            ("Straße", ["STRASSE", "strasse"]),
            ("Café", ["CAFE\u{301}", "ｃａｆé"]),
        ] {
            let created = ann.ok(json!({"type": "create_channel", "name": first})).await;
            let key = created["channel"]["name"].clone();
            for other in others {
                let taken = ann.refused(json!({"type": "create_channel", "name": other}), "name_taken").await;
                assert_eq!(taken["channel"], key, "{store:?}: {other}");
                let begun = ann.ok(json!({"type": "subscribe", "channel": other})).await;
                assert_eq!(begun["channel"], key, "{store:?}: {other}");
                let publish = json!({"type": "publish", "channel": other, "nonce": other, "text": "hi"});
                assert_eq!(ann.ok(publish).await["channel"], key, "{store:?}: {other}");
                assert_eq!(ann.event("message").await["channel"], key, "{store:?}: {other}");
            }
        }
        assert_eq!(ann.ok(json!({"type": "channels"})).await["channels"].as_array().unwrap().len(), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_imitates_another_is_refused() {
    for store in STORES {
        let server = Server::on(store, |_| ()).await;
        let mut ann = server.member("ann", "paypal").await;
        for name in ["p\u{430}ypal", "pаураl", "ｐａｙｐａl"] {
            let taken = ann.refused(json!({"type": "create_channel", "name": name}), "name_taken").await;
            assert_eq!(taken["channel"], "paypal", "{store:?}: {name}");
        }
        ann.refused(json!({"type": "subscribe", "channel": "p\u{430}ypal"}), "no_such_channel").await;
        for (one, other) in [("modern", "modem"), ("v1", "vl"), ("cafe", "café"), ("и", "й")] {
            ann.ok(json!({"type": "create_channel", "name": one})).await;
            ann.ok(json!({"type": "create_channel", "name": other})).await;
        }
    }
}

#[tokio::test]
async fn invisible_and_reserved_names_are_refused() {
    let server = Server::start().await;
    let mut ann = server.client("ann").await;
    let invisible =
        ["\u{3164}", "\u{115f}\u{1160}", "\u{ffa0}", "a\u{34f}b", "a\u{fe0f}", "\u{17b4}", "\u{180b}x"];
    let reserved = ["everyone", "Here", "channel", "SYSTEM", "ѕystem", "pr.x", "DM.x"];
    for name in invisible.into_iter().chain(reserved) {
        ann.refused(json!({"type": "create_channel", "name": name}), "bad_name").await;
    }
    for name in ["everyone-else", "prs", "dm", "ไทย", "नमस्ते", "日本語"] {
        ann.ok(json!({"type": "create_channel", "name": name})).await;
    }
}

/// Earlier versions accepted such names.
#[tokio::test]
async fn a_channel_with_an_invisible_name_can_still_be_used() {
    let (store, folder) = (MemoryStore::new(), tempfile::tempdir().unwrap());
    let server = Server::over(store.clone(), folder, |_| ()).await;
    let by = chatcore::User::new("u_ann", "ann").unwrap();
    for name in ["\u{3164}", "everyone", "dm.x"] {
        let name = ChannelName::existing(name).unwrap();
        let refused = server.chat.ensure_channel(&name, "", &by).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::BadName);
        let id = store.create_channel(&name, "", &by).await.unwrap().into_channel().id;
        assert_eq!(server.chat.ensure_channel(&name, "", &by).await.unwrap().id, id);
        let mut ann = server.client("ann").await;
        let begun = ann.ok(json!({"type": "subscribe", "channel": name.as_str()})).await;
        assert_eq!(begun["channel"], name.as_str());
        ann.publish(name.as_str(), "hi").await;
    }
}

/// Rights belong to the channel, so another spelling of its name does not bypass them.
#[tokio::test]
async fn another_spelling_of_a_name_gives_no_other_right() {
    let server = Server::start().await;
    let mut ann = server.member("ann", "straße").await;
    ann.publish("STRASSE", "secret").await;
    server.rules.forbid("bob", "straße");
    let mut bob = server.client("bob").await;
    for spelling in ["straße", "STRASSE", "ｓtrasse"] {
        for command in [
            json!({"type": "subscribe", "channel": spelling}),
            json!({"type": "history", "channel": spelling, "before": 9}),
            json!({"type": "search", "channel": spelling, "query": "secret"}),
            json!({"type": "publish", "channel": spelling, "nonce": "n", "text": "x"}),
        ] {
            bob.refused(command, "not_allowed").await;
        }
        let path: String = format!("/chat/channels/{}/attachments?name=x", percent(spelling));
        http(server.addr, "POST", &path, &["x-user: bob"], b"x").await.assert_error(403, "not_allowed");
        let file = http(server.addr, "POST", &path, &["x-user: ann"], b"x").await.json();
        let publish = json!({"type": "publish", "channel": spelling, "nonce": spelling, "text": "", "attachments": [file["id"]]});
        assert_eq!(ann.ok(publish).await["channel"], "straße");
    }
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn a_subscription_is_the_same_by_any_typing_of_the_name() {
    let server = Server::start().await;
    let mut ann = server.member("ann", "straße").await;
    ann.ok(json!({"type": "subscribe", "channel": "STRASSE"})).await;
    let seq = ann.publish("Strasse", "once").await;
    assert_eq!(ann.event("message").await["seq"], seq);
    ann.ok(json!({"type": "typing", "channel": "STRASSE"})).await;
    ann.ok(json!({"type": "unsubscribe", "channel": "STRASSE"})).await;
    ann.refused(json!({"type": "unsubscribe", "channel": "straße"}), "not_subscribed").await;
    ann.refused(json!({"type": "typing", "channel": "strasse"}), "not_subscribed").await;
    ann.publish("straße", "unheard").await;
    ann.ok(json!({"type": "ping"})).await;
    let waiting = ann.take_waiting();
    assert!(waiting.iter().all(|frame| frame["type"] != "message"), "{waiting:?}");
}

#[tokio::test]
async fn a_message_of_only_invisible_characters_is_empty() {
    let server = Server::start().await;
    let mut ann = server.member("ann", "general").await;
    ann.publish("general", "hi").await;
    for text in [
        "\u{200b}",
        "\u{3164}\u{3164}",
        " \u{200d}\n",
        "\u{feff}",
        "\u{2800}",
        "\u{202e}\u{2060}",
        "\u{fe0f}",
    ] {
        let publish = json!({"type": "publish", "channel": "general", "nonce": "n", "text": text});
        ann.refused(publish, "empty").await;
        ann.refused(json!({"type": "edit", "channel": "general", "seq": 1, "text": text}), "empty").await;
    }
    for text in ["👩‍🚀", "❤\u{fe0f}", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "می‌خواهم", "\u{feff}x", "क्‍ष", "\u{200b}."]
    {
        ann.publish("general", text).await;
        let stored = ann.ok(json!({"type": "history", "channel": "general", "before": 99, "limit": 1})).await;
        assert_eq!(stored["messages"][0]["text"], text, "it is stored as it was written");
    }
}

#[tokio::test]
async fn welcome_says_the_most_bytes_of_a_text() {
    let server = Server::start().await;
    let mut ann = server.member("ann", "general").await;
    let limits = ann.welcome["limits"].clone();
    let (frame, bytes) = (limits["frame_bytes"].as_u64().unwrap(), limits["text_bytes"].as_u64().unwrap());
    assert_eq!((frame, bytes), (65_536, 61_440));
    // 8,000 characters of four bytes are 32,000 bytes in UTF-8, and 96,000 with both halves of each pair escaped.
    let most = "😀".repeat(8_000);
    ann.ok(json!({"type": "publish", "channel": "general", "nonce": "n", "text": most})).await;
    let escaped = r"\ud83d\ude00".repeat(usize::try_from(bytes).unwrap() / 12);
    let nonce = r"\ud83d\ude00".repeat(64);
    ann.send(format!(
        r#"{{"type":"publish","id":-7,"channel":"general","nonce":"{nonce}","text":"{escaped}"}}"#
    ))
    .await;
    assert_eq!(ann.answer(-7).await["type"], "ok");
    let escaped = r"\ud83d\ude00".repeat(8_000);
    ann.send(format!(r#"{{"type":"publish","id":-8,"channel":"general","nonce":"m","text":"{escaped}"}}"#))
        .await;
    assert_eq!(ann.closed().await, 1009);
}

#[tokio::test]
async fn topics_and_file_names_can_not_reverse_text() {
    let server = Server::start().await;
    let mut ann = server.client("ann").await;
    for (topic, shown) in
        [("  a\n\tb\u{0}", "a b"), ("x\u{202e}y", "xy"), ("\u{3164}\u{200b}", ""), ("👩‍🚀", "👩‍🚀")]
    {
        let name = format!("c{}", topic.len());
        let created = ann.ok(json!({"type": "create_channel", "name": name, "topic": topic})).await;
        assert_eq!(created["channel"]["topic"], shown, "{topic:?}");
    }
    ann.ok(json!({"type": "create_channel", "name": "files"})).await;
    let upload = async |name: &str| {
        let path = format!("/chat/channels/files/attachments?name={}", percent(name));
        http(server.addr, "POST", &path, &["x-user: ann"], b"x").await
    };
    assert_eq!(upload("photo\u{202e}gpj.exe").await.json()["name"], "photo_gpj.exe");
    assert_eq!(upload("Cafe\u{301}.txt").await.json()["name"], "Café.txt");
    for name in ["\u{3164}", "\u{200b}\u{feff}", "\u{200e}..", "a\u{0}b"] {
        upload(name).await.assert_error(422, "bad_name");
    }
}
