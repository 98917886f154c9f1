//! One session that several tasks use at once.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::chat::sender::ClientError;
use crate::connection::Connection;
use crate::protocol::{CloseReason, Command, ErrorReply};

/// The session of a client and its senders. Each task that waits for something carries the session on for all.
pub(super) struct SharedSession {
    state: Mutex<State>,
    waiters: Arc<Waiters>,
    /// Wakes all waiters.
    waker: Waker,
    /// A permit for each command in flight.
    turns: Arc<Semaphore>,
}

struct State {
    connection: Connection,
    last_id: i64,
    /// The commands in flight, by id.
    calls: HashMap<i64, Call>,
    events: VecDeque<Bytes>,
    closed: Option<CloseReason>,
}

/// A command in flight. Its call may have been dropped since.
struct Call {
    answer: oneshot::Sender<Bytes>,
    _turn: OwnedSemaphorePermit,
}

impl SharedSession {
    pub(super) fn new(connection: Connection) -> Self {
        let turns = connection.commands_in_flight();
        let waiters = Arc::new(Waiters::default());
        Self {
            state: Mutex::new(State {
                connection,
                last_id: 0,
                calls: HashMap::new(),
                events: VecDeque::new(),
                closed: None,
            }),
            waker: Waker::from(Arc::clone(&waiters)),
            waiters,
            turns: Arc::new(Semaphore::new(turns)),
        }
    }

    /// Held for one look at the connection, never across an await. The app's policy is asked under it: one that
    /// panics ends its own task, and no other.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a command and returns the frame of its answer.
    pub(super) async fn call(&self, command: Command) -> Result<Bytes, CloseReason> {
        let turn = self.carry_on_until(Arc::clone(&self.turns).acquire_owned()).await?;
        let turn = turn.expect("invariant: the semaphore is never closed");
        let (sender, answer) = oneshot::channel();
        self.state().submit(command, Call { answer: sender, _turn: turn });
        let answer = self.carry_on_until(answer).await?;
        Ok(answer.expect("invariant: a call is kept until it is answered"))
    }

    /// Waits for `wanted`, and hands out the session's answers meanwhile.
    async fn carry_on_until<F: Future>(&self, wanted: F) -> Result<F::Output, CloseReason> {
        let mut wanted = pin!(wanted);
        let waiter = self.waiters.enter();
        poll_fn(|cx| {
            if let Poll::Ready(output) = wanted.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            // Before the look: it is woken by what comes after that.
            waiter.wait(cx.waker());
            let mut of_all = Context::from_waker(&self.waker);
            let mut state = self.state();
            let closed = state.poll_close(&mut of_all);
            if closed.is_pending() && state.hand_out_answers(&mut of_all) {
                // An answer to a publish or to a subscribe may have brought events.
                self.waiters.wake_reader();
            }
            drop(state);
            match wanted.as_mut().poll(cx) {
                Poll::Ready(output) => Poll::Ready(Ok(output)),
                Poll::Pending => closed.map(Err),
            }
        })
        .await
    }

    /// Returns the frame of the next event, or `None` once the session has ended.
    pub(super) fn poll_event(&self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut state = self.state();
        loop {
            if let Some(frame) = state.events.pop_front() {
                return Poll::Ready(Some(frame));
            }
            if state.closed.is_some() {
                return Poll::Ready(None);
            }
            self.waiters.read(cx.waker());
            let mut of_all = Context::from_waker(&self.waker);
            state.hand_out_answers(&mut of_all);
            let mut frames = Vec::new();
            match state.connection.poll_events(&mut of_all, &mut frames) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(closed) => state.closed = closed,
            }
            state.events.extend(frames);
        }
    }

    pub(super) fn close_reason(&self) -> Option<CloseReason> {
        self.state().closed
    }
}

impl fmt::Debug for SharedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("SharedSession")
            .field("connection", &state.connection)
            .field("closed", &state.closed)
            .finish_non_exhaustive()
    }
}

impl State {
    fn submit(&mut self, command: Command, call: Call) {
        self.last_id += 1;
        self.calls.insert(self.last_id, call);
        self.connection.submit(self.last_id, command);
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        let closed = self.connection.poll_close(cx);
        if let Poll::Ready(reason) = closed {
            self.closed = Some(reason);
        }
        closed
    }

    /// Hands all answers that are there to their calls. Returns whether there was one.
    fn hand_out_answers(&mut self, cx: &mut Context<'_>) -> bool {
        let mut is_answered = false;
        while let Poll::Ready(answer) = self.connection.poll_answer(cx) {
            is_answered = true;
            if let Some(call) = answer_id(&answer).and_then(|id| self.calls.remove(&id)) {
                // Nobody needs the answer of a call that was dropped.
                let _ = call.answer.send(answer);
            }
        }
        is_answered
    }
}

/// The tasks to wake when there may be something new in the session: that which reads events, and those of calls.
#[derive(Default)]
struct Waiters(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    reader: Option<Waker>,
    calls: HashMap<u64, Waker>,
    last_key: u64,
}

/// A call that waits. Dropping it leaves.
struct Waiter<'a> {
    waiters: &'a Waiters,
    key: u64,
}

impl Waiters {
    // Held for a change of the table, never while a task is woken.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().expect("invariant: nothing panics under this lock")
    }

    fn enter(&self) -> Waiter<'_> {
        let mut waiting = self.waiting();
        waiting.last_key += 1;
        Waiter { waiters: self, key: waiting.last_key }
    }

    fn read(&self, waker: &Waker) {
        self.waiting().reader = Some(waker.clone());
    }

    fn wake_reader(&self) {
        let reader = self.waiting().reader.take();
        reader.into_iter().for_each(Waker::wake);
    }
}

impl Waiter<'_> {
    fn wait(&self, waker: &Waker) {
        self.waiters.waiting().calls.insert(self.key, waker.clone());
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.waiters.waiting().calls.remove(&self.key);
    }
}

impl Wake for Waiters {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut waiting = self.waiting();
        let (reader, calls) = (waiting.reader.take(), mem::take(&mut waiting.calls));
        drop(waiting);
        reader.into_iter().chain(calls.into_values()).for_each(Waker::wake);
    }
}

#[derive(Deserialize)]
struct AnswerHead {
    #[serde(rename = "type")]
    kind: AnswerKind,
    id: Option<i64>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum AnswerKind {
    Ok,
    Error,
}

const OURS: &str = "invariant: an answer is what this crate's encoder wrote";

fn answer_id(answer: &[u8]) -> Option<i64> {
    serde_json::from_slice::<AnswerHead>(answer).expect(OURS).id
}

pub(super) fn read_answer<T: DeserializeOwned>(answer: &[u8]) -> Result<T, ClientError> {
    match serde_json::from_slice::<AnswerHead>(answer).expect(OURS).kind {
        AnswerKind::Ok => serde_json::from_slice(answer).map_err(|error| ClientError::Decode(error.into())),
        AnswerKind::Error => {
            let reply: ErrorReply = serde_json::from_slice(answer).expect(OURS);
            Err(ClientError::Refused(reply.into()))
        }
    }
}
