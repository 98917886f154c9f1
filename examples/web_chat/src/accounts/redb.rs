//! The names in a redb file, or in memory.

use std::path::Path;

use async_trait::async_trait;
use chatcore::{Timestamp, User};
use redb::backends::InMemoryBackend;
use redb::{
    Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition, WriteTransaction,
};
use serde::{Deserialize, Serialize};

use super::{Accounts, AccountsError, SignedIn, Taken, Token, new_user, oldest};
use crate::name::DisplayName;

/// Accounts by the hash of their token.
const ACCOUNTS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("accounts");
/// Hashes of tokens by the keys of their names.
const NAMES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("names");

/// The names that are taken, in a file or in memory.
pub(crate) struct RedbAccounts {
    database: Database,
    limit: u64,
}

#[derive(Serialize, Deserialize)]
struct Account {
    user: User,
    keys: Vec<String>,
    since: Timestamp,
}

impl<E: Into<redb::Error>> From<E> for AccountsError {
    fn from(error: E) -> Self {
        Self::because(error.into())
    }
}

impl Account {
    fn is_over(&self, now: Timestamp) -> bool {
        self.since < oldest(now)
    }
}

impl RedbAccounts {
    pub(crate) fn open(file: &Path, limit: u64) -> Result<Self, AccountsError> {
        Self::prepare(Database::create(file)?, limit)
    }

    pub(crate) fn in_memory(limit: u64) -> Result<Self, AccountsError> {
        Self::prepare(Database::builder().create_with_backend(InMemoryBackend::new())?, limit)
    }

    fn prepare(database: Database, limit: u64) -> Result<Self, AccountsError> {
        let accounts = Self { database, limit };
        let write = accounts.write()?;
        write.open_table(ACCOUNTS)?;
        write.open_table(NAMES)?;
        write.commit()?;
        Ok(accounts)
    }

    fn write(&self) -> Result<WriteTransaction, AccountsError> {
        let mut write = self.database.begin_write()?;
        // After a kill the file opens at once, without a walk through all of it.
        write.set_quick_repair(true);
        Ok(write)
    }
}

#[async_trait]
impl Accounts for RedbAccounts {
    async fn user(&self, token: &Token, now: Timestamp) -> Result<Option<User>, AccountsError> {
        let read = self.database.begin_read()?;
        let accounts = read.open_table(ACCOUNTS)?;
        let account = accounts.get(&token.hash()[..])?.and_then(|account| decode(account.value()));
        Ok(account.filter(|account| !account.is_over(now)).map(|account| account.user))
    }

    async fn take(
        &self,
        name: &DisplayName,
        old: Option<&Token>,
        now: Timestamp,
    ) -> Result<Taken, AccountsError> {
        let write = self.write()?;
        let replaced = match old {
            Some(old) => remove(&write, &old.hash())?.map(|account| account.user),
            None => None,
        };
        for key in name.keys() {
            let holder = write.open_table(NAMES)?.get(key.as_str())?.map(|hash| hash.value().to_vec());
            let Some(holder) = holder else { continue };
            if !account(&write, &holder)?.is_none_or(|account| account.is_over(now)) {
                return Ok(Taken::No);
            }
            remove(&write, &holder)?;
        }
        if write.open_table(ACCOUNTS)?.len()? >= self.limit {
            return Ok(Taken::Full);
        }
        let (user, token) = (new_user(name), Token::random());
        let account = Account { user: user.clone(), keys: name.keys(), since: now };
        let value = serde_json::to_vec(&account).expect("invariant: an account is JSON");
        write.open_table(ACCOUNTS)?.insert(&token.hash()[..], &value[..])?;
        for key in &account.keys {
            write.open_table(NAMES)?.insert(key.as_str(), &token.hash()[..])?;
        }
        write.commit()?;
        Ok(Taken::Yes(SignedIn { user, token, replaced }))
    }

    async fn revoke(&self, token: &Token) -> Result<Option<User>, AccountsError> {
        let write = self.write()?;
        let account = remove(&write, &token.hash())?;
        write.commit()?;
        Ok(account.map(|account| account.user))
    }
}

fn account(write: &WriteTransaction, hash: &[u8]) -> Result<Option<Account>, AccountsError> {
    Ok(write.open_table(ACCOUNTS)?.get(hash)?.and_then(|account| decode(account.value())))
}

fn remove(write: &WriteTransaction, hash: &[u8]) -> Result<Option<Account>, AccountsError> {
    let account = account(write, hash)?;
    write.open_table(ACCOUNTS)?.remove(hash)?;
    let mut names = write.open_table(NAMES)?;
    for key in account.iter().flat_map(|account| &account.keys) {
        names.remove(key.as_str())?;
    }
    Ok(account)
}

fn decode(account: &[u8]) -> Option<Account> {
    serde_json::from_slice(account).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_outlive_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("accounts.redb");
        let now = Timestamp::now();
        let name = DisplayName::new("ann").unwrap();
        let taken = RedbAccounts::open(&file, 9).unwrap().take(&name, None, now).await.unwrap();
        let Taken::Yes(SignedIn { user, token, .. }) = taken else { panic!("the name is free") };
        let accounts = RedbAccounts::open(&file, 9).unwrap();
        assert_eq!(accounts.user(&token, now).await.unwrap(), Some(user));
        let stored = std::fs::read(&file).unwrap();
        let text = token.as_str().as_bytes();
        assert!(!stored.windows(text.len()).any(|window| window == text), "only the token's hash is stored");
    }
}
