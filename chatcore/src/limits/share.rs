//! The share of one user, over all connections: an amount at once, and a pace after that.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use dashmap::DashMap;

use crate::limits::Limits;
use crate::limits::pace::{DAY, Pace, Rate};
use crate::model::error::{Error, ErrorCode};
use crate::model::id::UserId;
use crate::model::moment::Moment;
use crate::model::name::ChannelName;

/// Frames and refused commands per command of a pace.
const FRAMES_PER_COMMAND: u32 = 2;

/// How far the bytes may be behind the pace before reading stops. Until then commands are refused, with an error.
const BYTES_BEHIND: Duration = Duration::from_secs(1);

/// The time until the next try, for a user with too many waiting appends.
const APPENDS_WAIT: Duration = Duration::from_millis(500);

/// The paces of a connection and of a user, computed once from the [`Limits`].
#[derive(Debug)]
pub(crate) struct Rates {
    limits: Arc<Limits>,
    pub(crate) commands: Rate,
    pub(crate) frames: Rate,
    user_commands: Rate,
    user_frames: Rate,
    bytes: Rate,
    day: Rate,
    creations: Rate,
    uploads: Rate,
    day_of_all: Option<Total>,
    uploads_of_all: Option<Total>,
}

/// The bytes per day of all users together.
#[derive(Debug)]
struct Total {
    rate: Rate,
    pace: Mutex<Option<Pace>>,
}

impl Total {
    /// Bounds the bytes per day, unless the bound is `u64::MAX`.
    fn new(bytes: u64) -> Option<Self> {
        (bytes < u64::MAX).then(|| Self { rate: Rate::new(bytes, bytes, DAY), pace: Mutex::default() })
    }

    /// Takes bytes, or returns the time until they are available.
    fn take(&self, now: Moment, bytes: u64) -> Result<(), Duration> {
        let mut pace = self.pace.lock().expect("invariant: nothing panics under this lock");
        pace.get_or_insert_with(|| Pace::new(now)).take(self.rate, now, bytes)
    }
}

impl Rates {
    pub(crate) fn new(limits: Arc<Limits>) -> Self {
        let second = Duration::from_secs(1);
        let commands = Rate::new(limits.command_burst.into(), limits.commands_per_second.into(), second);
        let frames = Rate::new(
            limits.command_burst.saturating_mul(FRAMES_PER_COMMAND).into(),
            limits.commands_per_second.saturating_mul(FRAMES_PER_COMMAND).into(),
            second,
        );
        let per_day = |bytes: u64| Rate::new(bytes, bytes, DAY);
        Self {
            commands,
            frames,
            user_commands: commands.times(limits.pace_per_user),
            user_frames: frames.times(limits.pace_per_user),
            bytes: Rate::new(limits.byte_burst, limits.bytes_per_second, second),
            day: per_day(limits.message_bytes_per_day),
            creations: Rate::new(limits.channels_at_once.into(), 1, limits.channel_interval),
            uploads: per_day(limits.upload_bytes_per_day),
            day_of_all: Total::new(limits.message_bytes_per_day_total),
            uploads_of_all: Total::new(limits.upload_bytes_per_day_total),
            limits,
        }
    }
}

/// The shares of connected users, and of users who have left but whose paces are not full yet.
#[derive(Debug)]
pub(crate) struct Shares {
    by_user: DashMap<UserId, Arc<Share>>,
    rates: Arc<Rates>,
}

impl Shares {
    pub(crate) fn new(limits: Arc<Limits>) -> Self {
        Self { by_user: DashMap::new(), rates: Arc::new(Rates::new(limits)) }
    }

    /// Returns a user's share.
    pub(crate) fn of(&self, user: &UserId, now: Moment) -> Arc<Share> {
        if let Some(share) = self.by_user.get(user) {
            return Arc::clone(&share);
        }
        let limits = &self.rates.limits;
        let most = limits.connections.saturating_add(limits.paces_remembered);
        if self.by_user.len() >= most {
            self.forget_rested(now);
            if self.by_user.len() >= most {
                self.by_user.retain(|_, share| is_held(share));
            }
        }
        let entry = self.by_user.entry(user.clone());
        Arc::clone(&entry.or_insert_with(|| Arc::new(Share::new(&self.rates, now))))
    }

    /// Forgets users who have left and whose paces are full.
    pub(crate) fn forget_rested(&self, now: Moment) {
        self.by_user.retain(|_, share| is_held(share) || !share.paces().is_rested(now));
    }
}

/// Returns whether a share is in use. It is only cloned out of the map under its shard's lock, which `retain`
/// holds.
fn is_held(share: &Arc<Share>) -> bool {
    Arc::strong_count(share) > 1
}

/// The share of one user, over all connections.
#[derive(Debug)]
pub(crate) struct Share {
    rates: Arc<Rates>,
    paces: Mutex<Paces>,
    appends: AtomicU32,
    subscriptions: AtomicU32,
}

#[derive(Debug)]
struct Paces {
    commands: Pace,
    frames: Pace,
    bytes: Pace,
    day: Pace,
    /// What most users never need.
    rare: Option<Box<Rare>>,
}

#[derive(Debug)]
struct Rare {
    creations: Pace,
    uploads: Pace,
    /// When others were last told that the user is typing.
    typing: HashMap<ChannelName, Moment>,
}

impl Paces {
    fn is_rested(&self, now: Moment) -> bool {
        let often = [&self.commands, &self.frames, &self.bytes, &self.day];
        let rare = self.rare.iter().flat_map(|rare| [&rare.creations, &rare.uploads]);
        often.into_iter().chain(rare).all(|pace| pace.is_rested(now))
    }

    fn rare(&mut self, now: Moment) -> &mut Rare {
        self.rare.get_or_insert_with(|| {
            let full = Pace::new(now);
            Box::new(Rare { creations: full, uploads: full, typing: HashMap::new() })
        })
    }
}

impl Share {
    fn new(rates: &Arc<Rates>, now: Moment) -> Self {
        let full = Pace::new(now);
        Self {
            rates: Arc::clone(rates),
            paces: Mutex::new(Paces { commands: full, frames: full, bytes: full, day: full, rare: None }),
            appends: AtomicU32::new(0),
            subscriptions: AtomicU32::new(0),
        }
    }

    pub(crate) fn rates(&self) -> &Rates {
        &self.rates
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.rates.limits
    }

    // Held for a few comparisons, or for a look into a map that `typing` bounds.
    fn paces(&self) -> MutexGuard<'_, Paces> {
        self.paces.lock().expect("invariant: nothing panics under this lock")
    }

    /// Counts received frames and their bytes, whether or not they are refused.
    ///
    /// # Errors
    /// Returns how long nothing must be read.
    pub(crate) fn spend_frames(&self, now: Moment, frames: u64, bytes: u64) -> Result<(), Duration> {
        let mut paces = self.paces();
        paces.frames.spend(self.rates.user_frames, now, frames);
        paces.bytes.spend(self.rates.bytes, now, bytes);
        let bytes = paces.bytes.debt(self.rates.bytes, now).saturating_sub(BYTES_BEHIND);
        let wait = paces.frames.debt(self.rates.user_frames, now).max(bytes);
        if wait.is_zero() { Ok(()) } else { Err(wait) }
    }

    /// Pays the price of a command, whose bytes are already counted.
    ///
    /// # Errors
    /// `rate_limited`. Then nothing is taken.
    pub(crate) fn take(&self, now: Moment, weight: u64, logged: u64) -> Result<(), Error> {
        let rates = &*self.rates;
        let mut paces = self.paces();
        let behind = paces.bytes.debt(rates.bytes, now);
        if !behind.is_zero() {
            let why = format!(
                "too many bytes: one user can send {} per second",
                self.rates.limits.bytes_per_second
            );
            return Err(limited(why, behind));
        }
        paces.commands.take(rates.user_commands, now, weight).map_err(|wait| {
            limited("too many commands over all of this user's connections".to_owned(), wait)
        })?;
        if logged == 0 {
            return Ok(());
        }
        let refused = match paces.day.take(rates.day, now, logged) {
            Err(wait) => limited(per_day("one user can publish", rates.limits.message_bytes_per_day), wait),
            Ok(()) => match rates.day_of_all.as_ref().map_or(Ok(()), |total| total.take(now, logged)) {
                Ok(()) => return Ok(()),
                Err(wait) => {
                    paces.day.give_back(rates.day, logged);
                    limited(per_day("all users can publish", rates.limits.message_bytes_per_day_total), wait)
                }
            },
        };
        paces.commands.give_back(rates.user_commands, weight);
        Err(refused)
    }

    /// Takes one of the channels that the user can create.
    ///
    /// # Errors
    /// `rate_limited` if there is none.
    pub(crate) fn take_creation(&self, now: Moment) -> Result<(), Error> {
        let taken = self.paces().rare(now).creations.take(self.rates.creations, now, 1);
        taken.map_err(|wait| {
            let (most, interval) = (self.rates.limits.channels_at_once, self.rates.limits.channel_interval);
            let why = format!("too many new channels: {most} at once, then one every {interval:?}");
            limited(why, wait)
        })
    }

    /// Gives back a channel that was not created.
    pub(crate) fn give_creation_back(&self, now: Moment) {
        self.paces().rare(now).creations.give_back(self.rates.creations, 1);
    }

    /// Takes uploaded bytes.
    ///
    /// # Errors
    /// `rate_limited` if the bytes per day are used up.
    pub(crate) fn take_uploaded(&self, now: Moment, bytes: u64) -> Result<(), Error> {
        let rates = &*self.rates;
        let mut paces = self.paces();
        let uploads = &mut paces.rare(now).uploads;
        uploads.take(rates.uploads, now, bytes).map_err(|wait| {
            limited(per_day("one user can upload", rates.limits.upload_bytes_per_day), wait)
        })?;
        rates.uploads_of_all.as_ref().map_or(Ok(()), |total| total.take(now, bytes)).map_err(|wait| {
            uploads.give_back(rates.uploads, bytes);
            limited(per_day("all users can upload", rates.limits.upload_bytes_per_day_total), wait)
        })
    }

    /// Returns whether to tell others that the user is typing in the channel.
    pub(crate) fn may_tell_typing(&self, now: Moment, channel: &ChannelName) -> bool {
        let interval = self.rates.limits.typing_interval;
        let mut paces = self.paces();
        let typing = &mut paces.rare(now).typing;
        if typing.get(channel).is_some_and(|told| now - *told < interval) {
            return false;
        }
        if typing.len() >= self.rates.limits.typing_channels {
            typing.retain(|_, told| now - *told < interval);
            if typing.len() >= self.rates.limits.typing_channels {
                return false;
            }
        }
        typing.insert(channel.clone(), now);
        true
    }

    /// Takes one of the appends of the user that may wait for the store.
    ///
    /// # Errors
    /// `rate_limited` if too many wait.
    pub(crate) fn enqueue(self: &Arc<Self>) -> Result<Waits, Error> {
        let most = self.rates.limits.appends_per_user;
        if !count_up(&self.appends, most) {
            let why = format!("{most} messages of this user are already waiting for the store");
            return Err(limited(why, APPENDS_WAIT));
        }
        Ok(Waits(Arc::clone(self)))
    }

    /// Takes one of the user's subscriptions.
    ///
    /// # Errors
    /// `too_large` if there are too many.
    pub(crate) fn subscribe(self: &Arc<Self>) -> Result<SubscriptionPlace, Error> {
        let most = self.rates.limits.subscriptions_per_user;
        if !count_up(&self.subscriptions, most) {
            let why = format!("a user can subscribe to at most {most} channels over all connections");
            return Err(Error::new(ErrorCode::TooLarge, why));
        }
        Ok(SubscriptionPlace(Arc::clone(self)))
    }
}

/// A waiting append. Dropping it gives its place back.
#[derive(Debug)]
pub(crate) struct Waits(Arc<Share>);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.appends.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A subscription. Dropping it gives its place back.
#[derive(Debug)]
pub(crate) struct SubscriptionPlace(Arc<Share>);

impl Drop for SubscriptionPlace {
    fn drop(&mut self) {
        self.0.subscriptions.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Adds one to the count, unless it is `most`, and returns whether it did.
fn count_up(count: &AtomicU32, most: usize) -> bool {
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    if count.fetch_add(1, Ordering::Relaxed) < most {
        return true;
    }
    count.fetch_sub(1, Ordering::Relaxed);
    false
}

fn per_day(who: &str, most: u64) -> String {
    format!("{who} at most {most} bytes per day")
}

fn limited(why: String, wait: Duration) -> Error {
    Error::new(ErrorCode::RateLimited, why).with_retry_after(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(edit: impl FnOnce(&mut Limits)) -> (Shares, Moment) {
        let mut limits = Limits::default();
        edit(&mut limits);
        (Shares::new(Arc::new(limits)), Moment::now())
    }

    fn user(name: &str) -> UserId {
        UserId::new(format!("u_{name}")).unwrap()
    }

    fn name(name: &str) -> ChannelName {
        ChannelName::new(name).unwrap()
    }

    fn wait(result: Result<(), Error>) -> Option<Duration> {
        result.err().map(|error| {
            assert_eq!(error.code(), ErrorCode::RateLimited);
            error.retry_after().unwrap()
        })
    }

    #[test]
    fn the_commands_of_a_user_are_those_of_a_few_connections() {
        let (shares, now) =
            shares(|l| (l.commands_per_second, l.command_burst, l.pace_per_user) = (10, 3, 2));
        let ann = shares.of(&user("ann"), now);
        (0..6).for_each(|_| assert_eq!(wait(ann.take(now, 1, 0)), None));
        assert_eq!(wait(ann.take(now, 1, 0)), Some(Duration::from_millis(50)));
        assert_eq!(wait(shares.of(&user("bob"), now).take(now, 1, 0)), None, "somebody else's are untouched");
    }

    #[test]
    fn the_bytes_of_a_user_are_refused_first_and_then_not_read() {
        let (shares, now) = shares(|l| (l.bytes_per_second, l.byte_burst) = (1_000, 5_000));
        let ann = shares.of(&user("ann"), now);
        assert_eq!(ann.spend_frames(now, 1, 5_000), Ok(()));
        assert_eq!(wait(ann.take(now, 1, 0)), None);
        assert_eq!(ann.spend_frames(now, 1, 1_000), Ok(()), "one second behind is a refusal");
        assert_eq!(wait(ann.take(now, 1, 0)), Some(Duration::from_secs(1)));
        assert_eq!(ann.spend_frames(now, 1, 100), Err(Duration::from_millis(100)));
        assert_eq!(wait(ann.take(now + Duration::from_millis(1_100), 1, 0)), None);
    }

    #[test]
    fn a_day_has_so_many_bytes_of_messages_and_of_files() {
        let (shares, now) = shares(|l| (l.message_bytes_per_day, l.upload_bytes_per_day) = (864, 864));
        let ann = shares.of(&user("ann"), now);
        assert_eq!(wait(ann.take(now, 1, 864)), None);
        assert_eq!(wait(ann.take(now, 1, 0)), None, "what is not logged");
        assert_eq!(wait(ann.take(now, 1, 1)), Some(Duration::from_secs(100)));
        assert_eq!(wait(ann.take_uploaded(now, 864)), None);
        assert_eq!(wait(ann.take_uploaded(now, 1)), Some(Duration::from_secs(100)));
        assert_eq!(wait(ann.take_uploaded(now + Duration::from_secs(100), 1)), None);
    }

    #[test]
    fn a_day_has_so_many_bytes_of_all_users_together() {
        let (shares, now) =
            shares(|l| (l.message_bytes_per_day_total, l.upload_bytes_per_day_total) = (864, 864));
        let (ann, bob) = (shares.of(&user("ann"), now), shares.of(&user("bob"), now));
        assert_eq!(wait(ann.take(now, 1, 800)), None);
        assert_eq!(wait(bob.take(now, 1, 64)), None);
        assert_eq!(wait(bob.take(now, 1, 1)), Some(Duration::from_secs(100)));
        assert_eq!(wait(bob.take(now, 1, 0)), None, "what is not logged");
        assert_eq!(wait(ann.take_uploaded(now, 864)), None);
        assert_eq!(wait(bob.take_uploaded(now, 1)), Some(Duration::from_secs(100)));
        assert_eq!(wait(bob.take_uploaded(now + Duration::from_secs(100), 1)), None);
    }

    #[test]
    fn sixty_channels_at_once_and_then_one_a_minute() {
        let (shares, now) = shares(|_| {});
        let ann = shares.of(&user("ann"), now);
        (0..60).for_each(|_| assert_eq!(wait(ann.take_creation(now)), None));
        assert_eq!(wait(ann.take_creation(now)), Some(Duration::from_secs(60)));
        ann.give_creation_back(now);
        assert_eq!(wait(ann.take_creation(now)), None);
        assert_eq!(wait(ann.take_creation(now + Duration::from_secs(60))), None);
    }

    #[test]
    fn typing_is_told_once_an_interval_and_channel() {
        let (shares, now) = shares(|l| l.typing_channels = 2);
        let ann = shares.of(&user("ann"), now);
        assert!(ann.may_tell_typing(now, &name("a")));
        assert!(!ann.may_tell_typing(now + Duration::from_secs(1), &name("a")));
        assert!(ann.may_tell_typing(now, &name("b")));
        assert!(!ann.may_tell_typing(now, &name("c")), "in two channels at once");
        assert!(ann.may_tell_typing(now + Duration::from_secs(2), &name("a")));
    }

    #[test]
    fn waits_and_subscriptions_are_counted_and_given_back() {
        let (shares, now) = shares(|l| (l.appends_per_user, l.subscriptions_per_user) = (2, 2));
        let ann = shares.of(&user("ann"), now);
        let held = (ann.enqueue().unwrap(), ann.enqueue().unwrap());
        assert_eq!(ann.enqueue().unwrap_err().code(), ErrorCode::RateLimited);
        drop(held);
        assert!(ann.enqueue().is_ok());
        let held = (ann.subscribe().unwrap(), ann.subscribe().unwrap());
        assert_eq!(ann.subscribe().unwrap_err().code(), ErrorCode::TooLarge);
        drop(held);
        assert!(ann.subscribe().is_ok());
    }

    #[test]
    fn leaving_resets_no_pace_and_who_is_rested_is_forgotten() {
        let (shares, now) = shares(|l| l.channels_at_once = 1);
        assert_eq!(wait(shares.of(&user("ann"), now).take_creation(now)), None);
        shares.forget_rested(now);
        assert!(wait(shares.of(&user("ann"), now).take_creation(now)).is_some());
        shares.forget_rested(now + Duration::from_secs(60));
        assert!(shares.by_user.is_empty());
    }

    #[test]
    fn the_paces_remembered_of_absent_users_are_bounded() {
        let (shares, now) = shares(|l| (l.connections, l.paces_remembered) = (1, 2));
        let ann = shares.of(&user("ann"), now);
        for name in ["bob", "carl"] {
            assert_eq!(wait(shares.of(&user(name), now).take_creation(now)), None);
        }
        assert_eq!(shares.by_user.len(), 3);
        shares.of(&user("dora"), now);
        assert_eq!(shares.by_user.len(), 2, "ann is there, dora has come");
        drop(ann);
    }
}
