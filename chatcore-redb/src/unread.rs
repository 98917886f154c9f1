//! What is unread: counted from the rows of authors and mentions.

use chatcore::store::{ChannelInfo, HistoryAccess, Member, Mention, Mentions, Unread};
use chatcore::{ChannelId, Seq, UserId};
use redb::{ReadOnlyTable, ReadTransaction};

use crate::error::TransactionError;
use crate::schema::{
    AUTHORS, CHANNELS, DELETED, EVERYBODY, Json, LOGS, MARKERS, MEMBERS, MENTIONS, RESTRICTED, decode, log,
};
use crate::tracked_table::TrackedTable;

/// Stores whom a message mentions now, in place of `before`.
pub(crate) fn replace_mentions(
    rows: &mut TrackedTable<'_, (u64, &'static str, u64), ()>,
    channel: ChannelId,
    seq: Seq,
    before: &Mentions,
    after: &Mentions,
) -> Result<(), TransactionError> {
    if before == after {
        return Ok(());
    }
    let rows = rows.write()?;
    for user in meant(before) {
        rows.remove((channel.0, user, seq))?;
    }
    for user in meant(after) {
        rows.insert((channel.0, user, seq), ())?;
    }
    Ok(())
}

/// Returns the ids of the people whom mentions mean, or [`EVERYBODY`].
fn meant(mentions: &Mentions) -> impl Iterator<Item = &str> {
    mentions.list.iter().flat_map(|mention| {
        let (one, here): (Option<&str>, &[UserId]) = match mention {
            Mention::User(id) => (Some(id.as_str()), &[]),
            Mention::Channel => (Some(EVERYBODY), &[]),
            Mention::Here => (None, &mentions.here),
            Mention::Unknown(_) => (None, &[]),
        };
        one.into_iter().chain(here.iter().map(UserId::as_str))
    })
}

/// Counts each channel's unread messages.
pub(crate) fn unread(
    txn: &ReadTransaction,
    user: &UserId,
    channels: &[ChannelId],
) -> Result<Vec<Unread>, TransactionError> {
    let rows = Rows::open(txn)?;
    let (logs, markers) = (txn.open_table(LOGS)?, txn.open_table(MARKERS)?);
    let of = |channel: &ChannelId| {
        let Some(log) = log(&logs, channel.0)? else { return Ok(Unread::default()) };
        let read = markers.get((user.as_str(), channel.0))?.map_or(0, |row| row.value());
        rows.count(*channel, user, read, log.head)
    };
    channels.iter().map(of).collect()
}

/// The tables that say what is unread.
struct Rows {
    authors: ReadOnlyTable<(u64, u64), &'static str>,
    mentions: ReadOnlyTable<(u64, &'static str, u64), ()>,
    restricted: ReadOnlyTable<u64, ()>,
    channels: ReadOnlyTable<u64, Json>,
    members: ReadOnlyTable<(u64, &'static str), Json>,
}

impl Rows {
    fn open(txn: &ReadTransaction) -> Result<Self, TransactionError> {
        Ok(Self {
            authors: txn.open_table(AUTHORS)?,
            mentions: txn.open_table(MENTIONS)?,
            restricted: txn.open_table(RESTRICTED)?,
            channels: txn.open_table(CHANNELS)?,
            members: txn.open_table(MEMBERS)?,
        })
    }

    /// Counts a channel's messages from the newest back to the marker.
    fn count(
        &self,
        channel: ChannelId,
        user: &UserId,
        read: Seq,
        head: Seq,
    ) -> Result<Unread, TransactionError> {
        let first = read.saturating_add(1).max(self.visible_from(channel, user)?);
        let (mut messages, mut mentions) = (0, 0);
        // No row is at a seq beyond the head, so the range may be empty, but never ends before it begins.
        let newest = self.authors.range((channel.0, first)..=(channel.0, head.max(first)))?.rev();
        let mut mentioned = [
            self.mentioned(channel, user.as_str(), first, head)?,
            self.mentioned(channel, EVERYBODY, first, head)?,
        ];
        for (row, _) in newest.zip(0..Unread::scan(read)) {
            let (key, author) = row?;
            let seq = key.value().1;
            let mut is_mentioned = false;
            for mentioned in &mut mentioned {
                is_mentioned |= mentioned.has(seq)?;
            }
            if author.value() != DELETED && author.value() != user.as_str() {
                messages += 1;
                mentions += u64::from(is_mentioned);
            }
        }
        Ok(Unread::new(read, messages, head).with_mentions(mentions))
    }

    /// Returns the first event of a channel that a member can read, or 0 if they can read all or are no member.
    fn visible_from(&self, channel: ChannelId, user: &UserId) -> Result<Seq, TransactionError> {
        if self.restricted.get(channel.0)?.is_none() {
            return Ok(0);
        }
        let Some(row) = self.members.get((channel.0, user.as_str()))? else { return Ok(0) };
        let member: Member = decode(row.value())?;
        let Some(row) = self.channels.get(channel.0)? else { return Ok(0) };
        let info: ChannelInfo = decode(row.value())?;
        Ok(if info.history == HistoryAccess::Joined { member.since } else { 0 })
    }

    fn mentioned(
        &self,
        channel: ChannelId,
        user: &str,
        first: Seq,
        head: Seq,
    ) -> Result<Mentioned, TransactionError> {
        let rows = self.mentions.range((channel.0, user, first)..=(channel.0, user, head.max(first)))?.rev();
        Ok(Mentioned { rows, next: None })
    }
}

/// The messages that mention somebody, from the newest.
struct Mentioned {
    rows: std::iter::Rev<redb::Range<'static, (u64, &'static str, u64), ()>>,
    next: Option<Seq>,
}

impl Mentioned {
    /// Returns whether the message at `seq` is one of them. Each call must ask about an earlier message than the last.
    fn has(&mut self, seq: Seq) -> Result<bool, TransactionError> {
        while self.next.is_none_or(|next| next > seq) {
            match self.rows.next().transpose()? {
                Some((key, _)) => self.next = Some(key.value().2),
                None => return Ok(false),
            }
        }
        Ok(self.next == Some(seq))
    }
}
