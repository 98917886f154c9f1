//! `Content-Disposition`, RFC 6266: what a browser does with a file, and the file's name.

use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The characters that RFC 5987 allows in an extended value: `attr-char`.
const EXTENDED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// What a browser does with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// It shows the file.
    Inline,
    /// It saves the file.
    Attachment,
}

/// Returns the header: with the name in any script, and in ASCII for clients that can't read that.
pub(crate) fn content_disposition(disposition: Disposition, name: &str) -> HeaderValue {
    let kind = match disposition {
        Disposition::Inline => "inline",
        Disposition::Attachment => "attachment",
    };
    let name: String = name.chars().map(|c| if is_deceptive(c) { '_' } else { c }).collect();
    // Some browsers decode a `%` in the plain form, and others keep it.
    let ascii: String = name
        .chars()
        .map(|c| if matches!(c, ' '..='~') && !matches!(c, '"' | '%') { c } else { '_' })
        .collect();
    let extended = utf8_percent_encode(&name, EXTENDED);
    HeaderValue::try_from(format!("{kind}; filename=\"{ascii}\"; filename*=UTF-8''{extended}"))
        .expect("invariant: both forms are printable ASCII")
}

/// Returns whether a character could make a name look like another: path separators, controls, and marks that
/// change the direction of text (`gpj.exe` shown as `exe.jpg`).
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c, '/' | '\\' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str) -> String {
        content_disposition(Disposition::Attachment, name).to_str().unwrap().to_owned()
    }

    #[test]
    fn a_name_in_any_script_has_an_ascii_fallback() {
        assert_eq!(header("plan.png"), "attachment; filename=\"plan.png\"; filename*=UTF-8''plan.png");
        assert_eq!(
            header("план 1.txt"),
            "attachment; filename=\"____ 1.txt\"; filename*=UTF-8''%D0%BF%D0%BB%D0%B0%D0%BD%201.txt"
        );
        assert!(content_disposition(Disposition::Inline, "a").to_str().unwrap().starts_with("inline; "));
    }

    #[test]
    fn nothing_breaks_out_of_the_header() {
        let header = header("a\"; b=\"c\r\nSet-Cookie: x=1\u{0}%0d%0a'../\\\u{202e}gpj.exe");
        assert_eq!(header.matches('"').count(), 2);
        let (plain, extended) = header.split_once("; filename*=").unwrap();
        assert!(plain.ends_with('"'));
        assert_eq!(extended.matches('\'').count(), 2);
        assert!(header.bytes().all(|byte| matches!(byte, b' '..=b'~')));
        assert!(!header.contains('/') && !header.contains('\\'));
        assert!(!header.contains("%0D") && !header.contains("%E2%80%AE") && !header.contains("%2F"));
    }
}
