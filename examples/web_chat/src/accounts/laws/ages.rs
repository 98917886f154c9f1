//! Laws of ages: what expires, and what a wrong clock can do.

use super::*;

on_every_store!(
    an_unused_device_and_name_expire,
    a_device_in_use_never_expires,
    times_of_a_wrong_clock_are_corrected,
    unused_people_are_swept_but_not_the_owner,
);

async fn an_unused_device_and_name_expire(store: Shared) {
    let (accounts, now) = (open(store), Timestamp::now());
    take(&accounts, "owner", now).await.unwrap();
    let (ann, token) = take(&accounts, "ann", now.minus(TTL)).await.unwrap();
    assert_eq!(user(&accounts, &token, now).await, Some(ann.clone()), "to the day");
    assert!(take(&accounts, "ann", now).await.is_none());
    let later = now.plus(MILLISECOND);
    assert_eq!(user(&accounts, &token, later).await, None);
    let taken = accounts.take(random_id(), &name("Ann"), None, arrival(None, later)).await.unwrap();
    let Entered::Yes(other) = taken else { panic!("the name is free") };
    assert_eq!(other.freed, std::slice::from_ref(&ann.id), "the old one is told");
    assert_ne!(other.user.id, ann.id, "whoever takes the name next is somebody else");
    assert_eq!(accounts.make_link(&ann.id, later).await.unwrap(), None);
}

async fn a_device_in_use_never_expires(store: Shared) {
    let (accounts, begin) = (open(store), Timestamp::now());
    take(&accounts, "owner", begin).await.unwrap();
    let (ann, token) = take(&accounts, "ann", begin).await.unwrap();
    let idle = link_device(&accounts, &ann, begin).await.token;
    let mut now = begin;
    for _ in 0..4 {
        now = now.plus(TTL);
        assert_eq!(user(&accounts, &token, now).await, Some(ann.clone()));
        accounts.store_use(token.hash(), now).await.unwrap();
    }
    assert_eq!(user(&accounts, &idle, now).await, None, "each device for itself");
    let devices = accounts.devices(&ann.id, now).await.unwrap();
    assert_eq!(
        devices.iter().map(|device| (device.hash, device.used)).collect::<Vec<_>>(),
        [(token.hash(), now)]
    );
    assert!(take(&accounts, "ann", now).await.is_none());
    accounts.store_use(token.hash(), begin).await.unwrap();
    assert_eq!(user(&accounts, &token, now).await, Some(ann), "an earlier use changes nothing");
}

async fn times_of_a_wrong_clock_are_corrected(store: Shared) {
    let (accounts, now, day) = (open(store), Timestamp::now(), Duration::from_secs(86_400));
    take(&accounts, "owner", now).await.unwrap();
    let (_, right) = take(&accounts, "right", now).await.unwrap();
    let (_, near) = take(&accounts, "near", now.plus(day)).await.unwrap();
    let (ann, far) = take(&accounts, "ann", now.plus(3_650 * day)).await.unwrap();
    accounts.correct_times(now).await.unwrap();
    assert_eq!(user(&accounts, &far, now).await, Some(ann), "nobody is signed out by it");
    assert!(take(&accounts, "Ann", now.plus(TTL)).await.is_none(), "nor loses the name");
    let over = now.plus(TTL + MILLISECOND);
    assert_eq!(user(&accounts, &far, over).await, None);
    assert_eq!(user(&accounts, &right, over).await, None);
    assert!(user(&accounts, &near, over).await.is_some(), "clocks may differ by a day");
    assert_eq!(user(&accounts, &near, over.plus(day)).await, None);
    assert!(take(&accounts, "Ann", over).await.is_some());
}

async fn unused_people_are_swept_but_not_the_owner(store: Shared) {
    let (accounts, now) = (open(store), Timestamp::now());
    let before = now.minus(TTL + MILLISECOND);
    let (owner, _) = take(&accounts, "owner", before).await.unwrap();
    let (ann, _) = take(&accounts, "ann", before).await.unwrap();
    let (bob, _) = take(&accounts, "bob", now).await.unwrap();
    assert_eq!(accounts.sweep(now).await.unwrap(), [ann.id]);
    assert_eq!(accounts.sweep(now).await.unwrap(), []);
    let left = accounts.people("", "", 9).await.unwrap();
    assert_eq!(left.iter().map(|person| &person.user.id).collect::<Vec<_>>(), [&bob.id, &owner.id]);
    assert!(take(&accounts, "owner", now).await.is_none(), "an owner's name never becomes free");
}

/// A store without accounts that records when it was asked for unused ones.
#[derive(Default)]
struct Asked(Mutex<Vec<Timestamp>>);

#[async_trait]
impl AccountStore for Asked {
    async fn user(&self, _: &Hash, _: Timestamp) -> Result<Option<Known>, AccountsError> {
        Ok(None)
    }

    async fn read(&self, _: Wanted) -> Result<Found, AccountsError> {
        Ok(Found::default())
    }

    async fn change(&self, _: Wanted, decide: Decide) -> Result<(), AccountsError> {
        decide(&Found::default());
        Ok(())
    }

    async fn people(&self, _: &str, _: &str, _: usize) -> Result<Vec<Person>, AccountsError> {
        Ok(Vec::new())
    }

    async fn used(&self, used: Used, _: usize) -> Result<Vec<UserId>, AccountsError> {
        if let Used::Before(oldest) = used {
            self.0.lock().unwrap().push(oldest.plus(TTL));
        }
        Ok(Vec::new())
    }
}

#[tokio::test(start_paused = true)]
async fn times_are_corrected_after_an_hour_with_a_steady_clock() {
    use std::sync::atomic::{AtomicI64, Ordering};

    let (hour, begin) = (Duration::from_secs(3_600), tokio::time::Instant::now());
    let (wrong, store) = (Arc::new(AtomicI64::new(-86_400_000)), Arc::new(Asked::default()));
    let right = move || Timestamp::from_millis(1_700_000_000_000).plus(begin.elapsed());
    let by = Arc::clone(&wrong);
    let clock = Clock::new(move || Timestamp::from_millis(right().as_millis() + by.load(Ordering::SeqCst)));
    let maintenance = keep_maintained(open(Arc::<Asked>::clone(&store)), clock, FailureLog::new(), |_| {});
    let maintenance = tokio::spawn(maintenance);
    tokio::time::sleep(hour / 2).await;
    wrong.store(0, Ordering::SeqCst);
    tokio::time::sleep(hour).await;
    assert!(store.0.lock().unwrap().is_empty(), "nothing is corrected by a clock that was set");
    tokio::time::sleep(hour).await;
    let corrected = store.0.lock().unwrap().clone();
    let ago = |corrected: &Timestamp| right().as_millis() - corrected.as_millis();
    assert!(
        corrected.len() == 1 && corrected.iter().all(|corrected| (0..=1_800_000).contains(&ago(corrected)))
    );
    maintenance.abort();
}
