//! Encodes frames: each event once, for all recipients.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use serde::Serialize;

use super::event::ChatEvent;
use super::objects::{Located, LogEvent, MessageObject};
use super::reply::{ChannelObject, ErrorReply, Logged, Published};
use crate::model::check::Check;
use crate::model::error::Error;
use crate::model::event::{Event, EventKind};
use crate::model::id::{Epoch, Seq};
use crate::model::message::{Attachment, Message, User};
use crate::model::name::ChannelName;
use crate::store::PageLimit;

/// Encodes frames for a service mounted at a base path.
#[derive(Clone, Debug)]
pub(crate) struct Encoder {
    base: Arc<str>,
}

/// A message's JSON object without its opening brace.
///
/// The frame of a `message` event ends in exactly these bytes, so a snapshot shares them with the frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fragment(Bytes);

impl Fragment {
    /// Returns the number of its bytes in a list: with the opening brace and a comma.
    pub(crate) fn len(&self) -> usize {
        self.0.len() + 2
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        out.extend_from_slice(&self.0);
    }
}

/// A JSON array of messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MessageList(Bytes);

impl MessageList {
    pub(crate) fn new<'a>(messages: impl Iterator<Item = &'a Fragment> + Clone) -> Self {
        let len = messages.clone().map(Fragment::len).sum::<usize>();
        if len == 0 {
            return Self(Bytes::from_static(b"[]"));
        }
        let mut out = Vec::with_capacity(len + 2);
        write_array(&mut out, messages, |out, message| message.write(out));
        Self(out.into())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// A JSON array of users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserList(Bytes);

impl UserList {
    pub(crate) fn new<'a>(users: impl Iterator<Item = &'a User> + Clone) -> Self {
        let len = users.clone().map(|user| user.id.as_str().len() + user.name.len() + 24).sum();
        let mut out = Vec::with_capacity(len);
        write_array(&mut out, users, write_json);
        Self(out.into())
    }
}

/// Counts the bytes that are written to it.
#[derive(Default)]
struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The frame of a `message` event, and the message within it.
pub(crate) struct EncodedEvent {
    pub(crate) frame: Bytes,
    pub(crate) message: Option<Fragment>,
    pub(crate) check: Check,
}

/// The answer to one command.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) id: Option<i64>,
    pub(crate) result: Result<Reply, Error>,
}

/// The contents of an `ok`.
#[derive(Debug)]
pub(crate) enum Reply {
    Done,
    Channels {
        channels: Vec<ChannelObject>,
        after: Option<String>,
    },
    Channel(Box<ChannelObject>),
    Snapshot {
        channel: ChannelName,
        epoch: Epoch,
        head: Seq,
        check: Option<Check>,
        messages: MessageList,
        more: bool,
        members: UserList,
    },
    Replay {
        channel: ChannelName,
        epoch: Epoch,
        head: Seq,
        check: Option<Check>,
        events: Vec<Bytes>,
        members: UserList,
    },
    Published(Published),
    Logged(Logged),
    History {
        messages: MessageList,
        more: bool,
    },
    Found {
        messages: MessageList,
        before: Option<Seq>,
    },
}

impl Encoder {
    pub(crate) fn new(base: &str) -> Self {
        Self { base: base.into() }
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
    pub(crate) fn newest(&self, messages: Vec<Message>, bytes: usize) -> (MessageList, Option<Seq>) {
        let mut page = PageLimit { items: usize::MAX, bytes }.fill();
        let mut fragments = Vec::with_capacity(messages.len());
        let (mut oldest, mut cut) = (None, None);
        // Each is dropped once it is encoded, so the list is in memory twice, not three times.
        for message in messages.into_iter().rev() {
            let fragment = self.message(&message);
            if !page.take(fragment.len()) {
                cut = oldest;
                break;
            }
            oldest = Some(message.seq);
            fragments.push(fragment);
        }
        (MessageList::new(fragments.iter().rev()), cut)
    }

    /// Encodes an attachment.
    pub(crate) fn attachment(&self, attachment: &Attachment) -> Bytes {
        to_bytes(&self.located(attachment))
    }

    /// Encodes the frame of an event of a channel's log.
    pub(crate) fn event(&self, channel: &ChannelName, event: &Event) -> EncodedEvent {
        let check = Check::of(event);
        let EventKind::Message(content) = &event.kind else {
            return EncodedEvent {
                frame: to_bytes(&LogEvent { channel, event, check }),
                message: None,
                check,
            };
        };
        self.message_event(channel, check, &MessageObject::begun(self, event, content))
    }

    pub(crate) fn message_event(
        &self,
        channel: &ChannelName,
        check: Check,
        message: &MessageObject<'_>,
    ) -> EncodedEvent {
        let mut out = Vec::with_capacity(320 + message.text.len());
        out.extend_from_slice(br#"{"type":"message","channel":"#);
        write_json(&mut out, channel);
        // The check needs no escaping.
        for part in [r#","check":""#, check.as_str(), "\""] {
            out.extend_from_slice(part.as_bytes());
        }
        let start = out.len();
        write_json(&mut out, message);
        out[start] = b',';
        let frame = Bytes::from(out);
        EncodedEvent { message: Some(Fragment(frame.slice(start + 1..))), frame, check }
    }

    /// Encodes a message in its current state.
    pub(crate) fn message(&self, message: &Message) -> Fragment {
        let mut out = Vec::with_capacity(288 + message.text.len());
        write_json(&mut out, &MessageObject::new(self, message));
        Fragment(Bytes::from(out).slice(1..))
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

    /// Encodes the frame of an answer.
    pub(crate) fn answer(answer: &Answer) -> Bytes {
        match &answer.result {
            Ok(reply) => write_ok(answer.id.unwrap_or_default(), reply),
            Err(error) => to_bytes(&ErrorFrame {
                kind: "error",
                id: answer.id,
                error: ErrorReply {
                    code: error.code(),
                    message: error.to_string(),
                    retryable: error.code().is_retryable(),
                    retry_ms: error
                        .retry_after()
                        .map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
                    channel: error.channel().cloned(),
                },
            }),
        }
    }
}

fn write_ok(id: i64, reply: &Reply) -> Bytes {
    // A list is copied once. The rest of its answer is short.
    let lists = match reply {
        Reply::Snapshot { messages, members, .. } => messages.0.len() + members.0.len(),
        Reply::Replay { events, members, .. } => {
            events.iter().map(|event| event.len() + 1).sum::<usize>() + members.0.len()
        }
        Reply::History { messages, .. } | Reply::Found { messages, .. } => messages.0.len(),
        _ => 0,
    };
    let mut out = Vec::with_capacity(192 + lists);
    out.extend_from_slice(br#"{"type":"ok","id":"#);
    write_json(&mut out, &id);
    match reply {
        Reply::Done => {}
        Reply::Channels { channels, after } => {
            write_field(&mut out, "channels", channels);
            write_field(&mut out, "more", &after.is_some());
            if let Some(after) = after {
                write_field(&mut out, "after", after);
            }
        }
        Reply::Channel(channel) => write_field(&mut out, "channel", channel),
        Reply::Snapshot { channel, epoch, head, check, messages, more, members } => {
            write_place(&mut out, channel, epoch, *head, *check);
            write_field(&mut out, "reset", &true);
            write_list(&mut out, "messages", &messages.0);
            write_field(&mut out, "more", more);
            write_list(&mut out, "members", &members.0);
        }
        Reply::Replay { channel, epoch, head, check, events, members } => {
            write_place(&mut out, channel, epoch, *head, *check);
            write_field(&mut out, "reset", &false);
            write_name(&mut out, "events");
            write_array(&mut out, events.iter(), |out, frame| out.extend_from_slice(frame));
            write_list(&mut out, "members", &members.0);
        }
        Reply::Published(published) => write_fields(&mut out, published),
        Reply::Logged(logged) => write_fields(&mut out, logged),
        Reply::History { messages, more } => {
            write_list(&mut out, "messages", &messages.0);
            write_field(&mut out, "more", more);
        }
        Reply::Found { messages, before } => {
            write_list(&mut out, "messages", &messages.0);
            write_field(&mut out, "more", &before.is_some());
            if let Some(before) = before {
                write_field(&mut out, "before", before);
            }
        }
    }
    out.push(b'}');
    out.into()
}

fn write_place(out: &mut Vec<u8>, channel: &ChannelName, epoch: &Epoch, head: Seq, check: Option<Check>) {
    write_field(out, "channel", channel);
    write_field(out, "epoch", epoch);
    write_field(out, "head", &head);
    if let Some(check) = check {
        write_field(out, "check", &check);
    }
}

fn write_name(out: &mut Vec<u8>, name: &str) {
    for part in [r#",""#, name, r#"":"#] {
        out.extend_from_slice(part.as_bytes());
    }
}

fn write_field(out: &mut Vec<u8>, name: &str, value: &impl Serialize) {
    write_name(out, name);
    write_json(out, value);
}

fn write_list(out: &mut Vec<u8>, name: &str, list: &[u8]) {
    write_name(out, name);
    out.extend_from_slice(list);
}

/// Appends an object's fields to the object that is being written.
fn write_fields(out: &mut Vec<u8>, object: &impl Serialize) {
    let start = out.len();
    write_json(out, object);
    out[start] = b',';
    out.pop();
}

fn write_array<T>(out: &mut Vec<u8>, items: impl Iterator<Item = T>, write: impl Fn(&mut Vec<u8>, T)) {
    out.push(b'[');
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

/// Returns the number of bytes of an item in a list, with a comma.
fn listed_len(item: &impl Serialize) -> usize {
    let mut counter = Counter::default();
    serde_json::to_writer(&mut counter, item)
        .expect("invariant: the protocol's types are JSON, and nothing is kept");
    counter.0 + 1
}

fn write_json(out: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(out, value).expect("invariant: the protocol's types are JSON, and memory takes it");
}

pub(crate) fn to_bytes(value: &impl Serialize) -> Bytes {
    let mut out = Vec::with_capacity(192);
    write_json(&mut out, value);
    out.into()
}

#[derive(Serialize)]
struct ErrorFrame {
    #[serde(rename = "type")]
    kind: &'static str,
    id: Option<i64>,
    #[serde(flatten)]
    error: ErrorReply,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::model::event::Content;
    use crate::model::id::{AttachmentId, Nonce};
    use crate::model::message::Reaction;
    use crate::model::time::Timestamp;

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
        let content = Content {
            author: User::new("u_1", "Ann").unwrap(),
            text: "hi \"you\"".into(),
            nonce: Nonce::new("n").unwrap(),
            reply_to: None,
            attachments: vec![attachment],
            deleted: false,
        };
        Event { seq: 45, at: Timestamp::from_millis(0), kind: EventKind::Message(content) }
    }

    #[test]
    fn a_message_frame_is_what_the_protocol_page_shows_and_its_tail_is_the_message() {
        let encoder = Encoder::new("/chat");
        let joined = encoder.event(&ChannelName::new("general").unwrap(), &event());
        let expected = concat!(
            r#"{"type":"message","channel":"general","check":"D85_3Uz2","seq":45,"author":{"id":"u_1","name":"Ann"},"#,
            r#""at":"1970-01-01T00:00:00.000Z","text":"hi \"you\"","nonce":"n","reply_to":null,"attachments":["#,
            r#"{"id":"a_1","name":"plan Ä.png","size":3,"content_type":"image/png","width":1,"height":2,"#,
            r#""url":"/chat/attachments/a_1/plan%20%C3%84.png"}],"edited_at":null,"deleted":false,"reactions":[]}"#,
        );
        assert_eq!(joined.frame, expected);
        assert_eq!(joined.message, Some(encoder.message(&event().to_message().unwrap())));
    }

    #[test]
    fn no_message_is_larger_than_the_limits_say() {
        let limits = Limits::default();
        let Event { kind: EventKind::Message(mut content), .. } = event() else { panic!("no message") };
        content.author = User::new(&"\"".repeat(64), &"\u{1}".repeat(64)).unwrap();
        content.text = "\u{1}".repeat(limits.text_chars);
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
        let (len, most) = (Encoder::new("/chat").message(&message).len(), limits.message_bytes());
        assert!(len <= most && len > most / 2, "{len} bytes, where {most} are said");
    }

    #[test]
    fn a_redacted_frame_has_no_text_and_no_file() {
        let encoder = Encoder::new("");
        let joined = encoder.event(&ChannelName::new("general").unwrap(), &event());
        let frame = encoder.redact(&joined.frame, joined.check);
        let text = std::str::from_utf8(&frame).unwrap();
        assert!(
            !text.contains("you") && !text.contains("plan") && text.contains(r#""deleted":true"#),
            "{text}"
        );
    }

    #[test]
    fn answers_carry_their_fields_beside_type_and_id() {
        let channel = ChannelName::new("a").unwrap();
        let reply = |reply| Encoder::answer(&Answer { id: Some(7), result: Ok(reply) });
        assert_eq!(reply(Reply::Done), r#"{"type":"ok","id":7}"#);
        assert_eq!(
            reply(Reply::Logged(Logged { channel, seq: 3 })),
            r#"{"type":"ok","id":7,"channel":"a","seq":3}"#
        );
        assert_eq!(
            reply(Reply::History { messages: MessageList::new([].iter()), more: false }),
            r#"{"type":"ok","id":7,"messages":[],"more":false}"#
        );
        let error = Encoder::answer(&Answer { id: None, result: Err(Error::draining()) });
        assert_eq!(
            error,
            r#"{"type":"error","id":null,"code":"draining","message":"the server is shutting down; connect again","retryable":true,"retry_ms":1000}"#
        );
    }
}
