//! Stores behind a pointer are stores too.

use std::collections::HashMap;
use std::ops::{Deref, Range};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::model::append::Append;
use crate::model::id::{AttachmentId, ChannelId, ConsumerName, Position, Seq, UserId};
use crate::model::membership::{Member, Notify};
use crate::model::message::{Message, User};
use crate::model::name::ChannelName;
use crate::model::query::SearchQuery;
use crate::model::time::Timestamp;
use crate::store::blob::{BlobError, BlobStore, ByteStream};
use crate::store::{
    AppendError, Appended, AttachmentIndex, ChannelInfo, ChannelPage, Consumers, Created, Directory,
    Durability, ErasedUser, Erasure, Erasures, EventStore, FileBytes, Found, Head, Lease, Leaving, Listed,
    ListedPage, MemberPage, Membership, NewPrivate, NewsPage, NextTraces, Page, PageLimit, Replay,
    Revocation, StartAt, StoreError, SweepTurn, Unread, Upload, UserPage,
};

/// What a running chat keeps things in. It forwards nothing itself: each call goes straight to what it holds,
/// without the second future that a call through an `Arc` makes.
#[derive(Debug)]
pub(crate) struct Shared<T: ?Sized>(Arc<T>);

impl<T: ?Sized> Shared<T> {
    pub(crate) fn new(shared: Arc<T>) -> Self {
        Self(shared)
    }
}

impl<T: ?Sized> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: ?Sized> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

macro_rules! forward {
    ($($pointer:ident),*) => {$(
        #[async_trait]
        impl<S: EventStore + ?Sized> EventStore for $pointer<S> {
            async fn append(&self, batch: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
                (**self).append(batch).await
            }

            fn append_at_once(
                &self,
                batch: &mut dyn Iterator<Item = Append>,
                answers: &mut Vec<Result<Appended, AppendError>>,
            ) -> bool {
                (**self).append_at_once(batch, answers)
            }

            async fn after(
                &self,
                channel: ChannelId,
                position: &Position,
                limit: PageLimit,
            ) -> Result<Replay, StoreError> {
                (**self).after(channel, position, limit).await
            }

            async fn after_many(
                &self,
                positions: &[(ChannelId, Position)],
                limit: PageLimit,
            ) -> Result<Vec<Option<Replay>>, StoreError> {
                (**self).after_many(positions, limit).await
            }

            async fn messages_before(
                &self,
                channel: ChannelId,
                before: Seq,
                limit: PageLimit,
            ) -> Result<Page, StoreError> {
                (**self).messages_before(channel, before, limit).await
            }

            async fn messages_after(
                &self,
                channel: ChannelId,
                after: Seq,
                limit: PageLimit,
            ) -> Result<Page, StoreError> {
                (**self).messages_after(channel, after, limit).await
            }

            async fn search(
                &self,
                channel: ChannelId,
                query: &SearchQuery,
                before: Seq,
                limit: PageLimit,
            ) -> Result<Found, StoreError> {
                (**self).search(channel, query, before, limit).await
            }

            async fn message(&self, channel: ChannelId, seq: Seq) -> Result<Option<Message>, StoreError> {
                (**self).message(channel, seq).await
            }

            async fn heads(&self, channels: &[ChannelId]) -> Result<Vec<Option<Head>>, StoreError> {
                (**self).heads(channels).await
            }

            async fn prune(
                &self,
                channel: ChannelId,
                through: Seq,
                now: Timestamp,
            ) -> Result<(), StoreError> {
                (**self).prune(channel, through, now).await
            }

            fn durability(&self) -> Durability {
                (**self).durability()
            }

            fn shared(&self) -> bool {
                (**self).shared()
            }
        }

        #[async_trait]
        impl<S: Directory + ?Sized> Directory for $pointer<S> {
            async fn channels(
                &self,
                after: Option<&ChannelName>,
                limit: PageLimit,
            ) -> Result<ChannelPage, StoreError> {
                (**self).channels(after, limit).await
            }

            async fn channel_count(&self) -> Result<usize, StoreError> {
                (**self).channel_count().await
            }

            async fn newest_channel(&self) -> Result<Option<ChannelId>, StoreError> {
                (**self).newest_channel().await
            }

            async fn channels_after(
                &self,
                id: ChannelId,
                limit: PageLimit,
            ) -> Result<ChannelPage, StoreError> {
                (**self).channels_after(id, limit).await
            }

            async fn channel(&self, name: &ChannelName) -> Result<Option<ChannelInfo>, StoreError> {
                (**self).channel(name).await
            }

            async fn create_channel_within(
                &self,
                name: &ChannelName,
                topic: &str,
                by: &User,
                most: usize,
            ) -> Result<Option<Created>, StoreError> {
                (**self).create_channel_within(name, topic, by, most).await
            }

            async fn create_channel(
                &self,
                name: &ChannelName,
                topic: &str,
                by: &User,
            ) -> Result<Created, StoreError> {
                (**self).create_channel(name, topic, by).await
            }

            async fn mark_read(
                &self,
                user: &UserId,
                channel: ChannelId,
                seq: Seq,
            ) -> Result<Seq, StoreError> {
                (**self).mark_read(user, channel, seq).await
            }

            async fn mark_unread(
                &self,
                user: &UserId,
                channel: ChannelId,
                seq: Seq,
            ) -> Result<Seq, StoreError> {
                (**self).mark_unread(user, channel, seq).await
            }

            async fn unread(&self, user: &UserId, channels: &[ChannelId]) -> Result<Vec<Unread>, StoreError> {
                (**self).unread(user, channels).await
            }

            async fn put_user(&self, user: &User) -> Result<(), StoreError> {
                (**self).put_user(user).await
            }

            async fn put_profile(&self, user: &User) -> Result<(), StoreError> {
                (**self).put_profile(user).await
            }

            async fn users(&self, ids: &[UserId]) -> Result<HashMap<UserId, User>, StoreError> {
                (**self).users(ids).await
            }

            async fn put_revocation(&self, key: u64, what: &str) -> Result<(), StoreError> {
                (**self).put_revocation(key, what).await
            }

            async fn revocations(&self, since: Duration) -> Result<Vec<Revocation>, StoreError> {
                (**self).revocations(since).await
            }
        }

        #[async_trait]
        impl<S: Membership + ?Sized> Membership for $pointer<S> {
            async fn create_private_within(
                &self,
                new: &NewPrivate,
                by: &User,
                most: usize,
            ) -> Result<Option<ChannelInfo>, StoreError> {
                (**self).create_private_within(new, by, most).await
            }

            async fn open_direct_within(
                &self,
                name: &ChannelName,
                people: &[User],
                by: &User,
                most: usize,
            ) -> Result<Option<Created>, StoreError> {
                (**self).open_direct_within(name, people, by, most).await
            }

            async fn member(&self, channel: ChannelId, user: &UserId) -> Result<Option<Member>, StoreError> {
                (**self).member(channel, user).await
            }

            async fn members(
                &self,
                channel: ChannelId,
                after: Option<&UserId>,
                limit: PageLimit,
            ) -> Result<MemberPage, StoreError> {
                (**self).members(channel, after, limit).await
            }

            async fn listed(&self, user: &UserId, channel: ChannelId) -> Result<Option<Listed>, StoreError> {
                (**self).listed(user, channel).await
            }

            async fn channels_of(
                &self,
                user: &UserId,
                after: Option<&ChannelName>,
                archived: bool,
                limit: PageLimit,
            ) -> Result<ListedPage, StoreError> {
                (**self).channels_of(user, after, archived, limit).await
            }

            async fn join_open(&self, channel: ChannelId, user: &User) -> Result<bool, StoreError> {
                (**self).join_open(channel, user).await
            }

            async fn leave_open(&self, channel: ChannelId, user: &UserId) -> Result<Leaving, StoreError> {
                (**self).leave_open(channel, user).await
            }

            async fn set_notify(
                &self,
                channel: ChannelId,
                user: &UserId,
                notify: Notify,
            ) -> Result<bool, StoreError> {
                (**self).set_notify(channel, user, notify).await
            }

            async fn find_users(
                &self,
                query: &str,
                after: Option<&UserId>,
                limit: PageLimit,
            ) -> Result<UserPage, StoreError> {
                (**self).find_users(query, after, limit).await
            }
        }

        #[async_trait]
        impl<S: AttachmentIndex + ?Sized> AttachmentIndex for $pointer<S> {
            async fn put_upload_within(&self, upload: &Upload, most: FileBytes) -> Result<bool, StoreError> {
                (**self).put_upload_within(upload, most).await
            }

            async fn put_upload(&self, upload: &Upload) -> Result<(), StoreError> {
                (**self).put_upload(upload).await
            }

            async fn file_bytes(&self, owner: &UserId) -> Result<FileBytes, StoreError> {
                (**self).file_bytes(owner).await
            }

            async fn upload(&self, id: &AttachmentId) -> Result<Option<Upload>, StoreError> {
                (**self).upload(id).await
            }

            async fn reclaimable(
                &self,
                before: Timestamp,
                limit: usize,
            ) -> Result<Vec<AttachmentId>, StoreError> {
                (**self).reclaimable(before, limit).await
            }

            async fn date_back(&self, now: Timestamp) -> Result<(), StoreError> {
                (**self).date_back(now).await
            }

            async fn discard_upload(&self, id: &AttachmentId) -> Result<bool, StoreError> {
                (**self).discard_upload(id).await
            }

            async fn forget_upload(&self, id: &AttachmentId) -> Result<(), StoreError> {
                (**self).forget_upload(id).await
            }

            async fn sweep_turn(&self) -> Result<Option<SweepTurn>, StoreError> {
                (**self).sweep_turn().await
            }
        }

        #[async_trait]
        impl<S: Consumers + ?Sized> Consumers for $pointer<S> {
            async fn create_consumer_within(
                &self,
                name: &ConsumerName,
                start: StartAt,
                most: usize,
            ) -> Result<bool, StoreError> {
                (**self).create_consumer_within(name, start, most).await
            }

            async fn consumers(&self) -> Result<Vec<ConsumerName>, StoreError> {
                (**self).consumers().await
            }

            async fn remove_consumer(&self, name: &ConsumerName) -> Result<bool, StoreError> {
                (**self).remove_consumer(name).await
            }

            async fn take_consumer(
                &self,
                name: &ConsumerName,
                holder: u64,
                term: Duration,
            ) -> Result<Option<Lease>, StoreError> {
                (**self).take_consumer(name, holder, term).await
            }

            async fn renew_lease(&self, lease: &Lease, term: Duration) -> Result<bool, StoreError> {
                (**self).renew_lease(lease, term).await
            }

            async fn end_lease(&self, lease: &Lease) -> Result<(), StoreError> {
                (**self).end_lease(lease).await
            }

            async fn news(
                &self,
                name: &ConsumerName,
                after: ChannelId,
                limit: PageLimit,
            ) -> Result<NewsPage, StoreError> {
                (**self).news(name, after, limit).await
            }

            async fn advance(
                &self,
                lease: &Lease,
                positions: &[(ChannelId, Position)],
            ) -> Result<bool, StoreError> {
                (**self).advance(lease, positions).await
            }
        }

        #[async_trait]
        impl<S: Erasures + ?Sized> Erasures for $pointer<S> {
            async fn begin_erasure(&self, user: &UserId, erasure: Erasure) -> Result<(), StoreError> {
                (**self).begin_erasure(user, erasure).await
            }

            async fn erased_user(&self, user: &UserId) -> Result<Option<ErasedUser>, StoreError> {
                (**self).erased_user(user).await
            }

            async fn erasures(&self, limit: usize) -> Result<Vec<ErasedUser>, StoreError> {
                (**self).erasures(limit).await
            }

            async fn next_traces(&self, user: &UserId, limit: usize) -> Result<NextTraces, StoreError> {
                (**self).next_traces(user, limit).await
            }

            async fn cover_traces(
                &self,
                user: &UserId,
                channel: ChannelId,
                through: Seq,
            ) -> Result<(), StoreError> {
                (**self).cover_traces(user, channel, through).await
            }

            async fn end_erasure(&self, user: &UserId) -> Result<(), StoreError> {
                (**self).end_erasure(user).await
            }

            async fn readmit(&self, user: &UserId) -> Result<bool, StoreError> {
                (**self).readmit(user).await
            }

            async fn erasure_turn(&self) -> Result<Option<SweepTurn>, StoreError> {
                (**self).erasure_turn().await
            }
        }

        #[async_trait]
        impl<S: BlobStore + ?Sized> BlobStore for $pointer<S> {
            async fn put(&self, id: &AttachmentId, bytes: ByteStream, limit: u64) -> Result<u64, BlobError> {
                (**self).put(id, bytes, limit).await
            }

            async fn get(&self, id: &AttachmentId, range: Range<u64>) -> Result<ByteStream, BlobError> {
                (**self).get(id, range).await
            }

            async fn delete(&self, id: &AttachmentId) -> Result<(), BlobError> {
                (**self).delete(id).await
            }
        }
    )*};
}

forward!(Arc, Box);
