//! The times that bound a connection and an upload.

use std::time::Duration;

/// The times that bound a connection and an upload. What bounds sizes and numbers is
/// [`chatcore::Limits`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// How often the server sends a WebSocket ping. Default 25 s.
    pub ping_interval: Duration,
    /// How long a client may say nothing, not even a pong, before its connection is dropped. Default 60 s.
    pub silence: Duration,
    /// How long the peer may take no byte of what waits for it before it is closed with 4001. Default 30 s.
    pub write_timeout: Duration,
    /// How long the last frames and the peer's side of the close are waited for. Default 5 s.
    pub close_timeout: Duration,
    /// How long an upload may bring no byte before it is given up. Default 30 s.
    pub upload_idle: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(25),
            silence: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            close_timeout: Duration::from_secs(5),
            upload_idle: Duration::from_secs(30),
        }
    }
}
