//! A participant in this process: typed calls and a stream of events over the same session as a socket's.

use std::future::poll_fn;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;

use crate::chat::sender::ClientSender;
use crate::chat::session::SharedSession;
use crate::connection::Connection;
use crate::protocol::{ChatEvent, CloseReason};

/// A participant in this process.
///
/// It has the calls of a [`ClientSender`]. Calls are answered in order. Meanwhile events wait in the channels'
/// rings. Read them with [`next_event`](Self::next_event), or use the client as a [`Stream`], which ends with the
/// session. Other tasks call through a [`sender`](Self::sender) while one reads events:
///
/// ```
/// use chatcore::protocol::ChatEvent;
/// use chatcore::{Chat, Identity, MemoryStore, User};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let chat = Chat::builder(MemoryStore::new()).build();
/// let mut bot = chat.connect(Identity::new(User::new("u_bot", "Bot")?))?;
/// bot.create_channel("general", "").await?;
/// bot.subscribe("general").await?;
/// let sender = bot.sender();
/// tokio::spawn(async move { sender.publish("general", "Hello!").await });
/// while let Some(event) = bot.next_event().await {
///     if let ChatEvent::Message { message, .. } = event {
///         assert_eq!(message.text, "Hello!");
///         break;
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Client {
    sender: ClientSender,
}

impl Client {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { sender: ClientSender { session: Arc::new(SharedSession::new(connection)) } }
    }

    /// Returns a handle for other tasks to call in this session.
    #[must_use]
    pub fn sender(&self) -> ClientSender {
        self.sender.clone()
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
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.sender.session.close_reason()
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<ChatEvent>> {
        let read = |frame: bytes::Bytes| serde_json::from_slice(&frame).unwrap_or(ChatEvent::UNREADABLE);
        self.sender.session.poll_event(cx).map(|frame| frame.map(read))
    }
}

impl Deref for Client {
    type Target = ClientSender;

    fn deref(&self) -> &ClientSender {
        &self.sender
    }
}

impl Stream for Client {
    type Item = ChatEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ChatEvent>> {
        self.poll_event(cx)
    }
}
