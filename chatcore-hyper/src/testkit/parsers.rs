//! The parsers of what a client sends, for fuzzers.

use std::ops::Range;
use std::task::{Context, Poll, Waker};

use chatcore::FileKind;
use chatcore::protocol::CloseReason;
use http::header::{HeaderMap, HeaderValue};
use tokio::io::{AsyncRead, ReadBuf};

use crate::attachments::{kind, upload};
use crate::error;
use crate::headers::disposition::Disposition;
use crate::headers::range::{Wanted, wanted};
use crate::headers::{accept_encoding, disposition, etag};
use crate::service::handshake;
use crate::socket::reader::{Reader, Received};

/// What the connection's reader found in a client's bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum ReadFrame {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A frame that asks for an answer, such as a ping. Those that ask for none are left out.
    Control {
        /// The answer's bytes on the wire.
        replies: Vec<u8>,
    },
    /// The end of what is read: a close, a refusal or the end of the bytes.
    End {
        /// The code with which the server closes by itself.
        code: Option<u16>,
        /// The answer to a close, as bytes on the wire.
        replies: Vec<u8>,
    },
}

impl ReadFrame {
    /// Returns a number for what it is: below 4 for the kinds that go on, and the code at the end.
    #[must_use]
    pub fn kind(&self) -> u16 {
        match self {
            Self::Text(_) => 0,
            Self::Binary(_) => 1,
            Self::Control { .. } => 2,
            Self::End { code, .. } => code.unwrap_or(3),
        }
    }
}

/// Reads a client's bytes that come in pieces of `piece_bytes`, with messages of at most `frame_bytes`. The last of
/// what is returned is [`ReadFrame::End`].
#[must_use]
pub fn read_frames(bytes: &[u8], piece_bytes: usize, frame_bytes: usize) -> Vec<ReadFrame> {
    let mut io = Pieces { bytes, piece_bytes: piece_bytes.max(1) };
    let mut reader = Reader::new(&[], frame_bytes);
    let mut cx = Context::from_waker(Waker::noop());
    let mut frames = Vec::new();
    loop {
        let Poll::Ready(received) = reader.poll_next(&mut io, &mut cx) else {
            unreachable!("invariant: pieces are always ready")
        };
        let replies = reader.take_replies().to_vec();
        // As a connection does: after so many frames without a message the reader waits for it.
        reader.take_others();
        if matches!(received, Received::Control) && replies.is_empty() {
            continue;
        }
        frames.push(match received {
            Received::Text(text) => ReadFrame::Text(text.as_str().to_owned()),
            Received::Binary(bytes) => ReadFrame::Binary(bytes.to_vec()),
            Received::Control => ReadFrame::Control { replies },
            Received::Close | Received::Gone => ReadFrame::End { code: None, replies },
            Received::Refused(reason) => ReadFrame::End { code: Some(CloseReason::code(reason)), replies },
        });
        if let Some(ReadFrame::End { .. }) = frames.last() {
            return frames;
        }
    }
}

/// Bytes that come a piece at a time.
struct Pieces<'a> {
    bytes: &'a [u8],
    piece_bytes: usize,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let count = self.piece_bytes.min(self.bytes.len()).min(buffer.remaining());
        let (piece, rest) = self.bytes.split_at(count);
        buffer.put_slice(piece);
        self.bytes = rest;
        Poll::Ready(Ok(()))
    }
}

/// Returns the bytes that a `Range` header asks for: `None` for the whole file, an empty range for none of it.
#[must_use]
pub fn range(header: &str, size: u64) -> Option<Range<u64>> {
    match wanted(header, size) {
        Wanted::Whole => None,
        Wanted::Part(part) => {
            assert!(!part.is_empty(), "a part has at least one byte");
            Some(part)
        }
        Wanted::Unsatisfiable => Some(0..0),
    }
}

/// Returns whether `If-None-Match` names `etag`.
#[must_use]
pub fn is_current(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    etag::is_current(headers, etag)
}

/// Returns whether `Accept-Encoding` prefers brotli.
#[must_use]
pub fn prefers_brotli(headers: &HeaderMap) -> bool {
    accept_encoding::prefers_brotli(headers)
}

/// Returns the `Content-Disposition` of a file with this name.
#[must_use]
pub fn content_disposition(name: &str) -> HeaderValue {
    disposition::content_disposition(Disposition::Attachment, name)
}

/// Returns the name that the query of an upload gives the file.
#[must_use]
pub fn file_name(query: &str) -> Option<String> {
    upload::file_name(query).ok()
}

/// Returns what a file is, by its first bytes.
#[must_use]
pub fn inspect(head: &[u8]) -> FileKind {
    kind::inspect(head)
}

/// Returns the status with which a request for a WebSocket is answered.
#[must_use]
pub fn accepts_socket(headers: &HeaderMap) -> u16 {
    handshake::accept(&http::Method::GET, http::Version::HTTP_11, headers)
        .unwrap_or_else(error::HttpError::into_response)
        .status()
        .as_u16()
}
