//! A server's frames on the wire: headers without a mask, and payloads.

/// The bit of a message's last frame.
pub(super) const LAST: u8 = 0x80;

/// The bit of a compressed message's first frame.
pub(super) const COMPRESSED: u8 = 0x40;

/// What a frame is.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(super) enum Opcode {
    Continuation = 0x0,
    Text = 0x1,
    #[cfg(feature = "testkit")]
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
}

/// Returns a frame's header and its length.
pub(super) fn header(bits: u8, opcode: Opcode, payload_len: usize) -> ([u8; 10], u8) {
    let mut header = [0; 10];
    header[0] = bits | opcode as u8;
    let len = match payload_len {
        len @ 0..=125 => {
            header[1] = len as u8;
            2
        }
        len @ 126..=0xffff => {
            header[1] = 126;
            header[2..4].copy_from_slice(&(len as u16).to_be_bytes());
            4
        }
        len => {
            header[1] = 127;
            header[2..10].copy_from_slice(&(len as u64).to_be_bytes());
            10
        }
    };
    (header, len)
}

/// Appends the bytes of a text frame on the wire.
pub(super) fn write_text(payload: &[u8], wire: &mut Vec<u8>) {
    write(LAST, payload, wire);
}

/// Appends the bytes of a text frame on the wire, whose payload is compressed.
pub(super) fn write_deflated(payload: &[u8], wire: &mut Vec<u8>) {
    write(LAST | COMPRESSED, payload, wire);
}

fn write(bits: u8, payload: &[u8], wire: &mut Vec<u8>) {
    let (header, len) = header(bits, Opcode::Text, payload.len());
    wire.extend_from_slice(&header[..usize::from(len)]);
    wire.extend_from_slice(payload);
}

/// Returns the length of the first of a server's frames on the wire.
pub(super) fn frame_len(wire: &[u8]) -> usize {
    match (wire[1], wire) {
        (126, [_, _, a, b, ..]) => 4 + usize::from(u16::from_be_bytes([*a, *b])),
        (127, [_, _, _, _, _, _, a, b, c, d, ..]) => 10 + u32::from_be_bytes([*a, *b, *c, *d]) as usize,
        (len, _) => 2 + usize::from(len),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelt(payload_len: usize) -> Vec<u8> {
        let (header, len) = header(LAST, Opcode::Text, payload_len);
        header[..usize::from(len)].to_vec()
    }

    #[test]
    fn a_header_spells_the_length_in_as_few_bytes_as_it_can() {
        assert_eq!(spelt(0), [0x81, 0]);
        assert_eq!(spelt(125), [0x81, 125]);
        assert_eq!(spelt(126), [0x81, 126, 0, 126]);
        assert_eq!(spelt(65_535), [0x81, 126, 255, 255]);
        assert_eq!(spelt(65_536), [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }
}
