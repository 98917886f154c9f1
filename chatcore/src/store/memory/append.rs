//! Appends: from the checks to the event in the log.

use std::hint::black_box;
use std::iter;

use super::log::Hashed;
use super::{State, index};
use crate::model::append::{Append, AppendBody};
use crate::model::attachment::Attachment;
use crate::model::id::AttachmentId;
use crate::model::time::{Clock, Timestamp};
use crate::store::{AppendError, Appended, UploadState};

impl State {
    /// Appends a batch. `ages` is the clock for the age of nonces.
    pub(super) fn append_all(
        &mut self,
        batch: &mut dyn Iterator<Item = Append>,
        now: Timestamp,
        ages: &Clock,
        answers: &mut Vec<Result<Appended, AppendError>>,
    ) {
        let mut hashed = batch.map(|append| {
            let hashed = self.hashes.of_append(&append);
            (append, hashed)
        });
        let Some((first, hash)) = hashed.next() else { return };
        // The logs of many channels are in no cache. Reading what all appends need here lets the cache misses overlap.
        let others: Vec<_> = hashed.collect();
        let read = others.iter().fold(0, |read, (append, hashed)| {
            read ^ self.log(append.channel).map_or(0, |log| log.fetch(hashed.as_ref()))
        });
        black_box(read);
        for (append, hashed) in iter::once((first, hash)).chain(others) {
            answers.push(self.append(append, hashed, now, ages));
        }
    }

    fn append(
        &mut self,
        append: Append,
        hashed: Option<Hashed>,
        now: Timestamp,
        ages: &Clock,
    ) -> Result<Appended, AppendError> {
        let channel = append.channel;
        let log = self.log(channel).ok_or(AppendError::NoSuchChannel)?;
        if let Some(first) = hashed.as_ref().and_then(|hashed| log.first_of(&append, hashed)) {
            return Ok(first);
        }
        self.members.judge(&append, log.info(), self.erased.of(&append))?;
        log.check(&append)?;
        let files: Vec<AttachmentId> = match &append.body {
            AppendBody::Message { attachments, .. } => self.free(attachments, &append)?,
            _ => Vec::new(),
        };
        let retention = self.retention;
        let change = match &append.body {
            AppendBody::Member { op, user, role, .. } => Some((*op, user.clone(), *role)),
            _ => None,
        };
        let log = index(channel).and_then(|at| self.logs.get_mut(at)).ok_or(AppendError::NoSuchChannel)?;
        let (appended, mut dropped) = log.append(append, hashed, &self.hashes, now);
        dropped.extend(log.trim_to(retention, ages));
        self.readers.note(channel);
        for id in files {
            self.set_upload_state(&id, UploadState::Attached(appended.seq));
        }
        self.discard(&dropped);
        if let Some((op, user, role)) = change {
            self.change_member(channel, op, user, role, appended.seq);
        }
        Ok(appended)
    }

    /// Returns the ids of a publish's attachments, if the author can attach all of them.
    fn free(&self, attachments: &[Attachment], append: &Append) -> Result<Vec<AttachmentId>, AppendError> {
        let mut free: Vec<AttachmentId> = Vec::with_capacity(attachments.len());
        for Attachment { id, .. } in attachments {
            let upload = self.uploads.get(id).ok_or(AppendError::NoSuchAttachment)?;
            let ours = upload.channel == append.channel && upload.owner == append.author.id;
            if !ours || upload.state != UploadState::Ready || free.contains(id) {
                return Err(AppendError::NoSuchAttachment);
            }
            free.push(id.clone());
        }
        Ok(free)
    }
}
