//! Accounts in a PostgreSQL database, next to the messages, shared by all nodes.

mod remembered;
mod schema;
#[cfg(test)]
mod tests;

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use chatcore::{Timestamp, UserId};
use chatcore_postgres::deadpool_postgres::{Object, Pool, PoolError};
use chatcore_postgres::tokio_postgres::error::SqlState;
use chatcore_postgres::tokio_postgres::{self, Client, GenericClient, Transaction};
use chatcore_postgres::{Builder, take_connection, take_new_connection};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use self::remembered::Remembered;
pub(crate) use self::schema::schema;
use super::record::{Change, Found, Person, Service, Wanted};
use super::secret::Hash;
use super::{AccountStore, AccountsError, Decide, Known, Used};

/// The number of connections for accounts.
const CONNECTIONS: usize = 4;
/// The longest time to wait for a query.
const ANSWER: Duration = Duration::from_secs(5);
/// The longest time for creating the tables, with the accounts of version 1 carried over.
const TABLES: Duration = Duration::from_secs(600);

/// Accounts in the tables of the schema `web_chat`.
///
/// During an outage of the database, users whose tokens were seen before stay signed in. A sign-out on another
/// node takes effect here when the database is back.
pub(crate) struct PostgresAccounts {
    pool: Pool,
    remembered: Mutex<Remembered>,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("no connection to the database")]
    Pool(#[from] PoolError),
    #[error("no connection to the database")]
    Build(#[from] chatcore_postgres::ConnectError),
    #[error("a database call failed")]
    Database(#[from] tokio_postgres::Error),
    #[error("the database did not answer in time")]
    Timeout,
    #[error("invalid account in the database")]
    Broken,
}

impl Failure {
    /// Returns whether the query did nothing because the server is read-only, or was so when the connection was
    /// made.
    fn is_read_only(&self) -> bool {
        matches!(self, Self::Database(error) if error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION))
    }
}

/// What a transaction has found and changed.
struct Changed {
    found: Found,
    changes: Vec<Change>,
}

impl PostgresAccounts {
    /// Opens the accounts in the store's database, over separate connections.
    pub(crate) async fn open(store: &Builder) -> Result<Self, AccountsError> {
        let pool = store.pool(CONNECTIONS).map_err(|error| AccountsError::because(Failure::from(error)))?;
        let accounts = Self { pool, remembered: Mutex::default() };
        accounts.make_tables().await.map_err(AccountsError::because)?;
        Ok(accounts)
    }

    async fn make_tables(&self) -> Result<(), Failure> {
        let mut client = take_connection(&self.pool).await?;
        let made = async {
            client.batch_execute(&schema()).await?;
            schema::carry_over(&mut client).await
        };
        let done = timeout(TABLES, made).await;
        given_up(client, done)
    }

    /// Runs a query of one connection, within the time for an answer.
    async fn query<T>(&self, query: impl AsyncFnOnce(&Client) -> Result<T, Failure>) -> Result<T, Failure> {
        let client = take_connection(&self.pool).await?;
        let done = timeout(ANSWER, query(&client)).await;
        given_up(client, done)
    }

    async fn change_once(&self, wanted: &Wanted, decide: &Decide) -> Result<Changed, Failure> {
        match change_on(take_connection(&self.pool).await?, wanted, decide).await {
            Err(failure) if failure.is_read_only() => {
                change_on(take_new_connection(&self.pool).await?, wanted, decide).await
            }
            changed => changed,
        }
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.remembered.lock().expect("invariant: nothing panics under this lock")
    }
}

#[async_trait]
impl AccountStore for PostgresAccounts {
    async fn user(&self, token: &Hash, oldest: Timestamp) -> Result<Option<Known>, AccountsError> {
        let known = self.query(async |client| {
            let account =
                "SELECT p.record FROM web_chat.device AS d JOIN web_chat.person AS p ON p.id = d.person
                WHERE d.token = $1";
            let row = client.query_opt(account, &[&token.as_bytes()]).await?;
            let person = row.map(|row| decode::<Person>(row.get(0))).transpose()?;
            Ok(person.and_then(|person| {
                let used = person.device(token)?.used;
                Some(Known { user: person.user, used })
            }))
        });
        match known.await {
            Ok(Some(known)) => {
                self.remembered().put(*token, known.clone());
                Ok(Some(known).filter(|known| known.used >= oldest))
            }
            Ok(None) => {
                self.remembered().forget(token);
                Ok(None)
            }
            Err(error) => {
                let known = self.remembered().get(token);
                let known = known.ok_or_else(|| AccountsError::because(error))?;
                Ok(Some(known).filter(|known| known.used >= oldest))
            }
        }
    }

    async fn read(&self, wanted: Wanted) -> Result<Found, AccountsError> {
        let found = self.query(async |client| find(client, &wanted).await);
        found.await.map_err(AccountsError::because)
    }

    async fn change(&self, wanted: Wanted, decide: Decide) -> Result<(), AccountsError> {
        // If the connection breaks during a commit, it is unknown whether the change was stored.
        let changed = match self.change_once(&wanted, &decide).await {
            Err(Failure::Database(_) | Failure::Timeout) => self.change_once(&wanted, &decide).await,
            changed => changed,
        };
        let Changed { found, changes } = changed.map_err(AccountsError::because)?;
        self.remembered().follow(&wanted, &found, &changes);
        Ok(())
    }

    async fn people(&self, prefix: &str, after: &str, limit: usize) -> Result<Vec<Person>, AccountsError> {
        let last = format!("{prefix}\u{10ffff}");
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let people = self.query(async |client| {
            let page = "SELECT record FROM web_chat.person
                WHERE sort_key >= $1 AND sort_key > $2 AND sort_key < $3 ORDER BY sort_key LIMIT $4";
            let rows = client.query(page, &[&prefix, &after, &last, &limit]).await?;
            rows.iter().map(|row| decode(row.get(0))).collect()
        });
        people.await.map_err(AccountsError::because)
    }

    async fn used(&self, used: Used, limit: usize) -> Result<Vec<UserId>, AccountsError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let (ids, time) = match used {
            Used::Before(time) => {
                ("SELECT id FROM web_chat.person WHERE used < $1 ORDER BY used LIMIT $2", time)
            }
            Used::After(time) => {
                ("SELECT id FROM web_chat.person WHERE used > $1 ORDER BY used LIMIT $2", time)
            }
        };
        let ids = self.query(async |client| {
            let rows = client.query(ids, &[&time.as_millis(), &limit]).await?;
            rows.iter().map(|row| UserId::new(row.get::<_, &str>(0)).map_err(|_| Failure::Broken)).collect()
        });
        ids.await.map_err(AccountsError::because)
    }
}

/// Closes the connection if a query on it has not been answered, or if the server is read-only.
fn given_up<T>(client: Object, done: Result<Result<T, Failure>, Elapsed>) -> Result<T, Failure> {
    let done = done.unwrap_or(Err(Failure::Timeout));
    if done.as_ref().is_err_and(|failure| matches!(failure, Failure::Timeout) || failure.is_read_only()) {
        drop(Object::take(client));
    }
    done
}

async fn change_on(mut client: Object, wanted: &Wanted, decide: &Decide) -> Result<Changed, Failure> {
    let changed = async {
        let transaction = schema::locked(&mut client).await?;
        let found = find(&transaction, wanted).await?;
        let changes = decide(&found);
        for change in &changes {
            match change {
                Change::Put(person) => put(&transaction, person).await?,
                Change::Remove(id) => {
                    let remove = "DELETE FROM web_chat.person WHERE id = $1";
                    transaction.execute(remove, &[&id.as_str()]).await?;
                }
                Change::Service(service) => {
                    let put = "INSERT INTO web_chat.service (one, record) VALUES (true, $1)
                        ON CONFLICT (one) DO UPDATE SET record = excluded.record";
                    transaction.execute(put, &[&encode(service)]).await?;
                }
            }
        }
        transaction.commit().await?;
        Ok(Changed { found, changes })
    };
    let done = timeout(ANSWER, changed).await;
    given_up(client, done)
}

async fn find(client: &impl GenericClient, wanted: &Wanted) -> Result<Found, Failure> {
    // One query, so that it is one moment.
    let query = "SELECT
            (SELECT record FROM web_chat.service),
            CASE WHEN $5 THEN (SELECT count(*) FROM web_chat.person) ELSE 0 END,
            ARRAY(SELECT record FROM web_chat.person WHERE id IN (
                SELECT person FROM web_chat.name WHERE key = ANY ($1)
                UNION SELECT person FROM web_chat.device WHERE token = ANY ($2)
                UNION SELECT person FROM web_chat.link WHERE hash = $3
                UNION SELECT unnest($4::text[])
            ))";
    let tokens: Vec<&[u8]> = wanted.tokens.iter().map(Hash::as_bytes).collect();
    let link = wanted.link.as_ref().map(Hash::as_bytes);
    let ids: Vec<&str> = wanted.ids.iter().map(UserId::as_str).collect();
    let row = client.query_one(query, &[&wanted.keys, &tokens, &link, &ids, &wanted.count]).await?;
    let service: Option<&str> = row.get(0);
    let mut found = Found {
        service: service.map(decode::<Service>).transpose()?.unwrap_or_default(),
        count: u64::try_from(row.get::<_, i64>(1)).unwrap_or(0),
        ..Found::default()
    };
    for record in row.get::<_, Vec<&str>>(2) {
        found.add(decode(record)?);
    }
    Ok(found)
}

/// Stores a person with everything that leads to it, in place of the one with the same id.
async fn put(transaction: &Transaction<'_>, person: &Person) -> Result<(), Failure> {
    let id = person.user.id.as_str();
    let record = "INSERT INTO web_chat.person (id, sort_key, used, record) VALUES ($1, $2, $3, $4)
        ON CONFLICT (id) DO UPDATE SET sort_key = excluded.sort_key, used = excluded.used, record = excluded.record";
    let values = (person.sort_key(), person.used.as_millis(), encode(person));
    transaction.execute(record, &[&id, &values.0, &values.1, &values.2]).await?;
    let remove = "DELETE FROM web_chat.name WHERE person = $1 AND key <> ALL ($2)";
    transaction.execute(remove, &[&id, &person.keys]).await?;
    // A change removes those whose names are taken first, so that a conflict is with the person's own keys.
    let add = "INSERT INTO web_chat.name (key, person) SELECT DISTINCT key, $1 FROM unnest($2::text[]) AS key
        ON CONFLICT (key) DO NOTHING";
    transaction.execute(add, &[&id, &person.keys]).await?;
    let devices: Vec<&[u8]> = person.devices.iter().map(|device| device.hash.as_bytes()).collect();
    let links: Vec<&[u8]> = person.link.iter().map(|link| link.hash.as_bytes()).collect();
    for (remove, add, keep) in [
        (
            "DELETE FROM web_chat.device WHERE person = $1 AND token <> ALL ($2)",
            "INSERT INTO web_chat.device (token, person) SELECT token, $1 FROM unnest($2::bytea[]) AS token
                ON CONFLICT (token) DO NOTHING",
            devices,
        ),
        (
            "DELETE FROM web_chat.link WHERE person = $1 AND hash <> ALL ($2)",
            "INSERT INTO web_chat.link (hash, person) SELECT hash, $1 FROM unnest($2::bytea[]) AS hash
                ON CONFLICT (hash) DO NOTHING",
            links,
        ),
    ] {
        transaction.execute(remove, &[&id, &keep]).await?;
        transaction.execute(add, &[&id, &keep]).await?;
    }
    Ok(())
}

fn encode(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("invariant: a record is JSON")
}

fn decode<T: serde::de::DeserializeOwned>(record: &str) -> Result<T, Failure> {
    serde_json::from_str(record).map_err(|_| Failure::Broken)
}
