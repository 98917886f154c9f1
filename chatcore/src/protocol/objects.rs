//! How messages, events and attachments are written as JSON.

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use super::encode::Encoder;
use crate::model::attachment::Attachment;
use crate::model::check::Check;
use crate::model::data::Data;
use crate::model::event::{Content, Event, EventKind};
use crate::model::id::{Nonce, Seq};
use crate::model::membership::Mention;
use crate::model::message::{Message, MessageKind, Reaction, User};
use crate::model::name::ChannelName;
use crate::model::time::Timestamp;

/// Anything but a message on the wire.
pub(crate) struct LogEvent<'a> {
    pub(crate) channel: &'a ChannelName,
    pub(crate) event: &'a Event,
    pub(crate) check: Check,
}

impl Serialize for LogEvent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Event { seq, at, kind } = self.event;
        let name = match kind {
            EventKind::Message(_) => "message",
            EventKind::Edited { .. } => "edited",
            EventKind::Deleted { .. } => "deleted",
            EventKind::Reaction { .. } => "reaction",
            EventKind::Member { .. } => "member",
            EventKind::Changed { .. } => "channel_changed",
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", name)?;
        map.serialize_entry("channel", self.channel)?;
        map.serialize_entry("seq", seq)?;
        map.serialize_entry("check", &self.check)?;
        if let Some(target) = kind.target() {
            map.serialize_entry("target", &target)?;
        }
        match kind {
            EventKind::Message(_) => {}
            EventKind::Edited { text, by, mentions, data, .. } => {
                map.serialize_entry("text", text)?;
                map.serialize_entry("by", by)?;
                if let Some(mentions) = mentions {
                    map.serialize_entry("mentions", &mentions.list)?;
                }
                if let Some(data) = data {
                    map.serialize_entry("data", data)?;
                }
            }
            EventKind::Deleted { by, .. } => map.serialize_entry("by", by)?,
            EventKind::Reaction { emoji, on, by, .. } => {
                map.serialize_entry("emoji", emoji)?;
                map.serialize_entry("on", on)?;
                map.serialize_entry("by", by)?;
            }
            EventKind::Member { op, user, role, by } => {
                map.serialize_entry("op", op)?;
                map.serialize_entry("user", user)?;
                map.serialize_entry("role", role)?;
                map.serialize_entry("by", by)?;
            }
            EventKind::Changed { title, topic, archived, by } => {
                if let Some(title) = title {
                    map.serialize_entry("title", title)?;
                }
                if let Some(topic) = topic {
                    map.serialize_entry("topic", topic)?;
                }
                if let Some(archived) = archived {
                    map.serialize_entry("archived", archived)?;
                }
                map.serialize_entry("by", by)?;
            }
        }
        map.serialize_entry("at", at)?;
        map.end()
    }
}

/// A message on the wire: the stored message with its attachments' URLs.
#[derive(Serialize)]
pub(crate) struct MessageObject<'a> {
    pub(crate) seq: Seq,
    pub(crate) author: &'a User,
    pub(crate) at: Timestamp,
    pub(crate) text: &'a str,
    pub(crate) nonce: &'a Nonce,
    pub(crate) reply_to: Option<Seq>,
    pub(crate) attachments: Attachments<'a>,
    pub(crate) edited_at: Option<Timestamp>,
    pub(crate) deleted: bool,
    pub(crate) reactions: &'a [Reaction],
    #[serde(skip_serializing_if = "<[Mention]>::is_empty")]
    pub(crate) mentions: &'a [Mention],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<MessageKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<&'a Data>,
}

impl<'a> MessageObject<'a> {
    pub(crate) fn new(encoder: &'a Encoder, message: &'a Message) -> Self {
        Self {
            seq: message.seq,
            author: &message.author,
            at: message.at,
            text: &message.text,
            nonce: &message.nonce,
            reply_to: message.reply_to,
            attachments: Attachments { list: &message.attachments, encoder },
            edited_at: message.edited_at,
            deleted: message.deleted,
            reactions: &message.reactions,
            mentions: &message.mentions.list,
            kind: message.kind,
            data: message.data.as_ref(),
        }
    }

    /// Equal to [`Event::to_message`].
    pub(crate) fn begun(encoder: &'a Encoder, event: &Event, content: &'a Content) -> Self {
        Self {
            seq: event.seq,
            author: &content.author,
            at: event.at,
            text: &content.text,
            nonce: &content.nonce,
            reply_to: content.reply_to,
            attachments: Attachments { list: &content.attachments, encoder },
            edited_at: None,
            deleted: content.deleted,
            reactions: &[],
            mentions: &content.mentions.list,
            kind: content.kind,
            data: content.data.as_ref(),
        }
    }
}

/// An attachment on the wire: the stored attachment with its URL.
#[derive(Serialize)]
pub(crate) struct Located<'a> {
    #[serde(flatten)]
    pub(crate) attachment: &'a Attachment,
    pub(crate) url: String,
}

pub(crate) struct Attachments<'a> {
    list: &'a [Attachment],
    encoder: &'a Encoder,
}

impl Serialize for Attachments<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.list.len()))?;
        for attachment in self.list {
            list.serialize_element(&self.encoder.located(attachment))?;
        }
        list.end()
    }
}
