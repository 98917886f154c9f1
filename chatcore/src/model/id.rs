//! Identifiers: of users, channels, attachments, and of places in a channel's log.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::check::Check;

/// A place in a channel's log. The first event of a channel has `seq` 1, and there are no gaps.
pub type Seq = u64;

/// The store's own key of a channel. It never leaves the server: on the wire a channel is its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChannelId(pub u64);

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An identifier that is not one: empty, too long, or with a character that is not allowed.
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
            /// Checks `text` and takes it as it stands.
            ///
            /// # Errors
            /// [`InvalidId`] names the length and the characters that are allowed.
            pub fn new(text: impl Into<Arc<str>>) -> Result<Self, InvalidId> {
                let text = text.into();
                let (count, accept): (fn(&str) -> usize, fn(char) -> bool) = ($count, $accept);
                if text.is_empty() || count(&text) > $max || !text.chars().all(accept) {
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
    /// Who somebody is, for as long as the service lives: what the `Authenticator` of the embedding app
    /// says. 1 to 64 visible ASCII characters, `u_…` by custom.
    UserId, "user id", 64, "visible ASCII characters", str::len, |c| c.is_ascii_graphic()
);
text_id!(
    /// One of a user's sign-ins, as the embedding app tells them apart: to end one and leave the others. It stays in
    /// the server. 1 to 64 visible ASCII characters; use a hash of a secret rather than the secret.
    SessionId, "session id", 64, "visible ASCII characters", str::len, |c| c.is_ascii_graphic()
);
text_id!(
    /// One uploaded file. 1 to 64 of ASCII letters, digits, `_` and `-`, so that it is safe in a path.
    AttachmentId, "attachment id", 64, "ASCII letters, digits, _ and -", str::len,
    |c| c.is_ascii_alphanumeric() || c == '_' || c == '-'
);
text_id!(
    /// The author's own key of a publish, which makes it idempotent. 1 to 64 characters, none a control.
    Nonce, "nonce", 64, "characters, none of them a control character", |s| s.chars().count(),
    |c| !c.is_control()
);
text_id!(
    /// The life of a channel's log: a new one is made whenever the log was lost or rebuilt. Opaque.
    Epoch, "epoch", 64, "visible ASCII characters", str::len, |c| c.is_ascii_graphic()
);

impl AttachmentId {
    /// Makes a new identifier from 128 random bits.
    #[must_use]
    pub fn random() -> Self {
        Self(format!("a_{}", random_hex()).into())
    }
}

impl Epoch {
    /// Makes a new epoch from 128 random bits.
    #[must_use]
    pub fn random() -> Self {
        Self(random_hex().into())
    }
}

impl Nonce {
    /// Makes a new nonce from 128 random bits.
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

/// How far a reader is in a channel's log: it has every event up to and with `seq`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The log's life. A position of another epoch says nothing about this log.
    pub epoch: Epoch,
    /// The last event that was seen; 0 for none.
    pub seq: Seq,
    /// The check of that event. Without it a log that was restored from a backup is not told from what it was before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Check>,
}

impl Position {
    /// Makes a position that has no check.
    #[must_use]
    pub fn new(epoch: Epoch, seq: Seq) -> Self {
        Self { epoch, seq, check: None }
    }

    /// Adds the check of the last event that was seen.
    #[must_use]
    pub fn with_check(self, check: Option<Check>) -> Self {
        Self { check, ..self }
    }

    /// Returns whether the check, if there is one, is that of the event at `seq`: `found` is the event's check, `None`
    /// if the log does not hold it any more.
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
    fn random_ids_differ() {
        assert_ne!(AttachmentId::random(), AttachmentId::random());
        assert_eq!(Epoch::random().as_str().len(), 32);
    }
}
