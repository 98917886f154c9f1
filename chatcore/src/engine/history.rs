//! A part of a channel's past: before, after or around a message.

use crate::engine::Engine;
use crate::engine::access::readable_part;
use crate::model::id::{ChannelId, Seq};
use crate::model::message::Message;
use crate::protocol::History;
use crate::store::{PageLimit, StoreError};

/// Messages of a channel's past, in two parts, each oldest first. What is cut of them to fit into an answer is cut from
/// the start of the first and from the end of the second.
pub(crate) struct Past {
    pub(crate) older: Vec<Message>,
    pub(crate) newer: Vec<Message>,
    /// Whether there are readable messages before these.
    pub(crate) more: bool,
    /// Whether there are messages after these. `None` if only those before a message were asked for.
    pub(crate) more_after: Option<bool>,
}

impl Engine {
    /// Reads a part of a channel's past, of the messages from `since` on. The parts of a page around a message may belong
    /// to different moments.
    pub(crate) async fn past(
        &self,
        channel: ChannelId,
        history: History,
        limit: PageLimit,
        since: Seq,
    ) -> Result<Past, StoreError> {
        match history {
            History::Before(before) => {
                let page = self.store.messages_before(channel, before, limit).await?;
                let page = readable_part(page, since);
                Ok(Past { older: page.messages, newer: Vec::new(), more: page.more, more_after: None })
            }
            History::After(after) => {
                let after = after.max(since.saturating_sub(1));
                let page = self.store.messages_after(channel, after, limit).await?;
                let last = self.store.messages_before(channel, after.saturating_add(1), PageLimit::new(1, 0));
                let more = last.await?.messages.iter().any(|message| message.seq >= since);
                Ok(Past { older: Vec::new(), newer: page.messages, more, more_after: Some(page.more) })
            }
            History::Around(around) => {
                let around = around.max(since);
                // The message itself belongs to the first half.
                let (half, bytes) = (limit.items / 2, limit.bytes / 2);
                let first = PageLimit::new(limit.items - half, bytes);
                let older = self.store.messages_before(channel, around.saturating_add(1), first).await?;
                let older = readable_part(older, since);
                // A page of no messages would not say whether there are more.
                let mut newer =
                    self.store.messages_after(channel, around, PageLimit::new(half.max(1), bytes)).await?;
                let read = newer.messages.len();
                newer.messages.truncate(half);
                // With one that is larger than its half, the page would be larger than a page can be.
                newer.messages.retain(|message| message.weight() <= bytes);
                let more_after = newer.more || newer.messages.len() < read;
                Ok(Past {
                    older: older.messages,
                    newer: newer.messages,
                    more: older.more,
                    more_after: Some(more_after),
                })
            }
        }
    }
}

impl Past {
    /// Hides the messages before `since`.
    pub(crate) fn hide_before(&mut self, since: Seq) {
        let before = self.older.len() + self.newer.len();
        self.older.retain(|message| message.seq >= since);
        self.newer.retain(|message| message.seq >= since);
        self.more &= self.older.len() + self.newer.len() == before;
    }
}
