//! Who is who: names that are taken, and the tokens of those who took them.
//!
//! There are no passwords. A name belongs to the browser that holds its token, for a year, or until it signs
//! out; then the name is free, and whoever takes it is somebody else.

use std::path::Path;
use std::time::Duration;

use chatcore::{Timestamp, User};
use redb::backends::InMemoryBackend;
use redb::{
    Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition, WriteTransaction,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::name::DisplayName;

/// How long a token is good for.
pub(crate) const TOKEN_LIFE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Accounts by the hash of their token.
const ACCOUNTS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("accounts");
/// Hashes of tokens by the keys of their names.
const NAMES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("names");

/// The names that are taken, in a file or in memory.
pub(crate) struct Accounts {
    database: Database,
    limit: u64,
}

#[derive(Serialize, Deserialize)]
struct Account {
    user: User,
    keys: Vec<String>,
    since: Timestamp,
}

/// What a browser shows to be who it is. Only its hash is stored.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

/// Somebody new.
pub(crate) struct SignedIn {
    pub(crate) user: User,
    pub(crate) token: Token,
    /// Who the same browser was before.
    pub(crate) replaced: Option<User>,
}

/// What taking a name came to.
pub(crate) enum Taken {
    Yes(SignedIn),
    No,
    /// There is no room for more names.
    Full,
}

/// Why the names can't be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the names of people can't be read or written")]
pub struct AccountsError(#[source] Box<redb::Error>);

impl<E: Into<redb::Error>> From<E> for AccountsError {
    fn from(error: E) -> Self {
        Self(Box::new(error.into()))
    }
}

impl Token {
    pub(crate) fn new(text: &str) -> Option<Self> {
        (text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit())).then(|| Self(text.to_owned()))
    }

    fn random() -> Self {
        Self(random_hex())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

fn random_hex() -> String {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).expect("invariant: the system has a source of randomness");
    format!("{:032x}", u128::from_le_bytes(bytes))
}

impl Account {
    fn is_over(&self, now: Timestamp) -> bool {
        self.since < now.minus(TOKEN_LIFE)
    }
}

impl Accounts {
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

    /// Returns whom a token belongs to.
    pub(crate) fn user(&self, token: &Token, now: Timestamp) -> Result<Option<User>, AccountsError> {
        let read = self.database.begin_read()?;
        let accounts = read.open_table(ACCOUNTS)?;
        let account = accounts.get(&token.hash()[..])?.and_then(|account| decode(account.value()));
        Ok(account.filter(|account| !account.is_over(now)).map(|account| account.user))
    }

    /// Takes a name for a new user, if nobody else has one that could be taken for it. The token `old` and its
    /// name are given up for it, in the same transaction.
    pub(crate) fn take(
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
        let user = User::new(&format!("u_{}", random_hex()), name.as_str())
            .expect("invariant: hex digits make an id");
        let token = Token::random();
        let account = Account { user: user.clone(), keys: name.keys(), since: now };
        let value = serde_json::to_vec(&account).expect("invariant: an account is JSON");
        write.open_table(ACCOUNTS)?.insert(&token.hash()[..], &value[..])?;
        for key in &account.keys {
            write.open_table(NAMES)?.insert(key.as_str(), &token.hash()[..])?;
        }
        write.commit()?;
        Ok(Taken::Yes(SignedIn { user, token, replaced }))
    }

    /// Makes a token worthless and its name free; returns whose it was.
    pub(crate) fn revoke(&self, token: &Token) -> Result<Option<User>, AccountsError> {
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

    fn take(accounts: &Accounts, name: &str, now: Timestamp) -> Option<(User, Token)> {
        take_for(accounts, name, None, now).map(|signed_in| (signed_in.user, signed_in.token))
    }

    fn take_for(accounts: &Accounts, name: &str, old: Option<&Token>, now: Timestamp) -> Option<SignedIn> {
        match accounts.take(&DisplayName::new(name).unwrap(), old, now).unwrap() {
            Taken::Yes(signed_in) => Some(signed_in),
            Taken::No | Taken::Full => None,
        }
    }

    #[test]
    fn a_name_belongs_to_its_token_until_it_signs_out() {
        let (accounts, now) = (Accounts::in_memory(9).unwrap(), Timestamp::now());
        let (ann, token) = take(&accounts, "ann", now).unwrap();
        assert_eq!(accounts.user(&token, now).unwrap(), Some(ann.clone()));
        assert!(take(&accounts, "ANN", now).is_none());
        assert_eq!(accounts.revoke(&token).unwrap(), Some(ann.clone()));
        assert_eq!(accounts.user(&token, now).unwrap(), None);
        assert_eq!(accounts.revoke(&token).unwrap(), None);
        let (other, _) = take(&accounts, "Ann", now).unwrap();
        assert_ne!(other.id, ann.id, "whoever takes the name next is somebody else");
    }

    #[test]
    fn a_browser_that_takes_another_name_gives_up_its_own() {
        let (accounts, now) = (Accounts::in_memory(9).unwrap(), Timestamp::now());
        let (ann, old) = take(&accounts, "ann", now).unwrap();
        take(&accounts, "bob", now).unwrap();
        assert!(take_for(&accounts, "Bob", Some(&old), now).is_none());
        assert_eq!(accounts.user(&old, now).unwrap(), Some(ann.clone()), "a refusal changes nothing");
        let renamed = take_for(&accounts, "Ann", Some(&old), now).unwrap();
        assert_eq!(renamed.replaced, Some(ann));
        assert_eq!(accounts.user(&old, now).unwrap(), None);
    }

    #[test]
    fn a_year_later_the_token_is_worthless_and_the_name_free() {
        let (accounts, now) = (Accounts::in_memory(9).unwrap(), Timestamp::now());
        let (_, token) = take(&accounts, "ann", now.minus(TOKEN_LIFE)).unwrap();
        assert!(accounts.user(&token, now).unwrap().is_some(), "to the day");
        let later = Timestamp::from_millis(now.as_millis() + 1);
        assert!(accounts.user(&token, later).unwrap().is_none());
        assert!(take(&accounts, "ann", later).is_some());
    }

    #[test]
    fn names_are_bounded() {
        let (accounts, now) = (Accounts::in_memory(2).unwrap(), Timestamp::now());
        assert!(take(&accounts, "a", now).is_some());
        assert!(take(&accounts, "b", now).is_some());
        assert!(take(&accounts, "c", now).is_none());
    }

    #[test]
    fn names_outlive_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("accounts.redb");
        let now = Timestamp::now();
        let (ann, token) = take(&Accounts::open(&file, 9).unwrap(), "ann", now).unwrap();
        let accounts = Accounts::open(&file, 9).unwrap();
        assert_eq!(accounts.user(&token, now).unwrap(), Some(ann));
        let stored = std::fs::read(&file).unwrap();
        let text = token.as_str().as_bytes();
        assert!(!stored.windows(text.len()).any(|window| window == text), "only the token's hash is stored");
    }
}
