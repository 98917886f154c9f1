#![doc = include_str!("../README.md")]

mod attachments;
mod directory;
mod error;
#[cfg(test)]
mod failing_disk;
mod log;
mod schema;
mod store;
mod writer;

pub use self::error::OpenError;
pub use self::store::{Options, RedbStore};
