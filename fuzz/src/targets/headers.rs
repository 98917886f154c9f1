//! Headers of a request: each line of the input is a header, as `name: value`.

use chatcore_hyper::testkit::{
    accepts_deflate, accepts_socket, content_disposition, file_name, is_current, prefers_brotli, range,
};
use chatcore_hyper::web::{Origin, Origins, cookie};
use http::header::{CONTENT_DISPOSITION, HeaderMap, HeaderName, HeaderValue, RANGE};
use http::request::Parts;
use http::{Method, Request, Uri};

use super::outcome;

pub(super) const WORDS: &[&str] = &[
    "range: ",
    "bytes=",
    "bytes=0-",
    "bytes=-1",
    "if-none-match: ",
    "W/\"a\"",
    "\"a\"",
    "*",
    "origin: ",
    "host: ",
    "http://",
    "https://",
    "localhost",
    "127.0.0.1",
    "[::1]",
    ":80",
    ":443",
    ":65536",
    "@",
    "null",
    "sec-fetch-site: ",
    "cross-site",
    "accept-encoding: ",
    "br",
    "identity",
    ";q=",
    "0.001",
    "connection: ",
    "upgrade: ",
    "websocket",
    "sec-websocket-key: ",
    "sec-websocket-version: ",
    "sec-websocket-protocol: ",
    "sec-websocket-extensions: ",
    "permessage-deflate",
    "client_max_window_bits",
    "server_max_window_bits",
    "client_no_context_takeover",
    "chatcore.v1",
    "cookie: ",
    "content-disposition: ",
    "name=",
    "%2B",
    "%ff",
    "%",
    ",",
    ";",
    "=",
];

/// A range is within the file, a name can't break out of its header, and a duplicate header gives no access.
pub(super) fn run(input: &[u8]) -> u64 {
    let mut headers = HeaderMap::new();
    for line in input.split(|byte| *byte == b'\n').take(32) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    let part = ranges(&headers, input.len() as u64);
    let name =
        headers.get(CONTENT_DISPOSITION).map(|name| String::from_utf8_lossy(name.as_bytes()).into_owned());
    name.iter().for_each(|name| dispositions(name));
    let query = String::from_utf8_lossy(input);
    let file = file_name(&query);
    file.iter().for_each(|file| dispositions(file));
    let current = is_current(&headers, &HeaderValue::from_static("\"a\""));
    let brotli = prefers_brotli(&headers);
    let status = accepts_socket(&headers);
    let deflate = accepts_deflate(&headers);
    let mut request = Request::new(());
    *request.headers_mut() = headers;
    let (mut parts, ()) = request.into_parts();
    parts.method = Method::POST;
    let same = origins(&parts);
    if let Ok(uri) = Uri::try_from(input) {
        parts.uri = uri;
        origins(&parts);
    }
    let session = cookie(&parts.headers, &["__Host-chat_session", "chat_session"]).is_some();
    outcome((part, file.is_some(), current, brotli, deflate, status, same, session))
}

/// A request that a service for localhost allows is also allowed by a service for any host.
fn origins(parts: &Parts) -> bool {
    let (local, any) = (Origins::local(), Origins::new());
    let told = Origins::local().own(Origin::new("https://localhost").expect("an origin"));
    assert!(local.check(parts).is_err() || any.check(parts).is_ok(), "{parts:?}");
    for origins in [&local, &any, &told] {
        let _ = origins.is_https(parts);
        if let Err(error) = origins.check(parts) {
            assert!(error.status().is_client_error() && !error.to_string().is_empty(), "{parts:?}");
        }
    }
    told.check(parts).is_ok()
}

fn ranges(headers: &HeaderMap, size: u64) -> Option<bool> {
    let header = headers.get(RANGE)?.to_str().ok()?;
    for size in [0, 1, size, u64::MAX] {
        if let Some(part) = range(header, size) {
            assert!(part.start <= part.end && part.end <= size, "{header:?} of {size} bytes gave {part:?}");
        }
    }
    range(header, size).map(|part| part.is_empty())
}

fn dispositions(name: &str) {
    let header = content_disposition(name);
    let text = header.to_str().expect("printable ASCII");
    assert_eq!(text.matches('"').count(), 2, "{text}");
    assert_eq!(text.split("; filename*=").last().map(|last| last.matches('\'').count()), Some(2), "{text}");
    assert!(!text.contains('\\') && !text.contains('/'), "{text}");
}
