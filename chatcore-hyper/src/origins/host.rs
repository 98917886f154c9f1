//! The host of a request, in the one spelling in which hosts are compared.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use http::Version;
use http::header::HOST;
use http::request::Parts;

/// The most characters of a host's name: as in the DNS, and a final dot.
const NAME_CHARS: usize = 254;

/// A host without its port: an address, or a name in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Ip(IpAddr),
    Name(String),
}

impl Host {
    /// Splits `host` or `host:port`. Anything else in a URL's authority, such as a user, is refused.
    pub(crate) fn parse(authority: &str) -> Option<(Self, Option<u16>)> {
        let end = match authority.strip_prefix('[') {
            Some(rest) => rest.find(']')? + 2,
            None => authority.find(':').unwrap_or(authority.len()),
        };
        let (host, rest) = authority.split_at(end);
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(address) => Self::Ip(address.parse::<Ipv6Addr>().ok()?.into()),
            None => Self::name(host)?,
        };
        match rest.strip_prefix(':') {
            None if rest.is_empty() => Some((host, None)),
            None => None,
            // RFC 3986, section 3.2.3: an empty port is the scheme's default.
            Some("") => Some((host, None)),
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some((host, Some(port.parse().ok()?)))
            }
            Some(_) => None,
        }
    }

    fn name(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(Self::Ip(address));
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let plain = text.bytes().all(is_plain) && !text.starts_with('.') && !text.contains("..");
        (plain && (1..=NAME_CHARS).contains(&text.len())).then(|| Self::Name(text.to_ascii_lowercase()))
    }

    /// Returns whether no DNS answer can lead a browser from this host to another one: it is an address, or the
    /// browser's own machine.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Ip(_) => true,
            Self::Name(name) => name == "localhost" || name.ends_with(".localhost"),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Ip(address) => address.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Why a request has no valid host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoHost {
    /// The request has no `Host`, which only HTTP/1.0 allows.
    Missing,
    /// There are several `Host` headers.
    Several,
    /// The `Host` header is invalid.
    Invalid,
}

/// Returns the host and the port of a request, or `None` for an HTTP/1.0 request without a host.
///
/// A host in the request's target wins over the header, by RFC 9112, section 3.2.2, and HTTP/2.
pub(crate) fn of_request(parts: &Parts) -> Result<Option<(Host, Option<u16>)>, NoHost> {
    let mut headers = parts.headers.get_all(HOST).iter();
    let header = match (headers.next(), headers.next()) {
        (Some(_), Some(_)) => return Err(NoHost::Several),
        (header, _) => header,
    };
    let parse = |text: &str| Host::parse(text).ok_or(NoHost::Invalid);
    let header =
        header.map(|value| value.to_str().map_err(|_| NoHost::Invalid).and_then(parse)).transpose()?;
    if header.is_none() && parts.version == Version::HTTP_11 {
        return Err(NoHost::Missing);
    }
    match parts.uri.authority() {
        Some(authority) => parse(authority.as_str()).map(Some),
        None if header.is_none() && parts.version > Version::HTTP_11 => Err(NoHost::Missing),
        None => Ok(header),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelling(authority: &str) -> Option<(String, Option<u16>)> {
        Host::parse(authority).map(|(host, port)| (host.to_string(), port))
    }

    #[test]
    fn a_host_has_one_spelling() {
        for (authority, host, port) in [
            ("Chat.Example", "chat.example", None),
            ("chat.example.", "chat.example.", None),
            ("chat.example:443", "chat.example", Some(443)),
            ("chat.example:", "chat.example", None),
            ("chat_backend:3000", "chat_backend", Some(3000)),
            ("127.0.0.1:0", "127.0.0.1", Some(0)),
            ("[::1]", "[::1]", None),
            ("[0:0::0:1]:65535", "[::1]", Some(65_535)),
        ] {
            assert_eq!(spelling(authority), Some((host.to_owned(), port)), "{authority}");
        }
    }

    #[test]
    fn what_is_not_a_host_is_refused() {
        for authority in [
            "",
            ":80",
            "a:65536",
            "a:+80",
            "a:80:80",
            "a:x",
            "a b",
            "a,b",
            "a/b",
            "user@a",
            "user:word@a",
            "a..b",
            ".a",
            "*.a",
            "%61",
            "bücher.example",
            "::1",
            "[::1",
            "[::1]x",
            "[::1%25eth0]",
            "[127.0.0.1]",
            "[v1.a]",
            &"a".repeat(NAME_CHARS + 1),
        ] {
            assert_eq!(spelling(authority), None, "{authority:?}");
        }
        assert!(spelling(&"a".repeat(NAME_CHARS)).is_some());
    }

    #[test]
    fn only_addresses_and_localhost_are_local() {
        for local in ["127.0.0.1", "10.1.2.3:80", "[fe80::1]", "localhost", "LOCALHOST:3000", "a.localhost"] {
            assert!(Host::parse(local).unwrap().0.is_local(), "{local}");
        }
        for other in ["chat.example", "localhost.example", "notlocalhost", "127.0.0.1.example", "127.1"] {
            assert!(!Host::parse(other).unwrap().0.is_local(), "{other}");
        }
    }
}
