//! Accounts: people, their names, and the devices on which they are signed in.
//!
//! There are no passwords. A name belongs to its person until no device of theirs was used for the time that
//! [`Rules`] give, or until they give it up. A device is signed in by taking a new name, or by a link that another
//! device of the person, or the owner of the service, has made.
//!
//! What happens to the records is decided here, by functions without I/O ([`sign_in`] and [`changes`]). The stores
//! only read records, and write what was decided in the same transaction.

mod changes;
mod device;
#[cfg(test)]
mod laws;
mod maintenance;
mod postgres;
mod record;
mod redb;
mod secret;
mod sign_in;

use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chatcore::{SessionId, Timestamp, User, UserId};
use tokio::sync::Semaphore;

pub(crate) use self::changes::{Invited, Kind, Removed, Renamed};
pub(crate) use self::device::device_name;
pub(crate) use self::maintenance::keep_maintained;
pub(crate) use self::postgres::{PostgresAccounts, schema as postgres_schema};
use self::record::{Change, Found, Wanted};
pub(crate) use self::record::{Device, Invitation, LINK_LIFE, Person};
pub(crate) use self::redb::RedbAccounts;
pub(crate) use self::secret::{Code, Hash, Token, random_id};
pub(crate) use self::sign_in::{Arrival, Entered, SignedIn};
use crate::name::DisplayName;
use crate::options::Join;

/// How long a cookie is kept by a browser. Each visit sets it again.
pub(crate) const TOKEN_LIFE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How often the last use of a device is stored.
const TOUCHED_EVERY: Duration = Duration::from_secs(60 * 60);

/// The most last uses that are stored at the same time. Those beyond it are stored at the device's next request.
const TOUCHES: usize = 4;

/// What a service decides about its accounts.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// The most names in use.
    pub(crate) names: u64,
    /// How long a device stays signed in, and a name stays its person's, without being used.
    pub(crate) name_ttl: Duration,
    /// The name of the owner of the service. Without one, the first person is the owner.
    pub(crate) owner: Option<DisplayName>,
    pub(crate) join: Join,
}

impl Rules {
    /// Returns the time of the last use before which a device and a name are no longer in use at `now`.
    fn oldest(&self, now: Timestamp) -> Timestamp {
        now.minus(self.name_ttl)
    }
}

/// Where accounts are kept.
#[async_trait]
pub(crate) trait AccountStore: Send + Sync {
    /// Returns whose device has this token, unless the device was last used before `oldest`.
    async fn user(&self, token: &Hash, oldest: Timestamp) -> Result<Option<Known>, AccountsError>;

    /// Reads what is wanted, as one moment.
    async fn read(&self, wanted: Wanted) -> Result<Found, AccountsError>;

    /// Reads what is wanted, and makes the changes that `decide` returns for it. No other change comes in between,
    /// and all changes are made or none. If it is unknown whether the first attempt was stored, there is a second one,
    /// which finds what the first one has stored.
    async fn change(&self, wanted: Wanted, decide: Decide) -> Result<(), AccountsError>;

    /// Returns at most `limit` people by their [`Person::sort_key`]: those whose key begins with `prefix` and is after
    /// `after`.
    async fn people(&self, prefix: &str, after: &str, limit: usize) -> Result<Vec<Person>, AccountsError>;

    /// Returns at most `limit` people with a time of the last use in this part of time.
    async fn used(&self, used: Used, limit: usize) -> Result<Vec<UserId>, AccountsError>;
}

/// Decides on changes. It may be called several times.
pub(crate) type Decide = Arc<dyn Fn(&Found) -> Vec<Change> + Send + Sync>;

/// A part of time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Used {
    Before(Timestamp),
    After(Timestamp),
}

/// The person of a device.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Known {
    pub(crate) user: User,
    /// The last use of the device, as far as it is stored.
    pub(crate) used: Timestamp,
}

/// A sign-in that has ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ended {
    pub(crate) user: UserId,
    pub(crate) session: SessionId,
}

/// Why reading or writing the accounts failed.
#[derive(Debug, thiserror::Error)]
#[error("the users' names can't be read or written; try again")]
pub struct AccountsError(#[source] Box<dyn Error + Send + Sync>);

impl AccountsError {
    fn because(error: impl Error + Send + Sync + 'static) -> Self {
        Self(Box::new(error))
    }
}

/// The accounts of a service. Clones share the store.
#[derive(Clone)]
pub(crate) struct Accounts {
    store: Arc<dyn AccountStore>,
    rules: Arc<Rules>,
    touches: Arc<Semaphore>,
}

impl Accounts {
    pub(crate) fn new(store: Arc<dyn AccountStore>, rules: Rules) -> Self {
        Self { store, rules: Arc::new(rules), touches: Arc::new(Semaphore::new(TOUCHES)) }
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Returns whose device has this token.
    pub(crate) async fn user(&self, token: &Token, now: Timestamp) -> Result<Option<Known>, AccountsError> {
        self.store.user(&token.hash(), self.rules.oldest(now)).await
    }

    /// Stores that a device was used, if that was not stored in the last hour. Nobody waits for that: it is a task of
    /// its own, of which a few run at a time.
    pub(crate) fn touch(
        &self,
        token: &Token,
        known: &Known,
        now: Timestamp,
        failed: impl FnOnce(&AccountsError) + Send + 'static,
    ) {
        if known.used.plus(TOUCHED_EVERY) > now {
            return;
        }
        let Ok(permit) = Arc::clone(&self.touches).try_acquire_owned() else { return };
        let (accounts, hash) = (self.clone(), token.hash());
        tokio::spawn(async move {
            if let Err(error) = accounts.store_use(hash, now).await {
                failed(&error);
            }
            drop(permit);
        });
    }

    /// Returns the valid devices of a person, the last used first.
    pub(crate) async fn devices(&self, id: &UserId, now: Timestamp) -> Result<Vec<Device>, AccountsError> {
        let found = self.store.read(Wanted { ids: vec![id.clone()], ..Wanted::default() }).await?;
        let oldest = self.rules.oldest(now);
        let devices = found.people.into_iter().flat_map(|person| person.devices);
        let mut devices: Vec<_> = devices.filter(|device| device.used >= oldest).collect();
        devices.sort_by_key(|device| std::cmp::Reverse(device.used));
        Ok(devices)
    }

    /// Returns the owner of the service.
    pub(crate) async fn owner(&self) -> Result<Option<UserId>, AccountsError> {
        Ok(self.store.read(Wanted::default()).await?.service.owner)
    }

    /// Returns at most `limit` people whose names begin with `name`, in any spelling, after the one with this
    /// [`Person::sort_key`].
    pub(crate) async fn people(
        &self,
        name: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Person>, AccountsError> {
        self.store.people(&chatcore::visible::fold(name), after, limit).await
    }

    /// Makes the changes that `decide` returns. It is first asked without a transaction, so that nothing waits for a
    /// change that is not made.
    ///
    /// `decide` returns the outcome and its changes, or `None` if there is nothing to do: then the outcome is that of an
    /// earlier attempt, whose answer was lost.
    async fn change<T: Send + 'static>(
        &self,
        wanted: Wanted,
        decide: impl Fn(&Found) -> Option<(T, Vec<Change>)> + Send + Sync + 'static,
    ) -> Result<Option<T>, AccountsError> {
        let found = self.store.read(wanted.clone()).await?;
        match decide(&found) {
            None => return Ok(None),
            Some((outcome, changes)) if changes.is_empty() => return Ok(Some(outcome)),
            Some(_) => {}
        }
        let outcome = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&outcome);
        let decide = move |found: &Found| {
            let Some((outcome, changes)) = decide(found) else { return Vec::new() };
            *slot.lock().expect("invariant: nothing panics under this lock") = Some(outcome);
            changes
        };
        self.store.change(wanted, Arc::new(decide)).await?;
        Ok(outcome.lock().expect("invariant: nothing panics under this lock").take())
    }

    /// Whether a name is free again at `now`.
    fn is_over(&self, found: &Found, person: &Person, now: Timestamp) -> bool {
        is_over(&self.rules, found, person, now)
    }
}

/// Returns whether the name of a person is free for others: nobody used it for long. The owner's never is.
fn is_over(rules: &Rules, found: &Found, person: &Person, now: Timestamp) -> bool {
    person.used < rules.oldest(now) && !found.is_owner(&person.user.id)
}

/// Returns whether a name is kept for the owner: it is the one of the rules, and somebody else than `id` is the owner.
fn is_kept(rules: &Rules, found: &Found, name: &DisplayName, id: Option<&UserId>) -> bool {
    let is_owners = rules.owner.as_ref().is_some_and(|owner| owner.is_same(name));
    is_owners && found.service.owner.as_ref().is_some_and(|owner| id != Some(owner))
}

/// Returns the holders of a name's keys, or `None` if one of them still uses it.
fn freed<'a>(
    rules: &Rules,
    found: &'a Found,
    keys: &'a [String],
    own: Option<&UserId>,
    now: Timestamp,
) -> Option<Vec<&'a Person>> {
    let others: Vec<_> = found.holders(keys).filter(|person| Some(&person.user.id) != own).collect();
    others.iter().all(|person| is_over(rules, found, person, now)).then_some(others)
}
