//! How messages, events and attachments are written as JSON.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::encode::Encoder;
use super::encoded::{Encoded, LeftOut};
use super::form::Mark;
use super::json::{name, write_array, write_field, write_json, write_name, write_text, write_text_field};
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

/// Appends a user, as serde writes it.
fn write_user(out: &mut Vec<u8>, user: &User) {
    if !user.is_plain() {
        return write_json(out, user);
    }
    out.extend_from_slice(br#"{"id":"#);
    write_text(out, user.id.as_str());
    write_text_field(out, name!("name"), &user.name);
    out.push(b'}');
}

/// Appends a field with a time, as serde writes it.
pub(super) fn write_time(out: &mut Vec<u8>, name: &'static str, at: Timestamp) {
    write_name(out, name);
    out.push(b'"');
    out.extend_from_slice(&at.to_text());
    out.push(b'"');
}

/// A message on the wire: the stored message with its attachments' URLs.
pub(crate) struct MessageObject<'a> {
    seq: Seq,
    author: &'a User,
    at: Timestamp,
    text: &'a str,
    nonce: &'a Nonce,
    reply_to: Option<Seq>,
    attachments: &'a [Attachment],
    edited_at: Option<Timestamp>,
    deleted: bool,
    reactions: &'a [Reaction],
    mentions: &'a [Mention],
    kind: Option<MessageKind>,
    data: Option<&'a Data>,
    encoder: &'a Encoder,
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
            attachments: &message.attachments,
            edited_at: message.edited_at,
            deleted: message.deleted,
            reactions: &message.reactions,
            mentions: &message.mentions.list,
            kind: message.kind,
            data: message.data.as_ref(),
            encoder,
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
            attachments: &content.attachments,
            edited_at: None,
            deleted: content.deleted,
            reactions: &[],
            mentions: &content.mentions.list,
            kind: content.kind,
            data: content.data.as_ref(),
            encoder,
        }
    }

    /// Returns about how many bytes it takes, to reserve them.
    pub(super) fn size_hint(&self) -> usize {
        let author = self.author.id.as_str().len() + self.author.name.len();
        192 + author + self.text.len() + self.nonce.as_str().len()
    }

    /// Appends the message's fields to the object that `out` ends with: to its opening brace, or after a comma. An answer
    /// takes what begins at `object`.
    pub(super) fn encode(&self, object: usize, out: &mut Vec<u8>) -> Encoded {
        out.reserve(self.size_hint());
        out.extend_from_slice(br#""seq":"#);
        write_json(out, &self.seq);
        write_name(out, name!("author"));
        let author = out.len() + AUTHOR_ID.len();
        write_user(out, self.author);
        debug_assert!(out[..author].ends_with(AUTHOR_ID.as_bytes()), "invariant: a user's id comes first");
        write_time(out, name!("at"), self.at);
        write_text_field(out, name!("text"), self.text);
        if let Some(reply_to) = self.reply_to {
            write_field(out, name!("reply_to"), &reply_to);
        }
        if !self.attachments.is_empty() {
            write_name(out, name!("attachments"));
            let located = self.attachments.iter().map(|attachment| self.encoder.located(attachment));
            write_array(out, located, |out, attachment| write_json(out, &attachment));
        }
        if let Some(edited_at) = self.edited_at {
            write_field(out, name!("edited_at"), &edited_at);
        }
        if self.deleted {
            write_field(out, name!("deleted"), &true);
        }
        if !self.reactions.is_empty() {
            write_field(out, name!("reactions"), self.reactions);
        }
        if !self.mentions.is_empty() {
            write_field(out, name!("mentions"), self.mentions);
        }
        if let Some(kind) = self.kind {
            write_field(out, name!("kind"), &kind);
        }
        if let Some(data) = self.data {
            write_field(out, name!("data"), data);
        }
        out.push(b'}');
        let lean = out.len();
        write_text_field(out, name!("nonce"), self.nonce.as_str());
        let left_out = LeftOut::new([
            self.reply_to.is_none(),
            self.attachments.is_empty(),
            self.edited_at.is_none(),
            !self.deleted,
            self.reactions.is_empty(),
        ]);
        Encoded::message(out, lean, [object, author], Mark::of(&self.author.id), left_out)
    }
}

/// How the object of a user begins.
const AUTHOR_ID: &str = r#"{"id":""#;

/// An attachment on the wire: the stored attachment with its URL.
#[derive(Serialize)]
pub(crate) struct Located<'a> {
    #[serde(flatten)]
    pub(crate) attachment: &'a Attachment,
    pub(crate) url: String,
}
