//! The limits of a server.

use std::time::Duration;

use tokio::net::TcpStream;

use crate::limits::least_rate::LeastRate;
use crate::socket::Buffers;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

chatcore::__settings! {
    /// The bounds of a server: how many connections it holds, for how long, and how much memory they take.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use chatcore_hyper::ServerConfig;
    ///
    /// let config = ServerConfig::default().with_connections(1_000).with_grace(Duration::from_secs(30));
    /// assert_eq!(config.connections, 1_000);
    /// ```
    pub struct ServerConfig {
        /// Connections at the same time, including WebSockets. Further ones wait to be accepted.
        connections, with_connections: usize = 25_000;
        /// Connections of one address at the same time. Further ones are closed. The address is that of the
        /// connection itself: behind a proxy, every connection has the proxy's.
        connections_per_address, with_connections_per_address: usize = 12_500;
        /// The number of trusted proxies in front, which add a client's address to `X-Forwarded-For` or
        /// `Forwarded`. See [`ClientAddress::behind`](crate::ClientAddress::behind). Every request must pass
        /// through all of them.
        trust_forwarded, with_trust_forwarded: usize = 0;
        /// Bytes of a request's line and headers.
        header_bytes, with_header_bytes: usize = 16 * KIB;
        /// The longest time to receive a request's headers, and for a connection to be idle between requests.
        header_timeout, with_header_timeout: Duration = Duration::from_secs(30);
        /// The period in which a client must read enough of an answer that waits for it. If it reads slower than
        /// [`write_rate`](Self#structfield.write_rate), it is cut off.
        write_timeout, with_write_timeout: Duration = Duration::from_secs(30);
        /// The least rate at which a client must read an answer, in bytes per second, averaged over a
        /// [`write_timeout`](Self#structfield.write_timeout). 0 means one byte in that time.
        write_rate, with_write_rate: u32 = 1_024;
        /// Bytes that the system may hold of sent data that the client has not received, per connection. With many
        /// connections each gets less; see [`buffers_total`](Self#structfield.buffers_total).
        send_buffer, with_send_buffer: usize = 256 * KIB;
        /// Bytes that the system may hold of received data that is not read yet, per connection, in the same way.
        receive_buffer, with_receive_buffer: usize = 256 * KIB;
        /// Bytes that the system may hold in both buffers of all connections.
        buffers_total, with_buffers_total: usize = 768 * MIB;
        /// Whether a connection that reaches a time-out is reset, so that the system frees its buffers at once.
        /// Otherwise the system keeps offering them for minutes to a client that does not read.
        reset, with_reset: bool = true;
        /// How long requests and WebSockets may take to end after the shutdown began.
        grace, with_grace: Duration = Duration::from_secs(10);
    }
}

impl ServerConfig {
    /// Limits the system's buffers of a connection, the `open`-th of those that are open now: for an app that
    /// accepts connections itself. [`serve`](crate::serve) does this for its own.
    pub fn bound(&self, tcp: &TcpStream, open: usize) {
        let Self { connections, send_buffer: send, receive_buffer: receive, buffers_total: total, .. } =
            *self;
        let buffers = Buffers { connections, total, send, receive };
        if let Err(error) = buffers.set(tcp, open) {
            tracing::debug!(%error, "the system rejected the sizes of a connection's buffers");
        }
    }

    /// Returns the least rate at which a client must read an answer.
    pub(crate) fn least_rate(&self) -> LeastRate {
        LeastRate { period: self.write_timeout, bytes_per_second: self.write_rate }
    }
}
