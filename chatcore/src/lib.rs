#![doc = include_str!("../README.md")]

mod append;
pub mod blob;
mod channel;
mod chat;
mod client;
mod commands;
mod config;
mod connection;
mod core;
mod error;
mod event;
mod follow;
mod id;
mod link;
mod links;
mod message;
mod name;
mod policy;
mod presence;
pub mod protocol;
mod registry;
mod ring;
mod search;
mod session;
pub mod store;
mod subscription;
mod sync;
#[cfg(feature = "testkit")]
pub mod testkit;
mod time;
mod uploads;

pub use self::chat::{Chat, ChatBuilder};
pub use self::client::{Client, ClientError};
pub use self::config::Limits;
pub use self::connection::Connection;
pub use self::error::{Error, ErrorCode};
pub use self::event::{Append, AppendBody, Content, Event, EventKind};
pub use self::id::{AttachmentId, ChannelId, Epoch, InvalidId, Nonce, Position, Seq, UserId};
pub use self::message::{Attachment, Message, Reaction, User};
pub use self::name::{BadName, ChannelName};
pub use self::policy::{Action, Denied, Identity, OpenPolicy, Policy};
pub use self::search::SearchQuery;
pub use self::store::MemoryStore;
pub use self::time::{InvalidTimestamp, Timestamp};
pub use self::uploads::FileKind;
