//! The wire protocol, version 1, and its JSON.
//!
//! Other programs are written against `docs/protocol.md`.

mod answer;
mod close;
mod command;
mod decode;
mod draft;
mod encode;
mod encoded;
mod erased;
mod event;
mod fold;
mod form;
mod json;
mod lenient;
mod lists;
mod objects;
mod reply;

pub use self::close::{CloseReason, ConnectError};
pub use self::command::{Command, History, SearchFrom};
pub use self::decode::Malformed;
pub use self::event::{ChatEvent, ClientLimits, RemovalReason};
pub use self::form::Form;
pub use self::reply::{
    Added, ChannelList, ChannelObject, DirectOpened, ErrorReply, HistoryPage, Logged, MemberList,
    MemberObject, People, Published, SearchPage, Start, Subscribed,
};

pub(crate) use self::answer::{Answer, Reply};
pub(crate) use self::draft::Draft;
pub(crate) use self::encode::Encoder;
pub(crate) use self::encoded::Encoded;
pub(crate) use self::form::{Mark, Marks, Reader, Variant};
pub(crate) use self::lists::{MessageList, UserList};

/// The protocol's version, in `welcome` and in the subprotocol's name.
pub const VERSION: u32 = 1;

/// The WebSocket subprotocol of this version, with messages in their [full](Form::Full) form.
pub const SUBPROTOCOL: &str = "chatcore.v1";

/// The WebSocket subprotocol of this version, with messages in their [lean](Form::Lean) form.
pub const LEAN_SUBPROTOCOL: &str = "chatcore.v1.lean";
