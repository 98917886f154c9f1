//! Who is online in a channel: people, not connections, with a grace period for people who come right back.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::time::Instant;

use crate::model::id::UserId;
use crate::model::message::User;
use crate::protocol::{Encoder, UserList};
use crate::store::PageLimit;

/// The people online in one channel. The list has as many as it has room for. Others wait until somebody leaves.
#[derive(Debug, Default)]
pub(crate) struct Online {
    online: HashMap<UserId, Person>,
    /// The people who are not listed, in the order of their arrival: at most as many as there are subscriptions.
    waiting: BTreeMap<u64, UserId>,
    /// The bytes of the list in an answer.
    bytes: usize,
    /// The encoded list, until somebody comes, leaves or changes their name.
    listed: Option<UserList>,
}

#[derive(Debug)]
struct Person {
    /// Of the user, whose id is the key.
    name: Arc<str>,
    connections: usize,
    standing: Standing,
}

#[derive(Debug)]
enum Standing {
    Listed {
        /// When the grace period of the current absence ends, or ended if there is none.
        due: Option<Instant>,
        /// Whether a departure of this person is in the queue.
        queued: bool,
    },
    /// The person's place in the order of those who wait.
    Waiting(u64),
}

/// The effect of an arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The person is listed now and was not online before.
    New,
    /// The person was online already.
    Known,
    /// The list is full, and the person waits for room.
    Waits,
    /// The list is off: this connection is not counted, and does not depart.
    Uncounted,
}

/// The outcome of a grace period.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Grace {
    /// The person came back, or is gone already.
    Over,
    /// The person came back and left again. That absence has its own grace period.
    Renewed(Instant),
    /// The person has left for good.
    Left(Vec<Change>),
}

/// A person who was added to or removed from the list.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) user: User,
    pub(crate) online: bool,
}

impl Online {
    /// Counts a connection of `user`.
    pub(crate) fn arrive(&mut self, user: &User, limit: PageLimit) -> Arrival {
        if limit.items == 0 {
            return Arrival::Uncounted;
        }
        if let Some(person) = self.online.get_mut(&user.id) {
            person.connections += 1;
            if person.name == user.name {
                return Arrival::Known;
            }
            let renamed = match person.standing {
                Standing::Listed { .. } => {
                    self.bytes - Encoder::user_len(&person.user(&user.id)) + Encoder::user_len(user)
                }
                Standing::Waiting(_) => self.bytes,
            };
            // A name without room is announced when there is room.
            if renamed <= limit.bytes {
                person.name = Arc::clone(&user.name);
                self.bytes = renamed;
                self.listed = None;
            }
            return Arrival::Known;
        }
        let fits = self.has_room(user, limit);
        let standing = if fits { self.enlist(user) } else { self.queue(user) };
        self.online
            .insert(user.id.clone(), Person { name: Arc::clone(&user.name), connections: 1, standing });
        if fits { Arrival::New } else { Arrival::Waits }
    }

    fn has_room(&self, user: &User, PageLimit { items, bytes }: PageLimit) -> bool {
        self.online.len() - self.waiting.len() < items && self.bytes + Encoder::user_len(user) <= bytes
    }

    fn enlist(&mut self, user: &User) -> Standing {
        self.bytes += Encoder::user_len(user);
        self.listed = None;
        Standing::Listed { due: None, queued: false }
    }

    fn queue(&mut self, user: &User) -> Standing {
        let place = self.waiting.last_key_value().map_or(0, |(last, _)| last + 1);
        self.waiting.insert(place, user.id.clone());
        Standing::Waiting(place)
    }

    /// Counts a connection of `user` out; says whether a departure is to be scheduled. If it was the last one, the grace
    /// of this absence ends at `due`.
    pub(crate) fn depart(&mut self, user: &UserId, due: Instant) -> bool {
        let Some(person) = self.online.get_mut(user) else { return false };
        person.connections = person.connections.saturating_sub(1);
        if person.connections > 0 {
            return false;
        }
        match &mut person.standing {
            Standing::Listed { due: end, queued } => {
                *end = Some(due);
                !std::mem::replace(queued, true)
            }
            Standing::Waiting(place) => {
                self.waiting.remove(place);
                self.forget(user);
                false
            }
        }
    }

    /// Removes a connection of `user` from the count without a grace period.
    pub(crate) fn remove(&mut self, user: &UserId) {
        if let Some(person) = self.online.get_mut(user) {
            person.connections = person.connections.saturating_sub(1);
        }
    }

    /// Ends the graces of `user` that are over by `now`.
    pub(crate) fn end_grace(&mut self, user: &UserId, now: Instant, limit: PageLimit) -> Grace {
        let Some(person) = self.online.get_mut(user) else { return Grace::Over };
        let Standing::Listed { due, queued } = &mut person.standing else { return Grace::Over };
        if person.connections == 0
            && let Some(due) = due.filter(|due| *due > now)
        {
            return Grace::Renewed(due);
        }
        *queued = false;
        Grace::Left(self.leave(user, limit))
    }

    /// Removes `user` from the list, unless a connection of theirs is counted, and adds people who waited for
    /// room. Returns the changes to announce.
    pub(crate) fn leave(&mut self, user: &UserId, limit: PageLimit) -> Vec<Change> {
        let Some(person) = self.online.get(user).filter(|person| person.connections == 0) else {
            return Vec::new();
        };
        if let Standing::Waiting(place) = person.standing {
            self.waiting.remove(&place);
            self.forget(user);
            return Vec::new();
        }
        let mut changes = Vec::with_capacity(1);
        if let Some(user) = self.forget(user) {
            self.bytes -= Encoder::user_len(&user);
            self.listed = None;
            changes.push(Change { user, online: false });
        }
        while let Some(user) = self.first_waiting().filter(|user| self.has_room(user, limit)) {
            self.waiting.pop_first();
            let standing = self.enlist(&user);
            if let Some(person) = self.online.get_mut(&user.id) {
                person.standing = standing;
            }
            changes.push(Change { user, online: true });
        }
        changes
    }

    /// Removes an erased person from the list, whatever connections of theirs are counted, and adds people who waited for
    /// room. Returns the changes to announce, without their name.
    pub(crate) fn expel(&mut self, user: &UserId, limit: PageLimit) -> Vec<Change> {
        if let Some(person) = self.online.get_mut(user) {
            person.connections = 0;
        }
        let mut changes = self.leave(user, limit);
        for change in &mut changes {
            change.user.erase_name(user);
        }
        changes
    }

    fn first_waiting(&self) -> Option<User> {
        let (_, first) = self.waiting.first_key_value()?;
        self.online.get(first).map(|person| person.user(first))
    }

    fn forget(&mut self, user: &UserId) -> Option<User> {
        let person = self.online.remove(user);
        if self.online.is_empty() {
            // An empty channel keeps no table.
            self.online = HashMap::new();
        }
        person.map(|person| person.user(user))
    }

    /// Returns everybody who is online, also those for whom the list has no room, by name.
    pub(crate) fn everybody(&self) -> Vec<User> {
        let mut users: Vec<_> = self.online.iter().map(|(id, person)| person.user(id)).collect();
        users.sort_unstable_by(by_name);
        users
    }

    /// Returns the listed people, by name.
    pub(crate) fn list(&mut self) -> UserList {
        let online = &self.online;
        let list = || {
            let is_listed =
                |(_, person): &(&UserId, &Person)| matches!(person.standing, Standing::Listed { .. });
            let mut users: Vec<_> =
                online.iter().filter(is_listed).map(|(id, person)| person.user(id)).collect();
            users.sort_unstable_by(by_name);
            UserList::new(users.iter())
        };
        self.listed.get_or_insert_with(list).clone()
    }
}

impl Person {
    fn user(&self, id: &UserId) -> User {
        User::from_id(id.clone(), Arc::clone(&self.name))
    }
}

fn by_name(a: &User, b: &User) -> std::cmp::Ordering {
    a.name.cmp(&b.name).then_with(|| a.id.cmp(&b.id))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn user(name: &str) -> User {
        User::new(&format!("u_{name}"), name).unwrap()
    }

    const GRACE: Duration = Duration::from_secs(5);

    /// Removes `user` for good.
    fn see_off(online: &mut Online, user: &User, limit: PageLimit) -> Vec<(String, bool)> {
        let now = Instant::now();
        online.depart(&user.id, now);
        left(online.end_grace(&user.id, now, limit))
    }

    fn left(grace: Grace) -> Vec<(String, bool)> {
        let Grace::Left(changes) = grace else { panic!("{grace:?}") };
        changes.into_iter().map(|Change { user, online }| (user.name.to_string(), online)).collect()
    }

    fn people(most: usize) -> PageLimit {
        PageLimit::items(most)
    }

    #[test]
    fn two_connections_are_one_person_and_coming_back_in_time_is_no_leaving() {
        let (mut online, ann, now) = (Online::default(), user("ann"), Instant::now());
        assert_eq!(online.arrive(&ann, people(9)), Arrival::New);
        assert_eq!(online.arrive(&ann, people(9)), Arrival::Known);
        assert!(!online.depart(&ann.id, now));
        assert!(online.depart(&ann.id, now + GRACE), "the last one begins a grace");
        assert_eq!(online.arrive(&ann, people(9)), Arrival::Known);
        assert_eq!(left(online.end_grace(&ann.id, now + GRACE, people(9))), []);
        assert_eq!(online.list(), UserList::new([ann].iter()));
    }

    #[test]
    fn a_second_absence_has_a_grace_of_its_own() {
        let (mut online, ann, now) = (Online::default(), user("ann"), Instant::now());
        let second = Duration::from_secs(4);
        online.arrive(&ann, people(9));
        assert!(online.depart(&ann.id, now + GRACE));
        online.arrive(&ann, people(9));
        assert!(!online.depart(&ann.id, now + second + GRACE), "the departure is in the queue already");
        let renewed = Grace::Renewed(now + second + GRACE);
        assert_eq!(online.end_grace(&ann.id, now + GRACE, people(9)), renewed);
        let end = online.end_grace(&ann.id, now + second + GRACE, people(9));
        assert_eq!(left(end), [("ann".to_owned(), false)]);
        assert_eq!(online.list(), UserList::new([].iter()));
    }

    #[test]
    fn a_person_who_is_removed_leaves_without_a_grace() {
        let (mut online, ann, now) = (Online::default(), user("ann"), Instant::now());
        online.arrive(&ann, people(9));
        online.arrive(&ann, people(9));
        online.remove(&ann.id);
        assert_eq!(online.leave(&ann.id, people(9)), [], "a connection is left");
        assert!(online.depart(&ann.id, now), "a grace begins");
        assert_eq!(online.leave(&ann.id, people(9)), [Change { user: ann.clone(), online: false }]);
        assert_eq!(online.end_grace(&ann.id, now, people(9)), Grace::Over, "the grace finds nobody");
    }

    #[test]
    fn the_list_is_bounded_and_sorted() {
        let mut online = Online::default();
        assert_eq!(online.arrive(&user("b"), people(2)), Arrival::New);
        assert_eq!(online.arrive(&user("a"), people(2)), Arrival::New);
        assert_eq!(online.arrive(&user("c"), people(2)), Arrival::Waits);
        assert_eq!(online.list(), UserList::new([user("a"), user("b")].iter()));
        assert_eq!(Online::default().arrive(&user("a"), people(0)), Arrival::Uncounted);
    }

    #[test]
    fn a_list_that_empties_takes_those_who_wait_in_order() {
        let (mut online, two) = (Online::default(), people(2));
        for name in ["a", "b", "c", "d", "e", "f"] {
            online.arrive(&user(name), two);
        }
        assert_eq!(online.arrive(&user("d"), two), Arrival::Known, "who waits is one person too");
        online.depart(&user("d").id, Instant::now());
        assert!(!online.depart(&user("c").id, Instant::now()), "who waits leaves at once");
        let told = |name: &str, online| (name.to_owned(), online);
        assert_eq!(see_off(&mut online, &user("a"), two), [told("a", false), told("d", true)]);
        assert_eq!(online.list(), UserList::new([user("b"), user("d")].iter()));
        online.remove(&user("e").id);
        assert_eq!(online.leave(&user("e").id, two), [], "nobody was told of them");
        assert_eq!(see_off(&mut online, &user("d"), two), [told("d", false), told("f", true)]);
        assert_eq!(see_off(&mut online, &user("b"), two), [told("b", false)]);
        assert_eq!(see_off(&mut online, &user("f"), two), [told("f", false)]);
        assert_eq!((online.bytes, online.online.capacity(), online.waiting.len()), (0, 0, 0));
    }

    #[test]
    fn the_list_is_bounded_in_bytes() {
        let mut online = Online::default();
        let ann = User::new("u_a", "Änn \"\u{1}\"").unwrap();
        let two = PageLimit::new(9, Encoder::user_len(&ann) + Encoder::user_len(&user("b")));
        assert_eq!(online.arrive(&ann, two), Arrival::New);
        assert_eq!(online.arrive(&user("bb"), two), Arrival::Waits, "a byte of id and of name too many");
        online.depart(&user("bb").id, Instant::now());
        assert_eq!(online.arrive(&user("b"), two), Arrival::New);
        let longer = User::new("u_b", "bb").unwrap();
        assert_eq!(online.arrive(&longer, two), Arrival::Known);
        assert_eq!(online.list(), UserList::new([user("b"), ann.clone()].iter()), "the name that fits stays");
        see_off(&mut online, &ann, two);
        assert_eq!(online.arrive(&longer, two), Arrival::Known);
        assert_eq!(online.list(), UserList::new([longer].iter()), "there is room for the name again");
        assert_eq!(online.arrive(&user("c"), two), Arrival::New);
    }

    #[test]
    fn the_list_is_that_of_now() {
        let mut online = Online::default();
        let listed = |online: &mut Online, expected: &[User]| {
            assert_eq!(online.list(), UserList::new(expected.iter()));
        };
        online.arrive(&user("a"), people(9));
        listed(&mut online, &[user("a")]);
        online.arrive(&user("b"), people(9));
        listed(&mut online, &[user("a"), user("b")]);
        let renamed = User::new("u_a", "z").unwrap();
        online.arrive(&renamed, people(9));
        listed(&mut online, &[user("b"), renamed.clone()]);
        let now = Instant::now();
        online.depart(&user("b").id, now);
        listed(&mut online, &[user("b"), renamed.clone()]);
        online.end_grace(&user("b").id, now, people(9));
        listed(&mut online, &[renamed]);
    }
}
