//! The file's tables, their keys and rows, and the layout's version.
//!
//! Rows are the engine's own types as JSON. Fields have names, so a later version can add a field with a default and
//! still read every older row. serde's compact formats can't do that, and can't skip a field such as
//! `Attachment::url`. Keys are tuples, ordered as they are read.

use chatcore::store::{Content, Event, EventKind};
use chatcore::{Epoch, Message, Seq, Timestamp};
use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::backup::copy_table;
use crate::error::TransactionError;
use crate::tracked_table::{Changed, TrackedTable};

/// A JSON row.
pub(crate) type Json = &'static [u8];

/// The layout's version, in [`META`].
pub(crate) const LAYOUT_KEY: &str = "layout";
/// The generation of the journal's records that follow the last synced transaction, in [`META`].
pub(crate) const JOURNAL_KEY: &str = "journal";
/// How many records of that generation the database has.
pub(crate) const RECORDS_KEY: &str = "journal_records";
/// The layout that this module describes. Earlier ones:
///
/// - Layout 1 had every message in [`EVENTS`] too. Such a row is still valid and stays.
/// - Layout 2 had no [`FILE_BYTES`].
/// - Layout 3 had no [`LOOKS`].
/// - Layout 4 had no [`AUTHORS`].
/// - Layout 5 had open channels only, without titles or members, and nobody was mentioned: no [`MEMBERS`],
///   [`MEMBER_COUNTS`], [`LISTS`], [`RESTRICTED`], [`DIRECTS`] and [`MENTIONS`].
/// - Layout 6 had no [`CONSUMERS`], [`CONSUMER_POSITIONS`], [`CONSUMER_NEWS`], [`ERASED`], [`PLACES`] and [`AVATARS`].
/// - Layout 7 had no journal. A program that knows none must not open the file.
pub(crate) const LAYOUT: u64 = 8;

/// The author of a deleted message, in [`AUTHORS`]. A user id is never empty.
pub(crate) const DELETED: &str = "";
/// The key of the total, in [`FILE_BYTES`]. A user id is never empty.
pub(crate) const ALL_OWNERS: &str = "";
/// The number of the last lease of any consumer, in [`CONSUMERS`]. A consumer's name is never empty.
pub(crate) const LAST_LEASE: &str = "";
/// All users, in [`LISTS`] and [`MENTIONS`]. A user id is never empty.
pub(crate) const EVERYBODY: &str = "";

macro_rules! tables {
    ($($(#[$doc:meta])* $field:ident: $table:ident($name:literal), $key:ty => $value:ty;)*) => {
        $(
            $(#[$doc])*
            pub(crate) const $table: TableDefinition<$key, $value> = TableDefinition::new($name);
        )*

        /// Every table in one write transaction. The first use of a table opens it, since opening all of them would
        /// cost a publish more than its own rows.
        pub(crate) struct Tables<'t> {
            $(pub(crate) $field: TrackedTable<'t, $key, $value>,)*
        }

        impl<'t> Tables<'t> {
            pub(crate) fn new(txn: &'t WriteTransaction) -> Self {
                Self { $($field: TrackedTable::new(txn, $table),)* }
            }

            /// Creates the missing tables.
            pub(crate) fn create(&self) -> Result<(), TransactionError> {
                $(self.$field.read()?;)*
                Ok(())
            }

            /// Returns the names of the tables that were used.
            #[cfg(test)]
            pub(crate) fn opened(&self) -> Vec<&'static str> {
                let opened = [$(($name, self.$field.is_open()),)*];
                opened.into_iter().filter(|(_, is_open)| *is_open).map(|(name, _)| name).collect()
            }

            /// Returns whether anything may have changed since [`settle`](Self::settle).
            pub(crate) fn changed(&self) -> bool {
                $(self.$field.changed() == Changed::Now)||*
            }

            /// Returns whether anything may have changed in this transaction.
            pub(crate) fn ever_changed(&self) -> bool {
                $(self.$field.changed() != Changed::Never)||*
            }

            /// Counts all changes until here as earlier ones.
            pub(crate) fn settle(&mut self) {
                $(self.$field.settle();)*
            }
        }

        /// Copies every row into an empty database.
        pub(crate) fn copy(from: &ReadTransaction, to: &WriteTransaction) -> Result<(), TransactionError> {
            $(copy_table(from, to, $table)?;)*
            // A journal beside the copy is another file's.
            for key in [JOURNAL_KEY, RECORDS_KEY] {
                to.open_table(META)?.remove(key)?;
            }
            Ok(())
        }
    };
}

tables! {
    /// [`LAYOUT_KEY`], [`JOURNAL_KEY`] and [`RECORDS_KEY`]. Files of other programs don't have this table.
    meta: META("chatcore"), &'static str => u64;
    /// channel → `ChannelInfo`.
    channels: CHANNELS("channels"), u64 => Json;
    /// name → channel.
    names: NAMES("names"), &'static str => u64;
    /// what a name looks like → channel. If several names of an earlier layout look the same, the first channel.
    looks: LOOKS("looks"), &'static str => u64;
    /// (user or [`EVERYBODY`], whether it is archived, name) → channel: the open channels, and each user's private and
    /// direct ones.
    lists: LISTS("lists"), (&'static str, bool, &'static str) => u64;
    /// The channels that are private, direct or archived. Whatever is appended to another one needs no more than this
    /// missing row to be allowed.
    restricted: RESTRICTED("restricted"), u64 => ();
    /// The ids of a direct channel's people, sorted, with a space between two → channel. No id has a space.
    directs: DIRECTS("directs"), &'static str => u64;
    /// (channel, user) → `Member`, with the name that the user had then.
    members: MEMBERS("members"), (u64, &'static str) => Json;
    /// channel → (members, owners among them).
    member_counts: MEMBER_COUNTS("member_counts"), u64 => (u64, u64);
    /// channel → [`Log`].
    logs: LOGS("logs"), u64 => Json;
    /// (channel, seq) → `Event`. The event of a message that was never edited is not here: [`begun`] makes it from the
    /// row in [`MESSAGES`].
    events: EVENTS("events"), (u64, u64) => Json;
    /// (channel, seq) → (ordinal, current `Message`). The ordinal counts the channel's messages from 1.
    messages: MESSAGES("messages"), (u64, u64) => (u64, Json);
    /// (channel, seq) → the author's user id of every row in [`MESSAGES`], or [`DELETED`]. Counting reads these rows and
    /// those in [`MENTIONS`] alone, so its cost doesn't depend on how long the messages are.
    authors: AUTHORS("authors"), (u64, u64) => &'static str;
    /// (channel, user or [`EVERYBODY`], seq): whom the messages mention, as they are now.
    mentions: MENTIONS("mentions"), (u64, &'static str, u64) => ();
    /// (channel, target, seq of the edit): the rows that a delete must redact.
    edits: EDITS("edits"), (u64, u64, u64) => ();
    /// (channel, author, nonce) → (seq, at).
    nonces: NONCES("nonces"), (u64, &'static str, &'static str) => (u64, i64);
    /// (channel, seq) → (at, author, nonce) of pruned messages whose nonce is younger than a day. If the time was ahead of
    /// the clock, `at` is the time of the prune, so rows are ordered by time as well as by `seq`.
    orphans: ORPHANS("orphan_nonces"), (u64, u64) => (i64, &'static str, &'static str);
    /// user → how far their erasure is. Each append looks for its author's row, which is nearly always missing.
    erased: ERASED("erased"), &'static str => Json;
    /// (user, channel): where a user may have left something besides messages. Where they have written messages, is in
    /// [`NONCES`].
    places: PLACES("places"), (&'static str, u64) => ();
    /// user → their name as it is stored, which also says whether they were erased.
    users: USERS("users"), &'static str => &'static str;
    /// user → where their picture is. Most users have none.
    avatars: AVATARS("avatars"), &'static str => &'static str;
    /// (user, channel) → seq.
    markers: MARKERS("markers"), (&'static str, u64) => u64;
    /// attachment → `Upload`.
    uploads: UPLOADS("uploads"), &'static str => Json;
    /// (time from which it can be removed, attachment) of every upload that no message has.
    reclaimable: RECLAIMABLE("reclaimable"), (i64, &'static str) => ();
    /// owner → bytes of their uploads. [`ALL_OWNERS`] → bytes of all uploads.
    file_bytes: FILE_BYTES("file_bytes"), &'static str => u64;
    /// consumer → the number of its last lease. [`LAST_LEASE`] → that of all.
    consumers: CONSUMERS("consumers"), &'static str => u64;
    /// (consumer, channel) → `Position`: how far the consumer has read, if it has read anything.
    consumer_positions: CONSUMER_POSITIONS("consumer_positions"), (&'static str, u64) => Json;
    /// (consumer, channel): the channels whose logs have something after the position, or another epoch.
    consumer_news: CONSUMER_NEWS("consumer_news"), (&'static str, u64) => ();
}

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

/// Returns a message's row in [`AUTHORS`].
pub(crate) fn author_of(message: &Message) -> &str {
    if message.deleted { DELETED } else { message.author.id.as_str() }
}

/// Returns the event that created a message that was never edited.
pub(crate) fn begun(message: Message) -> Event {
    let Message { seq, author, at, text, nonce, reply_to, attachments, deleted, .. } = message;
    let mut content = Content::new(author, nonce, text);
    (content.reply_to, content.attachments, content.deleted) = (reply_to, attachments, deleted);
    (content.mentions, content.kind, content.data) = (message.mentions, message.kind, message.data);
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
