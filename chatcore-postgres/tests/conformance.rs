//! The laws of chatcore's store traits, on a PostgreSQL database each; two handles are two pools, as two
//! nodes have.

use async_trait::async_trait;
use chatcore::testkit::StoreFixture;
use chatcore_postgres::PostgresStore;
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
