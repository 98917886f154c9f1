//! A connection's socket, and the buffers of the system for it.

pub(crate) mod boundary;
pub(crate) mod deflate;
pub(crate) mod driver;
pub(crate) mod endpoint;
mod frame;
mod gather;
pub(crate) mod inflate;
pub(crate) mod reader;
pub(crate) mod shared;
mod sync_io;
mod whole;
pub(crate) mod writer;

use std::io;
use std::time::Duration;

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// The least bytes for one direction. With less, no packet of a usual size fits.
const LEAST: usize = 4_096;

/// A socket, as its connection's task uses it.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Unpin {
    /// Sets how the system ends the connection once the socket is dropped.
    fn end_by(&self, end: End);
}

/// How a connection ends whose socket is dropped.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// With a reset: bytes that the peer has not read are freed at once.
    Reset,
    /// As usual for TCP, but the system gives up after this time if the peer does not read.
    Within(Duration),
}

impl End {
    pub(crate) fn set(self, tcp: &TcpStream) {
        let set = match self {
            Self::Reset => tcp.set_zero_linger(),
            Self::Within(time) => give_up_after(tcp, time),
        };
        if let Err(error) = set {
            tracing::debug!(%error, "the system rejected a connection's linger option");
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn give_up_after(tcp: &TcpStream, time: Duration) -> io::Result<()> {
    let millis = u32::try_from(time.as_millis()).unwrap_or(u32::MAX).max(1);
    Ok(sockopt::set_tcp_user_timeout(tcp, millis)?)
}

/// Other systems have their own time-out.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn give_up_after(_: &TcpStream, _: Duration) -> io::Result<()> {
    Ok(())
}

impl Socket for TcpStream {
    fn end_by(&self, end: End) {
        end.set(self);
    }
}

/// The app's own kind of connection, such as one with TLS. The app decides how it ends.
impl Socket for TokioIo<Upgraded> {
    fn end_by(&self, _: End) {}
}

#[cfg(test)]
impl Socket for tokio::io::DuplexStream {
    fn end_by(&self, _: End) {}
}

/// The bytes that the system may hold for the connections of a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buffers {
    /// The most connections.
    pub(crate) connections: usize,
    /// The bytes for all connections.
    pub(crate) total: usize,
    /// The most bytes to send on one connection.
    pub(crate) send: usize,
    /// The most received bytes on one connection.
    pub(crate) receive: usize,
}

impl Buffers {
    /// Returns the share of a connection, if `open` are open.
    ///
    /// Half of the total is divided evenly. The other half is divided by the order of the connections: the n-th
    /// gets a part in proportion to 1/n. So with few connections each has much. The sum never exceeds the total,
    /// since 1/1 + 1/2 + … + 1/n ≤ 1 + ln n, and the n-th oldest open connection found at least n when it was
    /// opened.
    fn share(self, open: usize) -> usize {
        let connections = self.connections.max(1) as f64;
        let half = self.total as f64 / 2.0;
        let turns = open.max(1) as f64 * (1.0 + connections.ln());
        (half / connections + half / turns) as usize
    }

    /// Returns the bytes for sending and for receiving.
    pub(crate) fn of(self, open: usize) -> (usize, usize) {
        let each = self.share(open) / 2;
        (each.min(self.send).max(LEAST), each.min(self.receive).max(LEAST))
    }

    /// Sets the bytes of a connection, if `open` are open.
    pub(crate) fn set(self, tcp: &TcpStream, open: usize) -> io::Result<()> {
        let (send, receive) = self.of(open);
        // Linux doubles the value, for its own part of each packet.
        sockopt::set_socket_send_buffer_size(tcp, send / 2)?;
        sockopt::set_socket_recv_buffer_size(tcp, receive / 2)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_all_connections_are_within_the_total() {
        for (connections, total) in [(25_000, 1 << 30), (100, 10 << 20), (1, 1 << 20)] {
            let buffers = Buffers { connections, total, send: 1 << 18, receive: 1 << 18 };
            let sum: usize = (1..=connections).map(|open| buffers.share(open)).sum();
            assert!(sum <= total, "{connections}: {sum} of {total}");
        }
    }

    #[test]
    fn few_connections_have_the_most_and_many_have_less() {
        let buffers = Buffers { connections: 25_000, total: 1 << 30, send: 1 << 18, receive: 1 << 17 };
        assert_eq!(buffers.of(1), (1 << 18, 1 << 17));
        let (many, all) = (buffers.of(1_000).0, buffers.of(25_000).0);
        assert!((1 << 14..1 << 18).contains(&many) && (LEAST..many).contains(&all), "{many} {all}");
    }
}
