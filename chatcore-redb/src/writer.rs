//! The one thread that writes. It takes all that is queued into one transaction, so that one sync of the
//! disk serves everybody who waits, and answers after the commit.

use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;

use chatcore::store::StoreError;
use redb::{Database, Durability, ReadTransaction, ReadableDatabase};
use tokio::sync::{mpsc, oneshot};

use crate::error::{Failure, OpenError};
use crate::log::Changes;

/// Jobs that wait for the writer; a caller that finds it full waits for a place.
const QUEUE: usize = 256;
/// Jobs of one transaction. With [`QUEUE`] it bounds what one commit holds in memory.
const GATHER: usize = 256;
/// Commits without a sync that may follow one another: redb reuses freed pages only after a synced one.
const UNSYNCED: u32 = 256;

/// Whether an answer waits for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sync {
    /// The answer means that it is on the disk.
    Disk,
    /// The answer means that every later read sees it; the next sync takes it along.
    Later,
}

/// Which opening of the file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// The process's first: a file that is not there is made.
    First,
    /// After a failed disk made redb refuse all further work: a file that is not there is an error, as an
    /// empty one in its place would pass for a store that lost everything.
    Again,
}

/// Opens the database.
pub(crate) type Opener = Box<dyn Fn(Opening) -> Result<Database, OpenError> + Send>;

/// The open database, absent while it is being opened again.
type Slot = RwLock<Option<Database>>;

/// A job on its way to the writer.
trait Job: Send {
    fn sync(&self) -> Sync;
    fn run(&mut self, changes: &mut Changes<'_>) -> Result<(), Failure>;
    /// Answers, after the commit or its failure.
    fn finish(self: Box<Self>, outcome: Result<(), StoreError>);
}

struct Work<W, T> {
    work: Option<W>,
    done: Option<T>,
    sync: Sync,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<W, T> Job for Work<W, T>
where
    W: FnOnce(&mut Changes<'_>) -> Result<T, Failure> + Send,
    T: Send,
{
    fn sync(&self) -> Sync {
        self.sync
    }

    fn run(&mut self, changes: &mut Changes<'_>) -> Result<(), Failure> {
        if let Some(work) = self.work.take() {
            self.done = Some(work(changes)?);
        }
        Ok(())
    }

    fn finish(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { done, answer, .. } = *self;
        let outcome = outcome.and_then(|()| done.ok_or_else(|| StoreError::new("the write was not reached")));
        // Nobody listens where the caller's future was dropped; what it asked for is done all the same.
        let _ = answer.send(outcome);
    }
}

/// The writer's thread and the database that it writes to. Dropping it ends the thread, once what is queued
/// is done, and closes the file.
pub(crate) struct Writer {
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    slot: Arc<Slot>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Opens the database and starts the thread.
    pub(crate) fn start(opener: Opener) -> Result<Self, OpenError> {
        let slot = Arc::new(RwLock::new(Some(opener(Opening::First)?)));
        let (queue, jobs) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("chatcore-redb".to_owned())
            .spawn({
                let slot = Arc::clone(&slot);
                move || Thread { slot, opener, unsynced: 0 }.run(jobs)
            })
            .map_err(OpenError::Thread)?;
        Ok(Self { queue: Some(queue), slot, thread: Some(thread) })
    }

    /// Runs `work` in the writer's next transaction and answers after its commit.
    ///
    /// Once the work is queued, it is done, also when the future is dropped.
    pub(crate) async fn write<T, W>(&self, sync: Sync, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&mut Changes<'_>) -> Result<T, Failure> + Send + 'static,
    {
        let ended = || StoreError::new("the store's writer has ended");
        let queue = self.queue.as_ref().ok_or_else(ended)?;
        let (answer, answered) = oneshot::channel();
        let job = Work { work: Some(work), done: None, sync, answer };
        queue.send(Box::new(job)).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }

    /// Begins a read of everything that is committed.
    pub(crate) fn reader(&self) -> Reader {
        Reader(Arc::clone(&self.slot))
    }
}

impl Drop for Writer {
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
pub(crate) struct Reader(Arc<Slot>);

impl Reader {
    pub(crate) fn begin(&self) -> Result<ReadTransaction, Failure> {
        // Held to begin a transaction, never for its length: only opening the file again needs it whole.
        let slot = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let database = slot.as_ref().ok_or(Failure::Broken("the database is not open"))?;
        Ok(database.begin_read()?)
    }
}

struct Thread {
    slot: Arc<Slot>,
    opener: Opener,
    unsynced: u32,
}

impl Thread {
    fn run(mut self, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
        let mut batch = Vec::with_capacity(GATHER);
        // No timer: while one transaction syncs, the next one's jobs gather by themselves.
        while jobs.blocking_recv_many(&mut batch, GATHER) > 0 {
            self.commit(&mut batch);
        }
        // Closing makes unsynced commits durable, and frees the file for the next to open it.
        let database = self.slot.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(error)) = database.map(Database::close) {
            tracing::error!(error = &error as &dyn std::error::Error, "the store did not close well");
        }
    }

    fn commit(&mut self, batch: &mut Vec<Box<dyn Job>>) {
        let outcome = self.transact(batch).map_err(|failure| {
            tracing::error!(error = &failure as &dyn std::error::Error, "a transaction of the store failed");
            self.recover();
            failure.during("the transaction failed")
        });
        for job in batch.drain(..) {
            job.finish(outcome.clone());
        }
    }

    fn transact(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), Failure> {
        if self.slot.read().unwrap_or_else(PoisonError::into_inner).is_none() {
            self.reopen();
        }
        let mut txn = {
            let slot = self.slot.read().unwrap_or_else(PoisonError::into_inner);
            slot.as_ref().ok_or(Failure::Broken("the database is not open"))?.begin_write()?
        };
        // Without it, opening the file after a kill walks the whole of it.
        txn.set_quick_repair(true);
        let synced = self.unsynced >= UNSYNCED || batch.iter().any(|job| job.sync() == Sync::Disk);
        if !synced {
            txn.set_durability(Durability::None)?;
        }
        let mut changes = Changes::open(&txn)?;
        for job in batch.iter_mut() {
            job.run(&mut changes)?;
        }
        changes.finish()?;
        txn.commit()?;
        self.unsynced = if synced { 0 } else { self.unsynced + 1 };
        Ok(())
    }

    /// After a failed read or write of the disk redb refuses all work until the file is opened again.
    fn recover(&mut self) {
        let failed = {
            let mut slot = self.slot.write().unwrap_or_else(PoisonError::into_inner);
            if slot.as_ref().is_some_and(|database| database.begin_write().is_ok()) {
                return;
            }
            slot.take()
        };
        // The file's lock goes with the old handle, so it must be gone before the file is opened again.
        if let Some(Err(error)) = failed.map(Database::close) {
            tracing::warn!(error = &error as &dyn std::error::Error, "the failed store did not close well");
        }
        self.reopen();
    }

    fn reopen(&mut self) {
        match (self.opener)(Opening::Again) {
            Ok(database) => {
                *self.slot.write().unwrap_or_else(PoisonError::into_inner) = Some(database);
                self.unsynced = 0;
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the failed store can't be opened again"
                );
            }
        }
    }
}
