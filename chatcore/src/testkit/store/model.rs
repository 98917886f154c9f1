//! A model of a log and its messages, computed from what the store acknowledged.

use std::collections::BTreeMap;

use super::{delete, edit, publish, react};
use crate::model::append::{Append, AppendBody};
use crate::model::event::{Event, EventKind};
use crate::model::id::{ChannelId, Seq};
use crate::model::message::{Message, User};
use crate::store::Appended;
use crate::testkit::Random;

/// One channel after its acknowledged appends.
#[derive(Default)]
pub(super) struct Model {
    pub(super) log: Vec<Event>,
    messages: BTreeMap<Seq, Message>,
}

impl Model {
    /// Returns whether the store must accept this as its next item.
    pub(super) fn accepts(&self, item: &Append) -> bool {
        match &item.body {
            AppendBody::Message { reply_to, .. } => {
                reply_to.is_none_or(|seq| self.messages.contains_key(&seq))
            }
            AppendBody::Edit { target, .. }
            | AppendBody::Delete { target }
            | AppendBody::React { target, .. } => self.messages.get(target).is_some_and(|m| !m.deleted),
            AppendBody::Member { .. } | AppendBody::Change { .. } => true,
        }
    }

    /// Adds an accepted item.
    pub(super) fn take(&mut self, item: Append, taken: &Appended) {
        let event = item.into_event(taken.seq, taken.at);
        if let EventKind::Deleted { target, .. } = event.kind {
            let rows = self.log.iter_mut().filter(|e| e.seq == target || e.kind.target() == Some(target));
            rows.for_each(|e| e.kind.redact());
        }
        if let Some(message) = event.kind.target().and_then(|t| self.messages.get_mut(&t)) {
            message.apply(&event);
        }
        self.messages.extend(event.to_message().map(|m| (m.seq, m)));
        self.log.push(event);
    }

    pub(super) fn messages(&self) -> Vec<Message> {
        self.messages.values().cloned().collect()
    }

    /// Returns a random item, valid or invalid: targets reach from 0 to a little past the head.
    pub(super) fn draw(&self, random: &Random, channel: ChannelId, users: &[User]) -> Append {
        let user = &users[random.below(users.len() as u64) as usize];
        let target = random.below(self.log.len() as u64 + 3);
        let key = format!("{:x}", random.bits());
        match random.below(10) {
            0..=3 => publish(channel, user, &key, &format!("text {key}")),
            4 => super::answer(channel, user, &key, target),
            5 | 6 => edit(channel, user, target, &format!("edited {key}")),
            7 => delete(channel, user, target),
            _ => {
                react(channel, user, target, ["👍", "🎉", "x"][random.below(3) as usize], random.chance(0.7))
            }
        }
    }
}

/// Applies all events of a log from its start.
pub(super) fn fold(log: &[Event]) -> Vec<Message> {
    let mut messages: Vec<Message> = Vec::new();
    for event in log {
        messages.iter_mut().for_each(|m| m.apply(event));
        messages.extend(event.to_message());
    }
    messages
}
