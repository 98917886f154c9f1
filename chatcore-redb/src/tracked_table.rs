//! A table of a write transaction that is opened when it is used, and knows whether it was changed.

use std::cell::OnceCell;

use redb::{Key, Table, TableDefinition, Value, WriteTransaction};

use crate::error::TransactionError;

/// A table of a write transaction. Access for writing marks it as changed, so no write can be missed.
pub(crate) struct TrackedTable<'t, K: Key + 'static, V: Value + 'static> {
    txn: &'t WriteTransaction,
    definition: TableDefinition<'static, K, V>,
    table: OnceCell<Table<'t, K, V>>,
    changed: Changed,
}

/// When a table was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    Never,
    /// In an earlier round of the transaction.
    Before,
    /// In this round.
    Now,
}

impl<'t, K: Key + 'static, V: Value + 'static> TrackedTable<'t, K, V> {
    pub(crate) fn new(txn: &'t WriteTransaction, definition: TableDefinition<'static, K, V>) -> Self {
        Self { txn, definition, table: OnceCell::new(), changed: Changed::Never }
    }

    pub(crate) fn changed(&self) -> Changed {
        self.changed
    }

    /// Counts a change in this round as one in an earlier round.
    pub(crate) fn settle(&mut self) {
        if self.changed == Changed::Now {
            self.changed = Changed::Before;
        }
    }

    #[cfg(test)]
    pub(crate) fn is_open(&self) -> bool {
        self.table.get().is_some()
    }

    /// Returns the table for reading.
    pub(crate) fn read(&self) -> Result<&Table<'t, K, V>, TransactionError> {
        if let Some(table) = self.table.get() {
            return Ok(table);
        }
        let table = self.txn.open_table(self.definition)?;
        Ok(self.table.get_or_init(|| table))
    }

    /// Returns the table for writing.
    pub(crate) fn write(&mut self) -> Result<&mut Table<'t, K, V>, TransactionError> {
        self.read()?;
        self.changed = Changed::Now;
        self.table.get_mut().ok_or(TransactionError::Broken("a table is not open"))
    }
}
