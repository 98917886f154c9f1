//! The forms in which messages are written, and which of them a connection reads.

use super::{LEAN_SUBPROTOCOL, SUBPROTOCOL};
use crate::model::id::UserId;

/// How the messages in a connection's frames are written. Everything else is the same in both forms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// With all fields, of the subprotocol [`SUBPROTOCOL`].
    #[default]
    Full,
    /// Without the fields that are at their default, and with `nonce` only in messages of the connection's own user, of
    /// the subprotocol [`LEAN_SUBPROTOCOL`].
    Lean,
}

impl Form {
    /// Returns the name of the form's WebSocket subprotocol.
    #[must_use]
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::Full => SUBPROTOCOL,
            Self::Lean => LEAN_SUBPROTOCOL,
        }
    }
}

/// Who reads a frame, and in which form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    pub(crate) form: Form,
    pub(crate) user: &'a UserId,
    /// The mark of `user`.
    pub(crate) mark: Mark,
}

#[cfg(test)]
impl<'a> Reader<'a> {
    pub(crate) fn new(form: Form, user: &'a UserId) -> Self {
        Self { form, user, mark: Mark::of(user) }
    }
}

/// How one message is written for one reader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Variant {
    #[default]
    Full,
    Lean,
    /// Lean, with the nonce: the reader is its author.
    Own,
}

/// One of 64 marks, by which most users differ. It is cheap to compare one user with many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark(u8);

impl Mark {
    pub(crate) fn of(user: &UserId) -> Self {
        let id = user.as_str().as_bytes();
        let mut end = [0; 8];
        let taken = id.len().min(end.len());
        end[..taken].copy_from_slice(&id[id.len() - taken..]);
        // Fibonacci hashing (Knuth, The Art of Computer Programming, volume 3, section 6.4) spreads similar ids.
        Self((u64::from_le_bytes(end).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 58) as u8)
    }
}

/// The marks of several users.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Marks(u64);

impl Marks {
    pub(crate) fn add(&mut self, mark: Mark) {
        self.0 |= 1 << mark.0;
    }

    /// Returns whether a user with this mark may be among them.
    #[inline]
    pub(crate) fn may_have(self, mark: Mark) -> bool {
        self.0 & (1 << mark.0) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_ids_have_many_marks_and_short_ones_have_one() {
        let mark = |id: String| Mark::of(&UserId::new(id).unwrap());
        let mut marks = Marks::default();
        (0..32).for_each(|n| marks.add(mark(format!("u_{n:04}"))));
        assert!((16..=32).contains(&marks.0.count_ones()), "{marks:?}");
        assert!((0..32).all(|n| marks.may_have(mark(format!("u_{n:04}")))));
        assert_eq!(mark("x".to_owned()), mark("x".to_owned()));
    }
}
