//! Reads a client's frames: tungstenite's synchronous state machine over a socket that may not be ready.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use chatcore::protocol::CloseReason;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Instant;
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message, Utf8Bytes};

use crate::limits::incoming::{Incoming, IncompleteMessage};
use crate::socket::boundary::{Boundary, Coding, Codings};
use crate::socket::inflate::{InflateError, inflate};
use crate::socket::sync_io::SyncIo;
use crate::socket::whole::whole_text;

/// The bytes to read at once: a burst of short commands.
const READ_BYTES: usize = 4_096;

/// The bytes to read next, if those before were whole messages.
const REST_BYTES: usize = 256;

/// What the client sent.
#[derive(Debug)]
pub(crate) enum Received {
    /// A whole text message.
    Text(Utf8Bytes),
    /// A whole binary message.
    Binary(Bytes),
    /// A frame without a message: a ping, a pong, a fragment.
    Control,
    /// A close frame. Its answer is among the replies.
    Close,
    /// A reason to close the connection.
    Refused(CloseReason),
    /// The connection has ended without a close frame.
    Gone,
}

/// The state of reading.
#[derive(Debug)]
struct Reading {
    context: WebSocketContext,
    boundary: Boundary,
    codings: Codings,
    replies: Vec<u8>,
    /// Since when the rest of a message or of another frame is missing.
    since: Option<Instant>,
    /// The share of a large unfinished message.
    incomplete: Option<IncompleteMessage>,
}

/// The reading half of a WebSocket. It never writes: [`take_replies`](Self::take_replies) returns what the
/// protocol answers by itself (pongs, the reply to a close).
///
/// Between two messages it has neither state nor buffer, since most connections are idle most of the time.
#[derive(Debug)]
pub(crate) struct Reader {
    /// The state machine with its buffer, from a message's first byte until everything read is handed out.
    reading: Option<Box<Reading>>,
    frame_bytes: usize,
    inflates: bool,
    heard: bool,
}

impl Reader {
    /// Starts after the handshake, with the bytes that were read with it. `inflates` says whether the client may send
    /// compressed messages.
    pub(crate) fn new(leftover: &[u8], frame_bytes: usize, inflates: bool) -> Self {
        let mut reader = Self { reading: None, frame_bytes, inflates, heard: false };
        if !leftover.is_empty() {
            reader.begin(leftover);
        }
        reader
    }

    /// Creates the state machine for bytes that begin with a frame.
    fn begin(&mut self, bytes: &[u8]) {
        let (mut bytes, mut codings) = (bytes.to_vec(), Codings::default());
        let mut boundary = Boundary::new(self.inflates);
        boundary.take(&mut bytes, &mut codings);
        // Usually everything has arrived, and the buffer is freed before the next read.
        let whole = boundary.is_between_messages() && bytes.len() < READ_BYTES;
        let config = WebSocketConfig::default()
            .read_buffer_size(if whole { REST_BYTES } else { READ_BYTES })
            .write_buffer_size(0)
            .max_message_size(Some(self.frame_bytes))
            .max_frame_size(Some(self.frame_bytes));
        let context = WebSocketContext::from_partially_read(bytes, Role::Server, Some(config));
        let (replies, since, incomplete) = (Vec::new(), None, None);
        self.reading = Some(Box::new(Reading { context, boundary, codings, replies, since, incomplete }));
    }

    /// Returns the next message. Before the next call, take the replies and write them, and take the number of
    /// other frames.
    pub(crate) fn poll_next<I: AsyncRead + Unpin>(
        &mut self,
        io: &mut I,
        cx: &mut Context<'_>,
    ) -> Poll<Received> {
        if self.reading.is_none() {
            match ready!(self.poll_begin(io, cx)) {
                Ok(None) => {}
                Ok(Some(received)) => return Poll::Ready(received),
                Err(_) => return Poll::Ready(Received::Gone),
            }
        }
        let Self { reading: Some(reading), heard, .. } = self else {
            return Poll::Ready(Received::Gone);
        };
        let Reading { context, boundary, codings, replies, since, .. } = &mut **reading;
        let mut sync_io = SyncIo { io, cx, boundary, codings, replies, heard };
        let message = match context.read(&mut sync_io) {
            Ok(message) => message,
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                if boundary.others() > 0 {
                    return Poll::Ready(Received::Control);
                }
                if boundary.is_between_messages() {
                    *since = None;
                } else {
                    since.get_or_insert_with(Instant::now);
                }
                self.end();
                return Poll::Pending;
            }
            Err(error) => return Poll::Ready(refusal(&error)),
        };
        // Gets the pong or the reply to a close for this message. It can only fail with `ConnectionClosed`, after
        // that reply.
        let _ = context.flush(&mut sync_io);
        let mut coding = Coding::Plain;
        if message.is_text() || message.is_binary() {
            *since = None;
            coding = codings.next();
        }
        Poll::Ready(match message {
            Message::Binary(bytes) if coding != Coding::Plain => inflated(&bytes, coding, self.frame_bytes),
            Message::Text(text) => Received::Text(text),
            Message::Binary(bytes) => Received::Binary(bytes),
            Message::Close(_) => Received::Close,
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Received::Control,
        })
    }

    /// Waits for the first bytes of a message, with only a buffer on the stack. Returns the message if they are all of it
    /// and nothing else.
    fn poll_begin<I: AsyncRead + Unpin>(
        &mut self,
        io: &mut I,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Option<Received>>> {
        let mut bytes = [const { MaybeUninit::uninit() }; READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut bytes);
        ready!(Pin::new(io).poll_read(cx, &mut buffer))?;
        if buffer.filled().is_empty() {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        self.heard = true;
        let whole = self.whole(buffer.filled());
        if whole.is_none() {
            self.begin(buffer.filled());
        }
        Poll::Ready(Ok(whole))
    }

    /// Returns the message that the bytes are, if they are one and nothing else.
    fn whole(&self, bytes: &[u8]) -> Option<Received> {
        match whole_text(bytes, self.frame_bytes, self.inflates)? {
            (Coding::Plain, text) => Some(Received::Text(String::from_utf8(text).ok()?.into())),
            (coding, compressed) => Some(inflated(&compressed, coding, self.frame_bytes)),
        }
    }

    /// Drops the state machine if it is empty: between two messages, with every reply taken out, a new one is
    /// equivalent.
    fn end(&mut self) {
        self.reading.take_if(|reading| {
            let has_answered = reading.context.can_write() && reading.replies.is_empty();
            has_answered && reading.boundary.is_between_messages()
        });
    }

    /// Counts a large unfinished message among those of all connections. Returns whether there is room for it.
    /// Call it when no more bytes are available.
    pub(crate) fn count_incomplete(&mut self, all: &Incoming, total: usize) -> bool {
        let Some(reading) = &mut self.reading else { return true };
        if reading.boundary.begun() <= READ_BYTES as u64 {
            reading.incomplete = None;
        } else if reading.incomplete.is_none() {
            reading.incomplete = all.begin(self.frame_bytes, total);
            return reading.incomplete.is_some();
        }
        true
    }

    /// Returns since when the rest of a message or of another frame is missing.
    pub(crate) fn waits_since(&self) -> Option<Instant> {
        self.reading.as_ref()?.since
    }

    /// Returns the encoded frames that answer what was read.
    pub(crate) fn take_replies(&mut self) -> Bytes {
        self.reading.as_mut().map(|reading| std::mem::take(&mut reading.replies).into()).unwrap_or_default()
    }

    /// Returns the number of frames that ended no message: control frames and fragments.
    pub(crate) fn take_others(&mut self) -> u32 {
        self.reading.as_mut().map_or(0, |reading| reading.boundary.take_others())
    }

    /// Returns whether any byte was received since the last call.
    pub(crate) fn take_heard(&mut self) -> bool {
        std::mem::take(&mut self.heard)
    }
}

/// Returns a compressed message as it was before, of at most `frame_bytes`.
fn inflated(message: &[u8], coding: Coding, frame_bytes: usize) -> Received {
    match inflate(message, frame_bytes) {
        Ok(bytes) if coding == Coding::Binary => Received::Binary(bytes.into()),
        Ok(bytes) => match Utf8Bytes::try_from(bytes) {
            Ok(text) => Received::Text(text),
            Err(_) => Received::Refused(CloseReason::InvalidUtf8),
        },
        Err(InflateError::TooLarge) => Received::Refused(CloseReason::FrameTooLarge),
        Err(InflateError::Invalid) => Received::Refused(CloseReason::ProtocolError),
    }
}

fn refusal(error: &Error) -> Received {
    use tungstenite::error::ProtocolError;

    match error {
        Error::Io(_)
        | Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Received::Gone,
        Error::Capacity(_) => Received::Refused(CloseReason::FrameTooLarge),
        Error::Utf8(_) => Received::Refused(CloseReason::InvalidUtf8),
        _ => Received::Refused(CloseReason::ProtocolError),
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::socket::sync_io::OTHERS_AT_ONCE;

    /// Returns a client's frame with an all-zero mask, which leaves the payload unchanged.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        assert!(payload.len() < 126);
        let mut bytes = vec![first, 0x80 | payload.len() as u8, 0, 0, 0, 0];
        bytes.extend_from_slice(payload);
        bytes
    }

    async fn next(reader: &mut Reader, mut rest: &[u8]) -> Received {
        poll_fn(|cx| reader.poll_next(&mut rest, cx)).await
    }

    async fn only(bytes: &[u8]) -> Received {
        next(&mut Reader::new(&[], 20, false), bytes).await
    }

    #[tokio::test]
    async fn leftover_bytes_of_the_handshake_come_first() {
        let whole = frame(0x81, b"hello");
        let (head, tail) = whole.split_at(4);
        assert!(
            matches!(next(&mut Reader::new(head, 20, false), tail).await, Received::Text(text) if text.as_str() == "hello")
        );
    }

    #[tokio::test]
    async fn what_breaks_the_protocol_is_named() {
        let refused = |received| match received {
            Received::Refused(reason) => reason.code(),
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(only(&frame(0x81, b"\xff")).await), 1007);
        assert_eq!(refused(only(&frame(0x81, &[b'x'; 21])).await), 1009);
        assert_eq!(refused(only(b"\x81\x01x").await), 1002);
        assert_eq!(refused(only(&frame(0xc1, b"x")).await), 1002);
        assert_eq!(refused(only(&frame(0x83, b"x")).await), 1002);
        assert_eq!(refused(only(&frame(0x80, b"x")).await), 1002);
        assert!(matches!(only(&frame(0x81, &[b'x'; 20])).await, Received::Text(_)));
        assert!(matches!(only(b"").await, Received::Gone));
    }

    #[tokio::test]
    async fn fragments_are_joined_and_their_sum_is_limited() {
        let bytes = [frame(0x01, b"one "), frame(0x89, b""), frame(0x80, b"two")].concat();
        let mut reader = Reader::new(&bytes, 20, false);
        assert!(matches!(next(&mut reader, b"").await, Received::Control));
        assert!(matches!(next(&mut reader, b"").await, Received::Text(text) if text.as_str() == "one two"));
        let bytes = [frame(0x01, &[b'x'; 15]), frame(0x80, &[b'x'; 6])].concat();
        assert!(matches!(only(&bytes).await, Received::Refused(CloseReason::FrameTooLarge)));
    }

    /// The buffer is dropped between messages, and no unfinished message is lost with it.
    #[tokio::test]
    async fn the_buffer_is_let_go_without_losing_a_byte() {
        let large = "x".repeat(2 * READ_BYTES);
        let mut large_frame = vec![0x81, 0xfe];
        large_frame.extend((large.len() as u16).to_be_bytes());
        large_frame.extend([0; 4]);
        large_frame.extend(large.as_bytes());
        let fragments = [frame(0x01, b"one "), frame(0x89, b""), frame(0x80, b"two")].concat();
        let bytes = [&large_frame[..], &fragments, &large_frame, &frame(0x81, b"last")].concat();
        for pause in [1, 2, 7, 1_000, large_frame.len(), large_frame.len() + 3, large_frame.len() + 12] {
            let (mut near, mut far) = tokio::io::duplex(bytes.len());
            let mut reader = Reader::new(&[], 1 << 16, false);
            let mut texts = Vec::new();
            for piece in bytes.chunks(pause) {
                tokio::io::AsyncWriteExt::write_all(&mut far, piece).await.unwrap();
                poll_fn(|cx| {
                    while let Poll::Ready(received) = reader.poll_next(&mut near, cx) {
                        reader.take_replies();
                        reader.take_others();
                        if let Received::Text(text) = received {
                            texts.push(text.as_str().to_owned());
                        }
                    }
                    Poll::Ready(())
                })
                .await;
            }
            assert_eq!(texts, [&large, "one two", &large, "last"], "a pause each {pause}");
            assert!(reader.reading.is_none());
        }
    }

    #[tokio::test]
    async fn replies_are_captured_with_the_message_that_asks_for_them() {
        let bytes = [frame(0x89, b"hi"), frame(0x88, &1000u16.to_be_bytes())].concat();
        let mut reader = Reader::new(&bytes, 20, false);
        assert!(matches!(next(&mut reader, b"").await, Received::Control));
        assert_eq!(reader.take_replies(), &b"\x8a\x02hi"[..]);
        assert!(matches!(next(&mut reader, b"").await, Received::Close));
        assert_eq!(reader.take_replies(), &b"\x88\x02\x03\xe8"[..]);
        assert!(matches!(next(&mut reader, b"").await, Received::Gone));
    }

    #[tokio::test]
    async fn fragments_are_handed_over_a_few_at_a_time() {
        let mut bytes = frame(0x01, b"a");
        (0..10_000).for_each(|_| bytes.extend(frame(0x00, b"")));
        bytes.extend(frame(0x80, b"b"));
        let (mut reader, mut rest) = (Reader::new(&[], 20, false), &bytes[..]);
        let (mut looks, mut others) = (0, 0);
        loop {
            match poll_fn(|cx| reader.poll_next(&mut rest, cx)).await {
                Received::Control => {
                    let count = reader.take_others();
                    assert!(count <= OTHERS_AT_ONCE + READ_BYTES as u32 / 6, "{count} at once");
                    others += count;
                    looks += 1;
                }
                Received::Text(text) => {
                    assert_eq!(text.as_str(), "ab");
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        others += reader.take_others();
        assert_eq!(others, 10_001);
        assert!(looks > 10, "{looks}");
    }

    #[tokio::test]
    async fn large_messages_that_have_begun_share_a_total() {
        let all = Incoming::default();
        let begin = async |len: u16| {
            let mut bytes = vec![0x81, 0xfe];
            bytes.extend(len.to_be_bytes());
            bytes.extend([0; 4]);
            let (mut near, far) = tokio::io::duplex(64);
            let mut reader = Reader::new(&bytes, 60_000, false);
            let read = poll_fn(|cx| Poll::Ready(reader.poll_next(&mut near, cx))).await;
            assert!(read.is_pending());
            (reader, near, far)
        };
        let (mut small, ..) = begin(4_000).await;
        let (mut one, mut near, mut far) = begin(50_000).await;
        let (mut two, ..) = begin(50_000).await;
        assert!(one.count_incomplete(&all, 60_000) && one.count_incomplete(&all, 60_000), "it counts once");
        assert!(!two.count_incomplete(&all, 60_000), "one past the total");
        assert!(small.count_incomplete(&all, 60_000), "a small one does not count");
        let finish = tokio::io::AsyncWriteExt::write_all(&mut far, &[b'x'; 50_000]);
        let read = poll_fn(|cx| one.poll_next(&mut near, cx));
        assert!(matches!(tokio::join!(finish, read).1, Received::Text(_)));
        assert!(
            one.count_incomplete(&all, 60_000) && two.count_incomplete(&all, 60_000),
            "its end makes room"
        );
    }

    /// Returns what the reader of a client with compression finds in the bytes, read whole and byte by byte.
    async fn inflated_from(bytes: &[u8]) -> Vec<String> {
        let found = async |piece: usize| {
            let (mut near, mut far) = tokio::io::duplex(1);
            let mut reader = Reader::new(&[], 2_000, true);
            let writing = async {
                for piece in bytes.chunks(piece) {
                    tokio::io::AsyncWriteExt::write_all(&mut far, piece).await.unwrap();
                }
                drop(far);
            };
            let reading = async {
                let mut found = Vec::new();
                loop {
                    let received = poll_fn(|cx| reader.poll_next(&mut near, cx)).await;
                    reader.take_replies();
                    reader.take_others();
                    found.push(match &received {
                        Received::Control => continue,
                        Received::Text(text) => format!("text {}", text.as_str()),
                        Received::Binary(bytes) => format!("{} bytes", bytes.len()),
                        Received::Refused(reason) => reason.code().to_string(),
                        Received::Close => "close".into(),
                        Received::Gone => "gone".into(),
                    });
                    if !matches!(received, Received::Text(_) | Received::Binary(_)) {
                        return found;
                    }
                }
            };
            tokio::join!(writing, reading).1
        };
        let whole = found(bytes.len()).await;
        assert_eq!(found(1).await, whole);
        whole
    }

    fn deflated(text: &[u8]) -> Vec<u8> {
        crate::socket::deflate::deflate(text, true)
    }

    #[tokio::test]
    async fn compressed_and_plain_messages_come_out_in_order() {
        let long = deflated(&[b'x'; 2_000]);
        let bytes = [
            frame(0xc1, &deflated(b"one")),
            frame(0x81, b"two"),
            frame(0x82, b"three"),
            frame(0xc2, &deflated(b"four")),
            frame(0x89, b"ping"),
            frame(0x41, &long[..3]),
            frame(0x89, b"ping"),
            frame(0x00, &long[3..5]),
            frame(0x80, &long[5..]),
            frame(0xc1, &[0]),
            frame(0x81, b"last"),
        ];
        let long = format!("text {}", "x".repeat(2_000));
        assert_eq!(
            inflated_from(&bytes.concat()).await,
            ["text one", "text two", "5 bytes", "4 bytes", &long, "text ", "text last", "gone"]
        );
    }

    #[tokio::test]
    async fn what_breaks_compression_is_named() {
        for (bytes, code) in [
            (frame(0xc1, &deflated(&[b'x'; 2_001])), "1009"),
            (frame(0xc1, &deflated(b"\xff")), "1007"),
            (frame(0xc1, &deflated("κόσμε".as_bytes().split_last().unwrap().1)), "1007"),
            (frame(0xc1, b"not compressed"), "1002"),
            (frame(0xc1, b""), "1002"),
            (frame(0xc1, &deflated(b"truncated")[..5]), "1002"),
            (frame(0xc9, b""), "1002"),
            (frame(0xc8, b""), "1002"),
            (frame(0xe1, &deflated(b"x")), "1002"),
            (frame(0xc0, b""), "1002"),
            ([frame(0x41, &deflated(b"x")), frame(0xc0, b"")].concat(), "1002"),
            ([frame(0x01, b"x"), frame(0xc0, b"")].concat(), "1002"),
            ([frame(0x41, b"x"), frame(0xc1, b"")].concat(), "1002"),
        ] {
            assert_eq!(inflated_from(&bytes).await, [code], "{bytes:x?}");
        }
    }
}
