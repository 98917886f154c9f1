//! What fuzzers drive.

use crate::backup::testkit as backup;
use crate::name::DisplayName;

/// Returns the display name that a text gives, and the keys under which it is taken.
#[must_use]
pub fn display_name(text: &str) -> Option<(String, Vec<String>)> {
    let name = DisplayName::new(text).ok()?;
    Some((name.as_str().to_owned(), name.keys()))
}

/// Reads an archive as a restore does, and returns the paths that it would write, and how it ends.
#[must_use]
pub fn read_backup(bytes: &[u8]) -> (Vec<String>, &'static str) {
    let mut paths = Vec::new();
    let end = backup::read(bytes, |path| paths.push(path));
    (paths, end)
}

/// Takes what a service sends as `web_chat backup` does, in pieces of at most `piece` bytes; returns what it would
/// write and how it ends.
///
/// # Errors
/// If it speaks another protocol.
pub fn receive_backup(bytes: &[u8], piece: usize) -> Result<String, String> {
    backup::receive(bytes, piece)
}
