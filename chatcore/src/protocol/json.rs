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
pub(super) fn needs_escapes(text: &[u8]) -> bool {
    // The last bytes are looked at together with those before them, so that there are enough.
    if let Some(last) = text.last_chunk() {
        return is_special(last) || text.as_chunks().0.iter().any(is_special);
    }
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        return specials(*first) | specials(*last) != 0;
    }
    match (text.first_chunk(), text.last_chunk()) {
        (Some([a, b, c, d]), Some([e, f, g, h])) => specials([*a, *b, *c, *d, *e, *f, *g, *h]) != 0,
        _ => !text.iter().all(is_plain),
    }
}

/// Returns the length of what comes before the first quotation mark, backslash or control character.
pub(super) fn plain_len(text: &[u8]) -> usize {
    let mut plain = 0;
    for sixteen in text.as_chunks().0 {
        if is_special(sixteen) {
            break;
        }
        plain += 16;
    }
    for eight in text[plain..].as_chunks().0 {
        let specials = specials(*eight);
        if specials != 0 {
            return plain + specials.trailing_zeros() as usize / 8;
        }
        plain += 8;
    }
    plain + text[plain..].iter().take_while(|byte| is_plain(byte)).count()
}

/// Returns whether a byte can be in a text as it is.
#[inline]
fn is_plain(byte: &u8) -> bool {
    *byte >= 0x20 && *byte != b'"' && *byte != b'\\'
}

/// Returns whether one of sixteen bytes can't be in a text as it is. Without a branch, so that the compiler compares all at
/// once.
#[inline]
fn is_special(sixteen: &[u8; 16]) -> bool {
    sixteen.iter().fold(false, |found, byte| found | (*byte < 0x20) | (*byte == b'"') | (*byte == b'\\'))
}

/// Returns a number in which the highest bit of each byte says whether that byte can't be in a text as it is. Above the
/// lowest of these bits, there may be others ("Determine if a word has a byte less than n", Sean Eron Anderson, Bit
/// Twiddling Hacks).
#[inline]
fn specials(eight: [u8; 8]) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    let below = |eight: u64, bound: u64| eight.wrapping_sub(ONES * bound) & !eight & (ONES << 7);
    let eight = u64::from_le_bytes(eight);
    let quotes = below(eight ^ (ONES * u64::from(b'"')), 1);
    let backslashes = below(eight ^ (ONES * u64::from(b'\\')), 1);
    below(eight, 0x20) | quotes | backslashes
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
                let end = at + character.len_utf8();
                let is_plain = |byte: &u8| *byte >= 0x20 && *byte != b'"' && *byte != b'\\';
                for text in [&text[..], &text[..end], &text[at..], &text[at..end]] {
                    let expected = text.as_bytes().iter().take_while(|byte| is_plain(byte)).count();
                    assert_eq!(plain_len(text.as_bytes()), expected, "{text:?}");
                    let mut out = Vec::new();
                    write_text(&mut out, text);
                    assert_eq!(out, serde_json::to_vec(text).unwrap(), "{text:?}");
                }
            }
        }
    }
}
