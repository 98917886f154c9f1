//! A participant's running session: frames and commands come in; answers, notices and log events go out.

mod admission;
mod commands;
mod listing;
mod subscription;

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::time::{Instant, timeout_at};

use crate::channel::Manner;
use crate::channel::append::Pending;
use crate::connection::admission::{Admission, Request, Verdict};
use crate::connection::commands::{Outcome, not_subscribed, published};
use crate::connection::subscription::Subscription;
use crate::delivery::handle::{ConnectionHandle, SubscriptionKey};
use crate::delivery::outlet::Outlet;
use crate::delivery::ring::{Read, Room};
use crate::engine::Engine;
use crate::limits::moment::Moment;
use crate::model::error::{Error, ErrorCode};
use crate::model::name::ChannelName;
use crate::model::policy::{Action, Denied, Identity};
use crate::protocol::{Answer, ChatEvent, ClientLimits, CloseReason, Command, Encoder, Reply, VERSION};

/// The most frames that one poll gives to the transport.
const FRAMES_PER_POLL: usize = 64;

/// The largest command, in bytes, that is accepted when all connections' commands have used up their bytes.
const SMALL_COMMAND: usize = 4_096;

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
    /// Commands that wait for earlier ones, in order.
    waiting: VecDeque<Waiting>,
    /// Commands that are running, or are answered after one that is, in order.
    started: VecDeque<UnderWay>,
    /// Bytes of both.
    command_bytes: usize,
    /// In the order of their keys.
    subscriptions: Vec<Subscription>,
    next_key: SubscriptionKey,
    /// Subscriptions that may have new events.
    ready: VecDeque<SubscriptionKey>,
    closing: Option<CloseReason>,
}

/// A command, or a finished answer, that waits for its turn.
struct Waiting {
    id: Option<i64>,
    request: Result<Request, Error>,
    bytes: usize,
}

/// A running command, and its bytes.
struct UnderWay {
    command: Started,
    bytes: usize,
}

/// What a running command waits for.
enum Started {
    Publishing {
        id: Option<i64>,
        channel: ChannelName,
        pending: Pending,
    },
    /// `reads` is the channel that the answer is about.
    Running {
        id: Option<i64>,
        reads: Option<ChannelName>,
        outcome: Running,
    },
    Answered(Answer),
}

/// A command that waits for the store.
type Running = BoxFuture<'static, Result<Ended, Error>>;

/// The outcome of a command that waited for the store.
enum Ended {
    Done(Outcome),
    /// Its channel has another spelling: start it again under the current rules, and answer it until `by`.
    Respelt {
        request: Request,
        by: Instant,
    },
}

impl Connection {
    pub(crate) fn open(engine: Arc<Engine>, identity: Identity) -> Result<Self, CloseReason> {
        let monitor = Arc::clone(&engine.monitor);
        let user = identity.user.id.clone();
        let opened = Self::enter(engine, identity);
        match &opened {
            Ok(_) => monitor.counters.connections_opened.add(1),
            Err(reason) => {
                monitor.counters.closed(*reason);
                if *reason == CloseReason::Overloaded {
                    monitor
                        .failures
                        .limited("a connection over the limit was refused", format_args!("user {user}"));
                }
            }
        }
        opened
    }

    fn enter(engine: Arc<Engine>, identity: Identity) -> Result<Self, CloseReason> {
        if engine.is_draining() {
            return Err(CloseReason::Draining);
        }
        let now = Moment::now();
        let share = engine.shares.of(&identity.user.id, now);
        let handle = Arc::new(ConnectionHandle::new(identity, share, &engine.mailboxes));
        engine.connections.enter(&handle, &engine.limits)?;
        // A drain that began in between has not seen this connection.
        if engine.is_draining() {
            engine.connections.leave(&handle);
            return Err(CloseReason::Draining);
        }
        handle.send(Encoder::notice(&ChatEvent::Welcome {
            version: VERSION,
            user: handle.identity.user.clone(),
            limits: ClientLimits {
                frame_bytes: engine.limits.frame_bytes,
                text_chars: engine.limits.text_chars,
                text_bytes: engine.limits.text_bytes(),
                attachment_bytes: engine.blobs.as_ref().map_or(0, |_| engine.limits.attachment_bytes),
            },
        }));
        Ok(Self {
            admission: Admission::new(now),
            engine,
            handle,
            waiting: VecDeque::new(),
            started: VecDeque::new(),
            command_bytes: 0,
            subscriptions: Vec::new(),
            next_key: 0,
            ready: VecDeque::new(),
            closing: None,
        })
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

    /// Handles a text frame. A malformed frame is answered with an `error`, in its turn.
    pub fn receive(&mut self, frame: &str) {
        let admitted = self.admission.frame(Moment::now(), &self.handle.share, frame);
        self.admit(admitted, frame.len());
    }

    /// Handles a command. Its answer has `id`.
    pub(crate) fn submit(&mut self, id: i64, command: Command) {
        let admitted = self.admission.command(Moment::now(), &self.handle.share, id, command);
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
        self.waiting.len() + self.started.len() >= limits.commands_in_flight
            || self.command_bytes >= limits.command_bytes
            || (self.command_bytes > 0 && self.commands_are_many())
    }

    /// Returns whether all connections' commands have used up their bytes.
    fn commands_are_many(&self) -> bool {
        self.engine.command_bytes.load(Ordering::Relaxed) >= self.engine.limits.command_bytes_total
    }

    fn admit(&mut self, admitted: Verdict, bytes: usize) {
        if self.due_close().is_some() {
            return;
        }
        let (id, request) = match admitted {
            Verdict::Close(reason) => {
                self.closing.get_or_insert(reason);
                return;
            }
            Verdict::Refuse { id, error } => (id, Err(error)),
            Verdict::Run { id, .. } if self.engine.is_draining() => (Some(id), Err(Error::draining())),
            Verdict::Run { id, .. } if bytes > SMALL_COMMAND && self.commands_are_many() => {
                (Some(id), Err(Error::overloaded()))
            }
            Verdict::Run { id, request } => (Some(id), Ok(request)),
        };
        // A refused command is not kept.
        let bytes = if request.is_ok() { bytes } else { 0 };
        self.command_bytes += bytes;
        self.engine.command_bytes.fetch_add(bytes, Ordering::Relaxed);
        let command = Waiting { id, request, bytes };
        let back = if self.waiting.is_empty() { self.try_start(command) } else { Some(command) };
        self.waiting.extend(back);
    }

    /// Starts waiting commands, in order.
    fn start_commands(&mut self) {
        while let Some(command) = self.waiting.pop_front() {
            if let Some(back) = self.try_start(command) {
                self.waiting.push_front(back);
                return;
            }
        }
        self.waiting = VecDeque::new();
    }

    /// Starts a command, or returns it if it must wait for running ones. Publishes start one after the other,
    /// since one queue keeps their order. Any other command that needs the store runs alone, and later ones wait.
    fn try_start(&mut self, Waiting { id, request, bytes }: Waiting) -> Option<Waiting> {
        // A cut ends what began before it, not what begins now.
        self.end_cuts();
        if matches!(self.started.back(), Some(UnderWay { command: Started::Running { .. }, .. })) {
            return Some(Waiting { id, request, bytes });
        }
        let command = match request.and_then(|request| self.start(id, request)) {
            Ok(Ok(started)) => started,
            Ok(Err(request)) => return Some(Waiting { id, request: Ok(request), bytes }),
            Err(error) => Started::Answered(Answer { id, result: Err(error) }),
        };
        self.started.push_back(UnderWay { command, bytes });
        None
    }

    /// Starts a command, or returns it if it must wait for running ones.
    fn start(&mut self, id: Option<i64>, request: Request) -> Result<Result<Started, Request>, Error> {
        let mut request = match self.start_at_once(id, request)? {
            Ok(started) => return Ok(Ok(started)),
            Err(request) => request,
        };
        if !self.started.is_empty() {
            return Ok(Err(request));
        }
        // A channel that is not in memory may have another spelling. Then the command is tried again with that.
        let is_unknown = request.existing().is_some_and(|channel| !self.is_known(channel));
        if !is_unknown {
            let (reads, outcome) = self.begin(request)?;
            return Ok(Ok(Started::Running { id, reads, outcome }));
        }
        let by = Instant::now() + 2 * self.engine.limits.store_timeout;
        let (reads, run) = self.begin(request.clone())?;
        let engine = Arc::clone(&self.engine);
        let outcome = async move {
            let error = match run.await {
                Err(error) => error,
                ended => return ended,
            };
            let respelt = timeout_at(by, engine.respelt(request, &error)).await;
            let respelt = respelt.map_err(|_| Error::timed_out())??;
            respelt.map(|request| Ended::Respelt { request, by }).ok_or(error)
        };
        Ok(Ok(Started::Running { id, reads, outcome: Box::pin(outcome) }))
    }

    /// Starts a command again, with its channel's own name, to be answered until `by`.
    fn start_again(&mut self, id: Option<i64>, request: Request, by: Instant) -> Result<Started, Error> {
        let request = match self.start_at_once(id, request)? {
            Ok(started) => return Ok(started),
            Err(request) => request,
        };
        let (reads, run) = self.begin(request)?;
        let outcome = async move { timeout_at(by, run).await.map_err(|_| Error::timed_out())? };
        Ok(Started::Running { id, reads, outcome: Box::pin(outcome) })
    }

    /// Returns whether a channel with exactly this name is in memory.
    fn is_known(&self, channel: &ChannelName) -> bool {
        self.engine.registry.loaded(channel).is_some()
    }

    /// Starts a command that need not wait, or returns it.
    fn start_at_once(
        &mut self,
        id: Option<i64>,
        request: Request,
    ) -> Result<Result<Started, Request>, Error> {
        match request {
            Request::Publish(publish) => match self.engine.try_publish(&self.handle, publish)? {
                Ok((channel, pending)) => {
                    self.handle.set_answering(true);
                    Ok(Ok(Started::Publishing { id, channel, pending }))
                }
                Err(publish) => Ok(Err(Request::Publish(publish))),
            },
            Request::Ping => Ok(Ok(done(id))),
            Request::Unsubscribe { channel } if self.is_known(&channel) => {
                self.subscribed(&channel)?;
                self.unsubscribe(&channel);
                Ok(Ok(done(id)))
            }
            Request::Typing { channel } if self.is_known(&channel) => {
                self.subscribed(&channel)?;
                self.tell_typing(&channel)?;
                Ok(Ok(done(id)))
            }
            request => Ok(Err(request)),
        }
    }

    /// Begins a command that waits for the store. Also returns the channel that its answer is about.
    fn begin(&mut self, request: Request) -> Result<(Option<ChannelName>, Running), Error> {
        if let Request::Subscribe { channel, .. } = &request {
            // A second subscription replaces the first. Otherwise its live events would mix with the replay.
            self.unsubscribe(channel);
            let most = self.engine.limits.subscriptions;
            if self.subscriptions.len() >= most {
                let why = format!("a connection can subscribe to at most {most} channels");
                return Err(Error::new(ErrorCode::TooLarge, why));
            }
        }
        self.next_key += 1;
        let reads = request.reads().cloned();
        let failed = request.failed();
        let (engine, handle) = (Arc::clone(&self.engine), Arc::clone(&self.handle));
        let run = Arc::clone(&self.engine).run_in_turn(Arc::clone(&self.handle), self.next_key, request);
        let run = async move {
            run.await.map(Ended::Done).inspect_err(|error| engine.report(failed, &handle, error))
        };
        // Boxed here, since each move of a future copies some hundred bytes.
        Ok((reads, Box::pin(run)))
    }

    /// Returns whether the next answer is about a channel whose last frame still waits: the answer to a newer
    /// subscription.
    fn is_end_waiting(&self) -> bool {
        match self.started.front() {
            Some(UnderWay { command: Started::Running { reads: Some(channel), .. }, .. }) => {
                self.handle.is_end_waiting(channel)
            }
            _ => false,
        }
    }

    /// Ends everything that the connection was cut off from: subscriptions, and answers about the channels.
    fn end_cuts(&mut self) {
        if !self.handle.has_cuts() {
            return;
        }
        for channel in self.handle.take_cuts() {
            self.unsubscribe(&channel);
            for UnderWay { command, .. } in &mut self.started {
                match command {
                    Started::Running { id, reads: Some(read), .. } if *read == channel => {
                        *command = Started::Answered(Answer { id: *id, result: Err(Denied.into()) });
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
            self.subscribed(name)?.channel().broadcast(&Encoder::notice(&typing), others, Manner::Offer);
        }
        Ok(())
    }

    /// Returns frames to write: answers in the order of their commands, notices, and log events, up to
    /// [`Limits::outgoing_bytes`](crate::Limits::outgoing_bytes) and one frame.
    ///
    /// - `Ready(None)`: `out` has at least one more frame. Write it, and call again when everything is written: a
    ///   command with a large answer is carried out only then.
    /// - `Ready(Some(reason))`: write what is in `out`, then close.
    /// - `Pending`: nothing to write. The task is woken when there is.
    pub fn poll_outgoing(&mut self, cx: &mut Context<'_>, out: &mut Vec<Bytes>) -> Poll<Option<CloseReason>> {
        self.handle.register(cx.waker());
        if let Some(reason) = self.due_close() {
            return Poll::Ready(Some(reason));
        }
        self.end_cuts();
        let before = out.len();
        let mut room = Room::new(self.engine.limits.outgoing_bytes);
        self.handle.take_frames(FRAMES_PER_POLL, &mut room, out);
        while out.len() - before < 2 * FRAMES_PER_POLL && !room.is_full() && !self.is_end_waiting() {
            let Poll::Ready(answer) = self.poll_answer(cx) else { break };
            room.spend(answer.len());
            out.push(answer);
        }
        // After the answers, so that a publisher's own message goes out with its answer.
        self.take_events(FRAMES_PER_POLL, &mut room, out);
        if out.len() > before { Poll::Ready(None) } else { Poll::Pending }
    }

    /// Returns the next answer.
    pub(crate) fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        self.end_cuts();
        let Some(mut first) = self.started.pop_front() else { return Poll::Pending };
        let polled = match &mut first.command {
            Started::Answered(answer) => {
                self.release(first.bytes);
                return Poll::Ready(self.answered(answer));
            }
            Started::Publishing { id, channel, pending } => Pin::new(pending).poll(cx).map(|result| {
                let result = result.unwrap_or_else(|_| Err(Error::overloaded()));
                let own = self
                    .subscriptions
                    .iter()
                    .find(|subscription| subscription.is_of(channel))
                    .map(|subscription| subscription.key);
                // Only once: a bot may publish for a long time before it reads an event.
                self.ready.extend(own.filter(|key| !self.ready.contains(key)));
                (*id, result.map(|appended| published(channel.clone(), &appended)), None)
            }),
            Started::Running { id, reads, outcome } => match outcome.as_mut().poll(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Ok(Ended::Respelt { request, by })) => {
                    let id = *id;
                    let again = self.start_again(id, request, by);
                    first.command =
                        again.unwrap_or_else(|error| Started::Answered(Answer { id, result: Err(error) }));
                    self.started.push_front(first);
                    return self.poll_answer(cx);
                }
                Poll::Ready(Ok(_))
                    if reads.as_ref().is_some_and(|channel| self.handle.is_cut_off(channel)) =>
                {
                    Poll::Ready((*id, Err(Denied.into()), None))
                }
                Poll::Ready(Ok(Ended::Done(mut outcome))) => {
                    let places = outcome.places.take();
                    Poll::Ready((*id, Ok(self.finish(outcome)), places))
                }
                Poll::Ready(Err(error)) => Poll::Ready((*id, Err(error), None)),
            },
        };
        match polled {
            Poll::Ready((id, result, places)) => {
                self.release(first.bytes);
                let answer = self.answered(&Answer { id, result });
                Poll::Ready(match places {
                    Some(places) => places.hold(answer),
                    None => answer,
                })
            }
            Poll::Pending => {
                self.started.push_front(first);
                Poll::Pending
            }
        }
    }

    fn release(&mut self, bytes: usize) {
        self.command_bytes -= bytes;
        self.engine.command_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn answered(&mut self, answer: &Answer) -> Bytes {
        self.start_commands();
        if self.started.is_empty() {
            // An idle connection keeps no buffer.
            self.started = VecDeque::new();
            self.handle.set_answering(false);
        }
        if let Err(error) = &answer.result {
            self.engine.monitor.counters.refused(error.code());
        }
        Encoder::answer(answer)
    }

    /// Returns notices and log events, or the reason to close.
    pub(crate) fn poll_events(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut Vec<Bytes>,
    ) -> Poll<Option<CloseReason>> {
        self.handle.register(cx.waker());
        if let Some(reason) = self.due_close() {
            return Poll::Ready(Some(reason));
        }
        self.end_cuts();
        let before = out.len();
        let mut room = Room::new(self.engine.limits.outgoing_bytes);
        self.handle.take_frames(FRAMES_PER_POLL, &mut room, out);
        self.take_events(FRAMES_PER_POLL.saturating_sub(out.len() - before), &mut room, out);
        if out.len() > before { Poll::Ready(None) } else { Poll::Pending }
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

    /// Takes up to `budget` log events while there is room.
    fn take_events(&mut self, mut budget: usize, room: &mut Room, out: &mut Vec<Bytes>) {
        self.handle.take_ready(&mut self.ready);
        let mut delivered = 0;
        while budget > 0 && !room.is_full() {
            let Some(key) = self.ready.pop_front() else { break };
            // A mark may outlive its subscription.
            let Ok(at) = self.subscriptions.binary_search_by_key(&key, |subscription| subscription.key)
            else {
                continue;
            };
            let subscription = &mut self.subscriptions[at];
            let before = out.len();
            let read = subscription.read(budget, room, out);
            delivered += out.len() - before;
            match read {
                None | Some(Read::Caught(_)) => {}
                Some(Read::More(_)) => {
                    self.ready.push_back(key);
                    // The next frame does not fit, so those of other channels wait too.
                    if out.len() - before < budget {
                        break;
                    }
                }
                Some(Read::Lagged { from, to }) => {
                    let channel = subscription.channel().info.name.clone();
                    self.unsubscribe(&channel);
                    self.engine.monitor.counters.lagged.add(1);
                    out.push(Encoder::notice(&ChatEvent::Lagged { channel, from, to }));
                }
            }
            budget = budget.saturating_sub(out.len() - before);
        }
        self.engine.monitor.counters.deliveries.add(delivered as u64);
        if self.ready.is_empty() {
            self.ready = VecDeque::new();
        }
    }

    fn finish(&mut self, outcome: Outcome) -> Reply {
        if let Some(listing) = outcome.listing {
            self.admission.remember(listing);
        }
        if let Some(begun) = outcome.begun {
            let subscription = begun.go_live();
            // Marks before the insertion found no subscription, so look once.
            self.ready.push_back(subscription.key);
            if self.subscriptions.is_empty() {
                // Most connections subscribe to one channel.
                self.subscriptions.reserve_exact(1);
            }
            self.subscriptions.push(subscription);
        }
        outcome.reply
    }

    fn unsubscribe(&mut self, channel: &ChannelName) {
        self.subscriptions.retain(|subscription| !subscription.is_of(channel));
    }
}

fn done(id: Option<i64>) -> Started {
    Started::Answered(Answer { id, result: Ok(Reply::Done) })
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
    async fn who_publishes_and_reads_no_event_holds_one_mark_a_channel() {
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
}
