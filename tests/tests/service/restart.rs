//! The real service is killed under load: nothing acknowledged is lost, nothing is duplicated.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use chatcore_tests::load::{Acked, assert_kept, write};
use chatcore_tests::{Client, Postgres, Service, must};
use serde_json::json;
use tokio::sync::watch;

const KILLS: usize = 10;
const WRITERS: usize = 4;
/// Twice the default of `Limits::store_timeout`.
const BOUND: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_on_redb_killed_ten_times_loses_no_message() {
    keeps_all(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_on_postgres_killed_ten_times_loses_no_message() {
    let database = Postgres::shared().await.database().await;
    keeps_all(Some(&database.url())).await;
}

async fn keeps_all(database: Option<&str>) {
    let folder = tempfile::tempdir().unwrap();
    let mut acked = Acked::new();
    let mut signed_in = None;
    // Nothing tells the writers to stop: the kill ends them.
    let (_stop, stopped) = watch::channel(false);
    for round in 0..KILLS {
        let service = Service::start(folder.path(), database).await;
        let cookie = match &signed_in {
            Some(cookie) => cookie,
            None => signed_in.insert(service.try_sign_in("writer").await.unwrap()),
        };
        let mut writers = Vec::new();
        for n in 0..WRITERS {
            let client = Client::connect_with_cookie(service.addr, cookie).await;
            writers.push(tokio::spawn(write(client, format!("r{round}w{n}"), BOUND, stopped.clone())));
        }
        // Killed well under way: the log has grown by some hundred messages.
        let mut watcher = Client::connect_with_cookie(service.addr, cookie).await;
        let head = watcher.ok(json!({"type": "subscribe", "channel": "general", "limit": 0})).await["head"]
            .as_u64()
            .unwrap();
        while watcher.log_event().await["seq"].as_u64().unwrap() < head + 200 {}
        service.kill().await;
        for writer in writers {
            acked.extend(must("a writer notices", writer).await.unwrap());
        }
    }
    assert!(acked.len() > KILLS * 100, "{} were acknowledged", acked.len());

    let service = Service::start(folder.path(), database).await;
    let mut reader = Client::connect_with_cookie(service.addr, &signed_in.unwrap()).await;
    assert_kept(&mut reader, acked).await;
}
