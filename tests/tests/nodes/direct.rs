//! Two people who write to each other at the same instant, at two nodes, get one direct channel.

use chatcore::User;
use chatcore_tests::{Client, Server};
use serde_json::{Value, json};

const ROUNDS: usize = 100;

fn user(name: &str) -> User {
    User::new(&format!("u_{name}"), name).unwrap()
}

async fn open(client: &mut Client, other: &User) -> Value {
    client.ok(json!({"type": "open_direct", "users": [other.id]})).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_write_to_each_other_at_once_share_one_channel() {
    let ([here, there], _bus) = Server::two(|setup| {
        setup.limits.commands_per_second = 1_000_000;
        setup.limits.command_burst = 1_000_000;
        // One of the two may be first in all rounds.
        setup.limits.channels_at_once = u32::MAX;
    })
    .await;
    let ann = user("ann");
    here.chat.remember_user(&ann).await.unwrap();
    let mut anns = here.client("ann").await;
    for round in 0..ROUNDS {
        let name = format!("b{round}");
        let bob = user(&name);
        there.chat.remember_user(&bob).await.unwrap();
        let mut bobs = there.client(&name).await;
        let (one, other) = tokio::join!(open(&mut anns, &bob), open(&mut bobs, &ann));
        assert_eq!(one["channel"]["name"], other["channel"]["name"], "round {round}");
        assert_ne!(one["created"], other["created"], "round {round}: one of the two has created it");
        let key = one["channel"]["name"].as_str().unwrap();
        // Each of them reads what the other writes there.
        bobs.ok(json!({"type": "subscribe", "channel": key})).await;
        anns.publish(key, "hello").await;
        assert_eq!(bobs.log_event().await["text"], "hello");
        let listed = bobs.ok(json!({"type": "channels"})).await["channels"].clone();
        assert_eq!(listed.as_array().unwrap().len(), 1, "round {round}: {listed}");
    }
    let listed = anns.ok(json!({"type": "channels"})).await["channels"].clone();
    assert_eq!(listed.as_array().unwrap().len(), ROUNDS);
}
