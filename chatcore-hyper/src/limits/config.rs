//! The time-outs of connections and uploads, and the limits per address.

use std::time::Duration;

use crate::limits::allowance::Allowance;
use crate::limits::incoming::Incoming;
use crate::limits::least_rate::LeastRate;

const MIB: usize = 1 << 20;
const GIB: u64 = 1 << 30;

chatcore::__settings! {
    /// The time-outs of connections and uploads, and the limits per [address](crate::ClientAddress).
    ///
    /// [`chatcore::Limits`] has the limits of sizes and numbers.
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
        /// Whether messages are compressed for clients that offer `permessage-deflate`, as browsers do: answers from
        /// 1 KiB, and other frames from 512 bytes.
        deflate, with_deflate: bool = true;
        /// The time between two WebSocket pings of the server.
        ping_interval, with_ping_interval: Duration = Duration::from_secs(25);
        /// How long a client may be silent, without even a pong, before its connection is dropped.
        silence, with_silence: Duration = Duration::from_secs(60);
        /// How long a message, or any other frame, may take from its first byte to its last, whatever fragments
        /// and pings come meanwhile. Then the connection is closed with 4001. So a message of 64 KiB must come
        /// with at least 1,092 bytes per second.
        message_timeout, with_message_timeout: Duration = Duration::from_secs(60);
        /// The period in which a peer must read enough of the bytes that wait for it. If it reads slower than
        /// [`write_rate`](Self#structfield.write_rate), it is closed with 4001.
        write_timeout, with_write_timeout: Duration = Duration::from_secs(30);
        /// The least rate at which a peer must read waiting bytes, in bytes per second, averaged over a
        /// [`write_timeout`](Self#structfield.write_timeout). 0 means one byte in that time.
        write_rate, with_write_rate: u32 = 1_024;
        /// Bytes of unfinished messages of more than 4 KiB, over all connections. Each counts with the largest
        /// size of a message. A connection that begins a further one is closed with 4000.
        incoming_bytes_total, with_incoming_bytes_total: usize = 256 * MIB;
        /// How long to wait for the last frames to be written and for the peer's close. Then the connection is
        /// reset.
        close_timeout, with_close_timeout: Duration = Duration::from_secs(5);
        /// How long an upload may bring no byte, and how long in total it may be slower than
        /// [`upload_rate`](Self#structfield.upload_rate). Then it is refused.
        upload_idle, with_upload_idle: Duration = Duration::from_secs(30);
        /// The least rate of an upload, in bytes per second while the server waits for it.
        upload_rate, with_upload_rate: u32 = 4_096;
        /// The longest time of an upload.
        upload_timeout, with_upload_timeout: Duration = Duration::from_secs(3_600);
        /// Uploads of one address at the same time.
        uploads_per_address, with_uploads_per_address: usize = 32;
        /// How often one address may begin an upload.
        uploads, with_uploads: Allowance = Allowance::new(200, Duration::from_secs(1));
        /// Bytes that one address can upload per day. They become available again over 24 hours.
        upload_bytes_per_day, with_upload_bytes_per_day: u64 = 20 * GIB;
        /// How often one address may request a WebSocket.
        handshakes, with_handshakes: Allowance = Allowance::new(4_000, Duration::from_millis(5));
        /// WebSockets of one address at the same time. A further one is refused with 429. Behind a proxy
        /// ([`ServerConfig::trust_forwarded`](crate::ServerConfig#structfield.trust_forwarded)), this limits
        /// addresses that
        /// [`ServerConfig::connections_per_address`](crate::ServerConfig#structfield.connections_per_address)
        /// can't tell apart.
        sockets_per_address, with_sockets_per_address: usize = 12_500;
        /// How often one address may send any request, including handshakes and uploads.
        requests, with_requests: Allowance = Allowance::new(10_000, Duration::from_millis(2));
    }
}

impl Config {
    /// Returns the least rate at which a peer must read.
    pub(crate) fn least_rate(&self) -> LeastRate {
        LeastRate { period: self.write_timeout, bytes_per_second: self.write_rate }
    }
}

/// The limits for the connections of one service: its settings, and what the connections hold together.
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
