//! How does the time of one user's list of channels grow with the channels of others?
//!
//! Prints a table: the median time to read the list of a user who sees 50 channels, with what they have to read, while 100
//! and 10,000 channels exist, on redb and on PostgreSQL. The two are measured in turn. `LISTS` sets how often each (200).
#![allow(missing_docs, clippy::unwrap_used)]

use std::time::{Duration, Instant};

use chatcore::store::{NewPrivate, PageLimit, Store};
use chatcore::{ChannelName, User};
use chatcore_postgres::PostgresStore;
use chatcore_redb::RedbStore;
use chatcore_tests::Postgres;

/// The channels that the user sees.
const SEEN: usize = 50;

/// The channels that exist.
const EXISTING: [usize; 2] = [100, 10_000];

fn user(name: &str) -> User {
    User::new(&format!("u_{name}"), name).unwrap()
}

/// Creates private channels, of which `reader` has every so many that they see [`SEEN`].
async fn fill(store: &impl Store, existing: usize) {
    let (reader, other) = (user("reader"), user("other"));
    for n in 0..existing {
        let owner = if n % (existing / SEEN) == 0 { &reader } else { &other };
        let new = NewPrivate::new(ChannelName::new(&format!("pr.{n:05}")).unwrap(), "Plans");
        store.create_private_within(&new, owner, usize::MAX).await.unwrap().unwrap();
    }
}

async fn list(store: &impl Store) -> Duration {
    let (reader, limit) = (user("reader"), PageLimit::new(1_000, 512 << 10));
    let began = Instant::now();
    let page = store.channels_of(&reader.id, None, false, limit).await.unwrap();
    let ids: Vec<_> = page.channels.iter().map(|listed| listed.info.id).collect();
    let unread = store.unread(&reader.id, &ids).await.unwrap();
    assert_eq!((unread.len(), page.more), (SEEN, false));
    began.elapsed()
}

async fn measure(name: &str, few: &impl Store, many: &impl Store, lists: usize) {
    fill(few, EXISTING[0]).await;
    fill(many, EXISTING[1]).await;
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..lists {
        times[0].push(list(few).await);
        times[1].push(list(many).await);
    }
    let [few, many] = times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    });
    let ratio = many.as_secs_f64() / few.as_secs_f64();
    println!("| {name} | {} µs | {} µs | {ratio:.2} |", few.as_micros(), many.as_micros());
}

#[tokio::main]
async fn main() {
    let lists = std::env::var("LISTS").map_or(200, |lists| lists.parse().expect("LISTS is a number"));
    println!("| store | 100 channels exist | 10,000 channels exist | ratio |\n|---|---|---|---|");
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [few, many] =
        folders.each_ref().map(|folder| RedbStore::open(folder.path().join("chat.redb")).unwrap());
    measure("redb", &few, &many, lists).await;
    let server = Postgres::start().await;
    let few = PostgresStore::connect(&server.database().await.url()).await.unwrap();
    let many = PostgresStore::connect(&server.database().await.url()).await.unwrap();
    measure("PostgreSQL", &few, &many, lists).await;
}
