//! A search query and its one law of matching, for every store.

use unicode_normalization::UnicodeNormalization;

use crate::model::error::{Error, ErrorCode};
use crate::model::visible::{fold_case, is_ignorable};

/// The most words of a query.
const WORDS: usize = 8;

/// The most characters of a query.
pub(crate) const QUERY_CHARS: usize = 128;

/// Words to search for. A text matches if it contains each of them somewhere, in any script, ignoring case,
/// composition, width and accents. Invisible characters are ignored.
///
/// ```
/// let query = chatcore::SearchQuery::new("  RELEASE cafe ")?;
/// assert!(query.matches("Pre-releases come on Fridays, in the Café"));
/// assert!(!query.matches("Fridays"));
/// # Ok::<(), chatcore::InvalidQuery>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchQuery {
    words: Vec<String>,
}

impl SearchQuery {
    /// Returns a query of 1 to 8 words, separated by white space, 128 characters in total.
    ///
    /// # Errors
    /// [`InvalidQuery`] if there is no word, or there are too many words or characters.
    pub fn new(query: &str) -> Result<Self, InvalidQuery> {
        let query = query.trim();
        if query.chars().count() > QUERY_CHARS {
            return Err(InvalidQuery::Characters);
        }
        let words: Vec<String> = fold(query).split_whitespace().map(str::to_owned).collect();
        match words.len() {
            0 => Err(InvalidQuery::Empty),
            1..=WORDS => Ok(Self { words }),
            _ => Err(InvalidQuery::Words),
        }
    }

    /// Returns whether a text contains every word.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let text = fold(text);
        self.words.iter().all(|word| text.contains(word))
    }

    /// Returns the folded words, for a store with an index of its messages' texts. Check the index's results with
    /// [`matches`](Self::matches).
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.words
    }
}

/// Why a text is no search query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidQuery {
    /// It has no word.
    #[error("the query has no words: enter at least one")]
    Empty,
    /// It has more than 128 characters.
    #[error("a query can have at most {QUERY_CHARS} characters")]
    Characters,
    /// It has more than 8 words.
    #[error("a query can have at most {WORDS} words")]
    Words,
}

impl From<InvalidQuery> for Error {
    fn from(error: InvalidQuery) -> Self {
        let code = match error {
            InvalidQuery::Empty => ErrorCode::Empty,
            InvalidQuery::Characters | InvalidQuery::Words => ErrorCode::TooLarge,
        };
        Self::new(code, error.to_string())
    }
}

/// Folds a text for comparing, letter by letter, so that a part of a text folds to a part of the folded text:
/// without case, width, accents, and invisible characters. Vowel signs and other marks that make another letter
/// stay.
fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut last = ' ';
    let mut is_kept = move |c: &char| {
        // Й is a letter, not an И with an accent.
        let is_part = *c == '\u{306}' && matches!(last, 'И' | 'и');
        last = *c;
        is_part || !(is_accent(*c) || is_ignorable(*c))
    };
    let mut folded = String::with_capacity(text.len());
    for c in text.nfkd().filter(|c| is_kept(c)).flat_map(fold_case) {
        match c {
            // Their strokes are not separate marks that could be removed.
            'ø' => folded.push('o'),
            'ł' => folded.push('l'),
            'đ' => folded.push('d'),
            'ħ' => folded.push('h'),
            'ŧ' => folded.push('t'),
            'ı' => folded.push('i'),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            _ => folded.push(c),
        }
    }
    folded.nfc().collect()
}

/// Returns whether a mark changes only how a letter sounds: the accents of Latin, Greek and Cyrillic letters, the
/// points of Hebrew and Arabic ones, and the stroke that widens an Arabic word.
fn is_accent(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{487}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20f0}' | '\u{fe20}'..='\u{fe2f}'
        | '\u{591}'..='\u{5bd}' | '\u{5bf}' | '\u{5c1}' | '\u{5c2}' | '\u{5c4}' | '\u{5c5}' | '\u{5c7}'
        | '\u{610}'..='\u{61a}' | '\u{640}' | '\u{64b}'..='\u{65f}' | '\u{670}' | '\u{6d6}'..='\u{6dc}'
        | '\u{6df}'..='\u{6e4}' | '\u{6e7}' | '\u{6e8}' | '\u{6ea}'..='\u{6ed}')
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
            ("STRASSE", "straße", true),
            ("straße", "Strassen", true),
            ("cafe\u{301}", "Café", true),
            ("café", "Cafe\u{301}", true),
            ("cafe", "zwei Cafés", true),
            ("café", "cafe", true),
            ("ｗｉｄｅ", "wide", true),
            ("ｶﾞｷﾞ", "ガギ", true),
            ("か", "が", false),
            ("smorrebrod", "Smørrebrød", true),
            ("lodz", "Łódź", true),
            ("istanbul", "İSTANBUL ılık", true),
            ("ilik", "ılık", true),
            ("мой", "мои", false),
            ("МОЙ", "мой", true),
            ("елка", "ёлка", true),
            ("αυριο", "αύριο", true),
            ("שלום", "שָׁלוֹם", true),
            ("محمد", "مُحَمَّد", true),
            ("كتاب", "كتـــاب", true),
            ("कि", "की", false),
            ("ไม", "ไม้", true),
            ("ไม้", "ไม", false),
            ("passwort", "Pass\u{ad}wort\u{200b}", true),
            ("می‌خواهم", "میخواهم", true),
            ("하", "한국", false),
            ("한국", "\u{1112}\u{1161}\u{11ab}\u{1100}\u{116e}\u{11a8}", true),
            ("❤", "❤\u{fe0f}", true),
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
        let code = |query: &str| SearchQuery::new(query).map_err(|error| Error::from(error).code());
        assert_eq!(code(""), Err(ErrorCode::Empty));
        assert_eq!(code(" \t\u{3000}"), Err(ErrorCode::Empty));
        assert_eq!(code("\u{200b} \u{301}"), Err(ErrorCode::Empty), "nothing is left of it");
        assert!(code("1 2 3 4 5 6 7 8").is_ok());
        assert_eq!(code("1 2 3 4 5 6 7 8 9"), Err(ErrorCode::TooLarge));
        assert!(code(&format!("  {}  ", "é".repeat(128))).is_ok());
        assert_eq!(code(&"é".repeat(129)), Err(ErrorCode::TooLarge));
    }
}
