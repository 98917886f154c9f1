//! The app's review of a message: what it answers.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::model::error::{Error, ErrorCode};
use crate::model::visible;

/// Why the app's [review](crate::Policy::review) refuses a message: `refused` on the wire, with the reason for its
/// author.
///
/// ```
/// use chatcore::Refused;
///
/// assert_eq!(Refused::new("Please\nbe kind.").reason(), "Please be kind.");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    reason: String,
}

impl Refused {
    /// The most characters of a reason.
    pub const MAX_CHARS: usize = 300;

    /// Returns a refusal with a reason, as one line: white space and control characters become single spaces, and
    /// characters that change the direction of text are removed. A longer reason than
    /// [`MAX_CHARS`](Self::MAX_CHARS) is cut. A reason without visible text becomes "the message was refused".
    #[must_use]
    pub fn new(reason: impl AsRef<str>) -> Self {
        // Folding can shorten a text only so much. This bounds the work on a long text.
        let start: String = reason.as_ref().chars().take(16 * Self::MAX_CHARS).collect();
        let mut reason = visible::one_line(&start);
        if reason.is_empty() {
            reason.push_str("the message was refused");
        }
        if let Some((cut, _)) = reason.char_indices().nth(Self::MAX_CHARS) {
            reason.truncate(cut);
        }
        Self { reason }
    }

    /// Returns the reason.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        Self::new(ErrorCode::Refused, refused.reason)
    }
}

/// The review of a policy that has none. A box of it takes no memory, which tells it from every other.
pub(super) struct NoReview;

impl Future for NoReview {
    type Output = Result<(), Refused>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_bounded_line() {
        let reason = |text: &str| Refused::new(text).reason().to_owned();
        assert_eq!(reason(" no\u{0}\u{1b}[31m\r\n\u{202e}links "), "no [31m links");
        assert_eq!(reason("\u{200b} \n"), "the message was refused");
        let most = "é".repeat(Refused::MAX_CHARS);
        assert_eq!(reason(&most), most);
        assert_eq!(reason(&format!("{most}é")), most);
        assert_eq!(reason(&" ".repeat(1 << 20)), "the message was refused");
    }
}
