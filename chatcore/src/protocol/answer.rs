//! Encodes answers to commands.

use bytes::Bytes;
use serde::Serialize;

use super::command::SearchFrom;
use super::encode::Encoder;
use super::json::{
    name, to_bytes, write_array, write_field, write_fields, write_json, write_list, write_name,
};
use super::lists::{MessageList, UserList};
use super::objects::write_time;
use super::reply::{Added, ChannelObject, DirectOpened, ErrorReply, Logged, MemberList, People, Published};
use crate::model::check::Check;
use crate::model::error::Error;
use crate::model::id::{Epoch, Seq};
use crate::model::name::ChannelName;
use crate::model::time::Timestamp;
use crate::store::Appended;

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
        more_after: Option<bool>,
    },
    Found {
        messages: MessageList,
        before: Option<SearchFrom>,
    },
    Direct(Box<DirectOpened>),
    Added(Added),
    Members(MemberList),
    People(People),
}

impl Encoder {
    /// Returns the length of the frame of the answer to a publish, which is the most frequent one, and what appends it.
    pub(crate) fn published<'a>(
        id: Option<i64>,
        channel: &'a ChannelName,
        appended: &Appended,
    ) -> (usize, impl Fn(&mut Vec<u8>) + 'a) {
        let &Appended { seq, at, duplicate, .. } = appended;
        let id = id.unwrap_or_default();
        let len = published_len(id, channel, seq, duplicate);
        (len, move |out| write_published(out, id, channel, seq, at, duplicate))
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
    let room = match reply {
        Reply::Published(Published { channel, seq, at, duplicate }) => {
            let mut out = Vec::with_capacity(published_len(id, channel, *seq, *duplicate));
            write_published(&mut out, id, channel, *seq, *at, *duplicate);
            return out.into();
        }
        Reply::Snapshot { messages, members, .. } => 192 + messages.json().len() + members.json().len(),
        Reply::Replay { events, members, .. } => {
            192 + events.iter().map(|event| event.len() + 1).sum::<usize>() + members.json().len()
        }
        Reply::History { messages, .. } | Reply::Found { messages, .. } => 192 + messages.json().len(),
        _ => 192,
    };
    let mut out = Vec::with_capacity(room);
    begin_ok(&mut out, id);
    match reply {
        Reply::Done | Reply::Published(_) => {}
        Reply::Channels { channels, after } => {
            write_field(&mut out, name!("channels"), channels);
            write_field(&mut out, name!("more"), &after.is_some());
            if let Some(after) = after {
                write_field(&mut out, name!("after"), after);
            }
        }
        Reply::Channel(channel) => write_field(&mut out, name!("channel"), channel),
        Reply::Snapshot { channel, epoch, head, check, messages, more, members } => {
            write_place(&mut out, channel, epoch, *head, *check);
            write_field(&mut out, name!("reset"), &true);
            write_list(&mut out, name!("messages"), messages.json());
            write_field(&mut out, name!("more"), more);
            write_list(&mut out, name!("members"), members.json());
        }
        Reply::Replay { channel, epoch, head, check, events, members } => {
            write_place(&mut out, channel, epoch, *head, *check);
            write_field(&mut out, name!("reset"), &false);
            write_name(&mut out, name!("events"));
            write_array(&mut out, events.iter(), |out, frame| out.extend_from_slice(frame));
            write_list(&mut out, name!("members"), members.json());
        }
        Reply::Direct(opened) => write_fields(&mut out, opened),
        Reply::Added(added) => write_fields(&mut out, added),
        Reply::Members(list) => write_fields(&mut out, list),
        Reply::People(people) => write_fields(&mut out, people),
        Reply::Logged(logged) => write_fields(&mut out, logged),
        Reply::History { messages, more, more_after } => {
            write_list(&mut out, name!("messages"), messages.json());
            write_field(&mut out, name!("more"), more);
            if let Some(more_after) = more_after {
                write_field(&mut out, name!("more_after"), more_after);
            }
        }
        Reply::Found { messages, before } => {
            write_list(&mut out, name!("messages"), messages.json());
            write_field(&mut out, name!("more"), &before.is_some());
            if let Some(before) = before {
                write_field(&mut out, name!("before"), before);
            }
        }
    }
    out.push(b'}');
    out.into()
}

/// Returns the beginning of an answer.
#[inline]
fn begin_ok(out: &mut Vec<u8>, id: i64) {
    out.extend_from_slice(br#"{"type":"ok","id":"#);
    write_json(out, &id);
}

fn write_published(
    out: &mut Vec<u8>,
    id: i64,
    channel: &ChannelName,
    seq: Seq,
    at: Timestamp,
    duplicate: bool,
) {
    begin_ok(out, id);
    // A channel's name needs no escaping.
    for part in [r#","channel":""#, channel.as_str(), r#"","seq":"#] {
        out.extend_from_slice(part.as_bytes());
    }
    write_json(out, &seq);
    write_time(out, name!("at"), at);
    write_field(out, name!("duplicate"), &duplicate);
    out.push(b'}');
}

/// Returns the length of the answer to a publish.
fn published_len(id: i64, channel: &ChannelName, seq: Seq, duplicate: bool) -> usize {
    const FIXED: &str =
        r#"{"type":"ok","id":,"channel":"","seq":,"at":"0000-00-00T00:00:00.000Z","duplicate":}"#;
    let digits = |number: u64| number.checked_ilog10().unwrap_or(0) as usize + 1;
    let id = usize::from(id < 0) + digits(id.unsigned_abs());
    let duplicate = if duplicate { "true" } else { "false" };
    FIXED.len() + id + channel.as_str().len() + digits(seq) + duplicate.len()
}

fn write_place(out: &mut Vec<u8>, channel: &ChannelName, epoch: &Epoch, head: Seq, check: Option<Check>) {
    write_field(out, name!("channel"), channel);
    write_field(out, name!("epoch"), epoch);
    write_field(out, name!("head"), &head);
    if let Some(check) = check {
        write_field(out, name!("check"), &check);
    }
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
    use crate::model::time::Timestamp;

    #[test]
    fn the_answer_to_a_publish_has_the_length_that_was_reserved() {
        let at = Timestamp::from_millis(1_700_000_000_007);
        for (id, seq) in [(0, 1), (9, 10), (10, 99), (-1, 100), (i64::MIN, Seq::MAX), (i64::MAX, 7)] {
            for (channel, duplicate) in [("a", true), ("general", false), ("größe", false)] {
                let channel = ChannelName::new(channel).unwrap();
                let len = published_len(id, &channel, seq, duplicate);
                let reply = Reply::Published(Published { channel, seq, at, duplicate });
                assert_eq!(write_ok(id, &reply).len(), len, "{id}, {seq}");
            }
        }
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
        let history =
            |more_after| reply(Reply::History { messages: MessageList::empty(), more: false, more_after });
        assert_eq!(history(None), r#"{"type":"ok","id":7,"messages":[],"more":false}"#);
        assert_eq!(
            history(Some(true)),
            r#"{"type":"ok","id":7,"messages":[],"more":false,"more_after":true}"#
        );
        let error = Encoder::answer(&Answer { id: None, result: Err(Error::draining()) });
        assert_eq!(
            error,
            r#"{"type":"error","id":null,"code":"draining","message":"the server is shutting down; connect again","retryable":true,"retry_ms":1000}"#
        );
    }
}
