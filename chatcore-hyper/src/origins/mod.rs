//! The hosts that a service answers at, and the web pages that may use it with their visitors' cookies.

pub(crate) mod cors;
pub(crate) mod host;
pub(crate) mod origin;

use std::error::Error as StdError;
use std::fmt;

use http::header::{HeaderMap, HeaderName, ORIGIN};
use http::request::Parts;
use http::{Method, StatusCode};

use crate::error::HttpError;
use crate::origins::host::{Host, NoHost};
use crate::origins::origin::Origin;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Checks a request's `Host` and `Origin`, for a [`ChatService`](crate::ChatService) and for an app's own routes.
///
/// | created by | answers at | its own pages |
/// |---|---|---|
/// | [`new`](Self::new) | any host | those of the host that the request names |
/// | [`local`](Self::local) | addresses, `localhost` and `*.localhost` | those of the host that the request names |
/// | either, with [`own`](Self::own) | hosts of these origins (with any port), addresses, `localhost` | those of these origins; on an address or `localhost`, those of the host too |
///
/// **When to set origins.** The owner of a domain decides to which address its name leads, and can change that
/// after a page was loaded (DNS rebinding). If a service answers at any host, their page can point its own name at
/// `127.0.0.1` or an intranet address, and then has the same host as the service there. So set the origins of an
/// app if
///
/// - it listens on a local machine or an intranet
/// - it recognizes people by more than a cookie (their address, a client certificate, Kerberos)
/// - it is behind a proxy, which may send another `Host` than the browser
///
/// On the public internet and with the app's own cookie, the rule of [`new`](Self::new) is enough.
///
/// ```
/// # use chatcore_hyper::web::Origins;
/// # fn main() -> Result<(), chatcore_hyper::web::InvalidOrigin> {
/// let origins = Origins::new().own("https://chat.example".parse()?);
/// let (request, ()) = http::Request::post("/session")
///     .header("host", "chat.example")
///     .header("origin", "https://evil.example")
///     .body(())
///     .unwrap()
///     .into_parts();
/// let refused = origins.check(&request).unwrap_err();
/// assert_eq!(refused.status(), 403);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Origins {
    own: Vec<Origin>,
    allowed: Vec<Origin>,
    local_only: bool,
}

impl Origins {
    /// Answers at any host, and accepts pages of the host that a request names.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers only at hosts that no DNS answer can rebind, until it has origins: IP addresses, `localhost` and
    /// `*.localhost`.
    #[must_use]
    pub fn local() -> Self {
        Self { local_only: true, ..Self::default() }
    }

    /// Adds an origin at which browsers see the service. Behind a proxy that ends TLS, it is the one with `https`.
    #[must_use]
    pub fn own(mut self, origin: Origin) -> Self {
        self.own.push(origin);
        self
    }

    /// Allows pages of another origin, with cookies.
    #[must_use]
    pub fn allow(mut self, origin: Origin) -> Self {
        self.allowed.push(origin);
        self
    }

    /// Returns the origins added by [`own`](Self::own).
    #[must_use]
    pub fn told(&self) -> &[Origin] {
        &self.own
    }

    /// Checks the host of a request and, if its method may change something, the page that it comes from. A
    /// request that names no page does not come from a browser and passes, unless `Sec-Fetch-Site` is
    /// `cross-site`.
    ///
    /// # Errors
    /// [`OriginError`], which says what to answer.
    pub fn check(&self, parts: &Parts) -> Result<(), OriginError> {
        let host = self.check_host(parts)?;
        if matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS) {
            return Ok(());
        }
        let page = self.page(&parts.headers, host.as_ref())?;
        match page {
            Page::Allowed => Ok(()),
            Page::None | Page::Own if !is_cross_site(&parts.headers) => Ok(()),
            Page::None | Page::Own => Err(OriginError::foreign(None)),
        }
    }

    /// Checks the handshake of a WebSocket, a `GET` that any page can send. With it, a browser's `Sec-Fetch-Site`
    /// says no more than its `Origin`.
    pub(crate) fn check_socket(&self, parts: &Parts) -> Result<(), OriginError> {
        let host = self.check_host(parts)?;
        self.page(&parts.headers, host.as_ref()).map(drop)
    }

    /// Returns whether the browser uses TLS: the request comes by an own origin that begins with `https`. Returns
    /// `false` if there are no own origins, since then it is not known.
    #[must_use]
    pub fn is_https(&self, parts: &Parts) -> bool {
        let host = host::of_request(parts).ok().flatten();
        let page = only_origin(&parts.headers).ok().flatten().filter(|page| self.own.contains(page));
        let is_here = |origin: &&Origin| host.as_ref().is_some_and(|(host, _)| origin.host() == host);
        let here: Vec<&Origin> = self.own.iter().filter(is_here).collect();
        match page {
            // A proxy has replaced the host, or a host has both schemes: the page decides.
            Some(page) if here.is_empty() || here.contains(&&page) => page.is_https(),
            _ => !here.is_empty() && here.into_iter().all(Origin::is_https),
        }
    }

    /// Checks that the page's origin is an own or allowed one, so that it may read the answer.
    pub(crate) fn shares_with(&self, headers: &HeaderMap) -> Result<(), OriginError> {
        let page = only_origin(headers)?;
        let known = page.as_ref().is_some_and(|page| self.own.contains(page) || self.allowed.contains(page));
        known.then_some(()).ok_or(OriginError::foreign(page))
    }

    /// Returns whether any answer depends on the page's origin.
    pub(crate) fn are_any(&self) -> bool {
        !self.own.is_empty() || !self.allowed.is_empty()
    }

    fn check_host(&self, parts: &Parts) -> Result<Option<(Host, Option<u16>)>, OriginError> {
        let found = host::of_request(parts).map_err(|error| OriginError(Kind::Host(error)))?;
        // No browser sends HTTP/1.0.
        let Some((host, port)) = found else { return Ok(None) };
        let told = !self.own.is_empty();
        let served = (!told && !self.local_only)
            || host.is_local()
            || self.own.iter().any(|origin| *origin.host() == host);
        if served {
            return Ok(Some((host, port)));
        }
        let host = port.map_or_else(|| host.to_string(), |port| format!("{host}:{port}"));
        Err(OriginError(Kind::Misdirected { host, own: self.own.clone() }))
    }

    fn page(&self, headers: &HeaderMap, host: Option<&(Host, Option<u16>)>) -> Result<Page, OriginError> {
        let Some(origin) = only_origin(headers)? else { return Ok(Page::None) };
        if self.allowed.contains(&origin) {
            return Ok(Page::Allowed);
        }
        // If there are own origins, a page of the same name with another scheme or port is foreign.
        let by_host = |host: &Host| self.own.is_empty() || host.is_local();
        let same_host = host.is_some_and(|(host, port)| by_host(host) && origin.is_at(host, *port));
        if same_host || self.own.contains(&origin) {
            return Ok(Page::Own);
        }
        Err(OriginError::foreign(Some(origin)))
    }
}

/// The page that a request comes from.
enum Page {
    None,
    Own,
    Allowed,
}

/// Returns the page's origin. `null`, which a sandboxed page sends, is foreign, and so are several.
fn only_origin(headers: &HeaderMap) -> Result<Option<Origin>, OriginError> {
    let mut origins = headers.get_all(ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (None, _) => Ok(None),
        (Some(origin), None) => {
            let origin = origin.to_str().ok().and_then(|text| Origin::new(text).ok());
            origin.map(Some).ok_or(OriginError::foreign(None))
        }
        (Some(_), Some(_)) => Err(OriginError::foreign(None)),
    }
}

fn is_cross_site(headers: &HeaderMap) -> bool {
    headers.get_all(SEC_FETCH_SITE).iter().any(|site| site == "cross-site")
}

/// Why a request's `Host` or `Origin` is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginError(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Host(NoHost),
    Misdirected { host: String, own: Vec<Origin> },
    Foreign(Option<Origin>),
}

impl OriginError {
    fn foreign(origin: Option<Origin>) -> Self {
        Self(Kind::Foreign(origin))
    }

    /// Returns the HTTP status to answer: 400 for a missing, repeated or invalid `Host`, 421 for one that is not
    /// served, 403 for a foreign page.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self.0 {
            Kind::Host(_) => StatusCode::BAD_REQUEST,
            Kind::Misdirected { .. } => StatusCode::MISDIRECTED_REQUEST,
            Kind::Foreign(_) => StatusCode::FORBIDDEN,
        }
    }

    /// Returns the `code` to answer: `bad_host`, `misdirected` or `not_allowed`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self.0 {
            Kind::Host(_) => "bad_host",
            Kind::Misdirected { .. } => "misdirected",
            Kind::Foreign(_) => "not_allowed",
        }
    }

    /// Returns the host that is not served, with the port of the request.
    #[must_use]
    pub fn misdirected_host(&self) -> Option<&str> {
        match &self.0 {
            Kind::Misdirected { host, .. } => Some(host),
            _ => None,
        }
    }

    /// Returns the foreign page's origin, if the request has a valid one.
    #[must_use]
    pub fn foreign_origin(&self) -> Option<&Origin> {
        match &self.0 {
            Kind::Foreign(origin) => origin.as_ref(),
            _ => None,
        }
    }
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Host(NoHost::Missing) => f.write_str("the request has no Host header; send one"),
            Kind::Host(NoHost::Several) => f.write_str("the request has several Host headers; send one"),
            Kind::Host(NoHost::Invalid) => {
                f.write_str("the request's host is invalid; send a name or an address, and optionally a port")
            }
            Kind::Misdirected { host, own } => {
                write!(f, "this service does not answer at the host \"{host}\", but at ")?;
                own.iter().try_for_each(|origin| write!(f, "{origin}, "))?;
                f.write_str("localhost and IP addresses; ")?;
                f.write_str(
                    "add it to the service's own origins, or let the proxy in front keep the Host header",
                )
            }
            Kind::Foreign(Some(origin)) => write!(f, "pages of {origin} may not use this host"),
            Kind::Foreign(None) => f.write_str("this origin may not use this host"),
        }
    }
}

impl StdError for OriginError {}

impl From<OriginError> for HttpError {
    fn from(error: OriginError) -> Self {
        Self::new(error.status(), error.code(), error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn request(method: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri("/ws");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn told(own: &[&str]) -> Origins {
        own.iter().fold(Origins::local(), |origins, text| origins.own(Origin::new(text).unwrap()))
    }

    fn status(result: Result<(), OriginError>) -> u16 {
        result.map_or_else(|error| error.status().as_u16(), |()| 200)
    }

    /// Returns the answer to a page's request to change something, which must equal the answer to a handshake.
    fn asked(origins: &Origins, origin: &str, host: &str) -> u16 {
        let headers = [("origin", origin), ("host", host)];
        let change = status(origins.check(&request("POST", &headers)));
        assert_eq!(status(origins.check_socket(&request("GET", &headers))), change, "{origin} at {host}");
        change
    }

    #[test]
    fn untold_a_page_of_the_requests_host_passes() {
        let origins = Origins::new();
        for (origin, host) in [
            ("http://chat.example", "chat.example"),
            ("https://chat.example", "chat.example"),
            ("https://chat.example", "CHAT.example:443"),
            ("http://chat.example:80", "chat.example"),
            ("http://localhost:3000", "localhost:3000"),
            ("http://[::1]:3000", "[0::1]:3000"),
        ] {
            assert_eq!(asked(&origins, origin, host), 200, "{origin} at {host}");
        }
        for (origin, host) in [
            ("http://evil.example", "chat.example"),
            ("http://chat.example:81", "chat.example"),
            ("https://chat.example", "chat.example:80"),
            ("http://localhost:3001", "localhost:3000"),
            ("http://chat.example.evil.example", "chat.example"),
            ("http://chat.example@evil.example", "chat.example"),
            ("http://chat.example.", "chat.example"),
            ("null", "chat.example"),
            ("", "chat.example"),
            ("file://chat.example", "chat.example"),
            ("http://chat.example/", "chat.example"),
        ] {
            assert_eq!(asked(&origins, origin, host), 403, "{origin:?} at {host}");
        }
    }

    #[test]
    fn local_answers_at_addresses_and_localhost_only() {
        let origins = Origins::local();
        for host in ["127.0.0.1:3000", "192.168.0.7", "[::1]:3000", "localhost:3000", "a.localhost"] {
            assert_eq!(asked(&origins, &format!("http://{host}"), host), 200, "{host}");
            assert_eq!(asked(&origins, "http://evil.example", host), 403, "{host}");
        }
        for host in ["evil.example", "evil.example:3000", "localhost.evil.example", "localhost.", "127.1"] {
            assert_eq!(asked(&origins, &format!("http://{host}"), host), 421, "{host}");
            assert_eq!(status(origins.check(&request("GET", &[("host", host)]))), 421, "{host}");
        }
    }

    #[test]
    fn told_origins_are_compared_whole_and_hosts_without_their_port() {
        let origins = told(&["https://chat.example", "http://intranet:8080"]);
        for host in ["chat.example", "chat.example:3000", "intranet", "127.0.0.1:3000", "localhost"] {
            assert_eq!(asked(&origins, "https://chat.example", host), 200, "{host}");
            assert_eq!(asked(&origins, "http://intranet:8080", host), 200, "{host}");
            for foreign in ["http://chat.example", "https://chat.example:3000", "http://intranet", "null"] {
                assert_eq!(asked(&origins, foreign, host), 403, "{foreign} at {host}");
            }
        }
        assert_eq!(asked(&origins, "http://127.0.0.1:3000", "127.0.0.1:3000"), 200);
        for host in ["evil.example", "chat_backend", "chat.example.", "sub.chat.example"] {
            assert_eq!(asked(&origins, "https://chat.example", host), 421, "{host}");
        }
        let backend = request("GET", &[("host", "chat_backend:3000")]);
        let error = origins.check(&backend).unwrap_err();
        assert_eq!(error.misdirected_host(), Some("chat_backend:3000"));
        for part in ["\"chat_backend:3000\"", "https://chat.example, http://intranet:8080", "own origins"] {
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn a_missing_or_double_or_invalid_host_is_refused() {
        let good = ("host", "a.example");
        for origins in [Origins::new(), Origins::local(), told(&["https://a.example"])] {
            for headers in [&[][..], &[good, good], &[("host", "a,b")], &[("host", "")], &[("host", "a:x")]] {
                for method in ["GET", "POST", "OPTIONS"] {
                    assert_eq!(status(origins.check(&request(method, headers))), 400, "{headers:?}");
                }
            }
            let mut old = request("GET", &[]);
            old.version = http::Version::HTTP_10;
            assert_eq!(status(origins.check(&old)), 200, "HTTP/1.0 needs none");
            old.version = http::Version::HTTP_2;
            assert_eq!(status(origins.check(&old)), 400, "HTTP/2 does");
        }
    }

    #[test]
    fn a_host_in_the_target_wins() {
        let origins = told(&["https://chat.example"]);
        let mut parts = request("POST", &[("origin", "https://chat.example"), ("host", "evil.example")]);
        parts.uri = "https://chat.example/ws".parse().unwrap();
        assert_eq!(status(origins.check(&parts)), 200);
        parts.uri = "http://user@chat.example/ws".parse().unwrap();
        assert_eq!(status(origins.check(&parts)), 400);
        let mut parts = request("GET", &[("host", "chat.example")]);
        parts.uri = "http://evil.example/ws".parse().unwrap();
        assert_eq!(status(origins.check(&parts)), 421);
    }

    #[test]
    fn cross_site_changes_nothing_unless_the_page_is_allowed() {
        let allowed = Origin::new("https://App.example:443").unwrap();
        let origins = told(&["https://chat.example"]).allow(allowed);
        let (host, cross) = (("host", "chat.example"), ("sec-fetch-site", "cross-site"));
        let with = |origin| [host, cross, ("origin", origin)];
        for method in ["POST", "PUT", "PATCH", "DELETE", "BREW"] {
            assert_eq!(status(origins.check(&request(method, &[host]))), 200, "no page");
            assert_eq!(status(origins.check(&request(method, &[host, cross]))), 403);
            assert_eq!(status(origins.check(&request(method, &with("https://chat.example")))), 403);
            assert_eq!(status(origins.check(&request(method, &with("https://app.example")))), 200);
            assert_eq!(status(origins.check(&request(method, &with("http://app.example")))), 403);
        }
        for method in ["GET", "HEAD", "OPTIONS"] {
            assert_eq!(status(origins.check(&request(method, &with("http://evil.example")))), 200);
        }
        let twice = [host, ("origin", "https://chat.example"), ("origin", "https://chat.example")];
        assert_eq!(status(origins.check_socket(&request("GET", &twice))), 403);
    }

    #[test]
    fn https_is_known_by_the_told_origin_that_a_request_comes_by() {
        let https = told(&["https://chat.example"]);
        let both = told(&["https://chat.example", "http://chat.example", "https://other.example"]);
        for (origins, origin, host, secure) in [
            (&https, None, "chat.example", true),
            (&https, Some("https://chat.example"), "127.0.0.1:3000", true),
            (&https, None, "127.0.0.1:3000", false),
            (&https, Some("http://127.0.0.1:3000"), "127.0.0.1:3000", false),
            (&both, Some("https://chat.example"), "chat.example", true),
            (&both, Some("http://chat.example"), "chat.example", false),
            (&both, None, "chat.example", false),
            (&both, Some("http://chat.example"), "other.example", true),
            (&Origins::new(), Some("https://chat.example"), "chat.example", false),
        ] {
            let mut headers = vec![("host", host)];
            headers.extend(origin.map(|origin| ("origin", origin)));
            assert_eq!(origins.is_https(&request("POST", &headers)), secure, "{origin:?} at {host}");
        }
    }
}
