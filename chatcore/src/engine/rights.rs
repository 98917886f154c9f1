//! Rights that end: everything that a user's connections have of a channel ends with them.

use std::sync::Arc;

use crate::channel::departures::leave;
use crate::delivery::handle::ConnectionHandle;
use crate::engine::Engine;
use crate::model::id::UserId;
use crate::model::name::ChannelName;
use crate::model::policy::Action;

impl Engine {
    /// Ends everything that a user's connections to this node have of a channel.
    pub(super) fn revoke(&self, user: &UserId, channel: &ChannelName) {
        self.cut_off(user, channel, |_| true);
        // A user who has left may still be in their grace period.
        if let Some(channel) = self.registry.loaded(channel.as_str()) {
            leave(&channel, user, &self.limits);
        }
    }

    /// Ends everything that a user's connections to this node have of channels that the policy no longer lets them
    /// read.
    pub(super) fn recheck(&self, user: &UserId) {
        for handle in self.connections.of(user) {
            for channel in handle.channels() {
                if self.policy.authorize(&handle.identity, Action::Read(&channel)).is_err() {
                    self.cut_off(user, &channel, |other| Arc::ptr_eq(other, &handle));
                }
            }
        }
    }

    fn cut_off(
        &self,
        user: &UserId,
        channel: &ChannelName,
        is_meant: impl Fn(&Arc<ConnectionHandle>) -> bool,
    ) {
        let ended = self.connections.cut_off(user, channel, is_meant);
        // A channel that is not in memory has nobody online.
        let Some(channel) = self.registry.loaded(channel.as_str()).filter(|_| !ended.is_empty()) else {
            return;
        };
        for _ in ended.iter().filter(|subscriber| subscriber.take_counted()) {
            self.count_out(&channel, user);
            channel.online().remove(user);
        }
        leave(&channel, user, &self.limits);
    }
}
