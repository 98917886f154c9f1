#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod bus;
mod config;
mod error;
mod path;

pub use async_nats;

pub use self::bus::NatsBus;
pub use self::config::Builder;
pub use self::error::ConnectError;
