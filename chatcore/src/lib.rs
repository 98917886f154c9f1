#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod channel;
mod chat;
mod connection;
mod delivery;
mod engine;
mod limits;
mod model;
pub mod protocol;
mod runtime;
pub mod store;
#[cfg(feature = "testkit")]
pub mod testkit;

pub use self::chat::client::Client;
pub use self::chat::sender::{ClientError, ClientSender};
pub use self::chat::{Chat, ChatBuilder};
pub use self::connection::Connection;
pub use self::delivery::outlet::{Burst, Framing, Outlet, Sent};
pub use self::engine::attachments::FileKind;
pub use self::engine::previews::{PREVIEW_SIDES, Preview, PreviewFile, PreviewMaker, PreviewType};
pub use self::engine::upload_slots::HeldFiles;
pub use self::limits::Limits;
pub use self::model::check::Check;
pub use self::model::error::{Error, ErrorCode};
pub use self::model::event::{Append, AppendBody, Content, Event, EventKind};
pub use self::model::id::{
    AttachmentId, ChannelId, Epoch, InvalidId, Nonce, Position, Seq, SessionId, UserId,
};
pub use self::model::message::{Attachment, Message, Reaction, ReactionLimits, TooManyReactions, User};
pub use self::model::name::{BadName, ChannelName};
pub use self::model::new_message::NewMessage;
pub use self::model::policy::{Action, Denied, Identity, OpenPolicy, Policy};
pub use self::model::query::SearchQuery;
pub use self::model::time::{Clock, InvalidTimestamp, Timestamp};
pub use self::model::visible;
pub use self::runtime::failures::FailureLog;
pub use self::runtime::stats::{Histogram, Stats};
pub use self::store::{MemoryStore, blob};
