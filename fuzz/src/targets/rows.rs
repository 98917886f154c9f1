//! The rows of a redb file, as a damaged disk or another version may have left them.

use chatcore_redb::testkit::{Row, read_row};

use super::outcome;

pub(super) const WORDS: &[&str] = &[
    r#""seq":1,"#,
    r#""at":"#,
    r#""kind":"#,
    r#""author":{"id":"u_a","name":"a"},"#,
    r#""text":"x","#,
    r#""nonce":"n","#,
    r#""deleted":true,"#,
    r#""edited_at":null,"#,
    r#""attachments":[],"#,
    r#""reactions":[],"#,
    r#""reply_to":1,"#,
    r#""epoch":"e","#,
    r#""head":1,"#,
    r#""state":"Ready","#,
    "\"2026-01-01T00:00:00.000Z\"",
    "null",
    "true",
    "{",
    "}",
    "[",
    "]",
    "\\u0000",
    "\\ud800",
];

/// A row that was decoded is the same after encoding and decoding it again.
pub(super) fn run(input: &[u8]) -> u64 {
    let mut understood = Vec::new();
    for kind in Row::KINDS {
        let Ok(written) = read_row(kind, input) else { continue };
        assert_eq!(read_row(kind, &written).as_ref(), Ok(&written), "{kind:?}");
        understood.push((kind, written.len() / 16));
    }
    outcome(understood)
}
