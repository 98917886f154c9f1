//! Checks the layout of a file, and carries the file of an earlier layout over to this one.

use std::collections::{HashMap, HashSet};

use chatcore::store::{ChannelInfo, Event, Member, Role, Upload};
use chatcore::{ChannelId, Message, UserId};
use redb::{Database, ReadableDatabase, ReadableTable, TableHandle};

use crate::error::TransactionError;
use crate::layout::LayoutKind;
use crate::log::Changes;
use crate::schema::{ALL_OWNERS, LAYOUT, LAYOUT_KEY, META, Tables, author_of, decode};

/// Checks a database's layout, and creates the tables in an empty one.
pub(crate) fn prepare(database: &Database) -> Result<LayoutKind, TransactionError> {
    let read = database.begin_read()?;
    if read.list_tables()?.next().is_none() && read.list_multimap_tables()?.next().is_none() {
        carry_over(database, 0)?;
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
            carry_over(database, older)?;
            Ok(LayoutKind::Ours)
        }
        Some(newer) => Ok(LayoutKind::Newer { found: newer, known: LAYOUT }),
    }
}

/// Creates the missing tables, fills those that the layout `from` had not, and stores the layout's version. A new file
/// has the layout 0.
fn carry_over(database: &Database, from: u64) -> Result<(), TransactionError> {
    let mut txn = database.begin_write()?;
    txn.set_quick_repair(true);
    let mut changes = Changes::open(&txn);
    changes.tables.create()?;
    if from < 3 {
        count_files(&mut changes.tables)?;
    }
    if from < 4 {
        enter_looks(&mut changes.tables)?;
    }
    if from < 5 {
        enter_authors(&mut changes.tables)?;
    }
    if from < 6 {
        enter_owners(&mut changes)?;
    }
    if from < 7 {
        enter_places(&mut changes)?;
    }
    changes.tables.meta.write()?.insert(LAYOUT_KEY, LAYOUT)?;
    changes.finish()?;
    Ok(txn.commit()?)
}

/// Counts the bytes of the existing uploads.
fn count_files(tables: &mut Tables<'_>) -> Result<(), TransactionError> {
    let mut bytes: HashMap<String, u64> = HashMap::new();
    for row in tables.uploads.read()?.iter()? {
        let upload: Upload = decode(row?.1.value())?;
        for owner in [upload.owner.as_str(), ALL_OWNERS] {
            *bytes.entry(owner.to_owned()).or_default() += upload.attachment.size;
        }
    }
    for (owner, bytes) in bytes {
        tables.file_bytes.write()?.insert(owner.as_str(), bytes)?;
    }
    Ok(())
}

/// Stores what the names of all channels look like, in the order of the channels' creation.
fn enter_looks(tables: &mut Tables<'_>) -> Result<(), TransactionError> {
    for row in tables.channels.read()?.iter()? {
        let (id, info) = row?;
        let look = decode::<ChannelInfo>(info.value())?.name.look();
        let looks = tables.looks.write()?;
        if looks.get(look.as_str())?.is_none() {
            looks.insert(look.as_str(), id.value())?;
        }
    }
    Ok(())
}

/// Stores the authors of all messages.
fn enter_authors(tables: &mut Tables<'_>) -> Result<(), TransactionError> {
    for row in tables.messages.read()?.iter()? {
        let (key, row) = row?;
        let message: Message = decode(row.value().1)?;
        tables.authors.write()?.insert(key.value(), author_of(&message))?;
    }
    Ok(())
}

/// Stores where everybody may have left something besides messages.
fn enter_places(changes: &mut Changes<'_>) -> Result<(), TransactionError> {
    let mut places: HashSet<(UserId, u64)> = HashSet::new();
    for row in changes.tables.events.read()?.iter()? {
        let (key, row) = row?;
        let event: Event = decode(row.value())?;
        places.extend(event.kind.people().map(|user| (user.id.clone(), key.value().0)));
    }
    for row in changes.tables.channels.read()?.iter()? {
        let (id, info) = row?;
        places.insert((decode::<ChannelInfo>(info.value())?.created_by.id, id.value()));
    }
    for row in changes.tables.members.read()?.iter()? {
        let (key, member) = row?;
        places.insert((decode::<Member>(member.value())?.user.id, key.value().0));
    }
    for (user, channel) in places {
        changes.note_place(&user, ChannelId(channel))?;
    }
    Ok(())
}

/// Enters all channels in the lists, and their creators as their owners. All are open ones.
fn enter_owners(changes: &mut Changes<'_>) -> Result<(), TransactionError> {
    let mut channels: Vec<ChannelInfo> = Vec::new();
    for row in changes.tables.channels.read()?.iter()? {
        channels.push(decode(row?.1.value())?);
    }
    for info in channels {
        changes.enter_list(&info)?;
        changes.put_member(&info, &Member::new(info.created_by.clone(), Role::Owner))?;
    }
    Ok(())
}
