//! Who is in a private channel, over real sockets on each store and on two nodes: removals, sign-outs and returns, and every
//! way by which somebody could get what is not for them.
#![allow(clippy::unwrap_used)] // The functions that `on_every_store!` calls are tests.

mod exact;
mod returns;
mod under_load;
mod under_way;
mod ways;

use chatcore::{User, UserId};
use chatcore_tests::{Client, Server, Setup};
use serde_json::{Value, json};

fn unlimited(setup: &mut Setup) {
    setup.limits.commands_per_second = 1_000_000;
    setup.limits.command_burst = 1_000_000;
}

fn user(name: &str) -> User {
    User::new(&format!("u_{name}"), name).unwrap()
}

fn id(name: &str) -> UserId {
    user(name).id
}

/// Creates a private channel with these members, and returns its key.
async fn private(owner: &mut Client, members: &[&str]) -> String {
    private_with(owner, members, "all").await
}

/// Creates a private channel in which new members can read everything, or what is said since they joined.
async fn private_with(owner: &mut Client, members: &[&str], history: &str) -> String {
    let members: Vec<_> = members.iter().map(|name| id(name)).collect();
    let create = json!({"type": "create_channel", "kind": "private", "title": "Plans", "members": members,
        "history": history});
    owner.ok(create).await["channel"]["name"].as_str().unwrap().to_owned()
}

/// Makes people known, so that they can be added.
async fn known(server: &Server, names: &[&str]) {
    for name in names {
        server.chat.remember_user(&user(name)).await.unwrap();
    }
}

async fn remove(owner: &mut Client, channel: &str, name: &str) -> u64 {
    let removal = json!({"type": "remove_member", "channel": channel, "user": id(name)});
    owner.ok(removal).await["seq"].as_u64().unwrap()
}

/// Takes the frames about a channel that have arrived before an answer that is asked for now.
async fn frames_of(client: &mut Client, channel: &str) -> Vec<Value> {
    client.ok(json!({"type": "ping"})).await;
    let mut frames = client.take_waiting();
    frames.retain(|frame| frame.to_string().contains(channel));
    frames
}
