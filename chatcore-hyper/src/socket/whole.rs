//! Reads a client's frame that is a whole text message, as almost all frames are.

use crate::socket::boundary::Coding;
use crate::socket::frame::{COMPRESSED, LAST, Opcode};

/// The first byte of a text frame that is the last of its message.
const TEXT: u8 = LAST | Opcode::Text as u8;
const COMPRESSED_TEXT: u8 = TEXT | COMPRESSED;

/// The bit of a frame with a mask.
const MASKED: u8 = 0x80;

/// Returns the payload if `bytes` are one frame and nothing else, and the frame is a whole text message of at most `most`
/// bytes, which may be compressed if `inflates` says so. Anything else, also what breaks the protocol, is for the parser,
/// whose state takes more to set up than such a frame takes to read.
pub(super) fn whole_text(bytes: &[u8], most: usize, inflates: bool) -> Option<(Coding, Vec<u8>)> {
    let (first, rest) = bytes.split_first()?;
    let coding = match *first {
        TEXT => Coding::Plain,
        COMPRESSED_TEXT if inflates => Coding::Text,
        _ => return None,
    };
    let (len, masked) = match rest {
        [len, masked @ ..] if (MASKED..MASKED + 126).contains(len) => (usize::from(len - MASKED), masked),
        [0xfe, high, low, masked @ ..] => match usize::from(u16::from_be_bytes([*high, *low])) {
            0..126 => return None,
            len => (len, masked),
        },
        _ => return None,
    };
    let (mask, payload) = masked.split_first_chunk::<4>()?;
    if payload.len() != len || len > most {
        return None;
    }
    let mut payload = payload.to_vec();
    unmask(&mut payload, *mask);
    Some((coding, payload))
}

/// Applies a mask, eight bytes at a time.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let twice = u64::from_ne_bytes(std::array::from_fn(|at| mask[at % 4]));
    let (eights, rest) = payload.as_chunks_mut();
    for eight in eights {
        *eight = (u64::from_ne_bytes(*eight) ^ twice).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= mask;
    }
}
