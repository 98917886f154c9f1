//! A table that knows whether it was changed.

use std::ops::{Deref, DerefMut};

use redb::{Key, Table, TableDefinition, Value, WriteTransaction};

use crate::error::TransactionError;

/// A table, open for writing. Mutable access marks it as changed, so no write can be missed.
pub(crate) struct Watched<'t, K: Key + 'static, V: Value + 'static> {
    table: Table<'t, K, V>,
    changed: bool,
}

impl<'t, K: Key + 'static, V: Value + 'static> Watched<'t, K, V> {
    pub(crate) fn open(
        txn: &'t WriteTransaction,
        name: TableDefinition<'_, K, V>,
    ) -> Result<Self, TransactionError> {
        Ok(Self { table: txn.open_table(name)?, changed: false })
    }

    pub(crate) fn changed(&self) -> bool {
        self.changed
    }
}

impl<'t, K: Key + 'static, V: Value + 'static> Deref for Watched<'t, K, V> {
    type Target = Table<'t, K, V>;

    fn deref(&self) -> &Self::Target {
        &self.table
    }
}

impl<K: Key + 'static, V: Value + 'static> DerefMut for Watched<'_, K, V> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.changed = true;
        &mut self.table
    }
}
