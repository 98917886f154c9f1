//! Conditional requests, RFC 9110, section 13.

use http::header::{HeaderMap, HeaderValue, IF_NONE_MATCH};

/// Says whether the client has what `etag` names already: the answer is 304.
pub(crate) fn is_current(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    // Our tags have no comma in them, so that splitting at each is exact for those that can match.
    known
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known).as_bytes() == etag.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

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
