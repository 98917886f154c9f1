//! Twenty of fifty members are removed at random moments while four others publish as fast as they can: each removed
//! member gets every event up to the removal and none after it, and everybody else gets all.

use std::collections::HashMap;

use chatcore::testkit::Random;
use chatcore::{ChannelName, HistoryAccess};
use chatcore_tests::{Backend, Client, Server, Setup, Traffic, must, on_every_store};
use serde_json::json;
use tokio::sync::watch;

use super::{frames_of, unlimited, user};

const MEMBERS: usize = 50;
const REMOVED: usize = 20;
const WRITERS: usize = 4;
/// The unanswered publishes of each writer.
const IN_FLIGHT: usize = 4;
/// The most messages between two removals, beside those in flight.
const BETWEEN: u64 = 16;

on_every_store!(a_removal_under_load_cuts_exactly);

async fn a_removal_under_load_cuts_exactly(backend: Backend) {
    let server = Server::on(backend, patient).await;
    removals_cut_exactly(&[server]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_under_load_cuts_exactly_on_two_nodes_while_the_bus_is_cut() {
    let (servers, bus) = Server::two(patient).await;
    bus.set(Traffic::Cut);
    removals_cut_exactly(&servers).await;
}

/// No pace, and rings with room for everything that these tests publish, so that no reader lags.
fn patient(setup: &mut Setup) {
    unlimited(setup);
    setup.limits.ring_events = 100_000;
    setup.limits.ring_bytes = 64 << 20;
}

fn member(n: usize) -> String {
    format!("m{n}")
}

async fn removals_cut_exactly(nodes: &[Server]) {
    let random = Random::from_env();
    let (chat, owner) = (&nodes[0].chat, user("owner"));
    let channel = chat.create_private(&owner, "Plans", "", HistoryAccess::All).await.unwrap().name;
    let writers = (0..WRITERS).map(|n| format!("w{n}"));
    for name in (0..MEMBERS).map(member).chain(writers.clone()) {
        chat.add_member(&owner, &channel, &user(&name)).await.unwrap();
    }
    let mut readers = Vec::new();
    for n in 0..MEMBERS {
        let mut client = nodes[n % nodes.len()].client(&member(n)).await;
        let opened = client.ok(json!({"type": "subscribe", "channel": channel, "limit": 0})).await;
        let head = opened["head"].as_u64().unwrap();
        readers.push(tokio::spawn(read(client, channel.clone(), head)));
    }
    let (stop, stopped) = watch::channel(false);
    let acknowledged = watch::Sender::new(0_u64);
    let mut writing = Vec::new();
    for (n, name) in writers.enumerate() {
        let client = nodes[n % nodes.len()].client(&name).await;
        writing.push(tokio::spawn(write(client, channel.clone(), acknowledged.clone(), stopped.clone())));
    }
    let mut owners = Vec::new();
    for node in nodes {
        owners.push(node.client("owner").await);
    }
    let mut staying: Vec<usize> = (0..MEMBERS).collect();
    let mut removals = HashMap::new();
    for n in 0..REMOVED {
        let moment = *acknowledged.borrow() + random.below(BETWEEN);
        must("the writers go on", acknowledged.subscribe().wait_for(|count| *count >= moment)).await.unwrap();
        let gone = staying.swap_remove(usize::try_from(random.below(staying.len() as u64)).unwrap());
        let removal = json!({"type": "remove_member", "channel": channel, "user": user(&member(gone)).id});
        let owner = &mut owners[n % nodes.len()];
        removals.insert(gone, owner.ok(removal).await["seq"].as_u64().unwrap());
    }
    stop.send_replace(true);
    for writer in writing {
        must("a writer ends", writer).await.unwrap();
    }
    let last = owners[0].publish(channel.as_str(), LAST).await;
    for (n, reader) in readers.into_iter().enumerate() {
        let (mut client, read, was_removed) = must("a reader ends", reader).await.unwrap();
        let removal = removals.get(&n).copied();
        assert_eq!(was_removed, removal.is_some(), "{} of {removal:?} to {last}", member(n));
        assert_eq!(read, removal.unwrap_or(last), "the last event of {}", member(n));
        if was_removed {
            let later = frames_of(&mut client, channel.as_str()).await;
            assert!(later.is_empty(), "{}: {later:?}", member(n));
        }
    }
}

/// The text of the last message.
const LAST: &str = "last";

/// Reads up to the end of the subscription or the last message. Returns the last `seq`, and whether the member was removed.
/// Nothing before it is missing, and nothing came twice.
async fn read(mut client: Client, channel: ChannelName, head: u64) -> (Client, u64, bool) {
    let mut read = head;
    loop {
        let frame = client.frame().await;
        assert_ne!(frame["type"], "lagged", "the ring is too small for this test");
        if frame["channel"] != channel.as_str() {
            continue;
        }
        if frame["type"] == "channel_removed" {
            return (client, read, true);
        }
        if frame["check"].is_string() {
            assert_eq!(frame["seq"], read + 1, "{frame}");
            read += 1;
        }
        if frame["text"] == LAST {
            return (client, read, false);
        }
    }
}

/// Publishes as fast as the server answers, until it is told to stop.
async fn write(
    mut client: Client,
    channel: ChannelName,
    acknowledged: watch::Sender<u64>,
    stop: watch::Receiver<bool>,
) {
    let mut nonces = 0_u64..;
    while !*stop.borrow() {
        let mut ids = Vec::new();
        for nonce in nonces.by_ref().take(IN_FLIGHT) {
            let nonce = nonce.to_string();
            let publish = json!({"type": "publish", "channel": channel, "nonce": nonce, "text": nonce});
            ids.push(client.tell(publish).await);
        }
        for id in ids {
            let answer = client.answer(id).await;
            assert_eq!(answer["type"], "ok", "{answer}");
            acknowledged.send_modify(|count| *count += 1);
        }
    }
}
