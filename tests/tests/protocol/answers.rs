//! Attacks with large responses: short commands whose unbounded responses would be megabytes.

use chatcore_tests::{Backend, Client, Server, Setup};
use serde_json::{Value, json};

/// The largest list of a response in these tests.
const LIST: usize = 64 << 10;
/// The size of the rest of a response: its fields, and the online users.
const REST: usize = 2 << 10;

/// A text at the limit that is six times as large in JSON.
fn control() -> String {
    "\u{1}".repeat(8_000)
}

fn small(setup: &mut Setup) {
    setup.limits.answer_bytes = LIST;
}

/// Sends a command, and checks that the response is within its limit.
async fn bounded(client: &mut Client, command: Value) -> Value {
    let answer = client.ok(command.clone()).await;
    let bytes = answer.to_string().len();
    assert!(bytes <= LIST + REST, "{command} was answered with {bytes} bytes");
    answer
}

async fn attack(backend: Backend) {
    let server = Server::on(backend, small).await;
    let mut eve = server.member("eve", "general").await;
    eve.ok(json!({"type": "unsubscribe", "channel": "general"})).await;
    for n in 0..40 {
        let text = format!("{n} {}", &control()[..7_990]);
        let publish = json!({"type": "publish", "channel": "general", "nonce": n.to_string(), "text": text});
        eve.ok(publish).await;
    }
    let opened = bounded(&mut eve, json!({"type": "subscribe", "channel": "general"})).await;
    assert_eq!(
        (&opened["reset"], &opened["more"], &opened["head"]),
        (&json!(true), &json!(true), &json!(40))
    );
    assert_eq!(opened["messages"][0]["seq"], 40, "the newest, alone");
    // Once far back, where the ring does not have the events after the response, and once where it has them.
    for (seq, reset) in [(0, true), (38, false)] {
        let after = json!({"epoch": opened["epoch"], "seq": seq});
        let resume = json!({"type": "subscribe", "channel": "general", "after": after, "limit": 100});
        let resumed = bounded(&mut eve, resume).await;
        assert_eq!(resumed["reset"], reset, "after {seq}");
        if !reset {
            let head = resumed["head"].as_u64().expect("a seq");
            assert_eq!(resumed["events"].as_array().expect("events").len() as u64, head - seq);
            for seq in head + 1..=40 {
                assert_eq!(eve.event("message").await["seq"], seq, "the rest comes live");
            }
        }
    }
    let mut before = json!(1_000);
    for seq in (1..=40).rev() {
        let history = json!({"type": "history", "channel": "general", "before": before});
        let page = bounded(&mut eve, history).await;
        assert_eq!((&page["messages"][0]["seq"], &page["more"]), (&json!(seq), &json!(seq > 1)));
        before = json!(seq);
    }
    let search = json!({"type": "search", "channel": "general", "query": "\u{1}"});
    let found = bounded(&mut eve, search).await;
    assert_eq!((&found["messages"][0]["seq"], &found["before"]), (&json!(40), &json!(40)));
    server.stop().await;
}

#[tokio::test]
async fn messages_of_control_characters_fill_no_answer_in_memory() {
    attack(Backend::Memory).await;
}

#[tokio::test]
async fn messages_of_control_characters_fill_no_answer_on_redb() {
    attack(Backend::Redb).await;
}

#[tokio::test]
async fn messages_of_control_characters_fill_no_answer_on_postgres() {
    attack(Backend::Postgres).await;
}

#[tokio::test]
async fn a_thousand_channels_are_listed_in_bounded_pages() {
    let server = Server::with(small).await;
    let eve = chatcore::User::new("u_eve", "eve").expect("a user");
    for n in 0..1_200 {
        let name = chatcore::ChannelName::new(&format!("{n:04}-{}", "会".repeat(59))).expect("a name");
        server.chat.ensure_channel(&name, &"\u{1}".repeat(250), &eve).await.expect("a channel");
    }
    let mut eve = server.client("eve").await;
    let (mut listed, mut after) = (0, Value::Null);
    loop {
        let mut command = json!({"type": "channels", "limit": 1_000});
        if after.is_string() {
            command["after"] = after;
        }
        let page = bounded(&mut eve, command).await;
        let channels = page["channels"].as_array().expect("channels");
        assert!(!channels.is_empty());
        for channel in channels {
            assert!(channel["name"].as_str().expect("a name").starts_with(&format!("{listed:04}-")));
            listed += 1;
        }
        if page["more"] == false {
            break;
        }
        after = page["after"].clone();
    }
    assert_eq!(listed, 1_200);
    server.stop().await;
}
