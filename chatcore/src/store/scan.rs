//! Searching a log without an index: from its end, a bounded part at a time.

use super::{EventStore, Filling, PageLimit, StoreError};
use crate::model::id::{ChannelId, Seq};
use crate::model::message::Message;
use crate::model::query::SearchQuery;

/// The most messages that one call of [`EventStore::search`] looks through without an index.
pub const SEARCH_SCAN: usize = 1_000;

/// The most bytes of texts, about, that one call of [`EventStore::search`] looks through without an index.
pub const SEARCH_BYTES: usize = 4 << 20;

/// What is read, and then compared, in one step.
const PAGE: PageLimit = PageLimit::new(100, 256 << 10);

/// What a search has found so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Messages that match, as they stand now, oldest first.
    pub messages: Vec<Message>,
    /// Where to go on: the messages below this `seq` were not looked through. `None` where none are left.
    pub before: Option<Seq>,
}

/// Looks through the newest messages below `before`, page by page, until `limit` is reached, or [`SEARCH_SCAN`]
/// messages or [`SEARCH_BYTES`] were looked through.
///
/// Texts are compared on tokio's blocking threads, a page at a time, so it needs a tokio runtime.
///
/// # Errors
/// [`StoreError`] if the store can't be read.
pub async fn search_by_scan<S: EventStore + ?Sized>(
    store: &S,
    channel: ChannelId,
    query: &SearchQuery,
    before: Seq,
    limit: PageLimit,
) -> Result<Found, StoreError> {
    let mut look = Look { found: Vec::new(), filling: limit.fill(), before, is_full: false };
    let (mut messages, mut bytes) = (SEARCH_SCAN, SEARCH_BYTES);
    let mut more = true;
    while more && messages > 0 && bytes > 0 && !look.is_full {
        let page = PageLimit { items: PAGE.items.min(messages), ..PAGE };
        let page = store.messages_before(channel, look.before, page).await?;
        messages -= page.messages.len();
        bytes = page.messages.iter().fold(bytes, |left, message| left.saturating_sub(message.text.len()));
        let oldest = page.messages.first().map(|message| message.seq);
        look = look.through(page.messages, query).await?;
        more = page.more || oldest.is_some_and(|oldest| oldest < look.before);
    }
    look.found.reverse();
    Ok(Found { messages: look.found, before: more.then_some(look.before) })
}

/// How far a search has come.
struct Look {
    /// What matches, newest first.
    found: Vec<Message>,
    filling: Filling,
    /// The messages below this `seq` were not looked at.
    before: Seq,
    is_full: bool,
}

impl Look {
    /// Looks through a page from its end, where that holds up no other task.
    async fn through(self, page: Vec<Message>, query: &SearchQuery) -> Result<Self, StoreError> {
        let query = query.clone();
        let look = move || self.look_through(page, &query);
        let looked = tokio::task::spawn_blocking(look).await;
        looked.map_err(|error| StoreError::because("the texts can't be compared", error))
    }

    fn look_through(mut self, page: Vec<Message>, query: &SearchQuery) -> Self {
        for message in page.into_iter().rev() {
            let matches = !message.deleted && query.matches(&message.text);
            if matches && !self.filling.take(message.weight()) {
                self.is_full = true;
                break;
            }
            self.before = message.seq;
            self.found.extend(matches.then_some(message));
            if self.filling.left().items == 0 {
                self.is_full = true;
                break;
            }
        }
        self
    }
}
