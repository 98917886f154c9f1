//! The writer's thread. It puts all queued jobs into one transaction, so that one sync of the disk serves every waiting
//! caller, and answers after the commit. With a journal, a transaction has many rounds of jobs, and most are answered when
//! the journal has what they changed.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use chatcore::FailureLog;
use chatcore::store::StoreError;
use redb::{Durability, WriteTransaction};
use tokio::runtime::{self, Runtime};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::unsynced::Unsynced;
use super::{GATHER, Job, Shared, SyncMode, contained};
use crate::error::{OpenError, TransactionError};
use crate::journal::{Journal, Mark};
use crate::layout::Layout;
use crate::opening::{Opener, Opening};

/// Rounds that are committed one by one after a read had to wait for a commit. More reads may follow, and the next ones
/// should not wait.
const READ_ROUNDS: u32 = 64;

type Batch<L> = Vec<Box<dyn Job<L>>>;

pub(super) struct Thread<L: Layout> {
    shared: Arc<Shared>,
    opener: Opener,
    jobs: mpsc::Receiver<Box<dyn Job<L>>>,
    journal: Option<Journal<L>>,
    /// Ends the wait for jobs when a sync is due.
    timer: Runtime,
    unsynced: Unsynced,
    /// The rounds that are still committed one by one.
    read_rounds: u32,
    /// Reports failures that no caller sees. The callers of a failed transaction report its failure themselves.
    failures: FailureLog,
}

/// What to do after a round.
enum Next {
    /// Answer, and run the next round in the same transaction.
    Hold,
    /// Commit, then answer.
    Commit { synced: bool },
}

/// How a transaction ends.
enum End {
    Unchanged,
    Commit { synced: bool, mark: Option<Mark> },
}

impl<L: Layout> Thread<L> {
    pub(super) fn new(
        shared: Arc<Shared>,
        opener: Opener,
        jobs: mpsc::Receiver<Box<dyn Job<L>>>,
        sync_within: Duration,
        journal: Option<Journal<L>>,
    ) -> Result<Self, OpenError> {
        let timer =
            runtime::Builder::new_current_thread().enable_time().build().map_err(OpenError::Thread)?;
        let ahead_within = journal.as_ref().map_or(sync_within, |journal| journal.within);
        let (unsynced, failures) = (Unsynced::new(sync_within, ahead_within), FailureLog::new());
        Ok(Self { shared, opener, jobs, journal, timer, unsynced, read_rounds: 0, failures })
    }

    pub(super) fn run(mut self) {
        let mut batch = Vec::with_capacity(GATHER);
        // While one transaction syncs, jobs for the next one gather in the queue.
        while self.gather(&mut batch) {
            self.check();
            self.commit(&mut batch);
            self.check();
        }
        if self.journal.as_ref().is_some_and(Journal::has_records) {
            self.commit(&mut batch);
        }
        // Before the file is unlocked: another process may make a journal then. A file that could not be opened again may
        // not have what the journal has.
        if self.shared.database.read().unwrap_or_else(PoisonError::into_inner).is_some() {
            self.remove_journal();
        }
        // Closing syncs the last commits, and unlocks the file.
        if let Some(Err(failure)) = self.close() {
            self.failures.failed("a database file could not be closed cleanly", "", &failure);
        }
    }

    fn remove_journal(&mut self) {
        if let Some(Err(error)) = self.journal.as_mut().map(Journal::remove) {
            self.failures.failed("a journal could not be removed", "", &error);
        }
    }

    /// Waits for jobs or until a sync is due. In the second case the batch is empty. Returns whether there is work.
    fn gather(&mut self, batch: &mut Batch<L>) -> bool {
        let Some(left) = self.unsynced.left() else {
            return self.jobs.blocking_recv_many(batch, GATHER) > 0;
        };
        match self.timer.block_on(async { timeout(left, self.jobs.recv_many(batch, GATHER)).await }) {
            Ok(jobs) => jobs > 0,
            Err(_due) => true,
        }
    }

    /// Checks the database after a failed read.
    fn check(&mut self) {
        if self.shared.suspect.swap(false, Ordering::AcqRel) && !self.works() {
            self.open_again();
        }
    }

    fn commit(&mut self, batch: &mut Batch<L>) {
        let outcome = contained(|| self.transact(batch)).map_err(|failure| {
            self.unsynced.put_off();
            if batch.is_empty() {
                self.failures.failed("the newest writes could not be synced", "", &failure);
            }
            // After a panic redb may be in any state. After a failed access it refuses all further work.
            let opened = !matches!(failure, TransactionError::NotOpen);
            if opened && (matches!(failure, TransactionError::Panicked(_)) || !self.works()) {
                self.open_again();
            }
            failure.during("the transaction failed")
        });
        answer(batch, &outcome);
    }

    fn transact(&mut self, batch: &mut Batch<L>) -> Result<(), TransactionError> {
        if self.shared.database.read().unwrap_or_else(PoisonError::into_inner).is_none() {
            self.reopen();
        }
        let mut txn = {
            let database = self.shared.database.read().unwrap_or_else(PoisonError::into_inner);
            database.as_ref().ok_or(TransactionError::NotOpen)?.begin_write()?
        };
        // Otherwise opening the file after a kill scans the whole file.
        txn.set_quick_repair(true);
        // Catch panics here too: a transaction that is dropped while unwinding is not rolled back by redb.
        let end = match contained(|| self.fill(&txn, batch)) {
            Ok(end) => end,
            Err(failure) => {
                // The abort may panic again. The first panic is the one to report.
                let _ = contained(|| Ok(txn.abort()?));
                return Err(failure);
            }
        };
        let End::Commit { synced, mark } = end else { return Ok(txn.abort()?) };
        if !synced {
            txn.set_durability(Durability::None)?;
        }
        txn.commit()?;
        self.shared.ahead.store(false, Ordering::Release);
        if synced {
            self.unsynced.clear();
        } else {
            self.unsynced.add();
        }
        if let (Some(journal), Some(mark)) = (&mut self.journal, mark)
            && let Err(error) = journal.committed(mark)
        {
            self.failures.failed("a journal could not be created", "", &error);
        }
        Ok(())
    }

    /// Runs rounds of jobs, until the transaction must be committed or has nothing to commit.
    fn fill(&mut self, txn: &WriteTransaction, batch: &mut Batch<L>) -> Result<End, TransactionError> {
        let mut changes = L::begin(txn)?;
        if let Some(journal) = &mut self.journal {
            journal.replay(&mut changes)?;
        }
        let synced = loop {
            for job in &mut *batch {
                job.run(&mut changes)?;
            }
            match self.end_round(&mut changes, batch)? {
                Next::Commit { synced } => break synced,
                Next::Hold => {
                    answer(batch, &Ok(()));
                    if !self.is_ahead() {
                        return Ok(End::Unchanged);
                    }
                    if !self.gather(batch) {
                        break true;
                    }
                }
            }
        };
        let mark = self.journal.as_ref().and_then(|journal| journal.mark(synced));
        if let (Some(journal), Some(mark)) = (&self.journal, mark) {
            (journal.hooks.mark)(&mut changes, mark)?;
        }
        let changed = L::finish(changes)?;
        if changed || (synced && self.unsynced.has_commits()) {
            Ok(End::Commit { synced, mark })
        } else {
            Ok(End::Unchanged)
        }
    }

    fn is_ahead(&self) -> bool {
        self.journal.as_ref().is_some_and(Journal::is_ahead)
    }

    /// Adds what a round has changed to the journal, if that is enough for its answers.
    fn end_round(
        &mut self,
        changes: &mut L::Changes<'_>,
        batch: &Batch<L>,
    ) -> Result<Next, TransactionError> {
        let has = |mode| batch.iter().any(|job| job.sync() == mode);
        let due = batch.is_empty() || self.unsynced.is_due();
        let Some(journal) = &mut self.journal else {
            return Ok(Next::Commit { synced: due || has(SyncMode::Disk) || has(SyncMode::Journal) });
        };
        if due {
            return Ok(Next::Commit { synced: true });
        }
        // Commits without a sync have only what the journal has.
        if has(SyncMode::Disk) && (journal.hooks.changed)(changes) {
            return Ok(Next::Commit { synced: true });
        }
        let record = (journal.hooks.take)(changes);
        if !record.is_empty() {
            if !journal.has_room_for(&record) {
                return Ok(Next::Commit { synced: true });
            }
            // Without an append, a later sync is soon enough.
            if let Err(error) = journal.add(record, has(SyncMode::Journal)) {
                self.failures.failed("a journal could not be written", "", &error);
                return Ok(Next::Commit { synced: true });
            }
            self.unsynced.is_ahead();
            self.shared.ahead.store(true, Ordering::Release);
        }
        if has(SyncMode::Visible) {
            self.read_rounds = READ_ROUNDS;
        }
        if has(SyncMode::Visible) || self.read_rounds > 0 {
            self.read_rounds = self.read_rounds.saturating_sub(1);
            return Ok(Next::Commit { synced: false });
        }
        Ok(Next::Hold)
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
                if let Some(journal) = &mut self.journal
                    && let Err(failure) = contained(|| journal.recover(&database))
                {
                    return self.could_not_reopen(&failure);
                }
                *self.shared.database.write().unwrap_or_else(PoisonError::into_inner) = Some(database);
                self.shared.ahead.store(false, Ordering::Release);
                self.unsynced.reopened();
            }
            Ok(Err(error)) => self.could_not_reopen(&error),
            Err(failure) => self.could_not_reopen(&failure),
        }
    }
}

/// Answers a batch's callers.
fn answer<L: Layout>(batch: &mut Batch<L>, outcome: &Result<(), StoreError>) {
    for job in batch.drain(..) {
        job.finish(outcome.clone());
    }
}
