//! A load of publishes whose acknowledgements are compared with the log at the end.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::client::Client;

/// The number of concurrent publishes per writer.
const IN_FLIGHT: usize = 8;

/// Acknowledged messages: their nonces and `seq`s.
pub type Acked = Vec<(String, u64)>;

/// Publishes to `general` as fast as possible, until told to stop or until the connection breaks. Repeats
/// retryable errors with the same nonce. Returns what was acknowledged; after a stop, that is everything.
///
/// # Panics
/// If a publish fails for good, or is not answered within `bound`.
pub async fn write(
    mut client: Client,
    prefix: String,
    bound: Duration,
    stop: watch::Receiver<bool>,
) -> Acked {
    let mut acked = Acked::new();
    let mut waiting: HashMap<i64, (String, Instant)> = HashMap::new();
    let mut again: Vec<String> = Vec::new();
    let mut new = (0_u64..).map(|n| format!("{prefix}-{n}"));
    loop {
        while waiting.len() < IN_FLIGHT {
            let next = again.pop().or_else(|| new.next().filter(|_| !*stop.borrow()));
            let Some(nonce) = next else { break };
            let publish = json!({"type": "publish", "channel": "general", "nonce": nonce, "text": nonce});
            let Some(id) = client.try_tell(publish).await else { return acked };
            waiting.insert(id, (nonce, Instant::now()));
        }
        if waiting.is_empty() {
            return acked;
        }
        let Ok(frame) = client.next().await else { return acked };
        if !matches!(frame["type"].as_str(), Some("ok" | "error")) {
            continue;
        }
        let id = frame["id"].as_i64().expect("an answer has its id");
        let (nonce, since) = waiting.remove(&id).expect("an answer has one question");
        assert!(since.elapsed() <= bound, "{nonce} was answered after {:?}: {frame}", since.elapsed());
        if frame["type"] == "ok" {
            acked.push((nonce, frame["seq"].as_u64().expect("a seq")));
        } else {
            assert_eq!(frame["retryable"], true, "{frame}");
            again.push(nonce);
        }
    }
}

/// Checks that the log of `general` has no gap and no duplicate, and has everything acknowledged at its `seq`.
///
/// # Panics
/// If it does not.
pub async fn assert_kept(reader: &mut Client, acked: impl IntoIterator<Item = (String, u64)>) {
    assert_kept_in(reader, "general", acked).await;
}

/// Checks the log of a channel, as [`assert_kept`] does for `general`.
///
/// # Panics
/// If it has a gap or a duplicate, or lacks something acknowledged.
pub async fn assert_kept_in(
    reader: &mut Client,
    channel: &str,
    acked: impl IntoIterator<Item = (String, u64)>,
) {
    let mut by_text = HashMap::new();
    for (at, message) in (1_u64..).zip(read_all(reader, channel).await) {
        assert_eq!(message["seq"], at, "no gap");
        // A message of the load has its nonce as its text, and a reader does not get the nonces of others.
        let text = message["text"].as_str().expect("a text").to_owned();
        assert_eq!(by_text.insert(text, at), None, "no double");
    }
    for (nonce, seq) in acked {
        assert_eq!(by_text.get(&nonce), Some(&seq), "{nonce} is there, in its seq");
    }
}

/// Reads the whole log backwards, and returns it in order.
async fn read_all(client: &mut Client, channel: &str) -> Vec<Value> {
    let mut pages: Vec<Vec<Value>> = Vec::new();
    let mut before = u64::from(u32::MAX);
    loop {
        let page = json!({"type": "history", "channel": channel, "before": before, "limit": 100});
        let mut page = client.patient(page).await;
        let Value::Array(messages) = page["messages"].take() else { panic!("{page}") };
        let oldest = messages.first().and_then(|message| message["seq"].as_u64());
        pages.push(messages);
        match oldest.filter(|_| page["more"] == true) {
            Some(oldest) => before = oldest,
            None => return pages.into_iter().rev().flatten().collect(),
        }
    }
}
