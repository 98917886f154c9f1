//! The commands of one connection: they wait, run and are answered in their order.

use std::future::Future;
use std::mem::replace;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::time::{Instant, timeout_at};

use crate::channel::append::Pending;
use crate::connection::Connection;
use crate::connection::admission::Verdict;
use crate::connection::commands::{Outcome, TryPublish};
use crate::connection::request::Request;
use crate::delivery::outgoing::Taken;
use crate::model::error::{Error, ErrorCode};
use crate::model::id::ChannelId;
use crate::model::name::ChannelName;
use crate::model::policy::Denied;
use crate::protocol::{Answer, Encoder, Reply};

/// The largest command, in bytes, that is accepted when all connections' commands have used up their bytes.
const SMALL_COMMAND: usize = 4_096;

/// A command, or a finished answer, that waits for its turn.
pub(super) struct Waiting {
    id: Option<i64>,
    request: Result<Request, Error>,
    bytes: usize,
}

/// A running command, and its bytes.
pub(super) struct UnderWay {
    pub(super) command: Started,
    bytes: usize,
}

/// What a running command waits for.
pub(super) enum Started {
    Publishing {
        id: Option<i64>,
        channel: ChannelName,
        /// The channel, if it is an open one.
        open: Option<ChannelId>,
        pending: Pending,
    },
    /// `reads` is the channel that the answer is about.
    Running { id: Option<i64>, reads: Option<ChannelName>, outcome: Running },
    /// Boxed, since most commands are not answered at once.
    Answered(Box<Answer>),
}

impl Started {
    /// Returns a command that is answered in its turn.
    pub(super) fn answered(id: Option<i64>, result: Result<Reply, Error>) -> Self {
        Self::Answered(Box::new(Answer { id, result }))
    }
}

/// What became of a command that was to start.
enum Start {
    Now(Started),
    /// It must wait for the running ones.
    Later(Request),
}

/// A command that waits for the store.
pub(super) type Running = BoxFuture<'static, Result<Ended, Error>>;

/// The outcome of a command that waited for the store.
pub(super) enum Ended {
    Done(Box<Outcome>),
    /// Its channel has another spelling: start it again under the current rules, and answer it until `by`.
    Respelt {
        request: Request,
        by: Instant,
    },
}

impl Connection {
    /// Returns whether all connections' commands have used up their bytes.
    pub(super) fn commands_are_many(&self) -> bool {
        self.engine.command_bytes.load(Ordering::Relaxed) >= self.engine.limits.command_bytes_total
    }

    pub(super) fn admit(&mut self, admitted: Verdict, bytes: usize) {
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
        let mut back = if self.waiting.is_none() { self.try_start(command) } else { Some(command) };
        if let Some(Waiting { request: Ok(Request::Publish(publish)), .. }) = &mut back {
            // What waits keeps no channel in memory.
            publish.loaded = None;
        }
        if let Some(back) = back {
            self.waiting.get_or_insert_default().push_back(back);
        }
    }

    /// Starts waiting commands, in order.
    fn start_commands(&mut self) {
        while let Some(command) = self.waiting.as_mut().and_then(|waiting| waiting.pop_front()) {
            if let Some(back) = self.try_start(command) {
                self.waiting.get_or_insert_default().push_front(back);
                return;
            }
        }
        self.waiting = None;
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
            Ok(Start::Now(started)) => started,
            Ok(Start::Later(request)) => return Some(Waiting { id, request: Ok(request), bytes }),
            Err(error) => Started::answered(id, Err(error)),
        };
        self.started.push_back(UnderWay { command, bytes });
        None
    }

    /// Starts a command, or returns it if it must wait for running ones.
    fn start(&mut self, id: Option<i64>, request: Request) -> Result<Start, Error> {
        let mut request = match self.start_at_once(id, request)? {
            Start::Now(started) => return Ok(Start::Now(started)),
            Start::Later(request) => request,
        };
        if !self.started.is_empty() {
            return Ok(Start::Later(request));
        }
        // A channel that is not in memory may have another spelling. Then the command is tried again with that.
        let is_unknown = request.existing().is_some_and(|channel| !self.is_known(channel));
        if !is_unknown {
            let (reads, outcome) = self.begin(request)?;
            return Ok(Start::Now(Started::Running { id, reads, outcome }));
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
        Ok(Start::Now(Started::Running { id, reads, outcome: Box::pin(outcome) }))
    }

    /// Starts a command again, with its channel's own name, to be answered until `by`.
    fn start_again(&mut self, id: Option<i64>, request: Request, by: Instant) -> Result<Started, Error> {
        let request = match self.start_at_once(id, request)? {
            Start::Now(started) => return Ok(started),
            Start::Later(request) => request,
        };
        let (reads, run) = self.begin(request)?;
        let outcome = async move { timeout_at(by, run).await.map_err(|_| Error::timed_out())? };
        Ok(Started::Running { id, reads, outcome: Box::pin(outcome) })
    }

    /// Returns whether a channel with exactly this name is in memory.
    fn is_known(&self, channel: &ChannelName) -> bool {
        self.engine.registry.loaded(channel.as_str()).is_some()
    }

    /// Starts a command that need not wait, or returns it.
    fn start_at_once(&mut self, id: Option<i64>, request: Request) -> Result<Start, Error> {
        match request {
            Request::Publish(publish) => match self.engine.try_publish(&self.handle, publish)? {
                TryPublish::Queued { channel, open, pending } => {
                    self.handle.set_answering(true);
                    Ok(Start::Now(Started::Publishing { id, channel, open, pending }))
                }
                TryPublish::NeedsStore(publish) => Ok(Start::Later(Request::Publish(publish))),
            },
            Request::Ping => Ok(Start::Now(done(id))),
            Request::Unsubscribe { channel } if self.is_known(&channel) => {
                self.subscribed(&channel)?;
                self.unsubscribe(&channel);
                Ok(Start::Now(done(id)))
            }
            Request::Typing { channel } if self.is_known(&channel) => {
                self.subscribed(&channel)?;
                self.tell_typing(&channel)?;
                Ok(Start::Now(done(id)))
            }
            request => Ok(Start::Later(request)),
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
            run.await
                .map(|outcome| Ended::Done(Box::new(outcome)))
                .inspect_err(|error| engine.report(failed, &handle, error))
        };
        // Boxed here, since each move of a future copies some hundred bytes.
        Ok((reads, Box::pin(run)))
    }

    /// Returns whether the next answer is about a channel whose last frame still waits: the answer to a newer
    /// subscription.
    pub(super) fn is_end_waiting(&self) -> bool {
        match self.started.front() {
            Some(UnderWay { command: Started::Running { reads: Some(channel), .. }, .. }) => {
                self.handle.is_end_waiting(channel)
            }
            _ => false,
        }
    }

    /// Returns the next answer.
    pub(crate) fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        let mut answer = Vec::new();
        ready!(self.poll_answer_into(cx, &mut Taken::new(&mut answer, usize::MAX)));
        Poll::Ready(answer.pop().expect("invariant: an answer is one frame"))
    }

    /// Adds the next answer to `out`, even if it does not fit.
    pub(super) fn poll_answer_into(&mut self, cx: &mut Context<'_>, out: &mut Taken<'_>) -> Poll<()> {
        self.end_cuts();
        // A command that is still running stays where it is.
        let Some(UnderWay { command, bytes }) = self.started.front_mut() else { return Poll::Pending };
        let bytes = *bytes;
        let (id, result, reservation) = match command {
            Started::Answered(answer) => (answer.id, replace(&mut answer.result, Ok(Reply::Done)), None),
            Started::Publishing { id, channel, open, pending } => {
                let result = ready!(Pin::new(pending).poll(cx));
                let mut subscriptions = self.subscriptions.iter();
                let own = subscriptions.find(|subscription| subscription.is_of(channel));
                // Only once: a bot may publish for a long time before it reads an event.
                let own = own.map(|own| own.key).filter(|key| !self.ready.contains(key));
                self.ready.extend(own);
                match result {
                    Ok(appended) => {
                        let open = *open;
                        {
                            let (len, mut encode) = Encoder::published(*id, channel, &appended);
                            out.write(len, &mut encode);
                        }
                        if let Some(open) = open {
                            self.join_by_publishing(open);
                        }
                        self.end_turn(bytes);
                        return Poll::Ready(());
                    }
                    Err(error) => (*id, Err(error), None),
                }
            }
            Started::Running { id, reads, outcome } => {
                let ended = ready!(outcome.as_mut().poll(cx));
                let id = *id;
                match ended {
                    Ok(Ended::Respelt { request, by }) => {
                        let again = self.start_again(id, request, by);
                        let again = again.unwrap_or_else(|error| Started::answered(id, Err(error)));
                        if let Some(front) = self.started.front_mut() {
                            front.command = again;
                        }
                        return self.poll_answer_into(cx, out);
                    }
                    Ok(_) if reads.as_ref().is_some_and(|channel| self.handle.is_cut_off(channel)) => {
                        (id, Err(Denied.into()), None)
                    }
                    Ok(Ended::Done(mut outcome)) => {
                        let reservation = outcome.reservation.take();
                        (id, Ok(self.finish(*outcome)), reservation)
                    }
                    Err(error) => (id, Err(error), None),
                }
            }
        };
        self.end_turn(bytes);
        if let Err(error) = &result {
            self.engine.monitor.counters.refused(error.code());
        }
        let answer = Encoder::answer(&Answer { id, result });
        out.push(match reservation {
            Some(reservation) => reservation.hold(answer),
            None => answer,
        });
        Poll::Ready(())
    }

    /// Ends the first command, which has its answer, and starts those that waited for it.
    fn end_turn(&mut self, bytes: usize) {
        self.started.pop_front();
        self.release(bytes);
        self.start_commands();
        if self.started.is_empty() {
            self.handle.set_answering(false);
        }
    }

    pub(super) fn release(&mut self, bytes: usize) {
        self.command_bytes -= bytes;
        self.engine.command_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn finish(&mut self, outcome: Outcome) -> Reply {
        if let Some(listing) = outcome.listing {
            self.admission.remember(listing);
        }
        if let Some(open) = outcome.open {
            self.join_by_publishing(open);
        }
        if let Some(pending) = outcome.pending {
            let subscription = pending.go_live();
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
}

fn done(id: Option<i64>) -> Started {
    Started::answered(id, Ok(Reply::Done))
}
