//! Plain HTTP with one request per connection, so that nothing is hidden.

use std::net::SocketAddr;

use serde_json::Value;

use crate::raw::Raw;

/// A response.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Returns a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Returns the body as JSON.
    ///
    /// # Panics
    /// If it is not JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// Checks that this is an error with this status and code, in the common form of errors.
    ///
    /// # Panics
    /// If it is not.
    #[track_caller]
    pub fn assert_error(&self, status: u16, code: &str) {
        let json = self.json();
        assert_eq!((self.status, json["code"].as_str()), (status, Some(code)), "{json}");
        assert!(json["message"].as_str().is_some_and(|text| !text.is_empty()), "{json}");
    }
}

/// Sends a request and returns the response. `headers` are complete lines.
///
/// # Panics
/// If the response is not HTTP.
pub async fn http(addr: SocketAddr, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Answer {
    let mut raw = Raw::connect(addr).await;
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n");
    for header in headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    if !body.is_empty() {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    request.push_str("\r\n");
    let mut bytes = request.into_bytes();
    bytes.extend_from_slice(body);
    raw.write(&bytes).await;
    read_answer(&mut raw).await
}

/// Reads a response up to the end of the connection.
pub(crate) async fn read_answer(raw: &mut Raw) -> Answer {
    let head = raw.head().await;
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    Answer { status: status.expect("a status"), headers, body: raw.rest().await }
}

impl Raw {
    /// Reads an HTTP response up to the end of the connection.
    pub async fn answer(&mut self) -> Answer {
        read_answer(self).await
    }
}
