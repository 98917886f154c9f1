//! What is encoded once and written in several forms.

use std::cell::RefCell;
use std::sync::Arc;

use bytes::Bytes;

use super::form::{Form, Mark, Reader, Variant};
use crate::model::id::UserId;

/// A message's JSON object without its opening brace, or the frame of an event of a log, in all its forms.
///
/// The frame of a `message` event ends in exactly the bytes of its message, so an answer takes the message from the frame.
/// It holds the lean form as it is written, and after that the field of the nonce. Any other form has something more
/// before the closing brace. So the forms share one buffer, and none of them is encoded a second time. Of an event that is
/// no message, all forms are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Encoded {
    bytes: Arc<[u8]>,
    /// The length of the lean form.
    lean: u32,
    /// Where the message's object begins.
    object: u32,
    /// Where the author's id begins. 0 if this is no message.
    author: u32,
    mark: Mark,
    left_out: LeftOut,
}

/// Which fields of a message are at their default, by their places in [`DEFAULTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LeftOut(u8);

/// The fields that only the full form has if they are at their default.
const DEFAULTS: [&str; 5] = [
    r#","reply_to":null"#,
    r#","attachments":[]"#,
    r#","edited_at":null"#,
    r#","deleted":false"#,
    r#","reactions":[]"#,
];

impl LeftOut {
    pub(super) fn new(defaults: [bool; DEFAULTS.len()]) -> Self {
        Self((0..DEFAULTS.len()).fold(0, |bits, at| bits | u8::from(defaults[at]) << at))
    }

    fn fields(self) -> impl Iterator<Item = &'static str> {
        DEFAULTS
            .into_iter()
            .enumerate()
            .filter(move |(at, _)| self.0 & (1 << at) != 0)
            .map(|(_, field)| field)
    }
}

thread_local! {
    /// The buffer in which messages are encoded. A finished one is copied into an allocation of its exact size.
    static DRAFT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A draft with room for more bytes is not kept for the next message.
const DRAFT_BYTES: usize = 4_096;

/// The lean form of a frame, shared by its readers.
struct Held {
    bytes: Arc<[u8]>,
    len: usize,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Encoded {
    /// Takes what is the same in all forms.
    pub(crate) fn same(bytes: &[u8]) -> Self {
        let bytes = Arc::<[u8]>::from(bytes);
        let lean = bytes.len() as u32;
        Self { bytes, lean, object: 0, author: 0, mark: Mark::default(), left_out: LeftOut(0) }
    }

    /// Encodes a message with `encode`, which gets an empty draft.
    pub(super) fn drafted(encode: impl FnOnce(&mut Vec<u8>) -> Self) -> Self {
        DRAFT.with_borrow_mut(|draft| {
            draft.clear();
            let encoded = encode(draft);
            if draft.capacity() > DRAFT_BYTES {
                *draft = Vec::new();
            }
            encoded
        })
    }

    /// Takes the lean form of `lean` bytes, which the nonce's field follows. The message's object begins at `object`, and
    /// its author's id at `author`.
    pub(super) fn message(
        bytes: &[u8],
        lean: usize,
        [object, author]: [usize; 2],
        mark: Mark,
        left_out: LeftOut,
    ) -> Self {
        let [lean, object, author] = [lean, object, author].map(|at| at as u32);
        Self { bytes: bytes.into(), lean, object, author, mark, left_out }
    }

    /// Returns the number of bytes that it holds.
    #[inline]
    pub(crate) fn held(&self) -> usize {
        self.bytes.len()
    }

    /// Returns whether it has a text.
    pub(super) fn has(&self, text: &str) -> bool {
        std::str::from_utf8(&self.bytes).is_ok_and(|json| json.contains(text))
    }

    /// Returns whether it is a message, or the frame of one.
    #[inline]
    pub(crate) fn is_message(&self) -> bool {
        self.author > 0
    }

    /// Returns the mark of a message's author.
    pub(crate) fn author_mark(&self) -> Option<Mark> {
        self.is_message().then_some(self.mark)
    }

    /// Returns whether it is a message of this user.
    pub(crate) fn is_by(&self, user: &UserId) -> bool {
        if !self.is_message() {
            return false;
        }
        // The id as JSON has a backslash before a quotation mark or another backslash, and ends with a quotation mark.
        let mut json = self.bytes[self.author as usize..].iter();
        let mut is_next = |byte| json.next() == Some(&byte);
        user.as_str().bytes().all(|byte| (!matches!(byte, b'"' | b'\\') || is_next(b'\\')) && is_next(byte))
            && is_next(b'"')
    }

    /// Returns how it is written for this reader.
    #[inline]
    pub(crate) fn variant(&self, reader: Reader<'_>) -> Variant {
        match reader.form {
            Form::Full => Variant::Full,
            Form::Lean if self.mark == reader.mark && self.is_by(reader.user) => Variant::Own,
            Form::Lean => Variant::Lean,
        }
    }

    /// Returns the length of a variant.
    #[inline]
    pub(crate) fn len(&self, variant: Variant) -> usize {
        match variant {
            Variant::Lean => self.lean as usize,
            Variant::Own => self.bytes.len(),
            Variant::Full => self.bytes.len() + self.left_out.fields().map(str::len).sum::<usize>(),
        }
    }

    /// Returns a variant. The lean one is not copied.
    #[inline]
    pub(crate) fn bytes(&self, variant: Variant) -> Bytes {
        if self.is_held(variant) {
            return Bytes::from_owner(Held { bytes: Arc::clone(&self.bytes), len: self.lean as usize });
        }
        self.copy(variant)
    }

    fn copy(&self, variant: Variant) -> Bytes {
        let mut out = Vec::with_capacity(self.len(variant));
        self.write(variant, &mut out);
        out.into()
    }

    /// Returns a variant, if it is held as it is written.
    #[inline]
    pub(crate) fn as_held(&self, variant: Variant) -> Option<&[u8]> {
        self.is_held(variant).then(|| &self.bytes[..self.lean as usize])
    }

    #[inline]
    fn is_held(&self, variant: Variant) -> bool {
        variant == Variant::Lean || !self.is_message()
    }

    /// Appends a variant.
    #[inline]
    pub(crate) fn write(&self, variant: Variant, out: &mut Vec<u8>) {
        self.write_from(0, variant, out);
    }

    /// Returns the most bytes that its message takes in a list: in the full form, with the opening brace and a comma.
    #[inline]
    pub(crate) fn message_len(&self) -> usize {
        self.message_len_as(Variant::Full)
    }

    /// Returns the number of bytes that its message takes in a list for this reader.
    #[inline]
    pub(crate) fn message_len_for(&self, reader: Reader<'_>) -> usize {
        self.message_len_as(self.variant(reader))
    }

    #[inline]
    pub(super) fn message_len_as(&self, variant: Variant) -> usize {
        self.len(variant) - self.object as usize + 2
    }

    /// Appends a variant of its message.
    #[inline]
    pub(super) fn write_message(&self, variant: Variant, out: &mut Vec<u8>) {
        out.push(b'{');
        self.write_from(self.object as usize, variant, out);
    }

    #[inline]
    fn write_from(&self, start: usize, variant: Variant, out: &mut Vec<u8>) {
        if let Some(held) = self.as_held(variant) {
            out.extend_from_slice(&held[start..]);
            return;
        }
        let (lean, nonce) = self.bytes.split_at(self.lean as usize);
        out.extend_from_slice(&lean[start..lean.len() - 1]);
        out.extend_from_slice(nonce);
        if variant == Variant::Full {
            self.left_out.fields().for_each(|field| out.extend_from_slice(field.as_bytes()));
        }
        out.push(b'}');
    }
}
