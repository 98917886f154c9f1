//! Compresses messages: permessage-deflate (RFC 7692), without context takeover.
//!
//! A compressed message depends on nothing before it. So one compressed frame serves every recipient, and a
//! connection keeps no compressor.

use std::cell::RefCell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, TDEFLStatus, compress, create_comp_flags_from_zip_params,
};

/// The least bytes of an answer to compress: it has one recipient.
const LEAST_ANSWER: usize = 1_024;

/// The least bytes of any other frame to compress. Most have many recipients.
const LEAST_EVENT: usize = 512;

/// The most bytes to compress at once, so that no worker is busy with one frame for long.
pub(crate) const PIECE: usize = 48 << 10;

/// How hard to search for repetitions, of 10. Level 6 takes nearly twice as long and saves 2 %.
const LEVEL: i32 = 4;

/// Raw DEFLATE: no header and no checksum.
const WINDOW_BITS: i32 = -15;

/// What a flush ends with. A message is sent without it.
const TAIL: &[u8] = &[0, 0, 0xff, 0xff];

/// How many compressed events are kept for their next recipients.
const RECENT: usize = 32;

/// The most bytes of an event whose compressed bytes are kept.
const RECENT_BYTES: usize = 12 << 10;

thread_local! {
    /// Its 300 KiB are too many to allocate for each frame.
    static COMPRESSOR: RefCell<Option<Box<CompressorOxide>>> = const { RefCell::new(None) };
}

/// The events that were compressed last.
static EVENTS: Events = Events([const { Mutex::new(None) }; RECENT]);

/// Compressed events, each in the slot of its frame's hash.
struct Events([Mutex<Option<Event>>; RECENT]);

struct Event {
    frame: Box<[u8]>,
    /// `None` if compression does not make it smaller.
    deflated: Option<Bytes>,
}

/// Returns whether a frame of `len` bytes may be large enough to be compressed.
pub(crate) fn may_be_worth(len: usize) -> bool {
    len >= LEAST_EVENT
}

/// Returns whether a frame is large enough to be compressed.
pub(crate) fn is_worth(frame: &[u8]) -> bool {
    frame.len() >= if is_answer(frame) { LEAST_ANSWER } else { LEAST_EVENT }
}

/// An answer has one recipient, anything else mostly more.
fn is_answer(frame: &[u8]) -> bool {
    frame.starts_with(br#"{"type":"ok""#)
}

/// Returns a frame's compressed payload, or `None` if it is not smaller.
///
/// That of an event is kept for its next recipients: those of other shards, and those that read it in their own tasks.
pub(crate) fn deflated(frame: &[u8]) -> Option<Bytes> {
    if is_answer(frame) { smaller(frame) } else { EVENTS.deflated(frame) }
}

impl Events {
    fn deflated(&self, frame: &[u8]) -> Option<Bytes> {
        if frame.len() > RECENT_BYTES {
            return smaller(frame);
        }
        let mut hasher = DefaultHasher::new();
        frame.hash(&mut hasher);
        let slot = &self.0[hasher.finish() as usize % RECENT];
        // Held for a comparison or a replacement.
        let event = || slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = event().as_ref().filter(|kept| *kept.frame == *frame) {
            return kept.deflated.clone();
        }
        let deflated = smaller(frame);
        *event() = Some(Event { frame: frame.into(), deflated: deflated.clone() });
        deflated
    }
}

fn smaller(frame: &[u8]) -> Option<Bytes> {
    let deflated = deflate(frame, true);
    (deflated.len() < frame.len()).then(|| deflated.into())
}

/// Compresses a message, or a piece of one. The pieces of a message, one after the other, are the message compressed.
pub(crate) fn deflate(piece: &[u8], is_last: bool) -> Vec<u8> {
    // Bytes that can't be compressed grow by a few bytes per block of about 31 KiB.
    let mut out = vec![0; piece.len() + piece.len() / 64 + 64];
    let written = COMPRESSOR.with_borrow_mut(|kept| {
        let compressor = kept.get_or_insert_with(|| {
            Box::new(CompressorOxide::new(create_comp_flags_from_zip_params(LEVEL, WINDOW_BITS, 0)))
        });
        compressor.reset();
        let (status, read, written) = compress(compressor, piece, &mut out, TDEFLFlush::Sync);
        assert!(
            status == TDEFLStatus::Okay && read == piece.len() && written < out.len(),
            "invariant: everything fits"
        );
        written
    });
    out.truncate(written);
    if is_last && out.ends_with(TAIL) {
        out.truncate(written - TAIL.len());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::inflate::inflate;

    fn prose(len: usize) -> Vec<u8> {
        let words = ["we", "meet", "at", "the", "station", "before", "noon", "or", "later", "é"];
        let mut n = 7_usize;
        let mut text = String::new();
        while text.len() < len {
            n = n.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            text.push_str(words[(n >> 16) % words.len()]);
            text.push(' ');
        }
        text.truncate(text.floor_char_boundary(len));
        text.into_bytes()
    }

    #[test]
    fn what_is_compressed_comes_back_whatever_its_size() {
        for len in [1, 2, 63, 64, 65, 511, 512, 4_096, 65_535, 65_536, 300_000] {
            let text = prose(len);
            assert_eq!(inflate(&deflate(&text, true), len).unwrap(), text, "{len}");
        }
    }

    #[test]
    fn bytes_without_repetition_come_back_and_are_not_worth_it() {
        let mut noise = vec![0; 1 << 20];
        getrandom::fill(&mut noise).unwrap();
        // Digits have less repetition than prose, and more than noise.
        let digits: Vec<u8> = noise.iter().map(|byte| b'0' + byte % 10).collect();
        for len in [1, 100, 10_000, PIECE, 1 << 20] {
            for bytes in [&noise[..len], &digits[..len]] {
                assert!(inflate(&deflate(bytes, true), len).unwrap() == bytes, "{len}");
            }
            assert_eq!(deflated(&noise[..len]), None, "{len}");
        }
    }

    #[test]
    fn a_thread_compresses_the_same_frame_to_the_same_bytes() {
        let text = prose(5_000);
        let first = deflate(&text, true);
        deflate(&prose(70_000), true);
        assert_eq!(deflate(&text, true), first);
    }

    #[test]
    fn pieces_of_a_message_are_the_message() {
        let text = prose(3 * PIECE + 5);
        let mut pieces = text.chunks(PIECE).peekable();
        let mut message = Vec::new();
        while let Some(piece) = pieces.next() {
            message.extend(deflate(piece, pieces.peek().is_none()));
        }
        assert_eq!(inflate(&message, text.len()).unwrap(), text);
    }

    #[test]
    fn answers_are_compressed_from_1_kib_and_events_from_512_bytes() {
        let frame =
            |kind: &str, len: usize| format!("{:x<len$}", format!("{{\"type\":\"{kind}\"")).into_bytes();
        assert!(is_worth(&frame("ok", 1_024)) && !is_worth(&frame("ok", 1_023)));
        assert!(is_worth(&frame("message", 512)) && !is_worth(&frame("message", 511)));
    }

    fn events() -> Events {
        Events([const { Mutex::new(None) }; RECENT])
    }

    #[test]
    fn an_event_of_some_size_is_compressed_once() {
        let events = events();
        let is_kept = |len: usize| {
            let one = events.deflated(&prose(len)).unwrap();
            one.as_ptr() == events.deflated(&prose(len)).unwrap().as_ptr()
        };
        assert!(is_kept(RECENT_BYTES) && !is_kept(RECENT_BYTES + 1));
    }

    #[test]
    fn an_answer_is_compressed_each_time() {
        let answer = [br#"{"type":"ok","#.to_vec(), prose(2_000)].concat();
        let one = deflated(&answer).unwrap();
        assert_ne!(one.as_ptr(), deflated(&answer).unwrap().as_ptr());
    }

    #[test]
    fn no_event_gets_the_bytes_of_another() {
        let events = events();
        for n in 0..10 * RECENT {
            let frame = prose(600 + n);
            for _ in 0..2 {
                assert_eq!(inflate(&events.deflated(&frame).unwrap(), 10_000).unwrap(), frame);
            }
        }
    }
}
