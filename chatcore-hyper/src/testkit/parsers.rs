//! The parsers of client input, for fuzzers.

use std::ops::Range;
use std::task::{Context, Poll, Waker};

use chatcore::attachments::FileKind;
use chatcore::protocol::CloseReason;
use http::header::{HeaderMap, HeaderValue};
use tokio::io::{AsyncRead, ReadBuf};

use crate::attachments::{kind, upload};
use crate::error;
use crate::headers::disposition::Disposition;
use crate::headers::range::{Wanted, wanted};
use crate::headers::{accept_encoding, disposition, etag, extensions};
use crate::service::handshake;
use crate::socket::reader::{Reader, Received};
use crate::socket::{deflate, inflate};

/// What the connection's reader found in a client's bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum ReadFrame {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A frame that requires a response, such as a ping. Others are left out.
    Control {
        /// The bytes of the response.
        replies: Vec<u8>,
    },
    /// The end of the input: a close frame, a refusal or the end of the bytes.
    End {
        /// The close code, if the server closes on its own.
        code: Option<u16>,
        /// The bytes of the response to a close frame.
        replies: Vec<u8>,
    },
}

impl ReadFrame {
    /// Returns a number for the outcome: below 4 for frames, and the code at the end.
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

/// Reads a client's bytes in pieces of `piece_bytes`, with messages of at most `frame_bytes`, which may be compressed
/// if `inflates` says so. The last returned item is [`ReadFrame::End`].
#[must_use]
pub fn read_frames(bytes: &[u8], piece_bytes: usize, frame_bytes: usize, inflates: bool) -> Vec<ReadFrame> {
    let mut io = Pieces { bytes, piece_bytes: piece_bytes.max(1) };
    let mut reader = Reader::new(&[], frame_bytes, inflates);
    let mut cx = Context::from_waker(Waker::noop());
    let mut frames = Vec::new();
    loop {
        let Poll::Ready(received) = reader.poll_next(&mut io, &mut cx) else {
            unreachable!("invariant: pieces are always ready")
        };
        let replies = reader.take_replies().to_vec();
        // As a connection does: after this many frames without a message, the reader waits for it.
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

/// A reader that returns bytes in pieces.
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

/// Returns the bytes that a `Range` header requests: `None` for the whole file, an empty range if it can't be
/// satisfied.
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

/// Returns whether `If-None-Match` matches `etag`.
#[must_use]
pub fn is_current(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    etag::is_current(headers, etag)
}

/// Returns whether `Accept-Encoding` prefers brotli.
#[must_use]
pub fn prefers_brotli(headers: &HeaderMap) -> bool {
    accept_encoding::prefers_brotli(headers)
}

/// Returns the `Content-Disposition` for a file with this name.
#[must_use]
pub fn content_disposition(name: &str) -> HeaderValue {
    disposition::content_disposition(Disposition::Attachment, name)
}

/// Returns the file name in the query of an upload.
#[must_use]
pub fn file_name(query: &str) -> Option<String> {
    upload::file_name(query).ok()
}

/// Returns the type of a file, by its first bytes.
#[must_use]
pub fn inspect(head: &[u8]) -> FileKind {
    kind::inspect(head)
}

/// Returns the status of the response to a WebSocket request.
#[must_use]
pub fn accepts_socket(headers: &HeaderMap) -> u16 {
    handshake::accept(&http::Method::GET, http::Version::HTTP_11, headers)
        .map_or_else(error::HttpError::into_response, |(response, _)| response)
        .status()
        .as_u16()
}

/// Returns whether a WebSocket request gets compression.
#[must_use]
pub fn accepts_deflate(headers: &HeaderMap) -> bool {
    extensions::accept_deflate(headers).is_some()
}

/// Returns a message as it is compressed for clients.
#[must_use]
pub fn deflate(message: &[u8]) -> Vec<u8> {
    deflate::deflate(message, true)
}

/// Inflates a client's message of at most `most` bytes; `None` if it is refused.
#[must_use]
pub fn inflate(message: &[u8], most: usize) -> Option<Vec<u8>> {
    inflate::inflate(message, most).ok()
}
