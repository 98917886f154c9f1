//! Display names: what is one, and which two would be taken for each other.

use std::sync::Arc;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_security::confusable_detection::skeleton;

/// A display name as people see it: NFC, single spaces, nothing invisible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DisplayName(Arc<str>);

/// Why a text is no display name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadName {
    #[error("a name has 1 to {} characters", DisplayName::MAX_CHARS)]
    Length,
    #[error("a name has no control characters and nothing invisible")]
    Invisible,
}

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
        if !name.chars().any(|c| !is_ignorable(c) && !is_combining_mark(c) && c != ' ') {
            return Err(BadName::Invisible);
        }
        Ok(Self(name.into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the keys under which the name is taken. Two names are too alike when they share one.
    ///
    /// The skeleton (UTS 39, section 4) is taken with the case as written, where `I` looks like `l`, and in
    /// lower case, where it is an `i`.
    pub(crate) fn keys(&self) -> Vec<String> {
        let shown: String = self.0.chars().filter(|&c| !is_ignorable(c)).collect();
        let mut keys = vec![look(&shown), look(&shown.to_lowercase())];
        keys.dedup();
        keys
    }
}

fn look(text: &str) -> String {
    // Twice, since what a skeleton stands for may itself be an upper-case letter: `0` is like `O`.
    let lower = skeleton(text).collect::<String>().to_lowercase();
    skeleton(&lower).collect::<String>().to_lowercase()
}

/// Characters that join or vary others. Names in Persian and emoji need them, but they make no difference.
fn is_ignorable(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}')
}

/// Characters that show nothing, or turn the direction of what stands around the name.
fn is_forbidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{ffff}' | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{10ffff}')
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
