//! Rights that end: what a user's connections have of a channel ends with them.

use std::sync::Arc;

use crate::channel::members::leave;
use crate::delivery::handle::Link;
use crate::engine::Core;
use crate::model::id::UserId;
use crate::model::name::ChannelName;
use crate::model::policy::Action;

impl Core {
    /// Ends what a user's connections have of a channel.
    pub(crate) fn revoke(&self, user: &UserId, channel: &ChannelName) {
        self.cut_off(user, channel, |_| true);
        // Somebody who has gone may still be in their grace.
        if let Some(channel) = self.registry.loaded(channel) {
            leave(&channel, user, &self.limits);
        }
    }

    /// Ends what a user's connections have of channels that the policy does not let them read.
    pub(crate) fn recheck(&self, user: &UserId) {
        for link in self.links.of(user) {
            for channel in link.channels() {
                if self.policy.authorize(&link.identity, Action::Read(&channel)).is_err() {
                    self.cut_off(user, &channel, |other| Arc::ptr_eq(other, &link));
                }
            }
        }
    }

    fn cut_off(&self, user: &UserId, channel: &ChannelName, is_meant: impl Fn(&Arc<Link>) -> bool) {
        let ended = self.links.cut_off(user, channel, is_meant);
        for follower in ended.iter().filter(|follower| follower.take_counted()) {
            follower.channel().members().remove(user);
        }
        if let Some(follower) = ended.first() {
            leave(follower.channel(), user, &self.limits);
        }
    }
}
