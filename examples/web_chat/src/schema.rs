//! The schema of the database, as SQL for an administrator.

use chatcore_postgres::PostgresStore;

use crate::accounts::postgres_schema;
use crate::options::Options;

/// The schema of the messages: the store's default.
const MESSAGES: &str = "chatcore";

impl Options {
    /// Returns the SQL that creates the tables of messages and accounts in an empty database, and the index with
    /// `search_index`. Then a role that may not create tables can run the service.
    #[must_use]
    pub fn schema(&self) -> String {
        const NAME: &str = "invariant: the schema's name needs no quotes";
        let mut script = PostgresStore::migrations_sql(MESSAGES).expect(NAME);
        if self.search_index {
            script.push('\n');
            script.push_str(&PostgresStore::search_index_sql(MESSAGES).expect(NAME));
        }
        script.push('\n');
        script.push_str(&postgres_schema());
        script
    }
}
