//! Turns for searches or previews: a number at once in total and per user, the others in order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::id::UserId;

/// The turns for one kind of work, and the calls that wait.
#[derive(Debug)]
pub(crate) struct Turns {
    all: Arc<Semaphore>,
    per_user: usize,
    /// The users who have a turn or wait for one.
    by_user: Mutex<HashMap<UserId, Arc<Semaphore>>>,
}

/// A turn. Dropping it gives it to the next call.
#[derive(Debug)]
pub(crate) struct Turn {
    // Fields are dropped in this order.
    _all: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
    _user: Waiter,
}

/// A user who has a turn or waits. Dropping the last one forgets the user.
#[derive(Debug)]
struct Waiter {
    turns: Arc<Turns>,
    user: UserId,
    own: Arc<Semaphore>,
}

impl Turns {
    /// Allows `all` turns at once, and `per_user` for one user.
    pub(crate) fn new(all: usize, per_user: usize) -> Arc<Self> {
        Arc::new(Self { all: Arc::new(Semaphore::new(all)), per_user, by_user: Mutex::default() })
    }

    /// Waits for a turn: first behind the user's own calls, then behind everyone's, each in order. So many
    /// connections give a user no more turns than their share.
    ///
    /// # Cancel safety
    /// If the future is dropped, it leaves the queue.
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
        // The map's and this one. They are cloned only under the lock.
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
