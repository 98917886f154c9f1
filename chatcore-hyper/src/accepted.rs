//! An accepted TCP connection, with what a server owes it: a bound on their number, on stalls, and a close
//! that does not lose the last answer.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep};

use crate::line::TryWrite;

/// How long a connection that is done waits for its client to close too.
const LINGER: Duration = Duration::from_secs(2);

/// A TCP connection. It holds its place among the server's connections until it is closed, also when it has
/// become a WebSocket.
#[derive(Debug)]
pub(crate) struct Accepted {
    tcp: TcpStream,
    /// How long the client may take nothing; `None` where who uses the connection sees to that.
    write_timeout: Option<Duration>,
    timer: Option<Pin<Box<Sleep>>>,
    closing: bool,
    _place: OwnedSemaphorePermit,
}

impl Accepted {
    pub(crate) fn new(tcp: TcpStream, write_timeout: Duration, place: OwnedSemaphorePermit) -> Self {
        Self { tcp, write_timeout: Some(write_timeout), timer: None, closing: false, _place: place }
    }

    /// Leaves stalls and the close to the WebSocket, which has its own rules.
    pub(crate) fn into_upgraded(mut self) -> Self {
        self.write_timeout = None;
        self.timer = None;
        self
    }

    /// Fails a write that has been waiting for too long.
    fn bounded<T>(&mut self, cx: &mut Context<'_>, write: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let Some(limit) = self.write_timeout else { return write };
        if write.is_ready() {
            self.timer = None;
            return write;
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Reads what still comes and drops it: closing a socket with unread bytes resets it, and the client
    /// might lose an answer such as 413.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        if timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut bytes = [0; 8 * 1024];
        loop {
            let mut buffer = ReadBuf::new(&mut bytes);
            let read = ready!(Pin::new(&mut self.tcp).poll_read(cx, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(());
            }
        }
    }
}

impl TryWrite for Accepted {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.tcp.try_write(bytes)
    }
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.tcp).poll_write(cx, bytes);
        self.bounded(cx, write)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.tcp).poll_write_vectored(cx, slices);
        self.bounded(cx, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closing {
            ready!(Pin::new(&mut self.tcp).poll_shutdown(cx))?;
            self.closing = true;
            self.timer = None;
        }
        if self.write_timeout.is_some() {
            ready!(self.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}
