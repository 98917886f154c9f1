//! One channel's log in memory, with its current messages.

mod events;
mod messages;
mod nonces;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasherDefault;

use self::events::Events;
use self::messages::Messages;
pub(super) use self::nonces::{Hashed, Hashes};
use self::nonces::{Known, Nonces};
use crate::model::append::{Append, AppendBody};
use crate::model::attachment::Attachment;
use crate::model::check::Check;
use crate::model::event::{Event, EventKind};
use crate::model::id::{Epoch, Position, Seq, UserId};
use crate::model::membership::Mentions;
use crate::model::message::Message;
use crate::model::time::{Clock, Timestamp};
use crate::store::{AppendError, Appended, ChannelInfo, Head, Page, PageLimit, Replay, Traces, Unread};

/// One channel's log.
#[derive(Debug)]
pub(super) struct Log {
    info: ChannelInfo,
    epoch: Epoch,
    /// The events that were not trimmed. They are consecutive and end at the head.
    events: Events,
    head: Seq,
    last_at: Timestamp,
    messages: Messages,
    /// The `seq`s of each message's edits.
    edits: HashMap<Seq, Vec<Seq>>,
    nonces: Nonces,
    /// The hashes of everybody who may have left something in the channel.
    people: HashSet<u64, BuildHasherDefault<Known>>,
    /// The last of them that was noted: mostly the author of the next event too.
    noted: Option<u64>,
}

impl Log {
    pub(super) fn new(info: ChannelInfo) -> Self {
        Self {
            info,
            epoch: Epoch::random(),
            events: Events::default(),
            head: 0,
            last_at: Timestamp::from_millis(0),
            messages: Messages::default(),
            edits: HashMap::new(),
            nonces: Nonces::default(),
            people: HashSet::default(),
            noted: None,
        }
    }

    pub(super) fn info(&self) -> &ChannelInfo {
        &self.info
    }

    pub(super) fn head(&self) -> Head {
        Head { epoch: self.epoch.clone(), seq: self.head, check: self.check_at(self.head) }
    }

    /// Returns the position before the first event.
    pub(super) fn start(&self) -> Position {
        Position::new(self.epoch.clone(), 0).with_check(Some(Check::START))
    }

    /// Returns a message in its current state.
    pub(super) fn message(&self, seq: Seq) -> Option<Cow<'_, Message>> {
        let changed = self.messages.changed(seq).map(Cow::Borrowed);
        changed.or_else(|| self.event(seq)?.to_message().map(Cow::Owned))
    }

    /// Returns the files of a message.
    fn files(&self, seq: Seq) -> &[Attachment] {
        match (self.messages.changed(seq), self.event(seq).map(|event| &event.kind)) {
            (Some(message), _) => &message.attachments,
            (None, Some(EventKind::Message(content))) => &content.attachments,
            _ => &[],
        }
    }

    /// Returns the author of a message that is not deleted, and whom it mentions.
    fn undeleted(&self, seq: Seq) -> Option<(&UserId, &Mentions)> {
        if let Some(message) = self.messages.changed(seq) {
            return Some((&message.author.id, &message.mentions));
        }
        match &self.event(seq)?.kind {
            EventKind::Message(content) if !content.deleted => Some((&content.author.id, &content.mentions)),
            _ => None,
        }
    }

    /// Returns the answer to the first publish with the nonce of this one.
    pub(super) fn first_of(&self, append: &Append, hashed: &Hashed) -> Option<Appended> {
        let (seq, at) = self.nonces.first_of(hashed)?;
        // Another nonce can have the same hash, although random keys make that very unlikely.
        if let (Some(event), Some((_, author, nonce))) = (self.event(seq), append.dedupe_key()) {
            let EventKind::Message(content) = &event.kind else { return None };
            if content.author.id != *author || content.nonce != *nonce {
                return None;
            }
        }
        Some(Appended { seq, at, epoch: self.epoch.clone(), duplicate: true })
    }

    /// Reads the memory that the next append needs. `State::append_all` says why.
    pub(super) fn fetch(&self, hashed: Option<&Hashed>) -> u64 {
        let nonce = hashed.and_then(|hashed| self.nonces.first_of(hashed)).map_or(0, |(seq, _)| seq);
        nonce ^ self.events.last().map_or(0, |event| event.seq)
    }

    /// Checks that the target of an append exists.
    pub(super) fn check(&self, append: &Append) -> Result<(), AppendError> {
        let found = match &append.body {
            AppendBody::Message { reply_to, .. } => reply_to.is_none_or(|seq| self.messages.has(seq)),
            AppendBody::Edit { target, .. }
            | AppendBody::Delete { target }
            | AppendBody::React { target, .. } => self.undeleted(*target).is_some(),
            AppendBody::Member { .. } | AppendBody::Change { .. } => true,
        };
        if !found {
            return Err(AppendError::NoSuchMessage);
        }
        if let AppendBody::React { target, emoji, on: true, limits } = &append.body
            && let Some(message) = self.message(*target)
        {
            message.check_reaction(emoji, &append.author.id, *limits)?;
        }
        Ok(())
    }

    /// Appends a checked item. Returns the attachments that no message has any more.
    pub(super) fn append(
        &mut self,
        append: Append,
        hashed: Option<Hashed>,
        hashes: &Hashes,
        now: Timestamp,
    ) -> (Appended, Vec<Attachment>) {
        self.head += 1;
        self.last_at = now.following(self.last_at);
        let (seq, at) = (self.head, self.last_at);
        let event = append.into_event(seq, at);
        match hashed {
            // The author is all people of a message.
            Some(hashed) => {
                self.note(hashed.author);
                self.nonces.insert(&hashed, (seq, at));
            }
            None => event.kind.people().for_each(|person| self.note(hashes.of_user(&person.id))),
        }
        let mut dropped = Vec::new();
        match &event.kind {
            EventKind::Message(_) => self.messages.push(seq),
            EventKind::Edited { target, .. } => {
                self.edits.entry(*target).or_default().push(seq);
                self.change(*target, &event);
            }
            EventKind::Reaction { target, .. } => self.change(*target, &event),
            EventKind::Deleted { target, .. } => dropped = self.redact(*target),
            EventKind::Member { .. } | EventKind::Changed { .. } => {}
        }
        if let EventKind::Changed { title, topic, archived, .. } = &event.kind {
            self.info.title = title.clone().unwrap_or_else(|| std::mem::take(&mut self.info.title));
            self.info.topic = topic.clone().unwrap_or_else(|| std::mem::take(&mut self.info.topic));
            self.info.archived = archived.unwrap_or(self.info.archived);
        }
        self.events.push(event);
        (Appended { seq, at, epoch: self.epoch.clone(), duplicate: false }, dropped)
    }

    /// Applies an event to its target, which is not deleted.
    fn change(&mut self, target: Seq, event: &Event) {
        let message = self.messages.take_changed(target).or_else(|| self.event(target)?.to_message());
        if let Some(mut message) = message {
            message.apply(event);
            self.messages.put(message);
        }
    }

    fn redact(&mut self, target: Seq) -> Vec<Attachment> {
        let files = self.files(target).to_vec();
        self.messages.take_changed(target);
        let edits = self.edits.remove(&target).unwrap_or_default();
        for seq in edits.into_iter().chain([target]) {
            if let Some(event) = self.events.get_mut(seq) {
                event.kind.redact();
            }
        }
        files
    }

    /// Returns the check of the event at `seq`, if the log still has it.
    fn check_at(&self, seq: Seq) -> Option<Check> {
        if seq == 0 {
            return Some(Check::START);
        }
        self.event(seq).map(Check::of)
    }

    /// Returns the event at `seq`, if the log still has it.
    fn event(&self, seq: Seq) -> Option<&Event> {
        self.events.get(seq)
    }

    pub(super) fn after(&self, position: &Position, limit: PageLimit) -> Replay {
        let trimmed = self.head - self.events.len() as Seq;
        if position.epoch != self.epoch
            || position.seq < trimmed
            || position.seq > self.head
            || !position.fits(self.check_at(position.seq))
        {
            return Replay::Reset(self.head());
        }
        let mut later = self.events.after(position.seq).peekable();
        let mut page = limit.fill();
        let mut events = Vec::new();
        while let Some(event) = later.next_if(|event| page.take(event.weight())) {
            events.push(event.clone());
        }
        Replay::Events { events, more: later.peek().is_some() }
    }

    pub(super) fn messages_before(&self, before: Seq, limit: PageLimit) -> Page {
        let older = self.messages.before(before).rev().filter_map(|seq| self.message(seq));
        let mut older = older.peekable();
        let mut page = limit.fill();
        let mut messages = Vec::new();
        while let Some(message) = older.next_if(|message| page.take(message.weight())) {
            messages.push(message.into_owned());
        }
        messages.reverse();
        Page { messages, more: older.peek().is_some() }
    }

    pub(super) fn messages_after(&self, after: Seq, limit: PageLimit) -> Page {
        let newer = self.messages.from(after.saturating_add(1)).filter_map(|seq| self.message(seq));
        let mut newer = newer.peekable();
        let mut page = limit.fill();
        let mut messages = Vec::new();
        while let Some(message) = newer.next_if(|message| page.take(message.weight())) {
            messages.push(message.into_owned());
        }
        Page { messages, more: newer.peek().is_some() }
    }

    /// Counts what `user`, whose marker is `read`, has not read. Nothing before `since` counts.
    pub(super) fn unread(&self, user: &UserId, read: Seq, since: Seq) -> Unread {
        let first = read.saturating_add(1).max(since);
        let newest = self.messages.from(first).rev();
        let scanned = newest.zip(0..Unread::scan(read)).filter_map(|(seq, _)| self.undeleted(seq));
        let unread = scanned.filter(|(author, _)| *author != user);
        let (messages, mentions) = unread.fold((0, 0), |(messages, mentions), (_, mentioned)| {
            (messages + 1, mentions + u64::from(mentioned.mean(user)))
        });
        Unread::new(read, messages, self.head).with_mentions(mentions)
    }

    /// Notes that the user with this hash may have left something in the channel.
    pub(super) fn note(&mut self, user: u64) {
        if self.noted != Some(user) {
            self.people.insert(user);
            self.noted = Some(user);
        }
    }

    /// Returns whether the user with this hash may have left something in the channel.
    pub(super) fn may_have_traces_of(&self, user: u64) -> bool {
        self.people.contains(&user)
    }

    /// Returns the next part of the log after `from` that has at most `limit` events in which a user takes part: the last
    /// event of the part, or [`Seq::MAX`] for the rest, and those events.
    pub(super) fn part_of(
        &self,
        user: &UserId,
        from: Seq,
        limit: usize,
    ) -> (Seq, impl Iterator<Item = &Event>) {
        let is_theirs = |event: &&Event| event.kind.people().any(|person| person.id == *user);
        let theirs = self.events.after(from).filter(is_theirs);
        let theirs: Vec<_> = theirs.take(limit.max(1) + 1).collect();
        let is_rest = theirs.len() <= limit.max(1);
        let part = theirs.len() - usize::from(!is_rest);
        let through = if is_rest { Seq::MAX } else { theirs[part - 1].seq };
        (through, theirs.into_iter().take(part))
    }

    /// Notes what an event of a user has left.
    pub(super) fn trace(&self, user: &UserId, event: &Event, traces: &mut Traces) {
        match &event.kind {
            EventKind::Message(content) if content.author.id == *user && !content.deleted => {
                traces.messages.push(event.seq);
            }
            EventKind::Reaction { target, emoji, on: true, by } if by.id == *user => {
                let reaction = (*target, emoji.clone());
                let has = |message: &Message| {
                    let mut reactions = message.reactions.iter();
                    reactions.any(|reaction| reaction.emoji == *emoji && reaction.users.contains(user))
                };
                if self.messages.changed(*target).is_some_and(has) && !traces.reactions.contains(&reaction) {
                    traces.reactions.push(reaction);
                }
            }
            _ => {}
        }
    }

    /// Takes a user's name out of the channel's entry, and of the events after `from` up to `through`.
    pub(super) fn erase_name(&mut self, user: &UserId, from: Seq, through: Seq) {
        self.info.created_by.erase_name(user);
        for event in self.events.after_mut(from).take_while(|event| event.seq <= through) {
            event.kind.erase_name(user);
        }
        for message in self.messages.changed_within(from, through) {
            message.erase_name(user);
        }
    }

    /// Redacts the edits by a user after `from` up to `through` whose message was deleted or trimmed. A trimmed message
    /// can't be deleted, so nothing else redacts its edits.
    pub(super) fn redact_edits_of(&mut self, user: &UserId, from: Seq, through: Seq) {
        let part = self.events.after(from).take_while(|event| event.seq <= through);
        let left = part.filter(|event| match &event.kind {
            EventKind::Edited { target, by, .. } => by.id == *user && self.undeleted(*target).is_none(),
            _ => false,
        });
        for seq in left.map(|event| event.seq).collect::<Vec<_>>() {
            if let Some(event) = self.events.get_mut(seq) {
                event.kind.redact();
            }
        }
    }

    /// Trims the log to the newest `messages`, once it has a tenth more.
    pub(super) fn trim_to(&mut self, messages: usize, ages: &Clock) -> Vec<Attachment> {
        let excess = self.messages.len().saturating_sub(messages);
        if excess <= messages / 10 {
            return Vec::new();
        }
        let last = self.messages.nth(excess - 1);
        last.map(|seq| self.trim(seq, ages.now())).unwrap_or_default()
    }

    /// Removes everything up to and including `through`. Returns the attachments of the removed messages.
    pub(super) fn trim(&mut self, through: Seq, now: Timestamp) -> Vec<Attachment> {
        let older = self.messages.before(through.saturating_add(1));
        let removed = older.flat_map(|seq| self.files(seq)).cloned().collect();
        self.events.trim(through);
        self.messages.trim(through);
        self.nonces.trim(through, now);
        self.edits.retain(|target, _| *target > through);
        removed
    }
}
