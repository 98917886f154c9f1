//! Files of version 1 of the layout: each token had a name of its own.

use chatcore::{Timestamp, User};
use chatcore_redb::TransactionError;
use redb::{ReadTransaction, ReadableTable, TableDefinition, TableError, WriteTransaction};
use serde::Deserialize;

use super::layout::{Changes, decode};
use crate::accounts::TOKEN_LIFE;
use crate::accounts::record::{Person, Service};
use crate::accounts::secret::Hash;
use crate::name::lacking_keys;

/// Accounts by the hashes of their tokens.
const ACCOUNTS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("accounts");
/// The hashes of tokens by the keys of the names.
const NAMES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("names");

#[derive(Deserialize)]
struct Account {
    user: User,
    keys: Vec<String>,
    since: Timestamp,
}

/// Returns whether the file has the tables of version 1.
pub(super) fn has_tables(read: &ReadTransaction) -> Result<bool, TransactionError> {
    match (read.open_table(ACCOUNTS), read.open_table(NAMES)) {
        (Ok(_), Ok(_)) => Ok(true),
        (Err(TableError::Storage(error)), _) | (_, Err(TableError::Storage(error))) => Err(error.into()),
        _ => Ok(false),
    }
}

/// Makes a person with one device of each account that had not expired, and deletes the tables of version 1. When a
/// device was last used was not stored, so all begin as used now.
pub(super) fn carry_over(
    write: &WriteTransaction,
    changes: &mut Changes<'_>,
) -> Result<(), TransactionError> {
    let now = Timestamp::now();
    let mut people = Vec::new();
    {
        let (accounts, names) = (write.open_table(ACCOUNTS)?, write.open_table(NAMES)?);
        for row in accounts.iter()? {
            let (hash, row) = row?;
            let account = decode::<Account>(row.value()).zip(Hash::from_bytes(hash.value()));
            let Some((Account { user, keys: known, since }, hash)) = account else { continue };
            if since < now.minus(TOKEN_LIFE) {
                continue;
            }
            let mut keys = Vec::new();
            for key in known {
                if names.get(key.as_str())?.is_some_and(|owner| owner.value() == hash.as_bytes()) {
                    keys.push(key);
                }
            }
            people.push(Person::carried_over(user, keys, hash, since, now));
        }
        // Nobody becomes the owner by being the first one from now on.
        let begun = accounts.iter()?.next().is_some();
        changes.put_service(&Service { begun, ..Service::default() })?;
    }
    for person in &people {
        changes.put(person)?;
    }
    // A version before that converted names to lower case. A key that another name has in the meantime stays with it.
    for mut person in people {
        for key in lacking_keys(&person.user.name, &person.keys) {
            if changes.keys.get(key.as_str())?.is_none() {
                person.keys.push(key);
            }
        }
        changes.put(&person)?;
    }
    write.delete_table(ACCOUNTS)?;
    write.delete_table(NAMES)?;
    Ok(())
}
