//! Members of a store that fails.

use async_trait::async_trait;

use super::{FaultyStore, bounded};
use crate::model::id::{ChannelId, UserId};
use crate::model::membership::{Member, Notify};
use crate::model::message::User;
use crate::model::name::ChannelName;
use crate::store::{
    ChannelInfo, Created, Leaving, Listed, ListedPage, MemberPage, Membership, NewPrivate, PageLimit,
    StoreError, UserPage,
};

#[async_trait]
impl<S: Membership> Membership for FaultyStore<S> {
    async fn create_private_within(
        &self,
        new: &NewPrivate,
        by: &User,
        most: usize,
    ) -> Result<Option<ChannelInfo>, StoreError> {
        self.write(self.inner.create_private_within(new, by, most)).await?
    }

    async fn open_direct_within(
        &self,
        name: &ChannelName,
        people: &[User],
        by: &User,
        most: usize,
    ) -> Result<Option<Created>, StoreError> {
        self.write(self.inner.open_direct_within(name, people, by, most)).await?
    }

    async fn member(&self, channel: ChannelId, user: &UserId) -> Result<Option<Member>, StoreError> {
        self.read(self.inner.member(channel, user)).await
    }

    async fn members(
        &self,
        channel: ChannelId,
        after: Option<&UserId>,
        limit: PageLimit,
    ) -> Result<MemberPage, StoreError> {
        self.read(self.inner.members(channel, after, bounded(limit))).await
    }

    async fn listed(&self, user: &UserId, channel: ChannelId) -> Result<Option<Listed>, StoreError> {
        self.read(self.inner.listed(user, channel)).await
    }

    async fn channels_of(
        &self,
        user: &UserId,
        after: Option<&ChannelName>,
        archived: bool,
        limit: PageLimit,
    ) -> Result<ListedPage, StoreError> {
        self.read(self.inner.channels_of(user, after, archived, bounded(limit))).await
    }

    async fn join_open(&self, channel: ChannelId, user: &User) -> Result<bool, StoreError> {
        self.write(self.inner.join_open(channel, user)).await?
    }

    async fn leave_open(&self, channel: ChannelId, user: &UserId) -> Result<Leaving, StoreError> {
        self.write(self.inner.leave_open(channel, user)).await?
    }

    async fn set_notify(
        &self,
        channel: ChannelId,
        user: &UserId,
        notify: Notify,
    ) -> Result<bool, StoreError> {
        self.write(self.inner.set_notify(channel, user, notify)).await?
    }

    async fn find_users(
        &self,
        query: &str,
        after: Option<&UserId>,
        limit: PageLimit,
    ) -> Result<UserPage, StoreError> {
        self.read(self.inner.find_users(query, after, bounded(limit))).await
    }
}
