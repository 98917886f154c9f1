#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod append;
mod attachments;
mod blobs;
mod bus;
mod config;
mod consumers;
mod database;
mod digest;
mod directory;
mod erasures;
mod error;
mod event;
mod item;
mod leftovers;
mod log;
mod members;
mod page;
mod pool;
mod retention;
mod schema;
mod search;
mod store;
#[cfg(test)]
mod tests;
#[cfg(feature = "tls")]
mod tls;
mod turn;
mod users;
mod writer;

pub use {deadpool_postgres, tokio_postgres};

pub use self::blobs::PostgresBlobs;
pub use self::bus::PostgresBus;
pub use self::config::Builder;
pub use self::error::{ConnectError, InvalidSchemaName};
pub use self::pool::{take_connection, take_new_connection};
pub use self::store::PostgresStore;
