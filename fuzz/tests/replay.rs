//! Every file of the corpus and some thousand mutations, in each target.
#![allow(missing_docs, reason = "tests")]

use chatcore::testkit::Random;
use chatcore_fuzz::{TARGETS, Target, replay};

fn passes(name: &str, mutations: u64) {
    let target: &'static Target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    let random = Random::from_env();
    println!("{name}: CHATCORE_SEED={}", random.seed());
    if let Err(failure) = replay(target, &random, mutations) {
        panic!("{failure}\nwith CHATCORE_SEED={}", random.seed());
    }
}

#[test]
fn any_text_is_a_command_or_refused() {
    passes("commands", 5_000);
}

#[test]
fn any_frames_are_answered_each_once_in_order() {
    passes("session", 300);
}

#[test]
fn any_bytes_are_frames_or_refused_however_they_are_cut() {
    passes("frames", 3_000);
}

#[test]
fn any_bytes_are_a_compressed_message_or_refused() {
    passes("messages", 3_000);
}

#[test]
fn any_text_is_a_name_in_one_spelling_or_refused() {
    passes("names", 5_000);
}

#[test]
fn any_headers_are_understood_or_refused() {
    passes("headers", 5_000);
}

#[test]
fn any_bytes_are_a_picture_or_a_file() {
    passes("pictures", 5_000);
}

#[test]
fn any_bytes_are_a_row_or_an_error() {
    passes("rows", 5_000);
}

#[test]
fn any_bytes_are_a_backup_or_refused() {
    passes("backups", 3_000);
}

#[test]
fn any_bytes_are_an_envelope_or_ignored() {
    passes("envelopes", 5_000);
}

#[test]
fn every_target_has_a_test_here() {
    let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(
        names,
        [
            "commands",
            "session",
            "frames",
            "messages",
            "names",
            "headers",
            "pictures",
            "rows",
            "backups",
            "envelopes"
        ]
    );
}

/// If no row of the corpus could be decoded, it would only fuzz JSON.
#[test]
fn every_row_of_the_corpus_is_understood() {
    use chatcore_redb::testkit::{Row, read_row};

    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/rows");
    for entry in std::fs::read_dir(folder).expect("the corpus") {
        let path = entry.expect("a file").path();
        let row = std::fs::read(&path).expect("a row");
        assert!(Row::KINDS.iter().any(|kind| read_row(*kind, &row).is_ok()), "{}", path.display());
    }
}

/// If no item of the corpus were understood, it would only fuzz lengths.
#[test]
fn every_envelope_of_the_corpus_is_understood() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/envelopes");
    for (name, items) in [
        ("beat", 1),
        ("endings", 3),
        ("events", 4),
        ("heads", 2),
        ("later", 1),
        ("notices", 3),
        ("presence", 3),
    ] {
        let bytes = std::fs::read(format!("{folder}/{name}")).expect("a file of the corpus");
        let understood = chatcore::testkit::rewrite_envelope(&bytes).map(|(items, _)| items);
        assert_eq!(understood, Some(items), "{name}");
    }
}
