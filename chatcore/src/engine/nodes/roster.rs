//! Who is in which channel at one node, within bounds.

use std::collections::{BTreeMap, HashMap};

use crate::model::id::{ChannelId, UserId};
use crate::model::message::User;

/// The most users in channels of one node that are remembered, and their bytes.
pub(crate) const USERS: usize = 400_000;
pub(crate) const BYTES: usize = 64 << 20;

/// The bytes of a user in a channel without the id and the name: the places in a tree that is half full.
const ENTRY: usize = 128;

/// Returns the bytes that a user takes in a channel.
pub(super) fn weight(user: &User) -> usize {
    ENTRY + user.id.as_str().len() + user.name.len()
}

/// Who is in which channel at one node.
#[derive(Debug, Default)]
pub(super) struct Roster {
    channels: HashMap<ChannelId, BTreeMap<UserId, User>>,
    len: usize,
    bytes: usize,
    digest: u64,
    /// Whether somebody had no room, and nobody has left since then.
    has_refused: bool,
}

impl Roster {
    /// Adds a user to a channel, or takes the new name of one who is there. Returns the user's entry before, if there was
    /// one, and whether there is room.
    pub(super) fn add(&mut self, channel: ChannelId, user: &User) -> (Option<User>, bool) {
        let known = self.entry(channel, &user.id).cloned();
        let (len, freed) = known.as_ref().map_or((self.len + 1, 0), |known| (self.len, weight(known)));
        let bytes = self.bytes + weight(user) - freed;
        if len > USERS || bytes > BYTES {
            self.has_refused = true;
            return (known, false);
        }
        (self.len, self.bytes) = (len, bytes);
        let before = self.channels.entry(channel).or_default().insert(user.id.clone(), user.clone());
        if before.is_none() {
            self.digest ^= digest(channel, &user.id);
        }
        (before, true)
    }

    /// Removes a user from a channel. Returns whether they were in it.
    pub(super) fn remove(&mut self, channel: ChannelId, user: &UserId) -> bool {
        let Some(users) = self.channels.get_mut(&channel) else { return false };
        let removed = users.remove(user);
        if users.is_empty() {
            self.channels.remove(&channel);
        }
        let Some(removed) = removed else { return false };
        self.len -= 1;
        self.bytes -= weight(&removed);
        self.digest ^= digest(channel, user);
        self.has_refused = false;
        true
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns a number that two rosters with the same users in the same channels share.
    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    /// Returns whether it is full: somebody is missing.
    pub(super) fn has_refused(&self) -> bool {
        self.has_refused
    }

    pub(super) fn entry(&self, channel: ChannelId, user: &UserId) -> Option<&User> {
        self.channels.get(&channel)?.get(user)
    }

    pub(super) fn entries(&self) -> Vec<(ChannelId, User)> {
        let of = |(channel, users): (&ChannelId, &BTreeMap<UserId, User>)| {
            users.values().map(|user| (*channel, user.clone())).collect::<Vec<_>>()
        };
        self.channels.iter().flat_map(of).collect()
    }

    /// Returns the users in a channel.
    pub(super) fn users(&self, channel: ChannelId) -> Option<&BTreeMap<UserId, User>> {
        self.channels.get(&channel)
    }
}

/// The 64-bit FNV-1a hash of a user in a channel.
fn digest(ChannelId(channel): ChannelId, user: &UserId) -> u64 {
    let bytes = channel.to_le_bytes().into_iter().chain(user.as_str().bytes());
    let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.fold(0xcbf2_9ce4_8422_2325, hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ChannelId = ChannelId(1);

    fn user(n: usize, name: &str) -> User {
        User::new(&format!("u_{n:07}"), name).unwrap()
    }

    #[test]
    fn so_many_users_are_remembered_and_no_more() {
        let mut roster = Roster::default();
        for n in 0..USERS {
            assert_eq!(roster.add(A, &user(n, "")), (None, true));
        }
        let digest = roster.digest();
        assert_eq!(roster.add(A, &user(USERS, "")), (None, false));
        assert!(roster.has_refused() && roster.digest() == digest);
        assert!(roster.remove(A, &user(0, "").id) && !roster.has_refused());
        assert_eq!(roster.add(A, &user(USERS, "")), (None, true));
    }

    #[test]
    fn the_bytes_are_bounded_also_by_new_names() {
        let mut roster = Roster::default();
        let room = BYTES - weight(&user(1, "")) - weight(&user(2, ""));
        assert_eq!(roster.add(A, &user(1, &"x".repeat(room))), (None, true));
        assert_eq!(roster.add(A, &user(2, "x")), (None, false), "one byte too many");
        assert_eq!(roster.add(A, &user(2, "")), (None, true));
        assert_eq!(roster.bytes, BYTES);
        assert_eq!(roster.add(A, &user(2, "x")), (Some(user(2, "")), false), "the old name stays");
        assert_eq!(roster.entry(A, &user(2, "").id), Some(&user(2, "")));
        assert!(roster.remove(A, &user(1, "").id) && roster.remove(A, &user(2, "").id));
        assert_eq!((roster.len, roster.bytes, roster.digest()), (0, 0, 0));
    }
}
