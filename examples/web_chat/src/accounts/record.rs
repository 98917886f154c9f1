//! What the accounts' stores keep: people with their devices, and the service's own record.

use std::time::Duration;

use chatcore::{Timestamp, User, UserId, visible};
use serde::{Deserialize, Serialize};

use super::device::UNKNOWN_DEVICE;
use super::secret::Hash;
use crate::name::DisplayName;

/// How long a sign-in link is valid.
pub(crate) const LINK_LIFE: Duration = Duration::from_secs(10 * 60);

/// The most devices of a person. One more signs out the one that was not used for the longest time.
pub(crate) const DEVICES: usize = 20;

/// The most invitations that are valid at the same time.
pub(crate) const INVITATIONS: usize = 100;

/// A person: a user of the chat, a name, and the devices that are signed in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Person {
    pub(crate) user: User,
    /// The keys of the name. No two people have a common key.
    pub(crate) keys: Vec<String>,
    pub(crate) since: Timestamp,
    /// The last use of any device, also of one that was signed out since.
    pub(crate) used: Timestamp,
    /// At most [`DEVICES`].
    pub(crate) devices: Vec<Device>,
    /// The newest sign-in link. It replaces the one before.
    pub(crate) link: Option<Link>,
}

/// A device that is signed in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Device {
    /// The hash of its token.
    pub(crate) hash: Hash,
    /// Its browser and its system.
    pub(crate) name: String,
    pub(crate) since: Timestamp,
    pub(crate) used: Timestamp,
}

/// A link that signs in another device, once.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Link {
    pub(crate) hash: Hash,
    pub(crate) expires: Timestamp,
}

impl Link {
    pub(crate) fn is_valid(&self, now: Timestamp) -> bool {
        // A link from a clock that was ahead is not valid for longer.
        self.expires >= now && self.expires.minus(LINK_LIFE) <= now
    }
}

/// An invitation to take a new name.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Invitation {
    pub(crate) hash: Hash,
    /// How many names can still be taken with it.
    pub(crate) uses: u32,
    pub(crate) since: Timestamp,
    pub(crate) expires: Timestamp,
}

impl Invitation {
    pub(crate) fn is_valid(&self, now: Timestamp) -> bool {
        self.uses > 0 && self.expires >= now
    }
}

/// What belongs to no person.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Service {
    pub(crate) owner: Option<UserId>,
    /// Whether anybody has ever taken a name. After that, nobody becomes the owner by being the first.
    pub(crate) begun: bool,
    /// At most [`INVITATIONS`].
    pub(crate) invitations: Vec<Invitation>,
}

impl Person {
    pub(crate) fn new(id: UserId, name: &DisplayName, now: Timestamp) -> Self {
        let user = User::from_id(id, name.as_str());
        Self { user, keys: name.keys(), since: now, used: now, devices: Vec::new(), link: None }
    }

    /// Returns the person of an account of an earlier version, which had one device.
    pub(crate) fn carried_over(
        user: User,
        keys: Vec<String>,
        token: Hash,
        since: Timestamp,
        now: Timestamp,
    ) -> Self {
        let device = Device { hash: token, name: UNKNOWN_DEVICE.to_owned(), since, used: now };
        Self { user, keys, since, used: now, devices: vec![device], link: None }
    }

    /// Returns the text by which people are listed and found: the folded name, and the id after a line break, which is
    /// before any character of a name.
    pub(crate) fn sort_key(&self) -> String {
        format!("{}\n{}", visible::fold(&self.user.name), self.user.id)
    }

    pub(crate) fn device(&self, hash: &Hash) -> Option<&Device> {
        self.devices.iter().find(|device| device.hash == *hash)
    }

    /// Removes a device. Returns whether it was there.
    pub(crate) fn sign_out(&mut self, hash: &Hash) -> bool {
        let before = self.devices.len();
        self.devices.retain(|device| device.hash != *hash);
        self.devices.len() < before
    }

    /// Adds a device. Returns the hash of the device that it replaces, if there were [`DEVICES`].
    pub(crate) fn sign_in(&mut self, hash: Hash, name: &str, now: Timestamp) -> Option<Hash> {
        let oldest = self.devices.iter().min_by_key(|device| device.used).map(|device| device.hash);
        let replaced = oldest.filter(|_| self.devices.len() >= DEVICES);
        if let Some(hash) = &replaced {
            self.sign_out(hash);
        }
        self.devices.push(Device { hash, name: name.to_owned(), since: now, used: now });
        self.used = self.used.max(now);
        replaced
    }

    /// Sets the times that are after `latest` to `now`. Returns whether there were any.
    pub(crate) fn correct_times(&mut self, now: Timestamp, latest: Timestamp) -> bool {
        let times = self.devices.iter_mut().flat_map(|device| [&mut device.since, &mut device.used]);
        let ahead: Vec<_> =
            times.chain([&mut self.since, &mut self.used]).filter(|time| **time > latest).collect();
        let any = !ahead.is_empty();
        ahead.into_iter().for_each(|time| *time = now);
        any
    }
}

/// What to read of the accounts, as one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// The people who have one of these keys.
    pub(crate) keys: Vec<String>,
    /// The people who have a device with one of these hashes.
    pub(crate) tokens: Vec<Hash>,
    /// The person whose link this is.
    pub(crate) link: Option<Hash>,
    pub(crate) ids: Vec<UserId>,
    /// Whether to count all people.
    pub(crate) count: bool,
}

/// What was found of a [`Wanted`]. The service's record always is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    /// Each person once.
    pub(crate) people: Vec<Person>,
    pub(crate) service: Service,
    /// The number of all people, if it was wanted.
    pub(crate) count: u64,
}

impl Found {
    pub(crate) fn add(&mut self, person: Person) {
        if self.by_id(&person.user.id).is_none() {
            self.people.push(person);
        }
    }

    pub(crate) fn by_id(&self, id: &UserId) -> Option<&Person> {
        self.people.iter().find(|person| person.user.id == *id)
    }

    pub(crate) fn by_token(&self, hash: &Hash) -> Option<(&Person, &Device)> {
        self.people.iter().find_map(|person| Some((person, person.device(hash)?)))
    }

    pub(crate) fn by_link(&self, hash: &Hash, now: Timestamp) -> Option<&Person> {
        let is_link = |link: Link| link.hash == *hash && link.is_valid(now);
        self.people.iter().find(|person| person.link.is_some_and(is_link))
    }

    /// Returns the people who have one of these keys.
    pub(crate) fn holders<'a>(&'a self, keys: &'a [String]) -> impl Iterator<Item = &'a Person> {
        self.people.iter().filter(|person| person.keys.iter().any(|key| keys.contains(key)))
    }

    pub(crate) fn is_owner(&self, id: &UserId) -> bool {
        self.service.owner.as_ref() == Some(id)
    }
}

/// A change of the accounts.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// Stores a person, in place of the one with the same id.
    Put(Box<Person>),
    Remove(UserId),
    Service(Service),
}

impl Change {
    pub(crate) fn put(person: Person) -> Self {
        Self::Put(Box::new(person))
    }
}
