//! Messages and users as parts of answers, encoded once.

use bytes::Bytes;

use super::encoded::Encoded;
use super::form::{Form, Reader, Variant};
use super::json::{write_array, write_json};
use crate::model::message::User;

/// A JSON array of messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MessageList(Bytes);

impl MessageList {
    /// Encodes messages for one reader.
    pub(crate) fn for_reader<'a>(
        messages: impl Iterator<Item = &'a Encoded> + Clone,
        reader: Reader<'_>,
    ) -> Self {
        Self::new(messages, |message| message.variant(reader))
    }

    /// Encodes messages for all readers of a form who have written none of them.
    pub(crate) fn for_others<'a>(messages: impl Iterator<Item = &'a Encoded> + Clone, form: Form) -> Self {
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
        messages: impl Iterator<Item = &'a Encoded> + Clone,
        variant: impl Fn(&Encoded) -> Variant,
    ) -> Self {
        let len = messages.clone().map(|message| message.message_len_as(variant(message))).sum::<usize>();
        if len == 0 {
            return Self::empty();
        }
        let mut out = Vec::with_capacity(len + 2);
        write_array(&mut out, messages, |out, message| message.write_message(variant(message), out));
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
