//! Consumers of a store that fails.

use std::time::Duration;

use async_trait::async_trait;

use super::{FaultyStore, bounded};
use crate::model::id::{ChannelId, ConsumerName, Position};
use crate::store::{Consumers, Lease, NewsPage, PageLimit, StartAt, StoreError};

#[async_trait]
impl<S: Consumers> Consumers for FaultyStore<S> {
    async fn create_consumer_within(
        &self,
        name: &ConsumerName,
        start: StartAt,
        most: usize,
    ) -> Result<bool, StoreError> {
        self.write(self.inner.create_consumer_within(name, start, most)).await?
    }

    async fn consumers(&self) -> Result<Vec<ConsumerName>, StoreError> {
        self.read(self.inner.consumers()).await
    }

    async fn remove_consumer(&self, name: &ConsumerName) -> Result<bool, StoreError> {
        self.write(self.inner.remove_consumer(name)).await?
    }

    async fn take_consumer(
        &self,
        name: &ConsumerName,
        holder: u64,
        term: Duration,
    ) -> Result<Option<Lease>, StoreError> {
        self.write(self.inner.take_consumer(name, holder, term)).await?
    }

    async fn renew_lease(&self, lease: &Lease, term: Duration) -> Result<bool, StoreError> {
        self.write(self.inner.renew_lease(lease, term)).await?
    }

    async fn end_lease(&self, lease: &Lease) -> Result<(), StoreError> {
        self.write(self.inner.end_lease(lease)).await?
    }

    async fn news(
        &self,
        name: &ConsumerName,
        after: ChannelId,
        limit: PageLimit,
    ) -> Result<NewsPage, StoreError> {
        self.read(self.inner.news(name, after, bounded(limit))).await
    }

    async fn advance(&self, lease: &Lease, positions: &[(ChannelId, Position)]) -> Result<bool, StoreError> {
        self.write(self.inner.advance(lease, positions)).await?
    }
}
