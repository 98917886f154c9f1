//! Lenient parsing: finds what can be read of a malformed frame.

use std::borrow::Cow;

/// The `type` and the `id` of a frame, parsed leniently: nothing else is parsed.
///
/// Strings and brackets are skipped by their ends alone, so a bad escape, a number out of range or a list nested
/// too deep hides nothing after it. It is one pass over the frame's bytes that keeps nothing.
#[derive(Debug, Default)]
pub(super) struct LenientFrame<'a> {
    name: Option<&'a str>,
    id: Option<&'a str>,
}

impl<'a> LenientFrame<'a> {
    /// Scans a frame until it no longer looks like an object. Of a repeated key the last one counts, as for most
    /// JSON parsers.
    pub(super) fn scan(frame: &'a str) -> Self {
        let mut found = Self::default();
        let mut rest = Rest(frame);
        if !rest.take('{') {
            return found;
        }
        while let Some(key) = rest.string() {
            if !rest.take(':') {
                break;
            }
            let value = rest.value();
            match unquoted(key).as_deref() {
                Some("type") => found.name = Some(value),
                Some("id") => found.id = Some(value),
                _ => {}
            }
            if !rest.take(',') {
                break;
            }
        }
        found
    }

    /// Returns the frame's `id` if it is an integer.
    pub(super) fn id(&self) -> Option<i64> {
        self.id?.parse().ok()
    }

    /// Returns the frame's `type` if it is a string.
    pub(super) fn name(&self) -> Option<Cow<'a, str>> {
        unquoted(self.name?)
    }

    pub(super) fn has_name(&self) -> bool {
        self.name.is_some()
    }
}

/// Returns the contents of a JSON string.
fn unquoted(string: &str) -> Option<Cow<'_, str>> {
    let inside = string.strip_prefix('"')?.strip_suffix('"')?;
    match inside.contains('\\') {
        false => Some(Cow::Borrowed(inside)),
        true => serde_json::from_str(string).ok().map(Cow::Owned),
    }
}

/// The part of a frame that was not scanned yet.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn skip_space(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    /// Skips one character, with the white space before it, if it is next.
    fn take(&mut self, expected: char) -> bool {
        self.skip_space();
        let rest = self.0.strip_prefix(expected);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// Returns the string, with its quotes, that is next and complete.
    fn string(&mut self) -> Option<&'a str> {
        self.skip_space();
        let end = string_end(self.0.as_bytes())?;
        Some(self.split(end))
    }

    /// Returns the value up to the comma or bracket that ends it.
    fn value(&mut self) -> &'a str {
        self.skip_space();
        let bytes = self.0.as_bytes();
        let (mut at, mut depth) = (0_usize, 0_usize);
        while let Some(&byte) = bytes.get(at) {
            match byte {
                b'"' => {
                    at += string_end(&bytes[at..]).unwrap_or(bytes.len() - at);
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b',' | b'}' | b']' if depth == 0 => break,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            at += 1;
        }
        self.split(at).trim_end()
    }

    /// Splits off this many bytes, which end with a character.
    fn split(&mut self, len: usize) -> &'a str {
        let (taken, rest) = self.0.split_at(len);
        self.0 = rest;
        taken
    }
}

/// Returns the length of the string that `bytes` begin with.
fn string_end(bytes: &[u8]) -> Option<usize> {
    if bytes.first() != Some(&b'"') {
        return None;
    }
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(frame: &str) -> Option<i64> {
        LenientFrame::scan(frame).id()
    }

    #[test]
    fn the_id_is_found_beside_anything_malformed() {
        let deep = "[".repeat(50_000);
        for wrong in [
            r#""\ud83d""#,
            r#""\x \u12""#,
            "\"a\nb\"",
            "1e999",
            "123456789012345678901234567890",
            "nope",
            "01",
            r#"{"id":8}"#,
            r#"[{"id":8},"id",{"]":"}\"id\":8"}]"#,
            &format!("{deep}{}", "]".repeat(50_000)),
            "",
        ] {
            assert_eq!(id(&format!(r#"{{"text":{wrong},"id":7}}"#)), Some(7), "before the id: {wrong:.40}");
            assert_eq!(id(&format!(r#"{{"id":7,"text":{wrong}}}"#)), Some(7), "after the id: {wrong:.40}");
        }
    }

    #[test]
    fn the_id_is_found_in_what_is_cut_off_or_goes_on() {
        for frame in [
            r#"{"id":7"#,
            r#"{"id":7,"#,
            r#"{"id":7,"text":"a"#,
            r#"{"id":7,"text":"a\"#,
            r#"{"id":7,"x":{"#,
            r#"{"id":7} {"id":8}"#,
            r#"{"id":7,}"#,
            r#"{"id":7]"#,
            "\t{ \"id\"\r\n:\n7 \r, ü}",
            r#"{"id":8,"id":7}"#,
            r#"{"\u0069d":7}"#,
        ] {
            assert_eq!(id(frame), Some(7), "{frame}");
        }
    }

    #[test]
    fn only_an_integer_at_the_top_is_an_id() {
        for frame in [
            "",
            "{",
            "7",
            r#"["id",7]"#,
            r#"{"x":{"id":7}}"#,
            r#"{"id":"7"}"#,
            r#"{"id":7.5}"#,
            r#"{"id":null}"#,
            r#"{"id":[7]}"#,
            r#"{"id":9223372036854775808}"#,
            r#"{id:7}"#,
            r#""id":7"#,
        ] {
            assert_eq!(id(frame), None, "{frame}");
        }
    }
}
