//! What happens to accounts from hour to hour: times of a wrong clock are corrected, and unused names become free.

use std::time::Duration;

use chatcore::{Clock, FailureLog, Timestamp, UserId};
use tokio::time::Instant;

use super::record::{Change, Found, Wanted};
use super::{Accounts, AccountsError, Used};

/// How far in the future a stored time may be: the clocks of several machines differ.
pub(super) const AHEAD: Duration = Duration::from_secs(24 * 60 * 60);

/// How long the clock must have been steady before times are corrected by it: a machine may start with a wrong clock.
const INTERVAL: Duration = Duration::from_secs(60 * 60);

/// How many people are read at once.
const PAGE: usize = 256;

/// Maintains the accounts every hour in which the clock did not jump, and tells `gone` whose name became free. Runs until
/// it is dropped.
pub(crate) async fn keep_maintained(
    accounts: Accounts,
    clock: Clock,
    failures: FailureLog,
    gone: impl Fn(&UserId) + Send + Sync,
) {
    loop {
        let (before, begin) = (clock.now(), Instant::now());
        tokio::time::sleep(INTERVAL).await;
        let (now, expected) = (clock.now(), before.plus(begin.elapsed()));
        if now.as_millis().abs_diff(expected.as_millis()) > 60_000 {
            continue;
        }
        if let Err(error) = accounts.correct_times(now).await {
            failures.failed("accounts dated by a wrong clock could not be corrected", "", &error);
        }
        match accounts.sweep(now).await {
            Ok(swept) => swept.iter().for_each(&gone),
            Err(error) => failures.failed("unused names could not be removed", "", &error),
        }
    }
}

impl Accounts {
    /// Sets the times of accounts that are more than a day after `now` to `now`. The clock was wrong when they were
    /// stored, and the devices and names would stay in use for too long after that time.
    pub(crate) async fn correct_times(&self, now: Timestamp) -> Result<(), AccountsError> {
        let latest = now.plus(AHEAD);
        loop {
            let ids = self.store.used(Used::After(latest), PAGE).await?;
            let is_last = ids.len() < PAGE;
            for id in ids {
                let wanted = Wanted { ids: vec![id.clone()], ..Wanted::default() };
                let correct = move |found: &Found| {
                    let mut person = found.by_id(&id)?.clone();
                    person.correct_times(now, latest).then(|| ((), vec![Change::put(person)]))
                };
                self.change(wanted, correct).await?;
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Removes people who have not used their names for so long that these are free. Returns whom: at most some hundred
    /// per call.
    pub(crate) async fn sweep(&self, now: Timestamp) -> Result<Vec<UserId>, AccountsError> {
        let mut gone = Vec::new();
        for id in self.store.used(Used::Before(self.rules.oldest(now)), PAGE).await? {
            let (accounts, wanted) = (self.clone(), Wanted { ids: vec![id.clone()], ..Wanted::default() });
            let sweep = move |found: &Found| {
                let person = found.by_id(&id).filter(|person| accounts.is_over(found, person, now))?;
                Some((person.user.id.clone(), vec![Change::Remove(person.user.id.clone())]))
            };
            gone.extend(self.change(wanted, sweep).await?);
        }
        Ok(gone)
    }
}
