//! Writes JSON piece by piece.

use std::io;

use bytes::Bytes;
use serde::Serialize;

#[inline]
pub(super) fn write_name(out: &mut Vec<u8>, name: &str) {
    for part in [r#",""#, name, r#"":"#] {
        out.extend_from_slice(part.as_bytes());
    }
}

#[inline]
pub(super) fn write_field(out: &mut Vec<u8>, name: &str, value: &(impl Serialize + ?Sized)) {
    write_name(out, name);
    write_json(out, value);
}

#[inline]
pub(super) fn write_list(out: &mut Vec<u8>, name: &str, list: &[u8]) {
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
