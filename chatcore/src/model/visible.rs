//! What people see of a text: whether it is visible at all, and which texts look the same.
//!
//! The rules are those of the Unicode Standard (full case folding, compatibility decomposition, default-ignorable
//! characters) and the prototypes of UTS 39, *Unicode Security Mechanisms*, section 4. The time of each function
//! is linear in the text's length.

use unicode_normalization::UnicodeNormalization;

include!(concat!(env!("OUT_DIR"), "/visible.rs"));

/// Names that could be mistaken for something other than a person or a channel.
const RESERVED: [&str; 4] = ["everyone", "here", "channel", "system"];

/// Returns whether a character is default-ignorable: it joins, varies or directs others, or fills space, and is
/// invisible by itself.
#[must_use]
pub fn is_ignorable(c: char) -> bool {
    let after = IGNORABLE.partition_point(|(first, _)| *first <= c);
    after > 0 && IGNORABLE[after - 1].1 >= c
}

/// Returns whether a text has something visible. White space and default-ignorable characters are invisible. An
/// emoji with joiners and variation selectors is visible, and so are control characters, which browsers show as a
/// sign.
///
/// ```
/// use chatcore::visible::shows_something;
/// assert!(shows_something("👩‍🚀") && !shows_something("\u{3164} \u{200d}"));
/// ```
#[must_use]
pub fn shows_something(text: &str) -> bool {
    text.chars().any(|c| !is_blank(c))
}

fn is_blank(c: char) -> bool {
    if c.is_ascii() {
        return c.is_whitespace();
    }
    // Braille without dots, a note without a head, and annotations are not default-ignorable.
    let shows_nothing = matches!(c, '\u{2800}' | '\u{1d159}' | '\u{fff9}'..='\u{fffb}');
    c.is_whitespace() || shows_nothing || is_ignorable(c)
}

/// Returns the form in which names are compared: without case (full case folding, so `Straße` is `strasse`),
/// without the width and font of letters, and without default-ignorable characters.
#[must_use]
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.nfkd().filter(|c| !is_ignorable(*c)).flat_map(fold_case).nfkd().collect()
}

/// Returns what a text looks like: its [`fold`], with each letter replaced by the one that it is easily mistaken
/// for. The Latin `pay` and the Cyrillic `рау` look the same. ASCII letters look different from each other.
#[must_use]
pub fn look(text: &str) -> String {
    let folded = fold(text);
    if folded.is_ascii() {
        return folded;
    }
    let mut look = String::with_capacity(folded.len());
    for c in folded.chars() {
        match PROTOTYPES.binary_search_by_key(&c, |(from, _)| *from) {
            Ok(at) => look.extend(PROTOTYPES[at].1.chars().flat_map(fold_case)),
            Err(_) => look.push(c),
        }
    }
    look.nfd().collect()
}

/// Returns a text for one line as it is shown: white space and control characters become single spaces, and
/// characters that change the direction of the text around them are removed (`gpj.exe` could be shown as
/// `exe.jpg`). An invisible text becomes empty.
#[must_use]
pub fn one_line(text: &str) -> String {
    if !shows_something(text) {
        return String::new();
    }
    let shown: String =
        text.nfc().filter(|c| !turns(*c)).map(|c| if c.is_control() { ' ' } else { c }).collect();
    shown.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn turns(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns whether a name is reserved for the service, or looks so: `everyone`, `here`, `channel` and `system`.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&look(name.trim()).as_str())
}

/// Folds the case of a letter. The upper case shows which letters differ only in case (`ς` and `σ`), and may be
/// several letters. The lower case before it is for letters such as `ẞ`, which has no other upper case.
pub(crate) fn fold_case(c: char) -> impl Iterator<Item = char> {
    c.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_composition_and_width_make_no_other_name() {
        for (one, other) in [
            ("Straße", "STRASSE"),
            ("ẞ", "ss"),
            ("ΣΑΣ", "σασ"),
            ("σας", "σασ"),
            ("Cafe\u{301}", "CAFÉ"),
            ("ｇｅｎｅｒａｌ", "general"),
            ("ﬁn", "FIN"),
            ("ﾊﾟﾝ", "パン"),
            ("a\u{200b}b\u{ad}", "ab"),
            ("ПРИВЕТ", "привет"),
            ("ᾳ", "ΑΙ"),
        ] {
            assert_eq!(fold(one), fold(other), "{one:?} and {other:?}");
            assert_eq!(look(one), look(other), "{one:?} and {other:?}");
        }
        for (one, other) in [("cafe", "café"), ("a-b", "a_b"), ("か", "が"), ("и", "й")] {
            assert_ne!(look(one), look(other), "{one:?} and {other:?}");
        }
    }

    #[test]
    fn letters_of_other_scripts_can_look_the_same() {
        for (one, other) in [("paypal", "p\u{430}yp\u{430}l"), ("coco", "СОСО"), ("scope", "ѕсоре")]
        {
            assert_ne!(fold(one), fold(other), "{one:?} and {other:?}");
            assert_eq!(look(one), look(other), "{one:?} and {other:?}");
        }
        for (one, other) in [("modern", "modem"), ("v1", "vl"), ("b0b", "bob"), ("мир", "mup")] {
            assert_ne!(look(one), look(other), "{one:?} and {other:?}");
        }
    }

    #[test]
    fn folding_again_changes_nothing() {
        let all = ('\u{80}'..='\u{2fa1f}').filter(|c| c.is_alphanumeric());
        for c in all {
            let once = fold(&c.to_string());
            assert_eq!(fold(&once), once, "{c:?}");
            assert_eq!(fold(&c.to_lowercase().to_string()), once, "{c:?}");
            assert_eq!(fold(&c.to_uppercase().to_string()), once, "{c:?}");
        }
    }

    #[test]
    fn what_joins_varies_or_fills_shows_nothing() {
        for text in [
            "",
            " \t\n\u{3000}",
            "\u{3164}",
            "\u{115f}\u{1160}",
            "\u{ffa0}",
            "\u{200b}\u{200d}\u{2060}",
            "\u{feff}",
            "\u{202e}",
            "\u{fe0f}",
            "\u{e0061}",
            "\u{2800}",
            "\u{ad}",
            "\u{34f}",
            "\u{180b}",
        ] {
            assert!(!shows_something(text), "{text:?}");
        }
        for text in ["x", "\u{1}", "👩‍🚀", "❤\u{fe0f}", "علی‌رضا", ".", "\u{200d}a", "नमस्ते", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"]
        {
            assert!(shows_something(text), "{text:?}");
        }
    }

    #[test]
    fn a_line_has_single_spaces_and_turns_nothing() {
        for (text, expected) in [
            ("  two \t words\r\n", "two words"),
            ("photo\u{202e}gpj.exe", "photogpj.exe"),
            ("Cafe\u{301}", "Café"),
            ("a\u{0}b\u{2028}c", "a b c"),
            ("\u{3164}\u{200b}", ""),
            ("👩‍🚀 می‌خواهم", "👩‍🚀 می‌خواهم"),
        ] {
            assert_eq!(one_line(text), expected, "{text:?}");
        }
    }

    #[test]
    fn reserved_names_are_known_in_any_spelling() {
        for name in ["everyone", " HERE ", "Ｃhannel", "sуstem", "her\u{200b}e"] {
            assert!(is_reserved(name), "{name:?}");
        }
        for name in ["everyone-else", "there", "systems", ""] {
            assert!(!is_reserved(name), "{name:?}");
        }
    }
}
