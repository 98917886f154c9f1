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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use crate::socket::deflate::deflate;
    use crate::socket::reader::{Reader, Received};

    /// Returns what a reader finds first in the bytes that came with the handshake and those after it.
    async fn read(leftover: &[u8], mut rest: &[u8], inflates: bool) -> Received {
        let mut reader = Reader::new(leftover, 2_000, inflates);
        poll_fn(|cx| reader.poll_next(&mut rest, cx)).await
    }

    /// Whether a frame comes in one piece or in two is all the same: in two, the parser reads it.
    #[tokio::test]
    async fn a_frame_in_one_piece_reads_as_in_two() {
        let text = |len: usize| "an ü and 🙂 ".repeat(1 + len / 8).bytes().take(len).collect::<Vec<u8>>();
        let lens = [0, 1, 7, 8, 9, 11, 124, 125, 126, 127, 300, 2_000, 2_001, 3_000];
        let payloads = lens.into_iter().flat_map(|len| [text(len), deflate(&text(len), true)]);
        let first = |bits: u8| [0, 1, 2, 8, 9, 10].map(|opcode| bits << 4 | opcode);
        let mut texts = [0, 0];
        for payload in payloads {
            for first in (0x0..0x10).flat_map(first) {
                let mask = [0x5a, payload.len() as u8, 0xff, first];
                let masked: Vec<u8> =
                    payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
                let short = [0x80 | payload.len().min(125) as u8];
                let [long, longer] =
                    [&(payload.len() as u16).to_be_bytes()[..], &(payload.len() as u64).to_be_bytes()];
                for len in [&short[..], &[&[0xfe], long].concat(), &[&[0xff], longer].concat()] {
                    for more in [&[][..], b"\x81\x84\0\0\0\0more"] {
                        let bytes = [&[first], len, &mask, &masked, more].concat();
                        for inflates in [false, true] {
                            let whole = read(&[], &bytes, inflates).await;
                            let parts = read(&bytes[..1], &bytes[1..], inflates).await;
                            assert_eq!(
                                format!("{whole:?}"),
                                format!("{parts:?}"),
                                "{:x?}",
                                &bytes[..bytes.len().min(20)]
                            );
                            texts[usize::from(inflates)] += usize::from(matches!(whole, Received::Text(_)));
                        }
                    }
                }
            }
        }
        assert!(texts[0] > 20 && texts[1] > texts[0], "{texts:?}");
    }
}
