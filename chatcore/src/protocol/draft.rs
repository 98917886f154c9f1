//! Decodes a `publish`, the most frequent command, with its texts borrowed from the frame.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::json::plain_len;
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
    #[serde(default, deserialize_with = "Data::of_client")]
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
        Self::plain(frame).or_else(|| serde_json::from_str(frame).ok()).map(|draft| (draft.id, draft))
    }

    /// Reads what most publishes are, without the parser: no space between the fields, no escapes in the
    /// texts, no list and no object. Returns `None` if there is anything else, which is for it.
    fn plain(frame: &'a str) -> Option<Self> {
        let mut rest = Plain(frame);
        rest.take(r#"{"type":"publish""#).then_some(())?;
        let [mut channel, mut nonce, mut text] = [None; 3];
        let [mut id, mut reply_to] = [None; 2];
        while rest.0 != "}" {
            // By the first letter of the name, which follows a comma and a quotation mark.
            let was_there = match rest.0.as_bytes().get(2)? {
                b'i' if rest.take(r#","id":"#) => id.replace(rest.number()?).is_some(),
                b'c' if rest.take(r#","channel":""#) => channel.replace(rest.text()?).is_some(),
                b'n' if rest.take(r#","nonce":""#) => nonce.replace(rest.text()?).is_some(),
                b't' if rest.take(r#","text":""#) => text.replace(rest.text()?).is_some(),
                b'r' if rest.take(r#","reply_to":"#) => reply_to.replace(rest.number()?).is_some(),
                _ => true,
            };
            if was_there {
                return None;
            }
        }
        Some(Self {
            channel: Cow::Borrowed(channel?),
            nonce: Cow::Borrowed(nonce?),
            text: Cow::Borrowed(text?),
            attachments: Vec::new(),
            reply_to: reply_to.map(i64::unsigned_abs),
            mentions: Vec::new(),
            data: None,
            id: id?,
            kind: IgnoredAny,
        })
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

/// The part of a frame that was not read yet.
struct Plain<'a>(&'a str);

impl<'a> Plain<'a> {
    #[inline]
    fn take(&mut self, expected: &str) -> bool {
        let rest = self.0.strip_prefix(expected);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// Returns the text up to the next quotation mark, if it has no escapes.
    #[inline]
    fn text(&mut self) -> Option<&'a str> {
        let (text, rest) = self.0.split_at(plain_len(self.0.as_bytes()));
        self.0 = rest.strip_prefix('"')?;
        Some(text)
    }

    /// Returns a number from 0 on that is written in digits alone, as JSON has it.
    #[inline]
    fn number(&mut self) -> Option<i64> {
        let digits = self.0.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = self.0.split_at(digits);
        self.0 = rest;
        (number == "0" || !number.starts_with('0')).then(|| number.parse().ok()).flatten()
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

    #[test]
    fn a_plain_draft_reads_as_the_parser_reads_it() {
        // Each value, with whether it is plain.
        let numbers = ["0", "7", "9223372036854775807"].map(|number| (number, true));
        let odd =
            ["9223372036854775808", "01", "-1", "7.0", "7e0", "\"7\"", " 7", ""].map(|odd| (odd, false));
        let texts = [r#""""#, r#""x""#, r#""a longer text, with ümläuts and 🙂""#].map(|text| (text, true));
        let escaped = [r#""a \"b\"""#, r#""\n""#, "\"a\nb\"", "null"].map(|text| (text, false));
        let with_text = numbers.into_iter().chain(odd).map(|number| (number, texts[1]));
        let with_number = texts.into_iter().chain(escaped).map(|text| (numbers[1], text));
        for ((number, is_number), (text, is_text)) in with_text.chain(with_number) {
            let field = |name, value| format!(r#","{name}":{value}"#);
            let fields = [
                field("id", number),
                field("channel", text),
                field("nonce", text),
                field("text", text),
                field("reply_to", number),
                field("later", "7"),
                String::new(),
            ];
            let mut plain = 0;
            // All combinations, in each order.
            for combination in 0..7_usize.pow(5) {
                let chosen: String = (0..5).map(|at| &*fields[combination / 7_usize.pow(at) % 7]).collect();
                let frame = format!(r#"{{"type":"publish"{chosen}}}"#);
                if let Some(draft) = Draft::plain(&frame) {
                    assert_eq!(Some(draft), serde_json::from_str(&frame).ok(), "{frame}");
                    plain += 1;
                }
            }
            // All that are needed, with an answer or with an empty place.
            let orders = 5 * 4 * 3 * 2;
            assert_eq!(plain, if is_number && is_text { 2 * orders } else { 0 }, "{number} {text}");
        }
    }
}
