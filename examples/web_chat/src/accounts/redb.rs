//! Accounts in a redb file, or in memory.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use chatcore::store::StoreError;
use chatcore::{Timestamp, User};
use chatcore_redb::{BackupError, Layout, LayoutKind, RedbFile, TransactionError, copy_table};
use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata, Table,
    TableDefinition, TableError, TableHandle, WriteTransaction,
};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{AHEAD, Accounts, AccountsError, SignedIn, Taken, Token, new_user, oldest};
use crate::name::{DisplayName, lacking_keys};

/// The size of the page cache. The file has this size with 100,000 names.
const CACHE_BYTES: usize = 16 << 20;

/// Accounts by the hashes of their tokens.
const ACCOUNTS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("accounts");
/// The hashes of tokens by the keys of the names.
const NAMES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("names");

/// Accounts in a file or in memory. One thread writes them, and no call waits longer than `wait`.
#[derive(Debug)]
pub(crate) struct RedbAccounts {
    file: RedbFile<Names>,
    limit: u64,
    wait: Duration,
}

#[derive(Debug, Serialize, Deserialize)]
struct Account {
    user: User,
    keys: Vec<String>,
    since: Timestamp,
}

impl Account {
    fn is_over(&self, now: Timestamp) -> bool {
        self.since < oldest(now)
    }
}

/// The layout of the file.
struct Names;

/// The tables in a write transaction.
struct Changes<'t> {
    accounts: Table<'t, &'static [u8], &'static [u8]>,
    names: Table<'t, &'static str, &'static [u8]>,
    changed: bool,
}

impl Layout for Names {
    type Changes<'t> = Changes<'t>;

    fn prepare(database: &Database) -> Result<LayoutKind, TransactionError> {
        let read = database.begin_read()?;
        let tables: HashSet<String> = read.list_tables()?.map(|table| table.name().to_owned()).collect();
        if tables.is_empty() {
            let write = database.begin_write()?;
            Self::begin(&write)?;
            write.commit()?;
            return Ok(LayoutKind::Ours);
        }
        match (read.open_table(ACCOUNTS), read.open_table(NAMES)) {
            (Ok(accounts), Ok(names)) => {
                add_keys(database, &accounts, &names)?;
                Ok(LayoutKind::Ours)
            }
            (Err(TableError::Storage(error)), _) | (_, Err(TableError::Storage(error))) => Err(error.into()),
            _ => Ok(LayoutKind::Foreign),
        }
    }

    fn begin(txn: &WriteTransaction) -> Result<Changes<'_>, TransactionError> {
        Ok(Changes { accounts: txn.open_table(ACCOUNTS)?, names: txn.open_table(NAMES)?, changed: false })
    }

    fn finish(changes: Changes<'_>) -> Result<bool, TransactionError> {
        Ok(changes.changed)
    }

    fn copy(from: &ReadTransaction, to: &WriteTransaction) -> Result<(), TransactionError> {
        copy_table(from, to, ACCOUNTS)?;
        copy_table(from, to, NAMES)
    }
}

/// Adds the keys that names of an earlier version lack. A key that another name has in the meantime stays with
/// that name.
fn add_keys(
    database: &Database,
    accounts: &impl ReadableTable<&'static [u8], &'static [u8]>,
    names: &impl ReadableTable<&'static str, &'static [u8]>,
) -> Result<(), TransactionError> {
    let mut entered = HashSet::new();
    let mut changed = Vec::new();
    for row in accounts.iter()? {
        let (hash, account) = row?;
        let Some(mut account) = decode(account.value()) else { continue };
        let before = account.keys.len();
        for key in lacking_keys(&account.user.name, &account.keys) {
            if names.get(key.as_str())?.is_none() && entered.insert(key.clone()) {
                account.keys.push(key);
            }
        }
        if account.keys.len() > before {
            changed.push((hash.value().to_vec(), account));
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    let write = database.begin_write()?;
    let mut changes = Names::begin(&write)?;
    for (hash, account) in changed {
        changes.enter(&hash, &account)?;
    }
    drop(changes);
    Ok(write.commit()?)
}

impl Changes<'_> {
    fn enter(&mut self, hash: &[u8], account: &Account) -> Result<(), TransactionError> {
        self.changed = true;
        let value = serde_json::to_vec(account).expect("invariant: an account is JSON");
        self.accounts.insert(hash, &value[..])?;
        for key in &account.keys {
            self.names.insert(key.as_str(), hash)?;
        }
        Ok(())
    }

    fn remove(&mut self, hash: &[u8]) -> Result<Option<Account>, TransactionError> {
        let Some(account) = self.accounts.get(hash)?.map(|row| decode(row.value())) else { return Ok(None) };
        self.changed = true;
        self.accounts.remove(hash)?;
        for key in account.iter().flat_map(|account| &account.keys) {
            self.names.remove(key.as_str())?;
        }
        Ok(account)
    }
}

/// A name that a user wants to take.
#[derive(Clone)]
struct Wanted {
    keys: Vec<String>,
    old: Option<[u8; 32]>,
    now: Timestamp,
    limit: u64,
}

enum Verdict {
    /// Free, once the accounts with these hashes are removed.
    Free(HashSet<Vec<u8>>),
    Refused(Taken),
}

impl Wanted {
    fn verdict<A, N>(&self, accounts: &A, names: &N) -> Result<Verdict, TransactionError>
    where
        A: ReadableTable<&'static [u8], &'static [u8]> + ReadableTableMetadata,
        N: ReadableTable<&'static str, &'static [u8]>,
    {
        let mut freed = HashSet::new();
        let holders = self.keys.iter().map(|key| names.get(key.as_str()));
        for hash in holders.filter_map(Result::transpose) {
            let hash = hash?.value().to_vec();
            let Some(row) = accounts.get(&hash[..])? else { continue };
            let is_own = self.old.is_some_and(|old| old[..] == hash[..]);
            if !is_own && decode(row.value()).is_some_and(|account| !account.is_over(self.now)) {
                return Ok(Verdict::Refused(Taken::No));
            }
            freed.insert(hash);
        }
        if let Some(old) = self.old
            && accounts.get(&old[..])?.is_some()
        {
            freed.insert(old.to_vec());
        }
        let left = accounts.len()?.saturating_sub(freed.len() as u64);
        Ok(if left >= self.limit { Verdict::Refused(Taken::Full) } else { Verdict::Free(freed) })
    }
}

impl RedbAccounts {
    /// Opens the file, or creates it. Blocks.
    pub(crate) fn open(file: &Path, limit: u64, wait: Duration) -> Result<Self, AccountsError> {
        let builder = chatcore_redb::Builder::default().cache_bytes(CACHE_BYTES);
        let file = builder.open_file(file).map_err(AccountsError::because)?;
        Ok(Self { file, limit, wait })
    }

    pub(crate) fn in_memory(limit: u64, wait: Duration) -> Result<Self, AccountsError> {
        Ok(Self { file: RedbFile::in_memory().map_err(AccountsError::because)?, limit, wait })
    }

    /// Copies the accounts to a new file; see [`RedbFile::backup`].
    pub(crate) async fn backup(&self, file: &Path) -> Result<(), BackupError> {
        self.file.backup(file).await
    }

    async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, AccountsError> {
        let late = |_| StoreError::new("the disk did not answer in time");
        timeout(self.wait, work).await.map_err(late).and_then(|done| done).map_err(AccountsError::because)
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, TransactionError> + Send + 'static,
    ) -> Result<T, AccountsError> {
        self.within(self.file.read("the names can't be read", read)).await
    }
}

#[async_trait]
impl Accounts for RedbAccounts {
    async fn user(&self, token: &Token, now: Timestamp) -> Result<Option<User>, AccountsError> {
        let hash = token.hash();
        let account = self.read(move |txn| account(txn, &hash)).await?;
        Ok(account.filter(|account| !account.is_over(now)).map(|account| account.user))
    }

    async fn take(
        &self,
        name: &DisplayName,
        old: Option<&Token>,
        now: Timestamp,
    ) -> Result<Taken, AccountsError> {
        let wanted = Wanted { keys: name.keys(), old: old.map(Token::hash), now, limit: self.limit };
        // Check first, so that a name in use is refused without a write.
        let asked = wanted.clone();
        let verdict =
            self.read(move |txn| asked.verdict(&txn.open_table(ACCOUNTS)?, &txn.open_table(NAMES)?));
        if let Verdict::Refused(taken) = verdict.await? {
            return Ok(taken);
        }
        let (user, token) = (new_user(name), Token::random());
        let account = Account { user: user.clone(), keys: name.keys(), since: now };
        let entered = enter(self.file.clone(), wanted, token.hash(), account);
        match self.within(entered).await? {
            Ok(replaced) => Ok(Taken::Yes(SignedIn { user, token, replaced })),
            Err(refusal) => Ok(refusal),
        }
    }

    async fn give_back(&self, hash: &[u8; 32], after: Timestamp) -> Result<Option<User>, AccountsError> {
        let hash = *hash;
        // Check first, so that a token without an account causes no write.
        let account = self.read(move |txn| account(txn, &hash)).await?;
        if account.is_none_or(|account| account.since < after) {
            return Ok(None);
        }
        let removed = self.within(self.file.write(move |changes| changes.remove(&hash))).await?;
        Ok(removed.map(|account| account.user))
    }

    async fn settle(&self, now: Timestamp) -> Result<(), AccountsError> {
        // Check first, since there are hardly ever any.
        if self.read(move |txn| Ok(ahead(&txn.open_table(ACCOUNTS)?, now)?.is_empty())).await? {
            return Ok(());
        }
        let settled = self.file.write(move |changes| {
            for (hash, account) in ahead(&changes.accounts, now)? {
                changes.enter(&hash, &account)?;
            }
            Ok(())
        });
        self.within(settled).await
    }
}

/// Returns the accounts whose tokens were issued more than a day after `now`, with the issue time set to `now`.
fn ahead<A>(accounts: &A, now: Timestamp) -> Result<Vec<(Vec<u8>, Account)>, TransactionError>
where
    A: ReadableTable<&'static [u8], &'static [u8]>,
{
    let mut found = Vec::new();
    for row in accounts.iter()? {
        let (hash, row) = row?;
        if let Some(account) = decode(row.value()).filter(|account| account.since > now.plus(AHEAD)) {
            found.push((hash.value().to_vec(), Account { since: now, ..account }));
        }
    }
    Ok(found)
}

/// Inserts an account, and returns the user that it replaces. If the caller no longer waits, nobody will ever have
/// the token: the account is then removed, so that its name is free.
async fn enter(
    file: RedbFile<Names>,
    wanted: Wanted,
    hash: [u8; 32],
    account: Account,
) -> Result<Result<Option<User>, Taken>, StoreError> {
    let (answer, answered) = oneshot::channel();
    tokio::spawn(async move {
        let entered = file.write(move |changes| {
            let freed = match wanted.verdict(&changes.accounts, &changes.names)? {
                Verdict::Free(freed) => freed,
                Verdict::Refused(taken) => return Ok(Err(taken)),
            };
            let mut replaced = None;
            for gone in freed {
                let removed = changes.remove(&gone)?.map(|account| account.user);
                if wanted.old.is_some_and(|old| old[..] == gone[..]) {
                    replaced = removed;
                }
            }
            changes.enter(&hash, &account)?;
            Ok(Ok(replaced))
        });
        if let Err(Ok(Ok(_))) = answer.send(entered.await) {
            // The writer logs the error.
            let _ = file.write(move |changes| changes.remove(&hash)).await;
        }
    });
    answered.await.unwrap_or_else(|_| Err(StoreError::new("the runtime ends")))
}

fn account(txn: &ReadTransaction, hash: &[u8]) -> Result<Option<Account>, TransactionError> {
    Ok(txn.open_table(ACCOUNTS)?.get(hash)?.and_then(|account| decode(account.value())))
}

fn decode(account: &[u8]) -> Option<Account> {
    serde_json::from_slice(account).ok()
}

#[cfg(test)]
mod tests;
