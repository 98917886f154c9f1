//! The times that bound a connection and an upload, and what one address may ask for.

use std::time::Duration;

use crate::limits::allowance::Allowance;
use crate::limits::incoming::Incoming;
use crate::limits::pace::LeastRate;

/// The times that bound a connection and an upload, and what one [address](crate::ClientAddress) may ask for. What bounds sizes and numbers is
/// [`chatcore::Limits`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// How often the server sends a WebSocket ping. Default 25 s.
    pub ping_interval: Duration,
    /// How long a client may say nothing, not even a pong, before its connection is dropped. Default 60 s.
    pub silence: Duration,
    /// How long a message may take from its first bytes to its last, and any other frame, however many fragments and
    /// pings come meanwhile; then the connection is closed with 4001. So a message of 64 KiB comes at 1,092 bytes a
    /// second at the least. Default 60 s.
    pub message_timeout: Duration,
    /// How often a peer for which something waits is judged by what it took since: one that took less than
    /// [`write_rate`](Self::write_rate) is closed with 4001. Default 30 s.
    pub write_timeout: Duration,
    /// The least that a peer takes of what waits for it, in bytes a second on the average of a
    /// [`write_timeout`](Self::write_timeout). At 0 it is one byte in that time. Default 1,024.
    pub write_rate: u32,
    /// Bytes of messages of more than 4 KiB that have begun and not ended, over all connections; such a message
    /// counts as long as one may be. A connection that begins one more is closed with 4000. Default 256 MiB.
    pub incoming_bytes_total: usize,
    pub(crate) incoming: Incoming,
    /// How long the last frames and the peer's side of the close are waited for; then the connection is reset.
    /// Default 5 s.
    pub close_timeout: Duration,
    /// How long an upload may bring no byte before it is given up, and how long in all it may be slower than
    /// [`upload_rate`](Self::upload_rate). Default 30 s.
    pub upload_idle: Duration,
    /// The least that an upload brings, in bytes a second while the server waits for it. Default 4,096.
    pub upload_rate: u32,
    /// How long an upload may take in all. Default 1 hour.
    pub upload_timeout: Duration,
    /// Uploads of one address that are running at once. Default 32.
    pub uploads_per_address: usize,
    /// How often one address may begin an upload. Default 200 at once, then one a second.
    pub uploads: Allowance,
    /// Bytes that one address uploads in a day; they come back over 24 hours. Default 20 GiB.
    pub upload_bytes_per_day: u64,
    /// How often one address may ask for a WebSocket. Default 4,000 at once, then 200 a second.
    pub handshakes: Allowance,
    /// WebSockets of one address at once; one more is refused with 429. Behind a proxy
    /// ([`Server::trust_forwarded`](crate::Server::trust_forwarded)) it is the bound of what
    /// [`Server::connections_per_address`](crate::Server::connections_per_address) can't tell apart. Default 12,500.
    pub sockets_per_address: usize,
    /// How often one address may ask for anything, handshakes and uploads among it. Default 10,000 at once, then 500 a
    /// second.
    pub requests: Allowance,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(25),
            silence: Duration::from_secs(60),
            message_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            write_rate: 1_024,
            incoming_bytes_total: 256 << 20,
            incoming: Incoming::default(),
            close_timeout: Duration::from_secs(5),
            upload_idle: Duration::from_secs(30),
            upload_rate: 4_096,
            upload_timeout: Duration::from_secs(3_600),
            uploads_per_address: 32,
            uploads: Allowance::new(200, Duration::from_secs(1)),
            upload_bytes_per_day: 20 << 30,
            handshakes: Allowance::new(4_000, Duration::from_millis(5)),
            sockets_per_address: 12_500,
            requests: Allowance::new(10_000, Duration::from_millis(2)),
        }
    }
}

impl Config {
    /// Returns how much a peer has to take of what waits for it.
    pub(crate) fn least_rate(&self) -> LeastRate {
        LeastRate { period: self.write_timeout, bytes_per_second: self.write_rate }
    }
}
