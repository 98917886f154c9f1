//! Display names: which texts are valid, and which names look alike.

use std::sync::Arc;

use chatcore::visible;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_security::confusable_detection::skeleton;

/// A display name: in NFC, with single spaces, without invisible characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DisplayName(Arc<str>);

/// Why a text is not a valid display name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidDisplayName {
    #[error("a name must have 1 to {} characters", DisplayName::MAX_CHARS)]
    Length,
    #[error("a name can't contain control characters or invisible characters")]
    Invisible,
    #[error("this name is reserved: choose another")]
    Reserved,
}

/// The names of the service itself.
const OWN: [&str; 2] = ["chatcore", "web_chat"];

impl DisplayName {
    const MAX_CHARS: usize = 32;

    pub(crate) fn new(text: &str) -> Result<Self, InvalidDisplayName> {
        // Composition shortens a text at most by this factor. The check bounds the work for a hostile text.
        if text.len() > 64 * Self::MAX_CHARS {
            return Err(InvalidDisplayName::Length);
        }
        // Before the folding, which turns a control character such as a tab into a space.
        if text.trim().chars().any(is_forbidden) {
            return Err(InvalidDisplayName::Invisible);
        }
        let name = text.nfc().collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ");
        if name.is_empty() || name.chars().count() > Self::MAX_CHARS {
            return Err(InvalidDisplayName::Length);
        }
        if !name.chars().any(|c| !joins(c) && !is_combining_mark(c) && c != ' ') {
            return Err(InvalidDisplayName::Invisible);
        }
        if visible::is_reserved(&name) || OWN.contains(&visible::look(&name).as_str()) {
            return Err(InvalidDisplayName::Reserved);
        }
        Ok(Self(name.into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether this is the other name, in any case.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.is_name(&other.0)
    }

    /// Returns whether this is the name `text`, in any case.
    pub(crate) fn is_name(&self, text: &str) -> bool {
        visible::fold(&self.0) == visible::fold(text)
    }

    /// Returns the keys of the name. Two names with a common key look alike.
    pub(crate) fn keys(&self) -> Vec<String> {
        keys(&self.0)
    }
}

/// Returns the keys of a name.
///
/// The skeleton (UTS 39, section 4) is computed twice: with the original case, where `I` looks like `l`, and with
/// the case folded, where `I` is an `i`.
fn keys(name: &str) -> Vec<String> {
    let mut keys = vec![look(name), look(&visible::fold(name))];
    keys.dedup();
    keys
}

/// Returns the keys that a name of an earlier version lacks: that version converted names to lower case. An ASCII
/// name lacks none.
pub(crate) fn lacking_keys(name: &str, known: &[String]) -> Vec<String> {
    if name.is_ascii() {
        return Vec::new();
    }
    let mut lacking = keys(name);
    lacking.retain(|key| !known.contains(key));
    lacking
}

fn look(text: &str) -> String {
    // Folded twice, since a skeleton may contain an upper-case letter: `0` looks like `O`.
    let folded = visible::fold(&skeleton(text).collect::<String>());
    visible::fold(&skeleton(&folded).collect::<String>())
}

/// Returns whether a character only joins or varies others. Names in Persian and emoji need such characters, but
/// names that differ only in them look alike.
fn joins(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}')
}

/// Returns whether a character is invisible, or changes the direction of the text around the name.
fn is_forbidden(c: char) -> bool {
    let is_private =
        matches!(c, '\u{fff0}'..='\u{ffff}' | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{10ffff}');
    c.is_control()
        || is_private
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{2800}')
        || (visible::is_ignorable(c) && !joins(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alike(a: &str, b: &str) -> bool {
        let (a, b) = (DisplayName::new(a).unwrap().keys(), DisplayName::new(b).unwrap().keys());
        a.iter().any(|key| b.contains(key))
    }

    #[test]
    fn look_alike_names_count_as_the_same() {
        for (a, b) in [
            ("ann", "Ann"),
            ("José", "Jose\u{301}"),
            ("Ann Lee", " ann   lee "),
            ("Straße", "STRASSE"),
            ("ΣΑΣ", "σασ"),
            ("Ａｎｎ", "ann"),
            ("paypal", "p\u{430}ypal"),
            ("Ivan", "lvan"),
            ("Ivan", "ivan"),
            ("bob", "b0b"),
            ("morn", "mom"),
            ("ann", "a\u{200d}nn"),
        ] {
            assert!(alike(a, b), "{a} {b}");
        }
        assert!(!alike("ann", "anna"));
        assert!(!alike("joão", "joao"));
    }

    #[test]
    fn names_for_all_and_of_the_service_are_reserved() {
        for text in ["everyone", "HERE", "channel", "System", "ѕystem", "chatcore", "Web_Chat"] {
            assert_eq!(DisplayName::new(text), Err(InvalidDisplayName::Reserved), "{text}");
        }
        assert!(DisplayName::new("Everyone Else").is_ok());
    }

    #[test]
    fn a_name_has_at_most_thirty_two_characters() {
        assert!(DisplayName::new(&"é".repeat(32)).is_ok());
        assert_eq!(DisplayName::new(&"é".repeat(33)), Err(InvalidDisplayName::Length));
        assert_eq!(DisplayName::new("  "), Err(InvalidDisplayName::Length));
        assert_eq!(DisplayName::new(&"a".repeat(1 << 20)), Err(InvalidDisplayName::Length));
    }

    #[test]
    fn invisible_and_direction_characters_are_refused() {
        for text in ["a\u{202e}b", "\u{3164}", "\u{200d}", "a\nb", "\u{feff}x", "\u{301}", "a\u{0}"] {
            assert_eq!(DisplayName::new(text), Err(InvalidDisplayName::Invisible), "{text:?}");
        }
        for text in ["علی‌رضا", "👩‍🚀", "<b>Bob</b>", "O'Brien", "李小龙"] {
            assert!(DisplayName::new(text).is_ok(), "{text:?}");
        }
    }
}
