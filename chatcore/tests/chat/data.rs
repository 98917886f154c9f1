//! Apps' data in messages, whatever is in it.
#![allow(clippy::unwrap_used)]

use chatcore::protocol::Command;
use chatcore::{Chat, Client, Data, Identity, MemoryStore, User};
use serde_json::{Value, json};

async fn client() -> (Chat, Client) {
    let chat = Chat::builder(MemoryStore::new()).build();
    let ann = chat.connect(Identity::new(User::new("u_ann", "Ann").unwrap())).unwrap();
    ann.create_channel("a", "").await.unwrap();
    ann.subscribe("a").await.unwrap();
    (chat, ann)
}

/// Returns a command as a client sends it.
fn publish(data: &Value) -> Command {
    let frame = json!({"type": "publish", "id": 1, "channel": "a", "nonce": "n", "text": "x", "data": data});
    Command::decode(&frame.to_string()).unwrap().1
}

#[tokio::test]
async fn a_message_with_any_numbers_takes_a_reaction() {
    let (_chat, ann) = client().await;
    // The texts of these numbers get longer each time they are read and written.
    let data = |pad: usize| {
        let text = format!(r#"{{"n":4.62163769623070789e-194,"pad":"{}"}}"#, "x".repeat(pad));
        let publish = r#"{"type":"publish","id":1,"channel":"a","nonce":"n","text":"x","data":"#;
        Command::decode(&format!("{publish}{text}}}")).map(|(_, command)| command)
    };
    let most = (0..=Data::MAX_BYTES).rev().find_map(|pad| data(pad).ok()).unwrap();
    ann.call::<Value>(most).await.unwrap();
    ann.react("a", 1, "👍", true).await.unwrap();
    assert_eq!(ann.publish("a", "later").await.unwrap().seq, 3);
}

#[tokio::test]
async fn a_message_with_deep_data_takes_a_reaction() {
    let (_chat, ann) = client().await;
    let mut deep = json!({});
    for _ in 1..Data::MAX_DEPTH {
        deep = json!({"a": deep});
    }
    ann.call::<Value>(publish(&deep)).await.unwrap();
    ann.react("a", 1, "👍", true).await.unwrap();
    assert_eq!(ann.publish("a", "later").await.unwrap().seq, 3);
}
