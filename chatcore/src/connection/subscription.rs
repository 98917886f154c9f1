//! A connection's place in one channel: it begins with a snapshot or a replay, and reads on from there.

use std::sync::Arc;

use bytes::Bytes;

use crate::channel::Channel;
use crate::channel::members::{Arrival, announce, leave, list_limit};
use crate::delivery::handle::{Link, SubscriptionKey};
use crate::delivery::ring::{Cursor, HistoryRing, Read, Room};
use crate::delivery::shard::Slice;
use crate::delivery::subscriber::Follower;
use crate::engine::Core;
use crate::limits::share::Follows;
use crate::model::check::Check;
use crate::model::error::Error;
use crate::model::id::{Position, Seq};
use crate::model::name::ChannelName;
use crate::model::policy::{Action, Denied};
use crate::protocol::{MessageList, Reply};
use crate::store::{PageLimit, Replay};

/// A live subscription. Dropping it ends it.
pub(crate) struct Follow {
    core: Arc<Core>,
    pub(crate) key: SubscriptionKey,
    follower: Arc<Follower>,
    slice: Arc<Slice>,
    /// Its place in its user's share.
    _place: Follows,
}

/// A subscription whose answer is not handed out yet.
pub(crate) struct Begun {
    follow: Follow,
    /// Where the answer ends.
    start: Cursor,
}

impl Begun {
    /// Lets the subscription run, from where its answer ends.
    pub(crate) fn go_live(self) -> Follow {
        self.follow.follower.go_live(self.start);
        self.follow
    }
}

impl Follow {
    /// Subscribes, and answers with what the client needs to be level with the log.
    ///
    /// The subscription is entered before the answer is read, and its cursor is where the answer ends: what is
    /// pushed in between is after the cursor, so nothing is missed and nothing comes twice.
    pub(crate) async fn begin(
        core: Arc<Core>,
        link: Arc<Link>,
        key: SubscriptionKey,
        name: ChannelName,
        after: Option<Position>,
        limit: usize,
    ) -> Result<(Begun, Reply), Error> {
        core.policy.authorize(&link.identity, Action::Read(&name))?;
        let place = link.share.subscribe()?;
        let channel = core.channel(&name).await?;
        let follow = Self::enter(&core, link, place, channel, key)?;
        let mut start = match &after {
            Some(position) => follow.replay(position).await?,
            None => None,
        };
        if start.is_none() {
            if after.is_some() {
                follow.core.monitor.counters.resets.add(1);
            }
            start = Some(follow.snapshot(limit).await?);
        }
        // The store may have taken its time.
        let link = Arc::clone(follow.follower.link());
        core.policy.authorize(&link.identity, Action::Read(&name))?;
        if link.is_cut_off(&name) {
            return Err(Denied.into());
        }
        let arrival = follow.arrive();
        let start = start.expect("invariant: a replay or else a snapshot");
        let members = follow.channel().members().list();
        if arrival == Arrival::New {
            announce(follow.channel(), link.identity.user.clone(), true, |other| !Arc::ptr_eq(other, &link));
        }
        let (epoch, check) = (start.epoch, start.check);
        let head = start.cursor.seq;
        let reply = match start.content {
            Content::Messages(messages, more) => {
                Reply::Snapshot { channel: name, epoch, head, check, messages, more, members }
            }
            Content::Events(events) => Reply::Replay { channel: name, epoch, head, check, events, members },
        };
        Ok((Begun { follow, start: start.cursor }, reply))
    }

    /// Enters the subscription with its connection, then with the channel. A right that ends before the first step is
    /// asked for after it; one that ends later finds the subscription.
    fn enter(
        core: &Arc<Core>,
        link: Arc<Link>,
        place: Follows,
        channel: Arc<Channel>,
        key: SubscriptionKey,
    ) -> Result<Self, Error> {
        let follower = Arc::new(Follower::new(link, channel, key));
        let (link, channel) = (follower.link(), follower.channel());
        link.enter(Arc::clone(&follower));
        if let Err(denied) = core.policy.authorize(&link.identity, Action::Read(&channel.info.name)) {
            link.leave(&follower);
            return Err(denied.into());
        }
        let slice = channel.follow(Arc::clone(&follower));
        let others = core.monitor.counters.subscriptions.enter();
        // From here on dropping it ends it.
        let follow = Self { core: Arc::clone(core), key, follower, slice, _place: place };
        if others >= core.limits.subscriptions_total { Err(Error::overloaded()) } else { Ok(follow) }
    }

    /// Returns the events after the position: all, or as many as an answer carries, where the ring holds what comes
    /// after them. `None` where there is no such position any more, or it is too far back.
    async fn replay(&self, position: &Position) -> Result<Option<Start>, Error> {
        let most = self.core.limits.resume_events;
        let bytes = self.core.limits.answer_bytes;
        {
            let ring = self.channel().ring();
            let head = ring.head();
            if head.epoch != position.epoch
                || position.seq > head.seq
                || head.seq - position.seq > most as Seq
            {
                return Ok(None);
            }
            if let Some((frames, cursor)) = ring.frames_after(position, bytes) {
                return Ok(Some(Start::new(&ring, cursor, Content::Events(frames))));
            }
        }
        let limit = PageLimit::new(most, bytes);
        let Replay::Events { events, .. } =
            self.core.store.after(self.channel().info.id, position, limit).await?
        else {
            return Ok(None);
        };
        let name = &self.channel().info.name;
        let mut page = limit.fill();
        let mut frames = Vec::with_capacity(events.len());
        for event in events {
            let frame = self.core.encoder.event(name, &event).frame;
            if !page.take(frame.len() + 1) {
                break;
            }
            frames.push(frame);
        }
        let reached = position.seq + frames.len() as Seq;
        let ring = self.channel().ring();
        if ring.head().epoch != position.epoch || !ring.holds_after(reached) {
            return Ok(None);
        }
        Ok(Some(Start::new(&ring, ring.cursor_at(reached), Content::Events(frames))))
    }

    /// Returns the newest messages as they stand now.
    async fn snapshot(&self, limit: usize) -> Result<Start, Error> {
        let (before, start) = {
            let ring = self.channel().ring();
            let start = |messages, more| Start::new(&ring, ring.cursor(), Content::Messages(messages, more));
            match ring.newest(limit) {
                Some((messages, more)) => return Ok(start(messages, more)),
                // The ring holds fewer than asked, being bounded in bytes.
                None => (ring.head().seq + 1, start(MessageList::new([].iter()), true)),
            }
        };
        // Edits that the store has folded in already come again as events: folding them twice changes nothing.
        let bytes = self.core.limits.answer_bytes;
        let limit = PageLimit::new(limit, bytes);
        let page = self.core.store.messages_before(self.channel().info.id, before, limit).await?;
        let (messages, cut) = self.core.encoder.newest(page.messages, bytes);
        Ok(Start { content: Content::Messages(messages, page.more || cut.is_some()), ..start })
    }

    fn arrive(&self) -> Arrival {
        let limit = list_limit(&self.core.limits);
        let arrival = self.channel().members().arrive(&self.follower.link().identity.user, limit);
        if arrival != Arrival::Uncounted {
            self.follower.set_counted();
        }
        arrival
    }

    /// Returns the channel.
    pub(crate) fn channel(&self) -> &Arc<Channel> {
        self.follower.channel()
    }

    /// Says whether it is a subscription to the channel of that name.
    pub(crate) fn is_of(&self, channel: &ChannelName) -> bool {
        self.follower.is_of(channel)
    }

    /// Copies up to `limit` frames that the client has not had, as long as there is room. Whoever marked the
    /// subscription before is answered by this. `None` if the subscription was cut off.
    pub(crate) fn read(&mut self, limit: usize, room: &mut Room, out: &mut Vec<Bytes>) -> Option<Read> {
        let mut cursor = self.follower.look();
        let read = self.channel().ring().read((*cursor)?, limit, room, out);
        if let Read::Caught(to) | Read::More(to) = read {
            *cursor = Some(to);
        }
        Some(read)
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        self.core.monitor.counters.subscriptions.leave();
        let cut_off = self.follower.end();
        let (link, channel) = (self.follower.link(), self.follower.channel());
        link.leave(&self.follower);
        channel.unfollow(&self.slice, &self.follower);
        let user = &link.identity.user.id;
        if !self.follower.take_counted() {
            return;
        }
        if cut_off {
            // It arrived while it was cut off.
            channel.members().remove(user);
            leave(channel, user, &self.core.limits);
        } else {
            self.core.departures.depart(channel, user);
        }
    }
}

/// What a subscription begins with.
struct Start {
    epoch: crate::model::id::Epoch,
    check: Option<Check>,
    cursor: Cursor,
    content: Content,
}

enum Content {
    /// The newest messages, and whether there are older ones.
    Messages(MessageList, bool),
    Events(Vec<Bytes>),
}

impl Start {
    fn new(ring: &HistoryRing, cursor: Cursor, content: Content) -> Self {
        Self { epoch: ring.head().epoch.clone(), check: ring.check_at(cursor.seq), cursor, content }
    }
}
