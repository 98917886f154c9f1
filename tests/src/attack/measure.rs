//! Measures what a second client notices: the time from its publish to its own event.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::client::Client;

/// The time between two publishes, which stays below the user's rate.
const PAUSE: Duration = Duration::from_millis(40);

/// The time that a lost event counts as.
const LOST: Duration = Duration::from_secs(10);

/// The times from a publish to its own event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Latency {
    pub(super) p50: Duration,
    pub(super) p99: Duration,
    /// The number of publishes that were refused or not delivered in time.
    pub(super) refused: usize,
}

/// Publishes one message after another for `time`.
pub(super) async fn measure(client: &mut Client, time: Duration) -> Latency {
    let begun = Instant::now();
    let mut times = Vec::new();
    let mut refused = 0;
    while begun.elapsed() < time {
        sleep(PAUSE).await;
        let sent = Instant::now();
        let seen = tokio::time::timeout(LOST, publish(client)).await;
        let taken = sent.elapsed();
        times.push(taken);
        refused += usize::from(seen != Ok(true));
    }
    times.sort_unstable();
    let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)];
    Latency { p50: at(50), p99: at(99), refused }
}

/// Publishes, and waits for the event. Returns whether it arrived.
async fn publish(client: &mut Client) -> bool {
    let text = format!("{:?}", Instant::now());
    let publish = json!({"type": "publish", "channel": "calm", "nonce": text, "text": text});
    let Some(id) = client.try_tell(publish).await else { return false };
    let is_refusal = |frame: &Value| frame["type"] == "error" && frame["id"] == id;
    loop {
        match client.next().await {
            Ok(frame) if frame["type"] == "message" && frame["text"] == text.as_str() => return true,
            Ok(frame) if is_refusal(&frame) => return false,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}
