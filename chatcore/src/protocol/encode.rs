//! Encodes frames: each event once, for all recipients.

use std::sync::Arc;

use bytes::Bytes;

use super::encoded::Encoded;
use super::erased::ErasedNames;
use super::event::ChatEvent;
use super::form::Reader;
use super::json::{listed_len, to_bytes, write_text};
use super::lists::MessageList;
use super::objects::{Located, LogEvent, MessageObject};
use super::reply::ChannelObject;
use crate::model::attachment::Attachment;
use crate::model::check::Check;
use crate::model::event::{Event, EventKind};
use crate::model::id::Seq;
use crate::model::message::{Message, User};
use crate::model::name::ChannelName;
use crate::store::PageLimit;

/// Encodes frames for a service mounted at a base path.
#[derive(Clone, Debug)]
pub(crate) struct Encoder {
    base: Arc<str>,
    /// Whose names are written no more.
    names: Arc<ErasedNames>,
}

impl Encoder {
    pub(crate) fn new(base: &str) -> Self {
        Self { base: base.into(), names: Arc::default() }
    }

    /// Returns the people whose names are written no more.
    pub(crate) fn names(&self) -> &ErasedNames {
        &self.names
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Sets the URL where an attachment is served.
    pub(crate) fn locate(&self, attachment: &mut Attachment) {
        attachment.url = self.url(attachment);
    }

    fn url(&self, attachment: &Attachment) -> String {
        let mut url = format!("{}/attachments/{}/", self.base, attachment.id);
        for byte in attachment.name.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                url.push(char::from(byte));
            } else {
                url.push_str(&format!("%{byte:02X}"));
            }
        }
        url
    }

    pub(crate) fn located<'a>(&self, attachment: &'a Attachment) -> Located<'a> {
        Located { attachment, url: self.url(attachment) }
    }

    /// Encodes the newest of `messages`, which are sorted oldest first, that take `bytes` together, but at least
    /// one. Also returns the oldest encoded message, if there are others before it.
    pub(crate) fn newest(
        &self,
        messages: Vec<Message>,
        bytes: usize,
        reader: Reader<'_>,
    ) -> (MessageList, Option<Seq>) {
        let mut page = PageLimit { items: usize::MAX, bytes }.fill();
        let (encoded, cut) = self.fitting(messages.into_iter().rev(), reader, |len| page.take(len));
        (MessageList::for_reader(encoded.iter().rev(), reader), cut)
    }

    /// Encodes a list of two parts, each sorted oldest first: the newest of `older` and the oldest of `newer`, which take
    /// `bytes` together, but at least one message. Also returns whether others are cut from each.
    pub(crate) fn middle(
        &self,
        older: Vec<Message>,
        newer: Vec<Message>,
        bytes: usize,
        reader: Reader<'_>,
    ) -> (MessageList, [bool; 2]) {
        let half = if newer.is_empty() { bytes } else { bytes / 2 };
        let [mut first, mut all] = [half, bytes].map(|bytes| PageLimit { items: usize::MAX, bytes }.fill());
        let count = [older.len(), newer.len()];
        let (older, _) =
            self.fitting(older.into_iter().rev(), reader, |len| first.take(len) && all.take(len));
        let (newer, _) = self.fitting(newer.into_iter(), reader, |len| all.take(len));
        let cut = [older.len() < count[0], newer.len() < count[1]];
        (MessageList::for_reader(older.iter().rev().chain(&newer), reader), cut)
    }

    /// Encodes the first of `messages` that a page takes, by their bytes. Also returns the last encoded one, if there are
    /// others after it.
    fn fitting(
        &self,
        messages: impl ExactSizeIterator<Item = Message>,
        reader: Reader<'_>,
        mut take: impl FnMut(usize) -> bool,
    ) -> (Vec<Encoded>, Option<Seq>) {
        let mut encoded = Vec::with_capacity(messages.len());
        let mut last = None;
        // Each is dropped once it is encoded, so the list is in memory twice, not three times.
        for message in messages {
            let next = self.message(&message);
            if !take(next.message_len_for(reader)) {
                return (encoded, last);
            }
            last = Some(message.seq);
            encoded.push(next);
        }
        (encoded, None)
    }

    /// Takes the name of an erased author out of a message for the app.
    pub(crate) fn hide_name(&self, message: &mut Message) {
        if let Some(erased) = self.names.message(message) {
            *message = erased;
        }
    }

    /// Takes the names of erased people out of an event for the app.
    pub(crate) fn hide_names(&self, event: &mut Event) {
        if let Some(erased) = self.names.event(event) {
            *event = erased;
        }
    }

    /// Encodes an attachment.
    pub(crate) fn attachment(&self, attachment: &Attachment) -> Bytes {
        to_bytes(&self.located(attachment))
    }

    /// Encodes the frame of an event of a channel's log. Also returns the event's check.
    pub(crate) fn event(&self, channel: &ChannelName, event: &Event) -> (Encoded, Check) {
        let check = Check::of(event);
        let erased = self.names.event(event);
        let event = erased.as_ref().unwrap_or(event);
        let frame = match &event.kind {
            EventKind::Message(content) => {
                self.message_event(channel, check, &MessageObject::begun(self, event, content))
            }
            _ => Encoded::same(&to_bytes(&LogEvent { channel, event, check })),
        };
        (frame, check)
    }

    pub(crate) fn message_event(
        &self,
        channel: &ChannelName,
        check: Check,
        message: &MessageObject<'_>,
    ) -> Encoded {
        // A channel's name and a check need no escaping.
        let (channel, check_text) = (channel.as_str().as_bytes(), check.as_bytes());
        let begin: [&[u8]; 5] =
            [br#"{"type":"message","channel":""#, channel, br#"","check":""#, check_text, b"\","];
        Encoded::drafted(|out| {
            begin.into_iter().for_each(|part| out.extend_from_slice(part));
            message.encode(out.len(), out)
        })
    }

    /// Encodes a message in its current state.
    pub(crate) fn message(&self, message: &Message) -> Encoded {
        let erased = self.names.message(message);
        let message = MessageObject::new(self, erased.as_ref().unwrap_or(message));
        Encoded::drafted(|out| message.encode(0, out))
    }

    /// Encodes a message in its current state, with its channel.
    pub(crate) fn message_in(&self, channel: &ChannelName, message: &Message) -> Encoded {
        let erased = self.names.message(message);
        let message = MessageObject::new(self, erased.as_ref().unwrap_or(message));
        Encoded::drafted(|out| {
            out.extend_from_slice(br#""channel":"#);
            write_text(out, channel.as_str());
            out.push(b',');
            message.encode(0, out)
        })
    }

    /// Returns the number of bytes of a channel in a list, with a comma.
    pub(crate) fn channel_len(channel: &ChannelObject) -> usize {
        listed_len(channel)
    }

    /// Returns the number of bytes of a user in a list, with a comma.
    pub(crate) fn user_len(user: &User) -> usize {
        listed_len(user)
    }

    /// Encodes the frame of an event outside of any log.
    pub(crate) fn notice(event: &ChatEvent) -> Bytes {
        to_bytes(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::model::event::Content;
    use crate::model::id::{AttachmentId, Nonce};
    use crate::model::message::Reaction;
    use crate::model::time::Timestamp;
    use crate::protocol::{Form, Variant};

    fn event() -> Event {
        let attachment = Attachment {
            id: AttachmentId::new("a_1").unwrap(),
            name: "plan Ä.png".into(),
            size: 3,
            content_type: "image/png".into(),
            width: Some(1),
            height: Some(2),
            url: String::new(),
        };
        let author = User::new("u_1", "Ann").unwrap();
        let mut content = Content::new(author, Nonce::new("n").unwrap(), "hi \"you\"");
        content.attachments = vec![attachment];
        Event { seq: 45, at: Timestamp::from_millis(0), kind: EventKind::Message(content) }
    }

    #[test]
    fn a_message_frame_is_what_the_protocol_page_shows_and_its_tail_is_the_message() {
        let encoder = Encoder::new("/chat");
        let (frame, _) = encoder.event(&ChannelName::new("general").unwrap(), &event());
        let expected = concat!(
            r#"{"type":"message","channel":"general","check":"D85_3Uz2","seq":45,"author":{"id":"u_1","name":"Ann"},"#,
            r#""at":"1970-01-01T00:00:00.000Z","text":"hi \"you\"","attachments":["#,
            r#"{"id":"a_1","name":"plan Ä.png","size":3,"content_type":"image/png","width":1,"height":2,"#,
            r#""url":"/chat/attachments/a_1/plan%20%C3%84.png"}],"nonce":"n","#,
            r#""reply_to":null,"edited_at":null,"deleted":false,"reactions":[]}"#,
        );
        assert_eq!(frame.bytes(Variant::Full), expected);
        let message = encoder.message(&event().to_message().unwrap());
        for variant in [Variant::Full, Variant::Lean, Variant::Own] {
            let [in_frame, alone] = [&frame, &message].map(|encoded| {
                let mut out = Vec::new();
                encoded.write_message(variant, &mut out);
                assert_eq!(out.len() + 1, encoded.message_len_as(variant));
                out
            });
            assert_eq!(in_frame, alone);
        }
    }

    #[test]
    fn each_form_is_made_of_the_same_bytes() {
        let [ann, other] = ["u_1", "u_2"].map(|id| crate::model::id::UserId::new(id).unwrap());
        let frame = Encoder::new("").event(&ChannelName::new("general").unwrap(), &event()).0;
        let written = |form, user| {
            let variant = frame.variant(Reader::new(form, user));
            let bytes = frame.bytes(variant);
            assert_eq!(bytes.len(), frame.len(variant));
            let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            (json, serde_json::from_slice::<ChatEvent>(&bytes).unwrap())
        };
        let (mut full, event) = written(Form::Full, &other);
        let (own, own_event) = written(Form::Lean, &ann);
        let (lean, lean_event) = written(Form::Lean, &other);
        assert_eq!((&event, written(Form::Full, &ann).1), (&own_event, event.clone()));
        let fields = full.as_object_mut().unwrap();
        for field in ["reply_to", "edited_at", "deleted", "reactions"] {
            assert!(fields.remove(field).is_some(), "{field}");
        }
        assert_eq!(*fields, *own.as_object().unwrap());
        assert!(fields.remove("nonce").is_some());
        assert_eq!(full, lean);
        let ChatEvent::Message { message, .. } = lean_event else { panic!("{lean_event:?}") };
        assert!(message.nonce.is_left_out());
        assert_eq!(serde_json::to_value(&message).unwrap().get("nonce"), None);
    }

    #[test]
    fn an_author_is_known_by_the_whole_id() {
        let ids = ["u_1", "u_12", "u_", r#"u_"1"#, r#"u_\"1"#, r"u_\", r"u_\\"];
        for id in ids {
            let Event { kind: EventKind::Message(mut content), .. } = event() else { panic!("no message") };
            content.author = User::new(id, "Ann").unwrap();
            let event = Event { seq: 1, at: Timestamp::from_millis(0), kind: EventKind::Message(content) };
            let frame = Encoder::new("").event(&ChannelName::new("general").unwrap(), &event).0;
            let is_by = |other: &&str| frame.is_by(&crate::model::id::UserId::new(*other).unwrap());
            assert_eq!(ids.iter().filter(|other| is_by(other)).collect::<Vec<_>>(), [&id]);
        }
    }

    #[test]
    fn no_message_is_larger_than_the_limits_say() {
        let limits = Limits::default();
        let Event { kind: EventKind::Message(mut content), .. } = event() else { panic!("no message") };
        content.author = User::new(&"\"".repeat(64), &"\u{1}".repeat(64)).unwrap();
        content.text = "\u{1}".repeat(limits.text_chars).into();
        content.nonce = Nonce::new("🙂".repeat(64)).unwrap();
        let file = Attachment {
            id: AttachmentId::new("a".repeat(64)).unwrap(),
            name: "🙂".repeat(limits.file_name_chars),
            size: u64::MAX,
            content_type: "application/octet-stream".into(),
            width: Some(u32::MAX),
            height: Some(u32::MAX),
            url: String::new(),
        };
        content.attachments = vec![file; limits.attachments];
        let event = Event { seq: Seq::MAX, at: Timestamp::from_millis(0), kind: EventKind::Message(content) };
        let mut message = event.to_message().unwrap();
        let reaction = |n| Reaction {
            emoji: format!("{n:064}"),
            users: vec![crate::model::id::UserId::new(format!("{n:064}")).unwrap()],
        };
        message.reactions = (0..limits.reactions).map(reaction).collect();
        let (len, most) = (Encoder::new("/chat").message(&message).message_len(), limits.message_bytes());
        assert!(len <= most && len > most / 2, "{len} bytes, where {most} are said");
    }

    #[test]
    fn a_redacted_frame_has_no_text_and_no_file() {
        let encoder = Encoder::new("");
        let (frame, check) = encoder.event(&ChannelName::new("general").unwrap(), &event());
        let frame = encoder.redact(&frame, check).bytes(Variant::Full);
        let text = std::str::from_utf8(&frame).unwrap();
        assert!(
            !text.contains("you") && !text.contains("plan") && text.contains(r#""deleted":true"#),
            "{text}"
        );
    }
}
