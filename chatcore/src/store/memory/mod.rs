//! A store in memory, for tests, for demonstrations, and for chats that need no history.

mod append;
mod consumers;
mod erasures;
mod log;
mod members;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use self::consumers::Readers;
use self::erasures::{Erased, was_erased};
use self::log::{Hashes, Log};
use self::members::Members;
use super::{
    AppendError, Appended, AttachmentIndex, ChannelInfo, ChannelPage, Created, Directory, Durability,
    EventStore, FileBytes, Head, NONCE_LIFE, Page, PageLimit, Replay, Revocation, StoreError, Unread, Upload,
    UploadState,
};
use crate::model::append::Append;
use crate::model::attachment::Attachment;
use crate::model::id::{AttachmentId, ChannelId, Position, Seq, UserId};
use crate::model::message::{Message, User};
use crate::model::name::ChannelName;
use crate::model::time::{Clock, Timestamp};

/// A store in memory. Clones are handles to the same store.
///
/// It keeps the newest messages of each channel, 10,000 by default, and trims the rest.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    clock: Clock,
    /// The clock for the age of nonces.
    ages: Clock,
}

#[derive(Debug)]
struct State {
    retention: usize,
    logs: Vec<Log>,
    hashes: Hashes,
    names: BTreeMap<ChannelName, ChannelId>,
    /// The channels by the looks of their names.
    looks: HashMap<String, ChannelId>,
    members: Members,
    readers: Readers,
    read: HashMap<(UserId, ChannelId), Seq>,
    users: BTreeMap<UserId, User>,
    uploads: HashMap<AttachmentId, Upload>,
    /// The newest revocations, the oldest first, and when each was put.
    revocations: VecDeque<(u64, String, Instant)>,
    erased: Erased,
}

/// The most revocations that are kept.
const REVOCATIONS: usize = 10_000;

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// Returns an empty store that keeps the newest 10,000 messages of each channel.
    #[must_use]
    pub fn new() -> Self {
        Self::with_retention(10_000)
    }

    /// Returns an empty store that keeps the newest `messages` of each channel.
    #[must_use]
    pub fn with_retention(messages: usize) -> Self {
        let state = State {
            retention: messages.max(1),
            logs: Vec::new(),
            hashes: Hashes::default(),
            names: BTreeMap::new(),
            looks: HashMap::new(),
            members: Members::default(),
            readers: Readers::default(),
            read: HashMap::new(),
            users: BTreeMap::new(),
            uploads: HashMap::new(),
            revocations: VecDeque::new(),
            erased: Erased::default(),
        };
        let clock = Clock::default();
        Self { state: Arc::new(Mutex::new(state)), ages: clock.clone().steady(NONCE_LIFE), clock }
    }

    /// Uses `clock` for the times of events and channels.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { ages: clock.clone().steady(NONCE_LIFE), clock, ..self }
    }

    // Held for the work of one call, never across an await.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("invariant: nothing panics under this lock")
    }
}

impl State {
    /// Channels are numbered from 1, in the order of their creation.
    fn log(&self, channel: ChannelId) -> Option<&Log> {
        self.logs.get(index(channel)?)
    }

    fn log_mut(&mut self, channel: ChannelId) -> Option<&mut Log> {
        self.logs.get_mut(index(channel)?)
    }

    fn file_bytes(&self, owner: &UserId) -> FileBytes {
        self.uploads.values().fold(FileBytes::default(), |bytes, upload| {
            let size = upload.attachment.size;
            let own = if upload.owner == *owner { size } else { 0 };
            FileBytes { owner: bytes.owner + own, all: bytes.all + size }
        })
    }

    fn discard(&mut self, attachments: &[Attachment]) {
        for attachment in attachments {
            self.set_upload_state(&attachment.id, UploadState::Discarded);
        }
    }

    fn set_upload_state(&mut self, id: &AttachmentId, state: UploadState) {
        if let Some(upload) = self.uploads.get_mut(id) {
            upload.state = state;
        }
    }
}

fn index(channel: ChannelId) -> Option<usize> {
    usize::try_from(channel.0).ok()?.checked_sub(1)
}

fn no_such_channel() -> StoreError {
    StoreError::new("there is no such channel")
}

#[async_trait]
impl EventStore for MemoryStore {
    async fn append(&self, batch: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
        let mut answers = Vec::with_capacity(batch.len());
        self.append_at_once(&mut batch.into_iter(), &mut answers);
        answers
    }

    fn append_at_once(
        &self,
        batch: &mut dyn Iterator<Item = Append>,
        answers: &mut Vec<Result<Appended, AppendError>>,
    ) -> bool {
        let now = self.clock.now();
        self.state().append_all(batch, now, &self.ages, answers);
        true
    }

    async fn after(
        &self,
        channel: ChannelId,
        position: &Position,
        limit: PageLimit,
    ) -> Result<Replay, StoreError> {
        Ok(self.state().log(channel).ok_or_else(no_such_channel)?.after(position, limit))
    }

    async fn after_many(
        &self,
        positions: &[(ChannelId, Position)],
        limit: PageLimit,
    ) -> Result<Vec<Option<Replay>>, StoreError> {
        let state = self.state();
        let replay = |(channel, position): &(ChannelId, Position)| {
            state.log(*channel).map(|log| log.after(position, limit))
        };
        Ok(positions.iter().map(replay).collect())
    }

    async fn messages_before(
        &self,
        channel: ChannelId,
        before: Seq,
        limit: PageLimit,
    ) -> Result<Page, StoreError> {
        let none = Page { messages: Vec::new(), more: false };
        Ok(self.state().log(channel).map_or(none, |log| log.messages_before(before, limit)))
    }

    async fn messages_after(
        &self,
        channel: ChannelId,
        after: Seq,
        limit: PageLimit,
    ) -> Result<Page, StoreError> {
        let none = Page { messages: Vec::new(), more: false };
        Ok(self.state().log(channel).map_or(none, |log| log.messages_after(after, limit)))
    }

    async fn message(&self, channel: ChannelId, seq: Seq) -> Result<Option<Message>, StoreError> {
        Ok(self.state().log(channel).and_then(|log| Some(log.message(seq)?.into_owned())))
    }

    async fn heads(&self, channels: &[ChannelId]) -> Result<Vec<Option<Head>>, StoreError> {
        let state = self.state();
        Ok(channels.iter().map(|id| state.log(*id).map(Log::head)).collect())
    }

    async fn prune(&self, channel: ChannelId, through: Seq, now: Timestamp) -> Result<(), StoreError> {
        let mut state = self.state();
        let dropped = state.log_mut(channel).ok_or_else(no_such_channel)?.trim(through, now);
        state.discard(&dropped);
        Ok(())
    }

    fn durability(&self) -> Durability {
        Durability::Process
    }
}

#[async_trait]
impl Directory for MemoryStore {
    async fn channels(
        &self,
        after: Option<&ChannelName>,
        limit: PageLimit,
    ) -> Result<ChannelPage, StoreError> {
        let state = self.state();
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let later = state.names.range::<ChannelName, _>((start, Bound::Unbounded));
        let mut later = later.filter_map(|(_, id)| state.log(*id)).map(Log::info).peekable();
        let mut page = limit.fill();
        let mut channels = Vec::new();
        while let Some(info) = later.next_if(|info| page.take(info.weight())) {
            channels.push(info.clone());
        }
        Ok(ChannelPage { channels, more: later.peek().is_some() })
    }

    async fn channel_count(&self) -> Result<usize, StoreError> {
        Ok(self.state().names.len())
    }

    async fn newest_channel(&self) -> Result<Option<ChannelId>, StoreError> {
        Ok(self.state().logs.last().map(|log| log.info().id))
    }

    async fn channels_after(&self, id: ChannelId, limit: PageLimit) -> Result<ChannelPage, StoreError> {
        let state = self.state();
        let first = usize::try_from(id.0).unwrap_or(usize::MAX).min(state.logs.len());
        let mut later = state.logs[first..].iter().map(Log::info).peekable();
        let mut page = limit.fill();
        let channels = std::iter::from_fn(|| later.next_if(|info| page.take(info.weight())).cloned());
        let channels = channels.collect();
        Ok(ChannelPage { channels, more: later.peek().is_some() })
    }

    async fn channel(&self, name: &ChannelName) -> Result<Option<ChannelInfo>, StoreError> {
        let state = self.state();
        let id = state.names.get(name).or_else(|| state.looks.get(&name.look()));
        let info = id.and_then(|id| state.log(*id)).map(Log::info);
        Ok(info.filter(|info| info.name.is_same_as(name)).cloned())
    }

    async fn create_channel_within(
        &self,
        name: &ChannelName,
        topic: &str,
        by: &User,
        most: usize,
    ) -> Result<Option<Created>, StoreError> {
        let mut state = self.state();
        let look = name.look();
        let taken = state.names.get(name).or_else(|| state.looks.get(&look));
        if let Some(log) = taken.and_then(|id| state.log(*id)) {
            return Ok(Some(Created::Exists(log.info().clone())));
        }
        if state.erased.has(&by.id) {
            return Err(was_erased());
        }
        if state.names.len() >= most {
            return Ok(None);
        }
        let info = ChannelInfo::new(state.next_channel(), name.clone(), self.clock.now(), by.clone());
        let info = info.with_topic(topic);
        state.enter_channel(&info, std::slice::from_ref(by));
        Ok(Some(Created::New(info)))
    }

    async fn mark_read(&self, user: &UserId, channel: ChannelId, seq: Seq) -> Result<Seq, StoreError> {
        let mut state = self.state();
        let head = state.log(channel).ok_or_else(no_such_channel)?.head().seq;
        if state.erased.has(user) {
            return Ok(0);
        }
        let marker = state.read.entry((user.clone(), channel)).or_default();
        *marker = (*marker).max(seq.min(head));
        Ok(*marker)
    }

    async fn mark_unread(&self, user: &UserId, channel: ChannelId, seq: Seq) -> Result<Seq, StoreError> {
        let mut state = self.state();
        state.log(channel).ok_or_else(no_such_channel)?;
        if state.erased.has(user) {
            return Ok(0);
        }
        let marker = state.read.entry((user.clone(), channel)).or_default();
        *marker = (*marker).min(seq.saturating_sub(1));
        Ok(*marker)
    }

    async fn unread(&self, user: &UserId, channels: &[ChannelId]) -> Result<Vec<Unread>, StoreError> {
        let state = self.state();
        let unread = |channel: &ChannelId| {
            let Some(log) = state.log(*channel) else { return Unread::default() };
            let read = state.read.get(&(user.clone(), *channel)).copied().unwrap_or_default();
            let since = state.members.hidden_until(user, log.info());
            log.unread(user, read, since)
        };
        Ok(channels.iter().map(unread).collect())
    }

    async fn put_user(&self, user: &User) -> Result<(), StoreError> {
        let mut state = self.state();
        if !state.erased.has(&user.id) {
            let kept = state.users.get(&user.id).and_then(|known| known.avatar().cloned());
            let user = user.clone();
            let avatar = user.avatar().cloned().or(kept);
            state.users.insert(user.id.clone(), user.with_avatar(avatar));
        }
        Ok(())
    }

    async fn put_profile(&self, user: &User) -> Result<(), StoreError> {
        let mut state = self.state();
        if !state.erased.has(&user.id) {
            state.users.insert(user.id.clone(), user.clone());
        }
        Ok(())
    }

    async fn users(&self, ids: &[UserId]) -> Result<HashMap<UserId, User>, StoreError> {
        let state = self.state();
        Ok(ids
            .iter()
            .filter_map(|id| state.users.get(id))
            .map(|user| (user.id.clone(), user.clone()))
            .collect())
    }

    async fn put_revocation(&self, key: u64, what: &str) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.revocations.iter().all(|(known, ..)| *known != key) {
            state.revocations.push_back((key, what.to_owned(), Instant::now()));
        }
        if state.revocations.len() > REVOCATIONS {
            state.revocations.pop_front();
        }
        Ok(())
    }

    async fn revocations(&self, since: Duration) -> Result<Vec<Revocation>, StoreError> {
        let now = Instant::now();
        let state = self.state();
        let revocation =
            |(key, what, at): &(u64, String, Instant)| Revocation::new(*key, what.clone(), now - *at);
        let found = state.revocations.iter().map(revocation);
        Ok(found.filter(|revocation| revocation.age < since).collect())
    }
}

#[async_trait]
impl AttachmentIndex for MemoryStore {
    async fn put_upload_within(&self, upload: &Upload, most: FileBytes) -> Result<bool, StoreError> {
        let mut state = self.state();
        if state.erased.has(&upload.owner) {
            return Ok(false);
        }
        let before = state.uploads.get(&upload.attachment.id).map_or(0, |before| before.attachment.size);
        let more = upload.attachment.size.saturating_sub(before);
        let FileBytes { owner, all } = state.file_bytes(&upload.owner);
        if more > 0 && (owner.saturating_add(more) > most.owner || all.saturating_add(more) > most.all) {
            return Ok(false);
        }
        state.uploads.insert(upload.attachment.id.clone(), upload.clone());
        Ok(true)
    }

    async fn file_bytes(&self, owner: &UserId) -> Result<FileBytes, StoreError> {
        Ok(self.state().file_bytes(owner))
    }

    async fn upload(&self, id: &AttachmentId) -> Result<Option<Upload>, StoreError> {
        Ok(self.state().uploads.get(id).cloned())
    }

    async fn reclaimable(&self, before: Timestamp, limit: usize) -> Result<Vec<AttachmentId>, StoreError> {
        let state = self.state();
        let unneeded = state.uploads.values().filter(|upload| match upload.state {
            UploadState::Discarded => true,
            UploadState::Receiving | UploadState::Ready => upload.at < before,
            UploadState::Attached(_) => false,
        });
        Ok(unneeded.map(|upload| upload.attachment.id.clone()).take(limit).collect())
    }

    async fn date_back(&self, now: Timestamp) -> Result<(), StoreError> {
        for upload in self.state().uploads.values_mut() {
            if matches!(upload.state, UploadState::Receiving | UploadState::Ready) {
                upload.at = upload.at.min(now);
            }
        }
        Ok(())
    }

    async fn discard_upload(&self, id: &AttachmentId) -> Result<bool, StoreError> {
        let mut state = self.state();
        let held =
            state.uploads.get(id).is_some_and(|upload| matches!(upload.state, UploadState::Attached(_)));
        if !held {
            state.set_upload_state(id, UploadState::Discarded);
        }
        Ok(!held)
    }

    async fn forget_upload(&self, id: &AttachmentId) -> Result<(), StoreError> {
        let mut state = self.state();
        if state.uploads.get(id).is_some_and(|upload| upload.state == UploadState::Discarded) {
            state.uploads.remove(id);
        }
        Ok(())
    }
}
