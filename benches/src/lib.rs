//! What chatcore costs, as answers to written questions: see `README.md`. This crate has what the benches share.

mod driven;

use chatcore::store::Store;
use chatcore::{Chat, Limits, Nonce};

pub use self::driven::Driven;

/// Creates the channel `a`.
pub const CREATE: &str = r#"{"type":"create_channel","id":1,"name":"a"}"#;

/// Subscribes to it, without previous messages.
pub const FOLLOW: &str = r#"{"type":"subscribe","id":2,"channel":"a","limit":0}"#;

/// Subscribes to it, with all previous messages.
pub const OPEN: &str = r#"{"type":"subscribe","id":3,"channel":"a"}"#;

/// Publishes in it.
#[must_use]
pub fn publish(text: &str) -> String {
    let nonce = Nonce::random();
    format!(r#"{{"type":"publish","id":4,"channel":"a","nonce":"{nonce}","text":"{text}"}}"#)
}

/// Returns the median, the upper one of an even number of values; `None` without values.
#[must_use]
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Creates a chat without rate limits that a bench could reach.
pub fn chat(store: impl Store) -> Chat {
    Chat::builder(store).limits(limits()).build()
}

/// Returns limits without rates that a bench could reach.
#[must_use]
pub fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.command_burst = u32::MAX;
    limits.commands_per_second = 1_000_000;
    limits.bytes_per_second = u64::MAX;
    limits.byte_burst = u64::MAX;
    limits.message_bytes_per_day = u64::MAX;
    limits.appends_per_user = usize::MAX;
    limits.subscriptions_per_user = usize::MAX;
    limits.connections_per_user = usize::MAX;
    limits
}
