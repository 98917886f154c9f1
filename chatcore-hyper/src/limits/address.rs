//! The address of a client, for limits per address.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};

/// The address of the client that sent a request, in the request's extensions.
///
/// [`Serve`](crate::Serve) inserts it. An app that accepts connections itself must insert it, or nothing is
/// limited per address. Addresses that one client has anyway count as one: IPv4 in IPv6 is IPv4, and an IPv6
/// address counts by its first 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddress(IpAddr);

impl ClientAddress {
    /// Returns the address of a connection.
    #[must_use]
    pub fn new(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(six) => {
                let [a, b, c, d, ..] = six.segments();
                Self(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
            }
            four @ IpAddr::V4(_) => Self(four),
        }
    }

    /// Returns the address of the client behind `proxies` trusted proxies, the last of which has this address.
    ///
    /// It is the entry that the first of them has added to `X-Forwarded-For` or `Forwarded`: the `proxies`-th from
    /// the right. A client could have sent anything to the left of it. Without such an entry it is the proxy's own
    /// address. So it is if both headers are there and differ, since the client may have sent one of them.
    #[must_use]
    pub fn behind(self, headers: &HeaderMap, proxies: usize) -> Self {
        let Some(at) = proxies.checked_sub(1) else { return self };
        let of = |name: HeaderName, read: fn(&str) -> Option<IpAddr>| {
            let lines: Option<Vec<&str>> =
                headers.get_all(name).iter().map(|line| line.to_str().ok()).collect();
            let lines = lines?.join(",");
            (!lines.is_empty()).then(|| lines.rsplit(',').nth(at).and_then(read))
        };
        let x_forwarded = of(HeaderName::from_static("x-forwarded-for"), host);
        let forwarded = of(FORWARDED, forwarded_for);
        let found = match (x_forwarded, forwarded) {
            (Some(one), None) | (None, Some(one)) => one,
            (Some(one), Some(other)) if one == other => one,
            _ => None,
        };
        found.map_or(self, Self::new)
    }
}

/// Parses the `for` of one element of `Forwarded` (RFC 7239).
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("for"))?;
    host(value.trim_matches('"'))
}

/// Parses an address with or without a port, IPv6 with or without brackets.
fn host(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse().ok().map(|address: SocketAddr| address.ip()))
}

/// The number of slots for addresses. Further addresses share a slot, so that many addresses cost no memory.
pub(crate) const SLOTS: usize = 1 << 16;

/// Gives each address one of [`SLOTS`] slots, at random, so that no client can predict it.
#[derive(Debug, Default)]
pub(crate) struct Slots(RandomState);

impl Slots {
    pub(crate) fn of(&self, address: ClientAddress) -> u16 {
        (self.0.hash_one(address) % SLOTS as u64) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> ClientAddress {
        ClientAddress::new(text.parse().unwrap())
    }

    #[test]
    fn addresses_of_one_client_are_one() {
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
        assert_eq!(address("2001:db8:1:2::1"), address("2001:db8:1:2:ffff::9"));
        assert_ne!(address("2001:db8:1:2::1"), address("2001:db8:1:3::1"));
        assert_ne!(address("192.0.2.1"), address("192.0.2.2"));
    }

    fn behind(lines: &[(&'static str, &'static str)], proxies: usize) -> ClientAddress {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        address("10.0.0.1").behind(&headers, proxies)
    }

    #[test]
    fn nothing_is_believed_unless_proxies_are_trusted() {
        assert_eq!(behind(&[("x-forwarded-for", "192.0.2.7")], 0), address("10.0.0.1"));
    }

    #[test]
    fn the_entry_of_the_first_trusted_proxy_counts() {
        let lines = [("x-forwarded-for", "6.6.6.6, 192.0.2.7"), ("x-forwarded-for", "192.0.2.8:4711")];
        assert_eq!(behind(&lines, 1), address("192.0.2.8"));
        assert_eq!(behind(&lines, 2), address("192.0.2.7"));
        assert_eq!(behind(&lines, 4), address("10.0.0.1"), "fewer proxies than that");
        assert_eq!(behind(&[("x-forwarded-for", "somebody")], 1), address("10.0.0.1"));
        let lines = [("forwarded", "for=6.6.6.6;proto=https, For=\"[2001:db8::1]:80\"")];
        assert_eq!(behind(&lines, 1), address("2001:db8::1"));
        assert_eq!(behind(&[("x-forwarded-for", "2001:db8::1")], 1), address("2001:db8::1"));
    }

    #[test]
    fn two_headers_that_differ_are_none() {
        let two = |first, second| behind(&[("x-forwarded-for", first), ("forwarded", second)], 1);
        assert_eq!(two("192.0.2.7", "for=192.0.2.7"), address("192.0.2.7"));
        assert_eq!(two("192.0.2.7", "for=6.6.6.6"), address("10.0.0.1"));
        assert_eq!(two("6.6.6.6", "proto=https"), address("10.0.0.1"));
    }
}
