//! A participant in this process: typed calls and a stream of events over the same session as a socket's.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::connection::Connection;
use crate::model::id::{Nonce, Position, Seq};
use crate::protocol::{
    ChannelList, ChannelObject, ChatEvent, CloseReason, Command, ErrorReply, HistoryPage, Logged, Published,
    SearchPage, Subscribed,
};

/// A participant in this process.
///
/// Calls are answered in order. Meanwhile events wait in the channels' rings. Read them with
/// [`next_event`](Self::next_event), or use the client as a [`Stream`], which ends with the session.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
    last_id: i64,
    events: std::collections::VecDeque<Bytes>,
    closed: Option<CloseReason>,
}

/// Why a call of a [`Client`] failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The command was refused.
    #[error("{}", .0.message)]
    Refused(ErrorReply),
    /// The session has ended.
    #[error("the session has ended: {0}")]
    Closed(CloseReason),
}

impl Client {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection, last_id: 0, events: std::collections::VecDeque::new(), closed: None }
    }

    /// Lists all channels by name. It reads page by page; for one page, use [`call`](Self::call) with
    /// [`Command::Channels`].
    ///
    /// # Errors
    /// [`ClientError`] if the command is refused or the session has ended.
    pub async fn channels(&mut self) -> Result<Vec<ChannelObject>, ClientError> {
        let (mut channels, mut after) = (Vec::new(), None);
        loop {
            let page: ChannelList = self.call(Command::Channels { after, limit: None }).await?;
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
    pub async fn create_channel(&mut self, name: &str, topic: &str) -> Result<ChannelObject, ClientError> {
        #[derive(Deserialize)]
        struct Created {
            channel: ChannelObject,
        }
        let command = Command::CreateChannel { name: name.to_owned(), topic: Some(topic.to_owned()) };
        Ok(self.call::<Created>(command).await?.channel)
    }

    /// Subscribes to a channel, beginning with its newest messages.
    ///
    /// # Errors
    /// [`ClientError`] if the command is refused or the session has ended.
    pub async fn subscribe(&mut self, channel: &str) -> Result<Subscribed, ClientError> {
        self.call(Command::Subscribe { channel: channel.to_owned(), after: None, limit: None }).await
    }

    /// Subscribes to a channel, beginning after the position `after`: with every event since, or with a reset.
    ///
    /// # Errors
    /// [`ClientError`] if the command is refused or the session has ended.
    pub async fn resume(&mut self, channel: &str, after: Position) -> Result<Subscribed, ClientError> {
        self.call(Command::Subscribe { channel: channel.to_owned(), after: Some(after), limit: None }).await
    }

    /// Ends a subscription.
    ///
    /// # Errors
    /// [`ClientError`] if the command is refused or the session has ended.
    pub async fn unsubscribe(&mut self, channel: &str) -> Result<(), ClientError> {
        self.done(Command::Unsubscribe { channel: channel.to_owned() }).await
    }

    /// Publishes a text with a new nonce. To repeat a publish with an unknown outcome, use [`call`](Self::call)
    /// with the same nonce.
    ///
    /// # Errors
    /// [`ClientError`] if the command is refused or the session has ended.
    pub async fn publish(&mut self, channel: &str, text: &str) -> Result<Published, ClientError> {
        self.call(Command::Publish {
            channel: channel.to_owned(),
            nonce: Nonce::random().to_string(),
            text: text.to_owned(),
            attachments: Vec::new(),
            reply_to: None,
        })
        .await
    }

    /// Replaces a message's text.
    ///
    /// # Errors
    /// [`ClientError`] if the command is refused or the session has ended.
    pub async fn edit(&mut self, channel: &str, seq: Seq, text: &str) -> Result<Logged, ClientError> {
        self.call(Command::Edit { channel: channel.to_owned(), seq, text: text.to_owned() }).await
    }

    /// Deletes a message.
    ///
    /// # Errors
    /// [`ClientError`] if the command is refused or the session has ended.
    pub async fn delete(&mut self, channel: &str, seq: Seq) -> Result<Logged, ClientError> {
        self.call(Command::Delete { channel: channel.to_owned(), seq }).await
    }

    /// Adds an emoji to a message, or removes it.
    ///
    /// # Errors
    /// [`ClientError`] if the command is refused or the session has ended.
    pub async fn react(
        &mut self,
        channel: &str,
        seq: Seq,
        emoji: &str,
        on: bool,
    ) -> Result<Logged, ClientError> {
        self.call(Command::React { channel: channel.to_owned(), seq, emoji: emoji.to_owned(), on }).await
    }

    /// Returns the newest `limit` messages before `before`.
    ///
    /// # Errors
    /// [`ClientError`] if the command is refused or the session has ended.
    pub async fn history(
        &mut self,
        channel: &str,
        before: Seq,
        limit: u32,
    ) -> Result<HistoryPage, ClientError> {
        self.call(Command::History { channel: channel.to_owned(), before, limit: Some(limit) }).await
    }

    /// Returns the newest messages of a channel that contain every word of `query`, of all messages or of those
    /// before `before`. If there is more to search, the answer says before which `seq` to go on.
    ///
    /// # Errors
    /// [`ClientError`] if the command is refused or the session has ended.
    pub async fn search(
        &mut self,
        channel: &str,
        query: &str,
        before: Option<Seq>,
    ) -> Result<SearchPage, ClientError> {
        let (channel, query) = (channel.to_owned(), query.to_owned());
        self.call(Command::Search { channel, query, before, limit: None }).await
    }

    /// Moves the read marker forward.
    ///
    /// # Errors
    /// [`ClientError`] if the command is refused or the session has ended.
    pub async fn read(&mut self, channel: &str, seq: Seq) -> Result<(), ClientError> {
        self.done(Command::Read { channel: channel.to_owned(), seq }).await
    }

    /// Moves the read marker back, so that messages from `seq` on are unread again.
    ///
    /// # Errors
    /// [`ClientError`] if the command is refused or the session has ended.
    pub async fn unread(&mut self, channel: &str, seq: Seq) -> Result<(), ClientError> {
        self.done(Command::Unread { channel: channel.to_owned(), seq }).await
    }

    /// Tells other subscribers that the participant is typing.
    ///
    /// # Errors
    /// [`ClientError`] if the command is refused or the session has ended.
    pub async fn typing(&mut self, channel: &str) -> Result<(), ClientError> {
        self.done(Command::Typing { channel: channel.to_owned() }).await
    }

    async fn done(&mut self, command: Command) -> Result<(), ClientError> {
        self.call::<serde::de::IgnoredAny>(command).await.map(|_| ())
    }

    /// Sends a command and returns the contents of its `ok`.
    ///
    /// # Errors
    /// [`ClientError`] if the command is refused or the session has ended.
    ///
    /// # Cancel safety
    /// If the future is dropped, the command may still be carried out. Its answer is dropped.
    pub async fn call<T: DeserializeOwned>(&mut self, command: Command) -> Result<T, ClientError> {
        self.last_id += 1;
        let id = self.last_id;
        self.connection.submit(id, command);
        loop {
            let answer = poll_fn(|cx| self.poll_answer(cx)).await?;
            // An answer with another id belongs to a call that was dropped.
            if answer_id(&answer) == Some(id) {
                return read_answer(&answer);
            }
        }
    }

    /// Waits for the next event. Returns `None` once the session has ended.
    ///
    /// # Cancel safety
    /// If the future is dropped, no event is lost.
    pub async fn next_event(&mut self) -> Option<ChatEvent> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Returns why the session has ended, or `None` if it has not.
    #[must_use]
    pub fn closed(&self) -> Option<CloseReason> {
        self.closed
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, ClientError>> {
        if let Poll::Ready(reason) = self.connection.poll_close(cx) {
            self.closed = Some(reason);
            return Poll::Ready(Err(ClientError::Closed(reason)));
        }
        self.connection.poll_answer(cx).map(Ok)
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<ChatEvent>> {
        loop {
            if let Some(frame) = self.events.pop_front() {
                let event = serde_json::from_slice(&frame).unwrap_or(ChatEvent::UNREADABLE);
                return Poll::Ready(Some(event));
            }
            if self.closed.is_some() {
                return Poll::Ready(None);
            }
            let mut frames = Vec::new();
            match self.connection.poll_events(cx, &mut frames) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(closed) => self.closed = closed,
            }
            self.events.extend(frames);
        }
    }
}

impl Stream for Client {
    type Item = ChatEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ChatEvent>> {
        self.poll_event(cx)
    }
}

#[derive(Deserialize)]
struct AnswerHead {
    #[serde(rename = "type")]
    kind: AnswerKind,
    id: Option<i64>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum AnswerKind {
    Ok,
    Error,
}

const OURS: &str = "invariant: an answer is what this crate's encoder wrote";

fn answer_id(answer: &[u8]) -> Option<i64> {
    serde_json::from_slice::<AnswerHead>(answer).expect(OURS).id
}

fn read_answer<T: DeserializeOwned>(answer: &[u8]) -> Result<T, ClientError> {
    match serde_json::from_slice::<AnswerHead>(answer).expect(OURS).kind {
        AnswerKind::Ok => Ok(serde_json::from_slice(answer).expect(OURS)),
        AnswerKind::Error => Err(ClientError::Refused(serde_json::from_slice(answer).expect(OURS))),
    }
}
