//! Finds where a client's frames begin and end in a stream of bytes.

/// Follows the frames of a stream of bytes, only to know when no frame is unfinished.
#[derive(Debug, Default)]
pub(crate) struct Boundary {
    header: [u8; 14],
    have: u8,
    /// Bytes of the payload that are still to come.
    left: u64,
    /// Approximate bytes since a message began.
    begun: u32,
    /// Whether the last data frame was not the last of its message.
    fragmented: bool,
    /// Frames that end no message: control frames and fragments.
    others: u32,
}

impl Boundary {
    /// Follows the next bytes.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.follow(bytes);
        let taken = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.begun = if self.is_between_messages() { 0 } else { self.begun.saturating_add(taken) };
    }

    /// Returns the bytes of the unfinished message: those received, and those that its frame announces.
    pub(crate) fn begun(&self) -> u64 {
        self.left.saturating_add(self.begun.into())
    }

    fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let skipped = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            self.left -= skipped as u64;
            bytes = &bytes[skipped..];
            let Some((&next, rest)) = bytes.split_first() else { return };
            bytes = rest;
            self.header[usize::from(self.have)] = next;
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
        let mask = if self.header[1] & 0x80 == 0 { 0 } else { 4 };
        let length = match self.header[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        2 + length + mask
    }

    fn begin_payload(&mut self) {
        let header = &self.header;
        self.left = match header[1] & 0x7f {
            126 => u64::from(u16::from_be_bytes([header[2], header[3]])),
            127 => header[2..10].iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
            length => u64::from(length),
        };
        let (is_control, is_last) = (header[0] & 0x08 != 0, header[0] & 0x80 != 0);
        self.others = self.others.saturating_add(u32::from(is_control || !is_last));
        // Control frames may come between the fragments of a message.
        if !is_control {
            self.fragmented = !is_last;
        }
        self.have = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the bytes one by one. Returns after which of them all are whole messages.
    fn ends(bytes: &[u8]) -> Vec<usize> {
        let mut boundary = Boundary::default();
        let mut ends = Vec::new();
        for (at, byte) in bytes.iter().enumerate() {
            boundary.take(&[*byte]);
            if boundary.is_between_messages() {
                ends.push(at + 1);
            }
        }
        let mut at_once = Boundary::default();
        at_once.take(bytes);
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
        boundary.take(b"\x81\x82mask..\x89\x80mask\x01\x81mask.\x8a\x80mask\x00\x80mask\x80\x81mask.");
        assert_eq!(boundary.take_others(), 4);
        assert_eq!(boundary.others(), 0);
    }

    #[test]
    fn a_length_of_any_size_is_followed() {
        let mut boundary = Boundary::default();
        boundary.take(b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xffmask....");
        assert!(!boundary.is_between_messages());
    }
}
