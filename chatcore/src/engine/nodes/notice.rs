//! What nodes tell each other besides what is in logs.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::bus::envelope::NodeId;
use crate::channel::Manner;
use crate::delivery::handle::ConnectionHandle;
use crate::engine::Engine;
use crate::engine::nodes::endings::Ending;
use crate::engine::nodes::presence::Person;
use crate::engine::tidings::Tiding;
use crate::model::id::{ChannelId, Seq, UserId};
use crate::model::message::User;
use crate::model::moment::Moment;
use crate::model::name::ChannelName;
use crate::protocol::{ChatEvent, Encoder};
use crate::store::ChannelInfo;

/// What nodes tell each other besides what is in logs. A node ignores one that it does not know.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Notice {
    /// A user is typing.
    Typing { channel: ChannelId, user: User },
    /// A user's read marker was moved, forward or back.
    Marker { user: UserId, channel: ChannelName, seq: Seq, is_read: bool },
    /// A channel was created.
    Created { info: ChannelInfo },
    /// Users have a channel in their lists otherwise than before.
    Added { channel: ChannelId, users: Vec<UserId> },
    /// Users have something else to read in a channel than before.
    Counts { channel: ChannelId, name: ChannelName, users: Vec<UserId> },
    /// A user has another name.
    Renamed { user: User },
    /// An erased person's id is free again.
    Readmitted { user: UserId },
    /// Something ends for a user. The key distinguishes this ending from all others.
    Ending { key: u64, ending: Ending },
    /// People came to channels at the sender's node, or left them there.
    Presence { people: Vec<Person>, online: bool },
    /// A part of the people in channels at the sender's node.
    Everybody { people: Vec<Person>, first: bool, last: bool },
    /// The sender wants to know everybody at a node.
    AskEverybody { of: NodeId },
}

impl Notice {
    /// Returns whether it still counts if later news of the same node have come before it.
    pub(super) fn is_timeless(&self) -> bool {
        matches!(
            self,
            Self::Ending { .. }
                | Self::Created { .. }
                | Self::Added { .. }
                | Self::Renamed { .. }
                | Self::Readmitted { .. }
        )
    }
}

impl Engine {
    /// Tells the other nodes, if there are any.
    pub(crate) fn tell_nodes(&self, notice: impl FnOnce() -> Notice) {
        if let Some(nodes) = &self.nodes {
            nodes.sender.notice(&notice());
        }
    }

    /// Does here what another node has done there.
    pub(super) fn heed(&self, from: NodeId, notice: Notice) {
        match notice {
            Notice::Presence { people, online } => self.heed_presence(from, &people, online),
            Notice::Everybody { people, first, last } => self.heed_everybody(from, people, first, last),
            Notice::AskEverybody { of } => {
                if let Some(nodes) = self.nodes.as_ref().filter(|nodes| nodes.sender.node() == of) {
                    nodes.presence.tell_all(&nodes.sender);
                }
            }
            Notice::Typing { channel, user } => {
                if let Some(channel) = self.registry.by_id(channel) {
                    let typing = ChatEvent::Typing { channel: channel.info.name.clone(), user: user.clone() };
                    let others = |handle: &Arc<ConnectionHandle>| handle.identity.user.id != user.id;
                    channel.broadcast(&Encoder::notice(&typing), others, Manner::Offer);
                }
            }
            Notice::Marker { user, channel, seq, is_read } => {
                let frame = Encoder::notice(&marker(&channel, seq, is_read));
                for handle in self.connections.of(&user) {
                    handle.send_of(&channel, &frame, || true);
                }
            }
            Notice::Created { info } => self.show_once(&info),
            Notice::Added { channel, users } => {
                for user in users {
                    self.tell_soon(Tiding::Added { user, channel });
                }
            }
            Notice::Counts { channel, name, users } => {
                for user in users {
                    self.tell_soon(Tiding::Counts { user, channel, name: name.clone() });
                }
            }
            Notice::Renamed { user } => self.show_renamed(&user),
            Notice::Readmitted { user } => self.let_in_again(user),
            Notice::Ending { key, ending } => self.heed_ending(key, &ending, Moment::now()),
        }
    }
}

/// Returns the event that tells a user's connections of a moved read marker. `read` is its new value.
pub(crate) fn marker(channel: &ChannelName, read: Seq, is_read: bool) -> ChatEvent {
    let channel = channel.clone();
    match is_read {
        true => ChatEvent::Read { channel, seq: read },
        false => ChatEvent::Unread { channel, seq: read + 1 },
    }
}
