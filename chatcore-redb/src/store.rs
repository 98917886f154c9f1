//! The store: a handle on one open file, and its log's reads.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chatcore::store::{AppendError, Appended, Durability, EventStore, Head, Page, Replay, StoreError};
use chatcore::{Append, ChannelId, Event, Message, Position, Seq, Timestamp};
use redb::{Database, DatabaseError, ReadTransaction, StorageError};

use crate::error::{Failure, OpenError};
use crate::log::Changes;
use crate::schema::{EVENTS, Kind, LAYOUT, LOGS, MESSAGES, begun, decode, log, prepare};
use crate::writer::{Opener, Opening, Sync, Writer};

/// How often a locked file is tried while it is waited for.
const LOCK_RETRY: Duration = Duration::from_millis(20);

/// How to open a [`RedbStore`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Options {
    lock_wait: Duration,
    cache_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { lock_wait: Duration::from_secs(5), cache_bytes: 64 << 20 }
    }
}

impl Options {
    /// Sets how long to wait for a file that another process has open; by default 5 s, as a predecessor that
    /// was just killed holds its lock for a moment longer.
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.lock_wait = wait;
        self
    }

    /// Sets how many bytes of the file are kept in memory; by default 64 MiB.
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// Opens a store as [`RedbStore::open`] does.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<RedbStore, OpenError> {
        let path = path.as_ref().to_path_buf();
        let opener = move |opening| self.open_database(&path, opening);
        RedbStore::with_opener(Box::new(opener))
    }

    fn open_database(self, path: &Path, opening: Opening) -> Result<Database, OpenError> {
        if opening == Opening::First
            && let Some(folder) = path.parent()
        {
            std::fs::create_dir_all(folder)
                .map_err(|source| OpenError::Folder { path: path.to_path_buf(), source })?;
        }
        let database = self.wait_for_lock(path, opening)?;
        match prepare(&database) {
            Ok(Kind::Ours) => Ok(database),
            Ok(Kind::Foreign) => Err(OpenError::Foreign { path: path.to_path_buf() }),
            Ok(Kind::Newer(found)) => {
                Err(OpenError::Newer { path: path.to_path_buf(), found, known: LAYOUT })
            }
            Err(failure) => Err(OpenError::of(path, failure)),
        }
    }

    fn wait_for_lock(self, path: &Path, opening: Opening) -> Result<Database, OpenError> {
        let began = Instant::now();
        let mut builder = Database::builder();
        builder.set_cache_size(self.cache_bytes);
        loop {
            let opened = match opening {
                Opening::First => builder.create(path),
                Opening::Again => builder.open(path),
            };
            let path: PathBuf = path.to_path_buf();
            return match opened {
                Ok(database) => Ok(database),
                Err(DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch) => {
                    if began.elapsed() < self.lock_wait {
                        std::thread::sleep(LOCK_RETRY.min(self.lock_wait));
                        continue;
                    }
                    Err(OpenError::Locked { path, waited: self.lock_wait })
                }
                Err(DatabaseError::UpgradeRequired(_)) => Err(OpenError::Foreign { path }),
                // What redb says of a file without its magic number.
                Err(DatabaseError::Storage(StorageError::Io(e)))
                    if e.kind() == std::io::ErrorKind::InvalidData =>
                {
                    Err(OpenError::Foreign { path })
                }
                Err(error) => Err(OpenError::Database { path, source: Box::new(error.into()) }),
            };
        }
    }
}

/// A durable [`Store`](chatcore::store::Store) in one file. Clones are handles on the same open file.
///
/// One thread writes: it takes every append, directory change and upload that waits into one transaction and
/// one sync of the disk, and answers after it. A write whose future is dropped is done or not, never in part.
/// After a [`StoreError`] of a write its outcome is unknown.
///
/// Every answer means that the write is on the disk, but for [`mark_read`]: its change is seen at once and
/// synced with the next write.
///
/// Reads run on tokio's blocking threads, so the methods need a tokio runtime.
///
/// Dropping the last handle waits for the writer, and closes the file.
///
/// [`mark_read`]: chatcore::store::Directory::mark_read
#[derive(Clone)]
pub struct RedbStore {
    writer: Arc<Writer>,
}

impl RedbStore {
    /// Opens the store in the file `path`, and makes the file and its folders where they are not there.
    ///
    /// It blocks, for the time of a few disk accesses, or up to 5 s while another process has the file open
    /// ([`Options::lock_wait`]).
    ///
    /// # Errors
    /// [`OpenError`] says whether the file is another program's, a newer version's, open in another process
    /// or can't be used.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Options::default().open(path)
    }

    /// Returns the options to open a store with, at their defaults.
    pub fn options() -> Options {
        Options::default()
    }

    pub(crate) fn with_opener(opener: Opener) -> Result<Self, OpenError> {
        Ok(Self { writer: Arc::new(Writer::start(opener)?) })
    }

    pub(crate) async fn write<T, W>(&self, sync: Sync, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&mut Changes<'_>) -> Result<T, Failure> + Send + 'static,
    {
        self.writer.write(sync, work).await
    }

    /// Reads on a blocking thread: a page that is not in the cache comes from the disk, and decoding a hundred
    /// messages takes 160 µs. The way there and back costs 7 µs, about half of what one cached message takes.
    pub(crate) async fn read<T, R>(&self, what: &'static str, read: R) -> Result<T, StoreError>
    where
        T: Send + 'static,
        R: FnOnce(&ReadTransaction) -> Result<T, Failure> + Send + 'static,
    {
        let reader = self.writer.reader();
        let reading = tokio::task::spawn_blocking(move || read(&reader.begin()?));
        match reading.await {
            Ok(answer) => answer.map_err(|failure| failure.during(what)),
            Err(error) => Err(StoreError::because(what, error)),
        }
    }

    pub(crate) async fn heads_of(&self, channels: Vec<ChannelId>) -> Result<Vec<Option<Head>>, StoreError> {
        self.read("the heads can't be read", move |txn| heads(txn, &channels)).await
    }
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore").finish_non_exhaustive()
    }
}

#[async_trait]
impl EventStore for RedbStore {
    async fn append(&self, batch: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
        let items = batch.len();
        match self.write(Sync::Disk, move |changes| changes.append(batch)).await {
            Ok(answers) => answers,
            Err(error) => vec![Err(AppendError::Store(error)); items],
        }
    }

    async fn after(
        &self,
        channel: ChannelId,
        position: &Position,
        limit: usize,
    ) -> Result<Replay, StoreError> {
        let position = position.clone();
        self.read("the log can't be read", move |txn| after(txn, channel, &position, limit)).await
    }

    async fn messages_before(
        &self,
        channel: ChannelId,
        before: Seq,
        limit: usize,
    ) -> Result<Page, StoreError> {
        self.read("the messages can't be read", move |txn| messages_before(txn, channel, before, limit)).await
    }

    async fn message(&self, channel: ChannelId, seq: Seq) -> Result<Option<Message>, StoreError> {
        self.read("the message can't be read", move |txn| {
            txn.open_table(MESSAGES)?.get((channel.0, seq))?.map(|row| decode(row.value().1)).transpose()
        })
        .await
    }

    async fn heads(&self, channels: &[ChannelId]) -> Result<Vec<Option<Head>>, StoreError> {
        self.heads_of(channels.to_vec()).await
    }

    /// Prunes in steps of a transaction each, so that appends are never kept waiting for long. Dropped or
    /// failed in between, it has trimmed the log less far.
    async fn prune(&self, channel: ChannelId, through: Seq, now: Timestamp) -> Result<(), StoreError> {
        while self.write(Sync::Disk, move |changes| changes.prune(channel, through, now)).await? {}
        Ok(())
    }

    fn durability(&self) -> Durability {
        Durability::Disk
    }
}

fn after(
    txn: &ReadTransaction,
    channel: ChannelId,
    position: &Position,
    limit: usize,
) -> Result<Replay, Failure> {
    let log = log(&txn.open_table(LOGS)?, channel.0)?.ok_or(Failure::Broken("there is no such channel"))?;
    if position.epoch != log.epoch || position.seq > log.head || position.seq < log.trimmed {
        return Ok(Replay::Reset(Head { epoch: log.epoch, seq: log.head }));
    }
    // Without a gap in the log, these are as many events as are asked for.
    let last = position.seq.saturating_add(limit as Seq).min(log.head);
    let range = (channel.0, position.seq + 1)..=(channel.0, last);
    let mut events = BTreeMap::new();
    for row in txn.open_table(MESSAGES)?.range(range.clone())? {
        let message: Message = decode(row?.1.value().1)?;
        events.insert(message.seq, begun(message));
    }
    for row in txn.open_table(EVENTS)?.range(range)? {
        let event: Event = decode(row?.1.value())?;
        events.insert(event.seq, event);
    }
    Ok(Replay::Events(events.into_values().collect()))
}

fn messages_before(
    txn: &ReadTransaction,
    channel: ChannelId,
    before: Seq,
    limit: usize,
) -> Result<Page, Failure> {
    let rows = txn.open_table(MESSAGES)?;
    let mut rows = rows.range((channel.0, 0)..(channel.0, before))?.rev();
    let mut messages = Vec::new();
    for row in rows.by_ref().take(limit) {
        messages.push(decode(row?.1.value().1)?);
    }
    messages.reverse();
    Ok(Page { messages, more: rows.next().transpose()?.is_some() })
}

fn heads(txn: &ReadTransaction, channels: &[ChannelId]) -> Result<Vec<Option<Head>>, Failure> {
    let logs = txn.open_table(LOGS)?;
    let head =
        |channel: &ChannelId| Ok(log(&logs, channel.0)?.map(|log| Head { epoch: log.epoch, seq: log.head }));
    channels.iter().map(head).collect()
}
