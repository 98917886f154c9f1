//! The reader of WebSocket frames.

use chatcore_hyper::testkit::{ReadFrame, read_frames};

use super::outcome;

/// The longest message that the reader accepts.
const FRAME_BYTES: usize = 1_024;

/// The result does not depend on how the bytes are split, no message exceeds the limit, and nothing follows the
/// end. The first byte of the input says how the bytes are split.
pub(super) fn run(input: &[u8]) -> u64 {
    let Some((cut, bytes)) = input.split_first() else { return 0 };
    check(bytes, *cut, false)
}

/// Reads the bytes whole and in pieces, with compression or without.
pub(super) fn check(bytes: &[u8], cut: u8, inflates: bool) -> u64 {
    let whole = read_frames(bytes, usize::MAX, FRAME_BYTES, inflates);
    let in_pieces = read_frames(bytes, 1 + usize::from(cut), FRAME_BYTES, inflates);
    assert_eq!(whole, in_pieces, "cut in pieces of {}", 1 + usize::from(cut));
    let (last, before) = whole.split_last().expect("the end of the bytes");
    assert!(matches!(last, ReadFrame::End { .. }));
    for frame in before {
        match frame {
            ReadFrame::Text(text) => assert!(text.len() <= FRAME_BYTES),
            ReadFrame::Binary(bytes) => assert!(bytes.len() <= FRAME_BYTES),
            ReadFrame::Control { replies } => assert!(replies.len() <= 2 + 125),
            ReadFrame::End { .. } => panic!("something follows the end: {whole:?}"),
        }
    }
    outcome(whole.iter().map(ReadFrame::kind).collect::<Vec<_>>())
}
