//! Messages and users as parts of answers, encoded once.

use bytes::Bytes;

use super::json::{write_array, write_json};
use crate::model::message::User;

/// A message's JSON object without its opening brace.
///
/// The frame of a `message` event ends in exactly these bytes, so a snapshot shares them with the frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fragment(Bytes);

impl Fragment {
    /// Takes an object's bytes without the opening brace.
    #[inline]
    pub(super) fn of(object: Bytes) -> Self {
        Self(object)
    }

    /// Returns the number of its bytes in a list: with the opening brace and a comma.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.0.len() + 2
    }

    /// Returns whether it has a text.
    pub(super) fn has(&self, text: &str) -> bool {
        std::str::from_utf8(&self.0).is_ok_and(|json| json.contains(text))
    }

    #[inline]
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        out.extend_from_slice(&self.0);
    }
}

/// A JSON array of messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MessageList(Bytes);

impl MessageList {
    pub(crate) fn new<'a>(messages: impl Iterator<Item = &'a Fragment> + Clone) -> Self {
        let len = messages.clone().map(Fragment::len).sum::<usize>();
        if len == 0 {
            return Self(Bytes::from_static(b"[]"));
        }
        let mut out = Vec::with_capacity(len + 2);
        write_array(&mut out, messages, |out, message| message.write(out));
        Self(out.into())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    #[inline]
    pub(super) fn json(&self) -> &[u8] {
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
