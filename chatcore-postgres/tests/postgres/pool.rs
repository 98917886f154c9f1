//! The pool, on a server that turned read-only for a while, ended connections, or has no place for more.

use chatcore::store::{Append, AppendBody, Directory, EventStore, StoreError};
use chatcore::{ChannelName, Nonce, User};
use chatcore_postgres::tokio_postgres::{Client, NoTls};
use chatcore_postgres::{Builder, PostgresStore, tokio_postgres};
use chatcore_tests::{Database, Postgres};
use tokio::task::JoinSet;

const CONNECTIONS: usize = 4;

async fn database() -> Database {
    Postgres::shared().await.database().await
}

async fn client(database: &Database) -> Client {
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.expect("connects");
    tokio::spawn(connection);
    client
}

async fn open(builder: Builder) -> PostgresStore {
    builder.connections(CONNECTIONS).connect().await.unwrap_or_else(|error| panic!("{error:?}"))
}

fn user(name: &str) -> User {
    User::new(&format!("u_{name}"), name).expect("a user")
}

/// Reads that run at once, each on a connection if there are so many.
async fn read(store: &PostgresStore, reads: usize) -> Vec<Result<(), StoreError>> {
    let mut running = JoinSet::new();
    for _ in 0..reads {
        let store = store.clone();
        running.spawn(async move { store.users(&[user("ann").id]).await.map(drop) });
    }
    running.join_all().await
}

/// Fills the pool.
async fn grow(store: &PostgresStore) {
    while store.pool_status().size < CONNECTIONS {
        assert!(read(store, 2 * CONNECTIONS).await.iter().all(Result::is_ok));
    }
}

#[tokio::test]
async fn writes_recover_after_the_server_was_read_only() {
    let database = database().await;
    let admin = client(&database).await;
    open(PostgresStore::builder(&database.url())).await;
    let set = format!("ALTER DATABASE {} SET default_transaction_read_only", database.name());
    admin.batch_execute(&format!("{set} = on")).await.expect("a read-only database");
    let store = open(PostgresStore::builder(&database.url())).await;
    grow(&store).await;
    store.put_user(&user("ann")).await.expect_err("it is read-only");
    grow(&store).await;

    admin.batch_execute(&format!("{set} = off")).await.expect("it is over");
    let general = ChannelName::new("general").expect("a name");
    let general = store.create_channel(&general, "", &user("ann")).await.expect("a channel is made");
    store.put_user(&user("ann")).await.expect("a user is remembered");
    let moved = store.mark_read(&user("ann").id, general.into_channel().id, chatcore::Seq::default()).await;
    moved.expect("a read marker is kept");
}

#[tokio::test]
async fn connections_that_the_server_closed_fail_no_command() {
    let database = database().await;
    let admin = client(&database).await;
    let store = open(PostgresStore::builder(&database.url())).await;
    grow(&store).await;
    let end = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity \
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    admin.batch_execute(end).await.expect("the connections end");
    for name in ["ann", "bob", "cid", "dan", "eve"] {
        store.put_user(&user(name)).await.expect("a user is remembered");
    }
}

#[tokio::test]
async fn a_pool_that_can_not_grow_uses_what_it_has() {
    let database = database().await;
    let admin = client(&database).await;
    let role = "CREATE ROLE few LOGIN CONNECTION LIMIT 2; CREATE SCHEMA chatcore AUTHORIZATION few";
    admin.batch_execute(role).await.expect("a role of two connections");
    let url = database.url().replace("postgres@", "few@");
    let store = open(PostgresStore::builder(&url).writers(1)).await;
    let done = read(&store, 50).await;
    let refused: Vec<_> = done.iter().filter_map(|read| read.as_ref().err()).collect();
    assert!(refused.is_empty(), "{} of 50 reads: {refused:?}", refused.len());
    let general = ChannelName::new("general").expect("a name");
    let general = store.create_channel(&general, "", &user("ann")).await.expect("a channel is made");
    let hello = Append::new(
        general.into_channel().id,
        user("ann"),
        AppendBody::Message {
            nonce: Nonce::random(),
            text: "hello".into(),
            reply_to: None,
            attachments: Vec::new(),
            extras: None,
        },
    );
    store.append(vec![hello]).await.remove(0).expect("reads leave a place for appends");
}

#[tokio::test]
async fn a_full_server_is_an_error_in_time() {
    let database = database().await;
    let admin = client(&database).await;
    let role = "CREATE ROLE nobody LOGIN CONNECTION LIMIT 0; CREATE SCHEMA chatcore AUTHORIZATION nobody";
    admin.batch_execute(role).await.expect("a role of no connection");
    let url = database.url().replace("postgres@", "nobody@");
    let short = std::time::Duration::from_millis(200);
    let refused = PostgresStore::builder(&url).connect_timeout(short).connect().await;
    let refused = format!("{:?}", refused.expect_err("there is no place"));
    assert!(refused.contains("53300"), "says why: {refused}");
}
