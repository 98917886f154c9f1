//! What is fuzzed, one file each.

use std::hash::{DefaultHasher, Hash, Hasher};

mod backups;
mod commands;
mod frames;
mod headers;
mod names;
mod pictures;
mod rows;
mod session;

/// Something that reads bytes from outside.
#[derive(Debug)]
pub struct Target {
    /// Its name, and that of its folder in the corpus.
    pub name: &'static str,
    /// Words of its language, for mutations.
    pub(crate) words: &'static [&'static str],
    /// Reads an input, and returns a number for the kind of what it found. It panics if a property is broken.
    pub(crate) run: fn(&[u8]) -> u64,
}

/// Every target. The browser client's Markdown has its own, in `tests/ui`.
pub static TARGETS: [Target; 8] = [
    Target { name: "commands", words: commands::WORDS, run: commands::run },
    Target { name: "session", words: session::WORDS, run: session::run },
    Target { name: "frames", words: &[], run: frames::run },
    Target { name: "names", words: names::WORDS, run: names::run },
    Target { name: "headers", words: headers::WORDS, run: headers::run },
    Target { name: "pictures", words: pictures::WORDS, run: pictures::run },
    Target { name: "rows", words: rows::WORDS, run: rows::run },
    Target { name: "backups", words: backups::WORDS, run: backups::run },
];

/// Returns a number that stands for a kind of outcome.
fn outcome(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}
