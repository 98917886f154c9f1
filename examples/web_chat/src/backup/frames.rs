//! The protocol between the service and the backup command: the archive in pieces, then the result.

use std::io::{self, Read, Write};

/// The request of the command.
pub(crate) const REQUEST: &[u8] = b"backup 1\n";

/// The size of a piece in bytes.
const PIECE: usize = 64 << 10;

/// The kind of a frame with a piece of the archive.
const DATA: u8 = b'd';
/// The kind of a frame with a note about missing files.
const NOTE: u8 = b'n';
/// The kind of a frame with an error. It is the last frame.
const ERROR: u8 = b'e';
/// The kind of the frame after a complete archive. It is the last frame.
const END: u8 = b'z';

/// Returns a frame: its kind, its length and its payload.
fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let payload = &payload[..payload.len().min(PIECE)];
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    [&[kind], &length[..], payload].concat()
}

/// Returns the frame that refuses a backup.
pub(crate) fn refusal(why: &str) -> Vec<u8> {
    frame(ERROR, why.as_bytes())
}

/// Sends an archive in pieces.
pub(crate) struct Sender<W: Write> {
    out: W,
    piece: Vec<u8>,
}

impl<W: Write> Sender<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, piece: Vec::with_capacity(PIECE) }
    }

    /// Sends the result.
    ///
    /// # Errors
    /// If writing fails.
    pub(crate) fn finish(mut self, outcome: Result<Option<String>, String>) -> io::Result<()> {
        match outcome {
            Ok(note) => {
                self.send()?;
                if let Some(note) = note {
                    self.out.write_all(&frame(NOTE, note.as_bytes()))?;
                }
                self.out.write_all(&frame(END, b""))
            }
            Err(why) => self.out.write_all(&refusal(&why)),
        }
    }

    fn send(&mut self) -> io::Result<()> {
        if !self.piece.is_empty() {
            self.out.write_all(&frame(DATA, &self.piece))?;
            self.piece.clear();
        }
        Ok(())
    }
}

impl<W: Write> Write for Sender<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == PIECE {
            self.send()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()?;
        self.out.flush()
    }
}

/// The result of receiving an archive.
#[derive(Debug)]
pub(crate) enum Received {
    /// It is complete, with an optional note about missing files.
    Whole(Option<String>),
    /// The service refused, with the reason.
    Refused(String),
    /// The connection ended before the archive was complete.
    CutOff,
}

/// Writes the archive to `out`.
///
/// # Errors
/// If reading `input` fails (the outer error), or if writing to `out` fails (the inner one).
pub(crate) fn receive(mut input: impl Read, out: &mut impl Write) -> io::Result<io::Result<Received>> {
    let mut note = None;
    let mut piece = Vec::new();
    loop {
        let mut head = [0; 5];
        match input.read_exact(&mut head) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Ok(Received::CutOff)),
            read => read?,
        }
        let [kind, length @ ..] = head;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > PIECE {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it uses another protocol"));
        }
        piece.resize(length, 0);
        match input.read_exact(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Ok(Received::CutOff)),
            read => read?,
        }
        let text = || String::from_utf8_lossy(&piece).into_owned();
        match kind {
            DATA => {
                if let Err(error) = out.write_all(&piece) {
                    return Ok(Err(error));
                }
            }
            NOTE => note = Some(text()),
            ERROR => return Ok(Ok(Received::Refused(text()))),
            END => return Ok(Ok(Received::Whole(note))),
            _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "it uses another protocol")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(bytes: &[u8], outcome: Result<Option<String>, String>) -> Vec<u8> {
        let mut wire = Vec::new();
        let mut sender = Sender::new(&mut wire);
        sender.write_all(bytes).unwrap();
        sender.finish(outcome).unwrap();
        wire
    }

    fn received(wire: &[u8]) -> (Received, Vec<u8>) {
        let mut out = Vec::new();
        (receive(wire, &mut out).unwrap().unwrap(), out)
    }

    #[test]
    fn an_archive_sent_in_pieces_arrives_complete() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE] {
            let bytes: Vec<u8> = (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect();
            let wire = sent(&bytes, Ok(Some("one is missing".to_owned())));
            let (Received::Whole(note), came) = received(&wire) else { panic!("{length}") };
            assert_eq!((note.as_deref(), came), (Some("one is missing"), bytes));
            for cut in [wire.len() - 1, wire.len() / 2] {
                assert!(matches!(received(&wire[..cut]).0, Received::CutOff), "{length} cut at {cut}");
            }
        }
    }

    #[test]
    fn an_error_in_the_middle_carries_its_reason() {
        let wire = sent(&[1; 2 * PIECE], Err("the disk is full".to_owned()));
        assert!(matches!(received(&wire).0, Received::Refused(why) if why == "the disk is full"));
    }

    #[test]
    fn another_protocol_is_an_error() {
        for wire in [&b"HTTP/1.1 400"[..], b"x\0\0\0\0", b"d\0\x01\0\x01"] {
            assert_eq!(receive(wire, &mut Vec::new()).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }
}
