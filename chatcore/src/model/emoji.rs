//! Recognizes single emoji and their spelling.

include!(concat!(env!("OUT_DIR"), "/emoji.rs"));

/// The selector for a colourful picture. Some keyboards omit it.
const VARIATION: char = '\u{fe0f}';

/// Returns the one spelling of an emoji, with every variation selector of Unicode's list. Returns `None` if the
/// text is not exactly one emoji of that list.
pub(crate) fn normal_form(text: &str) -> Option<&'static str> {
    let at = ALL.binary_search_by(|emoji| signs(emoji).cmp(signs(text))).ok()?;
    Some(ALL[at])
}

fn signs(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().filter(|c| *c != VARIATION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emoji_has_one_spelling_and_a_text_has_none() {
        for (text, expected) in [
            ("👍", Some("👍")),
            ("👍🏽", Some("👍🏽")),
            ("❤", Some("❤\u{fe0f}")),
            ("❤\u{fe0f}", Some("❤\u{fe0f}")),
            ("👩‍❤‍👩", Some("👩‍❤\u{fe0f}‍👩")),
            ("1\u{20e3}", Some("1\u{fe0f}\u{20e3}")),
            ("🇺🇦", Some("🇺🇦")),
            ("👨‍👩‍👧‍👦", Some("👨‍👩‍👧‍👦")),
            ("🏴󠁧󠁢󠁥󠁮󠁧󠁿", Some("🏴󠁧󠁢󠁥󠁮󠁧󠁿")),
            ("", None),
            ("\u{fe0f}", None),
            ("lol", None),
            ("1", None),
            (" 👍", None),
            ("👍👍", None),
            ("👍\u{200d}", None),
            ("🇺", None),
            ("<b>", None),
        ] {
            assert_eq!(normal_form(text), expected, "{text:?}");
        }
        assert!(ALL.iter().all(|emoji| normal_form(emoji) == Some(emoji)));
    }
}
