//! A subscription: it begins with a snapshot or a replay, and then reads live events.

use std::sync::Arc;

use bytes::Bytes;

use crate::channel::Channel;
use crate::channel::departures::{announce, leave, list_limit};
use crate::channel::online::Arrival;
use crate::delivery::cursor::{Cursor, Read};
use crate::delivery::handle::{ConnectionHandle, SubscriptionKey};
use crate::delivery::outgoing::Taken;
use crate::delivery::ring::HistoryRing;
use crate::delivery::shard::Shard;
use crate::delivery::subscriber::{Reading, Subscriber};
use crate::engine::Engine;
use crate::engine::access::readable_part;
use crate::limits::share::SubscriptionPlace;
use crate::model::check::Check;
use crate::model::error::Error;
use crate::model::id::{Position, Seq};
use crate::model::membership::ChannelKind;
use crate::model::name::ChannelName;
use crate::model::policy::{Action, Denied};
use crate::protocol::{ChatEvent, Encoder, MessageList, RemovalReason, Reply};
use crate::store::{PageLimit, Replay};

/// A live subscription. Dropping it ends it.
pub(crate) struct Subscription {
    engine: Arc<Engine>,
    pub(crate) key: SubscriptionKey,
    channel: Arc<Channel>,
    subscriber: Arc<Subscriber>,
    shard: Arc<Shard>,
    /// Its place in its user's share.
    _place: SubscriptionPlace,
}

/// A subscription whose answer was not sent yet.
pub(crate) struct PendingSubscription {
    subscription: Subscription,
    /// The cursor where the answer ends.
    start: Cursor,
}

/// Returns the channel with this name, if it is one of the first few that a connection is subscribed to. So the names of those
/// to which people write most need not be looked up. The registry keeps a channel while it has a subscription.
pub(super) fn among_first<'a>(subscriptions: &'a [Subscription], name: &str) -> Option<&'a Arc<Channel>> {
    const FEW: usize = 4;
    let mut channels = subscriptions.iter().take(FEW).map(|subscription| &subscription.channel);
    channels.find(|channel| channel.info.name.as_str() == name)
}

impl PendingSubscription {
    /// Starts the subscription where its answer ends.
    pub(crate) fn go_live(self) -> Subscription {
        self.subscription.subscriber.go_live(self.start);
        self.subscription
    }
}

impl Subscription {
    /// Subscribes, and returns what the client needs to be up to date.
    ///
    /// The subscription is entered before the answer is read, and its cursor is where the answer ends. Events that
    /// are pushed in between are after the cursor, so none is missed and none comes twice.
    pub(crate) async fn begin(
        engine: Arc<Engine>,
        handle: Arc<ConnectionHandle>,
        key: SubscriptionKey,
        name: ChannelName,
        after: Option<Position>,
        limit: usize,
    ) -> Result<(PendingSubscription, Reply), Error> {
        engine.policy.authorize(&handle.identity, Action::Read(&name))?;
        let place = handle.share.subscribe()?;
        let channel = engine.channel(&name).await?;
        let subscription = Self::enter(&engine, handle, place, channel, key)?;
        let handle = Arc::clone(subscription.subscriber.handle());
        let begun = subscription.channel.ring().read().cursor();
        // After the subscription was entered: a removal before it is found here, and a later one finds it.
        let since = subscription.first_readable().await?;
        subscription.catch_up(after.as_ref()).await?;
        let mut start = match &after {
            Some(position) if position.seq.saturating_add(1) >= since => {
                subscription.replay(position).await?
            }
            _ => None,
        };
        if start.is_none() {
            if after.is_some() {
                subscription.engine.monitor.counters.resets.add(1);
            }
            start = Some(subscription.snapshot(limit, since).await?);
        }
        let start = start.expect("invariant: a replay or else a snapshot");
        // The list may be one more that the rings hold.
        engine.registry.trim();
        // A ring that has begun anew has passed over events, and one of them may be a removal.
        if start.cursor.generation != begun.generation && subscription.first_readable().await? != since {
            return Err(Error::no_such_channel());
        }
        // The store may have taken a long time.
        engine.policy.authorize(&handle.identity, Action::Read(&name))?;
        if handle.is_cut_off(&name) {
            return Err(Denied.into());
        }
        if !subscription.subscriber.may_have(start.cursor.seq) {
            return Err(Error::no_such_channel());
        }
        let arrival = subscription.arrive();
        let members = subscription.channel().online().list();
        if arrival == Arrival::New {
            announce(subscription.channel(), handle.identity.user.clone(), true, |other| {
                !Arc::ptr_eq(other, &handle)
            });
        }
        let (epoch, check) = (start.epoch, start.check);
        let head = start.cursor.seq;
        let reply = match start.content {
            Content::Messages(messages, more) => {
                Reply::Snapshot { channel: name, epoch, head, check, messages, more, members }
            }
            Content::Events(events) => Reply::Replay { channel: name, epoch, head, check, events, members },
        };
        Ok((PendingSubscription { subscription, start: start.cursor }, reply))
    }

    /// Enters the subscription with its connection, then with the channel. A right that ends before the first step
    /// is checked after it; one that ends later finds the subscription.
    fn enter(
        engine: &Arc<Engine>,
        handle: Arc<ConnectionHandle>,
        place: SubscriptionPlace,
        channel: Arc<Channel>,
        key: SubscriptionKey,
    ) -> Result<Self, Error> {
        let subscriber = Arc::new(Subscriber::new(handle, Arc::clone(channel.ring()), key));
        let handle = subscriber.handle();
        handle.enter(Arc::clone(&subscriber));
        if let Err(denied) = engine.policy.authorize(&handle.identity, Action::Read(&channel.info.name)) {
            handle.leave(&subscriber);
            return Err(denied.into());
        }
        let shard = channel.subscribe(Arc::clone(&subscriber));
        let others = engine.monitor.counters.subscriptions.enter();
        // From here on, dropping it ends it.
        let subscription =
            Self { engine: Arc::clone(engine), key, channel, subscriber, shard, _place: place };
        if others >= engine.limits.subscriptions_total { Err(Error::overloaded()) } else { Ok(subscription) }
    }

    /// Returns the first event that the user can read now.
    async fn first_readable(&self) -> Result<Seq, Error> {
        match self.channel.info.kind {
            ChannelKind::Open => Ok(0),
            _ => self.engine.first_readable(&self.subscriber.handle().identity, &self.channel.info).await,
        }
    }

    /// Has the ring repaired if it lacks something that is known to be stored: what this node has acknowledged, or what
    /// the client has seen at another node. Whether the client's position is valid is then decided by the store.
    async fn catch_up(&self, after: Option<&Position>) -> Result<(), Error> {
        let is_ahead = |position: &Position| {
            let ring = self.channel.ring().read();
            position.epoch != ring.head().epoch || position.seq > ring.head().seq
        };
        if self.channel.is_behind() || after.is_some_and(is_ahead) {
            self.engine.appends.catch_up(&self.channel).await?;
        }
        Ok(())
    }

    /// Returns the events after the position: all of them, or as many as an answer can have if the ring has the
    /// rest. Returns `None` if the position is not valid or too far back.
    async fn replay(&self, position: &Position) -> Result<Option<Start>, Error> {
        let reader = self.subscriber.handle().reader();
        let most = self.engine.limits.resume_events;
        let bytes = self.engine.limits.answer_bytes;
        {
            let ring = self.channel.ring().read();
            let head = ring.head();
            if head.epoch != position.epoch
                || position.seq > head.seq
                || head.seq - position.seq > most as Seq
            {
                return Ok(None);
            }
            if let Some((frames, cursor)) = ring.frames_after(position, bytes, reader) {
                return Ok(Some(Start::new(&ring, cursor, Content::Events(frames))));
            }
        }
        let limit = PageLimit::new(most, bytes);
        let Replay::Events { events, .. } =
            self.engine.store.after(self.channel.info.id, position, limit).await?
        else {
            return Ok(None);
        };
        let name = &self.channel.info.name;
        let mut page = limit.fill();
        let mut frames = Vec::with_capacity(events.len());
        for event in events {
            let (frame, _) = self.engine.encoder.event(name, &event);
            let variant = frame.variant(reader);
            if !page.take(frame.len(variant) + 1) {
                break;
            }
            frames.push(frame.bytes(variant));
        }
        let reached = position.seq + frames.len() as Seq;
        let ring = self.channel.ring().read();
        if ring.head().epoch != position.epoch || !ring.holds_after(reached) {
            return Ok(None);
        }
        Ok(Some(Start::new(&ring, ring.cursor_at(reached), Content::Events(frames))))
    }

    /// Returns the newest messages in their current state, none of them before `since`.
    async fn snapshot(&self, limit: usize, since: Seq) -> Result<Start, Error> {
        let reader = self.subscriber.handle().reader();
        let (before, start) = {
            let ring = self.channel.ring().read();
            let start = |messages, more| Start::new(&ring, ring.cursor(), Content::Messages(messages, more));
            match ring.newest(limit, reader).filter(|_| since == 0) {
                Some((messages, more)) => return Ok(start(messages, more)),
                // The ring has fewer than requested, since it is bounded in bytes, or may have more than is readable.
                None => (ring.head().seq + 1, start(MessageList::empty(), true)),
            }
        };
        // Edits that the store has already applied come again as events. Applying them twice changes nothing.
        let bytes = self.engine.limits.answer_bytes;
        let limit = PageLimit::new(limit, bytes);
        let page = self.engine.store.messages_before(self.channel.info.id, before, limit).await?;
        let page = readable_part(page, since);
        let (messages, cut) = self.engine.encoder.newest(page.messages, bytes, reader);
        Ok(Start { content: Content::Messages(messages, page.more || cut.is_some()), ..start })
    }

    fn arrive(&self) -> Arrival {
        let limit = list_limit(&self.engine.limits);
        let user = &self.subscriber.handle().identity.user;
        self.engine.open_presence(&self.channel);
        let arrival = self.channel.online().arrive(user, limit);
        if arrival != Arrival::Uncounted {
            // Before a cut can count it out.
            self.engine.count_in(&self.channel, user);
            self.subscriber.set_counted();
        }
        arrival
    }

    /// Returns the channel.
    pub(crate) fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    /// Returns whether it is a subscription to the channel with that name.
    pub(crate) fn is_of(&self, channel: &ChannelName) -> bool {
        self.subscriber.is_of(channel)
    }

    /// Takes up to `limit` new frames while they fit. This handles all earlier marks of the subscription.
    pub(crate) fn read(&mut self, limit: usize, out: &mut Taken<'_>) -> Progress {
        let mut place = self.subscriber.look();
        let (cursor, last) = match place.reading() {
            None => return Progress::Nothing,
            Some(Reading::Live(cursor)) => (cursor, None),
            Some(Reading::UpTo(cursor, seq, reason)) => (cursor, Some((seq, reason))),
        };
        let limit = match last {
            // Its right to read ended before it was answered, or everything up to there was written.
            Some((seq, reason)) if cursor.seq >= seq => return Progress::Ended { seq, reason },
            Some((seq, _)) => limit.min(usize::try_from(seq - cursor.seq).unwrap_or(usize::MAX)),
            None => limit,
        };
        let reader = self.subscriber.handle().reader();
        match self.channel.ring().read().read(cursor, limit, reader, out) {
            Read::Lagged { from, to } => Progress::Lagged { from, to: last.map_or(to, |(seq, _)| seq) },
            Read::Caught(to) | Read::More(to) if last.is_some_and(|(seq, _)| to.seq >= seq) => {
                place.move_to(to);
                last.map_or(Progress::Nothing, |(seq, reason)| Progress::Ended { seq, reason })
            }
            Read::Caught(to) => {
                place.move_to(to);
                Progress::Caught
            }
            Read::More(to) => {
                place.move_to(to);
                Progress::More
            }
        }
    }

    /// Ends the subscription because the right to read has ended: dropping it takes the user off the list of who is
    /// online at once.
    pub(crate) fn cut(&self) {
        self.subscriber.end();
    }
}

/// What a read of a subscription came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing can be read: it was cut off.
    Nothing,
    /// Everything was read.
    Caught,
    /// The budget ran out.
    More,
    /// The ring has moved past the client. The store has the events `from` to `to`.
    Lagged { from: Seq, to: Seq },
    /// Everything was read that the client may have.
    Ended { seq: Seq, reason: RemovalReason },
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.engine.monitor.counters.subscriptions.leave();
        let (handle, channel) = (self.subscriber.handle(), &self.channel);
        let note = |seq| self.engine.tidings.note_removal(handle, channel.info.id, seq);
        if let Some(reason) = self.subscriber.take_end(note) {
            // A removal has ended it, and the client has not read up to there, or was never answered.
            let name = channel.info.name.clone();
            handle.send(Encoder::notice(&ChatEvent::ChannelRemoved { channel: name, reason }));
        }
        let cut_off = self.subscriber.end();
        handle.leave(&self.subscriber);
        channel.unsubscribe(&self.shard, &self.subscriber);
        let user = &handle.identity.user.id;
        if !self.subscriber.take_counted() {
            return;
        }
        self.engine.count_out(channel, user);
        if cut_off {
            // The user arrived while being cut off.
            channel.online().remove(user);
            leave(channel, user, &self.engine.limits);
        } else {
            self.engine.departures.depart(channel, user);
        }
    }
}

/// The start of a subscription.
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
