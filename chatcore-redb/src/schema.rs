//! The file's tables, their keys and rows, and the layout's version.
//!
//! Rows are the engine's own types as JSON. Fields have names, so a later version can add a field with a default and
//! still read every older row. serde's compact formats can't do that, and can't skip a field such as
//! `Attachment::url`. Keys are tuples, ordered as they are read.

use std::collections::HashMap;

use chatcore::store::{ChannelInfo, Content, Event, EventKind, Upload};
use chatcore::{Epoch, Message, Seq, Timestamp};
use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableHandle,
    WriteTransaction,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::backup::copy_table;
use crate::error::TransactionError;
use crate::layout::LayoutKind;
use crate::watched::Watched;

/// A JSON row.
type Json = &'static [u8];

/// The layout's version, under [`LAYOUT_KEY`]. Files of other programs don't have this table.
const META: TableDefinition<&str, u64> = TableDefinition::new("chatcore");
const LAYOUT_KEY: &str = "layout";
/// The layout that this module describes. Earlier ones:
///
/// - Layout 1 had every message in [`EVENTS`] too. Such a row is still valid and stays.
/// - Layout 2 had no [`FILE_BYTES`].
/// - Layout 3 had no [`LOOKS`].
/// - Layout 4 had no [`AUTHORS`].
pub(crate) const LAYOUT: u64 = 5;

/// channel → `ChannelInfo`.
pub(crate) const CHANNELS: TableDefinition<u64, Json> = TableDefinition::new("channels");
/// name → channel.
pub(crate) const NAMES: TableDefinition<&str, u64> = TableDefinition::new("names");
/// what a name looks like → channel. If several names of an earlier layout look the same, the first channel.
pub(crate) const LOOKS: TableDefinition<&str, u64> = TableDefinition::new("looks");
/// channel → [`Log`].
pub(crate) const LOGS: TableDefinition<u64, Json> = TableDefinition::new("logs");
/// (channel, seq) → `Event`. The event of a message that was never edited is not here: [`begun`] makes it from the row
/// in [`MESSAGES`].
pub(crate) const EVENTS: TableDefinition<(u64, u64), Json> = TableDefinition::new("events");
/// (channel, seq) → (ordinal, current `Message`). The ordinal counts the channel's messages from 1.
pub(crate) const MESSAGES: TableDefinition<(u64, u64), (u64, Json)> = TableDefinition::new("messages");
/// (channel, seq) → the author's user id of every row in [`MESSAGES`], or [`DELETED`]. Counting reads these rows alone, so
/// its cost doesn't depend on how long the messages are.
pub(crate) const AUTHORS: TableDefinition<(u64, u64), &str> = TableDefinition::new("authors");
/// The author of a deleted message. A user id is never empty.
pub(crate) const DELETED: &str = "";
/// (channel, target, seq of the edit): the rows that a delete must redact.
pub(crate) const EDITS: TableDefinition<(u64, u64, u64), ()> = TableDefinition::new("edits");
/// (channel, author, nonce) → (seq, at).
pub(crate) const NONCES: TableDefinition<(u64, &str, &str), (u64, i64)> = TableDefinition::new("nonces");
/// (channel, seq) → (at, author, nonce) of pruned messages whose nonce is younger than a day. If the time was ahead of
/// the clock, `at` is the time of the prune, so rows are ordered by time as well as by `seq`.
pub(crate) const ORPHANS: TableDefinition<(u64, u64), (i64, &str, &str)> =
    TableDefinition::new("orphan_nonces");
/// user → display name.
pub(crate) const USERS: TableDefinition<&str, &str> = TableDefinition::new("users");
/// (user, channel) → seq.
pub(crate) const MARKERS: TableDefinition<(&str, u64), u64> = TableDefinition::new("markers");
/// attachment → `Upload`.
pub(crate) const UPLOADS: TableDefinition<&str, Json> = TableDefinition::new("uploads");
/// (time from which it can be removed, attachment) of every upload that no message has.
pub(crate) const RECLAIMABLE: TableDefinition<(i64, &str), ()> = TableDefinition::new("reclaimable");

/// owner → bytes of their uploads. [`ALL_OWNERS`] → bytes of all uploads.
pub(crate) const FILE_BYTES: TableDefinition<&str, u64> = TableDefinition::new("file_bytes");
/// The key of the total. A user id is never empty.
pub(crate) const ALL_OWNERS: &str = "";

/// The state of one channel's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Log {
    pub(crate) epoch: Epoch,
    /// The last event's seq.
    pub(crate) head: Seq,
    /// The last event's time.
    pub(crate) at: Timestamp,
    /// The last pruned `seq`.
    pub(crate) trimmed: Seq,
    /// The last message's ordinal.
    pub(crate) messages: u64,
    /// The last pruned message's ordinal.
    pub(crate) trimmed_messages: u64,
}

impl Log {
    /// Returns an empty log with a new epoch.
    pub(crate) fn new() -> Self {
        Self {
            epoch: Epoch::random(),
            head: 0,
            at: Timestamp::from_millis(0),
            trimmed: 0,
            messages: 0,
            trimmed_messages: 0,
        }
    }
}

/// Every table, open for writing in one transaction.
pub(crate) struct Tables<'t> {
    pub(crate) channels: Watched<'t, u64, Json>,
    pub(crate) names: Watched<'t, &'static str, u64>,
    pub(crate) looks: Watched<'t, &'static str, u64>,
    pub(crate) logs: Watched<'t, u64, Json>,
    pub(crate) events: Watched<'t, (u64, u64), Json>,
    pub(crate) messages: Watched<'t, (u64, u64), (u64, Json)>,
    pub(crate) authors: Watched<'t, (u64, u64), &'static str>,
    pub(crate) edits: Watched<'t, (u64, u64, u64), ()>,
    pub(crate) nonces: Watched<'t, (u64, &'static str, &'static str), (u64, i64)>,
    pub(crate) orphans: Watched<'t, (u64, u64), (i64, &'static str, &'static str)>,
    pub(crate) users: Watched<'t, &'static str, &'static str>,
    pub(crate) markers: Watched<'t, (&'static str, u64), u64>,
    pub(crate) uploads: Watched<'t, &'static str, Json>,
    pub(crate) reclaimable: Watched<'t, (i64, &'static str), ()>,
    pub(crate) file_bytes: Watched<'t, &'static str, u64>,
}

impl<'t> Tables<'t> {
    pub(crate) fn open(txn: &'t WriteTransaction) -> Result<Self, TransactionError> {
        Ok(Self {
            channels: Watched::open(txn, CHANNELS)?,
            names: Watched::open(txn, NAMES)?,
            looks: Watched::open(txn, LOOKS)?,
            logs: Watched::open(txn, LOGS)?,
            events: Watched::open(txn, EVENTS)?,
            messages: Watched::open(txn, MESSAGES)?,
            authors: Watched::open(txn, AUTHORS)?,
            edits: Watched::open(txn, EDITS)?,
            nonces: Watched::open(txn, NONCES)?,
            orphans: Watched::open(txn, ORPHANS)?,
            users: Watched::open(txn, USERS)?,
            markers: Watched::open(txn, MARKERS)?,
            uploads: Watched::open(txn, UPLOADS)?,
            reclaimable: Watched::open(txn, RECLAIMABLE)?,
            file_bytes: Watched::open(txn, FILE_BYTES)?,
        })
    }

    /// Returns whether anything may have changed.
    pub(crate) fn changed(&self) -> bool {
        let Self {
            channels,
            names,
            looks,
            logs,
            events,
            messages,
            authors,
            edits,
            nonces,
            orphans,
            users,
            markers,
            uploads,
            reclaimable,
            file_bytes,
        } = self;
        channels.changed()
            || names.changed()
            || looks.changed()
            || logs.changed()
            || events.changed()
            || messages.changed()
            || authors.changed()
            || edits.changed()
            || nonces.changed()
            || orphans.changed()
            || users.changed()
            || markers.changed()
            || uploads.changed()
            || reclaimable.changed()
            || file_bytes.changed()
    }
}

/// Checks a database's layout, and creates the tables in an empty one.
pub(crate) fn prepare(database: &Database) -> Result<LayoutKind, TransactionError> {
    let read = database.begin_read()?;
    if read.list_tables()?.next().is_none() && read.list_multimap_tables()?.next().is_none() {
        create(database)?;
        return Ok(LayoutKind::Ours);
    }
    if !read.list_tables()?.any(|table| table.name() == META.name()) {
        return Ok(LayoutKind::Foreign);
    }
    let meta = match read.open_table(META) {
        Ok(meta) => meta,
        // A table with our name, but other types of rows.
        Err(redb::TableError::Storage(error)) => return Err(error.into()),
        Err(_) => return Ok(LayoutKind::Foreign),
    };
    match meta.get(LAYOUT_KEY)?.map(|version| version.value()) {
        None | Some(0) => Ok(LayoutKind::Foreign),
        Some(LAYOUT) => Ok(LayoutKind::Ours),
        Some(older) if older < LAYOUT => {
            create(database)?;
            Ok(LayoutKind::Ours)
        }
        Some(newer) => Ok(LayoutKind::Newer { found: newer, known: LAYOUT }),
    }
}

/// Counts the bytes of the existing uploads.
fn count_files(tables: &mut Tables<'_>) -> Result<(), TransactionError> {
    let mut bytes: HashMap<String, u64> = HashMap::new();
    for row in tables.uploads.iter()? {
        let upload: Upload = decode(row?.1.value())?;
        for owner in [upload.owner.as_str(), ALL_OWNERS] {
            *bytes.entry(owner.to_owned()).or_default() += upload.attachment.size;
        }
    }
    for (owner, bytes) in bytes {
        tables.file_bytes.insert(owner.as_str(), bytes)?;
    }
    Ok(())
}

/// Creates the missing tables, fills them, and stores the layout's version.
fn create(database: &Database) -> Result<(), TransactionError> {
    let mut txn = database.begin_write()?;
    txn.set_quick_repair(true);
    let mut tables = Tables::open(&txn)?;
    count_files(&mut tables)?;
    enter_looks(&mut tables)?;
    enter_authors(&mut tables)?;
    drop(tables);
    txn.open_table(META)?.insert(LAYOUT_KEY, LAYOUT)?;
    Ok(txn.commit()?)
}

/// Copies every row into an empty database.
pub(crate) fn copy(from: &ReadTransaction, to: &WriteTransaction) -> Result<(), TransactionError> {
    copy_table(from, to, META)?;
    copy_table(from, to, CHANNELS)?;
    copy_table(from, to, NAMES)?;
    copy_table(from, to, LOOKS)?;
    copy_table(from, to, LOGS)?;
    copy_table(from, to, EVENTS)?;
    copy_table(from, to, MESSAGES)?;
    copy_table(from, to, AUTHORS)?;
    copy_table(from, to, EDITS)?;
    copy_table(from, to, NONCES)?;
    copy_table(from, to, ORPHANS)?;
    copy_table(from, to, USERS)?;
    copy_table(from, to, MARKERS)?;
    copy_table(from, to, UPLOADS)?;
    copy_table(from, to, RECLAIMABLE)?;
    copy_table(from, to, FILE_BYTES)
}

/// Stores the authors of all messages.
fn enter_authors(tables: &mut Tables<'_>) -> Result<(), TransactionError> {
    for row in tables.messages.iter()? {
        let (key, row) = row?;
        let message: Message = decode(row.value().1)?;
        tables.authors.insert(key.value(), author_of(&message))?;
    }
    Ok(())
}

/// Returns a message's row in [`AUTHORS`].
pub(crate) fn author_of(message: &Message) -> &str {
    if message.deleted { DELETED } else { message.author.id.as_str() }
}

/// Stores what the names of all channels look like, in the order of the channels' creation.
fn enter_looks(tables: &mut Tables<'_>) -> Result<(), TransactionError> {
    for row in tables.channels.iter()? {
        let (id, info) = row?;
        let look = decode::<ChannelInfo>(info.value())?.name.look();
        if tables.looks.get(look.as_str())?.is_none() {
            tables.looks.insert(look.as_str(), id.value())?;
        }
    }
    Ok(())
}

/// Returns the event that created a message that was never edited.
pub(crate) fn begun(message: Message) -> Event {
    let Message { seq, author, at, text, nonce, reply_to, attachments, deleted, .. } = message;
    let mut content = Content::new(author, nonce, text);
    (content.reply_to, content.attachments, content.deleted) = (reply_to, attachments, deleted);
    Event::new(seq, at, EventKind::Message(content))
}

/// Encodes a row.
pub(crate) fn encode<T: Serialize>(row: &T) -> Result<Vec<u8>, TransactionError> {
    serde_json::to_vec(row).map_err(TransactionError::Row)
}

/// Decodes a row.
pub(crate) fn decode<T: DeserializeOwned>(row: &[u8]) -> Result<T, TransactionError> {
    serde_json::from_slice(row).map_err(TransactionError::Row)
}

/// Reads a log's row, in a read or a write transaction.
pub(crate) fn log(
    logs: &impl ReadableTable<u64, Json>,
    channel: u64,
) -> Result<Option<Log>, TransactionError> {
    logs.get(channel)?.map(|row| decode(row.value())).transpose()
}
