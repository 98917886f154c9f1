//! What a chat's journal has: appended events, joins of open channels, read markers, and people's names and pictures. They
//! are what people change all the time.
//!
//! An entry is a list of changes, in their order: channel (8 bytes), form (1), length (4), row. A name or a picture has the
//! channel 0.

use chatcore::store::Member;
use chatcore::{ChannelId, Seq};
use redb::ReadTransaction;

use crate::error::TransactionError;
use crate::journal::{HEADER, Hooks, Mark};
use crate::log::Changes;
use crate::schema::{JOURNAL_KEY, META, RECORDS_KEY, begun, decode, encode};
use crate::store::Chat;

/// The forms, and what the row of each has:
///
/// - a message: the row of the table of messages, which has its event
/// - another event: the row of the table of events
/// - a member: the row of the table of members
/// - a marker: the `seq` in 8 bytes, and the user's id
/// - a name: the user's id, a space and the name
/// - a picture: the user's id, a space and the URL, or the id alone if there is none
const MESSAGE: u8 = 0;
const EVENT: u8 = 1;
const JOIN: u8 = 2;
const MARKER: u8 = 3;
const NAME: u8 = 4;
const AVATAR: u8 = 5;

pub(crate) fn hooks() -> Hooks<Chat> {
    Hooks { take, changed: |changes| changes.tables.changed(), replay, mark, marked }
}

impl Changes<'_> {
    pub(crate) fn journal_message(&mut self, channel: ChannelId, row: &[u8]) {
        push(&mut self.entry, channel, MESSAGE, row);
    }

    pub(crate) fn journal_event(&mut self, channel: ChannelId, row: &[u8]) {
        push(&mut self.entry, channel, EVENT, row);
    }

    pub(crate) fn journal_join(
        &mut self,
        channel: ChannelId,
        member: &Member,
    ) -> Result<(), TransactionError> {
        push(&mut self.entry, channel, JOIN, &encode(member)?);
        Ok(())
    }

    pub(crate) fn journal_marker(&mut self, channel: ChannelId, user: &str, seq: Seq) {
        let row = [&seq.to_le_bytes(), user.as_bytes()].concat();
        push(&mut self.entry, channel, MARKER, &row);
    }

    pub(crate) fn journal_name(&mut self, user: &str, name: &str) {
        push(&mut self.entry, ChannelId(0), NAME, [user, name].join(" ").as_bytes());
    }

    pub(crate) fn journal_avatar(&mut self, user: &str, avatar: Option<&str>) {
        let row = avatar.map_or_else(|| user.to_owned(), |avatar| [user, avatar].join(" "));
        push(&mut self.entry, ChannelId(0), AVATAR, row.as_bytes());
    }

    fn make_again(&mut self, channel: ChannelId, form: u8, row: &[u8]) -> Result<(), TransactionError> {
        let invalid = || TransactionError::Broken("the journal has an invalid change");
        let text = |row| std::str::from_utf8(row).map_err(|_| invalid());
        match form {
            MESSAGE => self.apply_again(channel, &begun(decode(row)?)),
            EVENT => self.apply_again(channel, &decode(row)?),
            JOIN => self.join_open(channel, decode::<Member>(row)?.user).map(drop),
            MARKER => {
                let (seq, user) = row.split_first_chunk().ok_or_else(invalid)?;
                self.insert_marker(text(user)?, channel, u64::from_le_bytes(*seq))
            }
            NAME => {
                let (user, name) = text(row)?.split_once(' ').ok_or_else(invalid)?;
                self.insert_name(user, name)
            }
            AVATAR => {
                let row = text(row)?;
                let (user, avatar) =
                    row.split_once(' ').map_or((row, None), |(user, avatar)| (user, Some(avatar)));
                self.replace_avatar(user, avatar)
            }
            _ => Err(invalid()),
        }
    }
}

fn push(entry: &mut Vec<u8>, channel: ChannelId, form: u8, row: &[u8]) {
    if entry.is_empty() {
        entry.resize(HEADER, 0);
    }
    entry.extend_from_slice(&channel.0.to_le_bytes());
    entry.push(form);
    // A row is far smaller than 4 GiB, and a longer entry than the journal's size is not added to it.
    entry.extend_from_slice(&(row.len() as u32).to_le_bytes());
    entry.extend_from_slice(row);
}

fn take(changes: &mut Changes<'_>) -> Vec<u8> {
    changes.tables.settle();
    std::mem::take(&mut changes.entry)
}

fn replay(changes: &mut Changes<'_>, mut entry: &[u8]) -> Result<(), TransactionError> {
    while !entry.is_empty() {
        let (channel, form, row, rest) =
            pop(entry).ok_or(TransactionError::Broken("the journal has a part of a change"))?;
        changes.make_again(channel, form, row)?;
        entry = rest;
    }
    // These changes are in the journal.
    take(changes);
    Ok(())
}

fn pop(entry: &[u8]) -> Option<(ChannelId, u8, &[u8], &[u8])> {
    let (channel, rest) = entry.split_first_chunk()?;
    let (form, rest) = rest.split_first()?;
    let (len, rest) = rest.split_first_chunk()?;
    let (row, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
    Some((ChannelId(u64::from_le_bytes(*channel)), *form, row, rest))
}

fn mark(changes: &mut Changes<'_>, mark: Mark) -> Result<(), TransactionError> {
    let meta = changes.tables.meta.write()?;
    meta.insert(JOURNAL_KEY, mark.generation)?;
    meta.insert(RECORDS_KEY, u64::from(mark.records))?;
    Ok(())
}

fn marked(txn: &ReadTransaction) -> Result<Mark, TransactionError> {
    let meta = txn.open_table(META)?;
    let number = |key| Ok::<_, TransactionError>(meta.get(key)?.map_or(0, |row| row.value()));
    let records = u32::try_from(number(RECORDS_KEY)?);
    let records = records.map_err(|_| TransactionError::Broken("invalid number of the journal's records"))?;
    Ok(Mark { generation: number(JOURNAL_KEY)?, records })
}
