//! The store on real files.

mod backup;
mod conformance;
mod costs;
mod files;
mod kill;
mod layouts;
