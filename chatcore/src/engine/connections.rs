//! Every connection there is, by user.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dashmap::DashMap;

use crate::delivery::handle::Link;
use crate::delivery::subscriber::Follower;
use crate::limits::Limits;
use crate::model::id::{SessionId, UserId};
use crate::model::name::ChannelName;
use crate::model::policy::Identity;
use crate::protocol::{ChatEvent, CloseReason, Encoder, RemovalReason};

/// How long a user's disconnection is remembered, for handshakes that began before it.
const DISCONNECTED_FOR: Duration = Duration::from_secs(60);

/// The most disconnections remembered; the oldest makes room.
const DISCONNECTED: usize = 10_000;

/// The open connections.
#[derive(Debug, Default)]
pub(crate) struct Links {
    by_user: DashMap<UserId, Vec<Arc<Link>>>,
    count: AtomicUsize,
    /// Who was disconnected lately, the oldest first.
    disconnected: Mutex<VecDeque<Disconnected>>,
}

#[derive(Debug)]
struct Disconnected {
    user: UserId,
    /// Of one session alone.
    session: Option<SessionId>,
    reason: CloseReason,
    at: Instant,
}

impl Links {
    /// Enters a connection, unless there are too many, in all or of this user, or the user was disconnected
    /// since the connection's identity was found.
    pub(crate) fn enter(&self, link: &Arc<Link>, limits: &Limits) -> Result<(), CloseReason> {
        if self.count.fetch_add(1, Ordering::Relaxed) >= limits.connections {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return Err(CloseReason::Overloaded);
        }
        {
            let mut links = self.by_user.entry(link.identity.user.id.clone()).or_default();
            if links.len() >= limits.connections_per_user {
                self.count.fetch_sub(1, Ordering::Relaxed);
                return Err(CloseReason::Overloaded);
            }
            links.push(Arc::clone(link));
        }
        // After the entry: a disconnection either finds the link, or is found here.
        match self.disconnected_since(&link.identity) {
            None => Ok(()),
            Some(reason) => {
                self.leave(link);
                Err(reason)
            }
        }
    }

    fn disconnected_since(&self, identity: &Identity) -> Option<CloseReason> {
        let disconnected = self.disconnected.lock().expect("invariant: nothing panics under this lock");
        let later = disconnected.iter().rev().take_while(|one| one.at >= identity.since);
        later
            .filter(|one| one.user == identity.user.id && is_meant(one.session.as_ref(), identity))
            .map(|one| one.reason)
            .next()
    }

    /// Removes a connection.
    pub(crate) fn leave(&self, link: &Arc<Link>) {
        let user = &link.identity.user.id;
        if let Some(mut links) = self.by_user.get_mut(user) {
            links.retain(|other| !Arc::ptr_eq(other, link));
        }
        self.by_user.remove_if(user, |_, links| links.is_empty());
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Returns how many users have a connection.
    pub(crate) fn users(&self) -> usize {
        self.by_user.len()
    }

    /// Calls `visit` for each connection.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&Arc<Link>)) {
        for links in &self.by_user {
            links.iter().for_each(&mut visit);
        }
    }

    /// Returns a user's connections.
    pub(crate) fn of(&self, user: &UserId) -> Vec<Arc<Link>> {
        self.by_user.get(user).map(|links| links.clone()).unwrap_or_default()
    }

    /// Leaves a frame about a channel with the other connections of the user of `own`, unless that one was cut off
    /// the channel meanwhile.
    pub(crate) fn send_to_others(&self, own: &Arc<Link>, channel: &ChannelName, frame: &Bytes) {
        // The entry's lock keeps a cut of them all away from in between.
        let Some(links) = self.by_user.get(&own.identity.user.id) else { return };
        if own.is_cut_off(channel) {
            return;
        }
        for link in links.iter().filter(|link| !Arc::ptr_eq(link, own)) {
            link.send_of(channel, frame, || true);
        }
    }

    /// Cuts those of a user's connections off a channel that are meant. Returns the subscriptions that have ended.
    pub(crate) fn cut_off(
        &self,
        user: &UserId,
        channel: &ChannelName,
        is_meant: impl Fn(&Arc<Link>) -> bool,
    ) -> Vec<Arc<Follower>> {
        let removed = ChatEvent::ChannelRemoved { channel: channel.clone(), reason: RemovalReason::Removed };
        let told = Encoder::notice(&removed);
        // Exclusive, for `send_to_others`.
        let Some(links) = self.by_user.get_mut(user) else { return Vec::new() };
        let meant = links.iter().filter(|link| is_meant(link));
        meant.flat_map(|link| link.cut_off(channel, told.clone())).collect()
    }

    /// Closes a user's connections, or those of one session of theirs, and those that are being opened.
    pub(crate) fn close(&self, user: &UserId, session: Option<&SessionId>, reason: CloseReason) {
        self.remember(user, session, reason);
        if let Some(links) = self.by_user.get(user) {
            let meant = |link: &&Arc<Link>| is_meant(session, &link.identity);
            links.iter().filter(meant).for_each(|link| link.close(reason));
        }
    }

    fn remember(&self, user: &UserId, session: Option<&SessionId>, reason: CloseReason) {
        let mut disconnected = self.disconnected.lock().expect("invariant: nothing panics under this lock");
        let at = Instant::now();
        while disconnected.front().is_some_and(|one| at - one.at > DISCONNECTED_FOR)
            || disconnected.len() >= DISCONNECTED
        {
            disconnected.pop_front();
        }
        disconnected.push_back(Disconnected { user: user.clone(), session: session.cloned(), reason, at });
    }
}

/// Returns whether a disconnection of `session`, or of all where there is none, means a connection of `identity`.
fn is_meant(session: Option<&SessionId>, identity: &Identity) -> bool {
    session.is_none_or(|session| identity.session.as_ref() == Some(session))
}
