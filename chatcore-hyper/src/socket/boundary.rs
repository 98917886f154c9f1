//! Finds where a client's frames begin and end in a stream of bytes, and which messages are compressed.

use std::collections::VecDeque;

/// Follows the frames of a stream of bytes, to know when no frame is unfinished, and to take the mark of compression
/// from messages: the library that parses them does not know it.
#[derive(Debug, Default)]
pub(crate) struct Boundary {
    /// The first bytes of a header, without its mask.
    header: [u8; 10],
    have: u8,
    /// Whether the client may send compressed messages.
    inflates: bool,
    /// Bytes of the payload that are still to come.
    left: u64,
    /// Approximate bytes since a message began.
    begun: u32,
    /// Whether the last data frame was not the last of its message.
    fragmented: bool,
    /// Frames that end no message: control frames and fragments.
    others: u32,
}

/// How the messages that have begun, and are not handed out yet, were sent, in order. `None` without compression.
#[derive(Debug, Default)]
#[expect(clippy::box_collection, reason = "most connections read without compression: 8 bytes instead of 32")]
pub(crate) struct Codings(Option<Box<VecDeque<Coding>>>);

/// How a message was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// As it is.
    Plain,
    /// As a compressed text.
    Text,
    /// As compressed bytes.
    Binary,
}

impl Codings {
    /// Returns how the next message was sent, when it is handed out.
    pub(crate) fn next(&mut self) -> Coding {
        self.0.as_mut().and_then(|codings| codings.pop_front()).unwrap_or(Coding::Plain)
    }
}

/// RSV1, by which RFC 7692 marks the first frame of a compressed message.
const COMPRESSED: u8 = 0x40;

const TEXT: u8 = 0x01;
const BINARY: u8 = 0x02;

impl Boundary {
    /// Follows the frames of a client that may send compressed messages, if `inflates` says so.
    pub(crate) fn new(inflates: bool) -> Self {
        Self { inflates, ..Self::default() }
    }

    /// Follows the next bytes. A compressed message becomes a binary one without the mark, and its coding is added to
    /// `codings`. A mark in any other place is an error of the client: it stays, and the parser refuses it.
    pub(crate) fn take(&mut self, bytes: &mut [u8], codings: &mut Codings) {
        self.follow(bytes, codings);
        let taken = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.begun = if self.is_between_messages() { 0 } else { self.begun.saturating_add(taken) };
    }

    /// Returns the bytes of the unfinished message: those received, and those that its frame announces.
    pub(crate) fn begun(&self) -> u64 {
        self.left.saturating_add(self.begun.into())
    }

    fn follow(&mut self, mut bytes: &mut [u8], codings: &mut Codings) {
        while !bytes.is_empty() {
            let skipped = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            self.left -= skipped as u64;
            bytes = &mut bytes[skipped..];
            let Some((next, rest)) = bytes.split_first_mut() else { return };
            bytes = rest;
            if self.have == 0 && self.inflates && !self.fragmented {
                begin_message(next, codings);
            }
            self.header[usize::from(self.have)] = *next;
            self.have += 1;
            if self.have >= 2 && usize::from(self.have) == self.header_len() {
                self.begin_payload();
            }
        }
    }

    /// Returns how many frames have begun that end no message: control frames, and all fragments but the last.
    pub(crate) fn others(&self) -> u32 {
        self.others
    }

    /// Returns that number and resets it.
    pub(crate) fn take_others(&mut self) -> u32 {
        std::mem::take(&mut self.others)
    }

    /// Returns whether all bytes so far are whole messages.
    pub(crate) fn is_between_messages(&self) -> bool {
        self.have == 0 && self.left == 0 && !self.fragmented
    }

    fn header_len(&self) -> usize {
        match self.header[1] & 0x7f {
            126 => 4,
            127 => 10,
            _ => 2,
        }
    }

    fn begin_payload(&mut self) {
        let header = &self.header;
        self.left = match header[1] & 0x7f {
            126 => u64::from(u16::from_be_bytes([header[2], header[3]])),
            127 => header[2..10].iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
            length => u64::from(length),
        };
        let mask = if header[1] & 0x80 == 0 { 0 } else { 4 };
        self.left = self.left.saturating_add(mask);
        let (is_control, is_last) = (header[0] & 0x08 != 0, header[0] & 0x80 != 0);
        self.others = self.others.saturating_add(u32::from(is_control || !is_last));
        // Control frames may come between the fragments of a message.
        if !is_control {
            self.fragmented = !is_last;
        }
        self.have = 0;
    }
}

/// Notes the coding of the message that begins with this byte, if one does.
fn begin_message(first: &mut u8, codings: &mut Codings) {
    let opcode = *first & 0x0f;
    if opcode != TEXT && opcode != BINARY {
        return;
    }
    let coding = match (*first & COMPRESSED, opcode) {
        (0, _) => Coding::Plain,
        (_, TEXT) => Coding::Text,
        _ => Coding::Binary,
    };
    if coding != Coding::Plain {
        // The parser must not take compressed bytes for UTF-8.
        *first = (*first & !COMPRESSED & !TEXT) | BINARY;
    }
    codings.0.get_or_insert_default().push_back(coding);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the bytes one by one. Returns after which of them all are whole messages.
    fn ends(bytes: &[u8]) -> Vec<usize> {
        let mut boundary = Boundary::default();
        let mut ends = Vec::new();
        for (at, byte) in bytes.iter().enumerate() {
            boundary.take(&mut [*byte], &mut Codings::default());
            if boundary.is_between_messages() {
                ends.push(at + 1);
            }
        }
        let mut at_once = Boundary::default();
        at_once.take(&mut bytes.to_vec(), &mut Codings::default());
        assert_eq!(at_once.is_between_messages(), ends.last() == Some(&bytes.len()));
        ends
    }

    #[test]
    fn a_message_ends_with_its_last_frame() {
        assert_eq!(ends(b"\x81\x82mask..\x89\x80mask"), [8, 14]);
        assert_eq!(ends(b"\x81\x02hi"), [4]);
        assert_eq!(ends(&[&b"\x81\xfe\0\x80mask"[..], &[0; 128]].concat()), [136]);
        assert_eq!(ends(&[&b"\x81\xff\0\0\0\0\0\0\0\x01mask"[..], b"x"].concat()), [15]);
        assert!(ends(b"\x81").is_empty());
    }

    #[test]
    fn fragments_are_one_message_also_around_a_ping() {
        assert_eq!(ends(b"\x01\x81mask.\x89\x80mask\x00\x80mask\x80\x81mask."), [26]);
    }

    #[test]
    fn control_frames_and_fragments_are_counted() {
        let mut boundary = Boundary::default();
        boundary.take(
            &mut b"\x81\x82mask..\x89\x80mask\x01\x81mask.\x8a\x80mask\x00\x80mask\x80\x81mask.".to_vec(),
            &mut Codings::default(),
        );
        assert_eq!(boundary.take_others(), 4);
        assert_eq!(boundary.others(), 0);
    }

    #[test]
    fn a_length_of_any_size_is_followed() {
        let mut boundary = Boundary::default();
        boundary
            .take(&mut b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xffmask....".to_vec(), &mut Codings::default());
        assert!(!boundary.is_between_messages());
    }

    /// Follows the bytes in two parts, wherever they are cut. Returns them as the parser sees them, and the codings.
    fn followed(inflates: bool, bytes: &[u8]) -> (Vec<u8>, Vec<Coding>) {
        let followed = |cut| {
            let (mut boundary, mut codings) = (Boundary::new(inflates), Codings::default());
            let mut bytes = bytes.to_vec();
            let (head, tail) = bytes.split_at_mut(cut);
            boundary.take(head, &mut codings);
            boundary.take(tail, &mut codings);
            (bytes, codings.0.map(|codings| Vec::from(*codings)).unwrap_or_default())
        };
        (0..bytes.len()).for_each(|cut| assert_eq!(followed(cut), followed(0), "cut at {cut}"));
        followed(0)
    }

    #[test]
    fn a_compressed_message_is_marked_in_its_first_frame_alone() {
        let text = b"\xc1\x82mask\xc1\xc1";
        assert_eq!(followed(true, text), (b"\x82\x82mask\xc1\xc1".to_vec(), vec![Coding::Text]));
        let fragments = b"\x42\x80mask\x00\x80mask\x80\x80mask\x81\x80mask";
        let seen = b"\x02\x80mask\x00\x80mask\x80\x80mask\x81\x80mask";
        assert_eq!(followed(true, fragments), (seen.to_vec(), vec![Coding::Binary, Coding::Plain]));
    }

    #[test]
    fn a_mark_in_a_wrong_place_is_left_for_the_parser_to_refuse() {
        for (wrong, codings) in [
            (&b"\xc9\x80mask"[..], vec![]),
            (b"\xc0\x80mask", vec![]),
            (b"\xc3\x80mask", vec![]),
            (b"\x41\x80mask\xc0\x80mask", vec![Coding::Text]),
            (b"\x01\x80mask\xc1\x80mask", vec![Coding::Plain]),
        ] {
            let (seen, found) = followed(true, wrong);
            let last = wrong.len() - 6;
            assert_eq!((seen[last], found), (wrong[last], codings), "{wrong:x?}");
        }
    }

    #[test]
    fn a_client_without_the_extension_has_no_marks_taken() {
        let text = b"\xc1\x82mask..\x81\x80mask";
        assert_eq!(followed(false, text), (text.to_vec(), vec![]));
    }
}
