//! What a client says: one JSON object a frame, with a `type` and an `id`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::ErrorCode;
use crate::id::{Position, Seq};

/// A command as it came, its texts not yet checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Command {
    /// Lists the channels.
    Channels {
        /// Those after this name, or after what the last answer said in `after`; all where it is missing.
        #[serde(default)]
        after: Option<String>,
        /// How many, 1 to 1,000.
        #[serde(default)]
        limit: Option<u32>,
    },
    /// Creates a channel.
    CreateChannel {
        /// Its name.
        name: String,
        /// What it is about.
        #[serde(default)]
        topic: Option<String>,
    },
    /// Follows a channel, from a position or from its newest messages.
    Subscribe {
        /// The channel.
        channel: String,
        /// Where the client is.
        #[serde(default)]
        after: Option<Position>,
        /// How many messages to get, 0 to 100.
        #[serde(default)]
        limit: Option<u32>,
    },
    /// Ends a subscription.
    Unsubscribe {
        /// The channel.
        channel: String,
    },
    /// Publishes a message.
    Publish {
        /// The channel.
        channel: String,
        /// The author's key of this publish, 1 to 64 characters.
        nonce: String,
        /// What it says.
        text: String,
        /// Uploaded files, by id.
        #[serde(default)]
        attachments: Vec<String>,
        /// The message that it answers.
        #[serde(default)]
        reply_to: Option<Seq>,
    },
    /// Replaces a message's text.
    Edit {
        /// The channel.
        channel: String,
        /// The message.
        seq: Seq,
        /// Its new text.
        text: String,
    },
    /// Deletes a message.
    Delete {
        /// The channel.
        channel: String,
        /// The message.
        seq: Seq,
    },
    /// Puts an emoji on a message or takes it off.
    React {
        /// The channel.
        channel: String,
        /// The message.
        seq: Seq,
        /// Which emoji.
        emoji: String,
        /// On or off.
        on: bool,
    },
    /// Reads older messages.
    History {
        /// The channel.
        channel: String,
        /// Messages below this `seq`.
        before: Seq,
        /// How many, 1 to 100.
        #[serde(default)]
        limit: Option<u32>,
    },
    /// Searches the messages.
    Search {
        /// The channel.
        channel: String,
        /// Words that occur in the text, each of them.
        query: String,
        /// Messages below this `seq`; all of them where it is missing.
        #[serde(default)]
        before: Option<Seq>,
        /// How many, 1 to 50.
        #[serde(default)]
        limit: Option<u32>,
    },
    /// Moves the read marker.
    Read {
        /// The channel.
        channel: String,
        /// The last event read.
        seq: Seq,
    },
    /// Tells the others that its user is typing.
    Typing {
        /// The channel.
        channel: String,
    },
    /// Asks for a sign of life.
    Ping,
}

/// A frame that is no command, and its `id` where it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Malformed {
    /// The frame's `id`, where that much could be read.
    pub id: Option<i64>,
    /// `bad_frame` or `unknown_command`.
    pub code: ErrorCode,
    /// What is wrong with it.
    pub message: String,
}

#[derive(Deserialize)]
struct Framed {
    id: i64,
    #[serde(flatten)]
    command: Command,
}

impl Command {
    /// The commands' names, as `type` spells them.
    const NAMES: [&'static str; 13] = [
        "channels",
        "create_channel",
        "subscribe",
        "unsubscribe",
        "publish",
        "edit",
        "delete",
        "react",
        "history",
        "search",
        "read",
        "typing",
        "ping",
    ];

    /// Reads a frame: the command and its `id`.
    ///
    /// # Errors
    /// [`Malformed`] says what is wrong, in words for the programmer of the client.
    pub fn decode(frame: &str) -> Result<(i64, Self), Malformed> {
        match serde_json::from_str::<Framed>(frame) {
            Ok(Framed { id, command }) => Ok((id, command)),
            Err(error) => Err(explain(frame, &error)),
        }
    }
}

/// Reads a refused frame a second time, now for what is wrong with it.
fn explain(frame: &str, error: &serde_json::Error) -> Malformed {
    let bad = |id, message: String| Malformed { id, code: ErrorCode::BadFrame, message };
    let Ok(Value::Object(fields)) = serde_json::from_str::<Value>(frame) else {
        return bad(None, "a frame is one JSON object".to_owned());
    };
    let id = fields.get("id").and_then(Value::as_i64);
    match fields.get("type") {
        None => bad(id, "a frame has a 'type'".to_owned()),
        Some(Value::String(name)) if !Command::NAMES.contains(&name.as_str()) => {
            let shown: String = name.chars().take(64).collect();
            Malformed {
                id,
                code: ErrorCode::UnknownCommand,
                message: format!("there is no command {shown:?}"),
            }
        }
        Some(Value::String(_)) if id.is_none() => bad(None, "a command has an integer 'id'".to_owned()),
        Some(Value::String(_)) => {
            let text: String = error.to_string().chars().take(200).collect();
            // The position is that of the parser in its own buffer: it would only mislead.
            bad(id, text.split(" at line ").next().unwrap_or_default().to_owned())
        }
        Some(_) => bad(id, "'type' is a string".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(frame: &str) -> (Option<i64>, ErrorCode) {
        let error = Command::decode(frame).unwrap_err();
        (error.id, error.code)
    }

    #[test]
    fn commands_decode_with_their_id_and_ignore_unknown_fields() {
        let (id, command) =
            Command::decode(r#"{"type":"read","id":7,"channel":"a","seq":3,"later":[1]}"#).unwrap();
        assert_eq!((id, command), (7, Command::Read { channel: "a".into(), seq: 3 }));
        assert_eq!(Command::decode(r#"{"id":1,"type":"ping"}"#).unwrap().1, Command::Ping);
    }

    #[test]
    fn what_is_malformed_is_named() {
        assert_eq!(refused("hi"), (None, ErrorCode::BadFrame));
        assert_eq!(refused("[1]"), (None, ErrorCode::BadFrame));
        assert_eq!(refused(r#"{"id":4}"#), (Some(4), ErrorCode::BadFrame));
        assert_eq!(refused(r#"{"type":5,"id":4}"#), (Some(4), ErrorCode::BadFrame));
        assert_eq!(refused(r#"{"type":"ping"}"#), (None, ErrorCode::BadFrame));
        assert_eq!(refused(r#"{"type":"fly","id":4}"#), (Some(4), ErrorCode::UnknownCommand));
        assert_eq!(
            refused(r#"{"type":"read","id":4,"channel":"a","seq":-1}"#),
            (Some(4), ErrorCode::BadFrame)
        );
        assert_eq!(refused(r#"{"type":"read","id":4,"channel":7,"seq":1}"#), (Some(4), ErrorCode::BadFrame));
    }

    #[test]
    fn deep_nesting_is_refused_not_followed() {
        let deep = format!(r#"{{"type":"ping","id":1,"x":{}{}}}"#, "[".repeat(30_000), "]".repeat(30_000));
        assert_eq!(refused(&deep).1, ErrorCode::BadFrame);
    }

    #[test]
    fn every_command_name_is_known() {
        for name in Command::NAMES {
            let error = Command::decode(&format!(r#"{{"type":"{name}","id":1,"channel":1}}"#)).err();
            assert!(error.is_none_or(|e| e.code == ErrorCode::BadFrame), "{name}");
        }
    }
}
