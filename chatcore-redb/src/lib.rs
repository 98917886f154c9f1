#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod attachments;
mod backup;
mod channels;
mod consumers;
mod directory;
mod erasures;
mod error;
mod file;
mod journal;
mod journaled;
mod layout;
mod log;
mod members;
mod membership;
mod opening;
mod private;
mod prune;
mod schema;
mod store;
#[cfg(feature = "testkit")]
#[doc(hidden)]
pub mod testkit;
#[cfg(test)]
mod tests;
mod tracked_table;
mod unread;
mod upgrade;
mod writer;

pub use self::backup::{BackupError, copy_table};
pub use self::error::{OpenError, TransactionError};
pub use self::file::RedbFile;
pub use self::layout::{Layout, LayoutKind};
pub use self::opening::{Builder, Opening};
pub use self::store::RedbStore;
