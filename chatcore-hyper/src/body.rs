//! The body of an answer.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use chatcore::blob::ByteStream;
use futures::Stream;
use http::{Response, StatusCode};
use http_body::{Frame, SizeHint};

/// The body of an answer of [`ChatService`](crate::ChatService), or of an app's own routes: empty, bytes in memory, or
/// bytes as they are read.
#[derive(Default)]
pub struct Body(Kind);

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Whole(Bytes),
    /// Bytes until the stream ends.
    Chunks(Mutex<ByteStream>),
    Stream {
        /// Only ever reached through `&mut`: the lock makes the body `Sync`, which some frameworks ask for.
        bytes: Mutex<ByteStream>,
        left: u64,
    },
}

impl Body {
    /// Returns an empty body.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Streams bytes of unknown length, until the stream ends. An error of the stream breaks the connection, so that a
    /// client does not take a part for the whole.
    #[must_use]
    pub fn chunks(bytes: ByteStream) -> Self {
        Self(Kind::Chunks(Mutex::new(bytes)))
    }

    /// Streams exactly `length` bytes. Fewer are an error, which breaks the connection.
    pub(crate) fn stream(bytes: ByteStream, length: u64) -> Self {
        Self(Kind::Stream { bytes: Mutex::new(bytes), left: length })
    }
}

/// Returns a 204 answer without a body.
pub(crate) fn no_content() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

fn stream(bytes: &mut Mutex<ByteStream>) -> Pin<&mut (dyn Stream<Item = io::Result<Bytes>> + Send)> {
    bytes.get_mut().unwrap_or_else(PoisonError::into_inner).as_mut()
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(if bytes.is_empty() { Kind::Empty } else { Kind::Whole(bytes) })
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let (next, step) = match std::mem::take(&mut self.0) {
            Kind::Empty => (Kind::Empty, Poll::Ready(None)),
            Kind::Whole(bytes) => (Kind::Empty, Poll::Ready(Some(Ok(Frame::data(bytes))))),
            Kind::Stream { left: 0, .. } => (Kind::Empty, Poll::Ready(None)),
            Kind::Chunks(mut bytes) => match stream(&mut bytes).poll_next(cx) {
                Poll::Pending => (Kind::Chunks(bytes), Poll::Pending),
                Poll::Ready(Some(Ok(chunk))) => {
                    (Kind::Chunks(bytes), Poll::Ready(Some(Ok(Frame::data(chunk)))))
                }
                Poll::Ready(Some(Err(error))) => (Kind::Empty, Poll::Ready(Some(Err(error)))),
                Poll::Ready(None) => (Kind::Empty, Poll::Ready(None)),
            },
            Kind::Stream { mut bytes, left } => match stream(&mut bytes).poll_next(cx) {
                Poll::Pending => (Kind::Stream { bytes, left }, Poll::Pending),
                Poll::Ready(Some(Ok(chunk))) => match left.checked_sub(chunk.len() as u64) {
                    Some(left) => (Kind::Stream { bytes, left }, Poll::Ready(Some(Ok(Frame::data(chunk))))),
                    None => (Kind::Empty, Poll::Ready(Some(Err(io::ErrorKind::InvalidData.into())))),
                },
                Poll::Ready(Some(Err(error))) => (Kind::Empty, Poll::Ready(Some(Err(error)))),
                Poll::Ready(None) => {
                    (Kind::Empty, Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))))
                }
            },
        };
        self.0 = next;
        step
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Kind::Empty | Kind::Stream { left: 0, .. })
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Stream { left, .. } => SizeHint::with_exact(*left),
            Kind::Chunks(_) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", http_body::Body::size_hint(self).lower())
    }
}

/// Fails to compile if a body can't be shared between threads.
#[cfg(test)]
const _: fn() = || {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Body>();
};
