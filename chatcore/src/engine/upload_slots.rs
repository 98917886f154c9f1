//! How many uploads run at once, and who holds the files.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{OwnedRwLockReadGuard, RwLock, RwLockWriteGuard};

use crate::limits::Limits;
use crate::model::error::{Error, ErrorCode};
use crate::model::id::{AttachmentId, UserId};

/// The uploads that are running, by user.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    running: Mutex<HashMap<UserId, usize>>,
    /// What the last sweep could not remove.
    stuck: Mutex<HashSet<AttachmentId>>,
    /// Read by everyone who holds the files, written while one of them is removed.
    removing: Arc<RwLock<()>>,
}

/// Holds the files of a chat; see [`Chat::hold_files`](crate::Chat::hold_files).
#[must_use = "the files are held until this is dropped"]
#[derive(Debug)]
pub struct HeldFiles {
    _held: OwnedRwLockReadGuard<()>,
}

/// A running upload. Dropping it gives its slot back.
pub(crate) struct UploadSlot<'a> {
    uploads: &'a Uploads,
    user: &'a UserId,
}

impl Uploads {
    /// Takes a slot, if there is one, in all and for this user.
    pub(crate) fn begin<'a>(&'a self, user: &'a UserId, limits: &Limits) -> Result<UploadSlot<'a>, Error> {
        let mut running = self.running();
        if running.values().sum::<usize>() >= limits.uploads {
            return Err(Error::overloaded());
        }
        let own = running.entry(user.clone()).or_default();
        if *own >= limits.uploads_per_user {
            let why = format!("at most {} uploads at once", limits.uploads_per_user);
            return Err(Error::new(ErrorCode::RateLimited, why).with_retry_after(Duration::from_secs(1)));
        }
        *own += 1;
        Ok(UploadSlot { uploads: self, user })
    }

    /// Waits for a removal under way, and lets no other begin while the answer lives.
    pub(crate) async fn hold(&self) -> HeldFiles {
        HeldFiles { _held: Arc::clone(&self.removing).read_owned().await }
    }

    /// Begins a removal; `None` while somebody holds the files.
    pub(crate) fn removing(&self) -> Option<RwLockWriteGuard<'_, ()>> {
        self.removing.try_write().ok()
    }

    /// Returns how many are running.
    pub(crate) fn len(&self) -> usize {
        self.running().values().sum()
    }

    /// Returns whether the last sweep could not remove this one either.
    pub(crate) fn was_stuck(&self, id: &AttachmentId) -> bool {
        self.stuck().contains(id)
    }

    pub(crate) fn set_stuck(&self, stuck: HashSet<AttachmentId>) {
        *self.stuck() = stuck;
    }

    // Held for a look into a set that a sweep bounds.
    fn stuck(&self) -> MutexGuard<'_, HashSet<AttachmentId>> {
        self.stuck.lock().expect("invariant: nothing panics under this lock")
    }

    // Held for a look into a map of at most `Limits::uploads` entries.
    fn running(&self) -> MutexGuard<'_, HashMap<UserId, usize>> {
        self.running.lock().expect("invariant: nothing panics under this lock")
    }
}

impl Drop for UploadSlot<'_> {
    fn drop(&mut self) {
        let mut running = self.uploads.running();
        if let Some(own) = running.get_mut(self.user) {
            *own -= 1;
            if *own == 0 {
                running.remove(self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uploads_are_bounded_in_all_and_per_user() {
        let limits = Limits { uploads: 3, uploads_per_user: 2, ..Limits::default() };
        let uploads = Uploads::default();
        let (ann, bob) = (UserId::new("u_ann").unwrap(), UserId::new("u_bob").unwrap());
        let begin = |user| uploads.begin(user, &limits).map_err(|error| error.code());
        let anns = [begin(&ann).ok(), begin(&ann).ok()];
        assert!(anns.iter().all(Option::is_some));
        assert_eq!(begin(&ann).err(), Some(ErrorCode::RateLimited));
        let bobs = begin(&bob).ok();
        assert_eq!(begin(&bob).err(), Some(ErrorCode::Unavailable));
        drop((anns, bobs));
        assert!(begin(&ann).is_ok());
        assert!(uploads.running().is_empty(), "nobody is remembered who uploads nothing");
    }
}
