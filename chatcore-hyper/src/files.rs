//! Files that belong to a page: embedded in the program, or in a folder while one works on them.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, Response, StatusCode};
use sha2::{Digest, Sha256};

use crate::body::Body;
use crate::error::HttpError;
use crate::etag;

/// A set of small files that a page is made of, served by name.
///
/// Each has its content type by its ending, `nosniff`, and an `ETag` by its content, with which a browser asks
/// again each time (`no-cache`) and mostly gets 304.
///
/// ```
/// let page = chatcore_hyper::StaticFiles::embedded(&[("index.html", b"<!doctype html>")]);
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let answer = page.answer(&http::Method::GET, &http::HeaderMap::new(), "index.html").await;
/// assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
/// # });
/// ```
#[derive(Clone, Default)]
pub struct StaticFiles {
    embedded: Arc<HashMap<&'static str, File>>,
    folder: Option<Arc<Path>>,
}

#[derive(Clone)]
struct File {
    bytes: Bytes,
    etag: HeaderValue,
}

impl File {
    fn new(bytes: Bytes) -> Self {
        let hash = Sha256::digest(&bytes);
        // 128 bits tell any two versions apart.
        let hex: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let etag = HeaderValue::try_from(format!("\"{hex}\"")).expect("invariant: hex is a header value");
        Self { bytes, etag }
    }
}

impl StaticFiles {
    /// Takes files by name, for example a table of `include_bytes!`.
    #[must_use]
    pub fn embedded(files: &[(&'static str, &'static [u8])]) -> Self {
        let files = files.iter().map(|&(name, bytes)| (name, File::new(Bytes::from_static(bytes))));
        Self { embedded: Arc::new(files.collect()), folder: None }
    }

    /// Reads files from `folder` at each request; those that are not there stay the embedded ones.
    #[must_use]
    pub fn overlay(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into().into());
        self
    }

    /// Returns the names of the embedded files.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.embedded.keys().copied()
    }

    /// Answers a request for the file `name`: 200, 304, 404, or 405 to anything but `GET` and `HEAD`.
    ///
    /// `name` is what comes after the mount's slash. It never leads out of the folder: it is parts of letters,
    /// digits, `-`, `_` and `.`, none of which begins with a dot.
    ///
    /// # Cancel safety
    /// It only reads.
    pub async fn answer(&self, method: &Method, headers: &HeaderMap, name: &str) -> Response<Body> {
        if method != Method::GET && method != Method::HEAD {
            return HttpError::method_not_allowed("GET, HEAD").into_response();
        }
        match self.file(name).await {
            Ok(Some(file)) => respond(method, headers, name, file),
            Ok(None) => HttpError::not_found().into_response(),
            Err(error) => {
                tracing::error!(name, %error, "a page's file can't be read");
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                HttpError::new(status, "internal", "the file can't be read").into_response()
            }
        }
    }

    async fn file(&self, name: &str) -> io::Result<Option<File>> {
        if !is_plain(name) {
            return Ok(None);
        }
        if let Some(folder) = &self.folder {
            match tokio::fs::read(folder.join(name)).await {
                Ok(bytes) => return Ok(Some(File::new(bytes.into()))),
                Err(error) if is_missing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.embedded.get(name).cloned())
    }
}

impl fmt::Debug for StaticFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticFiles")
            .field("embedded", &self.embedded.len())
            .field("folder", &self.folder)
            .finish()
    }
}

/// Says whether a name is made of plain parts only, so that it stays in its folder on every system.
fn is_plain(name: &str) -> bool {
    name.split('/').all(|part| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    })
}

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory
    )
}

fn respond(method: &Method, headers: &HeaderMap, name: &str, file: File) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let answer = response.headers_mut();
    answer.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answer.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if etag::is_current(headers, &file.etag) {
        answer.insert(ETAG, file.etag);
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    answer.insert(ETAG, file.etag);
    answer.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
    answer.insert(CONTENT_LENGTH, HeaderValue::from(file.bytes.len()));
    if method != Method::HEAD {
        *response.body_mut() = Body::from(file.bytes);
    }
    response
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

#[cfg(test)]
mod tests {
    use http::header::IF_NONE_MATCH;

    use super::*;

    async fn get(files: &StaticFiles, name: &str) -> Response<Body> {
        files.answer(&Method::GET, &HeaderMap::new(), name).await
    }

    #[tokio::test]
    async fn a_file_in_the_folder_comes_before_the_embedded_one() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        std::fs::write(folder.path().join("a.js"), "new!").unwrap();
        let files =
            StaticFiles::embedded(&[("a.js", b"old"), ("b.css", b"b"), ("sub", b"x")]).overlay(folder.path());
        assert_eq!(get(&files, "a.js").await.headers()[CONTENT_LENGTH], "4");
        assert_eq!(get(&files, "b.css").await.headers()[CONTENT_LENGTH], "1");
        assert_eq!(get(&files, "sub").await.headers()[CONTENT_LENGTH], "1");
        assert_eq!(get(&files, "c.js").await.status(), 404);
    }

    #[tokio::test]
    async fn no_name_leads_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("ui");
        std::fs::create_dir(&inner).unwrap();
        std::fs::write(folder.path().join("secret.txt"), "s").unwrap();
        std::fs::write(inner.join(".hidden"), "s").unwrap();
        let files = StaticFiles::default().overlay(&inner);
        let absolute = folder.path().join("secret.txt");
        let absolute = absolute.to_str().unwrap();
        for name in [
            "../secret.txt",
            "a/../../secret.txt",
            absolute,
            ".hidden",
            "",
            "..",
            "a//b",
            "..\\secret.txt",
            "%2e%2e/secret.txt",
            "a\0b",
        ] {
            assert_eq!(get(&files, name).await.status(), 404, "{name:?}");
        }
    }

    #[tokio::test]
    async fn what_the_browser_has_is_not_sent_again() {
        let files = StaticFiles::embedded(&[("a.js", b"1")]);
        let etag = get(&files, "a.js").await.headers()[ETAG].clone();
        let again = HeaderMap::from_iter([(IF_NONE_MATCH, etag)]);
        let response = files.answer(&Method::GET, &again, "a.js").await;
        assert_eq!(response.status(), 304);
        assert!(http_body::Body::is_end_stream(response.body()));
        let head = files.answer(&Method::HEAD, &HeaderMap::new(), "a.js").await;
        assert_eq!(head.headers()[CONTENT_LENGTH], "1");
        assert!(http_body::Body::is_end_stream(head.body()));
        assert_eq!(files.answer(&Method::POST, &HeaderMap::new(), "a.js").await.status(), 405);
    }
}
