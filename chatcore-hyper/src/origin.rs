//! Which web pages may use this host with their visitors' cookies.

use http::header::{HOST, HeaderMap, HeaderName, ORIGIN};
use http::request::Parts;
use http::uri::{Authority, Scheme, Uri};

use crate::error::InvalidOrigin;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// An origin in its one spelling: lower case, with its port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    scheme: Scheme,
    host: String,
    port: u16,
}

impl Origin {
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidOrigin> {
        let invalid = || InvalidOrigin(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| invalid())?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else { return Err(invalid()) };
        let plain = matches!(uri.path(), "" | "/") && !text.ends_with('/') && uri.query().is_none();
        let default = default_port(scheme).ok_or_else(invalid)?;
        let (host, port) = host_and_port(authority).ok_or_else(invalid)?;
        if !plain {
            return Err(invalid());
        }
        Ok(Self { scheme: scheme.clone(), host, port: port.unwrap_or(default) })
    }

    /// Says whether a request to `authority` stays on this origin. The request's own scheme is not known
    /// behind a proxy that ends TLS, so a missing port stands for the default one of the origin's scheme.
    fn is_host(&self, authority: &Authority) -> bool {
        let Some((host, port)) = host_and_port(authority) else { return false };
        host == self.host && port.or(default_port(&self.scheme)) == Some(self.port)
    }
}

fn default_port(scheme: &Scheme) -> Option<u16> {
    match scheme.as_str() {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// Splits an authority; one with a user or with a port that is no number is refused.
fn host_and_port(authority: &Authority) -> Option<(String, Option<u16>)> {
    let host = authority.host().to_ascii_lowercase();
    let rest = authority.as_str().get(host.len()..)?;
    if host.is_empty() || !authority.as_str()[..host.len()].eq_ignore_ascii_case(&host) {
        return None;
    }
    match rest.strip_prefix(':') {
        None if rest.is_empty() => Some((host, None)),
        None => None,
        Some(port) => Some((host, Some(port.parse().ok()?))),
    }
}

/// What a request may change, which decides how it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Opens a WebSocket. A browser sends no `Sec-Fetch-Site` here that says more than its `Origin`.
    Socket,
    /// Changes something.
    Change,
}

/// Says whether the page that a request comes from may make it: one of this host or of an allowed origin. A
/// request that names no page comes from no browser and passes.
pub(crate) fn is_allowed(parts: &Parts, effect: Effect, allowed: &[Origin]) -> bool {
    let mut origins = parts.headers.get_all(ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (None, _) => effect == Effect::Socket || !is_cross_site(&parts.headers),
        (Some(_), Some(_)) => false,
        (Some(origin), None) => {
            // `null`, a sandboxed page's origin, is no origin either.
            let Some(origin) = origin.to_str().ok().and_then(|text| Origin::parse(text).ok()) else {
                return false;
            };
            if allowed.contains(&origin) {
                return true;
            }
            let same_host = request_host(parts).is_some_and(|host| origin.is_host(&host));
            same_host && (effect == Effect::Socket || !is_cross_site(&parts.headers))
        }
    }
}

/// Says whether a request that changes something comes from a page of the host that it is sent to, or from no
/// page at all: the check that a cookie needs beside it, for an app's own paths.
#[must_use]
pub fn is_same_origin(parts: &Parts) -> bool {
    is_allowed(parts, Effect::Change, &[])
}

fn request_host(parts: &Parts) -> Option<Authority> {
    if let Some(authority) = parts.uri.authority() {
        return Some(authority.clone());
    }
    let mut hosts = parts.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => Authority::try_from(host.as_bytes()).ok(),
        _ => None,
    }
}

fn is_cross_site(headers: &HeaderMap) -> bool {
    headers.get_all(SEC_FETCH_SITE).iter().any(|site| site == "cross-site")
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn request(headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri("/ws");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn passes(origin: &str, host: &str) -> bool {
        let parts = request(&[("origin", origin), ("host", host)]);
        assert_eq!(is_allowed(&parts, Effect::Socket, &[]), is_allowed(&parts, Effect::Change, &[]));
        is_allowed(&parts, Effect::Socket, &[])
    }

    #[test]
    fn a_page_of_this_host_passes() {
        assert!(passes("http://chat.example", "chat.example"));
        assert!(passes("https://chat.example", "chat.example"));
        assert!(passes("https://chat.example", "CHAT.example:443"));
        assert!(passes("http://chat.example:80", "chat.example"));
        assert!(passes("http://localhost:3000", "localhost:3000"));
        assert!(passes("http://[::1]:3000", "[::1]:3000"));
    }

    #[test]
    fn a_page_of_another_host_does_not() {
        assert!(!passes("http://evil.example", "chat.example"));
        assert!(!passes("http://chat.example:81", "chat.example"));
        assert!(!passes("https://chat.example", "chat.example:80"));
        assert!(!passes("http://localhost:3001", "localhost:3000"));
        assert!(!passes("http://chat.example.evil.example", "chat.example"));
        assert!(!passes("http://chat.example@evil.example", "chat.example"));
        for odd in ["null", "", "chat.example", "file://chat.example", "http://chat.example/", "http://"] {
            assert!(!passes(odd, "chat.example"), "{odd:?}");
        }
    }

    #[test]
    fn several_or_missing_hosts_and_origins_do_not_pass() {
        let good = ("origin", "http://a.example");
        assert!(!is_allowed(&request(&[good]), Effect::Socket, &[]));
        assert!(!is_allowed(&request(&[good, good, ("host", "a.example")]), Effect::Socket, &[]));
        let twice = [good, ("host", "a.example"), ("host", "b.example")];
        assert!(!is_allowed(&request(&twice), Effect::Socket, &[]));
    }

    #[test]
    fn no_origin_passes_unless_the_browser_says_cross_site() {
        assert!(is_allowed(&request(&[]), Effect::Socket, &[]));
        assert!(is_allowed(&request(&[]), Effect::Change, &[]));
        let cross = request(&[("sec-fetch-site", "cross-site"), ("host", "a.example")]);
        assert!(!is_allowed(&cross, Effect::Change, &[]));
    }

    #[test]
    fn an_allowed_origin_passes_in_any_spelling() {
        let allowed = [Origin::parse("https://App.example:443").unwrap()];
        let headers =
            [("origin", "https://app.example"), ("host", "chat.example"), ("sec-fetch-site", "cross-site")];
        assert!(is_allowed(&request(&headers), Effect::Socket, &allowed));
        assert!(is_allowed(&request(&headers), Effect::Change, &allowed));
        let other = request(&[("origin", "http://app.example"), ("host", "chat.example")]);
        assert!(!is_allowed(&other, Effect::Socket, &allowed));
    }

    #[test]
    fn http_2_names_the_host_in_the_uri() {
        let mut parts = request(&[("origin", "https://chat.example"), ("host", "other.example")]);
        parts.uri = "https://chat.example/ws".parse().unwrap();
        assert!(is_allowed(&parts, Effect::Socket, &[]));
    }
}
