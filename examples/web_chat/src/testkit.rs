//! What fuzzers drive.

use crate::name::DisplayName;

/// Returns the display name that a text gives, and the keys under which it is taken.
#[must_use]
pub fn display_name(text: &str) -> Option<(String, Vec<String>)> {
    let name = DisplayName::new(text).ok()?;
    Some((name.as_str().to_owned(), name.keys()))
}
