//! Durable consumers, in memory: they last as long as the store.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::{MemoryStore, State};
use crate::model::id::{ChannelId, ConsumerName, Position};
use crate::store::{Consumers, Lease, News, NewsPage, PageLimit, StartAt, StoreError};

/// All consumers, and the number of the last lease of any.
#[derive(Debug, Default)]
pub(super) struct Readers {
    by_name: BTreeMap<ConsumerName, Reader>,
    generation: u64,
}

/// One consumer.
#[derive(Debug, Default)]
struct Reader {
    generation: u64,
    holder: u64,
    /// When the lease ends.
    until: Option<Instant>,
    positions: HashMap<ChannelId, Position>,
    /// The channels with something to read.
    news: BTreeSet<ChannelId>,
}

impl Readers {
    /// Notes that a channel's log has something new.
    pub(super) fn note(&mut self, channel: ChannelId) {
        for reader in self.by_name.values_mut() {
            reader.news.insert(channel);
        }
    }

    /// Returns the consumer of a lease, if no later one was taken.
    fn leased(&mut self, lease: &Lease) -> Option<&mut Reader> {
        let reader = self.by_name.get_mut(&lease.consumer)?;
        (reader.generation == lease.generation).then_some(reader)
    }
}

impl State {
    fn new_reader(&self, start: StartAt) -> Reader {
        let heads = self.logs.iter().map(|log| (log.info().id, log.head()));
        match start {
            StartAt::Beginning => {
                let news = heads.filter(|(_, head)| head.seq > 0).map(|(id, _)| id).collect();
                Reader { news, ..Reader::default() }
            }
            StartAt::End => {
                let positions = heads.map(|(id, head)| (id, head.position())).collect();
                Reader { positions, ..Reader::default() }
            }
        }
    }

    fn news(&self, reader: &Reader, id: ChannelId) -> Option<News> {
        let log = self.log(id)?;
        let position = reader.positions.get(&id).cloned().unwrap_or_else(|| log.start());
        Some(News::new(log.info().clone(), position))
    }
}

fn no_such_consumer() -> StoreError {
    StoreError::new("there is no such consumer")
}

#[async_trait]
impl Consumers for MemoryStore {
    async fn create_consumer_within(
        &self,
        name: &ConsumerName,
        start: StartAt,
        most: usize,
    ) -> Result<bool, StoreError> {
        let mut state = self.state();
        if state.readers.by_name.contains_key(name) {
            return Ok(true);
        }
        if state.readers.by_name.len() >= most {
            return Ok(false);
        }
        let reader = state.new_reader(start);
        state.readers.by_name.insert(name.clone(), reader);
        Ok(true)
    }

    async fn consumers(&self) -> Result<Vec<ConsumerName>, StoreError> {
        Ok(self.state().readers.by_name.keys().cloned().collect())
    }

    async fn remove_consumer(&self, name: &ConsumerName) -> Result<bool, StoreError> {
        Ok(self.state().readers.by_name.remove(name).is_some())
    }

    async fn take_consumer(
        &self,
        name: &ConsumerName,
        holder: u64,
        term: Duration,
    ) -> Result<Option<Lease>, StoreError> {
        let now = Instant::now();
        let mut state = self.state();
        let readers = &mut state.readers;
        let reader = readers.by_name.get_mut(name).ok_or_else(no_such_consumer)?;
        if reader.holder != holder && reader.until.is_some_and(|until| until > now) {
            return Ok(None);
        }
        readers.generation += 1;
        (reader.generation, reader.holder, reader.until) = (readers.generation, holder, Some(now + term));
        Ok(Some(Lease::new(name.clone(), readers.generation)))
    }

    async fn renew_lease(&self, lease: &Lease, term: Duration) -> Result<bool, StoreError> {
        let until = Instant::now() + term;
        let mut state = self.state();
        let reader = state.readers.leased(lease);
        Ok(reader.map(|reader| reader.until = Some(until)).is_some())
    }

    async fn end_lease(&self, lease: &Lease) -> Result<(), StoreError> {
        if let Some(reader) = self.state().readers.leased(lease) {
            reader.until = None;
        }
        Ok(())
    }

    async fn news(
        &self,
        name: &ConsumerName,
        after: ChannelId,
        limit: PageLimit,
    ) -> Result<NewsPage, StoreError> {
        let state = self.state();
        let Some(reader) = state.readers.by_name.get(name) else { return Ok(NewsPage::default()) };
        let later = reader.news.range((Bound::Excluded(after), Bound::Unbounded));
        let mut later = later.filter_map(|id| state.news(reader, *id)).peekable();
        let mut page = limit.fill();
        let news = std::iter::from_fn(|| later.next_if(|news| page.take(news.weight()))).collect();
        Ok(NewsPage::new(news, later.peek().is_some()))
    }

    async fn advance(&self, lease: &Lease, positions: &[(ChannelId, Position)]) -> Result<bool, StoreError> {
        let mut state = self.state();
        let heads: Vec<_> = positions.iter().map(|(id, _)| state.log(*id).map(|log| log.head())).collect();
        let Some(reader) = state.readers.leased(lease) else { return Ok(false) };
        for ((id, position), head) in positions.iter().zip(heads) {
            let Some(head) = head else { continue };
            reader.positions.insert(*id, position.clone());
            if head.epoch == position.epoch && head.seq <= position.seq {
                reader.news.remove(id);
            } else {
                reader.news.insert(*id);
            }
        }
        Ok(true)
    }
}
