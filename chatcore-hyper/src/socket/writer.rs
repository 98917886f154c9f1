//! The frames that wait to be written to one socket: server frames over shared bytes.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use chatcore::protocol::CloseReason;
use tokio::io::AsyncWrite;
use tokio::time::Instant;

use crate::limits::pace::Stall;

/// The most frames per write.
const GATHER: usize = 64;

/// Up to this many bytes are copied into one piece, which is cheaper than passing each part to the system.
const COPIED: usize = 4_096;

/// A queue up to this size is kept for the next frames. An idle connection holds nothing larger.
const KEPT_CAPACITY: usize = 8;

/// The unwritten frames of one socket.
///
/// A server's frames have no mask, so all recipients share the payload. Only the header of at most ten bytes
/// belongs to one frame.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    frames: VecDeque<Frame>,
    /// How many bytes of the first frame are written.
    written: usize,
    unflushed: bool,
    /// `Some` while the peer does not read everything.
    stall: Option<Stall>,
}

#[derive(Debug)]
struct Frame {
    header: [u8; 10],
    header_len: u8,
    payload: Bytes,
}

#[derive(Clone, Copy, Debug)]
#[repr(u8)]
enum Opcode {
    Text = 0x1,
    #[cfg(feature = "testkit")]
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
}

impl Frame {
    fn new(opcode: Opcode, payload: Bytes) -> Self {
        let (header, header_len) = header(opcode, payload.len());
        Self { header, header_len, payload }
    }

    /// Returns a frame of bytes that are already encoded.
    fn raw(payload: Bytes) -> Self {
        Self { header: [0; 10], header_len: 0, payload }
    }

    fn header(&self) -> &[u8] {
        &self.header[..usize::from(self.header_len)]
    }

    fn len(&self) -> usize {
        usize::from(self.header_len) + self.payload.len()
    }
}

/// Appends the bytes of a text frame on the wire.
pub(crate) fn write_text(payload: &[u8], wire: &mut Vec<u8>) {
    let (header, len) = header(Opcode::Text, payload.len());
    wire.extend_from_slice(&header[..usize::from(len)]);
    wire.extend_from_slice(payload);
}

/// Returns a frame's header and its length.
fn header(opcode: Opcode, payload_len: usize) -> ([u8; 10], u8) {
    let mut header = [0; 10];
    header[0] = 0x80 | opcode as u8;
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

impl Writer {
    /// Adds a text frame.
    pub(crate) fn push_text(&mut self, payload: Bytes) {
        self.frames.push_back(Frame::new(Opcode::Text, payload));
    }

    /// Adds a binary frame.
    #[cfg(feature = "testkit")]
    pub(crate) fn push_binary(&mut self, payload: Bytes) {
        self.frames.push_back(Frame::new(Opcode::Binary, payload));
    }

    /// Returns whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Adds text frames whose first `written` bytes are already written. Nothing may wait before them.
    pub(crate) fn push_partial(&mut self, payloads: &[Bytes], written: usize) {
        payloads.iter().for_each(|payload| self.push_text(payload.clone()));
        self.advance(written);
    }

    /// Adds a ping without payload.
    pub(crate) fn push_ping(&mut self) {
        self.frames.push_back(Frame::new(Opcode::Ping, Bytes::new()));
    }

    /// Adds a close frame.
    pub(crate) fn push_close(&mut self, reason: CloseReason) {
        let mut payload = reason.code().to_be_bytes().to_vec();
        payload.extend_from_slice(reason.text().as_bytes());
        // A control frame has at most 125 bytes.
        payload.truncate(125);
        self.frames.push_back(Frame::new(Opcode::Close, payload.into()));
    }

    /// Adds bytes that are already encoded.
    pub(crate) fn push_raw(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.frames.push_back(Frame::raw(bytes));
        }
    }

    /// Drops every frame of which no byte is written.
    pub(crate) fn drop_unsent(&mut self) {
        self.frames.truncate(usize::from(self.written > 0));
    }

    /// Returns what the peer has read since something waits for it, or `None` if nothing waits.
    pub(crate) fn stall(&mut self) -> Option<&mut Stall> {
        self.stall.as_mut()
    }

    /// Writes until nothing is left, with up to [`GATHER`] frames per system call.
    pub(crate) fn poll_write<I: AsyncWrite + Unpin>(
        &mut self,
        io: &mut I,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.frames.is_empty() {
            let Poll::Ready(taken) = self.poll_gathered(io, cx) else {
                self.stall.get_or_insert_with(|| Stall::begin(Instant::now()));
                return Poll::Pending;
            };
            match taken? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                taken => self.advance(taken),
            }
        }
        self.stall = None;
        if self.unflushed {
            ready!(Pin::new(io).poll_flush(cx))?;
            self.unflushed = false;
        }
        if self.frames.capacity() > KEPT_CAPACITY {
            self.frames = VecDeque::new();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_gathered<I: AsyncWrite + Unpin>(
        &self,
        io: &mut I,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let frames = self.frames.iter().take(GATHER);
        let len = frames.clone().map(Frame::len).sum::<usize>() - self.written;
        let mut skip = self.written;
        let parts = frames.flat_map(|frame| [frame.header(), &frame.payload]).filter_map(|part| {
            let begun = skip.min(part.len());
            skip -= begun;
            (begun < part.len()).then_some(&part[begun..])
        });
        if len <= COPIED {
            let mut bytes = [0; COPIED];
            let mut at = 0;
            for part in parts {
                bytes[at..at + part.len()].copy_from_slice(part);
                at += part.len();
            }
            return Pin::new(io).poll_write(cx, &bytes[..at]);
        }
        let mut slices = [IoSlice::new(&[]); 2 * GATHER];
        let mut count = 0;
        for part in parts {
            slices[count] = IoSlice::new(part);
            count += 1;
        }
        Pin::new(io).poll_write_vectored(cx, &slices[..count])
    }

    fn advance(&mut self, taken: usize) {
        self.unflushed = true;
        if let Some(stall) = &mut self.stall {
            stall.take(taken);
        }
        self.written += taken;
        while let Some(frame) = self.frames.front() {
            if self.written < frame.len() {
                break;
            }
            self.written -= frame.len();
            self.frames.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncReadExt;

    use super::*;

    fn header(len: usize) -> Vec<u8> {
        Frame::new(Opcode::Text, vec![0; len].into()).header().to_vec()
    }

    #[test]
    fn a_header_spells_the_length_in_as_few_bytes_as_it_can() {
        assert_eq!(header(0), [0x81, 0]);
        assert_eq!(header(125), [0x81, 125]);
        assert_eq!(header(126), [0x81, 126, 0, 126]);
        assert_eq!(header(65_535), [0x81, 126, 255, 255]);
        assert_eq!(header(65_536), [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn every_close_reason_fits_a_control_frame() {
        for reason in [CloseReason::Left, CloseReason::TooSlow, CloseReason::Banned] {
            let mut writer = Writer::default();
            writer.push_close(reason);
            let frame = &writer.frames[0];
            assert_eq!(frame.header()[0], 0x88);
            assert_eq!(frame.payload[..2], reason.code().to_be_bytes());
            assert_eq!(&frame.payload[2..], reason.text().as_bytes());
        }
    }

    /// A pipe of a few bytes forces a partial write at every position, including headers.
    #[tokio::test]
    async fn partial_writes_resume_where_they_stopped() {
        for pipe in [1, 2, 3, 5, 7, 64, 100_000] {
            let (mut near, mut far) = tokio::io::duplex(pipe);
            let mut writer = Writer::default();
            let mut expected = Vec::new();
            for n in 0..200 {
                let payload = Bytes::from(vec![n as u8; n]);
                expected.extend_from_slice(Frame::new(Opcode::Text, payload.clone()).header());
                expected.extend_from_slice(&payload);
                writer.push_text(payload);
            }
            let reading = tokio::spawn(async move {
                let mut got = Vec::new();
                far.read_to_end(&mut got).await.unwrap();
                got
            });
            poll_fn(|cx| writer.poll_write(&mut near, cx)).await.unwrap();
            assert!(writer.frames.is_empty() && writer.stall().is_none());
            assert!(writer.frames.capacity() <= KEPT_CAPACITY);
            drop(near);
            assert_eq!(reading.await.unwrap(), expected, "pipe of {pipe}");
        }
    }

    #[tokio::test]
    async fn dropping_what_is_unsent_leaves_a_begun_frame_whole() {
        let (mut near, mut far) = tokio::io::duplex(4);
        let mut writer = Writer::default();
        writer.push_text(Bytes::from_static(b"first"));
        writer.push_text(Bytes::from_static(b"second"));
        poll_fn(|cx| {
            assert!(writer.poll_write(&mut near, cx).is_pending());
            Poll::Ready(())
        })
        .await;
        assert!(writer.stall().is_some());
        writer.drop_unsent();
        writer.push_close(CloseReason::TooSlow);
        let reading = tokio::spawn(async move {
            let mut got = Vec::new();
            far.read_to_end(&mut got).await.unwrap();
            got
        });
        poll_fn(|cx| writer.poll_write(&mut near, cx)).await.unwrap();
        drop(near);
        let mut expected = b"\x81\x05first\x88\x0a\x0f\xa1".to_vec();
        expected.extend_from_slice(b"too slow");
        assert_eq!(reading.await.unwrap(), expected);
    }
}
