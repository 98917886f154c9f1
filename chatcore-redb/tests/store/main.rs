//! The store on real files.

mod backup;
mod conformance;
mod files;
mod kill;
