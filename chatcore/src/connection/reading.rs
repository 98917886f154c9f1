//! Commands that read a channel: history, search, and how far the user has read.

use std::sync::Arc;

use crate::connection::request::SearchMark;
use crate::delivery::handle::ConnectionHandle;
use crate::engine::Engine;
use crate::engine::access::{Readable, readable_part};
use crate::engine::nodes::notice::{Notice, marker};
use crate::model::error::{Error, ErrorCode};
use crate::model::id::Seq;
use crate::model::name::ChannelName;
use crate::model::policy::Action;
use crate::model::query::SearchQuery;
use crate::protocol::{Encoded, Encoder, History, MessageList, Reply, SearchFrom};
use crate::store::{Listed, Page, PageLimit};

/// The most channels that one search over all looks at. The answer says where to go on.
const SEARCHED: usize = 50;

impl Engine {
    pub(super) async fn history(
        &self,
        handle: &ConnectionHandle,
        name: &ChannelName,
        history: History,
        limit: usize,
    ) -> Result<Reply, Error> {
        let Readable { channel, since } = self.readable(&handle.identity, name).await?;
        let limit = PageLimit::new(limit, self.limits.answer_bytes);
        let mut past = self.past(channel.info.id, history, limit, since).await?;
        // The store may have taken a long time, and the right to read may have ended before it read.
        let still = self.first_readable(&handle.identity, &channel.info).await?;
        if still != since {
            past.hide_before(still);
        }
        let (messages, [cut, cut_after]) =
            self.encoder.middle(past.older, past.newer, limit.bytes, handle.reader());
        let more_after = past.more_after.map(|more| more || cut_after);
        Ok(Reply::History { messages, more: past.more || cut, more_after })
    }

    pub(super) async fn search(
        &self,
        handle: &ConnectionHandle,
        name: &ChannelName,
        query: &SearchQuery,
        before: Seq,
        limit: usize,
    ) -> Result<Reply, Error> {
        let channel = self.readable(&handle.identity, name).await?.channel;
        let _turn = self.searches.turn(&handle.identity.user.id).await;
        let _running = self.monitor.counters.searches_running.count();
        let limit = PageLimit::new(limit, self.limits.answer_bytes);
        let found = self.store.search(channel.info.id, query, before, limit).await?;
        let since = self.first_readable(&handle.identity, &channel.info).await?;
        let next = found.before.filter(|next| *next > since);
        let page = readable_part(Page::new(found.messages, false), since);
        let (messages, cut) = self.encoder.newest(page.messages, limit.bytes, handle.reader());
        Ok(Reply::Found { messages, before: cut.or(next).map(SearchFrom::Seq) })
    }

    /// Searches every channel that the user can read, by name, the newest messages of each first.
    pub(super) async fn search_all(
        &self,
        handle: &ConnectionHandle,
        query: &SearchQuery,
        from: Option<SearchMark>,
        limit: usize,
    ) -> Result<Reply, Error> {
        let user = &handle.identity.user.id;
        let limit = PageLimit::new(limit, self.limits.answer_bytes);
        let channels = self.channels_to_search(handle, from.as_ref()).await?;
        let _turn = self.searches.turn(user).await;
        let _running = self.monitor.counters.searches_running.count();
        let mut page = limit.fill();
        let mut encoded: Vec<Encoded> = Vec::new();
        // Nothing is before 0: the last channel of this step was searched.
        let mut next = channels.more.map(|channel| SearchMark { channel, before: 0 });
        for (at, listed) in channels.listed.iter().enumerate() {
            let name = &listed.info.name;
            let before =
                from.as_ref().filter(|from| from.channel == *name).map_or(Seq::MAX, |from| from.before);
            let found = self.store.search(listed.info.id, query, before, page.left()).await?;
            let since = match self.first_readable(&handle.identity, &listed.info).await {
                Ok(since) => since,
                // The right to read it has ended meanwhile.
                Err(error) if matches!(error.code(), ErrorCode::NoSuchChannel | ErrorCode::NotAllowed) => {
                    continue;
                }
                Err(error) => return Err(error),
            };
            let rest = found.before.filter(|rest| *rest > since);
            let readable = readable_part(Page::new(found.messages, false), since).messages;
            let mut cut = None;
            let mut of_channel = Vec::with_capacity(readable.len());
            for message in readable.iter().rev() {
                let object = self.encoder.message_in(name, message);
                if !page.take(object.message_len_for(handle.reader())) {
                    cut = Some(message.seq + 1);
                    break;
                }
                of_channel.push(object);
            }
            of_channel.reverse();
            encoded.extend(of_channel);
            if let Some(before) = cut.or(rest) {
                next = Some(SearchMark { channel: name.clone(), before });
                break;
            }
            if page.left().items == 0
                && let Some(following) = channels.listed.get(at + 1)
            {
                next = Some(SearchMark { channel: following.info.name.clone(), before: Seq::MAX });
                break;
            }
        }
        let messages = MessageList::for_reader(encoded.iter(), handle.reader());
        Ok(Reply::Found { messages, before: next.map(|mark| SearchFrom::Mark(mark.text())) })
    }

    /// Returns the channels that a search over all looks at, from where it goes on.
    async fn channels_to_search(
        &self,
        handle: &ConnectionHandle,
        from: Option<&SearchMark>,
    ) -> Result<Searched, Error> {
        let user = &handle.identity.user.id;
        let mut listed = Vec::new();
        if let Some(from) = from.filter(|from| from.before > 0)
            && let Some(info) = self.store.channel(&from.channel).await?
            && let Some(first) = self.store.listed(user, info.id).await?
        {
            listed.push(first);
        }
        let limit = PageLimit::new(SEARCHED, self.limits.answer_bytes);
        let after = from.map(|from| &from.channel);
        let page = self.store.channels_of(user, after, true, limit).await?;
        let last = page.channels.last().map(|last| last.info.name.clone());
        listed.extend(page.channels);
        let may_read =
            |one: &Listed| self.policy.authorize(&handle.identity, Action::Read(&one.info.name)).is_ok();
        listed.retain(may_read);
        Ok(Searched { listed, more: last.filter(|_| page.more) })
    }

    /// Moves the user's read marker, forward to `seq` or back to before it, and tells their other connections.
    pub(super) async fn mark(
        &self,
        handle: &Arc<ConnectionHandle>,
        name: &ChannelName,
        seq: Seq,
        is_read: bool,
    ) -> Result<Reply, Error> {
        let Readable { channel, .. } = self.readable(&handle.identity, name).await?;
        let (user, id) = (&handle.identity.user.id, channel.info.id);
        let read = match is_read {
            true => self.store.mark_read(user, id, seq).await?,
            false => self.store.mark_unread(user, id, seq).await?,
        };
        self.first_readable(&handle.identity, &channel.info).await?;
        self.connections.send_to_others(handle, name, &Encoder::notice(&marker(name, read, is_read)));
        self.tell_nodes(|| Notice::Marker { user: user.clone(), channel: name.clone(), seq: read, is_read });
        if self.nodes.is_some() || self.connections.of(user).len() > 1 {
            self.tell_counts(&channel.info, [user.clone()]);
        }
        Ok(Reply::Done)
    }
}

/// The channels of one step of a search over all.
struct Searched {
    listed: Vec<Listed>,
    /// If there are more channels: the name after which they are.
    more: Option<ChannelName>,
}
