//! The guarantees of the log, on every store: one order for all, no gaps and no duplicates, resume, resets, and
//! deleted texts that are gone.
#![allow(clippy::unwrap_used)] // The laws are tests, called by the functions that the macro makes.

use std::collections::BTreeMap;

use chatcore_tests::{Backend, Client, Server, on_every_store};
use serde_json::{Value, json};

on_every_store!(
    eight_writers_get_gapless_acks_and_all_see_one_order,
    resume_has_no_gap_and_no_double_across_every_kind_of_event,
    resume_at_the_limit_replays_and_one_past_it_resets,
    a_foreign_epoch_or_a_position_ahead_resets,
    a_deleted_text_is_in_no_later_answer,
    a_subscription_amid_publishes_joins_snapshot_and_live_events,
    the_same_nonce_at_once_is_stored_once,
);

fn seq(value: &Value) -> u64 {
    value["seq"].as_u64().expect("a seq")
}

/// Applies a log as a client would: the content of the message at each `seq`.
#[derive(Debug, Default, PartialEq)]
struct Folded {
    messages: BTreeMap<u64, Shown>,
}

/// A message's text, whether it is deleted, and its reactions.
type Shown = (String, bool, Vec<(String, Value)>);

impl Folded {
    fn of_messages(messages: &Value) -> Self {
        let mut folded = Self::default();
        for message in messages.as_array().expect("messages") {
            let reactions = message["reactions"].as_array().into_iter().flatten();
            let reactions =
                reactions.map(|r| (r["emoji"].as_str().unwrap().to_owned(), r["users"].clone())).collect();
            let text = message["text"].as_str().unwrap().to_owned();
            folded.messages.insert(seq(message), (text, message["deleted"] == true, reactions));
        }
        folded
    }

    fn apply(&mut self, event: &Value) {
        let target = event["target"].as_u64().unwrap_or_default();
        match event["type"].as_str().unwrap() {
            "message" => {
                let text = event["text"].as_str().unwrap().to_owned();
                self.messages.insert(seq(event), (text, event["deleted"] == true, Vec::new()));
            }
            "edited" => {
                let message = self.messages.get_mut(&target).expect("the target came before");
                if !message.1 {
                    message.0 = event["text"].as_str().unwrap().to_owned();
                }
            }
            "deleted" => {
                self.messages.insert(target, (String::new(), true, Vec::new()));
            }
            "reaction" => {
                let message = self.messages.get_mut(&target).expect("the target came before");
                if message.1 {
                    return;
                }
                assert_eq!(event["on"], true, "these tests only put them on");
                message.2.push((event["emoji"].as_str().unwrap().to_owned(), json!([event["by"]["id"]])));
            }
            other => panic!("no such event: {other}"),
        }
    }
}

async fn eight_writers_get_gapless_acks_and_all_see_one_order(backend: Backend) {
    const WRITERS: usize = 8;
    const EACH: usize = 50;
    let server = Server::on(backend, crate::unlimited).await;
    let mut clients = Vec::new();
    for n in 0..WRITERS {
        clients.push(server.member(&format!("w{n}"), "general").await);
    }
    let running = clients.into_iter().enumerate().map(|(writer, mut client)| {
        tokio::spawn(async move {
            let mut ids = Vec::new();
            for n in 0..EACH {
                let nonce = format!("{writer}-{n}");
                let publish = json!({"type": "publish", "channel": "general", "nonce": nonce, "text": nonce});
                ids.push(client.tell(publish).await);
            }
            let mut acks = Vec::new();
            for id in ids {
                let answer = client.answer(id).await;
                assert_eq!(answer["type"], "ok", "{answer}");
                acks.push(seq(&answer));
            }
            assert!(acks.is_sorted(), "one connection's publishes keep their order");
            let mut seen = Vec::new();
            while seen.len() < WRITERS * EACH {
                let event = client.log_event().await;
                seen.push((seq(&event), event["text"].as_str().unwrap().to_owned()));
            }
            (acks, seen)
        })
    });
    let results = futures::future::join_all(running).await;
    let results: Vec<_> = results.into_iter().map(Result::unwrap).collect();
    let all: Vec<u64> = (1..=(WRITERS * EACH) as u64).collect();
    let mut acks: Vec<u64> = results.iter().flat_map(|(acks, _)| acks.clone()).collect();
    acks.sort_unstable();
    assert_eq!(acks, all, "acks are gapless and each is one's own");
    for (_, seen) in &results {
        assert_eq!(seen.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), all);
        assert_eq!(seen, &results[0].1, "all see the same order");
    }
}

/// Runs every kind of command many times, and returns the number of events.
async fn churn(client: &mut Client, rounds: u64) -> u64 {
    for n in 0..rounds {
        let text = format!("text {n}");
        let target = client.publish("general", &text).await;
        let on = json!({"type": "react", "channel": "general", "seq": target, "emoji": "👍", "on": true});
        client.ok(on).await;
        client.ok(json!({"type": "edit", "channel": "general", "seq": target, "text": "edited"})).await;
        if n % 3 == 0 {
            client.ok(json!({"type": "delete", "channel": "general", "seq": target})).await;
        }
    }
    rounds * 3 + rounds.div_ceil(3)
}

async fn resume_has_no_gap_and_no_double_across_every_kind_of_event(backend: Backend) {
    let server = Server::on(backend, |setup| {
        crate::unlimited(setup);
        // Some resumes are served from the ring and some from the store.
        setup.limits.ring_events = 20;
    })
    .await;
    let mut ann = server.member("ann", "general").await;
    let head = churn(&mut ann, 20).await;
    let mut bob = server.client("bob").await;
    let snapshot = bob.ok(json!({"type": "subscribe", "channel": "general"})).await;
    assert_eq!(snapshot["head"], head);
    let now = Folded::of_messages(&snapshot["messages"]);
    for from in 0..=head {
        let after = json!({"epoch": snapshot["epoch"], "seq": from});
        let answer = bob.ok(json!({"type": "subscribe", "channel": "general", "after": after})).await;
        assert_eq!((&answer["reset"], &answer["head"]), (&json!(false), &json!(head)), "from {from}");
        let events = answer["events"].as_array().unwrap();
        let seqs: Vec<u64> = events.iter().map(seq).collect();
        assert_eq!(seqs, (from + 1..=head).collect::<Vec<_>>(), "from {from}");
        if from == 0 {
            let mut folded = Folded::default();
            events.iter().for_each(|event| folded.apply(event));
            assert_eq!(folded, now, "the log folds into what the snapshot says");
        }
    }
    ann.publish("general", "after all").await;
    assert_eq!(seq(&bob.log_event().await), head + 1, "live events follow the last resume, once");
    assert!(bob.take_waiting().iter().all(|event| event["seq"].is_null()), "and nothing came twice");
}

async fn resume_at_the_limit_replays_and_one_past_it_resets(backend: Backend) {
    let server = Server::on(backend, |setup| {
        crate::unlimited(setup);
        setup.limits.resume_events = 10;
        setup.limits.ring_events = 5;
    })
    .await;
    let mut ann = server.member("ann", "general").await;
    let epoch = ann.ok(json!({"type": "subscribe", "channel": "general", "limit": 0})).await["epoch"].clone();
    for n in 1..=15 {
        ann.publish("general", &n.to_string()).await;
    }
    let mut resume = async |from: u64| {
        let after = json!({"epoch": epoch, "seq": from});
        ann.ok(json!({"type": "subscribe", "channel": "general", "after": after, "limit": 3})).await
    };
    let answer = resume(5).await;
    assert_eq!((&answer["reset"], answer["events"].as_array().unwrap().len()), (&json!(false), 10));
    let answer = resume(4).await;
    assert_eq!((&answer["reset"], answer["messages"].as_array().unwrap().len()), (&json!(true), 3));
    assert!(answer["events"].is_null());
}

async fn a_foreign_epoch_or_a_position_ahead_resets(backend: Backend) {
    let server = Server::on(backend, crate::unlimited).await;
    let mut ann = server.member("ann", "general").await;
    ann.publish("general", "one").await;
    let epoch = ann.ok(json!({"type": "subscribe", "channel": "general"})).await["epoch"].clone();
    for after in [json!({"epoch": "another", "seq": 1}), json!({"epoch": epoch, "seq": 2})] {
        let answer = ann.ok(json!({"type": "subscribe", "channel": "general", "after": after})).await;
        assert_eq!((&answer["reset"], &answer["head"]), (&json!(true), &json!(1)), "{after}");
        assert_eq!(answer["messages"][0]["text"], "one");
    }
    let after = json!({"epoch": epoch, "seq": 1});
    let answer = ann.ok(json!({"type": "subscribe", "channel": "general", "after": after})).await;
    assert_eq!((&answer["reset"], &answer["events"]), (&json!(false), &json!([])));
}

async fn a_deleted_text_is_in_no_later_answer(backend: Backend) {
    const SECRET: &str = "hunter2 in the log";
    const EDITED: &str = "swordfish in the log";
    let server = Server::on(backend, crate::unlimited).await;
    let mut ann = server.member("ann", "general").await;
    ann.publish("general", "before").await;
    let command = json!({"type": "publish", "channel": "general", "nonce": "n", "text": SECRET});
    let target = seq(&ann.ok(command.clone()).await);
    ann.ok(json!({"type": "edit", "channel": "general", "seq": target, "text": EDITED})).await;
    ann.ok(json!({"type": "delete", "channel": "general", "seq": target})).await;

    let mut bob = server.client("bob").await;
    let mut answers = Vec::new();
    let snapshot = bob.ok(json!({"type": "subscribe", "channel": "general"})).await;
    for from in 0..=4 {
        let after = json!({"epoch": snapshot["epoch"], "seq": from});
        answers.push(bob.ok(json!({"type": "subscribe", "channel": "general", "after": after})).await);
    }
    answers.push(snapshot);
    answers.push(bob.ok(json!({"type": "history", "channel": "general", "before": 100})).await);
    answers.push(bob.ok(json!({"type": "channels"})).await);
    answers.push(ann.ok(command).await);
    for answer in answers {
        let text = answer.to_string();
        assert!(!text.contains("hunter2") && !text.contains("swordfish"), "{text}");
    }
}

async fn a_subscription_amid_publishes_joins_snapshot_and_live_events(backend: Backend) {
    const EVENTS: u64 = 200;
    let server = Server::on(backend, crate::unlimited).await;
    let mut ann = server.member("ann", "general").await;
    let mut bob = server.client("bob").await;
    let writing = tokio::spawn(async move {
        for n in 1..=EVENTS {
            ann.publish("general", &n.to_string()).await;
        }
    });
    let mut joined = 0;
    let mut done = false;
    while !done {
        bob.take_waiting();
        let answer = bob.ok(json!({"type": "subscribe", "channel": "general"})).await;
        let head = answer["head"].as_u64().unwrap();
        let messages = answer["messages"].as_array().unwrap();
        assert_eq!(messages.last().map_or(0, seq), head, "the snapshot ends at the head");
        // Events after the response follow it without a gap; events before it belong to the previous subscription.
        let mut next = head;
        let until = (head + 20).min(EVENTS);
        while next < until {
            let frame = bob.frame().await;
            if frame["type"] == "message" {
                next += 1;
                assert_eq!(seq(&frame), next, "after head {head}");
            }
        }
        joined += 1;
        done = next == EVENTS;
    }
    assert!(joined > 1, "joined {joined} times");
    writing.await.unwrap();
}

async fn the_same_nonce_at_once_is_stored_once(backend: Backend) {
    let server = Server::on(backend, crate::unlimited).await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(server.member("ann", "general").await);
    }
    let command = json!({"type": "publish", "channel": "general", "nonce": "same", "text": "once"});
    let asking = clients.iter_mut().map(|client| client.ok(command.clone()));
    let answers = futures::future::join_all(asking).await;
    assert!(
        answers.iter().all(|answer| answer["seq"] == 1 && answer["at"] == answers[0]["at"]),
        "{answers:?}"
    );
    assert_eq!(answers.iter().filter(|answer| answer["duplicate"] == false).count(), 1);
    let last = clients[0].publish("general", "next").await;
    assert_eq!(last, 2);
}
