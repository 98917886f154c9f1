//! Messages and users as parts of answers, encoded once.

use bytes::Bytes;

use super::encoded::Encoded;
use super::form::{Form, Mark, Reader, Variant};
use super::json::{write_array, write_json};
use crate::model::id::UserId;
use crate::model::message::User;

/// A message's JSON object without its opening brace.
///
/// The frame of a `message` event ends in exactly these bytes, so a snapshot shares them with the frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fragment(Encoded);

impl Fragment {
    /// Takes an object without the opening brace.
    #[inline]
    pub(super) fn of(object: Encoded) -> Self {
        Self(object)
    }

    /// Returns the most bytes that it takes in a list: in the full form, with the opening brace and a comma.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len_as(Variant::Full)
    }

    /// Returns the number of its bytes in a list for this reader.
    #[inline]
    pub(crate) fn len_for(&self, reader: Reader<'_>) -> usize {
        self.len_as(self.0.variant(reader))
    }

    fn len_as(&self, variant: Variant) -> usize {
        self.0.len(variant) + 2
    }

    /// Returns the mark of its author.
    pub(crate) fn author_mark(&self) -> Option<Mark> {
        self.0.author_mark()
    }

    /// Returns whether it is a message of this user.
    pub(crate) fn is_by(&self, user: &UserId) -> bool {
        self.0.is_by(user)
    }

    /// Returns whether it has a text.
    pub(super) fn has(&self, text: &str) -> bool {
        self.0.has(text)
    }

    #[inline]
    pub(super) fn write(&self, variant: Variant, out: &mut Vec<u8>) {
        out.push(b'{');
        self.0.write(variant, out);
    }
}

/// A JSON array of messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MessageList(Bytes);

impl MessageList {
    /// Encodes messages for one reader.
    pub(crate) fn for_reader<'a>(
        messages: impl Iterator<Item = &'a Fragment> + Clone,
        reader: Reader<'_>,
    ) -> Self {
        Self::new(messages, |message| message.0.variant(reader))
    }

    /// Encodes messages for all readers of a form who have written none of them.
    pub(crate) fn for_others<'a>(messages: impl Iterator<Item = &'a Fragment> + Clone, form: Form) -> Self {
        let variant = match form {
            Form::Full => Variant::Full,
            Form::Lean => Variant::Lean,
        };
        Self::new(messages, |_| variant)
    }

    pub(crate) fn empty() -> Self {
        Self(Bytes::from_static(b"[]"))
    }

    fn new<'a>(
        messages: impl Iterator<Item = &'a Fragment> + Clone,
        variant: impl Fn(&Fragment) -> Variant,
    ) -> Self {
        let len = messages.clone().map(|message| message.len_as(variant(message))).sum::<usize>();
        if len == 0 {
            return Self::empty();
        }
        let mut out = Vec::with_capacity(len + 2);
        write_array(&mut out, messages, |out, message| message.write(variant(message), out));
        Self(out.into())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    #[inline]
    pub(crate) fn json(&self) -> &[u8] {
        &self.0
    }
}

/// A JSON array of users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserList(Bytes);

impl UserList {
    pub(crate) fn new<'a>(users: impl Iterator<Item = &'a User> + Clone) -> Self {
        let len = users.clone().map(|user| user.id.as_str().len() + user.name.len() + 24).sum();
        let mut out = Vec::with_capacity(len);
        write_array(&mut out, users, write_json);
        Self(out.into())
    }

    pub(super) fn json(&self) -> &[u8] {
        &self.0
    }
}
