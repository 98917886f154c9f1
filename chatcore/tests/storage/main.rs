//! The laws of the traits of storage and of the bus, for this crate's implementations.

mod conformance;
mod folder;
