//! Who is online in a channel: people, not connections, with a grace for those who come right back.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::channel::{Channel, Manner};
use crate::id::UserId;
use crate::link::Link;
use crate::message::User;
use crate::protocol::{ChatEvent, Encoder, UserList};
use crate::store::PageLimit;
use crate::sync::Arc;

/// The people online in one channel, up to a bound.
#[derive(Debug, Default)]
pub(crate) struct Members {
    online: HashMap<UserId, Member>,
    /// What the list takes in an answer.
    bytes: usize,
    /// The list as an answer has it, until somebody comes, leaves or is called otherwise.
    listed: Option<UserList>,
}

#[derive(Debug)]
struct Member {
    user: User,
    connections: usize,
    /// Whether a departure of this member waits for its grace to end.
    leaving: bool,
}

/// What an arrival changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The person is online now and was not before.
    New,
    /// The person was online already.
    Known,
    /// The list is full: this connection is not counted, and does not depart.
    Uncounted,
}

impl Members {
    /// Counts a connection of `user` in.
    pub(crate) fn arrive(&mut self, user: &User, limit: PageLimit) -> Arrival {
        let PageLimit { items, bytes } = limit;
        if let Some(member) = self.online.get_mut(&user.id) {
            member.connections += 1;
            let renamed = self.bytes - Encoder::user_len(&member.user) + Encoder::user_len(user);
            // A name that there is no room for is told once there is.
            if member.user != *user && renamed <= bytes {
                member.user = user.clone();
                self.bytes = renamed;
                self.listed = None;
            }
            return Arrival::Known;
        }
        let len = Encoder::user_len(user);
        if self.online.len() >= items || self.bytes + len > bytes {
            return Arrival::Uncounted;
        }
        self.bytes += len;
        self.listed = None;
        self.online.insert(user.id.clone(), Member { user: user.clone(), connections: 1, leaving: false });
        Arrival::New
    }

    /// Counts a connection of `user` out; says whether a departure is to be scheduled.
    fn depart(&mut self, user: &UserId) -> bool {
        let Some(member) = self.online.get_mut(user) else { return false };
        member.connections = member.connections.saturating_sub(1);
        if member.connections > 0 || member.leaving {
            return false;
        }
        member.leaving = true;
        true
    }

    /// Counts a connection of `user` out that does not come back: no grace begins.
    pub(crate) fn remove(&mut self, user: &UserId) {
        if let Some(member) = self.online.get_mut(user) {
            member.connections = member.connections.saturating_sub(1);
        }
    }

    /// Ends a grace; returns who has left for good.
    fn end_grace(&mut self, user: &UserId) -> Option<User> {
        self.online.get_mut(user)?.leaving = false;
        self.leave(user)
    }

    /// Takes `user` off the list, unless a connection of theirs is counted; returns who has left by that.
    pub(crate) fn leave(&mut self, user: &UserId) -> Option<User> {
        if self.online.get(user)?.connections > 0 {
            return None;
        }
        self.listed = None;
        let left = self.online.remove(user).map(|member| member.user);
        self.bytes -= left.as_ref().map_or(0, Encoder::user_len);
        if self.online.is_empty() {
            // A channel that everybody has left keeps no table.
            self.online = HashMap::new();
        }
        left
    }

    /// Returns who is online, by name.
    pub(crate) fn list(&mut self) -> UserList {
        let online = &self.online;
        let list = || {
            let mut users: Vec<_> = online.values().map(|member| &member.user).collect();
            users.sort_unstable_by(|a, b| a.name.cmp(&b.name).then_with(|| a.id.cmp(&b.id)));
            UserList::new(users.into_iter())
        };
        self.listed.get_or_insert_with(list).clone()
    }
}

/// Tells a channel's followers, but `except`, that somebody came or left.
pub(crate) fn announce(channel: &Channel, user: User, online: bool, except: Option<&Arc<Link>>) {
    let event = ChatEvent::Presence { channel: channel.info.name.clone(), user, online };
    channel.broadcast(&Encoder::notice(&event), except, Manner::Send);
}

/// Takes `user` off the channel's list of who is online, unless a connection of theirs is counted, and says so.
pub(crate) fn leave(channel: &Channel, user: &UserId) {
    let left = channel.members().leave(user);
    if let Some(user) = left {
        announce(channel, user, false, None);
    }
}

/// People whose last connection to a channel has gone, in the order in which their graces end.
///
/// Each waits at most once for each channel, so the queue is bounded by who is online.
#[derive(Debug)]
pub(crate) struct Departures {
    grace: Duration,
    queue: Mutex<VecDeque<Departure>>,
    changed: Notify,
}

#[derive(Debug)]
struct Departure {
    due: Instant,
    channel: Weak<Channel>,
    user: UserId,
}

impl Departures {
    pub(crate) fn new(grace: Duration) -> Self {
        Self { grace, queue: Mutex::default(), changed: Notify::new() }
    }

    /// Counts a connection of `user` out of `channel`, and begins the grace if it was the last one.
    pub(crate) fn depart(&self, channel: &Arc<Channel>, user: &UserId) {
        if channel.members().depart(user) {
            let departure = Departure {
                due: Instant::now() + self.grace,
                channel: Arc::downgrade(channel),
                user: user.clone(),
            };
            self.queue.lock().expect("invariant: nothing panics under this lock").push_back(departure);
            self.changed.notify_one();
        }
    }

    /// Ends graces as they fall due, for ever.
    pub(crate) async fn run(&self) {
        loop {
            let next =
                self.queue.lock().expect("invariant: nothing panics under this lock").front().map(|d| d.due);
            match next {
                None => self.changed.notified().await,
                Some(due) => {
                    tokio::time::sleep_until(due).await;
                    self.end_due();
                }
            }
        }
    }

    fn end_due(&self) {
        let now = Instant::now();
        loop {
            let departure = {
                let mut queue = self.queue.lock().expect("invariant: nothing panics under this lock");
                if queue.front().is_none_or(|d| d.due > now) {
                    return;
                }
                queue.pop_front()
            };
            let Some(Departure { channel, user, .. }) = departure else { return };
            let Some(channel) = channel.upgrade() else { continue };
            let left = channel.members().end_grace(&user);
            if let Some(user) = left {
                announce(&channel, user, false, None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> User {
        User::new(&format!("u_{name}"), name).unwrap()
    }

    fn people(most: usize) -> PageLimit {
        PageLimit::items(most)
    }

    #[test]
    fn two_connections_are_one_person_and_coming_back_in_time_is_no_leaving() {
        let (mut members, ann) = (Members::default(), user("ann"));
        assert_eq!(members.arrive(&ann, people(9)), Arrival::New);
        assert_eq!(members.arrive(&ann, people(9)), Arrival::Known);
        assert!(!members.depart(&ann.id));
        assert!(members.depart(&ann.id), "the last one begins a grace");
        assert_eq!(members.arrive(&ann, people(9)), Arrival::Known);
        assert!(!members.depart(&ann.id), "the grace that runs counts for this one too");
        assert_eq!(members.end_grace(&ann.id), Some(ann));
        assert_eq!(members.list(), UserList::new([].iter()));
    }

    #[test]
    fn a_person_who_is_removed_leaves_without_a_grace() {
        let (mut members, ann) = (Members::default(), user("ann"));
        members.arrive(&ann, people(9));
        members.arrive(&ann, people(9));
        members.remove(&ann.id);
        assert_eq!(members.leave(&ann.id), None, "a connection is left");
        assert!(members.depart(&ann.id), "a grace begins");
        assert_eq!(members.leave(&ann.id), Some(ann.clone()));
        assert_eq!(members.end_grace(&ann.id), None, "the grace finds nobody");
    }

    #[test]
    fn the_list_is_bounded_and_sorted() {
        let mut members = Members::default();
        assert_eq!(members.arrive(&user("b"), people(2)), Arrival::New);
        assert_eq!(members.arrive(&user("a"), people(2)), Arrival::New);
        assert_eq!(members.arrive(&user("c"), people(2)), Arrival::Uncounted);
        assert_eq!(members.list(), UserList::new([user("a"), user("b")].iter()));
    }

    #[test]
    fn the_list_is_bounded_in_bytes() {
        let mut members = Members::default();
        let ann = User::new("u_a", "Änn \"\u{1}\"").unwrap();
        let two = PageLimit::new(9, Encoder::user_len(&ann) + Encoder::user_len(&user("b")));
        assert_eq!(members.arrive(&ann, two), Arrival::New);
        assert_eq!(members.arrive(&user("bb"), two), Arrival::Uncounted, "a byte of id and of name too many");
        assert_eq!(members.arrive(&user("b"), two), Arrival::New);
        let longer = User::new("u_b", "bb").unwrap();
        assert_eq!(members.arrive(&longer, two), Arrival::Known);
        assert_eq!(
            members.list(),
            UserList::new([user("b"), ann.clone()].iter()),
            "the name that fits stays"
        );
        members.depart(&ann.id);
        members.end_grace(&ann.id);
        assert_eq!(members.arrive(&longer, two), Arrival::Known);
        assert_eq!(members.list(), UserList::new([longer].iter()), "there is room for the name again");
        assert_eq!(members.arrive(&user("c"), two), Arrival::New);
    }

    #[test]
    fn the_list_is_that_of_now() {
        let mut members = Members::default();
        let listed = |members: &mut Members, expected: &[User]| {
            assert_eq!(members.list(), UserList::new(expected.iter()));
        };
        members.arrive(&user("a"), people(9));
        listed(&mut members, &[user("a")]);
        members.arrive(&user("b"), people(9));
        listed(&mut members, &[user("a"), user("b")]);
        let renamed = User::new("u_a", "z").unwrap();
        members.arrive(&renamed, people(9));
        listed(&mut members, &[user("b"), renamed.clone()]);
        members.depart(&user("b").id);
        listed(&mut members, &[user("b"), renamed.clone()]);
        members.end_grace(&user("b").id);
        listed(&mut members, &[renamed]);
    }
}
