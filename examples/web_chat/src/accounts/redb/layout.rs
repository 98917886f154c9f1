//! The tables of the file.

use std::collections::HashSet;

use chatcore_redb::{Layout, LayoutKind, TransactionError, copy_table};
use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, Table, TableDefinition, TableHandle,
    WriteTransaction,
};
use serde::de::DeserializeOwned;

use super::earlier;
use crate::accounts::record::{Person, Service};

/// People by their ids, as JSON.
pub(super) const PEOPLE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("people");
/// The ids of people by the keys of their names.
pub(super) const KEYS: TableDefinition<'_, &str, &str> = TableDefinition::new("keys");
/// The ids of people by the hashes of their devices' tokens.
pub(super) const DEVICES: TableDefinition<'_, &[u8], &str> = TableDefinition::new("devices");
/// The ids of people by the hashes of their sign-in links.
pub(super) const LINKS: TableDefinition<'_, &[u8], &str> = TableDefinition::new("links");
/// The ids of people by their sort keys.
pub(super) const BY_NAME: TableDefinition<'_, &str, &str> = TableDefinition::new("by_name");
/// The service's record as JSON, and the version of the layout.
pub(super) const SERVICE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("service");

/// The key of the service's record.
const RECORD: &str = "record";
/// The key of the layout's version.
const VERSION: &str = "version";

/// The version of the layout. The first one had tables of accounts and names, and no version.
const KNOWN: u64 = 2;

/// The layout of the file.
pub(crate) struct Tables;

/// The tables in a write transaction.
pub(crate) struct Changes<'t> {
    pub(super) people: Table<'t, &'static str, &'static [u8]>,
    pub(super) keys: Table<'t, &'static str, &'static str>,
    pub(super) devices: Table<'t, &'static [u8], &'static str>,
    pub(super) links: Table<'t, &'static [u8], &'static str>,
    pub(super) by_name: Table<'t, &'static str, &'static str>,
    pub(super) service: Table<'t, &'static str, &'static [u8]>,
    changed: bool,
}

impl Layout for Tables {
    type Changes<'t> = Changes<'t>;

    fn prepare(database: &Database) -> Result<LayoutKind, TransactionError> {
        let read = database.begin_read()?;
        let tables: HashSet<String> = read.list_tables()?.map(|table| table.name().to_owned()).collect();
        if [PEOPLE.name(), SERVICE.name()].iter().all(|name| tables.contains(*name)) {
            let version = read.open_table(SERVICE)?.get(VERSION)?;
            return Ok(match version.and_then(|version| decode::<u64>(version.value())) {
                Some(KNOWN) => LayoutKind::Ours,
                Some(found) if found > KNOWN => LayoutKind::Newer { found, known: KNOWN },
                _ => LayoutKind::Foreign,
            });
        }
        if !tables.is_empty() && !earlier::has_tables(&read)? {
            return Ok(LayoutKind::Foreign);
        }
        drop(read);
        let write = database.begin_write()?;
        {
            let mut changes = Self::begin(&write)?;
            changes.service.insert(VERSION, &*encode(&KNOWN))?;
            if !tables.is_empty() {
                earlier::carry_over(&write, &mut changes)?;
            }
        }
        write.commit()?;
        Ok(LayoutKind::Ours)
    }

    fn begin(txn: &WriteTransaction) -> Result<Changes<'_>, TransactionError> {
        Ok(Changes {
            people: txn.open_table(PEOPLE)?,
            keys: txn.open_table(KEYS)?,
            devices: txn.open_table(DEVICES)?,
            links: txn.open_table(LINKS)?,
            by_name: txn.open_table(BY_NAME)?,
            service: txn.open_table(SERVICE)?,
            changed: false,
        })
    }

    fn finish(changes: Changes<'_>) -> Result<bool, TransactionError> {
        Ok(changes.changed)
    }

    fn copy(from: &ReadTransaction, to: &WriteTransaction) -> Result<(), TransactionError> {
        copy_table(from, to, PEOPLE)?;
        copy_table(from, to, KEYS)?;
        copy_table(from, to, DEVICES)?;
        copy_table(from, to, LINKS)?;
        copy_table(from, to, BY_NAME)?;
        copy_table(from, to, SERVICE)
    }
}

impl Changes<'_> {
    pub(super) fn put(&mut self, person: &Person) -> Result<(), TransactionError> {
        let id = person.user.id.as_str();
        self.remove(id)?;
        self.changed = true;
        self.people.insert(id, &*encode(person))?;
        for key in &person.keys {
            self.keys.insert(key.as_str(), id)?;
        }
        for device in &person.devices {
            self.devices.insert(device.hash.as_bytes(), id)?;
        }
        if let Some(link) = &person.link {
            self.links.insert(link.hash.as_bytes(), id)?;
        }
        self.by_name.insert(person.sort_key().as_str(), id)?;
        Ok(())
    }

    pub(super) fn remove(&mut self, id: &str) -> Result<(), TransactionError> {
        let Some(before) = person(&self.people, id)? else { return Ok(()) };
        self.changed = true;
        self.people.remove(id)?;
        for key in &before.keys {
            self.keys.remove(key.as_str())?;
        }
        for device in &before.devices {
            self.devices.remove(device.hash.as_bytes())?;
        }
        if let Some(link) = &before.link {
            self.links.remove(link.hash.as_bytes())?;
        }
        self.by_name.remove(before.sort_key().as_str())?;
        Ok(())
    }

    pub(super) fn put_service(&mut self, service: &Service) -> Result<(), TransactionError> {
        self.changed = true;
        self.service.insert(RECORD, &*encode(service))?;
        Ok(())
    }
}

/// Returns the person with this id.
pub(super) fn person(
    people: &impl ReadableTable<&'static str, &'static [u8]>,
    id: &str,
) -> Result<Option<Person>, TransactionError> {
    Ok(people.get(id)?.and_then(|row| decode(row.value())))
}

/// Returns the service's record.
pub(super) fn service(
    service: &impl ReadableTable<&'static str, &'static [u8]>,
) -> Result<Service, TransactionError> {
    Ok(service.get(RECORD)?.and_then(|row| decode(row.value())).unwrap_or_default())
}

fn encode(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("invariant: a record is JSON")
}

pub(super) fn decode<T: DeserializeOwned>(row: &[u8]) -> Option<T> {
    serde_json::from_slice(row).ok()
}
