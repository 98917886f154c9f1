//! The frames that wait to be written to one socket: server frames over shared bytes.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use chatcore::protocol::CloseReason;
use tokio::io::AsyncWrite;
use tokio::time::Instant;

use crate::limits::pace::Stall;
use crate::socket::deflate::{self, PIECE};
use crate::socket::frame::{COMPRESSED, LAST, Opcode, frame_len, header};
use crate::socket::gather;

/// The most frames per write.
const GATHER: usize = 64;

/// A queue up to this size is kept for the next frames: a publisher's message and its answer. An idle connection holds
/// nothing larger.
const KEPT_CAPACITY: usize = 2;

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
    /// Whether the peer takes compressed messages.
    deflates: bool,
    /// `Some` while the peer does not read everything.
    stall: Option<Stall>,
}

#[derive(Debug)]
struct Frame {
    header: [u8; 10],
    header_len: u8,
    payload: Bytes,
    /// Whether the payload is the rest of a message, to be compressed once the frames before it are written.
    is_rest: bool,
}

impl Frame {
    fn new(opcode: Opcode, payload: Bytes) -> Self {
        Self::with_bits(LAST, opcode, payload)
    }

    fn with_bits(bits: u8, opcode: Opcode, payload: Bytes) -> Self {
        let (header, header_len) = header(bits, opcode, payload.len());
        Self { header, header_len, payload, is_rest: false }
    }

    /// Returns a frame of bytes that are already encoded.
    fn raw(payload: Bytes) -> Self {
        Self { header: [0; 10], header_len: 0, payload, is_rest: false }
    }

    /// Returns the rest of a message that is compressed later.
    fn rest(payload: Bytes) -> Self {
        Self { is_rest: true, ..Self::raw(payload) }
    }

    fn header(&self) -> &[u8] {
        &self.header[..usize::from(self.header_len)]
    }

    fn len(&self) -> usize {
        usize::from(self.header_len) + self.payload.len()
    }
}

impl Writer {
    /// Starts with nothing to write. `deflates` says whether the peer takes compressed messages.
    pub(crate) fn new(deflates: bool) -> Self {
        Self { deflates, ..Self::default() }
    }

    /// Returns whether the peer takes compressed messages.
    pub(crate) fn deflates(&self) -> bool {
        self.deflates
    }

    /// Adds a text message, compressed if the peer takes that and it is large enough.
    pub(crate) fn push_text(&mut self, payload: Bytes) {
        self.push_message(Opcode::Text, payload);
    }

    /// Adds text messages, like [`push_text`](Self::push_text), with room for no more than these.
    pub(crate) fn push_texts(&mut self, payloads: Vec<Bytes>) {
        self.frames.reserve_exact(payloads.len());
        payloads.into_iter().for_each(|payload| self.push_text(payload));
    }

    /// Adds a binary message, like [`push_text`](Self::push_text).
    #[cfg(feature = "testkit")]
    pub(crate) fn push_binary(&mut self, payload: Bytes) {
        self.push_message(Opcode::Binary, payload);
    }

    fn push_message(&mut self, opcode: Opcode, payload: Bytes) {
        if !self.deflates || !deflate::is_worth(&payload) {
            self.frames.push_back(Frame::new(opcode, payload));
        } else if payload.len() > PIECE {
            // In fragments, each compressed when its turn comes: the connection holds one of them.
            let first = deflate::deflate(&payload[..PIECE], false).into();
            self.frames.push_back(Frame::with_bits(COMPRESSED, opcode, first));
            self.frames.push_back(Frame::rest(payload.slice(PIECE..)));
        } else {
            let compressed = deflate::deflated(&payload);
            self.frames.push_back(match compressed {
                Some(payload) => Frame::with_bits(LAST | COMPRESSED, opcode, payload),
                None => Frame::new(opcode, payload),
            });
        }
    }

    /// Returns whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Adds text frames whose first `written` bytes are already written. Nothing may wait before them.
    pub(crate) fn push_partial(&mut self, payloads: &[Bytes], written: usize) {
        self.frames.extend(payloads.iter().map(|payload| Frame::new(Opcode::Text, payload.clone())));
        self.advance(written);
    }

    /// Adds encoded frames whose first `written` bytes are already written. Nothing may wait before them.
    pub(crate) fn push_begun(&mut self, wire: &Bytes, written: usize) {
        let mut at = 0;
        while at < wire.len() {
            let end = at + frame_len(&wire[at..]);
            if end > written {
                self.frames.push_back(Frame::raw(wire.slice(at..end)));
                self.advance(written.saturating_sub(at).min(end - at));
            }
            at = end;
        }
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
        let mut compressed = false;
        while let Some(first) = self.frames.front() {
            if first.is_rest {
                if mem::replace(&mut compressed, true) {
                    // Other tasks run between two pieces of a large message.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                self.compress_piece();
            }
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

    /// Compresses the next piece of the message whose rest is first.
    fn compress_piece(&mut self) {
        let Some(Frame { payload: mut rest, .. }) = self.frames.pop_front() else { return };
        let piece = rest.split_to(PIECE.min(rest.len()));
        let bits = if rest.is_empty() { LAST } else { 0 };
        if !rest.is_empty() {
            self.frames.push_front(Frame::rest(rest));
        }
        let payload = deflate::deflate(&piece, bits == LAST).into();
        self.frames.push_front(Frame::with_bits(bits, Opcode::Continuation, payload));
    }

    fn poll_gathered<I: AsyncWrite + Unpin>(
        &self,
        io: &mut I,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let frames = self.frames.iter().take(GATHER).take_while(|frame| !frame.is_rest);
        let len = frames.clone().map(Frame::len).sum::<usize>() - self.written;
        let mut skip = self.written;
        let parts = frames.flat_map(|frame| [frame.header(), &frame.payload]).filter_map(move |part| {
            let begun = skip.min(part.len());
            skip -= begun;
            (begun < part.len()).then_some(&part[begun..])
        });
        gather::poll_write::<{ 2 * GATHER }, I>(parts, len, io, cx)
    }

    fn advance(&mut self, taken: usize) {
        self.unflushed = true;
        if let Some(stall) = &mut self.stall {
            stall.take(taken);
        }
        self.written += taken;
        while let Some(frame) = self.frames.front() {
            if frame.is_rest || self.written < frame.len() {
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

    use tokio::io::{AsyncReadExt, DuplexStream, duplex};

    use super::*;
    use crate::socket::frame::write_deflated;
    use crate::socket::inflate::inflate;

    /// Returns the frames on the wire: their first byte and their payload.
    fn frames(mut wire: &[u8]) -> Vec<(u8, &[u8])> {
        let mut frames = Vec::new();
        while !wire.is_empty() {
            let (frame, rest) = wire.split_at(frame_len(wire));
            let header = match frame[1] {
                126 => 4,
                127 => 10,
                _ => 2,
            };
            frames.push((frame[0], &frame[header..]));
            wire = rest;
        }
        frames
    }

    /// Writes everything. Returns what the peer reads at the other end of the pipe.
    async fn drained(writer: &mut Writer, (mut near, mut far): (DuplexStream, DuplexStream)) -> Vec<u8> {
        let reading = tokio::spawn(async move {
            let mut got = Vec::new();
            far.read_to_end(&mut got).await.unwrap();
            got
        });
        poll_fn(|cx| writer.poll_write(&mut near, cx)).await.unwrap();
        assert!(writer.is_empty() && writer.stall().is_none());
        drop(near);
        reading.await.unwrap()
    }

    /// Writes everything to a peer that reads through a pipe of so many bytes.
    async fn written(writer: &mut Writer, pipe: usize) -> Vec<u8> {
        drained(writer, duplex(pipe)).await
    }

    /// Closes the connection once a pipe of so many bytes is full. Returns what the peer reads then.
    async fn cut(writer: &mut Writer, pipe: usize) -> Vec<u8> {
        let (mut near, far) = duplex(pipe);
        poll_fn(|cx| {
            assert!(writer.poll_write(&mut near, cx).is_pending());
            Poll::Ready(())
        })
        .await;
        assert!(writer.stall().is_some());
        writer.drop_unsent();
        writer.push_close(CloseReason::TooSlow);
        drained(writer, (near, far)).await
    }

    #[tokio::test]
    async fn a_queue_is_kept_for_a_message_and_its_answer_alone() {
        let mut writer = Writer::new(false);
        for (frames, kept) in [(1, 1), (2, 2), (1, 2), (3, 0), (2, 2)] {
            writer.push_texts(vec![Bytes::from_static(b"x"); frames]);
            written(&mut writer, 64).await;
            assert_eq!(writer.frames.capacity(), kept, "after {frames}");
        }
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
            let mut writer = Writer::default();
            let mut expected = Vec::new();
            for n in 0..200 {
                let payload = Bytes::from(vec![n as u8; n]);
                expected.extend_from_slice(Frame::new(Opcode::Text, payload.clone()).header());
                expected.extend_from_slice(&payload);
                writer.push_text(payload);
            }
            assert_eq!(written(&mut writer, pipe).await, expected, "pipe of {pipe}");
            assert!(writer.frames.capacity() <= KEPT_CAPACITY);
        }
    }

    #[tokio::test]
    async fn dropping_what_is_unsent_leaves_a_begun_frame_whole() {
        let mut writer = Writer::default();
        writer.push_text(Bytes::from_static(b"first"));
        writer.push_text(Bytes::from_static(b"second"));
        let mut expected = b"\x81\x05first\x88\x0a\x0f\xa1".to_vec();
        expected.extend_from_slice(b"too slow");
        assert_eq!(cut(&mut writer, 4).await, expected);
    }

    #[tokio::test]
    async fn only_large_messages_are_compressed_and_only_for_who_takes_it() {
        for (deflates, len, first) in [(false, 5_000, 0x81), (true, 511, 0x81), (true, 512, 0xc1)] {
            let mut writer = Writer::new(deflates);
            let text = Bytes::from(vec![b'x'; len]);
            writer.push_text(text.clone());
            writer.push_ping();
            let wire = written(&mut writer, 64).await;
            let frames = frames(&wire);
            assert_eq!(frames[0].0, first);
            let plain = if first == 0xc1 { inflate(frames[0].1, len).unwrap() } else { frames[0].1.to_vec() };
            assert_eq!(plain, text);
            assert_eq!(frames[1..], [(0x89, &b""[..])]);
        }
    }

    /// A message of two pieces and a bit, which does not repeat itself within a piece.
    fn large() -> Bytes {
        let numbers = (0..30_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_string().into_bytes());
        numbers.take(2 * PIECE + 1).collect()
    }

    #[tokio::test]
    async fn a_large_message_is_compressed_in_fragments_of_a_piece() {
        for pipe in [1_000, 1 << 20] {
            let mut writer = Writer::new(true);
            writer.push_text(large());
            writer.push_text(Bytes::from_static(b"next"));
            let held: usize = writer.frames.iter().filter(|frame| !frame.is_rest).map(Frame::len).sum();
            assert!(held < PIECE, "{held} bytes are held besides the message");
            let wire = written(&mut writer, pipe).await;
            let frames = frames(&wire);
            let firsts: Vec<u8> = frames.iter().map(|frame| frame.0).collect();
            assert_eq!(firsts, [0x41, 0x00, 0x80, 0x81]);
            let message: Vec<u8> = frames[..3].iter().flat_map(|frame| frame.1.to_vec()).collect();
            assert!(inflate(&message, 3 * PIECE).unwrap() == large());
        }
    }

    #[tokio::test]
    async fn other_tasks_run_between_two_pieces() {
        let (mut near, _far) = duplex(1 << 20);
        let mut writer = Writer::new(true);
        writer.push_text(large());
        let mut polls = 0;
        poll_fn(|cx| {
            polls += 1;
            writer.poll_write(&mut near, cx)
        })
        .await
        .unwrap();
        assert_eq!(polls, 2);
    }

    #[tokio::test]
    async fn a_close_may_cut_a_large_message_between_its_fragments() {
        let mut writer = Writer::new(true);
        writer.push_text(large());
        let first = writer.frames[0].len();
        let wire = cut(&mut writer, 1_000).await;
        assert_eq!((wire[0], wire[first]), (0x41, 0x88));
    }

    #[tokio::test]
    async fn what_is_left_of_encoded_frames_is_written_from_any_byte() {
        let payloads = [Bytes::from_static(b"a"), vec![b'b'; 300].into(), vec![b'c'; 70_000].into()];
        let mut wire = Vec::new();
        payloads.iter().for_each(|payload| write_deflated(payload, &mut wire));
        let wire = Bytes::from(wire);
        for taken in (0..400).chain([wire.len() - 1]) {
            let mut writer = Writer::new(true);
            writer.push_begun(&wire, taken);
            let is_begun = writer.written > 0;
            assert_eq!(is_begun, ![0, 3, 307].contains(&taken), "{taken}");
            assert!(written(&mut writer, 1 << 20).await == wire[taken..], "{taken}");
        }
    }
}
