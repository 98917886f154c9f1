//! The laws of chatcore's store traits, on a PostgreSQL database each; two handles are two pools, as two
//! nodes have.

use async_trait::async_trait;
use chatcore::testkit::StoreFixture;
use chatcore::testkit::store::clock;
use chatcore_postgres::PostgresStore;
use chatcore_postgres::tokio_postgres::{self, NoTls};
use chatcore_tests::{Database, Postgres};

struct Empty(Database);

impl Empty {
    async fn new() -> Self {
        Self(Postgres::shared().await.database().await)
    }
}

#[async_trait]
impl StoreFixture for Empty {
    type Store = PostgresStore;

    async fn open(&self) -> PostgresStore {
        PostgresStore::connect(&self.0.url()).await.unwrap_or_else(|error| panic!("{error:?}"))
    }

    async fn another(&self, _open: &PostgresStore) -> PostgresStore {
        self.open().await
    }
}

chatcore::store_conformance!(Empty::new().await);

/// An empty database whose clock is set by hand: the store, and what sets it.
async fn with_clock(fixture: &Empty) -> (PostgresStore, impl AsyncFn(chatcore::Timestamp)) {
    let store = fixture.open().await;
    let (client, connection) = tokio_postgres::connect(&fixture.0.url(), NoTls).await.expect("connects");
    tokio::spawn(connection);
    let set = async move |now: chatcore::Timestamp| {
        let sql = format!(
            "CREATE OR REPLACE FUNCTION chatcore.chat_now() RETURNS bigint LANGUAGE sql VOLATILE AS 'SELECT {}::bigint'",
            now.as_millis()
        );
        client.batch_execute(&sql).await.expect("the clock is set");
    };
    (store, set)
}

#[tokio::test]
async fn a_clock_that_was_wrong_once_stops_no_channel() {
    let fixture = Empty::new().await;
    let (store, set) = with_clock(&fixture).await;
    clock::a_clock_that_was_wrong_once_stops_no_channel(store, set).await;
}

#[tokio::test]
async fn a_nonce_from_a_wrong_clock_lasts_a_day() {
    let fixture = Empty::new().await;
    let (store, set) = with_clock(&fixture).await;
    clock::a_nonce_from_a_wrong_clock_lasts_a_day(store, set).await;
}
