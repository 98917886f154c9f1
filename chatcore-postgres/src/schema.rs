//! The schema and its migrations, each applied once and in order, by the first process that connects.

use std::fmt::Write as _;

use chatcore::ChannelName;
use sha2::{Digest, Sha256};
use tokio_postgres::Transaction;
use tokio_postgres::types::{ToSql, Type};

use crate::error::{ConnectError, Failure};

/// A step of the schema. Its number is its position in [`MIGRATIONS`], from 1. It never changes once released.
struct Migration {
    name: &'static str,
    /// The statements, with `@schema@` for the schema's name.
    sql: &'static str,
}

const MIGRATIONS: [Migration; 14] = [
    Migration { name: "tables", sql: include_str!("../migrations/1_tables.sql") },
    Migration { name: "functions", sql: include_str!("../migrations/2_functions.sql") },
    Migration { name: "reactions", sql: include_str!("../migrations/3_reactions.sql") },
    Migration { name: "clock", sql: include_str!("../migrations/4_clock.sql") },
    Migration { name: "prune", sql: include_str!("../migrations/5_prune.sql") },
    Migration { name: "totals", sql: include_str!("../migrations/6_totals.sql") },
    Migration { name: "names", sql: include_str!("../migrations/7_names.sql") },
    Migration { name: "blobs", sql: include_str!("../migrations/8_blobs.sql") },
    Migration { name: "revocations", sql: include_str!("../migrations/9_revocations.sql") },
    Migration { name: "members", sql: include_str!("../migrations/10_members.sql") },
    Migration { name: "appends", sql: include_str!("../migrations/11_appends.sql") },
    Migration { name: "consumers", sql: include_str!("../migrations/12_consumers.sql") },
    Migration { name: "erasures", sql: include_str!("../migrations/13_erasures.sql") },
    Migration { name: "avatars", sql: include_str!("../migrations/14_avatars.sql") },
];

/// The advisory lock of a migration: "chatcore" in ASCII.
const LOCK: i64 = 0x6368_6174_636f_7265;

impl Migration {
    /// Returns the hash of the statements, before the schema's name is filled in.
    fn checksum(&self) -> String {
        Sha256::digest(self.sql.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
            // Writing to a string does not fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    fn sql(&self, schema: &str) -> String {
        self.sql.replace("@schema@", schema)
    }
}

fn numbered() -> impl Iterator<Item = (i32, &'static Migration)> {
    (1..).zip(&MIGRATIONS)
}

fn known() -> i32 {
    numbered().map(|(version, _)| version).last().unwrap_or_default()
}

/// Returns the statements before all migrations. `CREATE SCHEMA IF NOT EXISTS` is not used: it needs the right to
/// create a schema even if the schema exists.
fn prelude(schema: &str) -> String {
    format!(
        "DO $$ BEGIN IF to_regnamespace('{schema}') IS NULL THEN CREATE SCHEMA {schema}; END IF; END $$;\n\
         CREATE TABLE IF NOT EXISTS {schema}.migration (\n    \
         version int PRIMARY KEY,\n    \
         checksum text NOT NULL,\n    \
         applied_at timestamptz NOT NULL DEFAULT now()\n);\n"
    )
}

fn record(schema: &str, version: i32, migration: &Migration) -> String {
    format!(
        "INSERT INTO {schema}.migration (version, checksum) VALUES ({version}, '{}');\n",
        migration.checksum()
    )
}

/// Returns the whole schema as one script.
pub(crate) fn script(schema: &str) -> String {
    let mut script = format!("BEGIN;\nSELECT pg_advisory_xact_lock({LOCK});\n{}", prelude(schema));
    for (version, migration) in numbered() {
        let _ = write!(script, "\n-- {version}: {}\n{}", migration.name, migration.sql(schema));
        script.push_str(&record(schema, version, migration));
    }
    script.push_str("\nCOMMIT;\n");
    script
}

/// Refuses a database that can't store every text. Otherwise the first emoji would fail, not the start.
pub(crate) async fn check_encoding(transaction: &Transaction<'_>) -> Result<(), ConnectError> {
    let encoding = "SELECT current_setting('server_encoding')";
    let rows = transaction.query_typed(encoding, &[]).await.map_err(failed)?;
    let found: &str = rows.first().map(|row| row.try_get(0)).transpose().map_err(failed)?.unwrap_or_default();
    match found {
        "UTF8" => Ok(()),
        _ => Err(ConnectError::Encoding { found: found.to_owned() }),
    }
}

/// Checks the applied migrations, and applies the missing ones. Only one process migrates at a time.
pub(crate) async fn migrate(
    transaction: &Transaction<'_>,
    schema: &str,
    apply: bool,
) -> Result<(), ConnectError> {
    if apply {
        // The timeouts are meant for a chat's queries. Creating an index on a large table takes longer.
        let alone = format!(
            "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; SELECT pg_advisory_xact_lock({LOCK})"
        );
        transaction.batch_execute(&alone).await.map_err(failed)?;
    }
    let table = format!("{schema}.migration");
    let params: [(&(dyn ToSql + Sync), Type); 1] = [(&table, Type::TEXT)];
    let found =
        transaction.query_typed("SELECT to_regclass($1) IS NOT NULL", &params).await.map_err(failed)?;
    let exists = found.first().map(|row| row.try_get(0)).transpose().map_err(failed)?.unwrap_or(false);
    let applied = if exists { check(transaction, schema).await? } else { 0 };
    if applied == known() {
        return Ok(());
    }
    if !apply {
        return Err(Failure::Broken(
            "the schema is out of date: run the script of PostgresStore::migrations_sql",
        )
        .on_connect());
    }
    let mut script = prelude(schema);
    for (version, migration) in numbered().filter(|(version, _)| *version > applied) {
        script.push_str(&migration.sql(schema));
        script.push_str(&record(schema, version, migration));
    }
    transaction.batch_execute(&script).await.map_err(failed)
}

/// Stores what the channels' names look like, for channels without such a row: those older than the table, and those
/// that processes of the version before it have created since. A name that looks like an older one gets no row.
pub(crate) async fn enter_looks(transaction: &Transaction<'_>, schema: &str) -> Result<(), ConnectError> {
    let select = format!(
        "SELECT id, name FROM {schema}.channel AS c \
         WHERE NOT EXISTS (SELECT FROM {schema}.channel_look AS l WHERE l.channel = c.id) ORDER BY id"
    );
    let rows = transaction.query_typed(&select, &[]).await.map_err(failed)?;
    let (mut ids, mut looks) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    for row in &rows {
        let id: i64 = row.try_get(0).map_err(failed)?;
        let Ok(name) = ChannelName::existing(row.try_get(1).map_err(failed)?) else { continue };
        ids.push(id);
        looks.push(name.look());
    }
    if ids.is_empty() {
        return Ok(());
    }
    let insert = format!(
        "INSERT INTO {schema}.channel_look (look, channel) \
         SELECT look, id FROM unnest($1, $2) AS found (look, id) ORDER BY id ON CONFLICT DO NOTHING"
    );
    let params: [(&(dyn ToSql + Sync), Type); 2] = [(&looks, Type::TEXT_ARRAY), (&ids, Type::INT8_ARRAY)];
    transaction.query_typed(&insert, &params).await.map_err(failed)?;
    Ok(())
}

/// Returns the schema's version, after checking that this library has every applied migration.
async fn check(transaction: &Transaction<'_>, schema: &str) -> Result<i32, ConnectError> {
    let select = format!("SELECT version, checksum FROM {schema}.migration ORDER BY version");
    let rows = transaction.query_typed(&select, &[]).await.map_err(failed)?;
    let mut applied = Vec::with_capacity(rows.len());
    for row in &rows {
        applied.push((row.try_get(0).map_err(failed)?, row.try_get::<_, &str>(1).map_err(failed)?));
    }
    let found: i32 = applied.last().map_or(0, |(version, _)| *version);
    if found > known() {
        return Err(ConnectError::Newer { schema: schema.to_owned(), found, known: known() });
    }
    for (version, migration) in numbered().take_while(|(version, _)| *version <= found) {
        if !applied.contains(&(version, &migration.checksum())) {
            return Err(ConnectError::Changed { schema: schema.to_owned(), version });
        }
    }
    Ok(found)
}

fn failed(error: tokio_postgres::Error) -> ConnectError {
    Failure::from(error).on_connect()
}
