//! The name of a channel, which is its key.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::model::visible;

/// A channel's name as it is spelt on the wire: NFC, lower case, spaces replaced by `-`. It never changes.
///
/// Two names with different spellings can be the same for people, such as `straße` and `strasse`
/// ([`is_same_as`](Self::is_same_as)), or look the same ([`look`](Self::look)). A store has one channel per look.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "Arc<str>")]
pub struct ChannelName(Arc<str>);

impl ChannelName {
    /// The longest name, in characters.
    pub const MAX_CHARS: usize = 64;

    /// Folds `text` into a name for a new channel.
    ///
    /// # Errors
    /// [`InvalidChannelName`] if the name is empty, longer than [`MAX_CHARS`](Self::MAX_CHARS) or made of dots only, or if it
    /// has a character that is invisible or not a letter, digit, `-`, `_` or `.`.
    pub fn new(text: &str) -> Result<Self, InvalidChannelName> {
        let name = Self::existing(text)?;
        match name.0.chars().find(|&c| !c.is_ascii() && visible::is_ignorable(c)) {
            Some(invisible) => Err(InvalidChannelName::Character(invisible)),
            None => Ok(name),
        }
    }

    /// Folds `text` into the name of an existing channel. Earlier versions also accepted names with invisible
    /// letters. A name as it is stored or on the wire stays unchanged. Deserialising a name does the same.
    ///
    /// # Errors
    /// As for [`new`](Self::new), but invisible characters are allowed.
    pub fn existing(text: &str) -> Result<Self, InvalidChannelName> {
        // Folding can shorten a text only so much. This bounds the work on a hostile text.
        if text.len() > 64 * Self::MAX_CHARS {
            return Err(InvalidChannelName::Length);
        }
        // Most names are already spelt as the server spells them.
        if is_folded_ascii(text) {
            return Ok(Self(text.into()));
        }
        let name: String = text
            .nfc()
            .collect::<String>()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join("-")
            .to_lowercase()
            .nfc()
            .collect();
        if name.is_empty() || name.chars().count() > Self::MAX_CHARS {
            return Err(InvalidChannelName::Length);
        }
        if let Some(bad) = name.chars().find(|&c| !is_allowed(c)) {
            return Err(InvalidChannelName::Character(bad));
        }
        // A mark at the start would combine with the text before the name. `.` and `..` are folders in a URL.
        if name.starts_with(is_combining_mark) || name.chars().all(|c| c == '.') {
            return Err(InvalidChannelName::Form);
        }
        Ok(Self(name.into()))
    }

    /// Returns whether the names are the same when typed: they differ only in case, composition, width or
    /// invisible characters.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        self == other || visible::fold(&self.0) == visible::fold(&other.0)
    }

    /// Returns what the name looks like ([`visible::look`]). Equal names look the same. So do different names that
    /// imitate each other.
    #[must_use]
    pub fn look(&self) -> String {
        visible::look(&self.0)
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns whether `text` is a name in ASCII that folding does not change.
fn is_folded_ascii(text: &str) -> bool {
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
    text.len() <= ChannelName::MAX_CHARS && text.bytes().all(plain) && text.bytes().any(|byte| byte != b'.')
}

fn is_allowed(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '.') || is_combining_mark(c)
}

/// Why a channel name is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidChannelName {
    /// It is empty or longer than 64 characters.
    #[error("a channel name must have 1 to 64 characters")]
    Length,
    /// It has a character that is invisible or not a letter, a digit, `-`, `_` or `.`.
    #[error("a channel name can't contain {0:?}: use letters, digits, '-', '_' and '.'")]
    Character(char),
    /// It is made of dots only, or starts with a combining mark.
    #[error("a channel name can't be dots only or start with a combining mark")]
    Form,
}

/// Reads the name of a new channel, as [`ChannelName::new`] does.
impl FromStr for ChannelName {
    type Err = InvalidChannelName;
    fn from_str(text: &str) -> Result<Self, InvalidChannelName> {
        Self::new(text)
    }
}

impl TryFrom<String> for ChannelName {
    type Error = InvalidChannelName;
    fn try_from(text: String) -> Result<Self, InvalidChannelName> {
        Self::existing(&text)
    }
}

/// A name is hashed and compared as its text is.
impl Borrow<str> for ChannelName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<ChannelName> for Arc<str> {
    fn from(name: ChannelName) -> Self {
        name.0
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> String {
        ChannelName::new(text).unwrap().to_string()
    }

    #[test]
    fn case_composition_and_spaces_fold_into_one_spelling() {
        assert_eq!(name("  Rust  Beginners "), "rust-beginners");
        assert_eq!(name("Cafe\u{301}"), name("CAFÉ"));
        assert_eq!(name("v1.0_rc-2"), "v1.0_rc-2");
        assert_eq!(name("नमस्ते"), "नमस्ते");
    }

    #[test]
    fn a_name_is_found_by_its_text() {
        let numbers = ["general", "größe"].map(|text| (ChannelName::new(text).unwrap(), text.len()));
        let hashed = std::collections::HashMap::from(numbers.clone());
        let sorted = std::collections::BTreeMap::from(numbers);
        for text in ["general", "größe"] {
            assert_eq!((hashed.get(text), sorted.get(text)), (Some(&text.len()), Some(&text.len())));
        }
        assert_eq!((hashed.get("General"), sorted.get("other")), (None, None));
    }

    #[test]
    fn sixty_four_characters_pass_and_one_more_does_not() {
        assert_eq!(name(&"é".repeat(64)).chars().count(), 64);
        assert_eq!(ChannelName::new(&"é".repeat(65)), Err(InvalidChannelName::Length));
        assert_eq!(ChannelName::new(&"x".repeat(1 << 20)), Err(InvalidChannelName::Length));
        assert_eq!(ChannelName::new("   "), Err(InvalidChannelName::Length));
    }

    #[test]
    fn an_invalid_name_is_refused() {
        for text in
            ["a/b", "#general", "a\u{0}b", "<b>", "a\u{202e}b", "🦀", "\u{200b}x", "\u{3164}", "a\u{34f}"]
        {
            assert!(matches!(ChannelName::new(text), Err(InvalidChannelName::Character(_))), "{text:?}");
        }
        for text in [".", "..", "\u{301}a"] {
            assert_eq!(ChannelName::new(text), Err(InvalidChannelName::Form), "{text:?}");
        }
    }

    #[test]
    fn a_parsed_name_is_that_of_a_new_channel() {
        assert_eq!("Rust Beginners".parse(), ChannelName::new("rust-beginners"));
        assert!("a\u{34f}".parse::<ChannelName>().is_err());
    }

    #[test]
    fn a_name_that_exists_stays_as_it_is() {
        for text in ["\u{3164}", "straße", "σας", "a\u{34f}"] {
            assert_eq!(ChannelName::existing(text).unwrap().as_str(), text);
            let read: ChannelName = serde_json::from_str(&format!("\"{text}\"")).unwrap();
            assert_eq!(read.as_str(), text);
        }
        assert!(ChannelName::existing("a/b").is_err());
    }

    #[test]
    fn names_are_compared_as_people_do() {
        let name = |text| ChannelName::new(text).unwrap();
        assert!(name("Straße").is_same_as(&name("STRASSE")));
        assert!(name("ΣΑΣ").is_same_as(&name("σασ")));
        assert!(!name("paypal").is_same_as(&name("p\u{430}ypal")));
        assert_eq!(name("paypal").look(), name("p\u{430}ypal").look());
    }

    #[test]
    fn folding_a_name_again_changes_nothing() {
        for text in ["İstanbul", "ΣΑΣ", "ǅ", "Straße", "a b"] {
            let once = name(text);
            assert_eq!(name(&once), once, "{text:?}");
        }
    }
}
