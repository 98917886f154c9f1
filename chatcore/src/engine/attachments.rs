//! Attachments: from the first byte of an upload to the removal of its last.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::stream::{self, StreamExt};
use tokio::time::Instant;

use crate::engine::Engine;
use crate::engine::connections::Connections;
use crate::limits::share::Share;
use crate::model::attachment::{Attachment, FileKind};
use crate::model::error::{Error, ErrorCode};
use crate::model::id::{AttachmentId, ChannelId, UserId};
use crate::model::membership::ChannelKind;
use crate::model::moment::Moment;
use crate::model::name::ChannelName;
use crate::model::policy::{Action, Denied, Identity, Policy};
use crate::model::visible;
use crate::runtime::failures::FailureLog;
use crate::store::blob::{BlobError, BlobStore, ByteStream};
use crate::store::pointer::Shared;
use crate::store::{ChannelInfo, FileBytes, Store, Upload, UploadState};

/// The most bytes of a file's beginning that are kept for finding its type.
pub(crate) const HEAD_BYTES: usize = 256 << 10;

impl Engine {
    pub(crate) async fn upload(
        &self,
        identity: &Identity,
        channel: &str,
        file_name: &str,
        bytes: ByteStream,
        inspect: impl FnOnce(&[u8]) -> FileKind + Send,
    ) -> Result<Attachment, Error> {
        if self.is_draining() {
            return Err(Error::draining());
        }
        let asked = ChannelName::existing(channel).map_err(|_| Error::no_such_channel())?;
        let found = self.store.channel(&asked).await?;
        let name = found.as_ref().map_or(asked, |channel| channel.name.clone());
        self.policy.authorize(identity, Action::Write(&name))?;
        let blobs = self.blobs()?;
        let file_name = self.file_name(file_name)?;
        let channel = found.ok_or_else(Error::no_such_channel)?;
        self.first_readable(identity, &channel).await?;
        if channel.archived {
            return Err(Error::archived());
        }
        let _place = self.uploads.begin(&identity.user.id, &self.limits)?;
        let room = self.room(&identity.user.id).await?;
        let kind = FileKind::new("application/octet-stream");
        let attachment = Attachment::new(AttachmentId::random(), file_name, 0, kind);
        let owner = identity.user.id.clone();
        let mut upload = Upload::new(attachment, channel.id, name, owner, self.clock.now());
        let refused = Arc::new(OnceLock::new());
        let share = self.shares.of(&identity.user.id, Moment::now());
        let bytes = counted(bytes, share, Arc::clone(&refused));
        if !self.store.put_upload_within(&upload, FileBytes::MAX).await? {
            return Err(Error::erased());
        }
        let received = tokio::select! {
            biased;
            received = self.receive(identity, &channel, &**blobs, &mut upload, bytes, room, inspect) => received,
            () = self.uploads_end() => Err(Error::draining()),
            () = self.connections.signed_out(identity) => Err(Error::signed_out()),
        };
        // While the files are held, the sweeper removes it later.
        if received.is_err()
            && let Some(_removing) = self.uploads.removing()
            && let Err(error) = self.remove(&**blobs, &upload.attachment.id).await
        {
            // The sweeper removes it later.
            self.monitor.failures.failed("the rest of a refused upload could not be removed", "", &error);
        }
        if let Err(error) = received {
            return Err(Arc::into_inner(refused).and_then(OnceLock::into_inner).unwrap_or(error));
        }
        let mut attachment = upload.attachment;
        self.monitor.counters.uploads.add(1);
        self.monitor.counters.upload_bytes.add(attachment.size);
        self.encoder.locate(&mut attachment);
        Ok(attachment)
    }

    /// Waits until a drain ends uploads in progress.
    async fn uploads_end(&self) {
        self.drain_begins().await;
        tokio::time::sleep(self.limits.drain_uploads).await;
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one upload")]
    async fn receive(
        &self,
        identity: &Identity,
        channel: &ChannelInfo,
        blobs: &dyn BlobStore,
        upload: &mut Upload,
        bytes: ByteStream,
        room: u64,
        inspect: impl FnOnce(&[u8]) -> FileKind + Send,
    ) -> Result<(), Error> {
        let head = Arc::new(Mutex::new(BytesMut::new()));
        let bytes = keep_head(bytes, Arc::clone(&head));
        let id = upload.attachment.id.clone();
        let stored = blobs.put(&id, bytes, self.limits.attachment_bytes.min(room)).await;
        upload.attachment.size = match stored {
            Err(BlobError::TooLarge { limit }) if limit < self.limits.attachment_bytes => {
                return Err(self.storage_full(&upload.owner).await);
            }
            stored => stored?,
        };
        // The client may have taken a long time.
        self.policy.authorize(identity, Action::Write(&upload.channel_name))?;
        self.first_readable(identity, channel).await?;
        let kind = inspect(&head.lock().expect("invariant: nothing panics under this lock"));
        upload.attachment.content_type = kind.content_type;
        upload.attachment.width = kind.width;
        upload.attachment.height = kind.height;
        upload.state = UploadState::Ready;
        if !self.store.put_upload_within(upload, self.most_file_bytes()).await? {
            if self.store.erased_user(&upload.owner).await?.is_some() {
                return Err(Error::erased());
            }
            return Err(self.storage_full(&upload.owner).await);
        }
        Ok(())
    }

    fn most_file_bytes(&self) -> FileBytes {
        FileBytes { owner: self.limits.file_bytes_per_user, all: self.limits.file_bytes_total }
    }

    /// Returns how many more bytes of files can be stored.
    ///
    /// # Errors
    /// `storage_full` if there are none.
    async fn room(&self, owner: &UserId) -> Result<u64, Error> {
        let (taken, most) = (self.store.file_bytes(owner).await?, self.most_file_bytes());
        let room = most.owner.saturating_sub(taken.owner).min(most.all.saturating_sub(taken.all));
        if room == 0 { Err(self.storage_full(owner).await) } else { Ok(room) }
    }

    /// Returns an error that names the reached limit.
    async fn storage_full(&self, owner: &UserId) -> Error {
        let most = self.most_file_bytes();
        let taken = self.store.file_bytes(owner).await.unwrap_or_default();
        let own = most.owner.saturating_sub(taken.owner) <= most.all.saturating_sub(taken.all);
        let why = if own {
            let most = in_units(most.owner);
            format!("your files may take {most}: delete messages with files that nobody needs")
        } else {
            let most = in_units(most.all);
            self.monitor.failures.limited("the files take all of their room", format_args!("{most}"));
            format!("all files may take {most}: ask those who run this service for more room")
        };
        Error::new(ErrorCode::StorageFull, why)
    }

    fn file_name(&self, name: &str) -> Result<String, Error> {
        let (name, most) = (name.trim(), self.limits.file_name_chars);
        let bad = |why: String| Err(Error::new(ErrorCode::BadName, why));
        // Folding can shorten a text only so much. This bounds the work on a hostile text.
        if name.len() > 64 * most {
            return bad(format!("a file name must have 1 to {most} characters"));
        }
        if name.chars().any(|c| c.is_control() || matches!(c, '/' | '\\')) {
            return bad("a file name can't contain '/', '\\' or control characters".to_owned());
        }
        // Shown as `_`, so that nobody mistakes the name for what it would look like.
        let turns = |c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        let name = visible::one_line(&name.replace(turns, "_"));
        if name.is_empty() || name.chars().count() > most {
            return bad(format!("a file name must have 1 to {most} characters and visible text"));
        }
        if matches!(name.as_str(), "." | "..") {
            return bad(format!("a file can't be named {name:?}"));
        }
        Ok(name)
    }

    pub(crate) fn blobs(&self) -> Result<&Shared<dyn BlobStore>, Error> {
        self.blobs
            .as_ref()
            .ok_or_else(|| Error::new(ErrorCode::NotAllowed, "this server does not accept attachments"))
    }

    pub(crate) async fn attachment(&self, identity: &Identity, id: &str) -> Result<Attachment, Error> {
        let mut attachment = self.readable_file(identity, id).await?.upload.attachment;
        self.encoder.locate(&mut attachment);
        Ok(attachment)
    }

    /// Returns a file that a user can read: their own until it is sent, and then whoever can read its message.
    pub(crate) async fn readable_file(&self, identity: &Identity, id: &str) -> Result<ReadableFile, Error> {
        let id = AttachmentId::new(id).map_err(|_| Error::no_such_attachment())?;
        let upload = self.store.upload(&id).await?.ok_or_else(Error::no_such_attachment)?;
        let readable = match upload.state {
            UploadState::Ready => upload.owner == identity.user.id,
            UploadState::Attached(_) => true,
            UploadState::Receiving | UploadState::Discarded => false,
        };
        if !readable {
            return Err(Error::no_such_attachment());
        }
        self.policy.authorize(identity, Action::Read(&upload.channel_name))?;
        let listed = self.store.listed(&identity.user.id, upload.channel).await?;
        let info = listed.ok_or_else(Error::no_such_attachment)?.info;
        let since = self.first_readable(identity, &info).await;
        let since = since.map_err(|error| match error.code() {
            ErrorCode::NoSuchChannel => Error::no_such_attachment(),
            _ => error,
        })?;
        if matches!(upload.state, UploadState::Attached(seq) if seq < since) {
            return Err(Error::no_such_attachment());
        }
        Ok(ReadableFile { upload, is_open: info.kind == ChannelKind::Open })
    }

    pub(crate) async fn attachment_bytes(
        &self,
        identity: &Identity,
        id: &AttachmentId,
        range: Range<u64>,
    ) -> Result<ByteStream, Error> {
        let file = self.readable_file(identity, id.as_str()).await?;
        let range = range.start..range.end.min(file.upload.attachment.size);
        self.blob_bytes(identity, &file, id, range).await
    }

    /// Returns a stream of bytes that ends if `identity` loses the right to read the channel.
    pub(crate) async fn blob_bytes(
        &self,
        identity: &Identity,
        file: &ReadableFile,
        id: &AttachmentId,
        range: Range<u64>,
    ) -> Result<ByteStream, Error> {
        let length = range.end.saturating_sub(range.start);
        let failures = self.monitor.failures.clone();
        match self.blobs()?.get(id, range).await {
            Ok(bytes) => {
                let bytes = report_failures(bytes, length, failures);
                Ok(while_readable(bytes, self.gate(identity, file)))
            }
            Err(error) => {
                if let BlobError::NotFound = error {
                    failures.failed(
                        "an attachment's file is missing",
                        format_args!("attachment {id}"),
                        &error,
                    );
                }
                Err(error.into())
            }
        }
    }
}

/// Formats a number of bytes in the largest unit that divides it.
fn in_units(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let unit = units.into_iter().find(|(bits, _)| bytes > 0 && bytes.is_multiple_of(1 << bits));
    unit.map_or_else(|| format!("{bytes} bytes"), |(bits, unit)| format!("{} {unit}", bytes >> bits))
}

/// Counts a stream's bytes against its user's share, and ends the stream if the share is used up. The reason is
/// left in `refused`.
fn counted(bytes: ByteStream, share: Arc<Share>, refused: Arc<OnceLock<Error>>) -> ByteStream {
    let count = move |chunk: io::Result<Bytes>| {
        let chunk = chunk?;
        match share.take_uploaded(Moment::now(), chunk.len() as u64) {
            Ok(()) => Ok(chunk),
            Err(error) => {
                let _ = refused.set(error);
                Err(io::ErrorKind::QuotaExceeded.into())
            }
        }
    };
    bytes.map(count).boxed()
}

/// A file that a user can read.
pub(crate) struct ReadableFile {
    pub(crate) upload: Upload,
    /// Whether its channel is an open one.
    is_open: bool,
}

/// The time between two questions to the store whether the reader of a file is still a member of its channel.
const MEMBER_CHECK: Duration = Duration::from_secs(1);

/// The right of a user to read a channel, while they receive a file.
struct Gate {
    policy: Arc<dyn Policy>,
    connections: Arc<Connections>,
    identity: Identity,
    name: ChannelName,
    /// The channel and where to ask, if it is not an open one.
    members: Option<(Shared<dyn Store>, ChannelId)>,
    asked: Instant,
}

impl Gate {
    async fn is_open(&mut self) -> bool {
        if let Some((store, channel)) = self.members.as_ref().filter(|_| self.asked.elapsed() >= MEMBER_CHECK)
        {
            // Without an answer, nobody knows.
            if !matches!(store.member(*channel, &self.identity.user.id).await, Ok(Some(_))) {
                return false;
            }
            self.asked = Instant::now();
        }
        !self.connections.is_signed_out(&self.identity)
            && self.policy.authorize(&self.identity, Action::Read(&self.name)).is_ok()
    }
}

impl Engine {
    fn gate(&self, identity: &Identity, file: &ReadableFile) -> Gate {
        let upload = &file.upload;
        Gate {
            policy: Arc::clone(&self.policy),
            connections: Arc::clone(&self.connections),
            identity: identity.clone(),
            name: upload.channel_name.clone(),
            members: (!file.is_open).then(|| (self.store.clone(), upload.channel)),
            asked: Instant::now(),
        }
    }
}

/// Ends a stream with an error when its reader loses the right to read the channel, or is signed out. The policy is asked
/// for each piece, and the store each second.
fn while_readable(bytes: ByteStream, gate: Gate) -> ByteStream {
    let next = |(mut bytes, mut gate): (ByteStream, Gate)| async move {
        let piece = bytes.next().await?;
        let piece = match gate.is_open().await {
            true => piece,
            false => Err(io::Error::new(io::ErrorKind::PermissionDenied, Denied)),
        };
        Some((piece, (bytes, gate)))
    };
    stream::unfold((bytes, gate), next).boxed()
}

/// Reports a file that can't be read or that ends before `left` bytes. The receiver of the stream can only stop.
fn report_failures(bytes: ByteStream, left: u64, failures: FailureLog) -> ByteStream {
    let next = move |state: Option<(ByteStream, u64)>| {
        let failures = failures.clone();
        async move {
            let (mut bytes, left) = state?;
            let error = match bytes.next().await {
                Some(Ok(chunk)) => {
                    let left = left.saturating_sub(chunk.len() as u64);
                    return Some((Ok(chunk), Some((bytes, left))));
                }
                Some(Err(error)) => error,
                None if left > 0 => io::ErrorKind::UnexpectedEof.into(),
                None => return None,
            };
            // It was removed meanwhile: its message was deleted.
            if error.kind() != io::ErrorKind::NotFound {
                failures.failed("an attachment could not be read to its end", "", &error);
            }
            Some((Err(error), None))
        }
    };
    stream::unfold(Some((bytes, left)), next).boxed()
}

/// Keeps a copy of a stream's beginning.
fn keep_head(bytes: ByteStream, head: Arc<Mutex<BytesMut>>) -> ByteStream {
    let keep = move |chunk: io::Result<Bytes>| {
        if let Ok(chunk) = &chunk {
            let mut head = head.lock().expect("invariant: nothing panics under this lock");
            let room = HEAD_BYTES.saturating_sub(head.len()).min(chunk.len());
            head.extend_from_slice(&chunk[..room]);
        }
        chunk
    };
    bytes.map(keep).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_told_in_the_largest_whole_unit() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1_000, "1000 bytes"),
            (1_025, "1025 bytes"),
            (1_024, "1 KiB"),
            (1 << 20, "1 MiB"),
            (10 << 30, "10 GiB"),
        ] {
            assert_eq!(in_units(bytes), text);
        }
    }
}
