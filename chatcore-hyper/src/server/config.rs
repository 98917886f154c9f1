//! The bounds of a server.

use std::time::Duration;

use tokio::net::TcpStream;

use crate::limits::pace::LeastRate;
use crate::limits::settings::settings;
use crate::socket::Buffers;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

settings! {
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
        /// Connections at once, WebSockets among them; more wait to be accepted.
        connections, with_connections: usize = 25_000;
        /// Connections of one address at once; more are closed. It is the address of the connection itself: behind a
        /// proxy, every connection is the proxy's.
        connections_per_address, with_connections_per_address: usize = 12_500;
        /// How many proxies in front are trusted to say where a request comes from, in `X-Forwarded-For` or
        /// `Forwarded`; see [`ClientAddress::behind`](crate::ClientAddress::behind). A header is believed only if
        /// every request passes through as many.
        trust_forwarded, with_trust_forwarded: usize = 0;
        /// Bytes of a request's line and headers.
        header_bytes, with_header_bytes: usize = 16 * KIB;
        /// How long a request's headers may take, and how long a connection may be idle between requests.
        header_timeout, with_header_timeout: Duration = Duration::from_secs(30);
        /// How often a client for which an answer waits is judged by what it took since: one that took less than
        /// [`write_rate`](Self#structfield.write_rate) is cut off.
        write_timeout, with_write_timeout: Duration = Duration::from_secs(30);
        /// The least that a client takes of an answer, in bytes per second on the average of a
        /// [`write_timeout`](Self#structfield.write_timeout). At 0 it is one byte in that time.
        write_rate, with_write_rate: u32 = 1_024;
        /// Bytes that the system may hold of what is sent on one connection and not yet received. Connections get
        /// this as long as there are few, and less the more there are; see
        /// [`buffers_total`](Self#structfield.buffers_total).
        send_buffer, with_send_buffer: usize = 256 * KIB;
        /// Bytes that the system may hold of what was received on one connection and not yet read, in the same way.
        receive_buffer, with_receive_buffer: usize = 256 * KIB;
        /// Bytes that the system may hold in both buffers of all connections.
        buffers_total, with_buffers_total: usize = 768 * MIB;
        /// Whether a connection whose time is up is reset, which frees at once what the system holds for it. Without
        /// it the system goes on for minutes to offer that to a client that does not take it.
        reset, with_reset: bool = true;
        /// How long requests and WebSockets have to end after the shutdown began.
        grace, with_grace: Duration = Duration::from_secs(10);
    }
}

impl ServerConfig {
    /// Bounds what the system may hold for a connection, the `open`-th of those that are open now: for an app that
    /// accepts connections itself. [`serve`](crate::serve) does it for its own.
    pub fn bound(&self, tcp: &TcpStream, open: usize) {
        let Self { connections, send_buffer: send, receive_buffer: receive, buffers_total: total, .. } =
            *self;
        let buffers = Buffers { connections, total, send, receive };
        if let Err(error) = buffers.set(tcp, open) {
            tracing::debug!(%error, "the system rejected the sizes of a connection's buffers");
        }
    }

    /// Returns how much a client has to take of an answer.
    pub(crate) fn least_rate(&self) -> LeastRate {
        LeastRate { period: self.write_timeout, bytes_per_second: self.write_rate }
    }
}
