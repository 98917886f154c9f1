//! The store: a handle to one open file, and the reads of its logs.

use std::fmt;
use std::ops::Bound;
use std::path::Path;

use async_trait::async_trait;
use chatcore::store::{Append, Check, Event};
use chatcore::store::{
    AppendError, Appended, Durability, EventStore, Head, Page, PageLimit, Replay, StoreError, Upload,
};
use chatcore::{AttachmentId, ChannelId, Clock, Message, Position, Seq, Timestamp};
use redb::{Database, ReadOnlyTable, ReadTransaction, WriteTransaction};

use crate::attachments;
use crate::backup::BackupError;
use crate::consumers::Leases;
use crate::error::{OpenError, TransactionError};
use crate::file::RedbFile;
use crate::journaled;
use crate::layout::{Layout, LayoutKind};
use crate::log::Changes;
use crate::opening::{Builder, Opening};
use crate::schema::{self, EVENTS, LOGS, Log, MESSAGES, begun, decode, log};
use crate::upgrade;
use crate::writer::SyncMode;

/// A durable [`Store`](chatcore::store::Store) in one file, with a journal beside it while it is open. Clones are handles to
/// the same open file.
///
/// - One thread writes. It puts all waiting appends, directory changes and uploads into one transaction, or into the
///   journal, syncs the disk once, and then answers them.
/// - An answer means that the write is on the disk. The exception is [`mark_read`]: later reads see its change at
///   once, and it is synced with the next write, or by itself within a second. If a read comes before that, it is synced
///   within [`Builder::sync_within`] of the read.
/// - If the future of a write is dropped, the write happens as a whole or not at all.
/// - After a [`StoreError`] the outcome of a write is unknown.
/// - Reads run on tokio's blocking threads, so the methods need a tokio runtime.
///
/// Dropping the last handle waits for the writer and closes the file.
///
/// [`mark_read`]: chatcore::store::Directory::mark_read
#[derive(Clone)]
pub struct RedbStore {
    pub(crate) file: RedbFile<Chat>,
    pub(crate) clock: Clock,
    pub(crate) leases: Leases,
}

/// The layout of a chat's file.
pub(crate) struct Chat;

impl Layout for Chat {
    type Changes<'t> = Changes<'t>;

    fn prepare(database: &Database) -> Result<LayoutKind, TransactionError> {
        upgrade::prepare(database)
    }

    fn begin(txn: &WriteTransaction) -> Result<Changes<'_>, TransactionError> {
        Ok(Changes::open(txn))
    }

    fn finish(changes: Changes<'_>) -> Result<bool, TransactionError> {
        changes.finish()
    }

    fn copy(from: &ReadTransaction, to: &WriteTransaction) -> Result<(), TransactionError> {
        schema::copy(from, to)
    }
}

impl Builder {
    /// Opens a store with these settings, as [`RedbStore::open`] does.
    ///
    /// # Errors
    /// [`OpenError`] if the file is empty, another program's, a newer version's, open elsewhere, or unusable.
    pub fn open(self, path: impl AsRef<Path>) -> Result<RedbStore, OpenError> {
        Ok(RedbStore::of(self.open_journaled(path.as_ref(), journaled::hooks())?))
    }
}

impl RedbStore {
    pub(crate) fn of(file: RedbFile<Chat>) -> Self {
        Self { file, clock: Clock::default(), leases: Leases::default() }
    }

    /// Returns the settings for opening a store, at their defaults.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Opens the store in the file `path`. If it does not exist, creates it with mode 0600, and missing folders with
    /// mode 0700. Removes other users' access to an existing file.
    ///
    /// Blocks the thread for a few disk accesses, or for up to 5 s while another process has the file open
    /// ([`Builder::lock_wait`]).
    ///
    /// # Errors
    /// [`OpenError`] if the file is empty, another program's, a newer version's, open elsewhere, or unusable.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Builder::default().open(path)
    }

    /// Opens the store in the database that `opener` opens, as [`RedbFile::open_with`] does.
    ///
    /// # Errors
    /// The [`OpenError`] of `opener`, or another one if the database is not a chat store.
    pub fn open_with(
        path: impl AsRef<Path>,
        opener: impl Fn(Opening) -> Result<Database, OpenError> + Send + 'static,
    ) -> Result<Self, OpenError> {
        Ok(Self::of(RedbFile::open_with(path, opener)?))
    }

    /// Uses `clock` for the times of events and channels, in this handle and its clones.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Gives every channel a new epoch, so that every client that resumes gets a reset. Call it once after you
    /// restored the file from a backup, before a chat serves it. A client that sends the check of its last event
    /// gets a reset anyway if it has seen lost events; a client of an earlier version needs the new epoch.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be written.
    ///
    /// # Cancel safety
    /// Once the call is queued it is done, even if the future is dropped.
    pub async fn renew_epochs(&self) -> Result<(), StoreError> {
        self.write(SyncMode::Disk, |changes| changes.renew_epochs()).await
    }

    /// Writes a copy of the store, as it is at one moment, to the new file `path`, as [`RedbFile::backup`] does.
    /// [`uploads`](Self::uploads) of the copy lists the files of the blob store that belong to it. Keep these files
    /// with [`Chat::hold_files`](chatcore::Chat::hold_files), from before this call until they are copied.
    ///
    /// # Errors
    /// [`BackupError`] if `path` exists, or if the copy fails. Then nothing is left of the backup.
    ///
    /// # Cancel safety
    /// A backup that has started goes on, even if the future is dropped.
    pub async fn backup(&self, path: impl AsRef<Path>) -> Result<(), BackupError> {
        self.file.backup(path).await
    }

    /// Returns up to `limit` uploads that are complete and not discarded ([`UploadState::Ready`] and
    /// [`UploadState::Attached`]), with ids after `after`, ordered by id. Fewer than `limit` means that these are the
    /// last.
    ///
    /// [`UploadState::Ready`]: chatcore::store::UploadState::Ready
    /// [`UploadState::Attached`]: chatcore::store::UploadState::Attached
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    pub async fn uploads(
        &self,
        after: Option<&AttachmentId>,
        limit: usize,
    ) -> Result<Vec<Upload>, StoreError> {
        let after = after.cloned();
        self.read("the uploads can't be read", move |txn| attachments::wanted(txn, after.as_ref(), limit))
            .await
    }

    pub(crate) async fn write<T, W>(&self, sync: SyncMode, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&mut Changes<'_>) -> Result<T, TransactionError> + Send + 'static,
    {
        self.file.write_until(sync, work).await
    }

    pub(crate) async fn read<T, R>(&self, what: &'static str, read: R) -> Result<T, StoreError>
    where
        T: Send + 'static,
        R: FnOnce(&ReadTransaction) -> Result<T, TransactionError> + Send + 'static,
    {
        self.file.read(what, read).await
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
        let clock = self.clock.clone();
        match self.write(SyncMode::Journal, move |changes| changes.append(batch, clock.now())).await {
            Ok(answers) => answers,
            Err(error) => vec![Err(AppendError::Store(error)); items],
        }
    }

    async fn after(
        &self,
        channel: ChannelId,
        position: &Position,
        limit: PageLimit,
    ) -> Result<Replay, StoreError> {
        let position = position.clone();
        self.read("the log can't be read", move |txn| after(txn, channel, &position, limit)).await
    }

    async fn after_many(
        &self,
        positions: &[(ChannelId, Position)],
        limit: PageLimit,
    ) -> Result<Vec<Option<Replay>>, StoreError> {
        let positions = positions.to_vec();
        self.read("the logs can't be read", move |txn| after_many(txn, &positions, limit)).await
    }

    async fn messages_before(
        &self,
        channel: ChannelId,
        before: Seq,
        limit: PageLimit,
    ) -> Result<Page, StoreError> {
        self.read("the messages can't be read", move |txn| messages_before(txn, channel, before, limit)).await
    }

    async fn messages_after(
        &self,
        channel: ChannelId,
        after: Seq,
        limit: PageLimit,
    ) -> Result<Page, StoreError> {
        self.read("the messages can't be read", move |txn| messages_after(txn, channel, after, limit)).await
    }

    async fn message(&self, channel: ChannelId, seq: Seq) -> Result<Option<Message>, StoreError> {
        self.read("the message can't be read", move |txn| {
            txn.open_table(MESSAGES)?.get((channel.0, seq))?.map(|row| decode(row.value().1)).transpose()
        })
        .await
    }

    async fn heads(&self, channels: &[ChannelId]) -> Result<Vec<Option<Head>>, StoreError> {
        let channels = channels.to_vec();
        self.read("the heads can't be read", move |txn| heads(txn, &channels)).await
    }

    /// Prunes in several transactions, so that no append waits long. If it fails or is dropped between two of them,
    /// the log is trimmed less far.
    async fn prune(&self, channel: ChannelId, through: Seq, now: Timestamp) -> Result<(), StoreError> {
        while self.write(SyncMode::Disk, move |changes| changes.prune(channel, through, now)).await? {}
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
    limit: PageLimit,
) -> Result<Replay, TransactionError> {
    let log = log(&txn.open_table(LOGS)?, channel.0)?
        .ok_or(TransactionError::Broken("there is no such channel"))?;
    replay(&Rows::open(txn)?, log, channel, position, limit)
}

fn after_many(
    txn: &ReadTransaction,
    positions: &[(ChannelId, Position)],
    limit: PageLimit,
) -> Result<Vec<Option<Replay>>, TransactionError> {
    let logs = txn.open_table(LOGS)?;
    let rows = Rows::open(txn)?;
    let of = |(channel, position): &(ChannelId, Position)| {
        log(&logs, channel.0)?.map(|log| replay(&rows, log, *channel, position, limit)).transpose()
    };
    positions.iter().map(of).collect()
}

/// Returns the events of `log` after the position.
fn replay(
    rows: &Rows,
    log: Log,
    channel: ChannelId,
    position: &Position,
    limit: PageLimit,
) -> Result<Replay, TransactionError> {
    if position.epoch != log.epoch
        || position.seq > log.head
        || position.seq < log.trimmed
        || (position.check.is_some() && !position.fits(rows.check(channel, position.seq)?))
    {
        return Ok(Replay::Reset(rows.head(channel, log)?));
    }
    let range = (channel.0, position.seq + 1)..=(channel.0, log.head);
    let Rows { messages, events: others } = rows;
    let (mut messages, mut others) = (messages.range(range.clone())?, others.range(range)?);
    let (mut message, mut other) = (messages.next().transpose()?, others.next().transpose()?);
    let mut page = limit.fill();
    let mut events: Vec<Event> = Vec::new();
    // The log has no gaps, so each `seq` has a row in one of the two tables. An edited message has rows in both.
    for seq in position.seq + 1..=log.head {
        let at = |key: (u64, u64)| key.1 == seq;
        let begins = message.as_ref().filter(|row| at(row.0.value()));
        let event = match (other.as_ref().filter(|row| at(row.0.value())), begins) {
            (Some(row), _) => decode(row.1.value())?,
            (None, Some(row)) => begun(decode(row.1.value().1)?),
            (None, None) => return Err(TransactionError::Broken("an event of the log is missing")),
        };
        if !page.take(event.weight()) {
            break;
        }
        events.push(event);
        if other.as_ref().is_some_and(|row| at(row.0.value())) {
            other = others.next().transpose()?;
        }
        if message.as_ref().is_some_and(|row| at(row.0.value())) {
            message = messages.next().transpose()?;
        }
    }
    let more = events.last().map_or(position.seq, |event| event.seq) < log.head;
    Ok(Replay::Events { events, more })
}

fn messages_before(
    txn: &ReadTransaction,
    channel: ChannelId,
    before: Seq,
    limit: PageLimit,
) -> Result<Page, TransactionError> {
    let rows = txn.open_table(MESSAGES)?;
    let mut page = filled(rows.range((channel.0, 0)..(channel.0, before))?.rev(), limit)?;
    page.messages.reverse();
    Ok(page)
}

fn messages_after(
    txn: &ReadTransaction,
    channel: ChannelId,
    after: Seq,
    limit: PageLimit,
) -> Result<Page, TransactionError> {
    let rows = txn.open_table(MESSAGES)?;
    let bounds = (Bound::Excluded((channel.0, after)), Bound::Included((channel.0, Seq::MAX)));
    filled(rows.range::<(u64, u64)>(bounds)?, limit)
}

/// Returns a page of these rows of [`MESSAGES`], in their order.
fn filled<'a>(
    rows: impl Iterator<Item = Result<MessageRow<'a>, redb::StorageError>>,
    limit: PageLimit,
) -> Result<Page, TransactionError> {
    let mut page = limit.fill();
    let mut messages: Vec<Message> = Vec::new();
    for row in rows {
        let message: Message = decode(row?.1.value().1)?;
        if !page.take(message.weight()) {
            return Ok(Page::new(messages, true));
        }
        messages.push(message);
    }
    Ok(Page::new(messages, false))
}

type MessageRow<'a> = (redb::AccessGuard<'a, (u64, u64)>, redb::AccessGuard<'a, (u64, &'static [u8])>);

fn heads(txn: &ReadTransaction, channels: &[ChannelId]) -> Result<Vec<Option<Head>>, TransactionError> {
    let logs = txn.open_table(LOGS)?;
    let rows = Rows::open(txn)?;
    let head = |channel: &ChannelId| log(&logs, channel.0)?.map(|log| rows.head(*channel, log)).transpose();
    channels.iter().map(head).collect()
}

/// The tables that hold a log's events.
struct Rows {
    messages: ReadOnlyTable<(u64, u64), (u64, &'static [u8])>,
    events: ReadOnlyTable<(u64, u64), &'static [u8]>,
}

impl Rows {
    fn open(txn: &ReadTransaction) -> Result<Self, TransactionError> {
        Ok(Self { messages: txn.open_table(MESSAGES)?, events: txn.open_table(EVENTS)? })
    }

    fn head(&self, channel: ChannelId, log: Log) -> Result<Head, TransactionError> {
        Ok(Head::new(log.epoch, log.head, self.check(channel, log.head)?))
    }

    /// Returns the check of the event at `seq`, or `None` if the event was pruned.
    fn check(&self, channel: ChannelId, seq: Seq) -> Result<Option<Check>, TransactionError> {
        if seq == 0 {
            return Ok(Some(Check::START));
        }
        let event: Option<Event> = match self.events.get((channel.0, seq))? {
            Some(row) => Some(decode(row.value())?),
            None => match self.messages.get((channel.0, seq))? {
                Some(row) => Some(begun(decode(row.value().1)?)),
                None => None,
            },
        };
        Ok(event.as_ref().map(Check::of))
    }
}
