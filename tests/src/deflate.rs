//! A client's side of permessage-deflate, RFC 7692.

use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec_with_limit;

/// What a browser offers.
pub const OFFER: &str = "permessage-deflate; client_max_window_bits";

/// What the server accepts.
pub const ACCEPTED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// Compresses a message: in a last block, and the header of an empty one.
#[must_use]
pub fn deflate(message: &[u8]) -> Vec<u8> {
    let mut deflated = compress_to_vec(message, 6);
    deflated.push(0);
    deflated
}

/// Returns a compressed message as it was before.
///
/// # Panics
/// If it is not compressed, or has more than 16 MiB.
#[must_use]
pub fn inflate(message: &[u8]) -> Vec<u8> {
    // The end that a message is sent without, and a last block, which no message of the server has.
    let whole = [message, &[0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff]].concat();
    decompress_to_vec_with_limit(&whole, 1 << 24).expect("a compressed message")
}
