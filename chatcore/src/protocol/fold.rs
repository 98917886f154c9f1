//! Changes what is written already: a ring holds encoded bytes alone, so an edit or a delete is applied to them.

use bytes::Bytes;

use super::encode::Encoder;
use super::event::ChatEvent;
use super::json::to_bytes;
use super::lists::Fragment;
use super::objects::MessageObject;
use crate::model::check::Check;
use crate::model::event::Event;
use crate::model::message::Message;

impl Encoder {
    /// Applies an event to an encoded message.
    pub(crate) fn apply(&self, fragment: &Fragment, event: &Event) -> Fragment {
        let mut json = Vec::with_capacity(fragment.len());
        fragment.write(&mut json);
        let mut message: Message = serde_json::from_slice(&json)
            .expect("invariant: a fragment is a message that this encoder wrote");
        message.apply(event);
        self.message(&message)
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
