//! One file of a page: its bytes, plain and compressed, and answers to requests for it.

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, Response, StatusCode};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use crate::body::Body;
use crate::error::HttpError;
use crate::headers::accept_encoding;
use crate::headers::etag;

/// The largest file that is compressed and kept. A page's texts are much smaller.
const COMPRESSIBLE_BYTES: usize = 1 << 20;

/// A file's content and type.
pub(crate) struct File {
    content_type: &'static str,
    plain: Representation,
    /// Compressed before, or on the first request. `None` if compression does not make the file smaller.
    brotli: OnceCell<Option<Representation>>,
}

/// The bytes of an answer and their tag.
struct Representation {
    bytes: Bytes,
    etag: HeaderValue,
}

impl Representation {
    fn new(bytes: Bytes) -> Self {
        let hash = Sha256::digest(&bytes);
        // 128 bits differ for any two versions, and for a version and its compressed bytes.
        let hex: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let etag = HeaderValue::try_from(format!("\"{hex}\"")).expect("invariant: hex is a header value");
        Self { bytes, etag }
    }
}

impl File {
    pub(crate) fn new(name: &str, bytes: Bytes) -> Self {
        Self { content_type: content_type(name), plain: Representation::new(bytes), brotli: OnceCell::new() }
    }

    /// Returns a file that is already compressed.
    pub(crate) fn compressed(name: &str, bytes: Bytes, brotli: Bytes) -> Self {
        let brotli = OnceCell::new_with(Some(Some(Representation::new(brotli))));
        Self { brotli, ..Self::new(name, bytes) }
    }

    /// Returns whether this is the file's content.
    pub(crate) fn has(&self, bytes: &Bytes) -> bool {
        self.plain.bytes == bytes
    }

    pub(crate) fn is_compressible(&self) -> bool {
        self.is_text() && self.plain.bytes.len() <= COMPRESSIBLE_BYTES
    }

    fn is_text(&self) -> bool {
        let kind = self.content_type;
        kind.starts_with("text/") || kind.ends_with("json") || kind.ends_with("xml")
    }

    /// Answers `GET` or `HEAD`: 200, or 304 if the client has the file.
    pub(crate) async fn answer(&self, method: &Method, headers: &HeaderMap) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        let answer = response.headers_mut();
        answer.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        answer.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        let mut chosen = &self.plain;
        if self.is_compressible() {
            answer.insert(VARY, HeaderValue::from_static("accept-encoding"));
            if accept_encoding::prefers_brotli(headers)
                && let Some(brotli) = self.brotli().await
            {
                chosen = brotli;
                answer.insert(CONTENT_ENCODING, HeaderValue::from_static("br"));
            }
        }
        if etag::is_another(headers, &chosen.etag) {
            return HttpError::precondition_failed().into_response();
        }
        answer.insert(ETAG, chosen.etag.clone());
        if etag::is_current(headers, &chosen.etag) {
            // A 304 has the headers of the 200, except those that describe a body.
            answer.remove(CONTENT_ENCODING);
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        answer.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        answer.insert(CONTENT_LENGTH, HeaderValue::from(chosen.bytes.len()));
        if method != Method::HEAD {
            *response.body_mut() = Body::from(chosen.bytes.clone());
        }
        response
    }

    /// Compresses the file once, off the async threads.
    async fn brotli(&self) -> Option<&Representation> {
        let compress = async {
            let bytes = self.plain.bytes.clone();
            let compressed = tokio::task::spawn_blocking(move || accept_encoding::brotli(&bytes)).await;
            compressed.ok().flatten().map(Representation::new)
        };
        self.brotli.get_or_init(|| compress).await.as_ref()
    }
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("html") => "text/html; charset=utf-8",
        Some("txt") => "text/plain; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/vnd.microsoft.icon",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}
