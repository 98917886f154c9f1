//! Three real services that are one chat, on one PostgreSQL and each kind of bus.
#![allow(missing_docs, clippy::unwrap_used)]

mod direct;
mod faults;
mod presence;
