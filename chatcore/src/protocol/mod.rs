//! The wire protocol, version 1, and its JSON.
//!
//! Other programs are written against `docs/protocol.md`.

mod close;
mod command;
mod encode;
mod event;
mod fold;
mod objects;
mod reply;
mod sketch;

pub use self::close::CloseReason;
pub use self::command::{Command, Malformed};
pub use self::event::{ChatEvent, ClientLimits, RemovalReason};
pub use self::reply::{
    ChannelList, ChannelObject, ErrorReply, HistoryPage, Logged, Published, SearchPage, Subscribed,
};

pub(crate) use self::encode::{Answer, EncodedEvent, Encoder, Fragment, MessageList, Reply, UserList};

/// The protocol's version, in `welcome` and in the subprotocol's name.
pub const VERSION: u32 = 1;

/// The WebSocket subprotocol of this version.
pub const SUBPROTOCOL: &str = "chatcore.v1";
