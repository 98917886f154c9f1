//! Changes what is written already: a ring holds encoded bytes alone, so an edit or a delete is applied to them.

use bytes::Bytes;

use super::encode::Encoder;
use super::event::ChatEvent;
use super::json::to_bytes;
use super::lists::Fragment;
use super::objects::MessageObject;
use crate::model::check::Check;
use crate::model::event::Event;
use crate::model::id::UserId;
use crate::model::message::Message;

impl Encoder {
    /// Applies an event to an encoded message.
    pub(crate) fn apply(&self, fragment: &Fragment, event: &Event) -> Fragment {
        let mut message = read(fragment);
        message.apply(event);
        self.message(&message)
    }

    /// Returns how a user's id is written, by which frames with their name are found.
    pub(crate) fn written_id(user: &UserId) -> String {
        serde_json::to_string(user).expect("invariant: an id is JSON")
    }

    /// Rewrites an encoded message without the name of an erased author. `None` if it has no such name. `id` is the
    /// [written id](Self::written_id).
    pub(crate) fn forget_author(&self, fragment: &Fragment, user: &UserId, id: &str) -> Option<Fragment> {
        if !fragment.has(id) {
            return None;
        }
        let mut message = read(fragment);
        message.erase_name(user).then(|| self.message(&message))
    }

    /// Rewrites the frame of an event without the name of an erased person. `None` if it has no such name. `id` is the
    /// [written id](Self::written_id).
    pub(crate) fn forget(&self, frame: &[u8], check: Check, user: &UserId, id: &str) -> Option<Bytes> {
        if !std::str::from_utf8(frame).is_ok_and(|json| json.contains(id)) {
            return None;
        }
        let mut event: ChatEvent =
            serde_json::from_slice(frame).expect("invariant: the ring holds frames that this encoder wrote");
        match &mut event {
            ChatEvent::Message { channel, message, .. } => {
                let object = |message| MessageObject::new(self, message);
                return message
                    .erase_name(user)
                    .then(|| self.message_event(channel, check, &object(message)).frame);
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
        .then(|| to_bytes(&event))
    }

    /// Rewrites the frame of a message or an edit without the deleted text.
    pub(crate) fn redact(&self, frame: &[u8], check: Check) -> Bytes {
        let event =
            serde_json::from_slice(frame).expect("invariant: the ring holds frames that this encoder wrote");
        match event {
            ChatEvent::Message { channel, mut message, .. } => {
                message.redact();
                self.message_event(&channel, check, &MessageObject::new(self, &message)).frame
            }
            ChatEvent::Edited { channel, seq, check, target, by, at, .. } => {
                let (text, mentions, data) = (String::new(), None, None);
                to_bytes(&ChatEvent::Edited { channel, seq, check, target, text, by, mentions, data, at })
            }
            other => to_bytes(&other),
        }
    }
}

fn read(fragment: &Fragment) -> Message {
    let mut json = Vec::with_capacity(fragment.len());
    fragment.write(&mut json);
    serde_json::from_slice(&json).expect("invariant: a fragment is a message that this encoder wrote")
}
