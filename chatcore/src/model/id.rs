//! Identifiers of users, channels and attachments, and positions in a channel's log.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::check::Check;

/// A position in a channel's log. The first event of a channel has `seq` 1, and there are no gaps.
pub type Seq = u64;

/// A store's own key for a channel. It stays on the server; on the wire a channel is its name. Exhaustive on purpose:
/// it is a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChannelId(pub u64);

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An invalid identifier: it is empty, too long, or has a character that is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid {what}: it must have 1 to {max} {allowed}")]
pub struct InvalidId {
    what: &'static str,
    max: usize,
    allowed: &'static str,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $allowed:literal, $count:expr, $accept:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "Arc<str>", into = "Arc<str>")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `text` and returns it as an identifier, unchanged.
            ///
            /// # Errors
            /// [`InvalidId`] if it is empty, too long, or has a character that is not allowed.
            pub fn new(text: impl Into<Arc<str>>) -> Result<Self, InvalidId> {
                let text = text.into();
                let (count, accept): (fn(&str) -> usize, fn(char) -> bool) = ($count, $accept);
                // Most are ASCII, which needs no decoding.
                let fits = match text.is_ascii() {
                    true => {
                        text.len() <= $max && text.bytes().fold(true, |all, byte| all & accept(byte.into()))
                    }
                    false => count(&text) <= $max && text.chars().all(accept),
                };
                if text.is_empty() || !fits {
                    return Err(InvalidId { what: $what, max: $max, allowed: $allowed });
                }
                Ok(Self(text))
            }

            /// Returns the identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl TryFrom<Arc<str>> for $name {
            type Error = InvalidId;
            fn try_from(text: Arc<str>) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl From<$name> for Arc<str> {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), &*self.0)
            }
        }
    };
}

text_id!(
    /// The lasting identity of a user, as the app's `Authenticator` returns it. 1 to 64 visible ASCII characters,
    /// `u_…` by convention.
    UserId, "user id", 64, "visible ASCII characters", str::len, |c| c.is_ascii_graphic()
);
text_id!(
    /// One of a user's sign-ins, as the app tells them apart, so that one can be ended alone. It stays on the
    /// server. 1 to 64 visible ASCII characters. Use a hash of a secret, not the secret itself.
    SessionId, "session id", 64, "visible ASCII characters", str::len, |c| c.is_ascii_graphic()
);
text_id!(
    /// An uploaded file. 1 to 64 ASCII letters, digits, `_` and `-`, so that it is safe in a path.
    AttachmentId, "attachment id", 64, "ASCII letters, digits, _ and -", str::len,
    |c| c.is_ascii_alphanumeric() || c == '_' || c == '-'
);
text_id!(
    /// The author's own key for a publish, which makes it idempotent. 1 to 64 characters, no control characters.
    Nonce, "nonce", 64, "characters, none of them a control character", |s| s.chars().count(),
    |c| !c.is_control()
);
text_id!(
    /// The lasting name of a durable consumer. 1 to 64 ASCII letters, digits, `.`, `_` and `-`.
    ConsumerName, "name of a consumer", 64, "ASCII letters, digits, ., _ and -", str::len,
    |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
);
text_id!(
    /// The generation of a channel's log. It changes when the log was lost or rebuilt. Opaque.
    Epoch, "epoch", 64, "visible ASCII characters", str::len, |c| c.is_ascii_graphic()
);

impl AttachmentId {
    /// Returns a new identifier from 128 random bits.
    #[must_use]
    pub fn random() -> Self {
        Self(format!("a_{}", random_hex()).into())
    }
}

impl Epoch {
    /// Returns a new epoch from 128 random bits.
    #[must_use]
    pub fn random() -> Self {
        Self(random_hex().into())
    }
}

impl Nonce {
    /// Returns the nonce of a message that was read without one.
    pub(crate) fn left_out() -> Self {
        Self(Arc::default())
    }

    /// Returns whether the server has left it out: that of somebody else's message in its
    /// [lean form](crate::protocol::Form::Lean). It is empty then, as no other nonce is.
    #[must_use]
    pub fn is_left_out(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns a new nonce from 128 random bits.
    #[must_use]
    pub fn random() -> Self {
        Self(random_hex().into())
    }
}

fn random_hex() -> String {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).expect("invariant: the system has a source of randomness");
    format!("{:032x}", u128::from_le_bytes(bytes))
}

/// How far a reader has read a channel's log: it has every event up to and including `seq`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Position {
    /// The epoch of the log. A position of another epoch is not valid in this log.
    pub epoch: Epoch,
    /// The last event that was seen, or 0 for none.
    pub seq: Seq,
    /// The check of that event. Without it, a log restored from a backup can't be told from the log before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Check>,
}

impl Position {
    /// Returns a position without a check.
    #[must_use]
    pub fn new(epoch: Epoch, seq: Seq) -> Self {
        Self { epoch, seq, check: None }
    }

    /// Adds the check of the last event that was seen.
    #[must_use]
    pub fn with_check(self, check: Option<Check>) -> Self {
        Self { check, ..self }
    }

    /// Returns whether the position's check, if it has one, is `found`: the check of the event at `seq`, or `None`
    /// if the log no longer has the event.
    #[must_use]
    pub fn fits(&self, found: Option<Check>) -> bool {
        self.check.is_none_or(|check| found == Some(check))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_refuse_what_is_empty_too_long_or_foreign() {
        assert!(UserId::new("u_1").is_ok());
        assert!(UserId::new("").is_err());
        assert!(UserId::new("a b").is_err());
        assert!(UserId::new("x".repeat(64)).is_ok());
        assert!(UserId::new("x".repeat(65)).is_err());
        assert!(AttachmentId::new("../etc").is_err());
        assert!(Nonce::new("é".repeat(64)).is_ok());
        assert!(Nonce::new("é".repeat(65)).is_err());
        assert!(Nonce::new("a\u{0}").is_err());
    }

    #[test]
    fn ids_are_parsed_as_they_are_shown() {
        let nonce = Nonce::random();
        assert_eq!(nonce.to_string().parse(), Ok(nonce));
        assert_eq!("u_1".parse(), UserId::new("u_1"));
        assert!("../etc".parse::<AttachmentId>().is_err());
    }

    #[test]
    fn random_ids_differ() {
        assert_ne!(AttachmentId::random(), AttachmentId::random());
        assert_eq!(Epoch::random().as_str().len(), 32);
    }
}
