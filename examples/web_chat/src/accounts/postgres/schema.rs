//! The tables in the schema `web_chat`, and how those of version 1 are carried over.

use chatcore::{Timestamp, User};
use chatcore_postgres::tokio_postgres::{Client, Transaction};

use super::{Failure, encode, put};
use crate::accounts::TOKEN_LIFE;
use crate::accounts::record::{Person, Service};
use crate::accounts::secret::Hash;
use crate::name::lacking_keys;

/// Takes the lock for changes of accounts: one at a time on all nodes.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('web_chat', 0))";

/// Creates the missing tables. Checks first: `CREATE SCHEMA IF NOT EXISTS` needs the right to create a schema even
/// if it exists.
///
/// Version 1 had the tables `account` and `name`. They are renamed, so that a service of that version fails instead of
/// signing people in beside a newer one. For the same reason one of the tables is called `name` again.
const SCHEMA: &str = "DO $$ BEGIN
    IF to_regclass('web_chat.person') IS NULL THEN
        IF to_regnamespace('web_chat') IS NULL THEN
            CREATE SCHEMA web_chat;
        END IF;
        ALTER TABLE IF EXISTS web_chat.account RENAME TO account_of_version_1;
        ALTER TABLE IF EXISTS web_chat.name RENAME TO name_of_version_1;
        CREATE TABLE web_chat.person (
            id text PRIMARY KEY,
            sort_key text COLLATE \"C\" NOT NULL UNIQUE,
            used bigint NOT NULL,
            record text NOT NULL
        );
        CREATE INDEX person_used ON web_chat.person (used);
        CREATE TABLE web_chat.name (
            key text CONSTRAINT name_key PRIMARY KEY,
            person text NOT NULL REFERENCES web_chat.person ON DELETE CASCADE
        );
        CREATE INDEX name_person ON web_chat.name (person);
        CREATE TABLE web_chat.device (
            token bytea PRIMARY KEY,
            person text NOT NULL REFERENCES web_chat.person ON DELETE CASCADE
        );
        CREATE INDEX device_person ON web_chat.device (person);
        CREATE TABLE web_chat.link (
            hash bytea PRIMARY KEY,
            person text NOT NULL REFERENCES web_chat.person ON DELETE CASCADE
        );
        CREATE INDEX link_person ON web_chat.link (person);
        CREATE TABLE web_chat.service (
            one boolean PRIMARY KEY CHECK (one),
            record text NOT NULL
        );
    END IF;
END $$";

/// Drops the emptied tables of version 1, if the role may do that.
const DROP: &str = "DO $$ BEGIN
    DROP TABLE IF EXISTS web_chat.name_of_version_1, web_chat.account_of_version_1;
EXCEPTION WHEN insufficient_privilege THEN
    NULL;
END $$";

/// Returns the SQL that creates the tables, also for an administrator.
pub(crate) fn schema() -> String {
    format!("BEGIN;\n{LOCK};\n{SCHEMA};\nCOMMIT;\n")
}

/// Begins a transaction with the lock for changes.
pub(super) async fn locked(client: &mut Client) -> Result<Transaction<'_>, Failure> {
    let transaction = client.transaction().await?;
    transaction.batch_execute(LOCK).await?;
    Ok(transaction)
}

/// Makes a person with one device of each account of version 1 that had not expired, and removes these accounts. When a
/// device was last used was not stored, so all begin as used now.
pub(super) async fn carry_over(client: &mut Client) -> Result<(), Failure> {
    // By a query: while another node drops the table, `to_regclass` may find it in the connection's cache.
    let exists = "SELECT EXISTS (SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n
        ON n.oid = c.relnamespace WHERE n.nspname = 'web_chat' AND c.relname = 'account_of_version_1')";
    if !client.query_one(exists, &[]).await?.get::<_, bool>(0) {
        return Ok(());
    }
    let transaction = locked(client).await?;
    if !transaction.query_one(exists, &[]).await?.get::<_, bool>(0) {
        return Ok(());
    }
    let (now, mut people) = (Timestamp::now(), Vec::new());
    let accounts = "SELECT a.token, a.chat_user, a.name, a.since,
            ARRAY(SELECT n.key FROM web_chat.name_of_version_1 AS n WHERE n.token = a.token)
        FROM web_chat.account_of_version_1 AS a";
    let accounts = transaction.query(accounts, &[]).await?;
    if accounts.is_empty() {
        return Ok(());
    }
    for row in &accounts {
        let since = Timestamp::from_millis(row.get(3));
        if since < now.minus(TOKEN_LIFE) {
            continue;
        }
        let user = User::new(row.get(1), row.get(2)).map_err(|_| Failure::Broken)?;
        let token = Hash::from_bytes(row.get(0)).ok_or(Failure::Broken)?;
        people.push(Person::carried_over(user, row.get(4), token, since, now));
    }
    for person in &people {
        put(&transaction, person).await?;
    }
    // A version before that converted names to lower case. A key that another name has in the meantime stays with it.
    for mut person in people {
        for key in lacking_keys(&person.user.name, &person.keys) {
            let holder = "SELECT 1 FROM web_chat.name WHERE key = $1";
            if transaction.query_opt(holder, &[&key]).await?.is_none() {
                person.keys.push(key);
                put(&transaction, &person).await?;
            }
        }
    }
    // Nobody becomes the owner by being the first one from now on.
    let service = encode(&Service { begun: true, ..Service::default() });
    let begun = "INSERT INTO web_chat.service (one, record) VALUES (true, $1) ON CONFLICT (one) DO NOTHING";
    transaction.execute(begun, &[&service]).await?;
    let remove = "DELETE FROM web_chat.name_of_version_1; DELETE FROM web_chat.account_of_version_1";
    transaction.batch_execute(remove).await?;
    transaction.batch_execute(DROP).await?;
    Ok(transaction.commit().await?)
}
