//! All connections, by user.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use dashmap::DashMap;
use tokio::sync::watch;

use crate::delivery::handle::ConnectionHandle;
use crate::delivery::subscriber::Subscriber;
use crate::limits::Limits;
use crate::model::id::{SessionId, UserId};
use crate::model::moment::Moment;
use crate::model::name::ChannelName;
use crate::model::policy::Identity;
use crate::protocol::{ChatEvent, CloseReason, ConnectError, Encoder, RemovalReason};

/// How long a user's disconnection is remembered, for handshakes that began before it.
const DISCONNECTED_FOR: Duration = Duration::from_secs(60);

/// The most remembered disconnections. A new one replaces the oldest.
const DISCONNECTED: usize = 10_000;

/// The open connections.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    by_user: DashMap<UserId, Vec<Arc<ConnectionHandle>>>,
    count: AtomicUsize,
    /// The recent disconnections, the oldest first.
    disconnected: Mutex<VecDeque<Disconnected>>,
    /// Changes with each disconnection.
    disconnects: watch::Sender<()>,
}

#[derive(Debug)]
struct Disconnected {
    user: UserId,
    /// `Some` if only one session was disconnected.
    session: Option<SessionId>,
    reason: CloseReason,
    at: Moment,
}

impl Connections {
    /// Adds a connection, unless there are too many in total or of this user, or the user was disconnected after
    /// the connection's identity was found.
    pub(crate) fn enter(&self, handle: &Arc<ConnectionHandle>, limits: &Limits) -> Result<(), ConnectError> {
        if self.count.fetch_add(1, Ordering::Relaxed) >= limits.connections {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return Err(ConnectError::Overloaded);
        }
        {
            let mut connections = self.by_user.entry(handle.identity.user.id.clone()).or_default();
            if connections.len() >= limits.connections_per_user {
                self.count.fetch_sub(1, Ordering::Relaxed);
                return Err(ConnectError::Overloaded);
            }
            if connections.is_empty() {
                // Most users have one connection.
                connections.reserve_exact(1);
            }
            connections.push(Arc::clone(handle));
        }
        // After adding it: a disconnection either finds the connection, or is found here.
        match self.disconnected_since(&handle.identity) {
            None => Ok(()),
            Some(reason) => {
                self.leave(handle);
                Err(ConnectError::Disconnected(reason))
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

    /// Returns whether a user was signed out or banned after their identity was found. A request without a connection, such
    /// as a download, ends then. The answer is remembered for a minute.
    pub(crate) fn is_signed_out(&self, identity: &Identity) -> bool {
        self.disconnected_since(identity).is_some_and(CloseReason::is_final)
    }

    /// Waits until a user is signed out or banned. Cancelling it is safe.
    pub(crate) async fn signed_out(&self, identity: &Identity) {
        // Before the first look, so that no disconnection falls between two.
        let mut disconnects = self.disconnects.subscribe();
        while !self.is_signed_out(identity) {
            // The sender lives as long as `self`.
            let _ = disconnects.changed().await;
        }
    }

    /// Removes a connection.
    pub(crate) fn leave(&self, handle: &Arc<ConnectionHandle>) {
        let user = &handle.identity.user.id;
        if let Some(mut connections) = self.by_user.get_mut(user) {
            connections.retain(|other| !Arc::ptr_eq(other, handle));
        }
        self.by_user.remove_if(user, |_, connections| connections.is_empty());
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
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&Arc<ConnectionHandle>)) {
        for connections in &self.by_user {
            connections.iter().for_each(&mut visit);
        }
    }

    /// Returns a user's connections.
    pub(crate) fn of(&self, user: &UserId) -> Vec<Arc<ConnectionHandle>> {
        self.by_user.get(user).map(|connections| connections.clone()).unwrap_or_default()
    }

    /// Sends a frame about a channel to the other connections of the user of `own`, unless `own` was meanwhile cut
    /// off from the channel.
    pub(crate) fn send_to_others(&self, own: &Arc<ConnectionHandle>, channel: &ChannelName, frame: &Bytes) {
        // The entry's lock excludes a simultaneous cut of all of them.
        let Some(connections) = self.by_user.get(&own.identity.user.id) else { return };
        if own.is_cut_off(channel) {
            return;
        }
        for handle in connections.iter().filter(|handle| !Arc::ptr_eq(handle, own)) {
            handle.send_of(channel, frame, || true);
        }
    }

    /// Cuts the user's connections off from a channel if `is_meant`. Returns the ended subscriptions.
    pub(crate) fn cut_off(
        &self,
        user: &UserId,
        channel: &ChannelName,
        is_meant: impl Fn(&Arc<ConnectionHandle>) -> bool,
    ) -> Vec<Arc<Subscriber>> {
        let removed = ChatEvent::ChannelRemoved { channel: channel.clone(), reason: RemovalReason::Removed };
        let told = Encoder::notice(&removed);
        // An exclusive lock, for `send_to_others`.
        let Some(connections) = self.by_user.get_mut(user) else { return Vec::new() };
        let meant = connections.iter().filter(|handle| is_meant(handle));
        meant.flat_map(|handle| handle.cut_off(channel, told.clone())).collect()
    }

    /// Closes a user's connections, or those of one session, including those that are being opened: all whose
    /// identities were found at or before `at`.
    pub(crate) fn close(&self, user: &UserId, session: Option<&SessionId>, reason: CloseReason, at: Moment) {
        self.remember(user, session, reason, at);
        self.disconnects.send_replace(());
        if let Some(connections) = self.by_user.get(user) {
            let meant = |handle: &&Arc<ConnectionHandle>| {
                handle.identity.since <= at && is_meant(session, &handle.identity)
            };
            connections.iter().filter(meant).for_each(|handle| handle.close(reason));
        }
    }

    fn remember(&self, user: &UserId, session: Option<&SessionId>, reason: CloseReason, at: Moment) {
        let mut disconnected = self.disconnected.lock().expect("invariant: nothing panics under this lock");
        let now = Moment::now();
        while disconnected.front().is_some_and(|one| now - one.at > DISCONNECTED_FOR)
            || disconnected.len() >= DISCONNECTED
        {
            disconnected.pop_front();
        }
        // Another node's may be told late.
        let place = disconnected.partition_point(|one| one.at <= at);
        let one = Disconnected { user: user.clone(), session: session.cloned(), reason, at };
        disconnected.insert(place, one);
    }
}

/// Returns whether a disconnection of `session`, or of all if it is `None`, applies to a connection of `identity`.
fn is_meant(session: Option<&SessionId>, identity: &Identity) -> bool {
    session.is_none_or(|session| identity.session.as_ref() == Some(session))
}
