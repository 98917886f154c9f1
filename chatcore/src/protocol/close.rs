//! Why a connection is closed. The code tells a client what to do next.

use std::fmt;

/// Why a connection is closed, as a WebSocket close code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// 1000: the client left.
    Left,
    /// 1001: the server is shutting down. Reconnect with jitter.
    GoingAway,
    /// 1002: the frame breaks the WebSocket protocol.
    ProtocolError,
    /// 1003: a binary frame. Do not repeat it.
    BinaryFrame,
    /// 1007: text that is not UTF-8. Do not repeat it.
    InvalidUtf8,
    /// 1009: a frame over the limit. Do not repeat it.
    FrameTooLarge,
    /// 4000: too many connections, or too many malformed frames. Reconnect with back-off.
    Overloaded,
    /// 4001: the client was too slow to read. Reconnect with back-off.
    TooSlow,
    /// 4002: the server accepts no new connections. Reconnect with back-off.
    Draining,
    /// 4003: the client must connect again, such as after a change of the user in the app. Reconnect with
    /// back-off.
    Reconnect,
    /// 4100: signed out. Do not reconnect.
    SignedOut,
    /// 4101: banned. Do not reconnect.
    Banned,
}

impl CloseReason {
    /// Every reason, in the order of their declaration.
    pub(crate) const ALL: [Self; Self::Banned as usize + 1] = [
        Self::Left,
        Self::GoingAway,
        Self::ProtocolError,
        Self::BinaryFrame,
        Self::InvalidUtf8,
        Self::FrameTooLarge,
        Self::Overloaded,
        Self::TooSlow,
        Self::Draining,
        Self::Reconnect,
        Self::SignedOut,
        Self::Banned,
    ];

    /// Returns the reason with this close code.
    pub(crate) fn of_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// Returns the close code.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::Left => 1000,
            Self::GoingAway => 1001,
            Self::ProtocolError => 1002,
            Self::BinaryFrame => 1003,
            Self::InvalidUtf8 => 1007,
            Self::FrameTooLarge => 1009,
            Self::Overloaded => 4000,
            Self::TooSlow => 4001,
            Self::Draining => 4002,
            Self::Reconnect => 4003,
            Self::SignedOut => 4100,
            Self::Banned => 4101,
        }
    }

    /// Returns whether the client must not come back by itself.
    pub(crate) fn is_final(self) -> bool {
        matches!(self, Self::SignedOut | Self::Banned)
    }

    /// Returns the reason as text for the close frame, under its 123 bytes.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::GoingAway => "the server is going away",
            Self::ProtocolError => "protocol error",
            Self::BinaryFrame => "text frames only",
            Self::InvalidUtf8 => "text must be UTF-8",
            Self::FrameTooLarge => "frame over the limit",
            Self::Overloaded => "overloaded",
            Self::TooSlow => "too slow",
            Self::Draining => "draining",
            Self::Reconnect => "connect again",
            Self::SignedOut => "signed out",
            Self::Banned => "banned",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text(), self.code())
    }
}

/// Why a participant can't connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// There are too many connections, in total or of this user.
    #[error("there are too many connections, in total or of this user")]
    Overloaded,
    /// The chat is shutting down.
    #[error("the chat is shutting down")]
    Draining,
    /// The user was disconnected after their authentication started, or erased.
    #[error("the user was disconnected after the authentication started, or erased: {0}")]
    Disconnected(CloseReason),
}

impl ConnectError {
    /// Returns how a transport closes the connection.
    #[must_use]
    pub fn close_reason(self) -> CloseReason {
        match self {
            Self::Overloaded => CloseReason::Overloaded,
            Self::Draining => CloseReason::Draining,
            Self::Disconnected(reason) => reason,
        }
    }
}
