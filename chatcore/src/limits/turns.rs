//! Turns to search or to make previews: so many at once in all, so many of each user, and the others in order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::id::UserId;

/// Work of one kind that runs, and the calls that wait for their turn.
#[derive(Debug)]
pub(crate) struct Turns {
    all: Arc<Semaphore>,
    per_user: usize,
    /// Of the users who have a turn or wait.
    by_user: Mutex<HashMap<UserId, Arc<Semaphore>>>,
}

/// A turn; dropping it gives it to the next.
#[derive(Debug)]
pub(crate) struct Turn {
    // In the order in which they are dropped.
    _all: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
    _user: Waiter,
}

/// A user who has a turn or waits; dropping the last one forgets the user.
#[derive(Debug)]
struct Waiter {
    turns: Arc<Turns>,
    user: UserId,
    own: Arc<Semaphore>,
}

impl Turns {
    /// Gives `all` turns at once, `per_user` of them to one user.
    pub(crate) fn new(all: usize, per_user: usize) -> Arc<Self> {
        Arc::new(Self { all: Arc::new(Semaphore::new(all)), per_user, by_user: Mutex::default() })
    }

    /// Waits for a turn, first behind the user's own, then behind everybody's, each in order. So a user who asks on
    /// many connections takes no more places in front of others than of one's share.
    ///
    /// # Cancel safety
    /// A dropped future has left its place.
    pub(crate) async fn turn(self: &Arc<Self>, user: &UserId) -> Turn {
        let waiter = self.enter(user);
        let never_closed = "invariant: nobody closes it";
        let own = Arc::clone(&waiter.own).acquire_owned().await.expect(never_closed);
        let all = Arc::clone(&self.all).acquire_owned().await.expect(never_closed);
        Turn { _all: all, _own: own, _user: waiter }
    }

    fn enter(self: &Arc<Self>, user: &UserId) -> Waiter {
        let mut by_user = self.by_user();
        let own = by_user.entry(user.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.per_user)));
        Waiter { turns: Arc::clone(self), user: user.clone(), own: Arc::clone(own) }
    }

    // Held for a look into a map of at most as many users as there are connections.
    fn by_user(&self) -> MutexGuard<'_, HashMap<UserId, Arc<Semaphore>>> {
        self.by_user.lock().expect("invariant: nothing panics under this lock")
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut by_user = self.turns.by_user();
        // The map's and this one: they are cloned under the lock only.
        if Arc::strong_count(&self.own) == 2 {
            by_user.remove(&self.user);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn turns_are_bounded_in_all_and_per_user() {
        let turns = Turns::new(3, 2);
        let [ann, bob] = ["u_ann", "u_bob"].map(|id| UserId::new(id).unwrap());
        let anns = [turns.turn(&ann).await, turns.turn(&ann).await];
        assert!(turns.turn(&ann).now_or_never().is_none(), "one past a user's");
        let mut waiting = std::pin::pin!(turns.turn(&ann));
        assert!(waiting.as_mut().now_or_never().is_none());
        let bobs = turns.turn(&bob).now_or_never().expect("it is not behind others' own");
        let mut second = std::pin::pin!(turns.turn(&bob));
        assert!(second.as_mut().now_or_never().is_none(), "one past all");
        drop(anns);
        let (anns, bobs) = (waiting.await, (bobs, second.await));
        assert_eq!(turns.by_user().len(), 2);
        drop((anns, bobs));
        assert!(turns.by_user().is_empty(), "nobody is remembered who does not wait");
    }
}
