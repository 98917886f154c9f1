//! The names of erased people, which are written no more, though the store may still return them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::event::Event;
use crate::model::id::UserId;
use crate::model::message::Message;

/// How long people are remembered after their erasure is done: what was read from the store before that is written by
/// then.
const KEPT: Duration = Duration::from_secs(60);

/// The most people who are remembered. Of more, the store's rows are covered as soon as their turn comes.
const MOST: usize = 10_000;

/// The people whose erasure is under way, or has just been done.
#[derive(Debug, Default)]
pub(crate) struct ErasedNames {
    /// Whether there is anybody: nearly always there is nobody, and then nothing else is looked at.
    any: AtomicBool,
    /// When they are forgotten here. `None` while their erasure is under way.
    people: RwLock<HashMap<UserId, Option<Instant>>>,
}

impl ErasedNames {
    /// Enters a person. What is encoded after this has no name of theirs. Returns whether they are new here.
    pub(crate) fn enter(&self, user: &UserId) -> bool {
        let mut people = self.write();
        if people.len() >= MOST && !people.contains_key(user) {
            return false;
        }
        let is_new = people.insert(user.clone(), None).is_none();
        self.any.store(true, Ordering::SeqCst);
        is_new
    }

    /// Forgets everybody who is not among `under_way`, a while after they were last. Returns the people whose erasure has
    /// ended since the last call, and those who are forgotten now.
    pub(crate) fn keep(&self, under_way: &[&UserId]) -> Vec<UserId> {
        let mut done = Vec::new();
        if !self.any.load(Ordering::Relaxed) {
            return done;
        }
        let now = Instant::now();
        let mut people = self.write();
        people.retain(|user, due| {
            let was_under_way = due.is_none();
            *due = match due {
                _ if under_way.contains(&user) => None,
                None => Some(now + KEPT),
                Some(due) => Some(*due),
            };
            let is_kept = due.is_none_or(|due| due > now);
            if !is_kept || (was_under_way && due.is_some()) {
                done.push(user.clone());
            }
            is_kept
        });
        self.any.store(!people.is_empty(), Ordering::SeqCst);
        done
    }

    /// Forgets a person whose id is free again.
    pub(crate) fn remove(&self, user: &UserId) {
        self.write().remove(user);
    }

    /// Returns everybody.
    pub(crate) fn all(&self) -> Vec<UserId> {
        if !self.any.load(Ordering::SeqCst) {
            return Vec::new();
        }
        self.read().keys().cloned().collect()
    }

    /// Returns those who take part in an event under their names.
    pub(crate) fn in_event(&self, event: &Event) -> Vec<UserId> {
        if !self.any.load(Ordering::SeqCst) {
            return Vec::new();
        }
        let named = event.kind.people().filter(|user| !user.is_deleted() && self.has(&user.id));
        named.map(|user| user.id.clone()).collect()
    }

    /// Returns a message without the name of an erased author. `None` if it has none.
    pub(super) fn message(&self, message: &Message) -> Option<Message> {
        if !self.has(&message.author.id) {
            return None;
        }
        let mut message = message.clone();
        let author = message.author.id.clone();
        message.erase_name(&author).then_some(message)
    }

    /// Returns an event without the names of erased people. `None` if it has none.
    #[inline]
    pub(super) fn event(&self, event: &Event) -> Option<Event> {
        if !self.any.load(Ordering::SeqCst) {
            return None;
        }
        let erased = self.in_event(event);
        let mut event = (!erased.is_empty()).then(|| event.clone())?;
        for user in &erased {
            event.kind.erase_name(user);
        }
        Some(event)
    }

    /// Returns whether a person's erasure is under way, or has just been done.
    pub(crate) fn has(&self, user: &UserId) -> bool {
        self.any.load(Ordering::SeqCst) && self.read().contains_key(user)
    }

    // Held for one look or change, never across an await. Nothing panics under it.
    fn read(&self) -> RwLockReadGuard<'_, HashMap<UserId, Option<Instant>>> {
        self.people.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<UserId, Option<Instant>>> {
        self.people.write().unwrap_or_else(PoisonError::into_inner)
    }
}
