//! A Slack-like chat service built with chatcore: the page, accounts, and one tower service for both and the chat.
//! [`run`] is the program; tests start the service in their own process.

mod accounts;
mod app;
mod backup;
mod bus;
mod files;
mod folder;
mod log;
mod name;
mod open_files;
mod operations;
mod options;
mod page;
mod program;
mod schema;
mod signals;
#[doc(hidden)]
pub mod testkit;
mod web;

pub use self::accounts::AccountsError;
pub use self::app::{App, OpenError, WebChat};
pub use self::backup::{Command, backup, restore};
pub use self::bus::{BusChoice, InvalidBus};
pub use self::files::{FilesIn, move_files};
pub use self::log::{InvalidFilter, LogFilter, LogFormat, in_one_line};
pub use self::operations::Operations;
pub use self::options::{Join, Options};
pub use self::program::run;
