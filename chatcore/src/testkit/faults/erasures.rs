//! Erasures in a store that fails.

use async_trait::async_trait;

use super::{FaultyStore, bounded_items};
use crate::model::id::{ChannelId, Seq, UserId};
use crate::store::{ErasedUser, Erasure, Erasures, NextTraces, StoreError, SweepTurn};

#[async_trait]
impl<S: Erasures> Erasures for FaultyStore<S> {
    async fn begin_erasure(&self, user: &UserId, erasure: Erasure) -> Result<(), StoreError> {
        self.write(self.inner.begin_erasure(user, erasure)).await?
    }

    async fn erased_user(&self, user: &UserId) -> Result<Option<ErasedUser>, StoreError> {
        self.read(self.inner.erased_user(user)).await
    }

    async fn erasures(&self, limit: usize) -> Result<Vec<ErasedUser>, StoreError> {
        // A chat asks for them by itself at any time, so this neither fails nor is held: what a test counts stays its own.
        self.inner.erasures(bounded_items(limit)).await
    }

    async fn next_traces(&self, user: &UserId, limit: usize) -> Result<NextTraces, StoreError> {
        self.read(self.inner.next_traces(user, bounded_items(limit))).await
    }

    async fn cover_traces(&self, user: &UserId, channel: ChannelId, through: Seq) -> Result<(), StoreError> {
        self.write(self.inner.cover_traces(user, channel, through)).await?
    }

    async fn end_erasure(&self, user: &UserId) -> Result<(), StoreError> {
        self.write(self.inner.end_erasure(user)).await?
    }

    async fn readmit(&self, user: &UserId) -> Result<bool, StoreError> {
        self.write(self.inner.readmit(user)).await?
    }

    async fn erasure_turn(&self) -> Result<Option<SweepTurn>, StoreError> {
        self.write(self.inner.erasure_turn()).await?
    }
}
