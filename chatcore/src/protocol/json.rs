//! Writes JSON piece by piece.

use std::io;

use bytes::Bytes;
use serde::Serialize;

/// The name of a field after the first, with what is around it, so that it is copied in one piece.
macro_rules! name {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}
pub(super) use name;

/// Appends the [`name`] of a field.
#[inline]
pub(super) fn write_name(out: &mut Vec<u8>, name: &'static str) {
    out.extend_from_slice(name.as_bytes());
}

#[inline]
pub(super) fn write_field(out: &mut Vec<u8>, name: &'static str, value: &(impl Serialize + ?Sized)) {
    write_name(out, name);
    write_json(out, value);
}

/// Appends a field with a text. It is written as [`write_field`] writes it, but the parts of it that need no escaping,
/// which is all of most texts, are found eight bytes at a time.
#[inline]
pub(super) fn write_text_field(out: &mut Vec<u8>, name: &'static str, text: &str) {
    write_name(out, name);
    write_text(out, text);
}

#[inline]
pub(super) fn write_text(out: &mut Vec<u8>, text: &str) {
    if needs_escapes(text.as_bytes()) {
        return write_json(out, text);
    }
    out.reserve(text.len() + 2);
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Returns whether a text has a quotation mark, a backslash or a control character.
///
/// Each byte of `low` has its highest bit set if that of `eight` is below the bound, or if a lower one is: enough to know
/// whether there is one ("Determine if a word has a byte less than n", Sean Eron Anderson, Bit Twiddling Hacks).
pub(super) fn needs_escapes(text: &[u8]) -> bool {
    const ONES: u64 = u64::MAX / 255;
    let below = |eight: u64, bound: u64| eight.wrapping_sub(ONES * bound) & !eight & (ONES << 7);
    let found = |eight: [u8; 8]| {
        let eight = u64::from_le_bytes(eight);
        let quotes = below(eight ^ (ONES * u64::from(b'"')), 1);
        let backslashes = below(eight ^ (ONES * u64::from(b'\\')), 1);
        (below(eight, 0x20) | quotes | backslashes) != 0
    };
    let (eights, rest) = text.as_chunks();
    // The rest with what is before it, so that it has eight bytes too.
    let last = text.last_chunk().copied().unwrap_or_else(|| {
        let mut last = [b' '; 8];
        last[..rest.len()].copy_from_slice(rest);
        last
    });
    found(last) || eights.iter().any(|eight| found(*eight))
}

#[inline]
pub(super) fn write_list(out: &mut Vec<u8>, name: &'static str, list: &[u8]) {
    write_name(out, name);
    out.extend_from_slice(list);
}

/// Appends an object's fields to the object that is being written.
#[inline]
pub(super) fn write_fields(out: &mut Vec<u8>, object: &impl Serialize) {
    let start = out.len();
    write_json(out, object);
    out[start] = b',';
    out.pop();
}

#[inline]
pub(super) fn write_array<T>(
    out: &mut Vec<u8>,
    items: impl Iterator<Item = T>,
    write: impl Fn(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

/// Returns the number of bytes of an item in a list, with a comma.
pub(super) fn listed_len(item: &impl Serialize) -> usize {
    let mut counter = Counter::default();
    serde_json::to_writer(&mut counter, item)
        .expect("invariant: the protocol's types are JSON, and nothing is kept");
    counter.0 + 1
}

#[inline]
pub(super) fn write_json(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(out, value).expect("invariant: the protocol's types are JSON, and memory takes it");
}

#[inline]
pub(super) fn to_bytes(value: &impl Serialize) -> Bytes {
    let mut out = Vec::with_capacity(192);
    write_json(&mut out, value);
    out.into()
}

/// Counts the bytes that are written to it.
#[derive(Default)]
struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_written_as_serde_writes_it() {
        let plain = "a text of some length, with ümläuts, 🙂, \u{7f} and \u{80}";
        for character in (0..=0x80).filter_map(char::from_u32) {
            for at in (0..plain.len()).filter(|at| plain.is_char_boundary(*at)) {
                let mut text = plain.to_owned();
                text.insert(at, character);
                for text in [&text[..], &text[..at + character.len_utf8()]] {
                    let mut out = Vec::new();
                    write_text(&mut out, text);
                    assert_eq!(out, serde_json::to_vec(text).unwrap(), "{text:?}");
                }
            }
        }
    }
}
