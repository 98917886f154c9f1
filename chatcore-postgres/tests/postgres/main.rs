//! The store, its files and the bus, on a real PostgreSQL.

mod append;
mod blobs;
mod bus;
mod conformance;
mod consumers;
mod migrations;
mod older_schemas;
mod pgbouncer;
mod pool;
mod search;
mod sweep;
#[cfg(feature = "tls")]
mod tls;
