//! The writer thread. It puts all queued jobs into one transaction, so that one sync of the disk serves every
//! waiting caller, and answers after the commit.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chatcore::FailureLog;
use chatcore::store::StoreError;
use redb::{Database, Durability, ReadTransaction, ReadableDatabase, WriteTransaction};
use tokio::runtime::{self, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::error::{OpenError, TransactionError};
use crate::layout::Layout;
use crate::opening::{Opener, Opening};

/// Jobs in the queue. A caller that finds it full waits for room.
const QUEUE: usize = 256;
/// Jobs per transaction. With [`QUEUE`] this bounds the memory of one commit.
const GATHER: usize = 256;
/// Consecutive commits without a sync. redb reuses freed pages only after a synced commit.
const UNSYNCED: u32 = 256;

/// Whether a write is answered before or after it is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SyncMode {
    /// After: the write is on the disk.
    Disk,
    /// Before: every later read sees the write, and it is synced within [`Builder::sync_within`].
    ///
    /// [`Builder::sync_within`]: crate::Builder::sync_within
    Later,
}

/// The database, shared by the writer and the readers.
struct Shared {
    /// `None` while the file is being opened again.
    database: RwLock<Option<Database>>,
    /// Whether a read failed or panicked. redb may then refuse all work until the file is opened again.
    suspect: AtomicBool,
}

/// A job for the writer.
trait Job<L: Layout>: Send {
    fn sync(&self) -> SyncMode;
    fn run(&mut self, changes: &mut L::Changes<'_>) -> Result<(), TransactionError>;
    /// Answers the caller after the commit or its failure.
    fn finish(self: Box<Self>, outcome: Result<(), StoreError>);
}

struct Work<W, T> {
    work: Option<W>,
    done: Option<T>,
    sync: SyncMode,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<L, W, T> Job<L> for Work<W, T>
where
    L: Layout,
    W: FnOnce(&mut L::Changes<'_>) -> Result<T, TransactionError> + Send,
    T: Send,
{
    fn sync(&self) -> SyncMode {
        self.sync
    }

    fn run(&mut self, changes: &mut L::Changes<'_>) -> Result<(), TransactionError> {
        if let Some(work) = self.work.take() {
            self.done = Some(work(changes)?);
        }
        Ok(())
    }

    fn finish(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { done, answer, .. } = *self;
        let outcome = outcome.and_then(|()| {
            done.ok_or_else(|| StoreError::new("an earlier write of the same transaction failed"))
        });
        // The receiver is gone if the caller's future was dropped. The job is done anyway.
        let _ = answer.send(outcome);
    }
}

/// Wakes the writer to check a database whose reads fail.
struct LookAfter;

impl<L: Layout> Job<L> for LookAfter {
    fn sync(&self) -> SyncMode {
        SyncMode::Later
    }

    fn run(&mut self, _: &mut L::Changes<'_>) -> Result<(), TransactionError> {
        Ok(())
    }

    fn finish(self: Box<Self>, _: Result<(), StoreError>) {}
}

/// The writer thread and its database. Dropping it finishes the queued jobs, ends the thread and closes the file.
pub(crate) struct Writer<L: Layout> {
    queue: Option<mpsc::Sender<Box<dyn Job<L>>>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl<L: Layout> Writer<L> {
    /// Opens the database and starts the thread, which syncs every commit within `sync_within`.
    pub(crate) fn start(opener: Opener, sync_within: Duration) -> Result<Self, OpenError> {
        let database = RwLock::new(Some(opener(Opening::First)?));
        let shared = Arc::new(Shared { database, suspect: AtomicBool::new(false) });
        let (queue, jobs) = mpsc::channel(QUEUE);
        let timer =
            runtime::Builder::new_current_thread().enable_time().build().map_err(OpenError::Thread)?;
        let thread = std::thread::Builder::new()
            .name("chatcore-redb".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || {
                    let unsynced = Unsynced { commits: 0, since: None, within: sync_within };
                    Thread { shared, opener, timer, unsynced, failures: FailureLog::new() }.run::<L>(jobs);
                }
            })
            .map_err(OpenError::Thread)?;
        Ok(Self { queue: Some(queue), shared, thread: Some(thread) })
    }

    /// Runs `work` in the writer's next transaction and returns after its commit.
    ///
    /// Once `work` is queued it runs, even if the future is dropped.
    pub(crate) async fn write<T, W>(&self, sync: SyncMode, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&mut L::Changes<'_>) -> Result<T, TransactionError> + Send + 'static,
    {
        let ended = || StoreError::new("the store's writer has stopped");
        let queue = self.queue.as_ref().ok_or_else(ended)?;
        let (answer, answered) = oneshot::channel();
        let job = Work { work: Some(work), done: None, sync, answer };
        queue.send(Box::new(job)).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }

    /// Returns a reader of everything that is committed.
    pub(crate) fn reader(&self) -> Reader {
        Reader(Arc::clone(&self.shared))
    }

    /// Asks the writer to check the database after a failed read.
    pub(crate) fn look_after(&self) {
        self.shared.suspect.store(true, Ordering::Release);
        // If the queue is full, the writer is about to run anyway.
        let _ = self.queue.as_ref().map(|queue| queue.try_send(Box::new(LookAfter)));
    }
}

impl<L: Layout> Drop for Writer<L> {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's writer panicked");
        }
    }
}

/// Begins reads. A blocking task can own it.
pub(crate) struct Reader(Arc<Shared>);

impl Reader {
    pub(crate) fn begin(&self) -> Result<ReadTransaction, TransactionError> {
        // Held while the transaction begins, not while it lasts. Opening the file again needs the write lock.
        let database = self.0.database.read().unwrap_or_else(PoisonError::into_inner);
        Ok(database.as_ref().ok_or(TransactionError::NotOpen)?.begin_read()?)
    }
}

struct Thread {
    shared: Arc<Shared>,
    opener: Opener,
    /// Ends the wait for jobs when a sync is due.
    timer: Runtime,
    unsynced: Unsynced,
    /// Reports failures that no caller sees. The callers of a failed transaction report its failure themselves.
    failures: FailureLog,
}

/// The commits that are not synced yet.
struct Unsynced {
    /// Commits since the last sync. After opening the file it is 1, since its last commit may not be on the disk.
    commits: u32,
    /// The time of the first of them, or of the last failed sync.
    since: Option<Instant>,
    /// The time from `since` until a sync is due.
    within: Duration,
}

impl Unsynced {
    fn add(&mut self) {
        self.commits += 1;
        self.since.get_or_insert_with(Instant::now);
    }

    fn clear(&mut self) {
        (self.commits, self.since) = (0, None);
    }

    /// Starts the time until the next sync again.
    fn put_off(&mut self) {
        self.since = self.since.map(|_| Instant::now());
    }

    /// Returns the time until a sync is due, or `None` if there is nothing to sync.
    fn left(&self) -> Option<Duration> {
        Some(self.within.saturating_sub(self.since?.elapsed()))
    }

    fn is_due(&self) -> bool {
        self.commits >= UNSYNCED || self.left() == Some(Duration::ZERO)
    }
}

impl Thread {
    fn run<L: Layout>(mut self, mut jobs: mpsc::Receiver<Box<dyn Job<L>>>) {
        let mut batch = Vec::with_capacity(GATHER);
        // While one transaction syncs, jobs for the next one gather in the queue.
        while self.gather(&mut jobs, &mut batch) {
            if self.shared.suspect.swap(false, Ordering::AcqRel) && !self.works() {
                self.open_again();
            }
            self.commit(&mut batch);
        }
        // Closing syncs the last commits, and unlocks the file.
        if let Some(Err(failure)) = self.close() {
            self.failures.failed("a database file could not be closed cleanly", "", &failure);
        }
    }

    /// Waits for jobs or until a sync is due. In the second case the batch is empty. Returns whether there is work.
    fn gather<L: Layout>(
        &self,
        jobs: &mut mpsc::Receiver<Box<dyn Job<L>>>,
        batch: &mut Vec<Box<dyn Job<L>>>,
    ) -> bool {
        let Some(left) = self.unsynced.left() else { return jobs.blocking_recv_many(batch, GATHER) > 0 };
        match self.timer.block_on(async { timeout(left, jobs.recv_many(batch, GATHER)).await }) {
            Ok(jobs) => jobs > 0,
            Err(_due) => true,
        }
    }

    fn commit<L: Layout>(&mut self, batch: &mut Vec<Box<dyn Job<L>>>) {
        let outcome = contained(|| self.transact(batch)).map_err(|failure| {
            self.unsynced.put_off();
            if batch.is_empty() {
                self.failures.failed("the newest read markers could not be synced", "", &failure);
            }
            // After a panic redb may be in any state. After a failed access it refuses all further work.
            let opened = !matches!(failure, TransactionError::NotOpen);
            if opened && (matches!(failure, TransactionError::Panicked(_)) || !self.works()) {
                self.open_again();
            }
            failure.during("the transaction failed")
        });
        for job in batch.drain(..) {
            job.finish(outcome.clone());
        }
    }

    fn transact<L: Layout>(&mut self, batch: &mut [Box<dyn Job<L>>]) -> Result<(), TransactionError> {
        if self.shared.database.read().unwrap_or_else(PoisonError::into_inner).is_none() {
            self.reopen();
        }
        let mut txn = {
            let database = self.shared.database.read().unwrap_or_else(PoisonError::into_inner);
            database.as_ref().ok_or(TransactionError::NotOpen)?.begin_write()?
        };
        // Otherwise opening the file after a kill scans the whole file.
        txn.set_quick_repair(true);
        let synced = self.unsynced.is_due() || batch.iter().any(|job| job.sync() == SyncMode::Disk);
        if !synced {
            txn.set_durability(Durability::None)?;
        }
        // Catch panics here too: a transaction that is dropped while unwinding is not rolled back by redb.
        let changed = match contained(|| work_on(&txn, batch)) {
            Ok(changed) => changed,
            Err(failure) => {
                // The abort may panic again. The first panic is the one to report.
                let _ = contained(|| Ok(txn.abort()?));
                return Err(failure);
            }
        };
        if !changed && (self.unsynced.commits == 0 || !synced) {
            return Ok(txn.abort()?);
        }
        txn.commit()?;
        if synced {
            self.unsynced.clear();
        } else {
            self.unsynced.add();
        }
        Ok(())
    }

    /// Returns whether the database takes work.
    fn works(&self) -> bool {
        let database = self.shared.database.read().unwrap_or_else(PoisonError::into_inner);
        let works = || Ok(database.as_ref().ok_or(TransactionError::NotOpen)?.begin_write()?.abort()?);
        contained(works).is_ok()
    }

    fn open_again(&mut self) {
        // The old handle holds the file's lock, so drop it before opening the file again.
        if let Some(Err(failure)) = self.close() {
            self.failures.failed("a failed database file could not be closed cleanly", "", &failure);
        }
        self.reopen();
    }

    fn close(&self) -> Option<Result<(), TransactionError>> {
        let database = self.shared.database.write().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(contained(|| Ok(database.close()?)))
    }

    fn could_not_reopen(&self, error: &(dyn std::error::Error + 'static)) {
        self.failures.failed("a failed database file can't be opened again", "", error);
    }

    fn reopen(&mut self) {
        match contained(|| Ok((self.opener)(Opening::Again))) {
            Ok(Ok(database)) => {
                *self.shared.database.write().unwrap_or_else(PoisonError::into_inner) = Some(database);
                // The last commit may be in the system's cache only.
                self.unsynced.clear();
                self.unsynced.add();
            }
            Ok(Err(error)) => self.could_not_reopen(&error),
            Err(failure) => self.could_not_reopen(&failure),
        }
    }
}

/// Runs a batch's jobs in a transaction. Returns whether they changed anything.
fn work_on<L: Layout>(
    txn: &WriteTransaction,
    batch: &mut [Box<dyn Job<L>>],
) -> Result<bool, TransactionError> {
    let mut changes = L::begin(txn)?;
    for job in batch {
        job.run(&mut changes)?;
    }
    L::finish(changes)
}

/// Runs code of redb or of a job, and turns a panic into an error.
pub(crate) fn contained<T>(
    step: impl FnOnce() -> Result<T, TransactionError>,
) -> Result<T, TransactionError> {
    catch_unwind(AssertUnwindSafe(step)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(TransactionError::Panicked(text.unwrap_or_else(|| "no message".to_owned())))
    })
}
