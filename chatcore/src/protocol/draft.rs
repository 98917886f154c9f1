//! Decodes a `publish`, the most frequent command, with its texts borrowed from the frame.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::model::data::Data;
use crate::model::id::Seq;
use crate::model::membership::Mention;

/// The fields of a [`Command::Publish`](super::Command::Publish), as they were received.
#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct Draft<'a> {
    #[serde(borrow)]
    pub(crate) channel: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) nonce: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) text: Cow<'a, str>,
    #[serde(default)]
    pub(crate) attachments: Vec<String>,
    #[serde(default)]
    pub(crate) reply_to: Option<Seq>,
    #[serde(default)]
    pub(crate) mentions: Vec<Mention>,
    #[serde(default)]
    pub(crate) data: Option<Data>,
    // Read here, so that nothing is between the parser and the fields.
    id: i64,
    #[serde(rename = "type")]
    kind: IgnoredAny,
}

impl<'a> Draft<'a> {
    /// Decodes a well-formed `publish` whose `type` comes first, into its `id` and fields. Any other frame is for
    /// [`Command::decode`](super::Command::decode), which also says what is wrong.
    pub(crate) fn decode(frame: &'a str) -> Option<(i64, Self)> {
        if !frame.starts_with(r#"{"type":"publish""#) {
            return None;
        }
        let draft: Self = serde_json::from_str(frame).ok()?;
        Some((draft.id, draft))
    }

    /// Returns the fields of a command that came without a frame.
    pub(crate) fn new(
        channel: String,
        nonce: String,
        text: String,
        attachments: Vec<String>,
        reply_to: Option<Seq>,
        mentions: Vec<Mention>,
        data: Option<Data>,
    ) -> Self {
        let [channel, nonce, text] = [channel, nonce, text].map(Cow::Owned);
        Self { channel, nonce, text, attachments, reply_to, mentions, data, id: 0, kind: IgnoredAny }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Command;

    /// Both ways of decoding a publish take the same frames, and read the same.
    #[test]
    fn a_draft_is_the_command_or_nothing() {
        let rest = r#""id":7,"channel":"a","nonce":"n","text":"x""#;
        for fields in [
            rest,
            r#""text":"\u0041\n\ud83d\ude42","nonce":"\"","channel":"ä","id":-9223372036854775808"#,
            r#""id":7,"channel":"a","nonce":"n","text":"","attachments":["f"],"reply_to":4,"mentions":["u_1","@here"],"data":{"a":1}"#,
            r#""id":7,"channel":"a","nonce":"n","text":"x","reply_to":null,"later":[{"id":3}]"#,
            r#""id":7,"channel":"a","nonce":"n","text":"x","id":8"#,
            r#""id":7,"channel":"a","nonce":"n","text":"x","type":"publish""#,
            r#""id":7,"channel":"a","nonce":"n","text":"x","text":"y""#,
            r#""id":7.5,"channel":"a","nonce":"n","text":"x""#,
            r#""id":"7","channel":"a","nonce":"n","text":"x""#,
            r#""id":9223372036854775808,"channel":"a","nonce":"n","text":"x""#,
            r#""channel":"a","nonce":"n","text":"x""#,
            r#""id":7,"nonce":"n","text":"x""#,
            r#""id":7,"channel":"a","text":"x""#,
            r#""id":7,"channel":"a","nonce":"n""#,
            r#""id":7,"channel":"a","nonce":"n","text":null"#,
            r#""id":7,"channel":"a","nonce":"n","text":"\ud83d""#,
            r#""id":7,"channel":"a","nonce":"n","text":"x","attachments":null"#,
            r#""id":7,"channel":"a","nonce":"n","text":"x","mentions":[7]"#,
            r#""id":7,"channel":"a","nonce":"n","text":"x","data":7"#,
            "",
        ] {
            for end in ["}", "} ", "}}", ""] {
                for begin in [r#"{"type":"publish","#, r#"{"type":"publish" , "#, r#"{"type":"publisher","#] {
                    let frame = format!("{begin}{fields}{end}");
                    let command = Command::decode(&frame).ok().map(|(id, command)| match command {
                        Command::Publish { channel, nonce, text, attachments, reply_to, mentions, data } => {
                            let draft =
                                Draft::new(channel, nonce, text, attachments, reply_to, mentions, data);
                            (id, Draft { id, ..draft })
                        }
                        other => panic!("{other:?}"),
                    });
                    assert_eq!(Draft::decode(&frame), command, "{frame}");
                }
            }
        }
    }
}
