//! The writer: the queue of its jobs, and the handles to its database.

mod thread;
mod unsynced;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use chatcore::store::StoreError;
use redb::{Database, ReadTransaction, ReadableDatabase};
use tokio::sync::{mpsc, oneshot};

use self::thread::Thread;
use crate::error::{OpenError, TransactionError};
use crate::journal::Journal;
use crate::layout::Layout;
use crate::opening::{Opener, Opening};

/// Jobs in the queue. A caller that finds it full waits for room.
const QUEUE: usize = 256;
/// Jobs that are run, synced and answered together. With [`QUEUE`] this bounds the memory of one commit.
const GATHER: usize = 256;

/// What a write waits for before it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SyncMode {
    /// A synced transaction.
    Disk,
    /// The same, or a synced record of the journal, which has what [`Hooks::take`] returns. Nothing else of the write may
    /// be a change.
    ///
    /// [`Hooks::take`]: crate::journal::Hooks
    Journal,
    /// The same without a sync. Every later read sees it, and it is synced within [`Builder::sync_within`].
    ///
    /// [`Builder::sync_within`]: crate::Builder::sync_within
    Later,
    /// A transaction without a sync. It changes nothing itself: a read wants to see what was answered before.
    Visible,
}

/// The database, shared by the writer and the readers.
struct Shared {
    /// `None` while the file is being opened again.
    database: RwLock<Option<Database>>,
    /// Whether a read failed or panicked. redb may then refuse all work until the file is opened again.
    suspect: AtomicBool,
    /// Whether writes were answered that no read sees before the next commit.
    ahead: AtomicBool,
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
        SyncMode::Visible
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
    pub(crate) fn start(
        opener: Opener,
        sync_within: Duration,
        mut journal: Option<Journal<L>>,
    ) -> Result<Self, OpenError> {
        let database = opener(Opening::First)?;
        if let Some(journal) = &mut journal {
            journal.recover(&database).map_err(OpenError::Journal)?;
        }
        let shared = Arc::new(Shared {
            database: RwLock::new(Some(database)),
            suspect: AtomicBool::new(false),
            ahead: AtomicBool::new(false),
        });
        let (queue, jobs) = mpsc::channel(QUEUE);
        let thread = Thread::new(Arc::clone(&shared), opener, jobs, sync_within, journal)?;
        let thread = std::thread::Builder::new()
            .name("chatcore-redb".to_owned())
            .spawn(move || thread.run())
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

    /// Returns a reader of everything that was answered before.
    ///
    /// # Errors
    /// [`StoreError`] if some of it could not be committed.
    pub(crate) async fn reader(&self) -> Result<Reader, StoreError> {
        if self.shared.ahead.load(Ordering::Acquire) {
            self.write(SyncMode::Visible, |_| Ok(())).await?;
        }
        Ok(Reader(Arc::clone(&self.shared)))
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
