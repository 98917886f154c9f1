#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod attachments;
mod body;
mod error;
mod files;
mod headers;
mod limits;
mod origins;
mod server;
mod service;
mod socket;
#[cfg(feature = "testkit")]
#[doc(hidden)]
pub mod testkit;

/// What the build script does to the files, tested with the rest of the crate.
#[cfg(test)]
#[path = "../build/bundle.rs"]
mod bundle;
#[cfg(test)]
#[path = "../build/locals.rs"]
mod locals;
#[cfg(test)]
#[path = "../build/names.rs"]
mod names;
#[cfg(test)]
#[path = "../build/strip.rs"]
mod strip;

pub use async_trait::async_trait;
pub use http;

pub use self::body::Body;
pub use self::limits::address::ClientAddress;
pub use self::limits::config::Config;
pub use self::server::config::ServerConfig;
pub use self::server::{Serve, serve};
pub use self::service::auth::{AuthError, Authenticator, Unauthorized};
pub use self::service::ui::Ui;
pub use self::service::{ChatService, ChatServiceBuilder, ResponseFuture};

/// What an app's own routes next to the chat also need: its files, its cookie, the check of hosts and origins, and
/// allowances for each address.
pub mod web {
    pub use crate::files::StaticFiles;
    pub use crate::headers::cookie::cookie;
    pub use crate::limits::allowance::{Allowance, PerAddress, TooManyRequests};
    pub use crate::origins::origin::{InvalidOrigin, Origin};
    pub use crate::origins::{OriginError, Origins};
}
