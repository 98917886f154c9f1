//! The times that bound a connection and an upload, and what one address may ask for.

use std::time::Duration;

use crate::limits::allowance::Allowance;
use crate::limits::incoming::Incoming;
use crate::limits::pace::LeastRate;
use crate::limits::settings::settings;

const MIB: usize = 1 << 20;
const GIB: u64 = 1 << 30;

settings! {
    /// The times that bound a connection and an upload, and what one [address](crate::ClientAddress) may ask for.
    ///
    /// Sizes and numbers are bounded by [`chatcore::Limits`].
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use chatcore_hyper::Config;
    ///
    /// let config = Config::default()
    ///     .with_ping_interval(Duration::from_secs(10))
    ///     .with_silence(Duration::from_secs(25));
    /// assert_eq!(config.silence, Duration::from_secs(25));
    /// ```
    pub struct Config {
        /// How often the server sends a WebSocket ping.
        ping_interval, with_ping_interval: Duration = Duration::from_secs(25);
        /// How long a client may say nothing, not even a pong, before its connection is dropped.
        silence, with_silence: Duration = Duration::from_secs(60);
        /// How long a message may take from its first bytes to its last, and any other frame, however many fragments
        /// and pings come meanwhile; then the connection is closed with 4001. So a message of 64 KiB has to come at
        /// 1,092 bytes per second or faster.
        message_timeout, with_message_timeout: Duration = Duration::from_secs(60);
        /// How often a peer for which something waits is judged by what it took since: one that took less than
        /// [`write_rate`](Self#structfield.write_rate) is closed with 4001.
        write_timeout, with_write_timeout: Duration = Duration::from_secs(30);
        /// The least that a peer takes of what waits for it, in bytes per second on the average of a
        /// [`write_timeout`](Self#structfield.write_timeout). At 0 it is one byte in that time.
        write_rate, with_write_rate: u32 = 1_024;
        /// Bytes of messages of more than 4 KiB that have begun and not ended, over all connections; such a message
        /// counts as long as one may be. A connection that begins one more is closed with 4000.
        incoming_bytes_total, with_incoming_bytes_total: usize = 256 * MIB;
        /// How long the last frames and the peer's side of the close are waited for; then the connection is reset.
        close_timeout, with_close_timeout: Duration = Duration::from_secs(5);
        /// How long an upload may bring no byte before it is given up, and how long in all it may be slower than
        /// [`upload_rate`](Self#structfield.upload_rate).
        upload_idle, with_upload_idle: Duration = Duration::from_secs(30);
        /// The least that an upload brings, in bytes per second while the server waits for it.
        upload_rate, with_upload_rate: u32 = 4_096;
        /// How long an upload may take in all.
        upload_timeout, with_upload_timeout: Duration = Duration::from_secs(3_600);
        /// Uploads of one address that are running at once.
        uploads_per_address, with_uploads_per_address: usize = 32;
        /// How often one address may begin an upload.
        uploads, with_uploads: Allowance = Allowance::new(200, Duration::from_secs(1));
        /// Bytes that one address uploads in a day; they come back over 24 hours.
        upload_bytes_per_day, with_upload_bytes_per_day: u64 = 20 * GIB;
        /// How often one address may ask for a WebSocket.
        handshakes, with_handshakes: Allowance = Allowance::new(4_000, Duration::from_millis(5));
        /// WebSockets of one address at once; one more is refused with 429. Behind a proxy
        /// ([`ServerConfig::trust_forwarded`](crate::ServerConfig#structfield.trust_forwarded)) it is the bound of
        /// what [`ServerConfig::connections_per_address`](crate::ServerConfig#structfield.connections_per_address)
        /// can't tell apart.
        sockets_per_address, with_sockets_per_address: usize = 12_500;
        /// How often one address may ask for anything, handshakes and uploads included.
        requests, with_requests: Allowance = Allowance::new(10_000, Duration::from_millis(2));
    }
}

impl Config {
    /// Returns how much a peer has to take of what waits for it.
    pub(crate) fn least_rate(&self) -> LeastRate {
        LeastRate { period: self.write_timeout, bytes_per_second: self.write_rate }
    }
}

/// What bounds the connections of one service: its settings, and what they hold together.
#[derive(Debug, Default)]
pub(crate) struct Bounds {
    pub(crate) config: Config,
    pub(crate) incoming: Incoming,
}

impl Bounds {
    pub(crate) fn new(config: Config) -> Self {
        Self { config, incoming: Incoming::default() }
    }
}
