//! Why a command was refused, as the protocol says it.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::id::InvalidId;
use crate::model::name::{ChannelName, InvalidChannelName};
use crate::model::policy::Denied;

/// The protocol's error codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorCode {
    /// The frame is not a JSON object, has no `type`, or has a field of a wrong type.
    BadFrame,
    /// The command is unknown.
    UnknownCommand,
    /// Something is longer than its limit.
    TooLarge,
    /// There is neither text nor an attachment.
    Empty,
    /// The channel does not exist.
    NoSuchChannel,
    /// The name is taken.
    NameTaken,
    /// The name is invalid.
    BadName,
    /// The command needs a subscription to the channel.
    NotSubscribed,
    /// The message does not exist.
    NoSuchMessage,
    /// The attachment does not exist.
    NoSuchAttachment,
    /// The policy refuses it.
    NotAllowed,
    /// Too many commands in too short a time.
    RateLimited,
    /// The store is unavailable or its queue is full.
    Unavailable,
    /// The server is shutting down.
    Draining,
    /// The stored files have reached their limit, the user's or the total.
    StorageFull,
    /// Nobody has this user id.
    NoSuchUser,
    /// The channel would have no owner.
    LastOwner,
    /// The channel has as many members as it can have.
    TooManyMembers,
    /// The person is no member of the channel.
    NotAMember,
    /// The channel is archived.
    Archived,
    /// The app's review refuses the message.
    Refused,
}

impl ErrorCode {
    /// Every code, in the order of their declaration.
    pub(crate) const ALL: [Self; Self::Refused as usize + 1] = [
        Self::BadFrame,
        Self::UnknownCommand,
        Self::TooLarge,
        Self::Empty,
        Self::NoSuchChannel,
        Self::NameTaken,
        Self::BadName,
        Self::NotSubscribed,
        Self::NoSuchMessage,
        Self::NoSuchAttachment,
        Self::NotAllowed,
        Self::RateLimited,
        Self::Unavailable,
        Self::Draining,
        Self::StorageFull,
        Self::NoSuchUser,
        Self::LastOwner,
        Self::TooManyMembers,
        Self::NotAMember,
        Self::Archived,
        Self::Refused,
    ];

    /// Returns the code as the wire spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadFrame => "bad_frame",
            Self::UnknownCommand => "unknown_command",
            Self::TooLarge => "too_large",
            Self::Empty => "empty",
            Self::NoSuchChannel => "no_such_channel",
            Self::NameTaken => "name_taken",
            Self::BadName => "bad_name",
            Self::NotSubscribed => "not_subscribed",
            Self::NoSuchMessage => "no_such_message",
            Self::NoSuchAttachment => "no_such_attachment",
            Self::NotAllowed => "not_allowed",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::Draining => "draining",
            Self::StorageFull => "storage_full",
            Self::NoSuchUser => "no_such_user",
            Self::LastOwner => "last_owner",
            Self::TooManyMembers => "too_many_members",
            Self::NotAMember => "not_a_member",
            Self::Archived => "archived",
            Self::Refused => "refused",
        }
    }

    /// Returns whether the same command may succeed later, unchanged.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::RateLimited | Self::Unavailable | Self::Draining)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a command was refused.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    code: ErrorCode,
    message: Cow<'static, str>,
    retry: Option<Duration>,
    channel: Option<ChannelName>,
    changes_nothing: bool,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// Returns an error with a message for people: one exact clause, without the code's name.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            retry: None,
            channel: None,
            changes_nothing: false,
            source: None,
        }
    }

    /// Sets when to try again.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry = Some(wait);
        self
    }

    /// The name is that of this channel, or looks the same.
    pub(crate) fn name_taken(channel: ChannelName) -> Self {
        let why = format!("the channel {:?} has that name, or looks the same", channel.as_str());
        Self::new(ErrorCode::NameTaken, why).about(channel)
    }

    pub(crate) fn too_many_channels(most: usize) -> Self {
        Self::new(ErrorCode::NotAllowed, format!("this server can have at most {most} channels"))
    }

    pub(crate) fn too_many_consumers(most: usize) -> Self {
        Self::new(ErrorCode::NotAllowed, format!("this server can have at most {most} consumers"))
    }

    pub(crate) fn bad_consumer_name(error: &InvalidId) -> Self {
        Self::new(ErrorCode::BadName, error.to_string())
    }

    /// Names the channel that has the name.
    #[must_use]
    pub(crate) fn about(mut self, channel: ChannelName) -> Self {
        self.channel = Some(channel);
        self
    }

    pub(crate) fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// Returns the failure of a store that caused this error, if there is one.
    pub(crate) fn failure(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let unavailable = self.code == ErrorCode::Unavailable;
        self.source
            .as_deref()
            .filter(|_| unavailable)
            .map(|source| source as &(dyn std::error::Error + 'static))
    }

    /// Drops the cause, which was already logged.
    #[must_use]
    pub(crate) fn reported(mut self) -> Self {
        self.source = None;
        self
    }

    pub(crate) fn no_such_channel() -> Self {
        Self::new(ErrorCode::NoSuchChannel, "there is no such channel")
    }

    pub(crate) fn no_such_user() -> Self {
        Self::new(ErrorCode::NoSuchUser, "there is no such person")
    }

    pub(crate) fn signed_out() -> Self {
        Self::new(ErrorCode::NotAllowed, "you were signed out meanwhile: sign in again")
    }

    pub(crate) fn erased() -> Self {
        Self::new(ErrorCode::NoSuchUser, "this person was erased")
    }

    pub(crate) fn archived() -> Self {
        Self::new(ErrorCode::Archived, "the channel is archived: it can only be read")
    }

    pub(crate) fn last_owner() -> Self {
        Self::new(ErrorCode::LastOwner, "a channel needs an owner: make somebody else an owner first")
    }

    /// The store has nothing to change: what is asked for is so already.
    pub(crate) fn unchanged() -> Self {
        Self { changes_nothing: true, ..Self::new(ErrorCode::BadFrame, "that would change nothing") }
    }

    /// Returns whether what was asked for is so already.
    pub(crate) fn changes_nothing(&self) -> bool {
        self.changes_nothing
    }

    pub(crate) fn not_a_member() -> Self {
        Self::new(ErrorCode::NotAMember, "this person is not a member of the channel")
    }

    pub(crate) fn too_many_members(most: usize) -> Self {
        Self::new(ErrorCode::TooManyMembers, format!("a channel can have at most {most} members"))
    }

    pub(crate) fn no_such_message() -> Self {
        Self::new(ErrorCode::NoSuchMessage, "there is no such message")
    }

    pub(crate) fn no_such_attachment() -> Self {
        Self::new(ErrorCode::NoSuchAttachment, "there is no such attachment")
    }

    pub(crate) fn overloaded() -> Self {
        Self::new(ErrorCode::Unavailable, "the server is busy; try again")
            .with_retry_after(Duration::from_millis(500))
    }

    pub(crate) fn draining() -> Self {
        Self::new(ErrorCode::Draining, "the server is shutting down; connect again")
            .with_retry_after(Duration::from_secs(1))
    }

    /// Returns the code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// Returns when to try again, if that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry
    }

    /// Returns the channel that has the name, for `name_taken`.
    #[must_use]
    pub fn channel(&self) -> Option<&ChannelName> {
        self.channel.as_ref()
    }
}

impl From<InvalidChannelName> for Error {
    fn from(error: InvalidChannelName) -> Self {
        Self::new(ErrorCode::BadName, error.to_string())
    }
}

impl From<Denied> for Error {
    fn from(error: Denied) -> Self {
        Self::new(ErrorCode::NotAllowed, error.to_string())
    }
}
