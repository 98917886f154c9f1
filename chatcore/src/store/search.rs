//! Searching a log without an index: from its end, a bounded part at a time.

use super::{EventStore, PageLimit, StoreError};
use crate::id::{ChannelId, Seq};
use crate::message::Message;
use crate::search::SearchQuery;

/// The most messages that one call of [`EventStore::search`] looks through without an index.
pub const SEARCH_SCAN: usize = 1_000;

/// What is read at once meanwhile.
const PAGE: PageLimit = PageLimit::new(100, 512 << 10);

/// What a search has found so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Messages that match, as they stand now, oldest first.
    pub messages: Vec<Message>,
    /// Where to go on: the messages below this `seq` were not looked through. `None` where none are left.
    pub before: Option<Seq>,
}

/// Looks through the newest [`SEARCH_SCAN`] messages below `before`, page by page, until `limit` is reached.
///
/// # Errors
/// [`StoreError`] where the store can't be read.
pub async fn search_by_scan<S: EventStore + ?Sized>(
    store: &S,
    channel: ChannelId,
    query: &SearchQuery,
    mut before: Seq,
    limit: PageLimit,
) -> Result<Found, StoreError> {
    let mut messages = Vec::new();
    let mut found = limit.fill();
    let mut unread = SEARCH_SCAN;
    let mut more = true;
    while more && unread > 0 && found.left().items > 0 {
        let page = PageLimit { items: PAGE.items.min(unread), ..PAGE };
        let page = store.messages_before(channel, before, page).await?;
        unread -= page.messages.len();
        let mut left = page.messages.into_iter().rev();
        for message in left.by_ref() {
            let matches = !message.deleted && query.matches(&message.text);
            if matches && !found.take(message.weight()) {
                messages.reverse();
                return Ok(Found { messages, before: Some(before) });
            }
            before = message.seq;
            messages.extend(matches.then_some(message));
            if found.left().items == 0 {
                break;
            }
        }
        more = page.more || left.next().is_some();
    }
    messages.reverse();
    Ok(Found { messages, before: more.then_some(before) })
}
