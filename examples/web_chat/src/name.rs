//! Display names: what is one, and which two would be taken for each other.

use std::sync::Arc;

use chatcore::visible;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_security::confusable_detection::skeleton;

/// A display name as people see it: NFC, single spaces, nothing invisible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DisplayName(Arc<str>);

/// Why a text is no display name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadName {
    #[error("a name must have 1 to {} characters", DisplayName::MAX_CHARS)]
    Length,
    #[error("a name can't contain control characters or invisible characters")]
    Invisible,
    #[error("this name is reserved: choose another")]
    Reserved,
}

/// The service's own names.
const OWN: [&str; 2] = ["chatcore", "web_chat"];

impl DisplayName {
    const MAX_CHARS: usize = 32;

    pub(crate) fn new(text: &str) -> Result<Self, BadName> {
        // Composition shortens a text by so much at the most: this bounds the work on a hostile one.
        if text.len() > 64 * Self::MAX_CHARS {
            return Err(BadName::Length);
        }
        // Looked for before the folding, which takes a control character such as a tab for a space.
        if text.trim().chars().any(is_forbidden) {
            return Err(BadName::Invisible);
        }
        let name = text.nfc().collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ");
        if name.is_empty() || name.chars().count() > Self::MAX_CHARS {
            return Err(BadName::Length);
        }
        if !name.chars().any(|c| !joins(c) && !is_combining_mark(c) && c != ' ') {
            return Err(BadName::Invisible);
        }
        if visible::is_reserved(&name) || OWN.contains(&visible::look(&name).as_str()) {
            return Err(BadName::Reserved);
        }
        Ok(Self(name.into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the keys under which the name is taken. Two names are too alike when they share one.
    pub(crate) fn keys(&self) -> Vec<String> {
        keys(&self.0)
    }
}

/// Returns the keys of a name.
///
/// The skeleton (UTS 39, section 4) is taken with the case as written, where `I` looks like `l`, and folded, where it is
/// an `i`.
fn keys(name: &str) -> Vec<String> {
    let mut keys = vec![look(name), look(&visible::fold(name))];
    keys.dedup();
    keys
}

/// Returns the keys that a name of an earlier version lacks: that one folded names by their lower case. Those of ASCII
/// lack none.
pub(crate) fn lacking_keys(name: &str, known: &[String]) -> Vec<String> {
    if name.is_ascii() {
        return Vec::new();
    }
    let mut lacking = keys(name);
    lacking.retain(|key| !known.contains(key));
    lacking
}

fn look(text: &str) -> String {
    // Twice, since what a skeleton stands for may itself be an upper-case letter: `0` is like `O`.
    let folded = visible::fold(&skeleton(text).collect::<String>());
    visible::fold(&skeleton(&folded).collect::<String>())
}

/// Characters that join or vary others. Names in Persian and emoji need them, but they make no difference.
fn joins(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}')
}

/// Characters that show nothing, or turn the direction of what stands around the name.
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
    fn case_composition_spaces_and_look_alikes_make_no_other_name() {
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
    fn names_of_everybody_and_of_the_service_are_reserved() {
        for text in ["everyone", "HERE", "channel", "System", "ѕystem", "chatcore", "Web_Chat"] {
            assert_eq!(DisplayName::new(text), Err(BadName::Reserved), "{text}");
        }
        assert!(DisplayName::new("Everyone Else").is_ok());
    }

    #[test]
    fn thirty_two_characters_pass_and_one_more_does_not() {
        assert!(DisplayName::new(&"é".repeat(32)).is_ok());
        assert_eq!(DisplayName::new(&"é".repeat(33)), Err(BadName::Length));
        assert_eq!(DisplayName::new("  "), Err(BadName::Length));
        assert_eq!(DisplayName::new(&"a".repeat(1 << 20)), Err(BadName::Length));
    }

    #[test]
    fn what_shows_nothing_or_turns_the_text_is_refused() {
        for text in ["a\u{202e}b", "\u{3164}", "\u{200d}", "a\nb", "\u{feff}x", "\u{301}", "a\u{0}"] {
            assert_eq!(DisplayName::new(text), Err(BadName::Invisible), "{text:?}");
        }
        for text in ["علی‌رضا", "👩‍🚀", "<b>Bob</b>", "O'Brien", "李小龙"] {
            assert!(DisplayName::new(text).is_ok(), "{text:?}");
        }
    }
}
