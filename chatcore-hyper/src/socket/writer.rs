//! The frames that wait to be written to one socket: server frames over shared bytes.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use chatcore::protocol::CloseReason;
use chatcore::transport::Outgoing;
use tokio::io::AsyncWrite;
use tokio::time::Instant;

use crate::limits::least_rate::Stall;
use crate::socket::deflate::{self, PIECE};
use crate::socket::frame::{COMPRESSED, LAST, Opcode, frame_len, header};
use crate::socket::gather;

/// The most frames per write.
const GATHER: usize = 64;

/// A queue up to this size is kept for the next frames. An idle connection holds nothing larger.
const KEPT_CAPACITY: usize = 2;

/// The first capacity of a buffer for short frames: a publisher's message and its answer fit.
const SHORT: usize = 384;

/// A buffer with this many bytes of short frames takes no more of them.
const SHORT_MOST: usize = 16 * 1_024;

/// The unwritten frames of one socket.
///
/// A server's frames have no mask, so recipients share the payload of a large one. Only the header of at most ten bytes
/// belongs to one frame. Short ones are copied one after the other.
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
    payload: Payload,
    /// Whether the payload is the rest of a message, to be compressed once the frames before it are written.
    is_rest: bool,
}

#[derive(Debug)]
enum Payload {
    Shared(Bytes),
    /// Whole frames, and more may follow.
    Frames(Vec<u8>),
}

impl Payload {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Shared(bytes) => bytes,
            Self::Frames(bytes) => bytes,
        }
    }
}

impl Frame {
    fn new(opcode: Opcode, payload: Bytes) -> Self {
        Self::with_bits(LAST, opcode, payload)
    }

    fn with_bits(bits: u8, opcode: Opcode, payload: Bytes) -> Self {
        let (header, header_len) = header(bits, opcode, payload.len());
        Self { header, header_len, payload: Payload::Shared(payload), is_rest: false }
    }

    /// Returns a frame of bytes that are already encoded.
    fn raw(payload: Bytes) -> Self {
        Self { header: [0; 10], header_len: 0, payload: Payload::Shared(payload), is_rest: false }
    }

    /// Returns an entry for short frames, with room for `room` bytes.
    fn short(room: usize) -> Self {
        Self { payload: Payload::Frames(Vec::with_capacity(room)), ..Self::raw(Bytes::new()) }
    }

    /// Returns the rest of a message that is compressed later.
    fn rest(payload: Bytes) -> Self {
        Self { is_rest: true, ..Self::raw(payload) }
    }

    fn header(&self) -> &[u8] {
        &self.header[..usize::from(self.header_len)]
    }

    fn shrink(&mut self) {
        if let Payload::Frames(bytes) = &mut self.payload {
            bytes.shrink_to_fit();
        }
    }

    fn len(&self) -> usize {
        usize::from(self.header_len) + self.payload.bytes().len()
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

    /// Adds a binary message, like [`push_text`](Self::push_text).
    #[cfg(feature = "testkit")]
    pub(crate) fn push_binary(&mut self, payload: Bytes) {
        self.push_message(Opcode::Binary, payload);
    }

    /// Adds an entry, with room for no more than it if there are few.
    fn add(&mut self, frame: Frame) {
        if self.frames.len() < KEPT_CAPACITY {
            self.frames.reserve_exact(1);
        }
        self.frames.push_back(frame);
    }

    /// Returns the bytes to which short frames are added: those of the last entry, if it takes more.
    fn short_frames(&mut self, len: usize) -> &mut Vec<u8> {
        let takes_more =
            |last: &Frame| matches!(&last.payload, Payload::Frames(bytes) if bytes.len() < SHORT_MOST);
        if !self.frames.back().is_some_and(takes_more) {
            self.add(Frame::short(len.max(SHORT)));
        }
        match self.frames.back_mut() {
            Some(Frame { payload: Payload::Frames(bytes), .. }) => bytes,
            _ => unreachable!("invariant: the last entry is for short frames"),
        }
    }

    fn push_message(&mut self, opcode: Opcode, payload: Bytes) {
        if !self.deflates || !deflate::is_worth(&payload) {
            self.add(Frame::new(opcode, payload));
        } else if payload.len() > PIECE {
            // In fragments, each compressed when its turn comes: the connection holds one of them.
            let first = deflate::deflate(&payload[..PIECE], false).into();
            self.add(Frame::with_bits(COMPRESSED, opcode, first));
            self.add(Frame::rest(payload.slice(PIECE..)));
        } else {
            let compressed = deflate::deflated(&payload);
            self.add(match compressed {
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
        self.add(Frame::new(Opcode::Ping, Bytes::new()));
    }

    /// Adds a close frame.
    pub(crate) fn push_close(&mut self, reason: CloseReason) {
        let mut payload = reason.code().to_be_bytes().to_vec();
        payload.extend_from_slice(reason.text().as_bytes());
        // A control frame has at most 125 bytes.
        payload.truncate(125);
        self.add(Frame::new(Opcode::Close, payload.into()));
    }

    /// Adds bytes that are already encoded.
    pub(crate) fn push_raw(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.add(Frame::raw(bytes));
        }
    }

    /// Drops every frame of which no byte is written.
    pub(crate) fn drop_unsent(&mut self) {
        self.frames.truncate(usize::from(self.written > 0));
        let Some(Frame { payload: Payload::Frames(bytes), .. }) = self.frames.front_mut() else { return };
        let mut end = 0;
        while end < self.written {
            end += frame_len(&bytes[end..]);
        }
        bytes.truncate(end);
        self.pop_written();
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
                // Bytes that wait for a slow peer have no spare capacity.
                self.frames.iter_mut().for_each(Frame::shrink);
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
        let Some(Frame { payload: Payload::Shared(mut rest), .. }) = self.frames.pop_front() else { return };
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
        let parts =
            frames.flat_map(|frame| [frame.header(), frame.payload.bytes()]).filter_map(move |part| {
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
        self.pop_written();
    }

    /// Removes the entries that are written.
    fn pop_written(&mut self) {
        while let Some(frame) = self.frames.front() {
            if frame.is_rest || self.written < frame.len() {
                break;
            }
            self.written -= frame.len();
            self.frames.pop_front();
        }
    }
}

impl Outgoing for Writer {
    fn push(&mut self, frame: Bytes) {
        self.push_text(frame);
    }

    fn write(&mut self, len: usize, encode: &mut dyn FnMut(&mut Vec<u8>)) {
        if self.deflates && deflate::may_be_worth(len) {
            let mut payload = Vec::with_capacity(len);
            encode(&mut payload);
            return self.push_text(payload.into());
        }
        let (header, header_len) = header(LAST, Opcode::Text, len);
        let header = &header[..usize::from(header_len)];
        let bytes = self.short_frames(header.len() + len);
        bytes.extend_from_slice(header);
        let start = bytes.len();
        encode(bytes);
        debug_assert_eq!(bytes.len() - start, len, "invariant: a frame has the length that was said");
    }
}

#[cfg(test)]
mod tests;
