//! Who is in which channel, at this node and at the others.
//!
//! A node tells the others which users have come to its channels and left them, and with each beat a digest of all that
//! it has told. A node whose digest of another differs asks that one for everything. In a channel's list, a node that has
//! a user counts as one more connection of them: when it goes, the user has the usual grace to appear elsewhere.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::bus::envelope::NodeId;
use crate::bus::sender::Sender;
use crate::channel::Channel;
use crate::channel::departures::{announce, list_limit};
use crate::channel::online::Arrival;
use crate::engine::Engine;
use crate::engine::nodes::notice::Notice;
use crate::engine::nodes::roster::{self, Roster};
use crate::model::id::{ChannelId, UserId};
use crate::model::message::User;

/// A user in channels.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Person {
    user: User,
    channels: Vec<ChannelId>,
}

/// Who is in which channel.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    state: Mutex<State>,
    /// Notifies the task that tells the others.
    pub(super) changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The users that have subscriptions at this node, and how many in each channel.
    own: BTreeMap<UserId, (User, BTreeMap<ChannelId, usize>)>,
    /// What the others were told.
    told: Roster,
    /// The users of whom something may have changed since then, and the channels that they left of which the others were
    /// told.
    changed: BTreeMap<UserId, BTreeSet<ChannelId>>,
    /// What the others have told.
    peers: BTreeMap<NodeId, Peer>,
    /// The channels in memory whose lists have the users of other nodes.
    open: HashMap<ChannelId, Weak<Channel>>,
}

#[derive(Debug, Default)]
struct Peer {
    roster: Roster,
    /// The parts of its answer to a question for everything, until the last one, and their bytes.
    answer: Option<(Vec<Person>, usize)>,
}

impl Presence {
    /// Counts a subscription at this node.
    pub(crate) fn join(&self, channel: ChannelId, user: &User) {
        let mut state = self.state();
        let (known, channels) =
            state.own.entry(user.id.clone()).or_insert_with(|| (user.clone(), BTreeMap::new()));
        let count = channels.entry(channel).or_default();
        *count += 1;
        if *count == 1 || known != user {
            *known = user.clone();
            state.changed.entry(user.id.clone()).or_default();
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Counts a subscription at this node out.
    pub(crate) fn leave(&self, channel: ChannelId, user: &UserId) {
        let mut state = self.state();
        let Some((_, channels)) = state.own.get_mut(user) else { return };
        let Some(count) = channels.get_mut(&channel) else { return };
        *count -= 1;
        if *count > 0 {
            return;
        }
        channels.remove(&channel);
        if channels.is_empty() {
            state.own.remove(user);
        }
        let is_told = state.told.entry(channel, user).is_some();
        state.changed.entry(user.clone()).or_default().extend(is_told.then_some(channel));
        drop(state);
        self.changed.notify_one();
    }

    /// Tells the others what has changed. `keeps` says whether those who have left still count, as while this node
    /// shuts down and they come back at another.
    pub(super) fn tell(&self, sender: &Sender, keeps: bool) {
        let mut state = self.state();
        let state = &mut *state;
        let (mut came, mut left) = (Vec::new(), Vec::new());
        for (id, gone_from) in std::mem::take(&mut state.changed) {
            let none = BTreeMap::new();
            let (user, now) = match state.own.get(&id) {
                Some((user, channels)) => (Some(user), channels),
                None => (None, &none),
            };
            let is_told = |channel: &ChannelId| state.told.entry(*channel, &id) == user;
            let new: Vec<_> = now.keys().copied().filter(|channel| !is_told(channel)).collect();
            let old: Vec<_> = gone_from.into_iter().filter(|channel| !now.contains_key(channel)).collect();
            if let Some(user) = user {
                // Whoever has no room is not told of, so that the others have the same digest.
                let channels: Vec<_> =
                    new.into_iter().filter(|channel| state.told.add(*channel, user).1).collect();
                if !channels.is_empty() {
                    came.push(Person { user: user.clone(), channels });
                }
            }
            if old.is_empty() {
                continue;
            }
            if keeps {
                state.changed.insert(id, old.into_iter().collect());
                continue;
            }
            let gone = old.first().and_then(|channel| state.told.entry(*channel, &id)).cloned();
            for channel in &old {
                state.told.remove(*channel, &id);
            }
            left.extend(gone.map(|user| Person { user, channels: old }));
        }
        for (people, online) in [(came, true), (left, false)] {
            for people in parts(people, sender) {
                sender.notice(&Notice::Presence { people, online });
            }
        }
    }

    /// Tells the others everybody who is at this node.
    pub(super) fn tell_all(&self, sender: &Sender) {
        let state = self.state();
        let mut people: BTreeMap<UserId, Person> = BTreeMap::new();
        for (channel, user) in state.told.entries() {
            let person = people.entry(user.id.clone()).or_insert(Person { user, channels: Vec::new() });
            person.channels.push(channel);
        }
        // Under the lock, so that later changes come after it.
        let mut parts = parts(people.into_values().collect(), sender);
        if parts.is_empty() {
            parts.push(Vec::new());
        }
        let last = parts.len() - 1;
        for (at, people) in parts.into_iter().enumerate() {
            sender.notice(&Notice::Everybody { people, first: at == 0, last: at == last });
        }
    }

    /// Tells new nodes everybody who is at this node, if somebody is.
    pub(super) fn greet(&self, sender: &Sender) {
        if !self.state().told.is_empty() {
            self.tell_all(sender);
        }
    }

    /// Returns the digest of what the others were told.
    pub(super) fn digest(&self) -> u64 {
        self.state().told.digest()
    }

    /// Returns whether something else is known of a node than what it has told.
    pub(super) fn differs(&self, node: NodeId, digest: u64) -> bool {
        let state = self.state();
        let roster = state.peers.get(&node).map(|peer| &peer.roster);
        // Of a node with more people than are remembered, the rest stays unknown.
        roster.map_or(digest != 0, |roster| roster.digest() != digest && !roster.has_refused())
    }

    /// Forgets the part of a node's answer that has come, since another part may be missing.
    pub(super) fn drop_answer(&self, node: NodeId) {
        if let Some(peer) = self.state().peers.get_mut(&node) {
            peer.answer = None;
        }
    }

    /// Forgets the channels that are no longer in memory.
    pub(super) fn forget_closed(&self) {
        self.state().open.retain(|_, channel| channel.strong_count() > 0);
    }

    // Held for one change. Members' and mailboxes' locks are taken under it, and never the other way round.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("invariant: nothing panics under this lock")
    }
}

/// Splits people into parts that fit into an envelope each.
fn parts(people: Vec<Person>, sender: &Sender) -> Vec<Vec<Person>> {
    // Of an item's bytes, some are for the notice around the people. A user's name may be escaped.
    let most = sender.item_bytes().saturating_sub(128);
    let (mut parts, mut part, mut bytes) = (Vec::new(), Vec::new(), 0);
    for Person { user, channels } in people {
        let fixed = 64 + user.id.as_str().len() * 2 + user.name.len() * 6;
        // An id has at most 20 digits.
        let fitting = (most.saturating_sub(fixed) / 21).max(1);
        for channels in channels.chunks(fitting) {
            let weight = fixed + channels.len() * 21;
            if bytes + weight > most && !part.is_empty() {
                parts.push(std::mem::take(&mut part));
                bytes = 0;
            }
            bytes += weight;
            part.push(Person { user: user.clone(), channels: channels.to_vec() });
        }
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

impl Engine {
    /// Counts the users of other nodes in a channel that is used here for the first time since it is in memory.
    pub(crate) fn open_presence(&self, channel: &Arc<Channel>) {
        let Some(nodes) = &self.nodes else { return };
        let id = channel.info.id;
        let mut state = nodes.presence.state();
        if state.open.get(&id).is_some_and(|open| std::ptr::eq(open.as_ptr(), Arc::as_ptr(channel))) {
            return;
        }
        state.open.insert(id, Arc::downgrade(channel));
        for users in state.peers.values().filter_map(|peer| peer.roster.users(id)) {
            for user in users.values() {
                channel.online().arrive(user, list_limit(&self.limits));
            }
        }
    }

    /// Takes what a node has told of people who came or left there.
    pub(super) fn heed_presence(&self, node: NodeId, people: &[Person], online: bool) {
        let Some(nodes) = &self.nodes else { return };
        let mut state = nodes.presence.state();
        for Person { user, channels } in people {
            for channel in channels {
                self.note(&mut state, node, *channel, user, online);
            }
        }
    }

    /// Takes a part of a node's answer to a question for everybody.
    pub(super) fn heed_everybody(&self, node: NodeId, people: Vec<Person>, first: bool, last: bool) {
        let Some(nodes) = &self.nodes else { return };
        let mut state = nodes.presence.state();
        let peer = state.peers.entry(node).or_default();
        if first {
            peer.answer = Some((Vec::new(), 0));
        }
        let Some((answer, bytes)) = &mut peer.answer else { return };
        for person in people {
            *bytes += roster::weight(&person.user) + person.channels.len() * size_of::<ChannelId>();
            if *bytes <= roster::BYTES {
                answer.push(person);
            }
        }
        if !last {
            return;
        }
        let all = peer.answer.take().map(|(all, _)| all).unwrap_or_default();
        let listed = all.iter().flat_map(|person| person.channels.iter().map(|c| (*c, &person.user.id)));
        let listed: BTreeSet<_> = listed.collect();
        for (channel, user) in peer.roster.entries() {
            if !listed.contains(&(channel, &user.id)) {
                self.note(&mut state, node, channel, &user, false);
            }
        }
        for Person { user, channels } in &all {
            for channel in channels {
                self.note(&mut state, node, *channel, user, true);
            }
        }
    }

    /// Has everybody leave who was at a node that is gone.
    pub(super) fn forget_node(&self, node: NodeId) {
        let Some(nodes) = &self.nodes else { return };
        let mut state = nodes.presence.state();
        let entries = state.peers.get(&node).map(|peer| peer.roster.entries()).unwrap_or_default();
        for (channel, user) in entries {
            self.note(&mut state, node, channel, &user, false);
        }
        state.peers.remove(&node);
    }

    /// Notes that a user came to a channel at another node, or left it there, and tells the subscribers here.
    fn note(&self, state: &mut State, node: NodeId, id: ChannelId, user: &User, online: bool) {
        let roster = &mut state.peers.entry(node).or_default().roster;
        let channel = state.open.get(&id).and_then(Weak::upgrade);
        if !online {
            if roster.remove(id, &user.id)
                && let Some(channel) = channel
            {
                self.departures.depart(&channel, &user.id);
            }
            return;
        }
        let (before, fits) = roster.add(id, user);
        let Some(channel) = channel.filter(|_| fits && before.as_ref() != Some(user)) else { return };
        let arrival = channel.online().arrive(user, list_limit(&self.limits));
        if before.is_some() {
            // Only the name is new.
            channel.online().remove(&user.id);
        }
        if arrival == Arrival::New {
            announce(&channel, user.clone(), true, |_| true);
        }
    }

    /// Counts a subscription of `user` in at this node, for the others.
    pub(crate) fn count_in(&self, channel: &Channel, user: &User) {
        if let Some(nodes) = &self.nodes {
            nodes.presence.join(channel.info.id, user);
        }
    }

    /// Counts a subscription of `user` out at this node, for the others.
    pub(crate) fn count_out(&self, channel: &Channel, user: &UserId) {
        if let Some(nodes) = &self.nodes {
            nodes.presence.leave(channel.info.id, user);
        }
    }
}
