//! What the app's own code does without a session.

use std::sync::Arc;

use tokio::time::timeout;

use crate::channel::Channel;
use crate::chat::Chat;
use crate::connection::checks::{check_content, checked_mentions, checked_text};
use crate::connection::mentions::mentioned;
use crate::engine::Engine;
use crate::engine::history::Past;
use crate::model::append::{AppendBody, Extras};
use crate::model::avatar::Avatar;
use crate::model::error::Error;
use crate::model::id::{ChannelId, Seq, UserId};
use crate::model::message::{Message, User};
use crate::model::name::ChannelName;
use crate::model::new_message::NewMessage;
use crate::protocol::{ChannelList, ChannelObject, History, HistoryPage, Published};
use crate::store::{PageLimit, Unread};

/// For the app's own code, which is trusted: these calls need no session, don't ask the [`Policy`](crate::Policy),
/// and count towards no user's rate limits.
impl Chat {
    /// Publishes a message of `author`, who needs no connection and need not be a member of the channel, not even of a
    /// private one. The answer comes once the store has the message.
    ///
    /// As for a client, a nonce that the author has already used in the channel stores nothing, attachments are
    /// files that the author has uploaded to it, and the limits of sizes hold. A chat that is
    /// [draining](Self::drain) still publishes.
    ///
    /// ```
    /// use chatcore::{ChannelName, Chat, MemoryStore, NewMessage, Nonce, User};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let chat = Chat::builder(MemoryStore::new()).build();
    /// let (helpdesk, support) = (User::new("u_helpdesk", "Helpdesk")?, ChannelName::new("support")?);
    /// chat.ensure_channel(&support, "Questions and answers", &helpdesk).await?;
    /// let closed = NewMessage::text("Ticket 4711 is closed.").nonce(Nonce::new("closed-4711")?);
    /// chat.publish(&helpdesk, &support, closed).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// - `no_such_channel`, `no_such_attachment`, `archived`
    /// - `no_such_message` if it replies to none
    /// - `empty`, `too_large`, or `bad_frame` for a text with U+0000
    /// - `unavailable` if the store fails, does not answer within two [`Limits::store_timeout`], or if too many
    ///   messages already wait for it. After a failure of the store the message may have been stored: publish a
    ///   clone of it again.
    ///
    /// # Cancel safety
    /// If the future is dropped, the message may still be published.
    ///
    /// [`Limits::store_timeout`]: crate::Limits::store_timeout
    pub async fn publish(
        &self,
        author: &User,
        channel: &ChannelName,
        message: NewMessage,
    ) -> Result<Published, Error> {
        let engine = self.engine();
        let NewMessage { nonce, text, attachments, reply_to, mentions, data, kind, .. } = message;
        check_content(&engine.limits, &text, attachments.len())?;
        let text = checked_text(&engine.limits, text)?;
        let channel = in_time(engine, async {
            let (name, _) = find(engine, channel).await?;
            engine.channel(&name).await
        });
        let channel = channel.await?;
        let attachments = in_time(engine, engine.files(&attachments)).await?;
        let mentions = checked_mentions(&engine.limits, mentions)?;
        let mentions = in_time(engine, engine.mentions_of(&channel, mentions)).await?;
        let mentioned = mentioned(&mentions, &author.id);
        let mut extras = Extras::default().with_mentions(mentions);
        (extras.data, extras.kind) = (data, kind);
        let info = channel.info.clone();
        let name = info.name.clone();
        let body = AppendBody::Message { nonce, text, reply_to, attachments, extras: extras.boxed() };
        let stored = engine.queue(author.clone(), channel, body, None)?.await?;
        if !stored.duplicate {
            engine.tell_counts(&info, mentioned);
        }
        Ok(Published { channel: name, seq: stored.seq, at: stored.at, duplicate: stored.duplicate })
    }

    /// Replaces the text of a message, as `by`, and returns the `seq` of the edit in the channel's log. Its mentions, its data
    /// and its files stay.
    ///
    /// # Errors
    /// As for [`publish`](Self::publish), and `no_such_message`, also for a deleted one.
    ///
    /// # Cancel safety
    /// If the future is dropped, the message may still be edited.
    pub async fn edit(
        &self,
        by: &User,
        channel: &ChannelName,
        seq: Seq,
        text: impl Into<Arc<str>>,
    ) -> Result<Seq, Error> {
        let engine = self.engine();
        let (channel, message) = target(engine, channel, seq).await?;
        let text = text.into();
        check_content(&engine.limits, &text, message.attachments.len())?;
        let text = checked_text(&engine.limits, text)?;
        let body = AppendBody::Edit { target: seq, text, extras: None };
        Ok(engine.queue(by.clone(), channel, body, None)?.await?.seq)
    }

    /// Deletes a message with its files, as `by`, and returns the `seq` of the deletion in the channel's log: for a moderator
    /// of the app. The message stays as a place in the log, without its content.
    ///
    /// ```
    /// use chatcore::{ChannelName, Chat, MemoryStore, NewMessage, User};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let chat = Chat::builder(MemoryStore::new()).build();
    /// let (moderator, support) = (User::new("u_moderator", "Moderator")?, ChannelName::new("support")?);
    /// chat.ensure_channel(&support, "", &moderator).await?;
    /// let spam = chat.publish(&User::new("u_eve", "Eve")?, &support, NewMessage::text("Buy!")).await?;
    /// chat.delete(&moderator, &support, spam.seq).await?;
    /// assert!(chat.history(&support, spam.seq + 1, 1).await?.messages[0].deleted);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `no_such_channel`. `no_such_message`, also for one that is deleted already. `archived`. `unavailable` as for
    /// [`publish`](Self::publish).
    ///
    /// # Cancel safety
    /// If the future is dropped, the message may still be deleted.
    pub async fn delete(&self, by: &User, channel: &ChannelName, seq: Seq) -> Result<Seq, Error> {
        let engine = self.engine();
        let (channel, message) = target(engine, channel, seq).await?;
        let deleted = engine.queue(by.clone(), channel, AppendBody::Delete { target: seq }, None)?.await?;
        if !message.attachments.is_empty() {
            engine.discarded.notify_one();
        }
        Ok(deleted.seq)
    }

    /// Stores a person's name and picture, and tells everybody who may know of them (`user_changed`) if something is new.
    /// Without an avatar, they have none from now on. The person need not be connected, nor known yet.
    ///
    /// The lists of people and members have the avatar: `users`, `members`, and the people of a direct channel. Messages
    /// keep a copy of the name alone. An avatar stays when the person connects with an
    /// [`Identity`](crate::Identity) whose user has none.
    ///
    /// ```
    /// use chatcore::{Avatar, Chat, MemoryStore, UserId};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let chat = Chat::builder(MemoryStore::new()).build();
    /// let picture = Avatar::new("https://example.com/ann.png")?;
    /// chat.put_profile(&UserId::new("u_ann")?, "Ann", Some(picture)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `unavailable` if the store fails.
    ///
    /// # Cancel safety
    /// If the future is dropped, the profile may be stored, with nobody told.
    pub async fn put_profile(&self, user: &UserId, name: &str, avatar: Option<Avatar>) -> Result<(), Error> {
        let user = User::from_id(user.clone(), name).with_avatar(avatar);
        in_time(self.engine(), self.engine().put_profile(&user)).await
    }

    /// Returns a person as the chat knows them: under the last name that was stored, or as
    /// [erased](User::is_deleted). `None` if nobody with this id has connected or was stored. An app that gives out ids of
    /// its own sees by this whether one is free.
    ///
    /// # Errors
    /// `unavailable` if the store can't be read.
    pub async fn user(&self, id: &UserId) -> Result<Option<User>, Error> {
        let engine = self.engine();
        in_time(engine, async { engine.known(id).await }).await
    }

    /// Tells all nodes of events that were stored without this chat: call it after the commit of a transaction of the
    /// app's own that has published to the channel. Otherwise subscribers learn of them when something else is
    /// published, or within half a minute.
    ///
    /// # Errors
    /// `no_such_channel`. `unavailable` if the store can't be read.
    ///
    /// # Cancel safety
    /// If the future is dropped, the call may have had its effect or not.
    pub async fn wake(&self, channel: &ChannelName) -> Result<(), Error> {
        let engine = self.engine();
        let head = in_time(engine, async {
            let (name, id) = find(engine, channel).await?;
            let head = engine.store.heads(&[id]).await?.into_iter().next().flatten();
            Ok((name, id, head.ok_or_else(Error::no_such_channel)?))
        });
        let (name, id, head) = head.await?;
        engine.monitor.appended.ring();
        if let Some(nodes) = &engine.nodes {
            nodes.sender.head(id, &head.epoch, head.seq);
        }
        match engine.registry.loaded(name.as_str()) {
            Some(channel) if channel.position().seq != head.seq => engine.appends.catch_up(&channel).await,
            _ => Ok(()),
        }
    }

    /// Returns up to `limit` messages of a channel, oldest first: [before, after or around](History) a message. From a
    /// page on, older ones are before the `seq` of its first message, and newer ones after that of its last. A `seq` by
    /// itself means before it, so [`Seq::MAX`](crate::Seq) is the end of the log.
    ///
    /// A page has at most [`Limits::page_messages`](crate::Limits::page_messages) messages, and about
    /// [`Limits::answer_bytes`](crate::Limits::answer_bytes) bytes. It has at least one, if there is one: a `limit` outside of
    /// that is the nearest one inside.
    ///
    /// ```
    /// use chatcore::{ChannelName, Chat, History, MemoryStore, NewMessage, Seq, User};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let chat = Chat::builder(MemoryStore::new()).build();
    /// # let (helpdesk, support) = (User::new("u_helpdesk", "Helpdesk")?, ChannelName::new("support")?);
    /// # chat.ensure_channel(&support, "", &helpdesk).await?;
    /// # for n in 1..=9 {
    /// #     chat.publish(&helpdesk, &support, NewMessage::text(n.to_string())).await?;
    /// # }
    /// let newest = chat.history(&support, Seq::MAX, 2).await?;
    /// assert_eq!(newest.messages[0].text, "8");
    /// let found = chat.history(&support, History::Around(5), 3).await?;
    /// let texts: Vec<_> = found.messages.iter().map(|message| message.text.as_str()).collect();
    /// assert_eq!((texts, found.more, found.more_after), (vec!["4", "5", "6"], true, Some(true)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `no_such_channel`. `unavailable` if the store fails.
    pub async fn history(
        &self,
        channel: &ChannelName,
        history: impl Into<History>,
        limit: usize,
    ) -> Result<HistoryPage, Error> {
        let (engine, history) = (self.engine(), history.into());
        let limit = PageLimit::new(limit.min(engine.limits.page_messages).max(1), engine.limits.answer_bytes);
        let past = in_time(engine, async {
            let (_, id) = find(engine, channel).await?;
            Ok(engine.past(id, history, limit, 0).await?)
        });
        let Past { older, newer, more, more_after } = past.await?;
        let mut messages = older;
        messages.extend(newer);
        messages.iter_mut().for_each(|message| engine.encoder.hide_name(message));
        messages
            .iter_mut()
            .flat_map(|message| &mut message.attachments)
            .for_each(|file| engine.encoder.locate(file));
        Ok(HistoryPage { messages, more, more_after })
    }

    /// Returns a page of the channels that `user` can see by name, archived ones too, each with what they have to read:
    /// those after the name `after`, or from the first. If there are `more`, the next page is after the last channel of this
    /// one.
    ///
    /// A page has at most [`Limits::channels_page`](crate::Limits::channels_page) channels, and about
    /// [`Limits::answer_bytes`](crate::Limits::answer_bytes) bytes.
    ///
    /// # Errors
    /// `unavailable` if the store fails.
    pub async fn channels_of(
        &self,
        user: &UserId,
        after: Option<&ChannelName>,
    ) -> Result<ChannelList, Error> {
        let engine = self.engine();
        let limit = PageLimit::new(engine.limits.channels_page.max(1), engine.limits.answer_bytes);
        let page = in_time(engine, async {
            let page = engine.store.channels_of(user, after, true, limit).await?;
            let ids: Vec<_> = page.channels.iter().map(|listed| listed.info.id).collect();
            let counts = engine.store.unread(user, &ids).await?;
            Ok((page, counts))
        });
        let (page, counts) = page.await?;
        let after = page.channels.last().filter(|_| page.more).map(|last| last.info.name.to_string());
        let channels = page.channels.into_iter().zip(counts);
        let channels = channels.map(|(listed, unread)| ChannelObject::new(listed, unread)).collect();
        Ok(ChannelList { channels, more: page.more, after })
    }

    /// Returns what `user` has to read in a channel. Their own messages and deleted ones don't count.
    ///
    /// # Errors
    /// `no_such_channel`. `unavailable` if the store fails.
    pub async fn unread(&self, user: &UserId, channel: &ChannelName) -> Result<Unread, Error> {
        let engine = self.engine();
        let counts = in_time(engine, async {
            let (_, id) = find(engine, channel).await?;
            Ok(engine.store.unread(user, &[id]).await?)
        });
        Ok(counts.await?.into_iter().next().unwrap_or_default())
    }

    /// Returns everybody who is online in a channel, by name: who has a connection that is subscribed to it, or had
    /// one within [`Limits::presence_grace`](crate::Limits::presence_grace). Nobody is online in a channel that
    /// does not exist, or if [`Limits::presence_members`](crate::Limits::presence_members) is 0.
    ///
    /// The channel is one with exactly this name. A participant of this process counts once it subscribes, and one of
    /// another process within a second. A channel that this process does not have in memory has nobody here.
    #[must_use]
    pub fn online(&self, channel: &ChannelName) -> Vec<User> {
        let channel = self.engine().registry.loaded(channel.as_str());
        let channel = channel.inspect(|channel| self.engine().open_presence(channel));
        channel.map(|channel| channel.online().everybody()).unwrap_or_default()
    }
}

/// Waits for the store, but not for ever.
pub(super) async fn in_time<T>(
    engine: &Engine,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    timeout(engine.limits.store_timeout, answer).await.map_err(|_| Error::timed_out())?
}

/// Returns a channel in memory, and a message of it that is not deleted.
async fn target(engine: &Engine, name: &ChannelName, seq: Seq) -> Result<(Arc<Channel>, Message), Error> {
    in_time(engine, async {
        let (name, _) = find(engine, name).await?;
        let channel = engine.channel(&name).await?;
        let message = engine.store.message(channel.info.id, seq).await?.filter(|message| !message.deleted);
        Ok((channel, message.ok_or_else(Error::no_such_message)?))
    })
    .await
}

/// Returns the own name and the id of the channel with this name in any spelling.
pub(super) async fn find(engine: &Engine, name: &ChannelName) -> Result<(ChannelName, ChannelId), Error> {
    if let Some(channel) = engine.registry.loaded(name.as_str()) {
        return Ok((channel.info.name.clone(), channel.info.id));
    }
    let info = engine.store.channel(name).await?.ok_or_else(Error::no_such_channel)?;
    Ok((info.name, info.id))
}
