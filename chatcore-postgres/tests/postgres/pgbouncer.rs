//! The laws of chatcore's store traits through a pgbouncer in transaction mode.

use async_trait::async_trait;
use chatcore::testkit::StoreFixture;
use chatcore_postgres::PostgresStore;
use chatcore_tests::{Database, Pgbouncer, Postgres};

struct Pooled(Database);

impl Pooled {
    async fn new() -> Self {
        Self(Postgres::shared().await.database().await)
    }
}

#[async_trait]
impl StoreFixture for Pooled {
    type Store = PostgresStore;

    async fn open(&self) -> PostgresStore {
        let url = self.0.url_at(Pgbouncer::shared().await.addr());
        let store = PostgresStore::builder(&url).pgbouncer(true).connect().await;
        store.unwrap_or_else(|error| panic!("{error:?}"))
    }

    async fn another(&self, _open: &PostgresStore) -> PostgresStore {
        self.open().await
    }
}

chatcore::store_conformance!(Pooled::new().await);
