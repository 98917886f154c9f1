//! The forms of messages, wherever one is written: in events, snapshots, resumes, pages, and what is found.
#![allow(clippy::unwrap_used)] // The laws are tests, called by the functions that the macro makes.

use chatcore::protocol::Form;
use chatcore::{Erasure, UserId};
use chatcore_tests::{Backend, Client, Server, must, on_every_store};
use serde_json::{Value, json};

on_every_store!(
    every_message_has_the_form_of_its_reader,
    what_was_said_of_a_message_since_is_in_both_forms,
    what_is_deleted_or_erased_is_so_in_both_forms,
);

/// Those who read a channel at once: the author's two connections and somebody else's two, in each form.
struct Readers {
    author: [Client; 2],
    other: [Client; 2],
}

const FORMS: [Form; 2] = [Form::Full, Form::Lean];

impl Readers {
    async fn join(server: &Server) -> Self {
        server.member("ann", "general").await;
        let author = [server.client_in("ann", Form::Full).await, server.client_in("ann", Form::Lean).await];
        let other = [server.client_in("bob", Form::Full).await, server.client_in("bob", Form::Lean).await];
        let mut readers = Self { author, other };
        readers.each(async |client, _| drop(client.ok(subscribe()).await)).await;
        readers
    }

    /// Calls `each` with every client, and with how it reads a message of ann.
    async fn each(&mut self, mut each: impl AsyncFnMut(&mut Client, Reads)) {
        for (clients, is_author) in [(&mut self.author, true), (&mut self.other, false)] {
            for (client, form) in clients.iter_mut().zip(FORMS) {
                each(client, Reads { form, is_author }).await;
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Reads {
    form: Form,
    is_author: bool,
}

impl Reads {
    /// Checks that a message is written for this reader: which fields it has, and that the others are at their default.
    fn check(self, message: &Value, by_ann: bool) {
        let has = |field: &str| message.get(field).is_some();
        let is_full = self.form == Form::Full;
        assert_eq!(has("nonce"), is_full || by_ann == self.is_author, "{self:?}: {message}");
        for (field, default) in [
            ("reply_to", Value::Null),
            ("attachments", json!([])),
            ("edited_at", Value::Null),
            ("deleted", json!(false)),
            ("reactions", json!([])),
        ] {
            match message.get(field) {
                None => assert!(!is_full, "{self:?} {field}: {message}"),
                Some(value) => assert!(is_full || *value != default, "{self:?} {field}: {message}"),
            }
        }
        for field in ["seq", "author", "at", "text"] {
            assert!(has(field), "{self:?} {field}: {message}");
        }
    }
}

fn subscribe() -> Value {
    json!({"type": "subscribe", "channel": "general"})
}

fn by_ann(message: &Value) -> bool {
    message["author"]["id"] == "u_ann"
}

/// Checks the messages of every answer that has some.
async fn check_answers(client: &mut Client, reads: Reads, count: usize) {
    let start = json!({"epoch": client.ok(subscribe()).await["epoch"], "seq": 0});
    for (command, list) in [
        (subscribe(), "messages"),
        (json!({"type": "subscribe", "channel": "general", "limit": 1}), "messages"),
        (json!({"type": "subscribe", "channel": "general", "after": start}), "events"),
        (json!({"type": "history", "channel": "general", "before": 1000}), "messages"),
        (json!({"type": "history", "channel": "general", "after": 0}), "messages"),
        (json!({"type": "history", "channel": "general", "around": 2}), "messages"),
        (json!({"type": "search", "channel": "general", "query": "word"}), "messages"),
        (json!({"type": "search", "query": "word"}), "messages"),
    ] {
        let answer = client.ok(command.clone()).await;
        let messages = answer[list].as_array().unwrap_or_else(|| panic!("{command}: {answer}")).iter();
        let messages: Vec<_> = messages.filter(|one| one.get("author").is_some()).collect();
        let expected = if command["limit"] == 1 { 1 } else { count };
        assert_eq!(messages.len(), expected, "{command}: {answer}");
        messages.into_iter().for_each(|message| reads.check(message, by_ann(message)));
    }
}

async fn every_message_has_the_form_of_its_reader(backend: Backend) {
    let server = Server::on(backend, crate::unlimited).await;
    let mut readers = Readers::join(&server).await;
    let command = |n: usize| json!({"type": "publish", "channel": "general", "nonce": format!("n{n}"), "text": format!("word {n}")});
    // The author's own connection, another one of theirs, and somebody else.
    readers.author[0].ok(command(0)).await;
    readers.author[1].ok(command(1)).await;
    readers.other[1].ok(command(2)).await;
    readers
        .each(async |client, reads| {
            for n in 0..3 {
                let event = client.event("message").await;
                assert_eq!(event["text"], format!("word {n}"));
                reads.check(&event, n < 2);
            }
            check_answers(client, reads, 3).await;
        })
        .await;
}

async fn what_was_said_of_a_message_since_is_in_both_forms(backend: Backend) {
    let server = Server::on(backend, crate::unlimited).await;
    let mut readers = Readers::join(&server).await;
    let [ann, _] = &mut readers.author;
    ann.publish("general", "word").await;
    let reply =
        json!({"type": "publish", "channel": "general", "nonce": "r", "text": "word two", "reply_to": 1});
    ann.ok(reply).await;
    ann.ok(json!({"type": "edit", "channel": "general", "seq": 1, "text": "a word"})).await;
    ann.ok(json!({"type": "react", "channel": "general", "seq": 1, "emoji": "👍", "on": true})).await;
    readers
        .each(async |client, reads| {
            check_answers(client, reads, 2).await;
            let messages = client.ok(subscribe()).await["messages"].take();
            assert_eq!((&messages[0]["text"], &messages[1]["reply_to"]), (&json!("a word"), &json!(1)));
            assert!(messages[0]["edited_at"].is_string());
            assert_eq!(messages[0]["reactions"], json!([{"emoji": "👍", "users": ["u_ann"]}]));
        })
        .await;
}

async fn what_is_deleted_or_erased_is_so_in_both_forms(backend: Backend) {
    let server = Server::on(backend, crate::unlimited).await;
    let mut readers = Readers::join(&server).await;
    for text in ["word one", "word two"] {
        readers.author[1].publish("general", text).await;
    }
    readers.other[0].publish("general", "word three").await;
    readers.author[0].ok(json!({"type": "delete", "channel": "general", "seq": 1})).await;
    let after = async |client: &mut Client| {
        let opened = client.ok(subscribe()).await;
        let after = json!({"epoch": opened["epoch"], "seq": 0});
        let resumed = client.ok(json!({"type": "subscribe", "channel": "general", "after": after})).await;
        (opened["messages"].clone(), resumed["events"].clone())
    };
    readers
        .each(async |client, reads| {
            let (messages, events) = after(client).await;
            for message in [&messages[0], &events[0]] {
                assert_eq!((&message["deleted"], &message["text"]), (&json!(true), &json!("")));
                reads.check(message, true);
            }
        })
        .await;
    let ann = UserId::new("u_ann").unwrap();
    server.chat.erase_user(&ann, Erasure::KeepTexts).await.unwrap();
    must("the erasure is done", async {
        while !server.chat.erasure(&ann).await.unwrap().unwrap().done {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for (client, form) in readers.other.iter_mut().zip(FORMS) {
        let reads = Reads { form, is_author: false };
        let (messages, events) = after(client).await;
        for message in [&messages[1], &events[1]] {
            assert_eq!(message["author"], json!({"id": "u_ann", "name": "Deleted user", "deleted": true}));
            reads.check(message, true);
        }
        reads.check(&messages[2], false);
    }
}

/// Reads the frames of one channel, lean and full, in one burst of several authors.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_many_authors_gives_each_their_own_nonces() {
    const AUTHORS: usize = 6;
    const EACH: usize = 40;
    let server = Server::with(crate::unlimited).await;
    let mut authors = Vec::new();
    let mut followers = Vec::new();
    for n in 0..AUTHORS {
        let name = format!("w{n}");
        authors.push(server.member(&name, "general").await);
        for form in FORMS {
            let mut follower = server.client_in(&name, form).await;
            follower.ok(subscribe()).await;
            followers.push((follower, form, format!("u_{name}")));
        }
    }
    let writing = authors.into_iter().enumerate().map(|(author, mut client)| {
        tokio::spawn(async move {
            for n in 0..EACH {
                let text = format!("{author}-{n}");
                client
                    .tell(json!({"type": "publish", "channel": "general", "nonce": text, "text": text}))
                    .await;
            }
            // What a connection has not read yet is lost with it.
            client.ok(json!({"type": "ping"})).await;
        })
    });
    let reading = followers.into_iter().map(|(mut client, form, id)| {
        tokio::spawn(async move {
            for seq in 1..=AUTHORS * EACH {
                let event = client.event("message").await;
                assert_eq!(event["seq"], seq);
                let has_nonce = form == Form::Full || event["author"]["id"] == *id;
                let nonce = if has_nonce { &event["text"] } else { &Value::Null };
                assert_eq!(&event["nonce"], nonce, "{form:?} {id}: {event}");
            }
        })
    });
    let (writing, reading): (Vec<_>, Vec<_>) = (writing.collect(), reading.collect());
    for one in writing {
        one.await.unwrap();
    }
    for one in reading {
        one.await.unwrap();
    }
}
