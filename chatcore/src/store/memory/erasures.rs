//! People who were erased, in memory.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::{MemoryStore, State, index};
use crate::model::append::{Append, AppendBody};
use crate::model::id::{ChannelId, Seq, UserId};
use crate::model::message::{Erasure, User};
use crate::store::{ErasedUser, Erasures, NextTraces, StoreError, Traces, UploadState};

/// Who was erased.
#[derive(Debug, Default)]
pub(super) struct Erased {
    people: BTreeMap<UserId, Progress>,
}

/// How far an erasure is: all channels with smaller ids are covered, and of this one all events up to `seq`.
#[derive(Clone, Copy, Debug)]
struct Progress {
    erasure: Erasure,
    done: bool,
    channel: ChannelId,
    seq: Seq,
}

impl Progress {
    fn new(erasure: Erasure) -> Self {
        Self { erasure, done: false, channel: ChannelId(0), seq: 0 }
    }

    /// Returns the last covered event of a channel that is not covered whole.
    fn in_channel(&self, channel: ChannelId) -> Seq {
        if channel == self.channel { self.seq } else { 0 }
    }
}

impl Erased {
    /// Returns whether a person was erased.
    pub(super) fn has(&self, user: &UserId) -> bool {
        self.people.contains_key(user)
    }

    /// Returns whether the author of an append was erased, and the person whom a change of the members is about.
    pub(super) fn of(&self, append: &Append) -> (bool, bool) {
        let subject = match &append.body {
            AppendBody::Member { user, .. } => self.has(&user.id),
            _ => false,
        };
        (self.has(&append.author.id), subject)
    }

    fn under_way(&self, user: &UserId) -> Option<Progress> {
        self.people.get(user).copied().filter(|progress| !progress.done)
    }
}

impl State {
    fn next_traces(&self, user: &UserId, limit: usize) -> Option<Traces> {
        let progress = self.erased.under_way(user)?;
        let rest = self.logs.get(index(progress.channel).unwrap_or_default()..)?;
        let hash = self.hashes.of_user(user);
        let log = rest.iter().find(|log| log.may_have_traces_of(hash))?;
        let (through, mut events) = log.part_of(user, progress.in_channel(log.info().id), limit);
        let mut traces = Traces::new(log.info().clone(), through);
        for event in events.by_ref() {
            log.trace(user, event, &mut traces);
        }
        Some(traces)
    }

    fn cover_traces(&mut self, user: &UserId, channel: ChannelId, through: Seq) {
        let Some(progress) = self.erased.under_way(user) else { return };
        let from = progress.in_channel(channel);
        if channel < progress.channel || through <= from {
            return;
        }
        if let Some(log) = self.log_mut(channel) {
            log.erase_name(user, from, through);
            if progress.erasure == Erasure::Tombstones {
                log.redact_edits_of(user, from, through);
            }
        }
        self.members.erase_name(channel, user);
        let (channel, seq) =
            if through == Seq::MAX { (ChannelId(channel.0 + 1), 0) } else { (channel, through) };
        self.erased.people.insert(user.clone(), Progress { channel, seq, ..progress });
    }
}

#[async_trait]
impl Erasures for MemoryStore {
    async fn begin_erasure(&self, user: &UserId, erasure: Erasure) -> Result<(), StoreError> {
        let mut state = self.state();
        let is_known = state.erased.under_way(user).is_some_and(|progress| progress.erasure == erasure);
        if !is_known {
            state.erased.people.insert(user.clone(), Progress::new(erasure));
            state.users.insert(user.clone(), User::erased(user.clone()));
        }
        Ok(())
    }

    async fn erased_user(&self, user: &UserId) -> Result<Option<ErasedUser>, StoreError> {
        let state = self.state();
        let progress = state.erased.people.get(user);
        Ok(progress.map(|progress| ErasedUser::new(user.clone(), progress.erasure, progress.done)))
    }

    async fn erasures(&self, limit: usize) -> Result<Vec<ErasedUser>, StoreError> {
        let state = self.state();
        let under_way = state.erased.people.iter().filter(|(_, progress)| !progress.done);
        let erased = |(user, progress): (&UserId, &Progress)| {
            ErasedUser::new(user.clone(), progress.erasure, progress.done)
        };
        Ok(under_way.take(limit).map(erased).collect())
    }

    async fn next_traces(&self, user: &UserId, limit: usize) -> Result<NextTraces, StoreError> {
        Ok(self.state().next_traces(user, limit).map_or(NextTraces::Nothing, NextTraces::Found))
    }

    async fn cover_traces(&self, user: &UserId, channel: ChannelId, through: Seq) -> Result<(), StoreError> {
        self.state().cover_traces(user, channel, through);
        Ok(())
    }

    async fn end_erasure(&self, user: &UserId) -> Result<(), StoreError> {
        let mut state = self.state();
        let Some(progress) = state.erased.under_way(user) else { return Ok(()) };
        state.read.retain(|(of, _), _| of != user);
        let unused = |state| matches!(state, UploadState::Receiving | UploadState::Ready);
        for upload in
            state.uploads.values_mut().filter(|upload| upload.owner == *user && unused(upload.state))
        {
            upload.state = UploadState::Discarded;
        }
        state.erased.people.insert(user.clone(), Progress { done: true, ..progress });
        Ok(())
    }

    async fn readmit(&self, user: &UserId) -> Result<bool, StoreError> {
        let mut state = self.state();
        let is_done = state.erased.people.get(user).is_some_and(|progress| progress.done);
        if is_done {
            state.erased.people.remove(user);
            state.users.remove(user);
        }
        Ok(is_done)
    }
}

pub(super) fn was_erased() -> StoreError {
    StoreError::new("the user was erased")
}
