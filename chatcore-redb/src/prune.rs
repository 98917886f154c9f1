//! Prunes: removes the beginning of a log inside write transactions, and forgets old nonces.

use chatcore::store::{Mentions, NONCE_LIFE, UploadState};
use chatcore::{ChannelId, Message, Seq, Timestamp};
use redb::ReadableTable;

use crate::error::TransactionError;
use crate::log::Changes;
use crate::schema::decode;
use crate::unread::replace_mentions;

/// The most events, and the most nonces, that one transaction of a prune removes. It bounds how long appends wait.
const PRUNE_STEP: u64 = 1_000;

impl Changes<'_> {
    /// Runs one step of a prune. Returns whether there is more to do.
    pub(crate) fn prune(
        &mut self,
        channel: ChannelId,
        through: Seq,
        now: Timestamp,
    ) -> Result<bool, TransactionError> {
        let Some(log) = self.log(channel)? else { return Ok(false) };
        let through = through.min(log.head);
        let from = log.trimmed;
        let step = through.min(from.saturating_add(PRUNE_STEP));
        let expired = self.expire_nonces(channel, now)?;
        if from < step {
            self.remove_messages(channel, step, now)?;
            self.tables.events.write()?.retain_in((channel.0, 0)..=(channel.0, step), |_, _| false)?;
            self.tables
                .edits
                .write()?
                .retain_in((channel.0, 0, 0)..=(channel.0, step, Seq::MAX), |_, ()| false)?;
            if let Some(log) = self.log(channel)? {
                log.trimmed = step;
            }
        }
        Ok(step < through || expired == PRUNE_STEP)
    }

    fn remove_messages(
        &mut self,
        channel: ChannelId,
        through: Seq,
        now: Timestamp,
    ) -> Result<(), TransactionError> {
        let range = (channel.0, 0)..=(channel.0, through);
        let mut removed: Vec<(u64, Message)> = Vec::new();
        for row in self.tables.messages.read()?.range(range.clone())? {
            let (_, row) = row?;
            let (ordinal, json) = row.value();
            let mut message: Message = decode(json)?;
            let mentions = std::mem::take(&mut message.mentions);
            let nobody = Mentions::default();
            replace_mentions(&mut self.tables.mentions, channel, message.seq, &mentions, &nobody)?;
            // Keeping all texts of a step would take tens of megabytes.
            (message.text, message.reactions, message.data) = (String::new(), Vec::new(), None);
            removed.push((ordinal, message));
        }
        self.tables.messages.write()?.retain_in(range.clone(), |_, _| false)?;
        self.tables.authors.write()?.retain_in(range, |_, _| false)?;
        for (_, message) in &removed {
            let (author, nonce) = (message.author.id.as_str(), message.nonce.as_str());
            if is_expired(message.at, now) {
                self.tables.nonces.write()?.remove((channel.0, author, nonce))?;
            } else {
                self.tables
                    .orphans
                    .write()?
                    .insert((channel.0, message.seq), (message.at.min(now).as_millis(), author, nonce))?;
            }
            for attachment in &message.attachments {
                self.set_upload_state(&attachment.id, UploadState::Discarded)?;
            }
        }
        if let (Some((ordinal, _)), Some(log)) = (removed.last(), self.log(channel)?) {
            log.trimmed_messages = *ordinal;
        }
        Ok(())
    }

    /// Removes the expired nonces of pruned messages. Returns how many.
    fn expire_nonces(&mut self, channel: ChannelId, now: Timestamp) -> Result<u64, TransactionError> {
        let mut expired = 0;
        let mut last = None;
        let mut ahead = Vec::new();
        for row in self.tables.orphans.read()?.range((channel.0, 0)..=(channel.0, Seq::MAX))? {
            let (key, row) = row?;
            let (at, author, nonce) = row.value();
            if at > now.as_millis() && ahead.len() < PRUNE_STEP as usize {
                // The clock was wrong when this was pruned. Left as it is, it would keep all later nonces.
                ahead.push((key.value(), author.to_owned(), nonce.to_owned()));
                continue;
            }
            if expired == PRUNE_STEP || !is_expired(Timestamp::from_millis(at), now) {
                break;
            }
            self.tables.nonces.write()?.remove((channel.0, author, nonce))?;
            last = Some(key.value());
            expired += 1;
        }
        if let Some(last) = last {
            self.tables
                .orphans
                .write()?
                .retain_in((channel.0, 0)..=last, |_, (at, _, _)| at > now.as_millis())?;
        }
        for (key, author, nonce) in ahead {
            self.tables.orphans.write()?.insert(key, (now.as_millis(), author.as_str(), nonce.as_str()))?;
        }
        Ok(expired)
    }
}

fn is_expired(at: Timestamp, now: Timestamp) -> bool {
    at <= now.minus(NONCE_LIFE)
}
