//! Searching a log without an index: from its end, a bounded part at a time.

use super::{EventStore, StoreError};
use crate::id::{ChannelId, Seq};
use crate::message::Message;
use crate::search::SearchQuery;

/// The most messages that one call of [`EventStore::search`] looks through without an index.
pub const SEARCH_SCAN: usize = 1_000;

/// Messages read at once meanwhile.
const PAGE: usize = 100;

/// What a search has found so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Messages that match, as they stand now, oldest first.
    pub messages: Vec<Message>,
    /// Where to go on: the messages below this `seq` were not looked through. `None` where none are left.
    pub before: Option<Seq>,
}

/// Looks through the newest [`SEARCH_SCAN`] messages below `before`, page by page, until `limit` are found.
///
/// # Errors
/// [`StoreError`] where the store can't be read.
pub async fn search_by_scan<S: EventStore + ?Sized>(
    store: &S,
    channel: ChannelId,
    query: &SearchQuery,
    mut before: Seq,
    limit: usize,
) -> Result<Found, StoreError> {
    let mut messages = Vec::new();
    for _ in 0..SEARCH_SCAN / PAGE {
        let page = store.messages_before(channel, before, PAGE).await?;
        let mut left = page.messages.into_iter().rev();
        for message in left.by_ref() {
            before = message.seq;
            if !message.deleted && query.matches(&message.text) {
                messages.push(message);
                if messages.len() >= limit {
                    break;
                }
            }
        }
        let more = page.more || left.next().is_some();
        if !more || messages.len() >= limit {
            messages.reverse();
            return Ok(Found { messages, before: more.then_some(before) });
        }
    }
    messages.reverse();
    Ok(Found { messages, before: Some(before) })
}
