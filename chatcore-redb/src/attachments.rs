//! The attachment index: all uploads, and those that can be removed.

use std::ops::Bound;

use async_trait::async_trait;
use chatcore::store::{AttachmentIndex, FileBytes, StoreError, Upload, UploadState};
use chatcore::{AttachmentId, Timestamp, UserId};
use redb::{ReadTransaction, ReadableTable};

use crate::error::TransactionError;
use crate::log::Changes;
use crate::schema::{ALL_OWNERS, FILE_BYTES, RECLAIMABLE, UPLOADS, decode, encode};
use crate::store::RedbStore;
use crate::writer::SyncMode;

impl Changes<'_> {
    /// Returns an upload as this transaction sees it.
    pub(crate) fn upload(&self, id: &AttachmentId) -> Result<Option<Upload>, TransactionError> {
        self.tables.uploads.read()?.get(id.as_str())?.map(|row| decode(row.value())).transpose()
    }

    /// Stores an upload, and updates the index of removable uploads.
    pub(crate) fn put_upload(&mut self, upload: &Upload) -> Result<(), TransactionError> {
        let id = upload.attachment.id.as_str();
        self.drop_from_index(&upload.attachment.id)?;
        self.count_file(upload)?;
        if let Some(from) = reclaimable_from(upload) {
            self.tables.reclaimable.write()?.insert((from, id), ())?;
        }
        self.tables.uploads.write()?.insert(id, encode(upload)?.as_slice())?;
        Ok(())
    }

    /// Stores an upload and returns `true`, unless it grows and the total would exceed `most`.
    fn put_upload_within(&mut self, upload: &Upload, most: FileBytes) -> Result<bool, TransactionError> {
        if self.is_erased(&upload.owner)? {
            return Ok(false);
        }
        let before = self.upload(&upload.attachment.id)?.map_or(0, |before| before.attachment.size);
        let more = upload.attachment.size.saturating_sub(before);
        let FileBytes { owner, all, .. } = file_bytes(self.tables.file_bytes.read()?, &upload.owner)?;
        if more > 0 && (owner.saturating_add(more) > most.owner || all.saturating_add(more) > most.all) {
            return Ok(false);
        }
        self.put_upload(upload).map(|()| true)
    }

    /// Replaces the counted bytes of an upload with its new size.
    fn count_file(&mut self, upload: &Upload) -> Result<(), TransactionError> {
        if let Some(before) = self.upload(&upload.attachment.id)? {
            if (before.attachment.size, &before.owner) == (upload.attachment.size, &upload.owner) {
                return Ok(());
            }
            self.count(&before.owner, |bytes| bytes.saturating_sub(before.attachment.size))?;
        }
        self.count(&upload.owner, |bytes| bytes.saturating_add(upload.attachment.size))
    }

    fn count(&mut self, owner: &UserId, change: impl Fn(u64) -> u64) -> Result<(), TransactionError> {
        for owner in [owner.as_str(), ALL_OWNERS] {
            let bytes = change(self.tables.file_bytes.read()?.get(owner)?.map_or(0, |row| row.value()));
            match bytes {
                0 => drop(self.tables.file_bytes.write()?.remove(owner)?),
                _ => drop(self.tables.file_bytes.write()?.insert(owner, bytes)?),
            }
        }
        Ok(())
    }

    fn drop_from_index(&mut self, id: &AttachmentId) -> Result<(), TransactionError> {
        if let Some(from) = self.upload(id)?.as_ref().and_then(reclaimable_from) {
            self.tables.reclaimable.write()?.remove((from, id.as_str()))?;
        }
        Ok(())
    }

    /// Sets the time of removable uploads that are dated after `now` to `now`.
    fn date_back(&mut self, now: Timestamp) -> Result<(), TransactionError> {
        let mut ahead = Vec::new();
        for row in self.tables.reclaimable.read()?.range((now.as_millis() + 1, "")..)? {
            ahead.push(attachment_id(row?.0.value().1)?);
        }
        for id in ahead {
            if let Some(mut upload) = self.upload(&id)? {
                upload.at = now;
                self.put_upload(&upload)?;
            }
        }
        Ok(())
    }

    fn discard(&mut self, id: &AttachmentId) -> Result<bool, TransactionError> {
        match self.upload(id)? {
            Some(Upload { state: UploadState::Attached(_), .. }) => Ok(false),
            Some(_) => self.set_upload_state(id, UploadState::Discarded).map(|()| true),
            None => Ok(true),
        }
    }

    fn forget(&mut self, id: &AttachmentId) -> Result<(), TransactionError> {
        if let Some(upload) = self.upload(id)?.filter(|upload| upload.state == UploadState::Discarded) {
            self.drop_from_index(id)?;
            self.count(&upload.owner, |bytes| bytes.saturating_sub(upload.attachment.size))?;
            self.tables.uploads.write()?.remove(id.as_str())?;
        }
        Ok(())
    }
}

/// Returns the time from which an upload can be removed: always for a discarded one, never for an attached one.
fn reclaimable_from(upload: &Upload) -> Option<i64> {
    match upload.state {
        UploadState::Attached(_) => None,
        UploadState::Discarded => Some(i64::MIN),
        UploadState::Receiving | UploadState::Ready => Some(upload.at.as_millis()),
    }
}

#[async_trait]
impl AttachmentIndex for RedbStore {
    async fn put_upload_within(&self, upload: &Upload, most: FileBytes) -> Result<bool, StoreError> {
        let upload = upload.clone();
        self.write(SyncMode::Disk, move |changes| changes.put_upload_within(&upload, most)).await
    }

    async fn file_bytes(&self, owner: &UserId) -> Result<FileBytes, StoreError> {
        let owner = owner.clone();
        let read = move |txn: &ReadTransaction| file_bytes(&txn.open_table(FILE_BYTES)?, &owner);
        self.read("the bytes of files can't be read", read).await
    }

    async fn upload(&self, id: &AttachmentId) -> Result<Option<Upload>, StoreError> {
        let id = id.clone();
        self.read("an upload can't be read", move |txn| {
            txn.open_table(UPLOADS)?.get(id.as_str())?.map(|row| decode(row.value())).transpose()
        })
        .await
    }

    async fn reclaimable(&self, before: Timestamp, limit: usize) -> Result<Vec<AttachmentId>, StoreError> {
        self.read("the uploads can't be read", move |txn| reclaimable(txn, before, limit)).await
    }

    async fn date_back(&self, now: Timestamp) -> Result<(), StoreError> {
        // A read first, since there is hardly ever anything to change.
        let is_ahead = self.read("the uploads can't be read", move |txn| {
            let table = txn.open_table(RECLAIMABLE)?;
            Ok(table.range((now.as_millis() + 1, "")..)?.next().transpose()?.is_some())
        });
        if !is_ahead.await? {
            return Ok(());
        }
        self.write(SyncMode::Disk, move |changes| changes.date_back(now)).await
    }

    async fn discard_upload(&self, id: &AttachmentId) -> Result<bool, StoreError> {
        let id = id.clone();
        self.write(SyncMode::Disk, move |changes| changes.discard(&id)).await
    }

    async fn forget_upload(&self, id: &AttachmentId) -> Result<(), StoreError> {
        let id = id.clone();
        self.write(SyncMode::Disk, move |changes| changes.forget(&id)).await
    }
}

/// Reads the uploads after `after` that are complete and not discarded.
pub(crate) fn wanted(
    txn: &ReadTransaction,
    after: Option<&AttachmentId>,
    limit: usize,
) -> Result<Vec<Upload>, TransactionError> {
    let start = after.map_or(Bound::Unbounded, |id| Bound::Excluded(id.as_str()));
    let mut found = Vec::new();
    for row in txn.open_table(UPLOADS)?.range::<&str>((start, Bound::Unbounded))? {
        if found.len() == limit {
            break;
        }
        let upload: Upload = decode(row?.1.value())?;
        if matches!(upload.state, UploadState::Ready | UploadState::Attached(_)) {
            found.push(upload);
        }
    }
    Ok(found)
}

fn reclaimable(
    txn: &ReadTransaction,
    before: Timestamp,
    limit: usize,
) -> Result<Vec<AttachmentId>, TransactionError> {
    let mut found = Vec::new();
    for row in txn.open_table(RECLAIMABLE)?.range(..(before.as_millis(), ""))?.take(limit) {
        found.push(attachment_id(row?.0.value().1)?);
    }
    Ok(found)
}

fn file_bytes(
    table: &impl ReadableTable<&'static str, u64>,
    owner: &UserId,
) -> Result<FileBytes, TransactionError> {
    let bytes = |owner: &str| Ok::<_, TransactionError>(table.get(owner)?.map_or(0, |row| row.value()));
    Ok(FileBytes::new(bytes(owner.as_str())?, bytes(ALL_OWNERS)?))
}

fn attachment_id(id: &str) -> Result<AttachmentId, TransactionError> {
    AttachmentId::new(id).map_err(|_| TransactionError::Broken("invalid upload id in the file"))
}
