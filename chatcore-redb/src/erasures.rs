//! People who were erased: finding what they left, and taking their names out of the rows.

use std::ops::Bound;

use async_trait::async_trait;
use chatcore::store::{
    Append, AppendBody, ChannelInfo, ErasedUser, Erasure, Erasures, Event, EventKind, NextTraces, StoreError,
    Traces, Upload, UploadState,
};
use chatcore::{ChannelId, Message, Seq, User, UserId};
use redb::{ReadOnlyTable, ReadTransaction, ReadableTable};
use serde::{Deserialize, Serialize};

use crate::error::TransactionError;
use crate::log::Changes;
use crate::schema::{
    AUTHORS, CHANNELS, DELETED, ERASED, EVENTS, Json, LOGS, MESSAGES, NONCES, PLACES, decode, encode, log,
};
use crate::store::RedbStore;
use crate::writer::SyncMode;

/// The most events that one look for traces reads, which bounds how long it takes.
const SCAN: u64 = 1_000;

/// How far an erasure is: all channels with smaller ids are covered, and of this one all events up to `seq`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Progress {
    erasure: Erasure,
    done: bool,
    channel: u64,
    seq: Seq,
}

impl Progress {
    fn of(self, user: UserId) -> ErasedUser {
        ErasedUser::new(user, self.erasure, self.done)
    }

    /// Returns the last covered event of a channel that is not covered whole.
    fn in_channel(&self, channel: u64) -> Seq {
        if channel == self.channel { self.seq } else { 0 }
    }
}

impl Changes<'_> {
    /// Returns whether a person was erased.
    pub(crate) fn is_erased(&self, user: &UserId) -> Result<bool, TransactionError> {
        Ok(self.tables.erased.read()?.get(user.as_str())?.is_some())
    }

    /// Returns whether the author of an append was erased, and the person whom a change of the members is about.
    pub(crate) fn erased_of(&self, item: &Append) -> Result<(bool, bool), TransactionError> {
        let subject = match &item.body {
            AppendBody::Member { user, .. } => self.is_erased(&user.id)?,
            _ => false,
        };
        Ok((self.is_erased(&item.author.id)?, subject))
    }

    /// Notes that a person has left something in a channel besides messages.
    pub(crate) fn note_place(&mut self, user: &UserId, channel: ChannelId) -> Result<(), TransactionError> {
        let key = (user.as_str(), channel.0);
        if self.tables.places.read()?.get(key)?.is_none() {
            self.tables.places.write()?.insert(key, ())?;
        }
        Ok(())
    }

    /// Notes who takes part in an event that is not a message.
    pub(crate) fn note_places(&mut self, channel: ChannelId, event: &Event) -> Result<(), TransactionError> {
        if !matches!(event.kind, EventKind::Message(_)) {
            for user in event.kind.people() {
                self.note_place(&user.id, channel)?;
            }
        }
        Ok(())
    }

    fn progress(&self, user: &UserId) -> Result<Option<Progress>, TransactionError> {
        self.tables.erased.read()?.get(user.as_str())?.map(|row| decode(row.value())).transpose()
    }

    fn under_way(&self, user: &UserId) -> Result<Option<Progress>, TransactionError> {
        Ok(self.progress(user)?.filter(|progress| !progress.done))
    }

    fn put_progress(&mut self, user: &UserId, progress: Progress) -> Result<(), TransactionError> {
        self.tables.erased.write()?.insert(user.as_str(), encode(&progress)?.as_slice())?;
        Ok(())
    }

    fn begin_erasure(&mut self, user: &UserId, erasure: Erasure) -> Result<(), TransactionError> {
        if self.under_way(user)?.is_some_and(|progress| progress.erasure == erasure) {
            return Ok(());
        }
        self.put_progress(user, Progress { erasure, done: false, channel: 0, seq: 0 })?;
        let erased = User::erased(user.clone());
        self.tables.users.write()?.insert(user.as_str(), erased.stored_name())?;
        if self.tables.avatars.read()?.get(user.as_str())?.is_some() {
            self.tables.avatars.write()?.remove(user.as_str())?;
        }
        Ok(())
    }

    fn cover_traces(
        &mut self,
        user: &UserId,
        channel: ChannelId,
        through: Seq,
    ) -> Result<(), TransactionError> {
        let Some(progress) = self.under_way(user)? else { return Ok(()) };
        let from = progress.in_channel(channel.0);
        if channel.0 < progress.channel || through <= from {
            return Ok(());
        }
        self.erase_name_in_channel(user, channel)?;
        let range = (Bound::Excluded((channel.0, from)), Bound::Included((channel.0, through)));
        let mut seqs = Vec::new();
        for row in self.tables.authors.read()?.range(range)? {
            let (key, author) = row?;
            if [user.as_str(), DELETED].contains(&author.value()) {
                seqs.push(key.value().1);
            }
        }
        for seq in seqs {
            let Some((ordinal, mut message)) = self.message(channel, seq)? else { continue };
            if message.erase_name(user) {
                self.put_message(channel, ordinal, &message)?;
            }
        }
        let mut events: Vec<Event> = Vec::new();
        for row in self.tables.events.read()?.range(range)? {
            let mut event: Event = decode(row?.1.value())?;
            let has_name = event.kind.erase_name(user);
            let has_text =
                progress.erasure == Erasure::Tombstones && self.is_left_edit(channel, &event, user)?;
            if has_text {
                event.kind.redact();
            }
            if has_name || has_text {
                events.push(event);
            }
        }
        for event in &events {
            self.put_event(channel, event)?;
        }
        let (channel, seq) = if through == Seq::MAX { (channel.0 + 1, 0) } else { (channel.0, through) };
        self.put_progress(user, Progress { channel, seq, ..progress })
    }

    /// Returns whether an event is an edit by a user whose message was deleted or pruned. A pruned message can't be
    /// deleted, so nothing else redacts its edits.
    fn is_left_edit(
        &self,
        channel: ChannelId,
        event: &Event,
        user: &UserId,
    ) -> Result<bool, TransactionError> {
        match &event.kind {
            EventKind::Edited { target, by, .. } if by.id == *user => {
                Ok(self.message(channel, *target)?.is_none_or(|(_, message)| message.deleted))
            }
            _ => Ok(false),
        }
    }

    /// Takes a user's name out of a channel's entry and out of their membership.
    fn erase_name_in_channel(&mut self, user: &UserId, channel: ChannelId) -> Result<(), TransactionError> {
        if let Some(mut info) = self.channel(channel)?
            && info.created_by.erase_name(user)
        {
            self.tables.channels.write()?.insert(channel.0, encode(&info)?.as_slice())?;
        }
        if let Some(mut member) = self.member(channel, user)?
            && member.user.erase_name(user)
        {
            let row = encode(&member)?;
            self.tables.members.write()?.insert((channel.0, user.as_str()), row.as_slice())?;
        }
        Ok(())
    }

    fn end_erasure(&mut self, user: &UserId) -> Result<(), TransactionError> {
        let Some(progress) = self.under_way(user)? else { return Ok(()) };
        let markers = (user.as_str(), 0)..=(user.as_str(), u64::MAX);
        self.tables.markers.write()?.retain_in(markers, |_, _| false)?;
        let mut unused: Vec<Upload> = Vec::new();
        // Those with the least time are discarded already.
        for row in self.tables.reclaimable.read()?.range((i64::MIN + 1, "")..)? {
            let key = row?.0;
            let upload = self.tables.uploads.read()?.get(key.value().1)?;
            let upload: Option<Upload> = upload.map(|row| decode(row.value())).transpose()?;
            unused.extend(upload.filter(|upload| upload.owner == *user));
        }
        for upload in unused {
            self.put_upload(&upload.with_state(UploadState::Discarded))?;
        }
        self.put_progress(user, Progress { done: true, ..progress })
    }

    fn readmit(&mut self, user: &UserId) -> Result<bool, TransactionError> {
        let is_done = self.progress(user)?.is_some_and(|progress| progress.done);
        if is_done {
            self.tables.erased.write()?.remove(user.as_str())?;
            self.tables.users.write()?.remove(user.as_str())?;
        }
        Ok(is_done)
    }
}

#[async_trait]
impl Erasures for RedbStore {
    async fn begin_erasure(&self, user: &UserId, erasure: Erasure) -> Result<(), StoreError> {
        let user = user.clone();
        self.write(SyncMode::Disk, move |changes| changes.begin_erasure(&user, erasure)).await
    }

    async fn erased_user(&self, user: &UserId) -> Result<Option<ErasedUser>, StoreError> {
        let user = user.clone();
        self.read("the erasure can't be read", move |txn| {
            let progress = progress(&txn.open_table(ERASED)?, &user)?;
            Ok(progress.map(|progress| progress.of(user)))
        })
        .await
    }

    async fn erasures(&self, limit: usize) -> Result<Vec<ErasedUser>, StoreError> {
        self.read("the erasures can't be read", move |txn| under_way(txn, limit)).await
    }

    async fn next_traces(&self, user: &UserId, limit: usize) -> Result<NextTraces, StoreError> {
        let user = user.clone();
        let read = move |txn: &ReadTransaction| next_traces(txn, &user, limit);
        let traces = self.read("the traces of an erased person can't be read", read).await?;
        Ok(traces.map_or(NextTraces::Nothing, NextTraces::Found))
    }

    async fn cover_traces(&self, user: &UserId, channel: ChannelId, through: Seq) -> Result<(), StoreError> {
        let user = user.clone();
        self.write(SyncMode::Disk, move |changes| changes.cover_traces(&user, channel, through)).await
    }

    async fn end_erasure(&self, user: &UserId) -> Result<(), StoreError> {
        let user = user.clone();
        self.write(SyncMode::Disk, move |changes| changes.end_erasure(&user)).await
    }

    async fn readmit(&self, user: &UserId) -> Result<bool, StoreError> {
        let user = user.clone();
        self.write(SyncMode::Disk, move |changes| changes.readmit(&user)).await
    }
}

fn progress(
    erased: &ReadOnlyTable<&'static str, Json>,
    user: &UserId,
) -> Result<Option<Progress>, TransactionError> {
    erased.get(user.as_str())?.map(|row| decode(row.value())).transpose()
}

fn under_way(txn: &ReadTransaction, limit: usize) -> Result<Vec<ErasedUser>, TransactionError> {
    let mut found = Vec::new();
    for row in txn.open_table(ERASED)?.iter()? {
        let (user, progress) = row?;
        let progress: Progress = decode(progress.value())?;
        if found.len() < limit && !progress.done {
            let user = UserId::new(user.value())
                .map_err(|_| TransactionError::Broken("invalid row: a user's id can't be one"))?;
            found.push(progress.of(user));
        }
    }
    Ok(found)
}

/// Returns the first channel from `first` on where a user may have left something. Each channel costs two look-ups: one
/// for their messages, by the nonces, and one for everything else.
fn next_place(
    txn: &ReadTransaction,
    user: &UserId,
    first: u64,
) -> Result<Option<ChannelInfo>, TransactionError> {
    let (nonces, places) = (txn.open_table(NONCES)?, txn.open_table(PLACES)?);
    for row in txn.open_table(CHANNELS)?.range(first..)? {
        let (id, info) = row?;
        let mut theirs = nonces.range((id.value(), user.as_str(), "")..)?;
        let first = theirs.next().transpose()?;
        let has_written = first.is_some_and(|(key, _)| {
            let (channel, author, _) = key.value();
            channel == id.value() && author == user.as_str()
        });
        if has_written || places.get((user.as_str(), id.value()))?.is_some() {
            return Ok(Some(decode(info.value())?));
        }
    }
    Ok(None)
}

fn next_traces(
    txn: &ReadTransaction,
    user: &UserId,
    limit: usize,
) -> Result<Option<Traces>, TransactionError> {
    let progress = progress(&txn.open_table(ERASED)?, user)?.filter(|progress| !progress.done);
    let Some(progress) = progress else { return Ok(None) };
    let Some(info) = next_place(txn, user, progress.channel)? else { return Ok(None) };
    let id = info.id.0;
    let log = log(&txn.open_table(LOGS)?, id)?
        .ok_or(TransactionError::Broken("invalid row: a channel has no log"))?;
    let from = progress.in_channel(id).max(log.trimmed);
    let last = from.saturating_add(SCAN);
    let through = if last >= log.head { Seq::MAX } else { last };
    let mut traces = Traces::new(info, through);
    let rows = Rows { messages: txn.open_table(MESSAGES)? };
    let (authors, events) = (txn.open_table(AUTHORS)?, txn.open_table(EVENTS)?);
    let range = (Bound::Excluded((id, from)), Bound::Included((id, last)));
    let (mut authors, mut events) = (authors.range(range)?, events.range(range)?);
    let (mut author, mut event) = (authors.next().transpose()?, events.next().transpose()?);
    let mut found = 0;
    loop {
        // An edited message has rows in both tables.
        let of_author = author.as_ref().map(|(key, _)| key.value().1);
        let of_event = event.as_ref().map(|(key, _)| key.value().1);
        let Some(seq) = of_author.into_iter().chain(of_event).min() else { break };
        let mut is_theirs = false;
        if let Some((_, by)) = author.as_ref().filter(|_| of_author == Some(seq)) {
            is_theirs = by.value() == user.as_str();
            if is_theirs {
                traces.messages.push(seq);
            }
            author = authors.next().transpose()?;
        }
        if let Some((_, row)) = event.as_ref().filter(|_| of_event == Some(seq)) {
            let this: Event = decode(row.value())?;
            is_theirs |= this.kind.people().any(|person| person.id == *user);
            if let EventKind::Reaction { target, emoji, on: true, by } = this.kind
                && by.id == *user
            {
                rows.trace_reaction(id, user, target, emoji, &mut traces)?;
            }
            event = events.next().transpose()?;
        }
        found += usize::from(is_theirs);
        let goes_on = author.is_some() || event.is_some();
        if found >= limit.max(1) && (goes_on || traces.through != Seq::MAX) {
            traces.through = seq;
            break;
        }
    }
    Ok(Some(traces))
}

struct Rows {
    messages: ReadOnlyTable<(u64, u64), (u64, &'static [u8])>,
}

impl Rows {
    /// Notes a reaction that a message still has.
    fn trace_reaction(
        &self,
        channel: u64,
        user: &UserId,
        target: Seq,
        emoji: String,
        traces: &mut Traces,
    ) -> Result<(), TransactionError> {
        let Some(row) = self.messages.get((channel, target))? else { return Ok(()) };
        let message: Message = decode(row.value().1)?;
        let mut reactions = message.reactions.iter();
        let has = reactions.any(|reaction| reaction.emoji == emoji && reaction.users.contains(user));
        let reaction = (target, emoji);
        if has && !traces.reactions.contains(&reaction) {
            traces.reactions.push(reaction);
        }
        Ok(())
    }
}
