//! The decoder of commands.

use chatcore::protocol::Command;

use super::outcome;

pub(super) const WORDS: &[&str] = &[
    r#""type":"#,
    r#""id":1,"#,
    r#""channel":"a","#,
    r#""nonce":"n","#,
    r#""text":"x","#,
    r#""seq":1,"#,
    r#""before":1,"#,
    r#""around":1,"#,
    r#""limit":1,"#,
    r#""after":{"epoch":"e","seq":1},"#,
    r#""attachments":[],"#,
    r#""reply_to":1,"#,
    r#""emoji":"👍","on":true,"#,
    r#""query":"x","#,
    "\"publish\"",
    "\"subscribe\"",
    "\"history\"",
    "\"search\"",
    "\"react\"",
    "null",
    "true",
    "{",
    "}",
    "[",
    "]",
    "\\u0000",
    "\\ud800",
];

/// A command that was decoded means the same after encoding it again. An error is short, and repeats no more of
/// the frame than the name of a command.
pub(super) fn run(input: &[u8]) -> u64 {
    let Ok(frame) = std::str::from_utf8(input) else { return 0 };
    match Command::decode(frame) {
        Ok((id, command)) => {
            let mut written = serde_json::to_value(&command).expect("a command is JSON");
            written["id"] = id.into();
            assert_eq!(Command::decode(&written.to_string()), Ok((id, command.clone())));
            outcome(std::mem::discriminant(&command))
        }
        Err(refused) => {
            assert!(refused.message.len() <= 1_000, "a refusal of {} bytes", refused.message.len());
            let kind: String = refused.message.chars().filter(|c| c.is_alphabetic()).take(40).collect();
            outcome((refused.id.is_some(), kind))
        }
    }
}
