//! What nodes tell each other by a bus.

use chatcore::testkit::rewrite_envelope;

use super::outcome;

pub(super) const WORDS: &[&str] = &[
    r#"{"type":"typing","channel":1,"user":{"id":"u_a","name":"a"}}"#,
    r#""type":"marker","#,
    r#""type":"created","#,
    r#""type":"ending","#,
    r#""type":"presence","#,
    r#""type":"everybody","#,
    r#""people":[],"#,
    r#""channels":[1,2],"#,
    r#""first":true,"#,
    r#""key":1,"#,
    r#""seq":1,"#,
    r#""at":"2026-01-01T00:00:00.000Z","#,
    r#""kind":{"Deleted":"#,
    "null",
    "{",
    "}",
    "[",
    "]",
    "\\ud800",
    "\u{1}",
    "\u{2}",
    "\u{3}",
    "\u{4}",
];

/// What is understood of an envelope is the same after writing and reading it again.
pub(super) fn run(input: &[u8]) -> u64 {
    let Some((items, written)) = rewrite_envelope(input) else { return outcome(0) };
    assert_eq!(rewrite_envelope(&written), Some((items, written.clone())));
    outcome((items, written.len() / 16))
}
