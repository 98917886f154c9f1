//! Accounts in a PostgreSQL database, next to the messages, shared by all nodes.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use chatcore::{Timestamp, User};
use chatcore_postgres::deadpool_postgres::{Object, Pool, PoolError};
use chatcore_postgres::tokio_postgres::error::SqlState;
use chatcore_postgres::tokio_postgres::{self, Client, Row, Transaction};
use chatcore_postgres::{Builder, take_connection, take_new_connection};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::{AHEAD, Accounts, AccountsError, SignedIn, Taken, Token, new_user, oldest};
use crate::name::{DisplayName, lacking_keys};

/// The number of connections for accounts.
const CONNECTIONS: usize = 4;
/// The longest time to wait for a query.
const ANSWER: Duration = Duration::from_secs(5);
/// The most users remembered for an outage of the database, in each of two generations.
const REMEMBERED: usize = 10_000;

/// Takes the lock for changes of names: one at a time on all nodes.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('web_chat', 0))";
/// Creates the missing tables. Checks first: `CREATE SCHEMA IF NOT EXISTS` needs the right to create a schema even
/// if it exists.
const SCHEMA: &str = "DO $$ BEGIN
    IF to_regclass('web_chat.name') IS NULL THEN
        IF to_regnamespace('web_chat') IS NULL THEN
            CREATE SCHEMA web_chat;
        END IF;
        CREATE TABLE web_chat.account (
            token bytea PRIMARY KEY,
            chat_user text NOT NULL,
            name text NOT NULL,
            since bigint NOT NULL
        );
        CREATE TABLE web_chat.name (
            key text PRIMARY KEY,
            token bytea NOT NULL REFERENCES web_chat.account ON DELETE CASCADE
        );
        CREATE INDEX name_token ON web_chat.name (token);
    END IF;
END $$";

/// Returns the SQL that creates the tables, also for an administrator.
pub(crate) fn schema() -> String {
    format!("BEGIN;\n{LOCK};\n{SCHEMA};\nCOMMIT;\n")
}

/// Accounts in the tables of the schema `web_chat`.
///
/// During an outage of the database, users whose tokens were seen before stay signed in. A sign-out on another
/// node takes effect here when the database is back.
pub(crate) struct PostgresAccounts {
    pool: Pool,
    limit: i64,
    remembered: Mutex<Remembered>,
}

/// The users seen last, by the hashes of their tokens, with the issue times of the tokens.
#[derive(Default)]
struct Remembered {
    young: HashMap<[u8; 32], (User, Timestamp)>,
    old: HashMap<[u8; 32], (User, Timestamp)>,
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
    #[error("invalid name in the database")]
    Broken,
}

impl PostgresAccounts {
    /// Opens the accounts in the store's database, over separate connections.
    pub(crate) async fn open(store: &Builder, limit: u64) -> Result<Self, AccountsError> {
        let pool = store.pool(CONNECTIONS).map_err(|error| AccountsError::because(Failure::from(error)))?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let accounts = Self { pool, limit, remembered: Mutex::default() };
        accounts.make_tables().await.map_err(AccountsError::because)?;
        Ok(accounts)
    }

    async fn make_tables(&self) -> Result<(), Failure> {
        let mut client = take_connection(&self.pool).await?;
        let made = async {
            client.batch_execute(&schema()).await?;
            add_keys(&mut client).await
        };
        let done = timeout(ANSWER, made).await;
        given_up(client, done)
    }

    async fn read(&self, hash: &[u8], now: Timestamp) -> Result<Option<(User, Timestamp)>, Failure> {
        let client = take_connection(&self.pool).await?;
        let done = timeout(ANSWER, read(&client, hash, oldest(now))).await;
        given_up(client, done)
    }

    async fn remove(&self, hash: &[u8], after: Timestamp) -> Result<Option<User>, Failure> {
        match self.remove_on(take_connection(&self.pool).await?, hash, after).await {
            Err(failure) if failure.is_read_only() => {
                self.remove_on(take_new_connection(&self.pool).await?, hash, after).await
            }
            removed => removed,
        }
    }

    async fn remove_on(
        &self,
        mut client: Object,
        hash: &[u8],
        after: Timestamp,
    ) -> Result<Option<User>, Failure> {
        let done = timeout(ANSWER, remove(&mut client, hash, after)).await;
        given_up(client, done)
    }

    async fn enter(&self, new: &New<'_>) -> Result<Entered, Failure> {
        match self.enter_on(take_connection(&self.pool).await?, new).await {
            Err(failure) if failure.is_read_only() => {
                self.enter_on(take_new_connection(&self.pool).await?, new).await
            }
            entered => entered,
        }
    }

    async fn enter_on(&self, mut client: Object, new: &New<'_>) -> Result<Entered, Failure> {
        let done = timeout(ANSWER, enter(&mut client, new, self.limit)).await;
        given_up(client, done)
    }

    async fn date_back(&self, now: Timestamp) -> Result<(), Failure> {
        let client = take_connection(&self.pool).await?;
        let sql = "UPDATE web_chat.account SET since = $1 WHERE since > $2";
        let (now, ahead) = (now.as_millis(), now.plus(AHEAD).as_millis());
        let settled = async { Ok(client.execute(sql, &[&now, &ahead]).await.map(drop)?) };
        let done = timeout(ANSWER, settled).await;
        given_up(client, done)
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.remembered.lock().expect("invariant: nothing panics under this lock")
    }
}

#[async_trait]
impl Accounts for PostgresAccounts {
    async fn user(&self, token: &Token, now: Timestamp) -> Result<Option<User>, AccountsError> {
        let hash = token.hash();
        match self.read(&hash, now).await {
            Ok(Some((user, since))) => {
                self.remembered().put(hash, user.clone(), since);
                Ok(Some(user))
            }
            Ok(None) => {
                self.remembered().forget(&hash);
                Ok(None)
            }
            Err(error) => {
                let known = self.remembered().get(&hash, now);
                known.map(Some).ok_or_else(|| AccountsError::because(error))
            }
        }
    }

    async fn take(
        &self,
        name: &DisplayName,
        old: Option<&Token>,
        now: Timestamp,
    ) -> Result<Taken, AccountsError> {
        let (user, token) = (new_user(name), Token::random());
        let (hash, old) = (token.hash(), old.map(Token::hash));
        let new = New { user: &user, keys: name.keys(), hash: &hash, old: old.as_ref(), now };
        // If the connection breaks during a commit, it is unknown whether the name was taken. In that case, the
        // second attempt finds the account.
        let entered = match self.enter(&new).await {
            Err(Failure::Database(_) | Failure::Timeout) => self.enter(&new).await,
            entered => entered,
        };
        match entered.map_err(AccountsError::because)? {
            Entered::Yes(replaced) => {
                let mut remembered = self.remembered();
                let replaced = replaced.or_else(|| remembered.get(old.as_ref()?, now));
                old.iter().for_each(|old| remembered.forget(old));
                remembered.put(hash, user.clone(), now);
                drop(remembered);
                Ok(Taken::Yes(SignedIn { user, token, replaced }))
            }
            Entered::No => Ok(Taken::No),
            Entered::Full => Ok(Taken::Full),
        }
    }

    async fn give_back(&self, hash: &[u8; 32], after: Timestamp) -> Result<Option<User>, AccountsError> {
        let user = self.remove(hash, after).await.map_err(AccountsError::because)?;
        self.remembered().forget(hash);
        Ok(user)
    }

    async fn settle(&self, now: Timestamp) -> Result<(), AccountsError> {
        self.date_back(now).await.map_err(AccountsError::because)
    }
}

impl Remembered {
    fn put(&mut self, hash: [u8; 32], user: User, since: Timestamp) {
        if self.young.len() >= REMEMBERED {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(hash, (user, since));
    }

    fn get(&self, hash: &[u8; 32], now: Timestamp) -> Option<User> {
        let (user, since) = self.young.get(hash).or_else(|| self.old.get(hash))?;
        (*since >= oldest(now)).then(|| user.clone())
    }

    fn forget(&mut self, hash: &[u8; 32]) {
        self.young.remove(hash);
        self.old.remove(hash);
    }
}

/// An account to insert.
struct New<'a> {
    user: &'a User,
    keys: Vec<String>,
    hash: &'a [u8; 32],
    old: Option<&'a [u8; 32]>,
    now: Timestamp,
}

enum Entered {
    /// Inserted, with the previous owner of the old token.
    Yes(Option<User>),
    No,
    Full,
}

impl Failure {
    /// Returns whether the query did nothing because the server is read-only, or was so when the connection was
    /// made.
    fn is_read_only(&self) -> bool {
        matches!(self, Self::Database(error) if error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION))
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

async fn read(client: &Client, hash: &[u8], oldest: Timestamp) -> Result<Option<(User, Timestamp)>, Failure> {
    let account = "SELECT chat_user, name, since FROM web_chat.account WHERE token = $1 AND since >= $2";
    let row = client.query_opt(account, &[&hash, &oldest.as_millis()]).await?;
    row.map(|row| Ok((user(&row)?, Timestamp::from_millis(row.get(2))))).transpose()
}

async fn remove(client: &mut Client, hash: &[u8], after: Timestamp) -> Result<Option<User>, Failure> {
    // Check first, so that a user without an account does not take the lock.
    let account = "SELECT 1 FROM web_chat.account WHERE token = $1 AND since >= $2";
    if client.query_opt(account, &[&hash, &after.as_millis()]).await?.is_none() {
        return Ok(None);
    }
    let transaction = locked(client).await?;
    let removed = delete(&transaction, hash).await?;
    transaction.commit().await?;
    Ok(removed)
}

async fn enter(client: &mut Client, new: &New<'_>, limit: i64) -> Result<Entered, Failure> {
    let others = "SELECT 1 FROM web_chat.name AS n JOIN web_chat.account AS a USING (token)
        WHERE n.key = ANY ($1) AND a.since >= $2 AND a.token <> ALL ($3) LIMIT 1";
    let own: Vec<&[u8]> = new.old.into_iter().chain([new.hash]).map(|hash| &hash[..]).collect();
    // Check first, so that a name in use is refused without the lock.
    let taken = client.query_opt(others, &[&new.keys, &oldest(new.now).as_millis(), &own]).await?;
    if taken.is_some() {
        return Ok(Entered::No);
    }
    let transaction = locked(client).await?;
    let entered = "SELECT 1 FROM web_chat.account WHERE token = $1";
    if transaction.query_opt(entered, &[&&new.hash[..]]).await?.is_some() {
        // Committed by a first attempt whose answer was lost.
        return Ok(Entered::Yes(None));
    }
    let replaced = match new.old {
        Some(old) => delete(&transaction, old).await?,
        None => None,
    };
    let over = "DELETE FROM web_chat.account AS a USING web_chat.name AS n
        WHERE n.key = ANY ($1) AND a.token = n.token AND a.since < $2";
    transaction.execute(over, &[&new.keys, &oldest(new.now).as_millis()]).await?;
    let holder = "SELECT 1 FROM web_chat.name WHERE key = ANY ($1) LIMIT 1";
    if transaction.query_opt(holder, &[&new.keys]).await?.is_some() {
        return Ok(Entered::No);
    }
    let names: i64 = transaction.query_one("SELECT count(*) FROM web_chat.account", &[]).await?.get(0);
    if names >= limit {
        return Ok(Entered::Full);
    }
    let account = "INSERT INTO web_chat.account (token, chat_user, name, since) VALUES ($1, $2, $3, $4)";
    let (id, name) = (new.user.id.as_str(), &*new.user.name);
    transaction.execute(account, &[&&new.hash[..], &id, &name, &new.now.as_millis()]).await?;
    let keys = "INSERT INTO web_chat.name (key, token) SELECT DISTINCT key, $2::bytea FROM unnest($1::text[]) AS key";
    transaction.execute(keys, &[&new.keys, &&new.hash[..]]).await?;
    transaction.commit().await?;
    Ok(Entered::Yes(replaced))
}

/// Adds the keys that names of an earlier version lack. A key that another name has in the meantime stays with
/// that name.
async fn add_keys(client: &mut Client) -> Result<(), Failure> {
    let transaction = locked(client).await?;
    let names = "SELECT a.token, a.name, array_agg(n.key) FROM web_chat.account AS a JOIN web_chat.name AS n USING (token)
        WHERE octet_length(a.name) > char_length(a.name) GROUP BY a.token, a.name";
    let (mut keys, mut tokens) = (Vec::new(), Vec::new());
    for row in transaction.query(names, &[]).await? {
        let (token, name, known): (Vec<u8>, &str, Vec<String>) = (row.get(0), row.get(1), row.get(2));
        for key in lacking_keys(name, &known) {
            keys.push(key);
            tokens.push(token.clone());
        }
    }
    if !keys.is_empty() {
        let insert = "INSERT INTO web_chat.name (key, token) SELECT * FROM unnest($1::text[], $2::bytea[])
            ON CONFLICT DO NOTHING";
        transaction.execute(insert, &[&keys, &tokens]).await?;
    }
    Ok(transaction.commit().await?)
}

async fn locked(client: &mut Client) -> Result<Transaction<'_>, Failure> {
    let transaction = client.transaction().await?;
    transaction.batch_execute(LOCK).await?;
    Ok(transaction)
}

async fn delete(transaction: &Transaction<'_>, hash: &[u8]) -> Result<Option<User>, Failure> {
    let account = "DELETE FROM web_chat.account WHERE token = $1 RETURNING chat_user, name";
    transaction.query_opt(account, &[&hash]).await?.map(|row| user(&row)).transpose()
}

fn user(row: &Row) -> Result<User, Failure> {
    User::new(row.get(0), row.get(1)).map_err(|_| Failure::Broken)
}
