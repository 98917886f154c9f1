//! A log is restored to an earlier state: a client that has seen the lost part is reset, and gets the current
//! messages.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

use chatcore_postgres::PostgresStore;
use chatcore_redb::RedbStore;
use chatcore_tests::{Client, Database, Postgres, Server};
use serde_json::{Value, json};

const FILE: &str = "chat.redb";

async fn on_redb(data: &Path) -> Server {
    Server::over(RedbStore::open(data.join(FILE)).unwrap(), tempfile::tempdir().unwrap(), |_| ()).await
}

async fn on_postgres(database: &Database) -> Server {
    let store = PostgresStore::connect(&database.url()).await.unwrap();
    Server::over(store, tempfile::tempdir().unwrap(), |_| ()).await
}

async fn say(client: &mut Client, texts: std::ops::RangeInclusive<u64>, life: &str) {
    for n in texts {
        client.publish("general", &format!("{life} {n}")).await;
    }
}

async fn resume(client: &mut Client, after: &Value) -> Value {
    client.ok(json!({"type": "subscribe", "channel": "general", "after": after})).await
}

fn position(opened: &Value) -> Value {
    json!({"epoch": opened["epoch"], "seq": opened["head"], "check": opened["check"]})
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|message| message["text"].as_str().unwrap()).collect()
}

/// Writes the messages that will be lost, and returns the position after them.
async fn fill(server: &Server, texts: std::ops::RangeInclusive<u64>) -> Value {
    let mut ann = server.member("ann", "general").await;
    say(&mut ann, texts, "first").await;
    position(&ann.ok(json!({"type": "subscribe", "channel": "general", "limit": 0})).await)
}

/// Resumes at each position after the log was restored to five messages and seven others were written.
async fn resumes(server: &Server, at_five: Value, at_ten: Value) {
    let mut bob = server.member("bob", "general").await;
    say(&mut bob, 6..=12, "second").await;
    let answer = resume(&mut bob, &at_ten).await;
    assert_eq!((&answer["reset"], &answer["head"]), (&json!(true), &json!(12)), "{answer}");
    let mut expected: Vec<String> = (1..=5).map(|n| format!("first {n}")).collect();
    expected.extend((6..=12).map(|n| format!("second {n}")));
    assert_eq!(texts(&answer["messages"]), expected);
    let answer = resume(&mut bob, &at_five).await;
    assert_eq!(answer["reset"], false, "what was seen up to there still holds: {answer}");
    assert_eq!(texts(&answer["events"]), expected[5..]);
    assert_eq!(answer["check"], answer["events"][6]["check"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_redb_a_reader_ahead_of_a_restored_copy_is_reset() {
    let data = tempfile::tempdir().unwrap();
    let (file, copy) = (data.path().join(FILE), data.path().join("copy"));
    // Opening the file waits until the server has closed it.
    let closed = || drop(RedbStore::open(&file).unwrap());
    let server = on_redb(data.path()).await;
    let at_five = fill(&server, 1..=5).await;
    server.stop().await;
    closed();
    std::fs::copy(&file, &copy).unwrap();
    let server = on_redb(data.path()).await;
    let at_ten = fill(&server, 6..=10).await;
    server.stop().await;
    closed();
    std::fs::copy(&copy, &file).unwrap();
    resumes(&on_redb(data.path()).await, at_five, at_ten).await;
}

const SAVE: &str = "CREATE TABLE saved_channel AS TABLE chatcore.channel; \
    CREATE TABLE saved_event AS TABLE chatcore.event";
const PUT_BACK: &str = "BEGIN; TRUNCATE chatcore.event; INSERT INTO chatcore.event TABLE saved_event; \
    UPDATE chatcore.channel AS c SET last_seq = s.last_seq, last_at = s.last_at, messages = s.messages \
    FROM saved_channel AS s WHERE s.id = c.id; COMMIT";

fn sql(database: &Database, script: &str) {
    let psql = database.server().program("psql");
    let done =
        Command::new(psql).args(["-v", "ON_ERROR_STOP=1", "-qc", script, &database.url()]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_a_reader_ahead_of_a_restored_copy_is_reset() {
    let database = Postgres::shared().await.database().await;
    let server = on_postgres(&database).await;
    let at_five = fill(&server, 1..=5).await;
    sql(&database, SAVE);
    let at_ten = fill(&server, 6..=10).await;
    server.stop().await;
    sql(&database, PUT_BACK);
    resumes(&on_postgres(&database).await, at_five, at_ten).await;
}

/// A promoted standby that lacks the last commits, under a server that keeps running.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_server_notices_a_restored_log() {
    let database = Postgres::shared().await.database().await;
    let server = on_postgres(&database).await;
    fill(&server, 1..=5).await;
    sql(&database, SAVE);
    let at_ten = fill(&server, 6..=10).await;
    let mut reader = server.member("eve", "general").await;
    sql(&database, PUT_BACK);
    let mut bob = server.client("bob").await;
    bob.publish("general", "second 6").await;
    let lagged = reader.event("lagged").await;
    assert_eq!(lagged["channel"], "general", "the reader is told to subscribe again");
    let answer = resume(&mut reader, &at_ten).await;
    assert_eq!((&answer["reset"], &answer["head"]), (&json!(true), &json!(6)), "{answer}");
    assert_eq!(texts(&answer["messages"]).last(), Some(&"second 6"));
}

/// Resumes without a check, as a client of an earlier version does.
async fn resumes_unchecked(server: &Server, after: &Value) -> Value {
    let unchecked = json!({"epoch": after["epoch"], "seq": after["seq"]});
    resume(&mut server.member("bob", "general").await, &unchecked).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_redb_a_new_epoch_resets_an_old_client() {
    let data = tempfile::tempdir().unwrap();
    let server = on_redb(data.path()).await;
    let at_five = fill(&server, 1..=5).await;
    assert_eq!(resumes_unchecked(&server, &at_five).await["reset"], false);
    server.stop().await;
    RedbStore::open(data.path().join(FILE)).unwrap().renew_epochs().await.unwrap();
    let answer = resumes_unchecked(&on_redb(data.path()).await, &at_five).await;
    assert_eq!((&answer["reset"], &answer["head"]), (&json!(true), &json!(5)), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_a_new_epoch_resets_an_old_client() {
    let database = Postgres::shared().await.database().await;
    let server = on_postgres(&database).await;
    let at_five = fill(&server, 1..=5).await;
    assert_eq!(resumes_unchecked(&server, &at_five).await["reset"], false);
    server.stop().await;
    PostgresStore::connect(&database.url()).await.unwrap().renew_epochs().await.unwrap();
    let answer = resumes_unchecked(&on_postgres(&database).await, &at_five).await;
    assert_eq!((&answer["reset"], &answer["head"]), (&json!(true), &json!(5)), "{answer}");
}

#[tokio::test]
async fn events_and_subscribe_answers_have_a_check() {
    let server = Server::start().await;
    let mut ann = server.member("ann", "general").await;
    let opened = ann.ok(json!({"type": "subscribe", "channel": "general"})).await;
    assert!(opened["check"].is_string(), "also where nothing was said: {opened}");
    ann.publish("general", "one").await;
    ann.ok(json!({"type": "edit", "channel": "general", "seq": 1, "text": "two"})).await;
    ann.ok(json!({"type": "react", "channel": "general", "seq": 1, "emoji": "👍", "on": true})).await;
    ann.ok(json!({"type": "delete", "channel": "general", "seq": 1})).await;
    let mut live = Vec::new();
    for _ in 0..4 {
        live.push(ann.log_event().await);
    }
    for event in &live {
        let check = event["check"].as_str().unwrap();
        let after = json!({"epoch": opened["epoch"], "seq": event["seq"], "check": check});
        let answer = resume(&mut ann, &after).await;
        assert_eq!(answer["reset"], false, "from {event}");
        assert_eq!(answer["check"], live[3]["check"], "that of the head");
        let unchecked = json!({"epoch": opened["epoch"], "seq": event["seq"]});
        assert_eq!(resume(&mut ann, &unchecked).await["reset"], false, "an old client sends none");
        for foreign in ["AAAAAAAB", "", "💥", "a text that no server gave"] {
            let after = json!({"epoch": opened["epoch"], "seq": event["seq"], "check": foreign});
            assert_eq!(resume(&mut ann, &after).await["reset"], true, "{foreign}");
        }
    }
}
