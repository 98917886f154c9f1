//! Searching a log without an index: from its end, a bounded part per call.

use super::{EventStore, Filling, PageLimit, StoreError};
use crate::model::id::{ChannelId, Seq};
use crate::model::message::Message;
use crate::model::query::SearchQuery;

/// The most messages that one call of [`EventStore::search`] reads without an index.
pub const SEARCH_SCAN: usize = 1_000;

/// About the most bytes of texts that one call of [`EventStore::search`] reads without an index.
pub const SEARCH_BYTES: usize = 4 << 20;

/// What is read and then compared in one step.
const PAGE: PageLimit = PageLimit::new(100, 256 << 10);

/// The results of a search so far.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// Matching messages in their current state, oldest first.
    pub messages: Vec<Message>,
    /// Where to go on: messages before this `seq` were not searched. `None` if none are left.
    pub before: Option<Seq>,
}

impl Found {
    /// Returns these results. `before` says where to go on, if some messages were not searched.
    #[must_use]
    pub fn new(messages: Vec<Message>, before: Option<Seq>) -> Self {
        Self { messages, before }
    }
}

/// Searches the newest messages before `before`, page by page, until it has `limit` results or has searched
/// [`SEARCH_SCAN`] messages or [`SEARCH_BYTES`] of texts.
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

/// The progress of a search.
struct Look {
    /// Matching messages, newest first.
    found: Vec<Message>,
    filling: Filling,
    /// Messages before this `seq` were not searched.
    before: Seq,
    is_full: bool,
}

impl Look {
    /// Searches a page from its end, on a blocking thread.
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
