//! The fuzz targets, one file each.

use std::hash::{DefaultHasher, Hash, Hasher};

mod backups;
mod commands;
mod envelopes;
mod frames;
mod headers;
mod messages;
mod names;
mod pictures;
mod rows;
mod session;

/// A parser of bytes from outside.
#[derive(Debug)]
pub struct Target {
    /// The name of the target, and of its folder in the corpus.
    pub name: &'static str,
    /// Words of its language, for mutations.
    pub(crate) words: &'static [&'static str],
    /// Parses an input, and returns a number for the kind of outcome. Panics if a property is violated.
    pub(crate) run: fn(&[u8]) -> u64,
}

/// All targets. The browser client's Markdown has its own fuzzer, in `tests/ui`.
pub static TARGETS: [Target; 10] = [
    Target { name: "commands", words: commands::WORDS, run: commands::run },
    Target { name: "session", words: session::WORDS, run: session::run },
    Target { name: "frames", words: &[], run: frames::run },
    Target { name: "messages", words: &[], run: messages::run },
    Target { name: "names", words: names::WORDS, run: names::run },
    Target { name: "headers", words: headers::WORDS, run: headers::run },
    Target { name: "pictures", words: pictures::WORDS, run: pictures::run },
    Target { name: "rows", words: rows::WORDS, run: rows::run },
    Target { name: "backups", words: backups::WORDS, run: backups::run },
    Target { name: "envelopes", words: envelopes::WORDS, run: envelopes::run },
];

/// Returns a number for a kind of outcome.
fn outcome(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}
