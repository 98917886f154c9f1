//! Reads a session's cookie.

use http::header::{COOKIE, HeaderMap};

/// Returns the value of the cookie with one of `names`. If the request has several and their values differ, returns
/// `None`.
///
/// In that case someone else has set one of them, such as a page on a sibling domain, and nothing says which. Over
/// HTTPS, give a session's cookie a name that begins with `__Host-`, which only this host can set. Pass several names
/// to read an older cookie too.
///
/// ```
/// let mut headers = http::HeaderMap::new();
/// headers.insert("cookie", "theme=dark; session=5f0e".parse().unwrap());
/// assert_eq!(chatcore_hyper::web::cookie(&headers, &["session"]), Some("5f0e"));
/// headers.append("cookie", "session=0000".parse().unwrap());
/// assert_eq!(chatcore_hyper::web::cookie(&headers, &["session"]), None);
/// ```
#[must_use]
pub fn cookie<'a>(headers: &'a HeaderMap, names: &[&str]) -> Option<&'a str> {
    // Bytes, since another app's cookie on this host may have non-ASCII characters.
    let pairs = headers.get_all(COOKIE).iter().flat_map(|value| value.as_bytes().split(|&byte| byte == b';'));
    let mut values = pairs.filter_map(|pair| {
        let pair = pair.trim_ascii();
        let end = pair.iter().position(|&byte| byte == b'=')?;
        let named = names.iter().any(|name| name.as_bytes() == &pair[..end]);
        named.then(|| &pair[end + 1..])
    });
    let value = values.next()?;
    values.all(|other| other == value).then_some(())?;
    std::str::from_utf8(value).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const NAMES: [&str; 2] = ["__Host-s", "s"];

    fn read(lines: &[&str]) -> Option<String> {
        let lines = lines.iter().map(|line| (COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap()));
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value);
        }
        cookie(&headers, &NAMES).map(str::to_owned)
    }

    #[test]
    fn equal_cookies_count_once_and_different_ones_are_none() {
        for (lines, value) in [
            (&["s=1"][..], Some("1")),
            (&["a=b; s=1;c=d"], Some("1")),
            (&["__Host-s=1"], Some("1")),
            (&["s=1; s=1"], Some("1")),
            (&["s=1", "__Host-s=1"], Some("1")),
            (&["name=é; s=1"], Some("1")),
            (&["s=a=b"], Some("a=b")),
            (&["s=1; s=2"], None),
            (&["s=1; s="], None),
            (&["s=1", "s=2"], None),
            (&["__Host-s=1; s=2"], None),
            (&["S=1; xs=1; s"], None),
            (&[], None),
        ] {
            assert_eq!(read(lines).as_deref(), value, "{lines:?}");
        }
    }
}
