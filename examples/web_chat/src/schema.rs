//! What is in the database, as a script for an administrator.

use chatcore_postgres::PostgresStore;

use crate::accounts::postgres_schema;
use crate::options::Options;

/// The schema of the messages: the store's own default.
const MESSAGES: &str = "chatcore";

impl Options {
    /// Returns the script that makes the tables of the messages and of the names, and with `search_index` the index
    /// too, in a database that has none of them. A role that may not create them can be served from afterwards.
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
