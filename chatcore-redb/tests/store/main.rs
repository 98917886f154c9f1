//! The store on real files.

mod backup;
mod conformance;
mod consumers;
mod costs;
mod files;
mod kill;
mod layouts;
