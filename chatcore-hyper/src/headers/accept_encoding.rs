//! Content codings: which one a client prefers, and a file's bytes in it. RFC 9110, section 12.5.3.

use std::io::Write;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, HeaderMap};

/// The exponent of brotli's window: enough for a page's files.
const WINDOW: u32 = 20;

/// The best quality of brotli. The result is kept, so the time is spent once.
const QUALITY: u32 = 11;

const BUFFER_BYTES: usize = 4 << 10;

/// Returns whether the client prefers brotli to plain bytes.
pub(crate) fn prefers_brotli(headers: &HeaderMap) -> bool {
    let (mut brotli, mut identity, mut any) = (None, None, None);
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    for (coding, weight) in values.flat_map(|value| value.split(',')).filter_map(weighted) {
        let slot = match coding {
            _ if coding.eq_ignore_ascii_case("br") => &mut brotli,
            _ if coding.eq_ignore_ascii_case("identity") => &mut identity,
            "*" => &mut any,
            _ => continue,
        };
        *slot = Some(weight);
    }
    // A coding that is not named has the weight of `*`. Without a `*`, `br` is not accepted, and `identity` comes
    // after all named codings.
    let brotli = brotli.or(any).unwrap_or(0);
    brotli > 0 && brotli >= identity.unwrap_or(0)
}

/// Parses `br;q=0.5` into the coding and its weight in thousandths.
fn weighted(element: &str) -> Option<(&str, u16)> {
    let mut parts = element.split(';').map(str::trim);
    let coding = parts.next().filter(|coding| !coding.is_empty())?;
    let mut weight = 1000;
    for parameter in parts {
        let (name, value) = parameter.split_once('=')?;
        if name.trim_end().eq_ignore_ascii_case("q") {
            weight = thousandths(value.trim_start())?;
        }
    }
    Some((coding, weight))
}

/// Parses a weight: `0` to `1`, with at most three digits after the point.
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, digits) = weight.split_once('.').unwrap_or((weight, ""));
    if digits.len() > 3 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let fraction: u16 = format!("{digits:0<3}").parse().ok()?;
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1000),
        _ => None,
    }
}

/// Compresses bytes. Returns `None` if that does not make them smaller.
pub(crate) fn brotli(bytes: &[u8]) -> Option<Bytes> {
    let mut writer = brotli::CompressorWriter::new(Vec::new(), BUFFER_BYTES, QUALITY, WINDOW);
    writer.write_all(bytes).ok()?;
    let compressed = writer.into_inner();
    (compressed.len() < bytes.len()).then(|| compressed.into())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use http::header::HeaderValue;

    use super::*;

    #[test]
    fn the_client_says_what_it_takes() {
        for (accepted, expected) in [
            ("br", true),
            ("gzip, deflate, br, zstd", true),
            ("BR ; Q=0.001", true),
            ("*", true),
            ("*;q=0.5, gzip", true),
            ("identity;q=0.5, br;q=0.5", true),
            ("br;q=1.000;x=y", true),
            ("", false),
            ("gzip, deflate", false),
            ("brotli, xbr", false),
            ("br;q=0", false),
            ("br;q=0.000, *", false),
            ("*;q=0", false),
            ("identity, br;q=0.9", false),
            ("br;q=1.001", false),
            ("br;q=2", false),
            ("br;q=0.1234", false),
            ("br;q=", false),
            ("br;q=-0", false),
            ("br;q", false),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(accepted))]);
            assert_eq!(prefers_brotli(&headers), expected, "{accepted:?}");
        }
        assert!(!prefers_brotli(&HeaderMap::new()));
        let mut headers = HeaderMap::new();
        for value in ["gzip", "br"] {
            headers.append(ACCEPT_ENCODING, HeaderValue::from_static(value));
        }
        assert!(prefers_brotli(&headers), "a list may be over several headers");
    }

    #[test]
    fn what_is_compressed_comes_back_and_what_would_grow_does_not() {
        let text = "const a = 1;\n".repeat(100);
        let compressed = brotli(text.as_bytes()).unwrap();
        let mut back = String::new();
        brotli::Decompressor::new(&compressed[..], 4096).read_to_string(&mut back).unwrap();
        assert_eq!(back, text);
        assert_eq!(brotli(b""), None);
        assert_eq!(brotli(b"1"), None);
    }
}
