//! What a service sends to the command that asks for a backup: the archive in pieces, and how it went.

use std::io::{self, Read, Write};

/// What the command sends first.
pub(crate) const REQUEST: &[u8] = b"backup 1\n";

/// Bytes of one piece.
const PIECE: usize = 64 << 10;

/// A piece of the archive.
const DATA: u8 = b'd';
/// What the archive lacks, in a sentence.
const NOTE: u8 = b'n';
/// Why there is no backup. It is the last frame.
const ERROR: u8 = b'e';
/// The archive is whole. It is the last frame.
const END: u8 = b'z';

/// Returns a frame: its kind, its length, what it holds.
fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let payload = &payload[..payload.len().min(PIECE)];
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    [&[kind], &length[..], payload].concat()
}

/// Returns the frame that refuses a backup.
pub(crate) fn refusal(why: &str) -> Vec<u8> {
    frame(ERROR, why.as_bytes())
}

/// Writes an archive in pieces.
pub(crate) struct Sender<W: Write> {
    out: W,
    piece: Vec<u8>,
}

impl<W: Write> Sender<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, piece: Vec::with_capacity(PIECE) }
    }

    /// Tells how it went.
    ///
    /// # Errors
    /// If nobody takes it.
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

/// How an archive came.
#[derive(Debug)]
pub(crate) enum Received {
    /// It is whole; with what it lacks.
    Whole(Option<String>),
    /// The service made none, and says why.
    Refused(String),
    /// The service ended before it was whole.
    CutOff,
}

/// Writes what comes to `out`.
///
/// # Errors
/// If `input` can't be read (the outer error), or `out` not be written (the inner one).
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
    fn what_is_sent_in_pieces_comes_whole() {
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
    fn a_refusal_in_the_middle_says_why() {
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
