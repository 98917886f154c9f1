//! People who leave a channel: the list loses them when their grace is over, and its subscribers hear of it.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::channel::online::{Change, Grace};
use crate::channel::{Channel, Manner};
use crate::delivery::handle::ConnectionHandle;
use crate::limits::Limits;
use crate::model::id::UserId;
use crate::model::message::User;
use crate::protocol::{ChatEvent, Encoder};
use crate::store::PageLimit;

/// Tells a channel's subscribers whose connection is meant that somebody came or left.
pub(crate) fn announce(
    channel: &Channel,
    user: User,
    online: bool,
    is_meant: impl Fn(&Arc<ConnectionHandle>) -> bool,
) {
    let event = ChatEvent::Presence { channel: channel.info.name.clone(), user, online };
    channel.broadcast(&Encoder::notice(&event), is_meant, Manner::Send);
}

/// Takes `user` off the channel's list of who is online, unless a connection of theirs is counted, and says so.
pub(crate) fn leave(channel: &Channel, user: &UserId, limits: &Limits) {
    let changes = channel.online().leave(user, list_limit(limits));
    tell(channel, changes);
}

pub(super) fn tell(channel: &Channel, changes: Vec<Change>) {
    for Change { user, online } in changes {
        announce(channel, user, online, |_| true);
    }
}

/// Returns how much a channel's list of who is online holds.
pub(crate) fn list_limit(limits: &Limits) -> PageLimit {
    PageLimit::new(limits.presence_members, limits.presence_bytes)
}

/// People whose last connection to a channel has gone, by when their graces end.
///
/// Each is here once at most for each channel, so their number is bounded by who is online.
#[derive(Debug)]
pub(crate) struct Departures {
    limits: Arc<Limits>,
    queue: Mutex<BinaryHeap<Departure>>,
    changed: Notify,
}

#[derive(Debug)]
struct Departure {
    due: Instant,
    channel: Weak<Channel>,
    user: UserId,
}

/// The one that is due first is the greatest.
impl Ord for Departure {
    fn cmp(&self, other: &Self) -> Ordering {
        other.due.cmp(&self.due)
    }
}

impl PartialOrd for Departure {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Departure {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}

impl Eq for Departure {}

impl Departures {
    pub(crate) fn new(limits: &Arc<Limits>) -> Self {
        Self { limits: Arc::clone(limits), queue: Mutex::default(), changed: Notify::new() }
    }

    /// Counts a connection of `user` out of `channel`, and begins a grace if it was the last one.
    pub(crate) fn depart(&self, channel: &Arc<Channel>, user: &UserId) {
        let due = Instant::now() + self.limits.presence_grace;
        if channel.online().depart(user, due) {
            let channel = Arc::downgrade(channel);
            self.queue().push(Departure { due, channel, user: user.clone() });
            self.changed.notify_one();
        }
    }

    /// Ends graces as they fall due, for ever.
    pub(crate) async fn run(&self) {
        loop {
            let next = self.queue().peek().map(|departure| departure.due);
            match next {
                None => self.changed.notified().await,
                // No later departure falls due before it.
                Some(due) => {
                    tokio::time::sleep_until(due).await;
                    self.end_due();
                }
            }
        }
    }

    fn end_due(&self) {
        let now = Instant::now();
        while let Some(mut departure) = self.take_due(now) {
            let Some(channel) = departure.channel.upgrade() else { continue };
            let grace = channel.online().end_grace(&departure.user, now, list_limit(&self.limits));
            match grace {
                Grace::Over => {}
                Grace::Renewed(due) => {
                    departure.due = due;
                    self.queue().push(departure);
                }
                Grace::Left(changes) => tell(&channel, changes),
            }
        }
    }

    fn take_due(&self, now: Instant) -> Option<Departure> {
        let mut queue = self.queue();
        queue.peek().is_some_and(|departure| departure.due <= now).then(|| queue.pop()).flatten()
    }

    // Held for one look, push or removal, never across an await.
    fn queue(&self) -> MutexGuard<'_, BinaryHeap<Departure>> {
        self.queue.lock().expect("invariant: nothing panics under this lock")
    }
}
