//! The origin of a web page.

use std::fmt;
use std::str::FromStr;

use crate::origins::host::Host;

/// The origin of a web page, such as `https://chat.example` or `http://localhost:3000`.
///
/// Two origins are equal if their scheme, host and port are. A missing port is the scheme's default, and case is
/// ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: Scheme,
    host: Host,
    port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl Origin {
    /// Parses an origin as a browser sends it: `http` or `https`, a host in ASCII, and optionally a port.
    ///
    /// # Errors
    /// [`InvalidOrigin`] if there is anything else, such as a path or a final slash.
    pub fn new(text: &str) -> Result<Self, InvalidOrigin> {
        let invalid = || InvalidOrigin(text.to_owned());
        let (scheme, authority) = text.split_once("://").ok_or_else(invalid)?;
        let scheme = [Scheme::Http, Scheme::Https]
            .into_iter()
            .find(|known| scheme.eq_ignore_ascii_case(known.as_str()))
            .ok_or_else(invalid)?;
        if authority.ends_with(':') {
            return Err(invalid());
        }
        let (host, port) = Host::parse(authority).ok_or_else(invalid)?;
        Ok(Self { scheme, host, port: port.unwrap_or(scheme.port()) })
    }

    /// Returns whether its pages come over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::Https
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// Returns whether a request to `host` is at this origin. Behind a proxy that ends TLS the request's own
    /// scheme is not known, so a missing port means the default of the origin's scheme.
    pub(crate) fn is_at(&self, host: &Host, port: Option<u16>) -> bool {
        *host == self.host && port.unwrap_or(self.scheme.port()) == self.port
    }
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        Self::new(text)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.host)?;
        if self.port != self.scheme.port() {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

/// An invalid origin. Valid ones are `https://app.example` and `http://localhost:3000`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid origin {0:?}: write http:// or https://, a host in ASCII and optionally a port, \
     as in https://chat.example, with nothing after it"
)]
pub struct InvalidOrigin(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_one_spelling() {
        for (text, spelling) in [
            ("https://chat.example", "https://chat.example"),
            ("HTTPS://Chat.Example:443", "https://chat.example"),
            ("http://chat.example:443", "http://chat.example:443"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://[0:0::1]:80", "http://[::1]"),
        ] {
            assert_eq!(Origin::new(text).unwrap().to_string(), spelling, "{text}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused_with_what_to_write() {
        for text in [
            "",
            "null",
            "chat.example",
            "//chat.example",
            "file://chat.example",
            "wss://chat.example",
            "https://",
            "https://chat.example/",
            "https://chat.example/chat",
            "https://chat.example?x",
            "https://chat.example#x",
            "https://chat.example:",
            "https://chat.example:99999",
            "https://ann@chat.example",
            "https://*.example",
            "https://a.example,https://b.example",
            " https://chat.example",
        ] {
            assert!(Origin::new(text).is_err(), "{text:?}");
        }
        let error = Origin::new("chat.example").unwrap_err().to_string();
        assert!(error.contains("\"chat.example\"") && error.contains("https://chat.example"), "{error}");
    }
}
