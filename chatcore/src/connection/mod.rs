//! A participant's running session: frames and commands come in; answers, notices and log events go out.

mod admission;
pub(crate) mod checks;
mod commands;
pub(crate) mod joined;
mod listing;
mod members;
pub(crate) mod mentions;
mod queue;
mod reading;
mod request;
mod review;
mod short_queue;
mod subscription;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::channel::Manner;
use crate::connection::admission::Admission;
use crate::connection::commands::not_subscribed;
use crate::connection::joined::Joined;
use crate::connection::queue::{Started, UnderWay, Waiting};
use crate::connection::short_queue::ShortQueue;
use crate::connection::subscription::{Progress, Subscription, among_first};
use crate::delivery::handle::{ConnectionHandle, SubscriptionKey};
use crate::delivery::outgoing::{Outgoing, Taken};
use crate::delivery::outlet::Outlet;
use crate::delivery::wake::FEW;
use crate::engine::Engine;
use crate::engine::nodes::notice::Notice;
use crate::engine::tidings::Tiding;
use crate::model::error::Error;
use crate::model::id::ChannelId;
use crate::model::moment::Moment;
use crate::model::name::ChannelName;
use crate::model::policy::{Action, Denied, Identity};
use crate::model::query::QUERY_CHARS;
use crate::protocol::{ChatEvent, ClientLimits, CloseReason, Command, ConnectError, Encoder, Form, VERSION};

/// The most frames that one poll gives to the transport.
const FRAMES_PER_POLL: usize = 64;

/// A participant's running session, for a transport to drive from one task.
///
/// A transport does three things:
///
/// - It passes on what the client sends: [`receive`](Self::receive), [`heard`](Self::heard).
/// - It stops reading while the connection [`is_full`](Self::is_full) or [is silent](Self::silent_until).
/// - It writes what [`poll_outgoing`](Self::poll_outgoing) returns.
///
/// Dropping it leaves the chat. An accepted publish goes on without it.
pub struct Connection {
    engine: Arc<Engine>,
    handle: Arc<ConnectionHandle>,
    admission: Admission,
    /// Commands that wait for earlier ones, in order. `None` if there are none.
    #[expect(clippy::box_collection, reason = "an idle connection has none")]
    waiting: Option<Box<VecDeque<Waiting>>>,
    /// Commands that are running, or are answered after one that is, in order.
    started: ShortQueue<UnderWay>,
    /// Bytes of both.
    command_bytes: usize,
    /// In the order of their keys.
    subscriptions: Vec<Subscription>,
    next_key: SubscriptionKey,
    /// Subscriptions that may have new events.
    ready: VecDeque<SubscriptionKey>,
    closing: Option<CloseReason>,
    /// The open channels to which it has published, which its user has joined.
    joined: Option<Box<Joined>>,
}

impl Connection {
    pub(crate) fn open(engine: Arc<Engine>, identity: Identity) -> Result<Self, ConnectError> {
        let monitor = Arc::clone(&engine.monitor);
        let user = identity.user.id.clone();
        let opened = Self::enter(engine, identity);
        match &opened {
            Ok(_) => monitor.counters.connections_opened.add(1),
            Err(error) => {
                monitor.counters.closed(error.close_reason());
                if *error == ConnectError::Overloaded {
                    monitor
                        .failures
                        .limited("a connection over the limit was refused", format_args!("user {user}"));
                }
            }
        }
        opened
    }

    fn enter(engine: Arc<Engine>, mut identity: Identity) -> Result<Self, ConnectError> {
        // The session itself needs the name only: the avatar is with the stored user.
        let user = identity.user.clone();
        identity.user.forget_avatar();
        if engine.is_draining() {
            return Err(ConnectError::Draining);
        }
        let now = Moment::now();
        let share = engine.shares.of(&identity.user.id, now);
        let handle = Arc::new(ConnectionHandle::new(identity, share, &engine.mailboxes));
        engine.connections.enter(&handle, &engine.limits)?;
        // A drain that began in between has not seen this connection.
        if engine.is_draining() {
            engine.connections.leave(&handle);
            return Err(ConnectError::Draining);
        }
        // After entering: an erasure either finds this connection, or is found here.
        if engine.encoder.names().has(&user.id) {
            engine.connections.leave(&handle);
            return Err(ConnectError::Disconnected(CloseReason::SignedOut));
        }
        let seen = Tiding::Seen(user.clone());
        handle.send(Encoder::notice(&ChatEvent::Welcome {
            version: VERSION,
            user,
            limits: ClientLimits {
                frame_bytes: engine.limits.frame_bytes,
                text_chars: engine.limits.text_chars,
                text_bytes: engine.limits.text_bytes(),
                attachment_bytes: engine.blobs.as_ref().map_or(0, |_| engine.limits.attachment_bytes),
                attachments: engine.limits.attachments,
                topic_chars: engine.limits.topic_chars,
                query_chars: QUERY_CHARS,
            },
        }));
        // After the welcome: it closes a connection of somebody who was erased long ago.
        engine.tell_soon(seen);
        Ok(Self {
            admission: Admission::new(now),
            engine,
            handle,
            waiting: None,
            started: ShortQueue::new(),
            command_bytes: 0,
            subscriptions: Vec::new(),
            next_key: 0,
            ready: VecDeque::new(),
            closing: None,
            joined: None,
        })
    }

    /// Has the user join an open channel to which they publish, unless this connection remembers that they did.
    fn join_by_publishing(&mut self, channel: ChannelId) {
        if self.handle.take_joined_stale() {
            self.joined = None;
        }
        let joined = self.joined.get_or_insert_with(|| Joined::new(&self.engine.joined, Moment::now()));
        if joined.note(channel) {
            self.engine.tell_soon(Tiding::Join { user: self.handle.identity.user.clone(), channel });
        }
    }

    /// Returns the identity that the connection acts as.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.handle.identity
    }

    /// Returns the connection's number in the log of its chat.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.handle.number
    }

    /// Lets the fan-out write log events to the socket itself. [`Outlet`] says what the transport must do then.
    /// Call it once, before the connection is polled.
    pub fn set_outlet(&self, outlet: Arc<dyn Outlet>) {
        self.handle.set_outlet(outlet);
    }

    /// Sets the form in which the connection reads messages. Without this it is [`Form::Full`]. Call it once, before the
    /// connection is polled.
    pub fn set_form(&self, form: Form) {
        self.handle.set_form(form);
    }

    /// Handles a text frame. A malformed frame is answered with an `error`, in its turn.
    pub fn receive(&mut self, frame: &str) {
        let now = self.now();
        let find = |name: &str| {
            let own = among_first(&self.subscriptions, name);
            own.cloned().or_else(|| self.engine.registry.loaded(name))
        };
        let admitted = self.admission.frame(now, &self.handle.share, find, frame);
        self.admit(admitted, frame.len());
    }

    /// Returns the moment at which a command comes. What has been remembered for too long by then is forgotten.
    fn now(&mut self) -> Moment {
        let now = Moment::now();
        self.joined.take_if(|joined| joined.is_stale(now));
        now
    }

    /// Returns how many commands may be in flight, at least one.
    pub(crate) fn commands_in_flight(&self) -> usize {
        self.engine.limits.commands_in_flight.clamp(1, Semaphore::MAX_PERMITS)
    }

    /// Handles a command. Its answer has `id`.
    pub(crate) fn submit(&mut self, id: i64, command: Command) {
        let now = self.now();
        let admitted = self.admission.command(now, &self.handle.share, id, command);
        self.admit(admitted, 0);
    }

    /// Counts received frames other than text frames: pings, pongs, and all fragments of a message but the last.
    pub fn heard(&mut self, frames: u32) {
        self.admission.heard(Moment::now(), &self.handle.share, frames, 0);
    }

    /// Returns until when a transport must not read, because the client exceeded its pace, or `None` if it may
    /// read. It keeps writing meanwhile.
    pub fn silent_until(&self, now: Instant) -> Option<Instant> {
        self.admission.silent_until(Moment::of(now)).map(Moment::instant)
    }

    /// Returns whether the number or the bytes of unanswered commands have reached their limit. Then the transport
    /// must stop reading.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let limits = &self.engine.limits;
        self.waiting.as_ref().map_or(0, |waiting| waiting.len()) + self.started.len()
            >= limits.commands_in_flight
            || self.command_bytes >= limits.command_bytes
            || (self.command_bytes > 0 && self.commands_are_many())
    }

    /// Ends everything that the connection was cut off from: subscriptions, and answers about the channels.
    #[inline]
    fn end_cuts(&mut self) {
        if self.handle.has_cuts() {
            self.end_cuts_now();
        }
    }

    #[cold]
    fn end_cuts_now(&mut self) {
        for channel in self.handle.take_cuts() {
            self.unsubscribe(&channel);
            for UnderWay { command, .. } in self.started.iter_mut() {
                match command {
                    Started::Running { id, reads: Some(read), .. } if *read == channel => {
                        *command = Started::answered(*id, Err(Denied.into()));
                    }
                    _ => {}
                }
            }
        }
    }

    fn subscribed(&self, channel: &ChannelName) -> Result<&Subscription, Error> {
        let subscription = self.subscriptions.iter().find(|subscription| subscription.is_of(channel));
        subscription.ok_or_else(not_subscribed)
    }

    fn tell_typing(&self, name: &ChannelName) -> Result<(), Error> {
        self.engine.policy.authorize(&self.handle.identity, Action::Write(name))?;
        if self.handle.share.may_tell_typing(Moment::now(), name) {
            let user = &self.handle.identity.user;
            let typing = ChatEvent::Typing { channel: name.clone(), user: user.clone() };
            let others = |handle: &Arc<ConnectionHandle>| handle.identity.user.id != user.id;
            let channel = self.subscribed(name)?.channel();
            channel.broadcast(&Encoder::notice(&typing), others, Manner::Offer);
            if let Some(nodes) = &self.engine.nodes {
                nodes.sender.hint(&Notice::Typing { channel: channel.info.id, user: user.clone() });
            }
        }
        Ok(())
    }

    /// Puts frames to write into `out`: answers in the order of their commands, notices, and log events, up to
    /// [`Limits::outgoing_bytes`](crate::Limits::outgoing_bytes) and one frame.
    ///
    /// - `Ready(None)`: `out` has at least one more frame. Write it, and call again when everything is written: a
    ///   command with a large answer is carried out only then.
    /// - `Ready(Some(reason))`: write what is in `out`, then close.
    /// - `Pending`: nothing to write. The task is woken when there is.
    pub fn poll_outgoing(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut dyn Outgoing,
    ) -> Poll<Option<CloseReason>> {
        self.handle.register(cx.waker());
        if let Some(reason) = self.due_close() {
            return Poll::Ready(Some(reason));
        }
        self.end_cuts();
        let mut out = Taken::new(out, self.engine.limits.outgoing_bytes);
        self.handle.take_frames(FRAMES_PER_POLL, &mut out);
        while out.count() < 2 * FRAMES_PER_POLL && !out.is_full() && !self.is_end_waiting() {
            if self.poll_answer_into(cx, &mut out).is_pending() {
                break;
            }
        }
        // After the answers, so that a publisher's own message goes out with its answer.
        self.take_events(FRAMES_PER_POLL, &mut out);
        if out.count() > 0 { Poll::Ready(None) } else { Poll::Pending }
    }

    /// Returns notices and log events, or the reason to close.
    pub(crate) fn poll_events(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut dyn Outgoing,
    ) -> Poll<Option<CloseReason>> {
        self.handle.register(cx.waker());
        if let Some(reason) = self.due_close() {
            return Poll::Ready(Some(reason));
        }
        self.end_cuts();
        let mut out = Taken::new(out, self.engine.limits.outgoing_bytes);
        self.handle.take_frames(FRAMES_PER_POLL, &mut out);
        self.take_events(FRAMES_PER_POLL.saturating_sub(out.count()), &mut out);
        if out.count() > 0 { Poll::Ready(None) } else { Poll::Pending }
    }

    /// Waits for the connection's end without taking frames: for a transport that can't write now. Drop what it
    /// has not written yet.
    pub fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        self.handle.register(cx.waker());
        self.end_cuts();
        self.due_close().map_or(Poll::Pending, Poll::Ready)
    }

    /// Tells the engine why the transport ends the session, if the engine has not closed it: the client broke the
    /// WebSocket protocol or does not read. This is for statistics and the log. Drop the connection afterwards.
    pub fn end(&mut self, reason: CloseReason) {
        self.closing.get_or_insert(reason);
    }

    fn count_close(&self) {
        let reason = self.closing.or_else(|| self.handle.closing()).unwrap_or(CloseReason::Left);
        self.engine.monitor.counters.closed(reason);
        let misused = match reason {
            CloseReason::ProtocolError => "a client broke the WebSocket protocol",
            CloseReason::BinaryFrame => "a client sent a binary frame",
            CloseReason::InvalidUtf8 => "a client sent text that is not UTF-8",
            CloseReason::FrameTooLarge => "a client sent a frame over the limit",
            CloseReason::Overloaded => "a client sent too many malformed frames",
            CloseReason::TooSlow => "a client was too slow to read",
            _ => return,
        };
        self.engine.monitor.failures.misused(misused, format_args!("user {}", self.handle.identity.user.id));
    }

    /// Returns the reason to close now. A server that shuts down first answers what it has accepted.
    fn due_close(&self) -> Option<CloseReason> {
        let reason = self.closing.or_else(|| self.handle.closing())?;
        if reason == CloseReason::GoingAway && !self.started.is_empty() {
            return None;
        }
        Some(reason)
    }

    /// Takes up to `budget` log events while they fit.
    fn take_events(&mut self, mut budget: usize, out: &mut Taken<'_>) {
        self.handle.take_ready(&mut self.ready);
        if self.ready.is_empty() {
            return;
        }
        self.handle.found(self.ready.len());
        let mut delivered = 0;
        while budget > 0 && !out.is_full() {
            let Some(key) = self.ready.pop_front() else { break };
            // A mark may outlive its subscription.
            let Ok(at) = self.subscriptions.binary_search_by_key(&key, |subscription| subscription.key)
            else {
                continue;
            };
            let subscription = &mut self.subscriptions[at];
            let before = out.count();
            let read = subscription.read(budget, out);
            delivered += out.count() - before;
            match read {
                Progress::Nothing | Progress::Caught => {}
                Progress::More => {
                    // Only once: events that came meanwhile have marked it again.
                    if !self.ready.contains(&key) {
                        self.ready.push_back(key);
                    }
                    // The next frame does not fit, so those of other channels wait too.
                    if out.count() - before < budget {
                        break;
                    }
                }
                Progress::Lagged { from, to } => {
                    let channel = subscription.channel().info.name.clone();
                    self.unsubscribe(&channel);
                    self.engine.monitor.counters.lagged.add(1);
                    out.push(Encoder::notice(&ChatEvent::Lagged { channel, from, to }));
                }
                Progress::Ended { seq, reason } => {
                    let info = &subscription.channel().info;
                    let channel = info.name.clone();
                    // While it still counts as subscribed, so that nobody tells it again in between.
                    self.engine.tidings.note_removal(&self.handle, info.id, seq);
                    subscription.cut();
                    self.unsubscribe(&channel);
                    out.push(Encoder::notice(&ChatEvent::ChannelRemoved { channel, reason }));
                }
            }
            budget = budget.saturating_sub(out.count() - before);
        }
        self.engine.monitor.counters.deliveries.add(delivered as u64);
        if self.ready.is_empty() && self.ready.capacity() > FEW {
            self.ready = VecDeque::new();
        }
    }

    fn unsubscribe(&mut self, channel: &ChannelName) {
        self.subscriptions.retain(|subscription| !subscription.is_of(channel));
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.count_close();
        self.subscriptions.clear();
        self.release(self.command_bytes);
        self.engine.connections.leave(&self.handle);
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("user", &self.handle.identity.user)
            .field("channels", &self.subscriptions.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Chat;
    use crate::model::message::User;
    use crate::store::MemoryStore;

    #[tokio::test]
    async fn a_publisher_that_reads_nothing_holds_one_mark_per_channel() {
        let chat = Chat::builder(MemoryStore::new()).build();
        let identity = Identity::new(User::new("u_bot", "bot").expect("a user"));
        let mut connection = chat.open(identity).expect("an open chat");
        let begin = [
            r#"{"type":"create_channel","id":1,"name":"a"}"#.to_owned(),
            r#"{"type":"subscribe","id":1,"channel":"a"}"#.to_owned(),
        ];
        let publishes =
            (0..50).map(|n| format!(r#"{{"type":"publish","id":1,"channel":"a","nonce":"{n}","text":"x"}}"#));
        for frame in begin.into_iter().chain(publishes) {
            connection.receive(&frame);
            let answer = std::future::poll_fn(|cx| connection.poll_answer(cx)).await;
            assert!(answer.starts_with(br#"{"type":"ok""#), "{frame}");
        }
        assert_eq!(connection.ready.len(), 1);
    }

    #[tokio::test]
    async fn a_reader_that_stays_behind_holds_few_marks() {
        let mut limits = crate::Limits::default();
        (limits.commands_per_second, limits.command_burst) = (1_000_000, 1_000_000);
        let chat = Chat::builder(MemoryStore::new()).limits(limits).build();
        let open =
            |id: &str| chat.open(Identity::new(User::new(id, "bot").expect("a user"))).expect("an open chat");
        let (mut writer, mut reader) = (open("u_writer"), open("u_reader"));
        let ask = async |connection: &mut Connection, frame: &str| {
            connection.receive(frame);
            let answer = std::future::poll_fn(|cx| connection.poll_answer(cx)).await;
            assert!(answer.starts_with(br#"{"type":"ok""#), "{frame}");
        };
        ask(&mut writer, r#"{"type":"create_channel","id":1,"name":"a"}"#).await;
        ask(&mut reader, r#"{"type":"subscribe","id":1,"channel":"a"}"#).await;
        let mut nonce = 0;
        for round in 0..50 {
            for _ in 0..if round == 0 { 3 } else { 1 } * FRAMES_PER_POLL {
                nonce += 1;
                let publish =
                    format!(r#"{{"type":"publish","id":1,"channel":"a","nonce":"{nonce}","text":"x"}}"#);
                ask(&mut writer, &publish).await;
            }
            let mut out: Vec<bytes::Bytes> = Vec::new();
            let read = std::future::poll_fn(|cx| reader.poll_outgoing(cx, &mut out)).await;
            assert_eq!(read, None);
        }
        assert!(reader.ready.len() <= 2, "{} marks of one channel", reader.ready.len());
    }
}
