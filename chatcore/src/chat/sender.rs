//! The calls of a participant in this process.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::chat::session::{SharedSession, read_answer};
use crate::model::error::Error;
use crate::model::id::{Position, Seq};
use crate::model::new_message::NewMessage;
use crate::protocol::{
    ChannelList, ChannelObject, CloseReason, Command, History, HistoryPage, Logged, Published, SearchFrom,
    SearchPage, Subscribed,
};

/// The calls of a [`Client`](crate::Client), for any task that wants to speak in its session. Cloning it is cheap.
///
/// [`Client::sender`](crate::Client::sender) returns one. The session lasts as long as the client or one of its
/// senders.
#[derive(Clone, Debug)]
pub struct ClientSender {
    pub(super) session: Arc<SharedSession>,
}

/// Why a call of a [`ClientSender`] failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The command was refused.
    #[error(transparent)]
    Refused(Error),
    /// The session has ended.
    #[error("the session has ended: {0}")]
    Closed(CloseReason),
    /// The answer is not of the type that the caller of [`ClientSender::call`] requested. The command was carried out.
    #[error("the answer is not of the type that was asked for")]
    Decode(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ClientSender {
    /// Lists all channels by name. It reads page by page; for one page, use [`call`](Self::call) with
    /// [`Command::Channels`].
    ///
    /// # Errors
    /// [`ClientError`] if the command is refused or the session has ended.
    pub async fn channels(&self) -> Result<Vec<ChannelObject>, ClientError> {
        let (mut channels, mut after) = (Vec::new(), None);
        loop {
            let page: ChannelList =
                self.call(Command::Channels { after, limit: None, archived: true }).await?;
            channels.extend(page.channels);
            after = page.after.filter(|_| page.more);
            if after.is_none() {
                return Ok(channels);
            }
        }
    }

    /// Creates a channel.
    ///
    /// # Errors
    /// [`ClientError`] if the command is refused or the session has ended. `name_taken` names the channel that has
    /// the name.
    pub async fn create_channel(&self, name: &str, topic: &str) -> Result<ChannelObject, ClientError> {
        #[derive(Deserialize)]
        struct Created {
            channel: ChannelObject,
        }
        let command = Command::CreateChannel {
            name: Some(name.to_owned()),
            topic: Some(topic.to_owned()),
            kind: None,
            title: None,
            members: Vec::new(),
            history: None,
        };
        Ok(self.call::<Created>(command).await?.channel)
    }

    /// Subscribes to a channel, beginning with its newest messages.
    ///
    /// # Errors
    /// [`ClientError`] if the command is refused or the session has ended.
    pub async fn subscribe(&self, channel: &str) -> Result<Subscribed, ClientError> {
        self.call(Command::Subscribe { channel: channel.to_owned(), after: None, limit: None }).await
    }

    /// Subscribes to a channel, beginning after the position `after`: with every event since, or with a reset.
    ///
    /// # Errors
    /// [`ClientError`] if the command is refused or the session has ended.
    pub async fn resume(&self, channel: &str, after: Position) -> Result<Subscribed, ClientError> {
        self.call(Command::Subscribe { channel: channel.to_owned(), after: Some(after), limit: None }).await
    }

    /// Ends a subscription.
    ///
    /// # Errors
    /// [`ClientError`] if the command is refused or the session has ended.
    pub async fn unsubscribe(&self, channel: &str) -> Result<(), ClientError> {
        self.done(Command::Unsubscribe { channel: channel.to_owned() }).await
    }

    /// Publishes a text. [`send`](Self::send) can also reply, attach files, and be repeated.
    ///
    /// # Errors
    /// [`ClientError`] if the command is refused or the session has ended.
    pub async fn publish(&self, channel: &str, text: &str) -> Result<Published, ClientError> {
        self.send(channel, NewMessage::text(text)).await
    }

    /// Publishes a message. If the outcome is unknown, send a clone of it again: it is stored once, since the
    /// clone has the same nonce.
    ///
    /// # Errors
    /// [`ClientError`] if the command is refused or the session has ended.
    pub async fn send(&self, channel: &str, message: NewMessage) -> Result<Published, ClientError> {
        let NewMessage { nonce, text, attachments, reply_to, mentions, data, .. } = message;
        self.call(Command::Publish {
            channel: channel.to_owned(),
            nonce: nonce.to_string(),
            text: text.to_string(),
            attachments: attachments.iter().map(ToString::to_string).collect(),
            reply_to,
            mentions,
            data,
        })
        .await
    }

    /// Replaces a message's text.
    ///
    /// # Errors
    /// [`ClientError`] if the command is refused or the session has ended.
    pub async fn edit(&self, channel: &str, seq: Seq, text: &str) -> Result<Logged, ClientError> {
        let (channel, text) = (channel.to_owned(), text.to_owned());
        self.call(Command::Edit { channel, seq, text, mentions: None, data: None }).await
    }

    /// Deletes a message.
    ///
    /// # Errors
    /// [`ClientError`] if the command is refused or the session has ended.
    pub async fn delete(&self, channel: &str, seq: Seq) -> Result<Logged, ClientError> {
        self.call(Command::Delete { channel: channel.to_owned(), seq }).await
    }

    /// Adds an emoji to a message, or removes it.
    ///
    /// # Errors
    /// [`ClientError`] if the command is refused or the session has ended.
    pub async fn react(&self, channel: &str, seq: Seq, emoji: &str, on: bool) -> Result<Logged, ClientError> {
        self.call(Command::React { channel: channel.to_owned(), seq, emoji: emoji.to_owned(), on }).await
    }

    /// Returns up to `limit` messages [before, after or around](History) a message, oldest first. A `seq` by itself means
    /// before it.
    ///
    /// # Errors
    /// [`ClientError`] if the command is refused or the session has ended.
    pub async fn history(
        &self,
        channel: &str,
        history: impl Into<History>,
        limit: u32,
    ) -> Result<HistoryPage, ClientError> {
        self.call(history.into().command(channel, Some(limit))).await
    }

    /// Returns the newest messages of a channel that contain every word of `query`, of all messages or of those
    /// before `before`. If there is more to search, the answer says before which `seq` to go on.
    ///
    /// # Errors
    /// [`ClientError`] if the command is refused or the session has ended.
    pub async fn search(
        &self,
        channel: &str,
        query: &str,
        before: Option<SearchFrom>,
    ) -> Result<SearchPage, ClientError> {
        let (channel, query) = (Some(channel.to_owned()), query.to_owned());
        self.call(Command::Search { channel, query, before, limit: None }).await
    }

    /// Searches every channel that the participant can read, as [`search`](Self::search) does one. It goes on where the
    /// answer `from` has ended.
    ///
    /// # Errors
    /// [`ClientError`] if the command is refused or the session has ended.
    pub async fn search_all(&self, query: &str, from: Option<SearchFrom>) -> Result<SearchPage, ClientError> {
        let query = query.to_owned();
        self.call(Command::Search { channel: None, query, before: from, limit: None }).await
    }

    /// Moves the read marker forward.
    ///
    /// # Errors
    /// [`ClientError`] if the command is refused or the session has ended.
    pub async fn read(&self, channel: &str, seq: Seq) -> Result<(), ClientError> {
        self.done(Command::Read { channel: channel.to_owned(), seq }).await
    }

    /// Moves the read marker back, so that messages from `seq` on are unread again.
    ///
    /// # Errors
    /// [`ClientError`] if the command is refused or the session has ended.
    pub async fn unread(&self, channel: &str, seq: Seq) -> Result<(), ClientError> {
        self.done(Command::Unread { channel: channel.to_owned(), seq }).await
    }

    /// Tells other subscribers that the participant is typing.
    ///
    /// # Errors
    /// [`ClientError`] if the command is refused or the session has ended.
    pub async fn typing(&self, channel: &str) -> Result<(), ClientError> {
        self.done(Command::Typing { channel: channel.to_owned() }).await
    }

    async fn done(&self, command: Command) -> Result<(), ClientError> {
        self.call::<serde::de::IgnoredAny>(command).await.map(|_| ())
    }

    /// Sends a command and returns the contents of its `ok`.
    ///
    /// # Errors
    /// [`ClientError`] if the command is refused, the session has ended, or its `ok` is not a `T`.
    ///
    /// # Cancel safety
    /// If the future is dropped, the command may still be carried out. Its answer is dropped.
    pub async fn call<T: DeserializeOwned>(&self, command: Command) -> Result<T, ClientError> {
        let answer = self.session.call(command).await.map_err(ClientError::Closed)?;
        read_answer(&answer)
    }
}
