//! A channel's past, before, after and around a message, on each store.

use chatcore_tests::{Backend, Client, Server};
use serde_json::{Value, json};

/// Asks for a part of `general`. Returns the `seq` of each message, `more` and `more_after`.
async fn history(client: &mut Client, from: Value) -> (Vec<u64>, Value, Value) {
    let mut command = json!({"type": "history", "channel": "general"});
    command.as_object_mut().expect("an object").extend(from.as_object().expect("an object").clone());
    let page = client.ok(command).await;
    let messages = page["messages"].as_array().expect("a list").iter();
    let seqs = messages.map(|message| message["seq"].as_u64().expect("a seq")).collect();
    (seqs, page["more"].clone(), page.get("more_after").cloned().unwrap_or(Value::Null))
}

async fn pages_go_in_both_directions(backend: Backend) {
    let server = Server::on(backend, |_| ()).await;
    let mut ann = server.member("ann", "general").await;
    for n in 1..=5 {
        ann.publish("general", &format!("text {n}")).await;
    }
    ann.ok(json!({"type": "edit", "channel": "general", "seq": 2, "text": "edited"})).await;
    ann.publish("general", "text 7").await;
    for (from, seqs, more, more_after) in [
        (json!({"before": 6, "limit": 2}), vec![4, 5], json!(true), json!(null)),
        (json!({"before": 4, "limit": 3}), vec![1, 2, 3], json!(false), json!(null)),
        (json!({"before": 1, "limit": 100}), vec![], json!(false), json!(null)),
        (json!({"before": 100}), vec![1, 2, 3, 4, 5, 7], json!(false), json!(null)),
        (json!({"after": 0, "limit": 2}), vec![1, 2], json!(false), json!(true)),
        (json!({"after": 2, "limit": 3}), vec![3, 4, 5], json!(true), json!(true)),
        (json!({"after": 4}), vec![5, 7], json!(true), json!(false)),
        (json!({"after": 7}), vec![], json!(true), json!(false)),
        (json!({"after": u64::MAX}), vec![], json!(true), json!(false)),
        (json!({"around": 3, "limit": 3}), vec![2, 3, 4], json!(true), json!(true)),
        (json!({"around": 6, "limit": 3}), vec![4, 5, 7], json!(true), json!(false)),
        (json!({"around": 1, "limit": 1}), vec![1], json!(false), json!(true)),
        (json!({"around": 4}), vec![1, 2, 3, 4, 5, 7], json!(false), json!(false)),
    ] {
        assert_eq!(history(&mut ann, from.clone()).await, (seqs, more, more_after), "{backend:?}: {from}");
    }
    let page = ann.ok(json!({"type": "history", "channel": "general", "after": 1, "limit": 1})).await;
    assert_eq!(page["messages"][0]["text"], "edited", "in their current state");
}

#[tokio::test]
async fn history_goes_in_both_directions_in_memory() {
    pages_go_in_both_directions(Backend::Memory).await;
}

#[tokio::test]
async fn history_goes_in_both_directions_in_redb() {
    pages_go_in_both_directions(Backend::Redb).await;
}

#[tokio::test]
async fn history_goes_in_both_directions_in_postgres() {
    pages_go_in_both_directions(Backend::Postgres).await;
}

#[tokio::test]
async fn history_needs_exactly_one_of_before_after_and_around() {
    let server = Server::start().await;
    let mut ann = server.member("ann", "general").await;
    for from in [
        json!({}),
        json!({"before": 1, "after": 1}),
        json!({"after": 1, "around": 1}),
        json!({"before": 1, "after": 1, "around": 1}),
    ] {
        let mut command = json!({"type": "history", "channel": "general"});
        command.as_object_mut().unwrap().extend(from.as_object().unwrap().clone());
        let error = ann.refused(command, "bad_frame").await;
        assert_eq!(error["message"], "'history' needs exactly one of 'before', 'after' and 'around'");
    }
}
