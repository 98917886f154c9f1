//! The one thread that writes. It takes all that is queued into one transaction, so that one sync of the
//! disk serves everybody who waits, and answers after the commit.

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

/// Jobs that wait for the writer; a caller that finds it full waits for a place.
const QUEUE: usize = 256;
/// Jobs of one transaction. With [`QUEUE`] it bounds what one commit holds in memory.
const GATHER: usize = 256;
/// Commits without a sync that may follow one another: redb reuses freed pages only after a synced one.
const UNSYNCED: u32 = 256;

/// Whether an answer waits for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SyncMode {
    /// The answer means that it is on the disk.
    Disk,
    /// The answer means that every later read sees it; the next sync takes it along, within [`Builder::sync_within`].
    ///
    /// [`Builder::sync_within`]: crate::Builder::sync_within
    Later,
}

/// The database, and what its readers have seen of it.
struct Shared {
    /// Absent while the file is being opened again.
    database: RwLock<Option<Database>>,
    /// A read failed or panicked: redb may refuse all work until the file is opened again.
    suspect: AtomicBool,
}

/// A job on its way to the writer.
trait Job<L: Layout>: Send {
    fn sync(&self) -> SyncMode;
    fn run(&mut self, changes: &mut L::Changes<'_>) -> Result<(), TransactionError>;
    /// Answers, after the commit or its failure.
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
        // Nobody listens if the caller's future was dropped; what it asked for is done all the same.
        let _ = answer.send(outcome);
    }
}

/// Wakes the writer to look after a database whose reads fail.
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

/// The writer's thread and the database that it writes to. Dropping it ends the thread, once what is queued
/// is done, and closes the file.
pub(crate) struct Writer<L: Layout> {
    queue: Option<mpsc::Sender<Box<dyn Job<L>>>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl<L: Layout> Writer<L> {
    /// Opens the database and starts the thread, which leaves nothing unsynced for longer than `sync_within`.
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

    /// Runs `work` in the writer's next transaction and answers after its commit.
    ///
    /// Once the work is queued, it is done, also when the future is dropped.
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

    /// Begins a read of everything that is committed.
    pub(crate) fn reader(&self) -> Reader {
        Reader(Arc::clone(&self.shared))
    }

    /// Lets the writer look whether the database still works, after a read that failed.
    pub(crate) fn look_after(&self) {
        self.shared.suspect.store(true, Ordering::Release);
        // A full queue will be looked at anyway.
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

/// A way to begin reads, which a blocking task can own.
pub(crate) struct Reader(Arc<Shared>);

impl Reader {
    pub(crate) fn begin(&self) -> Result<ReadTransaction, TransactionError> {
        // Held to begin a transaction, never for its length: only opening the file again needs it whole.
        let database = self.0.database.read().unwrap_or_else(PoisonError::into_inner);
        Ok(database.as_ref().ok_or(TransactionError::NotOpen)?.begin_read()?)
    }
}

struct Thread {
    shared: Arc<Shared>,
    opener: Opener,
    /// Ends a wait for jobs when a sync is due.
    timer: Runtime,
    unsynced: Unsynced,
    /// What no caller hears of. A failed transaction is told to each of its jobs' callers, who report it.
    failures: FailureLog,
}

/// What no sync has taken along yet.
struct Unsynced {
    /// Commits since the last sync. After an opening one more may have been lost by a failed disk.
    commits: u32,
    /// When the first of them was made, or a sync of them last failed.
    since: Option<Instant>,
    /// How long after that a sync is due.
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

    /// Gives the disk the same time again.
    fn put_off(&mut self) {
        self.since = self.since.map(|_| Instant::now());
    }

    /// Returns how long it is until a sync is due; `None` if there is nothing to sync.
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
        // While one transaction syncs, the next one's jobs gather by themselves.
        while self.gather(&mut jobs, &mut batch) {
            if self.shared.suspect.swap(false, Ordering::AcqRel) && !self.works() {
                self.open_again();
            }
            self.commit(&mut batch);
        }
        // Closing makes unsynced commits durable, and frees the file for the next to open it.
        if let Some(Err(failure)) = self.close() {
            self.failures.failed("a database file could not be closed cleanly", "", &failure);
        }
    }

    /// Waits for jobs, or until a sync is due: then the batch is empty. Returns whether there is anything to do.
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
            // A panic may have left redb in any state; after a failed access it refuses all further work.
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
        // Without it, opening the file after a kill walks the whole of it.
        txn.set_quick_repair(true);
        let synced = self.unsynced.is_due() || batch.iter().any(|job| job.sync() == SyncMode::Disk);
        if !synced {
            txn.set_durability(Durability::None)?;
        }
        // Contained here too, so that the transaction ends outside of the unwinding: redb then takes it back.
        let changed = match contained(|| work_on(&txn, batch)) {
            Ok(changed) => changed,
            Err(failure) => {
                // It may panic again, and the first panic is the one to tell of.
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
        // The file's lock goes with the old handle, so it must be gone before the file is opened again.
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
                // What is read now may be in the system's cache only.
                self.unsynced.clear();
                self.unsynced.add();
            }
            Ok(Err(error)) => self.could_not_reopen(&error),
            Err(failure) => self.could_not_reopen(&failure),
        }
    }
}

/// Runs a batch's jobs in a transaction, and returns whether they changed anything.
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

/// Runs a step of redb's or of a job's, and turns a panic into a failure.
pub(crate) fn contained<T>(
    step: impl FnOnce() -> Result<T, TransactionError>,
) -> Result<T, TransactionError> {
    catch_unwind(AssertUnwindSafe(step)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(TransactionError::Panicked(text.unwrap_or_else(|| "no message".to_owned())))
    })
}
