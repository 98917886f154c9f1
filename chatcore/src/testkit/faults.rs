//! A store that fails on purpose.

mod consumers;
mod erasures;
mod membership;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::Random;
use crate::model::append::Append;
use crate::model::id::{AttachmentId, ChannelId, Position, Seq, UserId};
use crate::model::message::{Message, User};
use crate::model::name::ChannelName;
use crate::model::query::SearchQuery;
use crate::model::time::Timestamp;
use crate::store::{
    AppendError, Appended, AttachmentIndex, ChannelInfo, ChannelPage, Created, Directory, Durability,
    EventStore, FileBytes, Found, Head, Page, PageLimit, Replay, Revocation, StoreError, SweepTurn, Unread,
    Upload,
};

/// The probabilities of faults of a [`FaultyStore`]. The default is none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// The probability that a write fails and changes nothing, 0 to 1.
    pub before_write: f64,
    /// The probability that a write fails although it was done, as if the answer was lost, 0 to 1.
    pub after_write: f64,
    /// The probability that an append panics and changes nothing, 0 to 1.
    pub append_panics: f64,
    /// The probability that a read fails, 0 to 1.
    pub read: f64,
    /// The probability that a call is delayed, before and again after it is done, 0 to 1.
    pub delay: f64,
    /// The longest delay, on tokio's clock. If it is zero, a delayed call only lets other tasks run first.
    pub longest_delay: Duration,
    /// The probability that another process has the turn to sweep, 0 to 1.
    pub others_sweep: f64,
}

impl Faults {
    /// Makes reads fail, and writes before and after they are done, each with this probability.
    #[must_use]
    pub fn everywhere(probability: f64) -> Self {
        Self { before_write: probability, after_write: probability, read: probability, ..Self::default() }
    }
}

/// A store that wraps another, and delays and fails calls at random by a seed. It can also hold writes or the
/// answers of reads until a test has seen enough ([`hold`](Self::hold), [`hold_answers`](Self::hold_answers)).
///
/// A failure of an append is a [`StoreError`] for the whole batch. If a panic drops the store, it prints the seed.
///
/// Clones are handles to the same store: a test keeps one to start and stop the faults.
#[derive(Debug)]
pub struct FaultyStore<S> {
    inner: Arc<S>,
    faults: Arc<Mutex<Faults>>,
    random: Arc<Random>,
    held: watch::Sender<bool>,
    answers_held: watch::Sender<bool>,
    held_answers: watch::Sender<usize>,
    turns_refused: watch::Sender<usize>,
    largest_batch: Arc<AtomicUsize>,
    calls: Arc<AtomicUsize>,
}

/// While this lives, no write begins, or no read is answered.
#[derive(Debug)]
#[must_use = "the calls go on when it is dropped"]
pub struct Held(watch::Sender<bool>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}

impl<S> Clone for FaultyStore<S> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            faults: Arc::clone(&self.faults),
            random: Arc::clone(&self.random),
            held: self.held.clone(),
            answers_held: self.answers_held.clone(),
            held_answers: self.held_answers.clone(),
            turns_refused: self.turns_refused.clone(),
            largest_batch: Arc::clone(&self.largest_batch),
            calls: Arc::clone(&self.calls),
        }
    }
}

impl<S> FaultyStore<S> {
    /// Wraps a store. The same `seed` gives the same faults for the same calls in the same order.
    pub fn new(inner: S, faults: Faults, seed: u64) -> Self {
        Self {
            inner: Arc::new(inner),
            faults: Arc::new(Mutex::new(faults)),
            random: Arc::new(Random::new(seed)),
            held: watch::Sender::new(false),
            answers_held: watch::Sender::new(false),
            held_answers: watch::Sender::new(0),
            turns_refused: watch::Sender::new(0),
            largest_batch: Arc::default(),
            calls: Arc::default(),
        }
    }

    /// Sets the faults from now on.
    pub fn set_faults(&self, faults: Faults) {
        *self.lock() = faults;
    }

    /// Holds all writes that have not begun until the result is dropped.
    pub fn hold(&self) -> Held {
        self.held.send_replace(true);
        Held(self.held.clone())
    }

    /// Holds the answers of all reads until the result is dropped. Each answer has the state at the time of its
    /// read.
    pub fn hold_answers(&self) -> Held {
        self.answers_held.send_replace(true);
        Held(self.answers_held.clone())
    }

    /// Waits until `count` reads wait with their answers.
    pub async fn answers_held(&self, count: usize) {
        // The store itself keeps the sender, so only a read ends the wait.
        let _ = self.held_answers.subscribe().wait_for(|held| *held >= count).await;
    }

    /// Waits until a turn to sweep was refused `count` times, since another process had it.
    pub async fn turns_refused(&self, count: usize) {
        // The store itself keeps the sender, so only a refusal ends the wait.
        let _ = self.turns_refused.subscribe().wait_for(|refused| *refused >= count).await;
    }

    fn faults(&self) -> Faults {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().expect("invariant: nothing panics under this lock")
    }

    /// Returns how many events the largest append had.
    #[must_use]
    pub fn largest_batch(&self) -> usize {
        self.largest_batch.load(Ordering::Relaxed)
    }

    /// Returns how many calls have begun, of any handle.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// Returns the wrapped store.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    async fn read<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.delay().await;
        if self.random.chance(self.faults().read) {
            return Err(StoreError::new("a read that fails on purpose"));
        }
        let answer = call.await;
        self.delay().await;
        if *self.answers_held.borrow() {
            let _counted = Counted::enter(&self.held_answers);
            let _ = self.answers_held.subscribe().wait_for(|held| !held).await;
        }
        answer
    }

    async fn write<T>(&self, call: impl Future<Output = T>) -> Result<T, StoreError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.delay().await;
        // The store itself keeps the sender, so only a release ends the wait.
        let _ = self.held.subscribe().wait_for(|held| !held).await;
        if self.random.chance(self.faults().before_write) {
            return Err(StoreError::new("a write that fails on purpose before it is done"));
        }
        let answer = call.await;
        self.delay().await;
        if self.random.chance(self.faults().after_write) {
            return Err(StoreError::new("a write that fails on purpose after it is done"));
        }
        Ok(answer)
    }

    async fn delay(&self) {
        if !self.random.chance(self.faults().delay) {
            return;
        }
        match u64::try_from(self.faults().longest_delay.as_micros()).unwrap_or(u64::MAX) {
            0 => tokio::task::yield_now().await,
            longest => tokio::time::sleep(Duration::from_micros(self.random.below(longest) + 1)).await,
        }
    }
}

/// Checks that a store may add to the bounds of a page.
fn bounded(limit: PageLimit) -> PageLimit {
    assert!(limit.bytes <= PageLimit::MAX, "a page of {} bytes", limit.bytes);
    PageLimit { items: bounded_items(limit.items), ..limit }
}

fn bounded_items(items: usize) -> usize {
    assert!(items <= PageLimit::MAX, "a page of {items} items");
    items
}

/// A counted read. Dropping it removes it from the count.
struct Counted<'a>(&'a watch::Sender<usize>);

impl<'a> Counted<'a> {
    fn enter(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

#[async_trait]
impl<S: EventStore> EventStore for FaultyStore<S> {
    async fn append(&self, batch: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
        let items = batch.len();
        self.largest_batch.fetch_max(items, Ordering::Relaxed);
        assert!(!self.random.chance(self.faults().append_panics), "an append that panics on purpose");
        match self.write(self.inner.append(batch)).await {
            Ok(answers) => answers,
            Err(error) => vec![Err(AppendError::Store(error)); items],
        }
    }

    async fn after(
        &self,
        channel: ChannelId,
        position: &Position,
        limit: PageLimit,
    ) -> Result<Replay, StoreError> {
        self.read(self.inner.after(channel, position, bounded(limit))).await
    }

    async fn after_many(
        &self,
        positions: &[(ChannelId, Position)],
        limit: PageLimit,
    ) -> Result<Vec<Option<Replay>>, StoreError> {
        self.read(self.inner.after_many(positions, bounded(limit))).await
    }

    async fn messages_before(
        &self,
        channel: ChannelId,
        before: Seq,
        limit: PageLimit,
    ) -> Result<Page, StoreError> {
        self.read(self.inner.messages_before(channel, before, bounded(limit))).await
    }

    async fn messages_after(
        &self,
        channel: ChannelId,
        after: Seq,
        limit: PageLimit,
    ) -> Result<Page, StoreError> {
        self.read(self.inner.messages_after(channel, after, bounded(limit))).await
    }

    async fn search(
        &self,
        channel: ChannelId,
        query: &SearchQuery,
        before: Seq,
        limit: PageLimit,
    ) -> Result<Found, StoreError> {
        self.read(self.inner.search(channel, query, before, bounded(limit))).await
    }

    async fn message(&self, channel: ChannelId, seq: Seq) -> Result<Option<Message>, StoreError> {
        self.read(self.inner.message(channel, seq)).await
    }

    async fn heads(&self, channels: &[ChannelId]) -> Result<Vec<Option<Head>>, StoreError> {
        self.read(self.inner.heads(channels)).await
    }

    async fn prune(&self, channel: ChannelId, through: Seq, now: Timestamp) -> Result<(), StoreError> {
        self.write(self.inner.prune(channel, through, now)).await?
    }

    fn durability(&self) -> Durability {
        self.inner.durability()
    }

    fn shared(&self) -> bool {
        self.inner.shared()
    }
}

#[async_trait]
impl<S: Directory> Directory for FaultyStore<S> {
    async fn channels(
        &self,
        after: Option<&ChannelName>,
        limit: PageLimit,
    ) -> Result<ChannelPage, StoreError> {
        self.read(self.inner.channels(after, bounded(limit))).await
    }

    async fn channel_count(&self) -> Result<usize, StoreError> {
        self.read(self.inner.channel_count()).await
    }

    async fn newest_channel(&self) -> Result<Option<ChannelId>, StoreError> {
        self.read(self.inner.newest_channel()).await
    }

    async fn channels_after(&self, id: ChannelId, limit: PageLimit) -> Result<ChannelPage, StoreError> {
        self.read(self.inner.channels_after(id, bounded(limit))).await
    }

    async fn channel(&self, name: &ChannelName) -> Result<Option<ChannelInfo>, StoreError> {
        self.read(self.inner.channel(name)).await
    }

    async fn create_channel_within(
        &self,
        name: &ChannelName,
        topic: &str,
        by: &User,
        most: usize,
    ) -> Result<Option<Created>, StoreError> {
        self.write(self.inner.create_channel_within(name, topic, by, most)).await?
    }

    async fn mark_read(&self, user: &UserId, channel: ChannelId, seq: Seq) -> Result<Seq, StoreError> {
        self.write(self.inner.mark_read(user, channel, seq)).await?
    }

    async fn mark_unread(&self, user: &UserId, channel: ChannelId, seq: Seq) -> Result<Seq, StoreError> {
        self.write(self.inner.mark_unread(user, channel, seq)).await?
    }

    async fn unread(&self, user: &UserId, channels: &[ChannelId]) -> Result<Vec<Unread>, StoreError> {
        self.read(self.inner.unread(user, channels)).await
    }

    async fn put_user(&self, user: &User) -> Result<(), StoreError> {
        self.write(self.inner.put_user(user)).await?
    }

    async fn put_profile(&self, user: &User) -> Result<(), StoreError> {
        self.write(self.inner.put_profile(user)).await?
    }

    async fn users(&self, ids: &[UserId]) -> Result<HashMap<UserId, User>, StoreError> {
        self.read(self.inner.users(ids)).await
    }

    async fn put_revocation(&self, key: u64, what: &str) -> Result<(), StoreError> {
        self.write(self.inner.put_revocation(key, what)).await?
    }

    async fn revocations(&self, since: Duration) -> Result<Vec<Revocation>, StoreError> {
        self.read(self.inner.revocations(since)).await
    }
}

#[async_trait]
impl<S: AttachmentIndex> AttachmentIndex for FaultyStore<S> {
    async fn put_upload_within(&self, upload: &Upload, most: FileBytes) -> Result<bool, StoreError> {
        self.write(self.inner.put_upload_within(upload, most)).await?
    }

    async fn file_bytes(&self, owner: &UserId) -> Result<FileBytes, StoreError> {
        self.read(self.inner.file_bytes(owner)).await
    }

    async fn upload(&self, id: &AttachmentId) -> Result<Option<Upload>, StoreError> {
        self.read(self.inner.upload(id)).await
    }

    async fn reclaimable(&self, before: Timestamp, limit: usize) -> Result<Vec<AttachmentId>, StoreError> {
        self.read(self.inner.reclaimable(before, bounded_items(limit))).await
    }

    async fn date_back(&self, now: Timestamp) -> Result<(), StoreError> {
        self.write(self.inner.date_back(now)).await?
    }

    async fn discard_upload(&self, id: &AttachmentId) -> Result<bool, StoreError> {
        self.write(self.inner.discard_upload(id)).await?
    }

    async fn forget_upload(&self, id: &AttachmentId) -> Result<(), StoreError> {
        self.write(self.inner.forget_upload(id)).await?
    }

    async fn sweep_turn(&self) -> Result<Option<SweepTurn>, StoreError> {
        let turn = match self.random.chance(self.faults().others_sweep) {
            true => None,
            false => self.write(self.inner.sweep_turn()).await??,
        };
        if turn.is_none() {
            self.turns_refused.send_modify(|refused| *refused += 1);
        }
        Ok(turn)
    }
}
