//! A store whose appends wait until they are let through.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use chatcore::store::{
    AppendError, Appended, AttachmentIndex, ChannelInfo, Created, Directory, Durability, EventStore, Found,
    Head, Page, Replay, Store, StoreError, Unread, Upload,
};
use chatcore::{
    Append, AttachmentId, ChannelId, ChannelName, Message, Position, SearchQuery, Seq, Timestamp, User,
    UserId,
};
use tokio::sync::Semaphore;

/// A store whose appends each wait for a permit of the gate.
#[derive(Debug)]
pub struct GatedStore<S> {
    inner: S,
    gate: Arc<Semaphore>,
}

impl<S: Store> GatedStore<S> {
    /// Wraps a store. The gate begins closed.
    pub fn new(inner: S) -> (Self, Arc<Semaphore>) {
        let gate = Arc::new(Semaphore::new(0));
        (Self { inner, gate: Arc::clone(&gate) }, gate)
    }
}

#[async_trait]
impl<S: Store> EventStore for GatedStore<S> {
    async fn append(&self, batch: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
        self.gate.acquire().await.expect("invariant: the gate is never destroyed").forget();
        self.inner.append(batch).await
    }

    async fn after(
        &self,
        channel: ChannelId,
        position: &Position,
        limit: usize,
    ) -> Result<Replay, StoreError> {
        self.inner.after(channel, position, limit).await
    }

    async fn messages_before(
        &self,
        channel: ChannelId,
        before: Seq,
        limit: usize,
    ) -> Result<Page, StoreError> {
        self.inner.messages_before(channel, before, limit).await
    }

    async fn search(
        &self,
        channel: ChannelId,
        query: &SearchQuery,
        before: Seq,
        limit: usize,
    ) -> Result<Found, StoreError> {
        self.inner.search(channel, query, before, limit).await
    }

    async fn message(&self, channel: ChannelId, seq: Seq) -> Result<Option<Message>, StoreError> {
        self.inner.message(channel, seq).await
    }

    async fn heads(&self, channels: &[ChannelId]) -> Result<Vec<Option<Head>>, StoreError> {
        self.inner.heads(channels).await
    }

    async fn prune(&self, channel: ChannelId, through: Seq, now: Timestamp) -> Result<(), StoreError> {
        self.inner.prune(channel, through, now).await
    }

    fn durability(&self) -> Durability {
        self.inner.durability()
    }
}

#[async_trait]
impl<S: Store> Directory for GatedStore<S> {
    async fn channels(&self) -> Result<Vec<ChannelInfo>, StoreError> {
        self.inner.channels().await
    }

    async fn channel(&self, name: &ChannelName) -> Result<Option<ChannelInfo>, StoreError> {
        self.inner.channel(name).await
    }

    async fn create_channel(
        &self,
        name: &ChannelName,
        topic: &str,
        by: &User,
    ) -> Result<Created, StoreError> {
        self.inner.create_channel(name, topic, by).await
    }

    async fn mark_read(&self, user: &UserId, channel: ChannelId, seq: Seq) -> Result<Seq, StoreError> {
        self.inner.mark_read(user, channel, seq).await
    }

    async fn unread(&self, user: &UserId, channels: &[ChannelId]) -> Result<Vec<Unread>, StoreError> {
        self.inner.unread(user, channels).await
    }

    async fn put_user(&self, user: &User) -> Result<(), StoreError> {
        self.inner.put_user(user).await
    }

    async fn users(&self, ids: &[UserId]) -> Result<HashMap<UserId, User>, StoreError> {
        self.inner.users(ids).await
    }
}

#[async_trait]
impl<S: Store> AttachmentIndex for GatedStore<S> {
    async fn put_upload(&self, upload: &Upload) -> Result<(), StoreError> {
        self.inner.put_upload(upload).await
    }

    async fn upload(&self, id: &AttachmentId) -> Result<Option<Upload>, StoreError> {
        self.inner.upload(id).await
    }

    async fn reclaimable(&self, before: Timestamp, limit: usize) -> Result<Vec<AttachmentId>, StoreError> {
        self.inner.reclaimable(before, limit).await
    }

    async fn discard_upload(&self, id: &AttachmentId) -> Result<bool, StoreError> {
        self.inner.discard_upload(id).await
    }

    async fn forget_upload(&self, id: &AttachmentId) -> Result<(), StoreError> {
        self.inner.forget_upload(id).await
    }
}
