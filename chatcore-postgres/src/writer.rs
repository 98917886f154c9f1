//! The writer tasks. Each puts the queued items into one transaction, and tries it until the database answers.

use std::sync::Arc;
use std::time::Duration;

use chatcore::FailureLog;
use chatcore::store::{Append, AppendError, StoreError};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout_at};

use crate::append::{Answer, Call};
use crate::config::Builder;
use crate::database::Database;
use crate::error::{Failure, Remedy};
use crate::item::Item;

/// The pause before the first retry of a failed batch. Each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause before a retry.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

const FAILED: &str = "the items could not be appended";

/// A call of `append` in the queue.
struct Job {
    items: Vec<Item>,
    deadline: Instant,
    answer: oneshot::Sender<Vec<Answer>>,
}

/// A handle to the writers. When the last one is dropped, they answer what is queued and end.
#[derive(Clone)]
pub(crate) struct Writers {
    queue: mpsc::Sender<Job>,
    retry_for: Duration,
}

impl Writers {
    /// Starts the tasks. Each uses a connection of `database`.
    pub(crate) fn start(builder: &Builder, database: &Database) -> Self {
        let (queue, jobs) = mpsc::channel(builder.queue);
        let jobs = Arc::new(Mutex::new(Jobs { queued: jobs, next: None }));
        let failures = FailureLog::new();
        for _ in 0..builder.writers {
            let writer = Writer {
                database: database.clone(),
                sql: Call::sql(&builder.schema),
                batch: builder.batch,
                jobs: Arc::clone(&jobs),
                failures: failures.clone(),
            };
            tokio::spawn(writer.run());
        }
        Self { queue, retry_for: builder.retry_for }
    }

    /// Appends a batch in order, and returns after the commit or when the time is up.
    ///
    /// Once the batch is queued it is done, even if the future is dropped.
    pub(crate) async fn append(&self, batch: Vec<Append>) -> Vec<Answer> {
        let deadline = Instant::now() + self.retry_for;
        let mut items = Vec::with_capacity(batch.len());
        let keep = |item: Result<Item, AppendError>| item.map(|item| items.push(item));
        let taken: Vec<Result<(), AppendError>> = Item::all(batch).into_iter().map(keep).collect();
        let mut answers = self.send(items, deadline).await.into_iter();
        let unanswered = || Err(StoreError::new("the store's writers have stopped").into());
        taken.into_iter().map(|item| item.and_then(|()| answers.next().unwrap_or_else(unanswered))).collect()
    }

    async fn send(&self, items: Vec<Item>, deadline: Instant) -> Vec<Answer> {
        if items.is_empty() {
            return Vec::new();
        }
        let count = items.len();
        let (answer, answered) = oneshot::channel();
        match timeout_at(deadline, self.queue.send(Job { items, deadline, answer })).await {
            Ok(Ok(())) => answered.await.unwrap_or_default(),
            Ok(Err(_)) => Vec::new(),
            Err(_) => vec![Err(StoreError::new("the store's queue is full").into()); count],
        }
    }
}

/// The queue. The writers take turns to gather from it.
struct Jobs {
    queued: mpsc::Receiver<Job>,
    /// The job that did not fit into the last batch.
    next: Option<Job>,
}

impl Jobs {
    /// Waits for a job and takes further queued ones, up to `batch` items. Returns no job if the queue has ended.
    async fn gather(&mut self, batch: usize) -> Vec<Job> {
        let first = match self.next.take() {
            Some(job) => Some(job),
            None => self.queued.recv().await,
        };
        let Some(first) = first else { return Vec::new() };
        // Lets other tasks queue their jobs too: a transaction costs one sync, for one job as for ten.
        yield_now().await;
        let mut items = first.items.len();
        let mut jobs = vec![first];
        while let Ok(job) = self.queued.try_recv() {
            if items + job.items.len() > batch {
                self.next = Some(job);
                break;
            }
            items += job.items.len();
            jobs.push(job);
        }
        jobs
    }
}

struct Writer {
    database: Database,
    sql: String,
    batch: usize,
    jobs: Arc<Mutex<Jobs>>,
    failures: FailureLog,
}

impl Writer {
    async fn run(self) {
        loop {
            // No timer is needed: while one batch commits, jobs for the next one gather in the queue.
            let jobs = self.jobs.lock().await.gather(self.batch).await;
            if jobs.is_empty() {
                return;
            }
            self.commit(jobs).await;
        }
    }

    async fn commit(&self, jobs: Vec<Job>) {
        let now = Instant::now();
        let (jobs, late): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| job.deadline > now);
        for job in late {
            let late = Err(StoreError::new("the items waited too long for a writer").into());
            let _ = job.answer.send(vec![late; job.items.len()]);
        }
        let Some(deadline) = jobs.iter().map(|job| job.deadline).min() else { return };
        let mut items = Vec::new();
        let mut waiting = Vec::new();
        for job in jobs {
            waiting.push((job.items.len(), job.answer));
            items.extend(job.items);
        }
        let mut answers = Vec::with_capacity(items.len());
        for chunk in items.chunks(self.batch) {
            answers.extend(self.append(chunk, deadline).await);
        }
        let mut answers = answers.into_iter();
        for (count, answer) in waiting {
            // The receiver is gone if the caller's future was dropped. The job is done anyway.
            let _ = answer.send(answers.by_ref().take(count).collect());
        }
    }

    /// Appends a batch. If the database rejects its data, bisects it down to the rejected item.
    async fn append(&self, items: &[Item], deadline: Instant) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(items.len());
        let mut parts = vec![items];
        while let Some(part) = parts.pop() {
            match self.until_answered(part, deadline).await {
                Ok(taken) => answers.extend(taken),
                Err(failure) if failure.remedy() != Remedy::Bisect => {
                    let error = AppendError::Store(failure.during(FAILED));
                    answers.extend(part.iter().map(|_| Err(error.clone())));
                }
                Err(failure) if part.len() == 1 => {
                    self.failures.failed("PostgreSQL rejected an item's data", "", &failure);
                    answers.push(Err(AppendError::Rejected("PostgreSQL rejected the data")));
                }
                Err(_) => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
            }
        }
        answers
    }

    /// Tries a batch until the database answers. The items' keys make that safe: items that an earlier try has
    /// committed are found again.
    async fn until_answered(&self, items: &[Item], deadline: Instant) -> Result<Vec<Answer>, Failure> {
        let call = Call::new(items);
        let mut pause = FIRST_PAUSE;
        loop {
            let failure = match self.database.query_until(deadline, &self.sql, &call.params()).await {
                Ok(rows) => return call.answers(&rows),
                Err(failure) => failure,
            };
            if failure.remedy() != Remedy::Again || Instant::now() + pause >= deadline {
                return Err(failure);
            }
            tracing::debug!(error = &failure as &dyn std::error::Error, "trying a batch again");
            sleep(pause).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }
}
