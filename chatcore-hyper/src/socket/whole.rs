//! Reads a client's frame that is a whole text message, as almost all frames are.

/// The first byte of a text frame that is the last of its message, and is not compressed.
const WHOLE_TEXT: u8 = 0x81;

/// The bit of a frame with a mask.
const MASKED: u8 = 0x80;

/// Returns the text if `bytes` are one frame and nothing else, and the frame is a whole text message of at most `most`
/// bytes. Anything else, also what breaks the protocol, is for the parser, whose state takes more to set up than such a
/// frame takes to read.
pub(super) fn whole_text(bytes: &[u8], most: usize) -> Option<String> {
    let (len, masked) = match bytes {
        [WHOLE_TEXT, len, masked @ ..] if (MASKED..MASKED + 126).contains(len) => {
            (usize::from(len - MASKED), masked)
        }
        [WHOLE_TEXT, 0xfe, high, low, masked @ ..] => match usize::from(u16::from_be_bytes([*high, *low])) {
            0..126 => return None,
            len => (len, masked),
        },
        _ => return None,
    };
    let (mask, payload) = masked.split_first_chunk::<4>()?;
    if payload.len() != len || len > most {
        return None;
    }
    let mut text = payload.to_vec();
    unmask(&mut text, *mask);
    String::from_utf8(text).ok()
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
