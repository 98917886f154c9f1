//! What ends for a user at all nodes: sign-ins, and rights to read.
//!
//! A node tells the others by the bus, and puts it into the store, which every node asks every five seconds. So nobody
//! stays for longer than that, even if the bus carries nothing.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::engine::Engine;
use crate::engine::nodes::notice::Notice;
use crate::engine::nodes::recent::Recent;
use crate::engine::tidings::Tiding;
use crate::model::id::{ChannelId, Seq, SessionId, UserId};
use crate::model::moment::Moment;
use crate::model::name::ChannelName;
use crate::protocol::{CloseReason, RemovalReason};

/// The time between two looks into the store.
const INTERVAL: Duration = Duration::from_secs(5);

/// How far each look goes back beyond the one before. A row may become visible a moment after its time.
const OVERLAP: Duration = Duration::from_secs(60);

/// The time after a failure to put one into the store.
const RETRY: Duration = Duration::from_millis(250);

/// The most endings that wait for the store, and that are remembered as done.
pub(crate) const WAITING: usize = 10_000;
pub(crate) const REMEMBERED: usize = 20_000;

/// What ends for a user.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Ending {
    /// Their connections, or those of one session.
    Connections { user: UserId, session: Option<SessionId>, code: u16 },
    /// Everything of a channel.
    Channel { user: UserId, channel: ChannelName },
    /// A member of a private channel. Its log says where.
    Member {
        user: UserId,
        channel: ChannelName,
        id: ChannelId,
        /// Of the event that removed them. An earlier version does not tell it.
        #[serde(default)]
        seq: Seq,
        reason: RemovalReason,
    },
    /// What the policy no longer allows.
    Rights { user: UserId },
    /// Everything, with their name.
    Erased { user: UserId },
}

/// The endings that are done here, and the way into the store.
#[derive(Debug)]
pub(super) struct Endings {
    to_store: mpsc::Sender<(u64, String)>,
    waiting: Mutex<Option<mpsc::Receiver<(u64, String)>>>,
    /// Their keys.
    done: Mutex<Recent<u64>>,
}

impl Endings {
    pub(super) fn new() -> Self {
        let (to_store, waiting) = mpsc::channel(WAITING);
        Self { to_store, waiting: Mutex::new(Some(waiting)), done: Mutex::new(Recent::new(REMEMBERED)) }
    }

    /// Takes the endings for the store, once.
    pub(super) fn take_waiting(&self) -> Option<mpsc::Receiver<(u64, String)>> {
        self.waiting.lock().expect("invariant: nothing panics under this lock").take()
    }

    /// Notes that an ending is done here. Returns whether it was not before.
    fn note(&self, key: u64) -> bool {
        self.done.lock().expect("invariant: nothing panics under this lock").note(key)
    }
}

impl Engine {
    /// Ends something for a user, here and at all nodes.
    pub(crate) fn end(&self, ending: Ending) {
        self.end_here(&ending, Moment::now());
        let Some(nodes) = &self.nodes else { return };
        let key = getrandom::u64().expect("invariant: the system has a source of randomness");
        nodes.endings.note(key);
        let what = serde_json::to_string(&ending).expect("invariant: an ending is JSON");
        nodes.sender.notice(&Notice::Ending { key, ending });
        if nodes.endings.to_store.try_send((key, what)).is_err() {
            self.monitor.failures.limited("sign-outs are not stored, since too many wait for the store", "");
        }
    }

    /// Ends something that another node has ended at `at`, unless that is done already.
    pub(super) fn heed_ending(&self, key: u64, ending: &Ending, at: Moment) {
        if self.nodes.as_ref().is_some_and(|nodes| nodes.endings.note(key)) {
            self.end_here(ending, at);
        }
    }

    fn end_here(&self, ending: &Ending, at: Moment) {
        match ending {
            Ending::Connections { user, session, code } => {
                if let Some(reason) = CloseReason::of_code(*code) {
                    self.connections.close(user, session.as_ref(), reason, at);
                }
            }
            Ending::Channel { user, channel } => self.revoke(user, channel),
            Ending::Member { user, channel, id, seq, reason } => {
                let (user, name) = (user.clone(), channel.clone());
                self.tell_soon(Tiding::Removed { user, channel: *id, name, seq: *seq, reason: *reason });
            }
            Ending::Rights { user } => self.recheck(user),
            Ending::Erased { user } => self.end_erased(user, at),
        }
    }

    /// Puts endings into the store, and looks for those of other nodes, for ever.
    pub(super) async fn keep_endings(self: Arc<Self>, mut waiting: mpsc::Receiver<(u64, String)>) {
        let (mut looked, mut look) = (Instant::now(), Instant::now());
        let mut rows = VecDeque::new();
        let mut retry = Instant::now();
        loop {
            let due = if rows.is_empty() { look } else { look.min(retry) };
            tokio::select! {
                biased;
                Some(row) = waiting.recv(), if rows.len() < WAITING => rows.push_back(row),
                () = sleep_until(due) => {}
            }
            while let Some((key, what)) = rows.front().filter(|_| retry <= Instant::now()) {
                if let Err(error) = self.in_time(self.store.put_revocation(*key, what)).await {
                    self.monitor.failures.failed("a sign-out could not be stored", "", &error);
                    retry = Instant::now() + RETRY;
                    break;
                }
                rows.pop_front();
            }
            let now = Instant::now();
            if now < look {
                continue;
            }
            look = now + INTERVAL;
            match self.in_time(self.store.revocations(OVERLAP + (now - looked))).await {
                Err(error) => {
                    self.monitor.failures.failed("sign-outs at other nodes could not be read", "", &error);
                }
                Ok(found) => {
                    looked = now;
                    for revocation in found {
                        let at = Moment::now().minus(revocation.age);
                        if let Ok(ending) = serde_json::from_str(&revocation.what) {
                            self.heed_ending(revocation.key, &ending, at);
                        }
                    }
                }
            }
        }
    }
}
