//! Previews of pictures: made on the first request, stored as a blob next to the file's, and removed with the file.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::TryStreamExt;
use futures::stream::{self, StreamExt};
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

use crate::engine::Engine;
use crate::engine::attachments::HEAD_BYTES;
use crate::limits::Limits;
use crate::limits::turns::Turns;
use crate::model::attachment::Attachment;
use crate::model::error::Error;
use crate::model::id::AttachmentId;
use crate::model::policy::Identity;
use crate::store::UploadState;
use crate::store::blob::{BlobError, BlobStore, ByteStream};

/// The possible lengths of a preview's longest side, in pixels.
pub const PREVIEW_SIDES: [u32; 2] = [360, 720];

/// The first bytes of a blob of previews.
const MAGIC: &[u8; 4] = b"CPV1";

/// The bytes before the first preview in the blob: the magic, and for each preview its type, start and length.
const HEADER: usize = 4 + PREVIEW_SIDES.len() * 12;

/// The most bytes of the previews of one picture. Two previews of 720 and 360 pixels always take less.
const MOST: u64 = 4 << 20;

/// The encoding of a preview.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PreviewType {
    /// `image/jpeg`.
    Jpeg,
    /// `image/png`.
    Png,
}

/// A preview of a picture, as it was made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Preview {
    /// The encoding.
    pub encoding: PreviewType,
    /// Its bytes.
    pub bytes: Bytes,
}

impl Preview {
    /// Returns a preview with these bytes.
    #[must_use]
    pub fn new(encoding: PreviewType, bytes: impl Into<Bytes>) -> Self {
        Self { encoding, bytes: bytes.into() }
    }
}

/// Makes previews of pictures. The engine itself decodes no picture.
pub trait PreviewMaker: Send + Sync + 'static {
    /// Returns the most bytes of memory that [`make`](Self::make) takes, including the file's own, or `None` if it
    /// makes no preview. `head` is the file's first 256 KiB, or the whole file if it is shorter.
    fn memory(&self, picture: &Attachment, head: &[u8]) -> Option<u64>;

    /// Makes the previews of a picture with the longest sides [`PREVIEW_SIDES`], in that order, or smaller ones of
    /// a smaller picture. Returns `None` if the file is broken. It is called on a thread for blocking work.
    fn make(&self, picture: &Attachment, file: Vec<u8>) -> Option<[Preview; PREVIEW_SIDES.len()]>;
}

/// A preview that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PreviewFile {
    /// The picture.
    pub picture: AttachmentId,
    /// The encoding.
    pub encoding: PreviewType,
    /// Its size in bytes.
    pub size: u64,
    /// The offset in the blob of the picture's previews.
    pub(crate) start: u64,
}

/// The previews in progress.
#[derive(Debug)]
pub(crate) struct Previews {
    turns: Arc<Turns>,
    /// KiB of memory.
    memory: Arc<Semaphore>,
    /// The pictures whose previews are being made or removed.
    claimed: Mutex<HashSet<AttachmentId>>,
    released: Notify,
}

/// The right to write or remove the previews of one picture. Dropping it gives it to the next holder.
#[derive(Debug)]
pub(crate) struct Claim {
    previews: Arc<Previews>,
    picture: AttachmentId,
}

impl Previews {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            turns: Turns::new(limits.previews, limits.previews_per_user),
            memory: Arc::new(Semaphore::new(kib(limits.preview_memory) as usize)),
            claimed: Mutex::default(),
            released: Notify::new(),
        })
    }

    /// Claims a picture's previews, unless they are already claimed.
    pub(crate) fn try_claim(self: &Arc<Self>, picture: &AttachmentId) -> Option<Claim> {
        let is_free = self.claimed().insert(picture.clone());
        is_free.then(|| Claim { previews: Arc::clone(self), picture: picture.clone() })
    }

    async fn claim(self: &Arc<Self>, picture: &AttachmentId) -> Claim {
        loop {
            // Created before the check, so that it notices a claim that ends in between.
            let released = self.released.notified();
            if let Some(claim) = self.try_claim(picture) {
                return claim;
            }
            released.await;
        }
    }

    // Held for a look into a set of at most `Limits::previews` entries, and those of a sweep.
    fn claimed(&self) -> MutexGuard<'_, HashSet<AttachmentId>> {
        self.claimed.lock().expect("invariant: nothing panics under this lock")
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.previews.claimed().remove(&self.picture);
        self.previews.released.notify_waiters();
    }
}

impl Engine {
    pub(crate) async fn preview(
        self: &Arc<Self>,
        identity: &Identity,
        id: &str,
        side: u32,
        maker: Arc<dyn PreviewMaker>,
    ) -> Result<Option<PreviewFile>, Error> {
        let picture = self.readable_file(identity, id).await?.upload.attachment;
        let Some(at) = PREVIEW_SIDES.iter().position(|&known| known == side) else { return Ok(None) };
        let Some(blob) = blob_of(&picture.id) else { return Ok(None) };
        let made = match self.stored(&picture.id, &blob).await? {
            Some(made) => made,
            None if self.is_draining() => return Err(Error::draining()),
            None => {
                let make = self.make(identity, picture, blob, maker);
                match timeout(self.limits.preview_wait, make).await {
                    Ok(made) => made?,
                    Err(_) => return Err(Error::overloaded()),
                }
            }
        };
        Ok(made[at].clone())
    }

    pub(crate) async fn preview_bytes(
        &self,
        identity: &Identity,
        preview: &PreviewFile,
        range: Range<u64>,
    ) -> Result<ByteStream, Error> {
        let file = self.readable_file(identity, preview.picture.as_str()).await?;
        let blob = blob_of(&preview.picture).ok_or_else(Error::no_such_attachment)?;
        let (from, to) = (range.start.min(preview.size), range.end.min(preview.size));
        let part = preview.start + from..preview.start + to.max(from);
        self.blob_bytes(identity, &file, &blob, part).await
    }

    /// Removes a picture's previews.
    pub(crate) async fn remove_previews(
        &self,
        blobs: &dyn BlobStore,
        picture: &AttachmentId,
    ) -> Result<(), BlobError> {
        match blob_of(picture) {
            Some(blob) => blobs.delete(&blob).await,
            None => Ok(()),
        }
    }

    /// Returns the stored previews, if there are any.
    async fn stored(&self, picture: &AttachmentId, blob: &AttachmentId) -> Result<Option<Made>, Error> {
        match self.blobs()?.get(blob, 0..HEADER as u64).await {
            Ok(bytes) => Ok(read_header(picture, &collect(bytes, HEADER).await?)),
            Err(BlobError::NotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for a turn and makes the previews once. Work that has begun is finished and kept, even if the future
    /// is dropped.
    async fn make(
        self: &Arc<Self>,
        identity: &Identity,
        picture: Attachment,
        blob: AttachmentId,
        maker: Arc<dyn PreviewMaker>,
    ) -> Result<Made, Error> {
        let most = kib(self.limits.preview_memory);
        if self.limits.previews.min(self.limits.previews_per_user) == 0 || most == 0 {
            return Ok(Made::default());
        }
        let turn = self.previews.turns.turn(&identity.user.id).await;
        let claim = self.previews.claim(&picture.id).await;
        if let Some(made) = self.stored(&picture.id, &blob).await? {
            return Ok(made);
        }
        let head = self.file(&picture, HEAD_BYTES).await?;
        let needed = maker.memory(&picture, &head).map(kib);
        drop(head);
        let Some(needed) = needed.filter(|&needed| needed <= most) else { return Ok(Made::default()) };
        let memory = Arc::clone(&self.previews.memory).acquire_many_owned(needed).await;
        let memory = memory.expect("invariant: nobody closes it");
        let engine = Arc::clone(self);
        let task = tokio::spawn(async move {
            let made = engine.make_now(&picture, &blob, maker).await;
            drop((memory, claim, turn));
            made
        });
        task.await.unwrap_or_else(|panicked| {
            self.monitor.failures.failed("a preview could not be kept", "", &panicked);
            Err(Error::overloaded())
        })
    }

    async fn make_now(
        &self,
        picture: &Attachment,
        blob: &AttachmentId,
        maker: Arc<dyn PreviewMaker>,
    ) -> Result<Made, Error> {
        // The file may have been removed during the wait.
        self.still_there(&picture.id).await?;
        let file = self.file(picture, usize::MAX).await?;
        let about = picture.clone();
        let made = tokio::task::spawn_blocking(move || maker.make(&about, file)).await;
        let made = made.unwrap_or_else(|panicked| {
            let about = format_args!("attachment {}", picture.id);
            self.monitor.failures.failed("a preview could not be made", about, &panicked);
            None
        });
        let (header, bodies) = write_header(made);
        let parts = [header.clone()].into_iter().chain(bodies).map(Ok);
        let blobs = self.blobs()?;
        if let Err(error) = blobs.put(blob, stream::iter(parts.collect::<Vec<_>>()).boxed(), MOST).await {
            // Another process may have been faster.
            return self.stored(&picture.id, blob).await?.ok_or_else(|| error.into());
        }
        // Another process may have removed the file meanwhile.
        if let Err(gone) = self.still_there(&picture.id).await {
            blobs.delete(blob).await?;
            return Err(gone);
        }
        read_header(&picture.id, &header).ok_or_else(Error::no_such_attachment)
    }

    async fn still_there(&self, id: &AttachmentId) -> Result<(), Error> {
        match self.store.upload(id).await?.map(|upload| upload.state) {
            Some(UploadState::Ready | UploadState::Attached(_)) => Ok(()),
            _ => Err(Error::no_such_attachment()),
        }
    }

    /// Reads a file, up to `most` bytes.
    async fn file(&self, picture: &Attachment, most: usize) -> Result<Vec<u8>, Error> {
        let size = usize::try_from(picture.size).unwrap_or(usize::MAX).min(most);
        let bytes = self.blobs()?.get(&picture.id, 0..size as u64).await?;
        collect(bytes, size).await
    }
}

/// A picture's previews, the smallest first. `None` if the picture is broken or too large.
type Made = [Option<PreviewFile>; PREVIEW_SIDES.len()];

/// Returns the key of the blob of a picture's previews. It is not an upload's key, so no client can request it.
fn blob_of(picture: &AttachmentId) -> Option<AttachmentId> {
    AttachmentId::new(format!("p_{picture}")).ok()
}

fn kib(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(u32::MAX)
}

async fn collect(mut bytes: ByteStream, size: usize) -> Result<Vec<u8>, Error> {
    let mut all = Vec::with_capacity(size);
    while let Some(chunk) = bytes.try_next().await.map_err(BlobError::Io)? {
        let room = size - all.len();
        all.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    Ok(all)
}

/// Returns the blob's header, and the previews after it.
fn write_header(made: Option<[Preview; PREVIEW_SIDES.len()]>) -> (Bytes, Vec<Bytes>) {
    let mut header = BytesMut::with_capacity(HEADER);
    header.put_slice(MAGIC);
    let mut start = HEADER as u32;
    let mut bodies: Vec<Bytes> = Vec::new();
    for preview in made.into_iter().flatten() {
        // A small picture has one preview for both sizes.
        if bodies.last() == Some(&preview.bytes) {
            start -= preview.bytes.len() as u32;
            bodies.pop();
        }
        header.put_u32_le(match preview.encoding {
            PreviewType::Jpeg => 1,
            PreviewType::Png => 2,
        });
        header.put_u32_le(start);
        header.put_u32_le(preview.bytes.len() as u32);
        start += preview.bytes.len() as u32;
        bodies.push(preview.bytes);
    }
    // That no preview can be made is stored too.
    header.put_bytes(0, HEADER - header.len());
    (header.freeze(), bodies)
}

fn read_header(picture: &AttachmentId, mut header: &[u8]) -> Option<Made> {
    if header.len() < HEADER || !header.starts_with(MAGIC) {
        return None;
    }
    header.advance(MAGIC.len());
    Some(std::array::from_fn(|_| {
        let (encoding, start, size) = (header.get_u32_le(), header.get_u32_le(), header.get_u32_le());
        let encoding = match encoding {
            1 => PreviewType::Jpeg,
            2 => PreviewType::Png,
            _ => return None,
        };
        Some(PreviewFile { picture: picture.clone(), encoding, size: size.into(), start: start.into() })
    }))
}
