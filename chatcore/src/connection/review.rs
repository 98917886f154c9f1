//! The app's review of what clients write, before it is stored.

use std::sync::Arc;

use tokio::time::timeout;

use crate::channel::Channel;
use crate::connection::checks::{check_content, checked_mentions, checked_text};
use crate::delivery::handle::ConnectionHandle;
use crate::engine::Engine;
use crate::model::data::Data;
use crate::model::error::{Error, ErrorCode};
use crate::model::membership::{ChannelKind, Mention};
use crate::model::message::Message;
use crate::model::name::ChannelName;
use crate::model::new_message::NewMessage;
use crate::model::policy::Identity;
use crate::runtime::panics::{Panicked, contain, contain_async};

/// What an edit gives a message. What is `None` stays as it was.
pub(super) struct Edit {
    pub(super) text: Arc<str>,
    pub(super) mentions: Option<Vec<Mention>>,
    pub(super) data: Option<Data>,
}

/// Why a message could not be reviewed.
#[derive(Debug, thiserror::Error)]
enum ReviewFailed {
    #[error("the app's review panicked")]
    Panicked(#[from] Panicked),
    #[error("the app's review did not end within Limits::review_timeout")]
    TimedOut,
}

impl From<ReviewFailed> for Error {
    fn from(failed: ReviewFailed) -> Self {
        Self::new(ErrorCode::Unavailable, "the message could not be reviewed; try again")
            .with_retry_after(std::time::Duration::from_secs(1))
            .caused_by(failed)
    }
}

impl Engine {
    /// Returns whether the policy has a review for this message: only that of the default takes no memory.
    pub(super) fn is_reviewed(
        &self,
        identity: &Identity,
        channel: &ChannelName,
        message: &mut NewMessage,
    ) -> bool {
        // A review that panics here will do so again, where the panic is an answer.
        contain(|| size_of_val(&*self.policy.review(identity, channel, message)) > 0).unwrap_or(true)
    }

    /// Has the app review a message, and applies what it changes. The caller asks the policy before and after, since a
    /// review takes time.
    ///
    /// # Errors
    /// `no_such_channel` if the user is no member of a private or direct channel. `refused` with the app's reason.
    /// `unavailable` if the review fails. Otherwise as for a client that sends what the review has made of it.
    pub(super) async fn review(
        &self,
        handle: &ConnectionHandle,
        channel: &Channel,
        message: &mut NewMessage,
    ) -> Result<(), Error> {
        let (identity, info) = (&handle.identity, &channel.info);
        // The reason must not tell a stranger that the channel exists.
        if info.kind != ChannelKind::Open && self.store.member(info.id, &identity.user.id).await?.is_none() {
            return Err(Error::no_such_channel());
        }
        let mut draft = message.clone();
        let review = contain_async(async { self.policy.review(identity, &info.name, &mut draft).await });
        let ended = timeout(self.limits.review_timeout, review).await.map_err(|_| ReviewFailed::TimedOut)?;
        ended.map_err(ReviewFailed::from)??;
        check_content(&self.limits, &draft.text, message.attachments.len())?;
        message.text = checked_text(&self.limits, draft.text)?;
        message.mentions = checked_mentions(&self.limits, draft.mentions)?;
        message.data = draft.data;
        Ok(())
    }

    /// Has the app review an edit of `message`, if it reviews messages, and returns the edit as it is then. The caller asks
    /// the policy before and after.
    ///
    /// # Errors
    /// As for [`review`](Self::review).
    pub(super) async fn reviewed_edit(
        &self,
        handle: &ConnectionHandle,
        channel: &Channel,
        message: &Message,
        edit: Edit,
    ) -> Result<Edit, Error> {
        let (identity, name) = (&handle.identity, &channel.info.name);
        let mut edited = NewMessage {
            nonce: message.nonce.clone(),
            text: edit.text,
            attachments: message.attachments.iter().map(|file| file.id.clone()).collect(),
            reply_to: message.reply_to,
            mentions: edit.mentions.clone().unwrap_or_else(|| message.mentions.list.clone()),
            data: edit.data.clone().or_else(|| message.data.clone()),
            kind: message.kind,
            edits: Some(message.seq),
        };
        if !self.is_reviewed(identity, name, &mut edited) {
            return Ok(Edit { text: edited.text, ..edit });
        }
        let (mentions, data) = (edited.mentions.clone(), edited.data.clone());
        self.review(handle, channel, &mut edited).await?;
        Ok(Edit {
            text: edited.text,
            mentions: if edited.mentions == mentions { edit.mentions } else { Some(edited.mentions) },
            data: if edited.data == data { edit.data } else { edited.data },
        })
    }
}
