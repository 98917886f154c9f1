//! Durable consumers: their positions, and the channels that have news for them.

use std::collections::HashMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use chatcore::store::{Check, Consumers, Head, Lease, News, NewsPage, PageLimit, StartAt, StoreError};
use chatcore::{ChannelId, ConsumerName, Position};
use redb::{ReadTransaction, ReadableTable};
use tokio::time::Instant;

use crate::error::TransactionError;
use crate::log::Changes;
use crate::schema::{
    CHANNELS, CONSUMER_NEWS, CONSUMER_POSITIONS, CONSUMERS, LAST_LEASE, LOGS, Log, begun, decode, encode, log,
};
use crate::store::RedbStore;
use crate::writer::SyncMode;

/// Who reads for a consumer, and until when. Only the process that has the file open gives leases, so they end with it, and
/// nothing of them but their number is in the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leases(Arc<Mutex<HashMap<ConsumerName, Held>>>);

#[derive(Debug)]
struct Held {
    holder: u64,
    until: Instant,
}

impl Leases {
    // Held for the work of one call, never across an await.
    fn lock(&self) -> MutexGuard<'_, HashMap<ConsumerName, Held>> {
        self.0.lock().expect("invariant: nothing panics under this lock")
    }
}

/// The consumer of a lease does not exist.
struct NoSuchConsumer;

impl From<NoSuchConsumer> for StoreError {
    fn from(_: NoSuchConsumer) -> Self {
        Self::new("there is no such consumer")
    }
}

impl Changes<'_> {
    /// Notes for every consumer that these channels' logs have something new.
    pub(crate) fn note_news(&mut self, channels: &[u64]) -> Result<(), TransactionError> {
        for consumer in self.consumer_names()? {
            for channel in channels {
                let key = (consumer.as_str(), *channel);
                if self.tables.consumer_news.read()?.get(key)?.is_none() {
                    self.tables.consumer_news.write()?.insert(key, ())?;
                }
            }
        }
        Ok(())
    }

    fn consumer_names(&self) -> Result<Vec<String>, TransactionError> {
        consumer_names(self.tables.consumers.read()?)
    }

    fn generation_of(&self, consumer: &ConsumerName) -> Result<Option<u64>, TransactionError> {
        Ok(self.tables.consumers.read()?.get(consumer.as_str())?.map(|row| row.value()))
    }

    fn is_last(&self, lease: &Lease) -> Result<bool, TransactionError> {
        Ok(self.generation_of(&lease.consumer)? == Some(lease.generation))
    }

    fn create_consumer(
        &mut self,
        name: &ConsumerName,
        start: StartAt,
        most: usize,
    ) -> Result<bool, TransactionError> {
        if self.generation_of(name)?.is_some() {
            return Ok(true);
        }
        if self.consumer_names()?.len() >= most {
            return Ok(false);
        }
        self.tables.consumers.write()?.insert(name.as_str(), 0)?;
        let mut channels = Vec::new();
        for row in self.tables.logs.read()?.iter()? {
            channels.push(ChannelId(row?.0.value()));
        }
        for channel in channels {
            let Some(head) = self.head(channel)? else { continue };
            match start {
                StartAt::Beginning if head.seq > 0 => {
                    self.tables.consumer_news.write()?.insert((name.as_str(), channel.0), ())?;
                }
                StartAt::Beginning => {}
                StartAt::End => self.put_position(name, channel, &head.position())?,
            }
        }
        Ok(true)
    }

    /// Returns the head of a log as this transaction sees it.
    fn head(&mut self, channel: ChannelId) -> Result<Option<Head>, TransactionError> {
        let Some(log) = self.log(channel)? else { return Ok(None) };
        let (epoch, seq) = (log.epoch.clone(), log.head);
        let event = match self.event(channel, seq)? {
            Some(event) => Some(event),
            None => self.message(channel, seq)?.map(|(_, message)| begun(message)),
        };
        let check = if seq == 0 { Some(Check::START) } else { event.as_ref().map(Check::of) };
        Ok(Some(Head::new(epoch, seq, check)))
    }

    fn put_position(
        &mut self,
        consumer: &ConsumerName,
        channel: ChannelId,
        position: &Position,
    ) -> Result<(), TransactionError> {
        let row = encode(position)?;
        self.tables.consumer_positions.write()?.insert((consumer.as_str(), channel.0), row.as_slice())?;
        Ok(())
    }

    fn remove_consumer(&mut self, name: &ConsumerName) -> Result<bool, TransactionError> {
        if self.generation_of(name)?.is_none() {
            return Ok(false);
        }
        self.tables.consumers.write()?.remove(name.as_str())?;
        let all = (name.as_str(), 0)..=(name.as_str(), u64::MAX);
        self.tables.consumer_positions.write()?.retain_in(all.clone(), |_, _| false)?;
        self.tables.consumer_news.write()?.retain_in(all, |_, ()| false)?;
        Ok(true)
    }

    /// Gives a consumer a new lease, unless another holder has one.
    fn take_consumer(
        &mut self,
        name: &ConsumerName,
        leases: &Leases,
        holder: u64,
        now: Instant,
        term: Duration,
    ) -> Result<Result<Option<Lease>, NoSuchConsumer>, TransactionError> {
        if self.generation_of(name)?.is_none() {
            return Ok(Err(NoSuchConsumer));
        }
        let mut held = leases.lock();
        if held.get(name).is_some_and(|held| held.holder != holder && held.until > now) {
            return Ok(Ok(None));
        }
        let consumers = self.tables.consumers.write()?;
        let generation = consumers.get(LAST_LEASE)?.map_or(0, |row| row.value()) + 1;
        for key in [LAST_LEASE, name.as_str()] {
            consumers.insert(key, generation)?;
        }
        held.insert(name.clone(), Held { holder, until: now + term });
        Ok(Ok(Some(Lease::new(name.clone(), generation))))
    }

    fn advance(
        &mut self,
        lease: &Lease,
        positions: &[(ChannelId, Position)],
    ) -> Result<bool, TransactionError> {
        if !self.is_last(lease)? {
            return Ok(false);
        }
        for (channel, position) in positions {
            let Some(log) = self.log(*channel)? else { continue };
            let has_news = log.epoch != position.epoch || log.head > position.seq;
            self.put_position(&lease.consumer, *channel, position)?;
            let (news, key) = (self.tables.consumer_news.write()?, (lease.consumer.as_str(), channel.0));
            if has_news {
                news.insert(key, ())?;
            } else {
                news.remove(key)?;
            }
        }
        Ok(true)
    }
}

#[async_trait]
impl Consumers for RedbStore {
    async fn create_consumer_within(
        &self,
        name: &ConsumerName,
        start: StartAt,
        most: usize,
    ) -> Result<bool, StoreError> {
        let name = name.clone();
        self.write(SyncMode::Disk, move |changes| changes.create_consumer(&name, start, most)).await
    }

    async fn consumers(&self) -> Result<Vec<ConsumerName>, StoreError> {
        self.read("the consumers can't be read", |txn| {
            let invalid = |_| TransactionError::Broken("invalid name of a consumer in the file");
            let names = consumer_names(&txn.open_table(CONSUMERS)?)?.into_iter();
            names.map(|name| ConsumerName::new(name).map_err(invalid)).collect()
        })
        .await
    }

    async fn remove_consumer(&self, name: &ConsumerName) -> Result<bool, StoreError> {
        let removed = name.clone();
        let was_there = self.write(SyncMode::Disk, move |changes| changes.remove_consumer(&removed)).await?;
        self.leases.lock().remove(name);
        Ok(was_there)
    }

    async fn take_consumer(
        &self,
        name: &ConsumerName,
        holder: u64,
        term: Duration,
    ) -> Result<Option<Lease>, StoreError> {
        let (name, leases, now) = (name.clone(), self.leases.clone(), Instant::now());
        let take = move |changes: &mut Changes<'_>| changes.take_consumer(&name, &leases, holder, now, term);
        Ok(self.write(SyncMode::Disk, take).await??)
    }

    async fn renew_lease(&self, lease: &Lease, term: Duration) -> Result<bool, StoreError> {
        let (lease, leases, until) = (lease.clone(), self.leases.clone(), Instant::now() + term);
        let renew = move |changes: &mut Changes<'_>| {
            let is_last = changes.is_last(&lease)?;
            if is_last && let Some(held) = leases.lock().get_mut(&lease.consumer) {
                held.until = until;
            }
            Ok(is_last)
        };
        self.write(SyncMode::Disk, renew).await
    }

    async fn end_lease(&self, lease: &Lease) -> Result<(), StoreError> {
        let (lease, leases) = (lease.clone(), self.leases.clone());
        let end = move |changes: &mut Changes<'_>| {
            if changes.is_last(&lease)? {
                leases.lock().remove(&lease.consumer);
            }
            Ok(())
        };
        self.write(SyncMode::Disk, end).await
    }

    async fn news(
        &self,
        name: &ConsumerName,
        after: ChannelId,
        limit: PageLimit,
    ) -> Result<NewsPage, StoreError> {
        let name = name.clone();
        self.read("the news of a consumer can't be read", move |txn| news(txn, &name, after, limit)).await
    }

    async fn advance(&self, lease: &Lease, positions: &[(ChannelId, Position)]) -> Result<bool, StoreError> {
        let (lease, positions) = (lease.clone(), positions.to_vec());
        self.write(SyncMode::Disk, move |changes| changes.advance(&lease, &positions)).await
    }
}

fn consumer_names(
    consumers: &impl ReadableTable<&'static str, u64>,
) -> Result<Vec<String>, TransactionError> {
    let mut names = Vec::new();
    for row in consumers.iter()? {
        let name = row?.0;
        if name.value() != LAST_LEASE {
            names.push(name.value().to_owned());
        }
    }
    Ok(names)
}

fn news(
    txn: &ReadTransaction,
    name: &ConsumerName,
    after: ChannelId,
    limit: PageLimit,
) -> Result<NewsPage, TransactionError> {
    let (channels, logs) = (txn.open_table(CHANNELS)?, txn.open_table(LOGS)?);
    let positions = txn.open_table(CONSUMER_POSITIONS)?;
    let later = (Bound::Excluded((name.as_str(), after.0)), Bound::Included((name.as_str(), u64::MAX)));
    let mut page = limit.fill();
    let mut found = NewsPage::default();
    for row in txn.open_table(CONSUMER_NEWS)?.range::<(&str, u64)>(later)? {
        let id = row?.0.value().1;
        let broken = || TransactionError::Broken("invalid row: news have no channel");
        let channel = decode(channels.get(id)?.ok_or_else(broken)?.value())?;
        let position = match positions.get((name.as_str(), id))? {
            Some(row) => decode(row.value())?,
            None => {
                let Log { epoch, .. } = log(&logs, id)?.ok_or_else(broken)?;
                Position::new(epoch, 0).with_check(Some(Check::START))
            }
        };
        let news = News::new(channel, position);
        found.more = !page.take(news.weight());
        if found.more {
            break;
        }
        found.news.push(news);
    }
    Ok(found)
}
