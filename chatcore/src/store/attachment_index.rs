//! The index of uploaded files.

use std::any::Any;
use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::model::attachment::Attachment;
use crate::model::id::{AttachmentId, ChannelId, Seq, UserId};
use crate::model::name::ChannelName;
use crate::model::time::Timestamp;

/// The state of an upload. Exhaustive on purpose: a store must keep every state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UploadState {
    /// Bytes may still be arriving. It can't be attached or read.
    Receiving,
    /// The upload is complete and not used yet.
    Ready,
    /// The file belongs to the message with this `seq`.
    Attached(Seq),
    /// The file's message was deleted or pruned. Its bytes can be removed.
    Discarded,
}

/// An uploaded file, from its first byte to its removal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Upload {
    /// The file as messages show it. Its id is also the blob's key.
    pub attachment: Attachment,
    /// The channel it was uploaded to.
    pub channel: ChannelId,
    /// That channel's name, for asking the policy.
    pub channel_name: ChannelName,
    /// The user who uploaded it. Only they may attach it.
    pub owner: UserId,
    /// When the upload began.
    pub at: Timestamp,
    /// The state.
    pub state: UploadState,
}

impl Upload {
    /// Returns an upload of `owner` to a channel that begins at `at`: [`UploadState::Receiving`].
    #[must_use]
    pub fn new(
        attachment: Attachment,
        channel: ChannelId,
        channel_name: ChannelName,
        owner: UserId,
        at: Timestamp,
    ) -> Self {
        Self { attachment, channel, channel_name, owner, at, state: UploadState::Receiving }
    }

    /// Sets the state.
    #[must_use]
    pub fn with_state(self, state: UploadState) -> Self {
        Self { state, ..self }
    }
}

/// Bytes of files, of one owner and of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileBytes {
    /// Bytes of one owner.
    pub owner: u64,
    /// Bytes of all owners.
    pub all: u64,
}

impl FileBytes {
    /// No bound.
    pub const MAX: Self = Self::new(u64::MAX, u64::MAX);

    /// Returns these bytes.
    #[must_use]
    pub const fn new(owner: u64, all: u64) -> Self {
        Self { owner, all }
    }
}

/// The right to sweep unused files. Dropping it gives it to the next process.
#[must_use = "the turn ends when this is dropped"]
pub struct SweepTurn {
    _holder: Option<Box<dyn Any + Send>>,
}

impl SweepTurn {
    /// Returns a turn that any number of callers can have at the same time: for a store of one process.
    pub fn free() -> Self {
        Self { _holder: None }
    }

    /// Returns a turn that ends when `holder` is dropped.
    pub fn held_by(holder: impl Any + Send) -> Self {
        Self { _holder: Some(Box::new(holder)) }
    }
}

impl fmt::Debug for SweepTurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SweepTurn").finish_non_exhaustive()
    }
}

/// The index of uploaded files. A [`BlobStore`](crate::store::blob::BlobStore) has their bytes.
///
/// An upload is entered before its first byte is stored, and forgotten after its last byte is gone. So after a
/// crash, [`reclaimable`](Self::reclaimable) finds everything that is left.
#[async_trait]
pub trait AttachmentIndex: Send + Sync + 'static {
    /// Stores an upload, replacing one with the same id, and returns true. If it takes more bytes than before, and
    /// its owner's or the total would exceed `most`, it changes nothing and returns false. A file counts with its
    /// [`Attachment::size`], in any state, until it is forgotten. Simultaneous calls on any handles never exceed
    /// `most`.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be written.
    async fn put_upload_within(&self, upload: &Upload, most: FileBytes) -> Result<bool, StoreError>;

    /// Stores an upload as [`put_upload_within`](Self::put_upload_within) does, without a bound.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be written.
    async fn put_upload(&self, upload: &Upload) -> Result<(), StoreError> {
        self.put_upload_within(upload, FileBytes::MAX).await.map(drop)
    }

    /// Returns the bytes of the files that `owner` has uploaded, and of all files.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    async fn file_bytes(&self, owner: &UserId) -> Result<FileBytes, StoreError>;

    /// Returns an upload in any state.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    async fn upload(&self, id: &AttachmentId) -> Result<Option<Upload>, StoreError>;

    /// Returns up to `limit` uploads that can be removed: [`UploadState::Discarded`] ones, and `Receiving` or
    /// `Ready` ones that began before `before`.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    async fn reclaimable(&self, before: Timestamp, limit: usize) -> Result<Vec<AttachmentId>, StoreError>;

    /// Sets the time of each `Receiving` or `Ready` upload that began after `now` to `now`. The clock was wrong
    /// when it began, and its bytes would be kept until that time.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be written.
    async fn date_back(&self, now: Timestamp) -> Result<(), StoreError>;

    /// Claims an upload for removal: sets it to [`UploadState::Discarded`] unless a message has it. Returns
    /// whether its bytes may be removed now. An upload that does not exist may be.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be written.
    async fn discard_upload(&self, id: &AttachmentId) -> Result<bool, StoreError>;

    /// Removes the entry of a [`UploadState::Discarded`] upload. Any other stays.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be written.
    async fn forget_upload(&self, id: &AttachmentId) -> Result<(), StoreError>;

    /// Takes the turn to sweep: to call [`reclaimable`](Self::reclaimable), and to remove what it returns. Returns
    /// `None` while another process has the turn. A turn ends when it is dropped, when its process ends, or after
    /// ten minutes.
    ///
    /// A store that is not [`shared`](super::EventStore::shared) needs no turns: this implementation always
    /// returns one.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    async fn sweep_turn(&self) -> Result<Option<SweepTurn>, StoreError> {
        Ok(Some(SweepTurn::free()))
    }
}
