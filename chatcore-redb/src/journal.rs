//! The journal: what was acknowledged since the last synced transaction, in a file beside the database.
//!
//! A synced transaction writes every page that it changes, each with all pages above it in its tree, and which pages are
//! free. Then it waits for the disk twice. A record of the journal is one write, and one wait. So most
//! writes are acknowledged when they are in the journal, and the database gets many of them in one transaction.
//!
//! Each record has this form, with numbers in little endian: generation (8 bytes), number (4), length (4), check (8),
//! entry. The database has the generation of the records that follow its last synced transaction. After the next one they
//! have another generation, and begin at the start of the file again. So no record is removed, and records of another
//! generation, such as those next to a restored database, are not read.

use std::collections::hash_map::RandomState;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use redb::{Database, ReadTransaction, ReadableDatabase};

use crate::error::TransactionError;
use crate::layout::Layout;
use crate::private;
use crate::writer::contained;

/// The size of the file. What does not fit goes to the database at once.
pub(crate) const JOURNAL_BYTES: usize = 256 << 10;
/// The most records between two synced transactions. It bounds the rows that one of them changes.
pub(crate) const JOURNAL_RECORDS: u32 = 4_096;
/// How long records are in the journal alone. A longer time would spare little more: after a second there are many, or
/// the chat is idle.
const WITHIN: Duration = Duration::from_secs(1);

/// The bytes of a record before its entry.
pub(crate) const HEADER: usize = 24;
/// A block of the disk.
const BLOCK: usize = 4_096;

/// What a layout does with a journal.
pub(crate) struct Hooks<L: Layout> {
    /// Returns what a round of journaled writes has changed: [`HEADER`] bytes of room and the entry, or nothing if nothing
    /// has changed. The next round begins here.
    pub(crate) take: fn(&mut L::Changes<'_>) -> Vec<u8>,
    /// Returns whether anything has changed since the last round.
    pub(crate) changed: fn(&mut L::Changes<'_>) -> bool,
    /// Makes the changes of an entry.
    pub(crate) replay: fn(&mut L::Changes<'_>, &[u8]) -> Result<(), TransactionError>,
    /// Stores which records the transaction has.
    pub(crate) mark: fn(&mut L::Changes<'_>, Mark) -> Result<(), TransactionError>,
    /// Returns the mark in the database.
    pub(crate) marked: fn(&ReadTransaction) -> Result<Mark, TransactionError>,
}

/// Which records a database has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) generation: u64,
    /// The number of the generation's records that it has.
    pub(crate) records: u32,
}

impl Mark {
    /// Returns the mark of a new generation. Two of them are equal as rarely as two random numbers of 64 bits.
    fn renewed() -> Self {
        Self { generation: RandomState::new().build_hasher().finish(), records: 0 }
    }
}

/// Where the records are.
pub(crate) trait Storage: Send {
    /// Returns all bytes, or none if there is no file.
    fn read(&mut self) -> io::Result<Vec<u8>>;
    /// Creates the file in its whole size in place of an earlier one, and syncs it.
    fn create(&mut self) -> io::Result<()>;
    /// Writes a part of the created file.
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Syncs what was written.
    fn sync(&mut self) -> io::Result<()>;
    /// Removes the file.
    fn remove(&mut self) -> io::Result<()>;
}

/// An open journal.
pub(crate) struct Journal<L: Layout> {
    pub(crate) hooks: Hooks<L>,
    /// The time from a record until a synced transaction has it.
    pub(crate) within: Duration,
    storage: Box<dyn Storage>,
    /// Whether the file exists, and `generation` began with it.
    ready: bool,
    /// Whether the next synced transaction makes it ready.
    wanted: bool,
    generation: u64,
    /// The bytes and the number of the generation's records.
    bytes: usize,
    records: u32,
    /// How many of the records are in a committed transaction.
    committed: u32,
}

impl<L: Layout> Journal<L> {
    pub(crate) fn new(storage: Box<dyn Storage>, hooks: Hooks<L>) -> Self {
        let (ready, wanted) = (false, false);
        let within = WITHIN;
        Self { hooks, within, storage, ready, wanted, generation: 0, bytes: 0, records: 0, committed: 0 }
    }

    #[cfg(test)]
    pub(crate) fn with_within(self, within: Duration) -> Self {
        Self { within, ..self }
    }

    /// Brings the records that a process left behind into a database that was just opened.
    pub(crate) fn recover(&mut self, database: &Database) -> Result<(), TransactionError> {
        (self.ready, self.wanted) = (false, false);
        let mark = (self.hooks.marked)(&database.begin_read()?)?;
        (self.generation, self.bytes, self.records, self.committed) = (mark.generation, 0, 0, 0);
        let file = self.storage.read().map_err(io_error)?;
        let entries = entries(&file, self.generation);
        if entries.is_empty() {
            return Ok(());
        }
        let next = Mark::renewed();
        let mut txn = database.begin_write()?;
        txn.set_quick_repair(true);
        let replayed = contained(|| {
            let mut changes = L::begin(&txn)?;
            for entry in entries.into_iter().skip(mark.records as usize) {
                (self.hooks.replay)(&mut changes, &file[entry])?;
            }
            (self.hooks.mark)(&mut changes, next)?;
            L::finish(changes)
        });
        if let Err(failure) = replayed {
            // The first failure is the one to report.
            let _ = contained(|| Ok(txn.abort()?));
            return Err(failure);
        }
        txn.commit()?;
        self.generation = next.generation;
        Ok(())
    }

    /// Returns whether there are records.
    pub(crate) fn has_records(&self) -> bool {
        self.records > 0
    }

    /// Returns the mark that the current transaction must store, if any. A synced one begins a generation, unless there are
    /// no records and no wish for them.
    pub(crate) fn mark(&self, synced: bool) -> Option<Mark> {
        if synced && (self.has_records() || self.wanted) {
            return Some(Mark::renewed());
        }
        self.is_ahead().then_some(Mark { generation: self.generation, records: self.records })
    }

    /// Returns whether the transaction after the last commit has records.
    pub(crate) fn is_ahead(&self) -> bool {
        self.records > self.committed
    }

    /// Returns whether a record has room. If not, the next synced transaction makes room.
    pub(crate) fn has_room_for(&mut self, record: &[u8]) -> bool {
        self.wanted = !self.ready;
        self.ready && self.records < JOURNAL_RECORDS && self.bytes + record.len() <= JOURNAL_BYTES
    }

    /// Adds a record of [`Hooks::take`], and syncs it with those before, or leaves that to a later one.
    ///
    /// # Errors
    /// If it may not be on the disk. Then the journal has no room until the next synced transaction.
    pub(crate) fn add(&mut self, mut record: Vec<u8>, synced: bool) -> io::Result<()> {
        let (head, entry) = record.split_at_mut(HEADER);
        head[..8].copy_from_slice(&self.generation.to_le_bytes());
        head[8..12].copy_from_slice(&self.records.to_le_bytes());
        // A record has room in the file, so its length fits.
        head[12..16].copy_from_slice(&(entry.len() as u32).to_le_bytes());
        let check = check(&head[..16], entry);
        head[16..].copy_from_slice(&check.to_le_bytes());
        let written = self.storage.write(self.bytes as u64, &record);
        if let Err(error) = written.and_then(|()| if synced { self.storage.sync() } else { Ok(()) }) {
            (self.ready, self.wanted) = (false, true);
            return Err(error);
        }
        self.bytes += record.len();
        self.records += 1;
        Ok(())
    }

    /// Makes the changes of the records that a failed transaction has taken back.
    pub(crate) fn replay(&mut self, changes: &mut L::Changes<'_>) -> Result<(), TransactionError> {
        if !self.is_ahead() {
            return Ok(());
        }
        let file = self.storage.read().map_err(io_error)?;
        let entries = entries(&file, self.generation);
        if entries.len() < self.records as usize {
            return Err(TransactionError::Broken("the journal has lost records"));
        }
        for entry in &entries[self.committed as usize..self.records as usize] {
            (self.hooks.replay)(changes, &file[entry.clone()])?;
        }
        Ok(())
    }

    /// Notes the commit of a transaction with this mark.
    ///
    /// # Errors
    /// If the file can't be created. Then the journal is not ready.
    pub(crate) fn committed(&mut self, mark: Mark) -> io::Result<()> {
        self.committed = mark.records;
        if mark.generation == self.generation {
            return Ok(());
        }
        (self.generation, self.bytes, self.records) = (mark.generation, 0, 0);
        if std::mem::take(&mut self.wanted) {
            self.storage.create()?;
            self.ready = true;
        }
        Ok(())
    }

    /// Removes the file, if the database has everything.
    pub(crate) fn remove(&mut self) -> io::Result<()> {
        if self.has_records() { Ok(()) } else { self.storage.remove() }
    }
}

/// Returns where the entries of this generation are. The first record that is not whole ends them: it was not
/// acknowledged.
fn entries(file: &[u8], generation: u64) -> Vec<Range<usize>> {
    let mut entries = Vec::new();
    let mut at = 0;
    while let Some((entry, end)) = entry(file, at, generation, entries.len()) {
        entries.push(entry);
        at = end;
    }
    entries
}

fn entry(file: &[u8], at: usize, generation: u64, number: usize) -> Option<(Range<usize>, usize)> {
    let (head, rest) = file.get(at..)?.split_at_checked(HEADER - 8)?;
    let (stored, rest) = rest.split_first_chunk()?;
    let (of, counted) = head.split_first_chunk()?;
    let (counted, len) = counted.split_first_chunk()?;
    let len = u32::from_le_bytes(*len.first_chunk()?) as usize;
    let fits = u64::from_le_bytes(*of) == generation && u32::from_le_bytes(*counted) as usize == number;
    if !fits || check(head, rest.get(..len)?) != u64::from_le_bytes(*stored) {
        return None;
    }
    let start = at + HEADER;
    Some((start..start + len, start + len))
}

/// Returns FNV-1a of 64 bits. It finds a record that a loss of power left half written.
fn check(head: &[u8], entry: &[u8]) -> u64 {
    head.iter()
        .chain(entry)
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn io_error(error: io::Error) -> TransactionError {
    TransactionError::from(redb::Error::Io(error))
}

/// The journal's file: the database's name with `-journal`.
pub(crate) struct JournalFile {
    path: PathBuf,
    file: Option<File>,
}

impl JournalFile {
    pub(crate) fn beside(database: &Path) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-journal");
        Self { path: path.into(), file: None }
    }

    /// Creates the file anew. What it had is in the database.
    fn make(&self) -> io::Result<File> {
        remove(&self.path)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        private::set_mode(&mut options);
        let mut file = options.open(&self.path)?;
        // The blocks are written here, so that a record changes nothing but bytes; and one by one, since the system may keep
        // what is written at once as one page, and write that whole page for each record.
        for _ in 0..JOURNAL_BYTES / BLOCK {
            file.write_all(&[0; BLOCK])?;
        }
        file.sync_all()?;
        private::sync_folder_of(&self.path)?;
        Ok(file)
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl Storage for JournalFile {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match File::open(&self.path) {
            Ok(file) => file.take(JOURNAL_BYTES as u64).read_to_end(&mut bytes).map(|_| bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(bytes),
            Err(error) => Err(error),
        }
    }

    fn create(&mut self) -> io::Result<()> {
        self.file = None;
        self.file = Some(self.make()?);
        Ok(())
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let file = self.file.as_mut().ok_or(io::ErrorKind::NotFound)?;
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), File::sync_data)
    }

    fn remove(&mut self) -> io::Result<()> {
        self.file = None;
        remove(&self.path)
    }
}
