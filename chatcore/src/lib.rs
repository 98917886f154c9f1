#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[macro_use]
mod limits;

pub mod bus;
mod channel;
mod chat;
mod connection;
mod delivery;
mod engine;
mod model;
pub mod protocol;
mod runtime;
pub mod store;
#[cfg(feature = "testkit")]
pub mod testkit;

/// The files that messages carry: what they are, and previews of pictures.
pub mod attachments {
    pub use crate::engine::previews::{PREVIEW_SIDES, Preview, PreviewFile, PreviewMaker, PreviewType};
    pub use crate::engine::upload_slots::HeldFiles;
    pub use crate::model::attachment::FileKind;
}

/// Durable consumers: the app's own programs that read all logs. [`Chat::consumer`] opens one.
pub mod consumer {
    pub use crate::chat::consumer::{AckError, Batch, Consumer, ConsumerBuilder, Entry};
    pub use crate::store::{ChannelInfo, Content, Event, EventKind, Head};
}

/// For transports: a participant's session without a socket, and the fan-out's direct way to one.
///
/// `chatcore-hyper` is the transport for WebSockets. [`Chat::open`] gives a [`Connection`](transport::Connection) to any
/// other.
pub mod transport {
    pub use crate::connection::Connection;
    pub use crate::delivery::outgoing::Outgoing;
    pub use crate::delivery::outlet::{Burst, Framing, Outlet, Sent};
}

/// For implementations of this crate's traits: it makes an `async fn` of each.
pub use async_trait::async_trait;

pub use self::chat::client::Client;
pub use self::chat::sender::{ClientError, ClientSender};
pub use self::chat::{Chat, ChatBuilder};
pub use self::limits::Limits;
pub use self::model::attachment::Attachment;
pub use self::model::avatar::{Avatar, InvalidAvatar};
pub use self::model::data::{Data, InvalidData};
pub use self::model::error::{Error, ErrorCode};
pub use self::model::id::{
    AttachmentId, ChannelId, ConsumerName, Epoch, InvalidId, Nonce, Position, Seq, SessionId, UserId,
};
pub use self::model::membership::{
    ChannelKind, HistoryAccess, Member, MemberOp, Mention, Mentions, Notify, Role,
};
pub use self::model::message::{Erasure, Message, MessageKind, Reaction, User};
pub use self::model::name::{ChannelName, InvalidChannelName};
pub use self::model::new_message::NewMessage;
pub use self::model::policy::{Action, Denied, Identity, OpenPolicy, Policy};
pub use self::model::query::{InvalidQuery, SearchQuery};
pub use self::model::review::Refused;
pub use self::model::time::{Clock, InvalidTimestamp, Timestamp};
pub use self::model::visible;
pub use self::protocol::{ConnectError, History};
pub use self::runtime::failures::FailureLog;
pub use self::runtime::stats::{BusStats, Histogram, Stats};
pub use self::store::{MemoryStore, blob};
