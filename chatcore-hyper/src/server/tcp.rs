//! An accepted TCP connection with the limits of its server: on the number of connections, on slow clients, and a
//! close that does not lose the last answer.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::limits::least_rate::{LeastRate, Stall};
use crate::limits::permits::Permit;
use crate::socket::shared::TryWrite;
use crate::socket::{End, Socket};

/// How long a finished connection waits for its client to close too.
const LINGER: Duration = Duration::from_secs(2);

/// A TCP connection. It holds its permit among the server's connections until it is closed, also after it has
/// become a WebSocket.
#[derive(Debug)]
pub(crate) struct TcpConnection {
    tcp: TcpStream,
    /// `None` once it is a WebSocket, which has its own rules.
    http: Option<Box<Http>>,
    /// Whether a time-out resets the connection.
    resets: bool,
    _permit: Permit,
}

/// How slow the client may be to read an answer, and to close.
#[derive(Debug)]
struct Http {
    least: LeastRate,
    /// `Some` while the client does not read all of an answer.
    stall: Option<Stall>,
    timer: Option<Pin<Box<Sleep>>>,
    closing: bool,
}

impl Http {
    /// Counts what the client reads, and fails a write if it reads too slowly.
    fn bounded(&mut self, cx: &mut Context<'_>, write: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = &write {
            if let (Ok(taken), Some(stall)) = (written, &mut self.stall) {
                stall.take(*taken);
            }
            return write;
        }
        let Self { least, stall, timer, .. } = self;
        let stall = stall.get_or_insert_with(|| Stall::begin(Instant::now()));
        loop {
            if stall.is_too_slow(*least, Instant::now()) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            let due = stall.due(*least);
            let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
            if timer.deadline() != due {
                timer.as_mut().reset(due);
            }
            ready!(timer.as_mut().poll(cx));
        }
    }
}

impl TcpConnection {
    pub(crate) fn new(tcp: TcpStream, least: LeastRate, resets: bool, permit: Permit) -> Self {
        let http = Http { least, stall: None, timer: None, closing: false };
        Self { tcp, http: Some(Box::new(http)), resets, _permit: permit }
    }

    /// Leaves slow reading and the close to the WebSocket.
    pub(crate) fn into_upgraded(mut self) -> Self {
        self.http = None;
        self
    }

    /// Fails a write, and with it the connection, if the client reads too slowly.
    fn bounded(&mut self, cx: &mut Context<'_>, write: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let Some(http) = &mut self.http else { return write };
        let bounded = http.bounded(cx, write);
        if matches!(&bounded, Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::TimedOut) {
            self.end_by(End::Reset);
        }
        bounded
    }

    /// Reads further bytes and drops them: closing a socket with unread bytes resets it, and the client could lose
    /// an answer such as 413.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(http) = &mut self.http else { return Poll::Ready(()) };
        let timer = http.timer.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + LINGER)));
        if timer.as_mut().poll(cx).is_ready() {
            self.end_by(End::Reset);
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

impl TryWrite for TcpConnection {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.tcp.try_write(bytes)
    }
}

impl AsyncRead for TcpConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buffer)
    }
}

impl AsyncWrite for TcpConnection {
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
        if let Some(http) = self.http.as_mut().filter(|http| !http.closing) {
            // Everything is written.
            http.stall = None;
            http.timer = None;
        }
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.http.as_ref().is_none_or(|http| !http.closing) {
            ready!(Pin::new(&mut self.tcp).poll_shutdown(cx))?;
            if let Some(http) = &mut self.http {
                http.closing = true;
                http.timer = None;
            }
        }
        ready!(self.poll_linger(cx));
        Poll::Ready(Ok(()))
    }
}

impl Socket for TcpConnection {
    fn end_by(&self, end: End) {
        if self.resets || !matches!(end, End::Reset) {
            end.set(&self.tcp);
        }
    }
}

impl Drop for TcpConnection {
    fn drop(&mut self) {
        if self.http.is_some() {
            self.end_by(End::Within(LINGER));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    /// Lets a client read `bytes` of an answer every ten seconds. Returns how long the server waited for it, at
    /// most five minutes.
    async fn lifetime(bytes: usize) -> Duration {
        let begun = Instant::now();
        let least = LeastRate { period: Duration::from_secs(30), bytes_per_second: 1_024 };
        let mut http = Http { least, stall: None, timer: None, closing: false };
        while begun.elapsed() < Duration::from_secs(300) {
            let blocked = poll_fn(|cx| Poll::Ready(http.bounded(cx, Poll::Pending))).await;
            if let Poll::Ready(Err(error)) = blocked {
                assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                break;
            }
            advance(Duration::from_secs(10)).await;
            assert!(poll_fn(|cx| http.bounded(cx, Poll::Ready(Ok(bytes)))).await.is_ok());
        }
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_a_byte_now_and_then_is_cut_off() {
        assert_eq!(lifetime(1).await, Duration::from_secs(30));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_the_least_rate_is_waited_for() {
        assert_eq!(lifetime(10_240).await, Duration::from_secs(300));
    }
}
