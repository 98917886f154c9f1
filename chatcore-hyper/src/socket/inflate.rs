//! Inflates the messages of a client: permessage-deflate (RFC 7692), without context takeover.

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

/// A message may have this many bytes whatever its compressed size: all that a text of one repeated character needs.
const FREE: usize = 32 << 10;

/// The bytes that a compressed byte may stand for beyond [`FREE`].
const RATIO: usize = 200;

/// A message may have this many blocks whatever they hold. Each has tables to build, also one without data.
const BLOCKS: usize = 64;

/// The bytes that a block beyond [`BLOCKS`] holds on average at least. zlib's smallest hold 127.
const BLOCK_BYTES: usize = 64;

/// A message may have this many compressed bytes whatever they stand for, and twice as many as those beyond that: a
/// user's pace counts what they stand for.
const OVERHEAD: usize = 1_024;

/// The end of a flush, which a message is sent without.
const TAIL: &[u8] = &[0, 0, 0xff, 0xff];

/// The bytes of the output buffer at first.
const FIRST: usize = 1_024;

const FLAGS: u32 = TINFL_FLAG_HAS_MORE_INPUT
    | TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY
    // The output is the window, so a message needs no other memory.
    | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;

/// Why a message can't be inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InflateError {
    /// It has more bytes or blocks than allowed, or far more compressed bytes than it needs.
    TooLarge,
    /// It is not compressed data, or only the beginning of some.
    Invalid,
}

/// Inflates a message of at most `most` bytes. It never has memory for more than one byte beyond that.
pub(crate) fn inflate(message: &[u8], most: usize) -> Result<Vec<u8>, InflateError> {
    let mut inflating = Inflating {
        state: DecompressorOxide::new(),
        out: Vec::new(),
        len: 0,
        most: most.min(FREE.saturating_add(message.len().saturating_mul(RATIO))),
        blocks: 0,
    };
    inflating.take(message)?;
    inflating.take(TAIL)?;
    if !inflating.is_between_blocks() {
        return Err(InflateError::Invalid);
    }
    if message.len() > OVERHEAD + 2 * inflating.len {
        return Err(InflateError::TooLarge);
    }
    inflating.out.truncate(inflating.len);
    Ok(inflating.out)
}

/// A message that is being inflated.
struct Inflating {
    state: DecompressorOxide,
    out: Vec<u8>,
    len: usize,
    most: usize,
    blocks: usize,
}

impl Inflating {
    /// Inflates all of the input.
    fn take(&mut self, mut input: &[u8]) -> Result<(), InflateError> {
        loop {
            let (status, read, written) = decompress(&mut self.state, input, &mut self.out, self.len, FLAGS);
            input = &input[read..];
            self.len += written;
            if self.len > self.most {
                return Err(InflateError::TooLarge);
            }
            match status {
                TINFLStatus::NeedsMoreInput => return Ok(()),
                TINFLStatus::HasMoreOutput => {
                    // One byte beyond the limit shows that there is one.
                    let larger = (2 * self.out.len()).max(FIRST).min(self.most + 1);
                    self.out.resize(larger, 0);
                }
                TINFLStatus::BlockBoundary | TINFLStatus::Done => {
                    self.blocks += 1;
                    if self.blocks > BLOCKS + self.len / BLOCK_BYTES {
                        return Err(InflateError::TooLarge);
                    }
                    if status == TINFLStatus::Done {
                        // A message may go on after a last block.
                        self.state.init();
                    }
                    if input.is_empty() {
                        return Ok(());
                    }
                }
                _ => return Err(InflateError::Invalid),
            }
        }
    }

    /// Returns whether everything so far is whole blocks, up to the last bit.
    fn is_between_blocks(&self) -> bool {
        self.state.block_boundary_state().is_some_and(|state| state.num_bits == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::deflate::deflate;

    #[test]
    fn the_examples_of_the_rfc_are_inflated() {
        for message in [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
            // Without compression, with a last block, and in two blocks.
            &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
            &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
        ] {
            assert_eq!(inflate(message, 5).unwrap(), b"Hello", "{message:x?}");
            assert_eq!(inflate(message, 4), Err(InflateError::TooLarge), "{message:x?}");
        }
    }

    #[test]
    fn an_empty_message_is_one_zero_byte() {
        assert_eq!(inflate(&[0], 0).unwrap(), b"");
        assert_eq!(inflate(&deflate(b"", true), 0).unwrap(), b"");
    }

    #[test]
    fn a_message_may_have_exactly_the_most_bytes() {
        for most in [1, FIRST - 1, FIRST, FIRST + 1, 2 * FIRST, FREE] {
            let message = deflate(&vec![b'x'; most], true);
            assert_eq!(inflate(&message, most).map(|bytes| bytes.len()), Ok(most));
            assert_eq!(inflate(&message, most - 1), Err(InflateError::TooLarge));
        }
    }

    #[test]
    fn a_bomb_ends_at_the_limit_of_its_ratio() {
        let bomb = deflate(&vec![0; 4 << 20], true);
        let most = FREE + RATIO * bomb.len();
        assert!(most < 2 << 20, "{most}");
        assert_eq!(inflate(&bomb, usize::MAX), Err(InflateError::TooLarge));
    }

    /// Returns a message of `len` zeros in `bytes` bytes, filled up with empty blocks; `None` if they don't fit.
    fn padded(len: usize, bytes: usize) -> Option<Vec<u8>> {
        let mut message = deflate(&vec![0; len], false);
        let blocks = bytes.checked_sub(message.len() + 1)?;
        message.extend([0, 0, 0, 0xff, 0xff].repeat(blocks / 5));
        message.push(0);
        (message.len() == bytes).then_some(message)
    }

    #[test]
    fn a_message_may_have_exactly_the_bytes_of_its_ratio() {
        let most = |bytes| FREE + RATIO * bytes;
        let fitting = (200..).find(|&bytes| padded(most(bytes), bytes).is_some()).unwrap();
        let inflated = |len| inflate(&padded(len, fitting).unwrap(), usize::MAX).map(|bytes| bytes.len());
        assert_eq!(inflated(most(fitting)), Ok(most(fitting)));
        assert_eq!(inflated(most(fitting) + 1), Err(InflateError::TooLarge));
    }

    #[test]
    fn a_truncated_message_is_invalid() {
        let text: Vec<u8> = (0..2_000_u32).flat_map(|n| n.to_string().into_bytes()).collect();
        let message = deflate(&text, true);
        for len in 1..message.len() {
            assert_eq!(inflate(&message[..len], 1 << 20), Err(InflateError::Invalid), "{len}");
        }
    }

    #[test]
    fn what_is_not_compressed_is_invalid() {
        for message in [&b"Hello"[..], &[0xff; 20], &[0x06], &[0x00, 0x05, 0x00, 0x00, 0x00]] {
            assert_eq!(inflate(message, 1 << 20), Err(InflateError::Invalid), "{message:x?}");
        }
    }

    #[test]
    fn a_message_goes_on_after_a_last_block() {
        let hello = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        assert_eq!(inflate(&[&hello[..], &hello, &[0]].concat(), 10).unwrap(), b"HelloHello");
    }

    #[test]
    fn a_message_of_too_many_blocks_is_refused() {
        let empty = |count: usize| [[0, 0, 0, 0xff, 0xff].repeat(count - 1), vec![0]].concat();
        assert_eq!(inflate(&empty(BLOCKS), 1).unwrap(), b"");
        assert_eq!(inflate(&empty(BLOCKS + 1), 1), Err(InflateError::TooLarge));
        let held = |count: usize| {
            let stored = [&[0, 64, 0, !64, 0xff][..], &[b'x'; BLOCK_BYTES]].concat();
            [stored.repeat(count), empty(BLOCKS)].concat()
        };
        assert_eq!(inflate(&held(500), 1 << 16).map(|bytes| bytes.len()), Ok(500 * BLOCK_BYTES));
        let more = [vec![0, 0, 0, 0xff, 0xff], held(500)].concat();
        assert_eq!(inflate(&more, 1 << 16), Err(InflateError::TooLarge));
        // Empty last blocks, and empty blocks with the fixed tables.
        assert_eq!(inflate(&[3, 0].repeat(30_000), 1), Err(InflateError::TooLarge));
        assert_eq!(inflate(&[0x02, 0x08, 0x20, 0x80, 0x00].repeat(10_000), 1), Err(InflateError::TooLarge));
    }

    /// Returns empty blocks with tables of their own: 41¼ bytes each, of which the last is filled up with zeros.
    fn tables(count: usize) -> Vec<u8> {
        let mut bits = Vec::new();
        let mut put = |value: usize, len: usize| bits.extend((0..len).map(|at| value >> at & 1 == 1));
        for _ in 0..count {
            put(0b100, 3);
            put(14 << 10, 14);
            // The lengths 0 and 1 have codes of one bit, in the order of RFC 1951.
            (0..18).for_each(|at| put(usize::from(at == 3 || at == 17), 3));
            // Only the end of the block has a code, and one distance.
            (0..256).for_each(|_| put(0, 1));
            put(0b011, 3);
        }
        bits.chunks(8).map(|byte| byte.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit))).collect()
    }

    #[test]
    fn far_more_compressed_bytes_than_needed_are_refused() {
        let stored = [0, 0, 0, 0xff, 0xff];
        let fixed_and_stored = [0x02, 0, 0, 0, 0xff, 0xff];
        let padded = |fives: usize, sixes: usize| {
            [tables(24), stored.repeat(fives), fixed_and_stored.repeat(sixes), vec![0]].concat()
        };
        assert_eq!((padded(3, 3).len(), inflate(&padded(3, 3), 1)), (OVERHEAD, Ok(Vec::new())));
        assert_eq!(inflate(&padded(2, 4), 1), Err(InflateError::TooLarge));
    }
}
