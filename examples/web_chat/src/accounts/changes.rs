//! Changes by somebody who is signed in, and by the owner.

use std::sync::Arc;
use std::time::Duration;

use chatcore::{Timestamp, User, UserId};

use super::record::{Change, Found, INVITATIONS, Invitation, LINK_LIFE, Link, Person, Service, Wanted};
use super::secret::{Code, Hash, random_id};
use super::{Accounts, AccountsError, Ended, freed, is_kept};
use crate::name::DisplayName;

/// What a code is good for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// It signs in another device of this person.
    SignIn(User),
    /// It allows taking a new name.
    Invitation,
}

/// The result of renaming somebody.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Renamed {
    /// The person, and those who did not use the name for so long that it was taken from them.
    Yes(User, Vec<UserId>),
    NameTaken,
    NoSuchUser,
}

/// The result of removing somebody.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Removed {
    Yes(User),
    /// The owner can't be removed.
    Owner,
    NoSuchUser,
}

/// The result of making an invitation.
pub(crate) enum Invited {
    Yes(Code, Invitation),
    /// There are [`INVITATIONS`] valid ones.
    TooMany,
}

impl Wanted {
    fn person(id: &UserId) -> Self {
        Self { ids: vec![id.clone()], ..Self::default() }
    }

    fn token(hash: Hash) -> Self {
        Self { tokens: vec![hash], ..Self::default() }
    }
}

impl Accounts {
    /// Stores that a device was used.
    pub(super) async fn store_use(&self, hash: Hash, now: Timestamp) -> Result<(), AccountsError> {
        let touch = move |found: &Found| {
            let mut person = found.by_token(&hash)?.0.clone();
            person.used = person.used.max(now);
            let device = person.devices.iter_mut().find(|device| device.hash == hash)?;
            if device.used >= now {
                return None;
            }
            device.used = now;
            Some(((), vec![Change::put(person)]))
        };
        self.change(Wanted::token(hash), touch).await.map(drop)
    }

    /// Signs a device out. Its person keeps the name. Returns who that was.
    pub(crate) async fn sign_out(&self, hash: &Hash) -> Result<Option<User>, AccountsError> {
        let hash = *hash;
        let sign_out = move |found: &Found| {
            let mut person = found.by_token(&hash)?.0.clone();
            person.sign_out(&hash);
            Some((person.user.clone(), vec![Change::put(person)]))
        };
        self.change(Wanted::token(hash), sign_out).await
    }

    /// Signs out one device of a person. Returns the sign-in that has ended, or `None` if the person has no such device.
    pub(crate) async fn sign_out_device(
        &self,
        id: &UserId,
        hash: &Hash,
    ) -> Result<Option<Ended>, AccountsError> {
        let (id, hash) = (id.clone(), *hash);
        let sign_out = move |found: &Found| {
            let mut person = found.by_id(&id)?.clone();
            let ended = Ended { user: id.clone(), session: hash.session() };
            person.sign_out(&hash).then(|| (ended, vec![Change::put(person)]))
        };
        self.change(Wanted { tokens: vec![hash], ..Wanted::default() }, sign_out).await
    }

    /// Signs out all devices of a person except `kept`, and makes an unused link invalid. Returns whom, and the
    /// sign-ins that have ended.
    pub(crate) async fn sign_out_others(
        &self,
        id: &UserId,
        kept: Option<Hash>,
    ) -> Result<Option<(User, Vec<Ended>)>, AccountsError> {
        let wanted = Wanted::person(id);
        let id = id.clone();
        let sign_out = move |found: &Found| {
            let mut person = found.by_id(&id)?.clone();
            let gone = person.devices.iter().filter(|device| Some(device.hash) != kept);
            let ended: Vec<_> =
                gone.map(|device| Ended { user: id.clone(), session: device.hash.session() }).collect();
            let unchanged = ended.is_empty() && person.link.is_none();
            person.devices.retain(|device| Some(device.hash) == kept);
            person.link = None;
            let outcome = (person.user.clone(), ended);
            Some((outcome, if unchanged { Vec::new() } else { vec![Change::put(person)] }))
        };
        self.change(wanted, sign_out).await
    }

    /// Signs out a device that signed in at `after` or later. If it took its name with that, the name is free again.
    /// Returns who that was.
    pub(crate) async fn give_back(
        &self,
        hash: &Hash,
        after: Timestamp,
    ) -> Result<Option<User>, AccountsError> {
        let hash = *hash;
        let give_back = move |found: &Found| {
            let (person, device) = found.by_token(&hash)?;
            if device.since < after {
                return None;
            }
            let user = person.user.clone();
            if person.devices.len() > 1 || person.since != device.since {
                let mut person = person.clone();
                person.sign_out(&hash);
                return Some((user, vec![Change::put(person)]));
            }
            let mut changes = vec![Change::Remove(user.id.clone())];
            if found.is_owner(&user.id) {
                // As if nobody had been there.
                changes.push(Change::Service(Service { owner: None, begun: false, ..found.service.clone() }));
            }
            Some((user, changes))
        };
        self.change(Wanted::token(hash), give_back).await
    }

    /// Gives a person another name.
    pub(crate) async fn rename(
        &self,
        id: &UserId,
        name: &DisplayName,
        now: Timestamp,
    ) -> Result<Renamed, AccountsError> {
        let (rules, id, name, keys) = (Arc::clone(&self.rules), id.clone(), name.clone(), name.keys());
        let wanted = Wanted { keys: keys.clone(), ids: vec![id.clone()], ..Wanted::default() };
        let rename = move |found: &Found| {
            let mut person = found.by_id(&id)?.clone();
            let free = freed(&rules, found, &keys, Some(&id), now);
            let Some(others) = free.filter(|_| !is_kept(&rules, found, &name, Some(&id))) else {
                return Some((Renamed::NameTaken, Vec::new()));
            };
            let mut changes: Vec<_> =
                others.iter().map(|other| Change::Remove(other.user.id.clone())).collect();
            let others = others.into_iter().map(|other| other.user.id.clone()).collect();
            if *person.user.name != *name.as_str() {
                person.user.name = name.as_str().into();
                person.keys.clone_from(&keys);
                changes.push(Change::put(person.clone()));
            }
            Some((Renamed::Yes(person.user, others), changes))
        };
        Ok(self.change(wanted, rename).await?.unwrap_or(Renamed::NoSuchUser))
    }

    /// Removes a person: all devices are signed out, and the name is free.
    pub(crate) async fn remove(&self, id: &UserId) -> Result<Removed, AccountsError> {
        let wanted = Wanted::person(id);
        let id = id.clone();
        let remove = move |found: &Found| {
            let user = found.by_id(&id)?.user.clone();
            Some(match found.is_owner(&id) {
                true => (Removed::Owner, Vec::new()),
                false => (Removed::Yes(user), vec![Change::Remove(id.clone())]),
            })
        };
        Ok(self.change(wanted, remove).await?.unwrap_or(Removed::NoSuchUser))
    }

    /// Makes a link that signs in another device of a person, in place of the one before. Returns `None` if there is no
    /// such person.
    pub(crate) async fn make_link(
        &self,
        id: &UserId,
        now: Timestamp,
    ) -> Result<Option<(User, Code)>, AccountsError> {
        let (wanted, code, id) = (Wanted::person(id), Code::random(), id.clone());
        let link = Link { hash: code.hash(), expires: now.plus(LINK_LIFE) };
        let make = move |found: &Found| {
            let person = Person { link: Some(link), ..found.by_id(&id)?.clone() };
            Some((person.user.clone(), vec![Change::put(person)]))
        };
        Ok(self.change(wanted, make).await?.map(|user| (user, code)))
    }

    /// Returns what a code is good for at `now`, or `None` if it is not valid.
    pub(crate) async fn kind_of(&self, code: &Code, now: Timestamp) -> Result<Option<Kind>, AccountsError> {
        let hash = code.hash();
        let found = self.store.read(Wanted { link: Some(hash), ..Wanted::default() }).await?;
        if let Some(person) = found.by_link(&hash, now) {
            return Ok(Some(Kind::SignIn(person.user.clone())));
        }
        let mut invitations = found.service.invitations.iter();
        let is_invited = invitations.any(|invitation| invitation.hash == hash && invitation.is_valid(now));
        Ok(is_invited.then_some(Kind::Invitation))
    }

    /// Makes an invitation for `uses` new names, valid for `life`.
    pub(crate) async fn invite(
        &self,
        uses: u32,
        life: Duration,
        now: Timestamp,
    ) -> Result<Invited, AccountsError> {
        let code = Code::random();
        let new = Invitation { hash: code.hash(), uses, since: now, expires: now.plus(life) };
        let invite = move |found: &Found| {
            let mut service = found.service.clone();
            service.invitations.retain(|other| other.is_valid(now) && other.hash != new.hash);
            if service.invitations.len() >= INVITATIONS {
                return Some((false, Vec::new()));
            }
            service.invitations.push(new);
            Some((true, vec![Change::Service(service)]))
        };
        let invited = self.change(Wanted::default(), invite).await?;
        Ok(if invited == Some(true) { Invited::Yes(code, new) } else { Invited::TooMany })
    }

    /// Returns the valid invitations, the newest first.
    pub(crate) async fn invitations(&self, now: Timestamp) -> Result<Vec<Invitation>, AccountsError> {
        let mut invitations = self.store.read(Wanted::default()).await?.service.invitations;
        invitations.retain(|invitation| invitation.is_valid(now));
        invitations.reverse();
        Ok(invitations)
    }

    /// Makes an invitation invalid. Returns whether it was there.
    pub(crate) async fn withdraw(&self, hash: &Hash) -> Result<bool, AccountsError> {
        let hash = *hash;
        let withdraw = move |found: &Found| {
            let mut service = found.service.clone();
            service.invitations.retain(|invitation| invitation.hash != hash);
            (service != found.service).then(|| ((), vec![Change::Service(service)]))
        };
        Ok(self.change(Wanted::default(), withdraw).await?.is_some())
    }

    /// Makes the person whose name the rules have the owner, if there is such a person.
    pub(crate) async fn settle_owner(&self) -> Result<(), AccountsError> {
        let Some(name) = self.rules.owner.clone() else { return Ok(()) };
        let wanted = Wanted { keys: name.keys(), ..Wanted::default() };
        let settle = move |found: &Found| {
            let id = &found.people.iter().find(|person| name.is_name(&person.user.name))?.user.id;
            let owner = Service { owner: Some(id.clone()), begun: true, ..found.service.clone() };
            (owner != found.service).then(|| ((), vec![Change::Service(owner)]))
        };
        self.change(wanted, settle).await.map(drop)
    }

    /// Makes a sign-in link for the owner. If nobody is the owner, this is a new person with the name of the rules.
    /// Returns `None` if there is no such name, or if it belongs to somebody else.
    pub(crate) async fn owner_link(&self, now: Timestamp) -> Result<Option<(User, Code)>, AccountsError> {
        let Some(owner) = self.owner().await? else { return self.new_owner(now).await };
        self.make_link(&owner, now).await
    }

    async fn new_owner(&self, now: Timestamp) -> Result<Option<(User, Code)>, AccountsError> {
        let Some(name) = &self.rules.owner else { return Ok(None) };
        let (code, mut person) = (Code::random(), Person::new(random_id(), name, now));
        person.link = Some(Link { hash: code.hash(), expires: now.plus(LINK_LIFE) });
        let wanted = Wanted {
            keys: person.keys.clone(),
            link: Some(code.hash()),
            ids: vec![person.user.id.clone()],
            ..Wanted::default()
        };
        let rules = Arc::clone(&self.rules);
        let make = move |found: &Found| {
            let is_free = found.service.owner.is_none()
                && !found.people.iter().any(|one| one.link == person.link)
                && found.by_id(&person.user.id).is_none();
            let others = freed(&rules, found, &person.keys, None, now).filter(|_| is_free)?;
            let mut changes: Vec<_> =
                others.iter().map(|other| Change::Remove(other.user.id.clone())).collect();
            let owner = Some(person.user.id.clone());
            changes.push(Change::Service(Service { owner, begun: true, ..found.service.clone() }));
            changes.push(Change::put(person.clone()));
            Some((person.user.clone(), changes))
        };
        Ok(self.change(wanted, make).await?.map(|user| (user, code)))
    }
}
