//! Functions for the fuzzers.

use crate::accounts::{Code, device_name};
use crate::backup::testkit as backup;
use crate::name::DisplayName;

/// Returns the display name for a text, and its keys.
#[must_use]
pub fn display_name(text: &str) -> Option<(String, Vec<String>)> {
    let name = DisplayName::new(text).ok()?;
    Some((name.as_str().to_owned(), name.keys()))
}

/// Returns the code that somebody typed, as it is shown.
#[must_use]
pub fn code(text: &str) -> Option<String> {
    Code::new(text).map(|code| code.to_string())
}

/// Returns what to call the device with this user agent.
#[must_use]
pub fn device(user_agent: &str) -> String {
    device_name(user_agent)
}

/// Reads an archive as a restore does. Returns the paths that it would write, and the result.
#[must_use]
pub fn read_backup(bytes: &[u8]) -> (Vec<String>, &'static str) {
    let mut paths = Vec::new();
    let end = backup::read(bytes, |path| paths.push(path));
    (paths, end)
}

/// Receives what a service sends as `web_chat backup` does, in pieces of at most `piece` bytes. Returns what it
/// would write, and the result.
///
/// # Errors
/// If the protocol is not that of a backup.
pub fn receive_backup(bytes: &[u8], piece: usize) -> Result<String, String> {
    backup::receive(bytes, piece)
}
