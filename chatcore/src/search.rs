//! What is searched for, and what it is found in: one law for every store.

use crate::error::{Error, ErrorCode};

/// The most words of a query.
const WORDS: usize = 8;

/// The most characters of a query.
const CHARS: usize = 128;

/// Words to search for. A text matches where each of them occurs in it somewhere, in any case and any script.
///
/// ```
/// let query = chatcore::SearchQuery::new("  RELEASE friday ")?;
/// assert!(query.matches("Pre-releases come on Fridays"));
/// assert!(!query.matches("Fridays"));
/// # Ok::<(), chatcore::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchQuery {
    words: Vec<String>,
}

impl SearchQuery {
    /// Takes 1 to 8 words with white space between them, 128 characters in all.
    ///
    /// # Errors
    /// `empty` and `too_large`.
    pub fn new(query: &str) -> Result<Self, Error> {
        let query = query.trim();
        if query.chars().count() > CHARS {
            let why = format!("a query has at most {CHARS} characters");
            return Err(Error::new(ErrorCode::TooLarge, why));
        }
        let words: Vec<String> = query.split_whitespace().map(fold).collect();
        match words.len() {
            0 => Err(Error::new(ErrorCode::Empty, "a query has words")),
            1..=WORDS => Ok(Self { words }),
            _ => Err(Error::new(ErrorCode::TooLarge, format!("a query has at most {WORDS} words"))),
        }
    }

    /// Says whether every word occurs in a text.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let text = fold(text);
        self.words.iter().all(|word| text.contains(word))
    }

    /// Returns the words, in lower case, for a store that has an index of its messages' texts. What the index
    /// finds is still to be asked [`matches`](Self::matches).
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.words
    }
}

/// Brings a text to one case, letter by letter, so that a part of a text folds to a part of the folded text.
fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    // The lower case of Σ is ς at the end of a word, and else σ: here they are one.
    text.chars().flat_map(char::to_lowercase).map(|c| if c == 'ς' { 'σ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_occurs_somewhere_in_any_case() {
        for (query, text, expected) in [
            ("foo", "Foo", true),
            ("OO", "foot", true),
            ("bar foo", "foo and bar", true),
            ("foo bar", "foo and ba", false),
            ("foo foo", "foo", true),
            ("привет", "ПРИВЕТ, мир", true),
            ("οδοσ", "ΟΔΟΣ", true),
            ("ΟΔΟς", "οδοσ", true),
            ("STRASSE", "straße", false),
            ("ẞ", "straße", true),
            ("会議", "明日の会議は十時", true),
            ("日\u{3000}会", "明日の会議", true),
            ("100%", "100 percent", false),
            ("_", "a", false),
            ("👍", "ok 👍🏽", true),
            ("a", "", false),
        ] {
            assert_eq!(SearchQuery::new(query).unwrap().matches(text), expected, "{query} in {text}");
        }
    }

    #[test]
    fn a_query_has_one_to_eight_words_and_128_characters() {
        let code = |query: &str| SearchQuery::new(query).map_err(|error| error.code());
        assert_eq!(code(""), Err(ErrorCode::Empty));
        assert_eq!(code(" \t\u{3000}"), Err(ErrorCode::Empty));
        assert!(code("1 2 3 4 5 6 7 8").is_ok());
        assert_eq!(code("1 2 3 4 5 6 7 8 9"), Err(ErrorCode::TooLarge));
        assert!(code(&format!("  {}  ", "é".repeat(128))).is_ok());
        assert_eq!(code(&"é".repeat(129)), Err(ErrorCode::TooLarge));
    }
}
