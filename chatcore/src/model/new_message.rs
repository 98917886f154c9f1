//! A message before it is published.

use std::sync::Arc;

use crate::model::data::Data;
use crate::model::id::{AttachmentId, Nonce, Seq};
use crate::model::membership::Mention;
use crate::model::message::MessageKind;

/// A message to publish.
///
/// It has a nonce from the start, so it can be sent again if it is not known whether it was stored: of the same
/// message, or a clone, only one is stored.
///
/// ```
/// # async fn example(client: &chatcore::Client) -> Result<(), chatcore::ClientError> {
/// use chatcore::NewMessage;
///
/// let answer = NewMessage::text("It is fixed.").reply_to(41);
/// let first = client.send("support", answer.clone()).await?;
/// let again = client.send("support", answer).await?;
/// assert_eq!(again.seq, first.seq);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewMessage {
    /// The author's key of the publish.
    pub nonce: Nonce,
    /// The text.
    pub text: Arc<str>,
    /// Files that the author has uploaded to the channel.
    pub attachments: Vec<AttachmentId>,
    /// The message that it replies to.
    pub reply_to: Option<Seq>,
    /// Whom it mentions.
    pub mentions: Vec<Mention>,
    /// The app's data.
    pub data: Option<Data>,
    /// What it is, if it is no ordinary message.
    pub kind: Option<MessageKind>,
    /// In a [review](crate::Policy::review) of an edit: the message that is edited. `None` for a new message.
    pub edits: Option<Seq>,
}

impl NewMessage {
    /// Returns a message with this text and a random nonce. The text may be empty if there are attachments.
    #[must_use]
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self {
            nonce: Nonce::random(),
            text: text.into(),
            attachments: Vec::new(),
            reply_to: None,
            mentions: Vec::new(),
            data: None,
            kind: None,
            edits: None,
        }
    }

    /// Mentions a person, everybody, or everybody who is online. Those who can't read the channel are left out.
    #[must_use]
    pub fn mention(mut self, mention: Mention) -> Self {
        self.mentions.push(mention);
        self
    }

    /// Attaches data of the app's own, which the engine keeps and never reads.
    #[must_use]
    pub fn data(mut self, data: Data) -> Self {
        self.data = Some(data);
        self
    }

    /// Marks it as a message of the app itself. Only [`Chat::publish`](crate::Chat::publish) can do so: a client's
    /// message stays an ordinary one.
    #[must_use]
    pub fn system(mut self) -> Self {
        self.kind = Some(MessageKind::System);
        self
    }

    /// Replaces the nonce, for a key of the app's own such as the number of an order. A nonce that the author has
    /// already used in the channel stores nothing.
    #[must_use]
    pub fn nonce(mut self, nonce: Nonce) -> Self {
        self.nonce = nonce;
        self
    }

    /// Makes it a reply to the message with this `seq`.
    #[must_use]
    pub fn reply_to(mut self, seq: Seq) -> Self {
        self.reply_to = Some(seq);
        self
    }

    /// Adds a file that the author has uploaded to the channel ([`Chat::upload`](crate::Chat::upload)).
    #[must_use]
    pub fn attachment(mut self, id: AttachmentId) -> Self {
        self.attachments.push(id);
        self
    }
}
