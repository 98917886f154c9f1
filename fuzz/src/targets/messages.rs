//! The reader of compressed messages.

use chatcore_hyper::testkit::{ReadFrame, deflate, inflate, read_frames};

use super::{frames, outcome};

/// The limit of a message.
const MOST: usize = 1_024;

/// The first byte of the input says how frames are split, and what the rest is: frames, a compressed message, or a text to
/// compress. A message never exceeds its limit, and a higher limit changes nothing else. What the server compresses,
/// the reader inflates.
pub(super) fn run(input: &[u8]) -> u64 {
    let Some((cut, bytes)) = input.split_first() else { return 0 };
    match cut % 3 {
        0 => frames::check(bytes, *cut, true),
        1 => message(bytes),
        _ => text(bytes),
    }
}

fn message(bytes: &[u8]) -> u64 {
    let (few, many) = (inflate(bytes, MOST), inflate(bytes, 64 * MOST));
    if let Some(few) = &few {
        assert!(few.len() <= MOST, "{} bytes", few.len());
        assert_eq!(Some(few), many.as_ref());
    } else if let Some(many) = &many {
        assert!((MOST + 1..=64 * MOST).contains(&many.len()), "{} bytes", many.len());
    }
    outcome((few.map(|few| few.len() / 64), many.map(|many| many.len() / MOST)))
}

fn text(bytes: &[u8]) -> u64 {
    let deflated = deflate(bytes);
    assert_eq!(inflate(&deflated, bytes.len()).as_deref(), Some(bytes));
    if let Some(less) = bytes.len().checked_sub(1) {
        assert_eq!(inflate(&deflated, less), None, "one byte less");
    }
    // A client's text with a mask of zeros.
    let len = u64::try_from(deflated.len()).expect("a length");
    let header = [&[0xc1, 0xff][..], &len.to_be_bytes(), &[0; 4]].concat();
    let frames = read_frames(&[header, deflated].concat(), usize::MAX, bytes.len() + MOST, true);
    let Some(first) = frames.first() else { panic!("no frame") };
    match std::str::from_utf8(bytes) {
        Ok(text) => assert_eq!(first, &ReadFrame::Text(text.to_owned())),
        Err(_) => assert_eq!(first.kind(), 1007),
    }
    outcome(first.kind())
}
