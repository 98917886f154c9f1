//! WebSocket extensions: which offer of `permessage-deflate` is accepted. RFC 6455, section 9.1, and RFC 7692,
//! section 7.1.

use http::header::{HeaderMap, HeaderValue, SEC_WEBSOCKET_EXTENSIONS};

const DEFLATE: &str = "permessage-deflate";

/// No context is kept in either direction. A client must accept that even if it did not offer it.
const ACCEPTED: HeaderValue =
    HeaderValue::from_static("permessage-deflate; server_no_context_takeover; client_no_context_takeover");

/// The same for a client that limits the window to what it is anyway: a limit that is accepted is repeated.
const ACCEPTED_WITH_WINDOW: HeaderValue = HeaderValue::from_static(
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=15",
);

/// Returns the answer to the first acceptable offer of `permessage-deflate`, if there is one. An offer that is
/// malformed, or asks for what the server does not do, is declined: the next one may be better, and a WebSocket without
/// compression is one too.
pub(crate) fn accept_deflate(headers: &HeaderMap) -> Option<HeaderValue> {
    let values = headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| split(value, ',')).find_map(accept)
}

/// Splits a header's value, but not within quotes.
fn split(value: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = value.split(move |c: char| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        !quoted && c == separator
    });
    parts.map(|part| part.trim_matches([' ', '\t']))
}

/// Accepts one offer, such as `permessage-deflate; client_max_window_bits`.
fn accept(offer: &str) -> Option<HeaderValue> {
    let mut parts = split(offer, ';');
    if parts.next() != Some(DEFLATE) {
        return None;
    }
    let mut seen = Seen::default();
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim_end(), Some(unquoted(value.trim_start())?)),
            None => (part, None),
        };
        let (was_seen, is_valid) = match (name, value) {
            ("server_no_context_takeover", None) => (&mut seen.server_no_context, true),
            ("client_no_context_takeover", None) => (&mut seen.client_no_context, true),
            // A smaller window than ours can't be promised.
            ("server_max_window_bits", Some(bits)) => (&mut seen.server_window, window(&bits) == Some(15)),
            ("client_max_window_bits", None) => (&mut seen.client_window, true),
            ("client_max_window_bits", Some(bits)) => (&mut seen.client_window, window(&bits).is_some()),
            _ => return None,
        };
        if !is_valid || std::mem::replace(was_seen, true) {
            return None;
        }
    }
    Some(if seen.server_window { ACCEPTED_WITH_WINDOW } else { ACCEPTED })
}

/// The parameters of an offer. Each may occur once.
#[derive(Default)]
struct Seen {
    server_no_context: bool,
    client_no_context: bool,
    server_window: bool,
    client_window: bool,
}

/// Returns a parameter's value without quotes and escapes; `None` if it is malformed.
fn unquoted(value: &str) -> Option<String> {
    let Some(inner) = value.strip_prefix('"') else { return Some(value.to_owned()) };
    let (mut value, mut chars) = (String::new(), inner.chars());
    loop {
        match chars.next()? {
            '"' => return chars.next().is_none().then_some(value),
            '\\' => value.push(chars.next()?),
            c => value.push(c),
        }
    }
}

/// Parses the bits of a window: 8 to 15, without a leading zero.
fn window(bits: &str) -> Option<u8> {
    let is_decimal = bits.bytes().all(|digit| digit.is_ascii_digit()) && !bits.starts_with('0');
    bits.parse().ok().filter(|bits| is_decimal && (8..=15).contains(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(offers: &[&'static str]) -> Option<HeaderValue> {
        let mut headers = HeaderMap::new();
        for offer in offers {
            headers.append(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(offer));
        }
        accept_deflate(&headers)
    }

    #[test]
    fn browsers_and_others_are_accepted() {
        for offer in [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate;client_max_window_bits=8",
            "permessage-deflate ; client_max_window_bits = \"1\\0\" ; client_no_context_takeover",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits=15",
            "x-webkit-deflate-frame, permessage-deflate",
            "other; a=\"permessage-deflate, \\\"\"; b,\tpermessage-deflate",
            ", ,permessage-deflate,",
        ] {
            assert_eq!(answer(&[offer]), Some(ACCEPTED), "{offer}");
        }
        assert_eq!(
            answer(&["other", "permessage-deflate"]),
            Some(ACCEPTED),
            "a list may be over several headers"
        );
    }

    #[test]
    fn what_can_t_be_met_or_is_malformed_is_declined() {
        for offer in [
            "",
            "deflate",
            "Permessage-Deflate",
            "permessage-deflate; unknown",
            "permessage-deflate; unknown=1",
            "permessage-deflate;",
            "permessage-deflate; ; client_max_window_bits",
            "permessage-deflate=1",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_no_context_takeover=\"\"",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; client_max_window_bits=16",
            "permessage-deflate; client_max_window_bits=08",
            "permessage-deflate; client_max_window_bits=+9",
            "permessage-deflate; client_max_window_bits=",
            "permessage-deflate; client_max_window_bits=\"9",
            "permessage-deflate; client_max_window_bits=\"9\"x",
            "permessage-deflate; client_max_window_bits=999999999999999999999",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=14",
            "permessage-deflate; server_max_window_bits=15; server_max_window_bits=15",
            "permessage-deflate; a=\", permessage-deflate",
        ] {
            assert_eq!(answer(&[offer]), None, "{offer}");
        }
        assert_eq!(answer(&[]), None);
    }

    #[test]
    fn a_window_of_15_bits_is_repeated() {
        assert_eq!(answer(&["permessage-deflate; server_max_window_bits=15"]), Some(ACCEPTED_WITH_WINDOW));
    }

    #[test]
    fn the_first_offer_that_can_be_met_is_taken() {
        let offers = "permessage-deflate; server_max_window_bits=9, permessage-deflate; server_max_window_bits=15, permessage-deflate";
        assert_eq!(answer(&[offers]), Some(ACCEPTED_WITH_WINDOW));
        assert_eq!(answer(&["permessage-deflate; x", "permessage-deflate"]), Some(ACCEPTED));
    }
}
