//! Turns to search: so many at once in all, so many of each user, and the others in order.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::config::Limits;
use crate::id::UserId;
use crate::sync::Arc;

/// The searches that run, and those that wait for their turn.
#[derive(Debug)]
pub(crate) struct Searches {
    all: Semaphore,
    per_user: usize,
    /// Of the users who search or wait.
    by_user: Mutex<HashMap<UserId, Arc<Semaphore>>>,
}

/// A turn to search; dropping it gives it to the next.
pub(crate) struct Turn<'a> {
    // In the order in which they are dropped.
    _all: SemaphorePermit<'a>,
    _own: OwnedSemaphorePermit,
    _user: Searcher<'a>,
}

/// A user who searches or waits; dropping the last one forgets the user.
struct Searcher<'a> {
    searches: &'a Searches,
    user: &'a UserId,
    own: Arc<Semaphore>,
}

impl Searches {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            all: Semaphore::new(limits.searches),
            per_user: limits.searches_per_user,
            by_user: Mutex::default(),
        }
    }

    /// Waits for a turn, first behind the user's own searches, then behind everybody's, each in order. So a user
    /// who searches on many connections takes no more places in front of others than of one's share.
    ///
    /// # Cancel safety
    /// A dropped future has left its place.
    pub(crate) async fn turn<'a>(&'a self, user: &'a UserId) -> Turn<'a> {
        let searcher = self.enter(user);
        let never_closed = "invariant: nobody closes it";
        let own = Arc::clone(&searcher.own).acquire_owned().await.expect(never_closed);
        let all = self.all.acquire().await.expect(never_closed);
        Turn { _all: all, _own: own, _user: searcher }
    }

    fn enter<'a>(&'a self, user: &'a UserId) -> Searcher<'a> {
        let mut by_user = self.by_user();
        let own = by_user.entry(user.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.per_user)));
        Searcher { searches: self, user, own: Arc::clone(own) }
    }

    // Held for a look into a map of at most as many users as there are connections.
    fn by_user(&self) -> MutexGuard<'_, HashMap<UserId, Arc<Semaphore>>> {
        self.by_user.lock().expect("invariant: nothing panics under this lock")
    }
}

impl Drop for Searcher<'_> {
    fn drop(&mut self) {
        let mut by_user = self.searches.by_user();
        // The map's and this one: they are cloned under the lock only.
        if Arc::strong_count(&self.own) == 2 {
            by_user.remove(self.user);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn searches_are_bounded_in_all_and_per_user() {
        let searches = Searches::new(&Limits { searches: 3, searches_per_user: 2, ..Limits::default() });
        let [ann, bob] = ["u_ann", "u_bob"].map(|id| UserId::new(id).unwrap());
        let anns = [searches.turn(&ann).await, searches.turn(&ann).await];
        assert!(searches.turn(&ann).now_or_never().is_none(), "one past a user's");
        let mut waiting = std::pin::pin!(searches.turn(&ann));
        assert!(waiting.as_mut().now_or_never().is_none());
        let bobs = searches.turn(&bob).now_or_never().expect("it is not behind others' own");
        let mut second = std::pin::pin!(searches.turn(&bob));
        assert!(second.as_mut().now_or_never().is_none(), "one past all");
        drop(anns);
        let (anns, bobs) = (waiting.await, (bobs, second.await));
        assert_eq!(searches.by_user().len(), 2);
        drop((anns, bobs));
        assert!(searches.by_user().is_empty(), "nobody is remembered who does not search");
    }
}
