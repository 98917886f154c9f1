//! The storage traits, and [`MemoryStore`].
//!
//! A store implements six traits over one database:
//!
//! - [`EventStore`]: the channels' logs
//! - [`Directory`]: channels, users and read markers
//! - [`Membership`]: who belongs to which channel
//! - [`AttachmentIndex`]: uploaded files
//! - [`Consumers`]: how far the app's own programs have read
//! - [`Erasures`]: people who were erased
//!
//! They share transactions (an append takes attachments and changes members), so one type implements all six, and is then a
//! [`Store`]. `testkit::store_conformance!` tests their laws for any implementation.

mod attachment_index;
pub mod blob;
mod consumers;
mod directory;
mod erasures;
mod error;
mod event_store;
mod membership;
mod memory;
mod page;
pub(crate) mod pointer;
mod scan;

pub use self::attachment_index::{AttachmentIndex, FileBytes, SweepTurn, Upload, UploadState};
pub use self::consumers::{Consumers, Lease, News, NewsPage, StartAt};
pub use self::directory::{
    ChannelInfo, ChannelPage, Created, Directory, Revocation, UNREAD_SCAN, UNREAD_SCAN_NEW, Unread,
};
pub use self::erasures::{ErasedUser, Erasures, NextTraces, Traces};
pub use self::error::{AppendError, StoreError};
pub use self::event_store::{Appended, Durability, EventStore, Head, NONCE_LIFE, Page, Replay};
pub use self::membership::{
    Leaving, Listed, ListedPage, MemberPage, Membership, NewPrivate, Standing, UserPage, judge, name_matches,
    name_words, needs_standing,
};
pub use self::memory::MemoryStore;
pub use self::page::{Filling, PageLimit};
pub use self::scan::{Found, SEARCH_BYTES, SEARCH_SCAN, search_by_scan};
pub use crate::model::append::{Append, AppendBody, EditExtras, Extras};
pub use crate::model::check::Check;
pub use crate::model::event::{Content, Event, EventKind};
pub use crate::model::membership::{
    ChannelKind, HistoryAccess, Member, MemberOp, Mention, Mentions, Notify, Role,
};
pub use crate::model::message::{Erasure, ReactionLimits, TooManyReactions};

/// A whole store: logs, directory, members, attachment index, consumers and erasures in one database.
pub trait Store: EventStore + Directory + Membership + AttachmentIndex + Consumers + Erasures {}

impl<S: EventStore + Directory + Membership + AttachmentIndex + Consumers + Erasures> Store for S {}
