//! Changes to the logs inside a write transaction: append and redact.

use std::collections::HashMap;

use chatcore::store::{Append, AppendBody, AppendError, Appended, Event, EventKind, Mentions, UploadState};
use chatcore::{Attachment, AttachmentId, ChannelId, Epoch, Message, Seq, Timestamp};
use redb::{ReadableTable, WriteTransaction};

use crate::error::TransactionError;
use crate::schema::{Log, Tables, author_of, begun, decode, encode, log};
use crate::unread::replace_mentions;

/// The outcome of an item. The outer error fails the transaction, the inner one refuses the item.
pub(crate) type Outcome<T> = Result<Result<T, AppendError>, TransactionError>;

/// An open write transaction: the tables, and the states of the logs that it has read or changed.
pub(crate) struct Changes<'t> {
    pub(crate) tables: Tables<'t>,
    logs: HashMap<u64, Log>,
    /// What the journaled writes of this round have changed, as a record of the journal.
    pub(crate) entry: Vec<u8>,
}

impl<'t> Changes<'t> {
    pub(crate) fn open(txn: &'t WriteTransaction) -> Self {
        Self { tables: Tables::new(txn), logs: HashMap::new(), entry: Vec::new() }
    }

    /// Writes the logs' states, once per transaction, and tells the consumers of those that have changed. Returns whether
    /// the transaction changed anything.
    pub(crate) fn finish(mut self) -> Result<bool, TransactionError> {
        let mut changed = Vec::new();
        for (channel, log) in &self.logs {
            let row = encode(log)?;
            let stored = self.tables.logs.read()?.get(channel)?.is_some_and(|stored| stored.value() == row);
            if !stored {
                self.tables.logs.write()?.insert(channel, row.as_slice())?;
                changed.push(*channel);
            }
        }
        if !changed.is_empty() {
            self.note_news(&changed)?;
        }
        Ok(self.tables.ever_changed())
    }

    /// Returns the state of a channel's log in this transaction.
    pub(crate) fn log(&mut self, channel: ChannelId) -> Result<Option<&mut Log>, TransactionError> {
        let entry = match self.logs.entry(channel.0) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                match log(self.tables.logs.read()?, channel.0)? {
                    Some(log) => entry.insert(log),
                    None => return Ok(None),
                }
            }
        };
        Ok(Some(entry))
    }

    /// Gives every log a new epoch.
    pub(crate) fn renew_epochs(&mut self) -> Result<(), TransactionError> {
        let mut channels = Vec::new();
        for row in self.tables.logs.read()?.iter()? {
            channels.push(row?.0.value());
        }
        // The rows are written at the end of the transaction. The round has changed them now.
        self.tables.logs.write()?;
        for channel in channels {
            if let Some(log) = self.log(ChannelId(channel))? {
                log.epoch = Epoch::random();
            }
        }
        Ok(())
    }

    /// Applies a batch in order. Its events are committed together and have the same time.
    pub(crate) fn append(
        &mut self,
        batch: Vec<Append>,
        now: Timestamp,
    ) -> Result<Vec<Result<Appended, AppendError>>, TransactionError> {
        batch.into_iter().map(|item| self.append_one(item, now)).collect()
    }

    /// Appends an item. All checks come before the first change, so that a refused item changes nothing.
    fn append_one(&mut self, item: Append, now: Timestamp) -> Outcome<Appended> {
        let channel = item.channel;
        let Some(log) = self.log(channel)? else { return Ok(Err(AppendError::NoSuchChannel)) };
        let (epoch, seq, at) = (log.epoch.clone(), log.head + 1, now.following(log.at));
        if let Some(first) = self.first_of(&item)? {
            return Ok(Ok(Appended::duplicate(first.0, first.1, epoch)));
        }
        if let Err(refusal) = self.judge(&item)? {
            return Ok(Err(refusal));
        }
        let target = match self.check(&item)? {
            Ok(target) => target,
            Err(refusal) => return Ok(Err(refusal)),
        };
        self.apply(channel, &item.into_event(seq, at), target)?;
        Ok(Ok(Appended::new(seq, at, epoch)))
    }

    /// Makes the changes of an event that was checked. `target` is the message that it is about.
    fn apply(
        &mut self,
        channel: ChannelId,
        event: &Event,
        target: Option<(u64, Message)>,
    ) -> Result<(), TransactionError> {
        let (seq, at) = (event.seq, event.at);
        self.note_places(channel, event)?;
        match (&event.kind, target) {
            (EventKind::Message(content), _) => {
                self.tables.nonces.write()?.insert(
                    (channel.0, content.author.id.as_str(), content.nonce.as_str()),
                    (seq, at.as_millis()),
                )?;
                for attachment in &content.attachments {
                    self.set_upload_state(&attachment.id, UploadState::Attached(seq))?;
                }
                self.add_message(channel, event)?;
            }
            (EventKind::Member { op, user, role, .. }, _) => {
                self.change_member(channel, *op, user, *role, seq)?;
                self.append_event(channel, event)?;
            }
            (EventKind::Changed { title, topic, archived, .. }, _) => {
                self.change_channel(channel, title.as_deref(), topic.as_deref(), *archived)?;
                self.append_event(channel, event)?;
            }
            (_, Some(target)) => {
                self.fold(channel, target, event)?;
                self.append_event(channel, event)?;
            }
            (_, None) => return Err(TransactionError::Broken("invalid row: an event has no message")),
        }
        if let Some(log) = self.log(channel)? {
            (log.head, log.at) = (seq, at);
        }
        Ok(())
    }

    /// Applies an event that an earlier transaction has applied, and that this database does not have.
    pub(crate) fn apply_again(&mut self, channel: ChannelId, event: &Event) -> Result<(), TransactionError> {
        let log = self.log(channel)?.ok_or(TransactionError::Broken("the journal has an unknown channel"))?;
        if event.seq != log.head + 1 {
            return Err(TransactionError::Broken("the journal does not continue the log of a channel"));
        }
        let target = match event.kind {
            EventKind::Edited { target, .. }
            | EventKind::Deleted { target, .. }
            | EventKind::Reaction { target, .. } => self.message(channel, target)?,
            EventKind::Message(_) | EventKind::Member { .. } | EventKind::Changed { .. } => None,
        };
        self.apply(channel, event, target)
    }

    /// Finds the first publish with the same author and nonce.
    fn first_of(&self, item: &Append) -> Result<Option<(Seq, Timestamp)>, TransactionError> {
        let Some((channel, author, nonce)) = item.dedupe_key() else { return Ok(None) };
        let first = self.tables.nonces.read()?.get((channel.0, author.as_str(), nonce.as_str()))?;
        Ok(first.map(|row| row.value()).map(|(seq, at)| (seq, Timestamp::from_millis(at))))
    }

    /// Checks whether the item can be appended, and returns the row of its target.
    fn check(&self, item: &Append) -> Outcome<Option<(u64, Message)>> {
        match &item.body {
            AppendBody::Message { reply_to, attachments, .. } => {
                if let Some(answered) = reply_to
                    && self.tables.messages.read()?.get((item.channel.0, *answered))?.is_none()
                {
                    return Ok(Err(AppendError::NoSuchMessage));
                }
                if !self.can_attach(item, attachments)? {
                    return Ok(Err(AppendError::NoSuchAttachment));
                }
                Ok(Ok(None))
            }
            AppendBody::Edit { target, .. }
            | AppendBody::Delete { target }
            | AppendBody::React { target, .. } => {
                let row = self.message(item.channel, *target)?.filter(|(_, message)| !message.deleted);
                let Some(row) = row else { return Ok(Err(AppendError::NoSuchMessage)) };
                if let AppendBody::React { emoji, on: true, limits, .. } = &item.body
                    && let Err(refusal) = row.1.check_reaction(emoji, &item.author.id, *limits)
                {
                    return Ok(Err(refusal.into()));
                }
                Ok(Ok(Some(row)))
            }
            AppendBody::Member { .. } | AppendBody::Change { .. } => Ok(Ok(None)),
        }
    }

    fn can_attach(&self, item: &Append, attachments: &[Attachment]) -> Result<bool, TransactionError> {
        for (i, attachment) in attachments.iter().enumerate() {
            let Some(upload) = self.upload(&attachment.id)? else { return Ok(false) };
            let theirs = upload.owner == item.author.id && upload.channel == item.channel;
            let twice = attachments[..i].iter().any(|earlier| earlier.id == attachment.id);
            if !theirs || upload.state != UploadState::Ready || twice {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(crate) fn message(
        &self,
        channel: ChannelId,
        seq: Seq,
    ) -> Result<Option<(u64, Message)>, TransactionError> {
        let Some(row) = self.tables.messages.read()?.get((channel.0, seq))? else { return Ok(None) };
        let (ordinal, json) = row.value();
        Ok(Some((ordinal, decode(json)?)))
    }

    fn add_message(&mut self, channel: ChannelId, event: &Event) -> Result<(), TransactionError> {
        let broken = || TransactionError::Broken("invalid row: a message has no log");
        let message = event.to_message().ok_or_else(broken)?;
        let log = self.log(channel)?.ok_or_else(broken)?;
        log.messages += 1;
        let ordinal = log.messages;
        replace_mentions(
            &mut self.tables.mentions,
            channel,
            message.seq,
            &Mentions::default(),
            &message.mentions,
        )?;
        let row = encode(&message)?;
        self.put_row(channel, ordinal, &message, &row)?;
        self.journal_message(channel, &row);
        Ok(())
    }

    fn append_event(&mut self, channel: ChannelId, event: &Event) -> Result<(), TransactionError> {
        let row = encode(event)?;
        self.tables.events.write()?.insert((channel.0, event.seq), row.as_slice())?;
        self.journal_event(channel, &row);
        Ok(())
    }

    /// Applies an edit, a delete or a reaction to its message.
    fn fold(
        &mut self,
        channel: ChannelId,
        target: (u64, Message),
        event: &Event,
    ) -> Result<(), TransactionError> {
        let (ordinal, mut message) = target;
        match event.kind {
            EventKind::Edited { target, .. } => {
                if self.event(channel, target)?.is_none() {
                    self.put_event(channel, &begun(message.clone()))?;
                }
                self.tables.edits.write()?.insert((channel.0, target, event.seq), ())?;
            }
            EventKind::Deleted { .. } => self.redact(channel, &message)?,
            EventKind::Message(_)
            | EventKind::Reaction { .. }
            | EventKind::Member { .. }
            | EventKind::Changed { .. } => {}
        }
        let mentions = message.mentions.clone();
        message.apply(event);
        replace_mentions(&mut self.tables.mentions, channel, message.seq, &mentions, &message.mentions)?;
        self.put_message(channel, ordinal, &message)
    }

    pub(crate) fn put_message(
        &mut self,
        channel: ChannelId,
        ordinal: u64,
        message: &Message,
    ) -> Result<(), TransactionError> {
        self.put_row(channel, ordinal, message, &encode(message)?)
    }

    fn put_row(
        &mut self,
        channel: ChannelId,
        ordinal: u64,
        message: &Message,
        row: &[u8],
    ) -> Result<(), TransactionError> {
        let key = (channel.0, message.seq);
        self.tables.messages.write()?.insert(key, (ordinal, row))?;
        self.tables.authors.write()?.insert(key, author_of(message))?;
        Ok(())
    }

    /// Removes a message's texts and files from the log: from its edits and, if it was edited, from its own event.
    fn redact(&mut self, channel: ChannelId, message: &Message) -> Result<(), TransactionError> {
        let edits = (channel.0, message.seq, 0)..=(channel.0, message.seq, Seq::MAX);
        let mut rows = vec![message.seq];
        for edit in self.tables.edits.read()?.range(edits.clone())? {
            rows.push(edit?.0.value().2);
        }
        self.tables.edits.write()?.retain_in(edits, |_, ()| false)?;
        for seq in rows {
            let Some(mut event) = self.event(channel, seq)? else { continue };
            event.kind.redact();
            self.put_event(channel, &event)?;
        }
        for attachment in &message.attachments {
            self.set_upload_state(&attachment.id, UploadState::Discarded)?;
        }
        Ok(())
    }

    pub(crate) fn put_event(&mut self, channel: ChannelId, event: &Event) -> Result<(), TransactionError> {
        self.tables.events.write()?.insert((channel.0, event.seq), encode(event)?.as_slice())?;
        Ok(())
    }

    pub(crate) fn event(&self, channel: ChannelId, seq: Seq) -> Result<Option<Event>, TransactionError> {
        self.tables.events.read()?.get((channel.0, seq))?.map(|row| decode(row.value())).transpose()
    }

    /// Sets an upload's state, if the upload still exists.
    pub(crate) fn set_upload_state(
        &mut self,
        id: &AttachmentId,
        state: UploadState,
    ) -> Result<(), TransactionError> {
        match self.upload(id)? {
            Some(upload) if upload.state != state => self.put_upload(&upload.with_state(state)),
            _ => Ok(()),
        }
    }
}
