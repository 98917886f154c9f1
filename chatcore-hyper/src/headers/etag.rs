//! Conditional requests, RFC 9110, section 13.

use http::header::{HeaderMap, HeaderValue, IF_MATCH, IF_NONE_MATCH};

/// Returns whether the client already has the version `etag`: the answer is 304.
pub(crate) fn is_current(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    // Our tags have no comma, so splitting at commas is exact for all that can match.
    known
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known).as_bytes() == etag.as_bytes())
}

/// Returns whether the client asks only for versions other than `etag`: the answer is 412.
///
/// `If-Unmodified-Since` is ignored, as the standard requires: no answer says when a file was modified.
pub(crate) fn is_another(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let mut asked = headers.get_all(IF_MATCH).iter().filter_map(|value| value.to_str().ok());
    // A weak tag never matches here: section 13.1.1 requires a strong comparison.
    let matches = |known: &str| known == "*" || known.as_bytes() == etag.as_bytes();
    headers.contains_key(IF_MATCH) && !asked.any(|value| value.split(',').map(str::trim).any(matches))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_by_other_tags_is_another() {
        let etag = HeaderValue::from_static("\"a\"");
        for (asked, another) in [
            ("\"a\"", false),
            ("\"b\", \"a\"", false),
            ("*", false),
            ("\"b\"", true),
            ("W/\"a\"", true),
            ("", true),
        ] {
            let headers = HeaderMap::from_iter([(IF_MATCH, HeaderValue::from_static(asked))]);
            assert_eq!(is_another(&headers, &etag), another, "{asked}");
        }
        assert!(!is_another(&HeaderMap::new(), &etag));
    }

    #[test]
    fn a_tag_matches_in_a_list_weak_or_by_star() {
        let etag = HeaderValue::from_static("\"a\"");
        for (known, current) in
            [("\"a\"", true), ("\"b\", W/\"a\"", true), ("*", true), ("\"b\"", false), ("a", false)]
        {
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static(known))]);
            assert_eq!(is_current(&headers, &etag), current, "{known}");
        }
        assert!(!is_current(&HeaderMap::new(), &etag));
    }
}
