//! Accounts in a redb file, or in memory.

mod earlier;
mod layout;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use chatcore::store::StoreError;
use chatcore::{Timestamp, UserId};
use chatcore_redb::{BackupError, RedbFile, TransactionError};
use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata};
use tokio::time::timeout;

use self::layout::{BY_NAME, DEVICES, KEYS, LINKS, PEOPLE, SERVICE, Tables, person, service};
use super::record::{Change, Found, Person, Wanted};
use super::secret::Hash;
use super::{AccountStore, AccountsError, Decide, Known, Used};

/// The size of the page cache. The file has about this size with 50,000 people.
const CACHE_BYTES: usize = 16 << 20;

/// Accounts in a file or in memory. One thread writes them, and no call waits longer than `wait`.
#[derive(Debug)]
pub(crate) struct RedbAccounts {
    file: RedbFile<Tables>,
    wait: Duration,
}

impl RedbAccounts {
    /// Opens the file, or creates it. Blocks.
    pub(crate) fn open(file: &Path, wait: Duration) -> Result<Self, AccountsError> {
        let builder = chatcore_redb::Builder::default().cache_bytes(CACHE_BYTES);
        let file = builder.open_file(file).map_err(AccountsError::because)?;
        Ok(Self { file, wait })
    }

    pub(crate) fn in_memory(wait: Duration) -> Result<Self, AccountsError> {
        Ok(Self { file: RedbFile::in_memory().map_err(AccountsError::because)?, wait })
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

    async fn look<T: Send + 'static>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, TransactionError> + Send + 'static,
    ) -> Result<T, AccountsError> {
        self.within(self.file.read("the names can't be read", read)).await
    }
}

#[async_trait]
impl AccountStore for RedbAccounts {
    async fn user(&self, token: &Hash, oldest: Timestamp) -> Result<Option<Known>, AccountsError> {
        let hash = *token;
        self.look(move |txn| {
            let Some(id) = txn.open_table(DEVICES)?.get(hash.as_bytes())? else { return Ok(None) };
            let Some(person) = person(&txn.open_table(PEOPLE)?, id.value())? else { return Ok(None) };
            let used = person.device(&hash).map(|device| device.used).filter(|used| *used >= oldest);
            Ok(used.map(|used| Known { user: person.user, used }))
        })
        .await
    }

    async fn read(&self, wanted: Wanted) -> Result<Found, AccountsError> {
        self.look(move |txn| {
            let tables = Lookup {
                people: &txn.open_table(PEOPLE)?,
                keys: &txn.open_table(KEYS)?,
                devices: &txn.open_table(DEVICES)?,
                links: &txn.open_table(LINKS)?,
                service: &txn.open_table(SERVICE)?,
            };
            tables.find(&wanted)
        })
        .await
    }

    async fn change(&self, wanted: Wanted, decide: Decide) -> Result<(), AccountsError> {
        let changed = self.file.write(move |tables| {
            let found = {
                let layout::Changes { people, keys, devices, links, service, .. } = &*tables;
                Lookup { people, keys, devices, links, service }.find(&wanted)?
            };
            for change in decide(&found) {
                match change {
                    Change::Put(person) => tables.put(&person)?,
                    Change::Remove(id) => tables.remove(id.as_str())?,
                    Change::Service(service) => tables.put_service(&service)?,
                }
            }
            Ok(())
        });
        self.within(changed).await
    }

    async fn people(&self, prefix: &str, after: &str, limit: usize) -> Result<Vec<Person>, AccountsError> {
        let (prefix, after) = (prefix.to_owned(), after.to_owned());
        self.look(move |txn| {
            let (by_name, table) = (txn.open_table(BY_NAME)?, txn.open_table(PEOPLE)?);
            let mut people = Vec::new();
            for row in by_name.range(prefix.as_str().max(after.as_str())..)? {
                let (key, id) = row?;
                if people.len() == limit || !key.value().starts_with(&prefix) {
                    break;
                }
                if key.value() > after.as_str() {
                    people.extend(person(&table, id.value())?);
                }
            }
            Ok(people)
        })
        .await
    }

    async fn used(&self, used: Used, limit: usize) -> Result<Vec<UserId>, AccountsError> {
        self.look(move |txn| {
            let mut ids = Vec::new();
            for row in txn.open_table(PEOPLE)?.iter()? {
                let (_, row) = row?;
                let Some(person) = layout::decode::<Person>(row.value()) else { continue };
                let is_in = match used {
                    Used::Before(time) => person.used < time,
                    Used::After(time) => person.used > time,
                };
                if is_in {
                    ids.push(person.user.id);
                }
                if ids.len() == limit {
                    break;
                }
            }
            Ok(ids)
        })
        .await
    }
}

/// The tables for a look-up, in a transaction that reads or writes.
struct Lookup<'a, P, K, D, S> {
    people: &'a P,
    keys: &'a K,
    devices: &'a D,
    links: &'a D,
    service: &'a S,
}

impl<P, K, D, S> Lookup<'_, P, K, D, S>
where
    P: ReadableTable<&'static str, &'static [u8]> + ReadableTableMetadata,
    K: ReadableTable<&'static str, &'static str>,
    D: ReadableTable<&'static [u8], &'static str>,
    S: ReadableTable<&'static str, &'static [u8]>,
{
    fn find(&self, wanted: &Wanted) -> Result<Found, TransactionError> {
        let mut ids: Vec<String> = wanted.ids.iter().map(ToString::to_string).collect();
        for key in &wanted.keys {
            ids.extend(self.keys.get(key.as_str())?.map(|id| id.value().to_owned()));
        }
        for hash in &wanted.tokens {
            ids.extend(self.devices.get(hash.as_bytes())?.map(|id| id.value().to_owned()));
        }
        if let Some(hash) = &wanted.link {
            ids.extend(self.links.get(hash.as_bytes())?.map(|id| id.value().to_owned()));
        }
        let mut found = Found { service: service(self.service)?, ..Found::default() };
        for id in ids {
            if let Some(person) = person(self.people, &id)? {
                found.add(person);
            }
        }
        if wanted.count {
            found.count = self.people.len()?;
        }
        Ok(found)
    }
}
