//! Removes what nobody needs any more, again and again.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::engine::Engine;
use crate::model::error::Error;
use crate::model::id::AttachmentId;
use crate::model::moment::Moment;
use crate::runtime::panics::contain_async;
use crate::store::StoreError;
use crate::store::blob::{BlobError, BlobStore};

/// Uploads that one look into the index finds.
const SWEEP: usize = 256;

/// Files that can't be removed, after which a sweep ends. Their ids are held in memory.
const STUCK: usize = 8_192;

/// Failures of the store in one sweep, after which it is taken to be away.
const STORE_FAILURES: usize = 3;

/// Why an upload is still there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unremoved {
    #[error("the store failed")]
    Store(#[from] StoreError),
    #[error("the file could not be removed")]
    Blobs(#[from] BlobError),
}

impl Engine {
    /// Sweeps for ever.
    pub(crate) async fn keep_swept(self: Arc<Self>) {
        loop {
            // A delete starts a sweep early. It is the same sweep.
            let _ = timeout(self.sweep_interval(), self.discarded.notified()).await;
            // The next sweep does what this one did not reach.
            if let Err(panicked) = contain_async(self.sweep()).await {
                self.monitor.failures.failed("the sweep failed", "", &panicked);
            }
        }
    }

    /// Removes what nobody needs any more: channels out of memory, files of deleted messages and of uploads
    /// that were never used.
    async fn sweep(&self) {
        self.shares.forget_rested(Moment::now());
        let now = std::time::Instant::now();
        self.registry.evict(now.checked_sub(self.limits.channel_idle).unwrap_or(now));
        if let Some(blobs) = &self.blobs
            && let Err(error) = self.sweep_uploads(&**blobs).await
        {
            self.monitor.failures.failed("unused files could not be removed", "", &error);
        }
    }

    /// Removes the uploads that nobody needs. One that can't be removed keeps no other from it, and is tried again
    /// in the next sweep.
    async fn sweep_uploads(&self, blobs: &dyn BlobStore) -> Result<(), Error> {
        // Of several nodes on one store, one sweeps.
        let Some(_turn) = self.store.sweep_turn().await? else { return Ok(()) };
        let now = self.clock.now();
        self.store.date_back(now).await?;
        let before = now.minus(self.limits.upload_ttl);
        let mut stuck = HashSet::new();
        let mut store_failures = 0;
        loop {
            // The index gives what is stuck again, so others are asked for beyond it.
            let most = stuck.len() + SWEEP;
            let ids = self.store.reclaimable(before, most).await?;
            let is_last = ids.len() < most;
            for id in ids {
                if stuck.contains(&id) {
                    continue;
                }
                let Some(_removing) = self.uploads.removing() else { return Ok(()) };
                // Its previews are being made just now, and would be kept after it.
                let Some(_claim) = self.previews.try_claim(&id) else {
                    stuck.insert(id);
                    continue;
                };
                let removal =
                    timeout(self.limits.store_timeout, contain_async(self.remove(blobs, &id))).await;
                let error: Box<dyn std::error::Error> = match removal {
                    Ok(Ok(Ok(()))) => continue,
                    Ok(Ok(Err(Unremoved::Store(error)))) => {
                        store_failures += 1;
                        if store_failures >= STORE_FAILURES {
                            return Err(error.into());
                        }
                        error.into()
                    }
                    Ok(Ok(Err(Unremoved::Blobs(error)))) => error.into(),
                    Ok(Err(panicked)) => panicked.into(),
                    Err(late) => late.into(),
                };
                if !self.uploads.was_stuck(&id) {
                    let about = format_args!("attachment {id}");
                    self.monitor.failures.failed("an unused file could not be removed", about, &*error);
                }
                stuck.insert(id);
            }
            if is_last || stuck.len() >= STUCK {
                self.uploads.set_stuck(stuck);
                return Ok(());
            }
        }
    }

    pub(crate) async fn remove(&self, blobs: &dyn BlobStore, id: &AttachmentId) -> Result<(), Unremoved> {
        if self.store.discard_upload(id).await? {
            blobs.delete(id).await?;
            self.remove_previews(blobs, id).await?;
            self.store.forget_upload(id).await?;
        }
        Ok(())
    }

    /// Returns how long to wait between two sweeps.
    fn sweep_interval(&self) -> Duration {
        let shortest = self.limits.channel_idle.min(self.limits.upload_ttl);
        (shortest / 2).clamp(Duration::from_secs(1), Duration::from_secs(60))
    }
}
