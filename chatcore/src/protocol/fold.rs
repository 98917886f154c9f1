//! Changes what is written already: a ring holds encoded bytes alone, so an edit or a delete is applied to them.

use super::encode::Encoder;
use super::encoded::Encoded;
use super::event::ChatEvent;
use super::form::Variant;
use super::json::to_bytes;
use super::objects::MessageObject;
use crate::model::check::Check;
use crate::model::event::Event;
use crate::model::id::UserId;
use crate::model::message::Message;

impl Encoder {
    /// Applies an event to an encoded message.
    pub(crate) fn apply(&self, message: &Encoded, event: &Event) -> Encoded {
        let mut message = read(message);
        message.apply(event);
        self.message(&message)
    }

    /// Returns how a user's id is written, by which frames with their name are found.
    pub(crate) fn written_id(user: &UserId) -> String {
        serde_json::to_string(user).expect("invariant: an id is JSON")
    }

    /// Rewrites an encoded message without the name of an erased author. `None` if it has no such name. `id` is the
    /// [written id](Self::written_id).
    pub(crate) fn forget_author(&self, message: &Encoded, user: &UserId, id: &str) -> Option<Encoded> {
        if !message.has(id) {
            return None;
        }
        let mut message = read(message);
        message.erase_name(user).then(|| self.message(&message))
    }

    /// Rewrites the frame of an event without the name of an erased person. `None` if it has no such name. `id` is the
    /// [written id](Self::written_id).
    pub(crate) fn forget(&self, frame: &Encoded, check: Check, user: &UserId, id: &str) -> Option<Encoded> {
        if !frame.has(id) {
            return None;
        }
        let mut event = read_event(frame);
        match &mut event {
            ChatEvent::Message { channel, message, .. } => {
                let object = |message| MessageObject::new(self, message);
                return message
                    .erase_name(user)
                    .then(|| self.message_event(channel, check, &object(message)));
            }
            ChatEvent::Edited { by, .. }
            | ChatEvent::Deleted { by, .. }
            | ChatEvent::Reaction { by, .. }
            | ChatEvent::ChannelChanged { by, .. } => by.erase_name(user),
            ChatEvent::Member { user: subject, by, .. } => {
                let of_subject = subject.erase_name(user);
                by.erase_name(user) || of_subject
            }
            _ => false,
        }
        .then(|| Encoded::same(&to_bytes(&event)))
    }

    /// Returns whether an encoded message is one of a person that is not deleted. `id` is the
    /// [written id](Self::written_id).
    pub(crate) fn is_text_of(message: &Encoded, user: &UserId, id: &str) -> bool {
        message.has(id) && {
            let message = read(message);
            message.author.id == *user && !message.deleted
        }
    }

    /// Returns whether the frame of an event has a text that a person wrote. `id` is the [written id](Self::written_id).
    pub(crate) fn has_text_of(frame: &Encoded, user: &UserId, id: &str) -> bool {
        frame.has(id)
            && match read_event(frame) {
                ChatEvent::Message { message, .. } => message.author.id == *user && !message.deleted,
                ChatEvent::Edited { by, text, mentions, data, .. } => {
                    by.id == *user && (!text.is_empty() || mentions.is_some() || data.is_some())
                }
                _ => false,
            }
    }

    /// Rewrites the frame of a message or an edit without the deleted text.
    pub(crate) fn redact(&self, frame: &Encoded, check: Check) -> Encoded {
        match read_event(frame) {
            ChatEvent::Message { channel, mut message, .. } => {
                message.redact();
                self.message_event(&channel, check, &MessageObject::new(self, &message))
            }
            ChatEvent::Edited { channel, seq, check, target, by, at, .. } => {
                let (text, mentions, data) = (String::new(), None, None);
                let edited = ChatEvent::Edited { channel, seq, check, target, text, by, mentions, data, at };
                Encoded::same(&to_bytes(&edited))
            }
            _ => frame.clone(),
        }
    }
}

fn read(message: &Encoded) -> Message {
    let mut json = Vec::with_capacity(message.message_len());
    // With the nonce, and without what a message has by default.
    message.write_message(Variant::Own, &mut json);
    serde_json::from_slice(&json).expect("invariant: it is a message that this encoder wrote")
}

fn read_event(frame: &Encoded) -> ChatEvent {
    serde_json::from_slice(&frame.bytes(Variant::Own))
        .expect("invariant: the ring holds frames that this encoder wrote")
}
