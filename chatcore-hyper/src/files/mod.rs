//! Files of a page: embedded in the program, or in a folder during development.

pub(crate) mod file;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use chatcore::FailureLog;
use http::header::{ALLOW, HeaderMap};
use http::{Method, Response, StatusCode};
use percent_encoding::percent_decode_str;

use crate::body::{Body, no_content};
use crate::error::{HttpError, allowed};
use crate::files::file::File;

/// The methods of a file's path, besides `OPTIONS`.
pub(crate) const METHODS: &str = "GET, HEAD";

/// The small files of a page, served by name.
///
/// Each has a content type by its extension, `nosniff`, and an `ETag` by its content. A browser asks again each time
/// (`no-cache`), and mostly gets 304. If the client accepts brotli, text is compressed, once, on the first request.
///
/// ```
/// let page = chatcore_hyper::web::StaticFiles::embedded(&[("index.html", b"<!doctype html>")]);
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let answer = page.answer(&http::Method::GET, &http::HeaderMap::new(), "index.html").await;
/// assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
/// # });
/// ```
#[derive(Clone, Default)]
pub struct StaticFiles {
    embedded: Arc<HashMap<&'static str, Arc<File>>>,
    folder: Option<Arc<Folder>>,
}

impl StaticFiles {
    /// Returns a set of named files, such as a table of `include_bytes!`.
    #[must_use]
    pub fn embedded(files: &[(&'static str, &'static [u8])]) -> Self {
        let files =
            files.iter().map(|&(name, bytes)| (name, Arc::new(File::new(name, Bytes::from_static(bytes)))));
        Self { embedded: Arc::new(files.collect()), folder: None }
    }

    /// Adds a file. It replaces one with the same name.
    #[must_use]
    pub fn with(mut self, name: &'static str, bytes: impl Into<Bytes>) -> Self {
        let file = Arc::new(File::new(name, bytes.into()));
        Arc::make_mut(&mut self.embedded).insert(name, file);
        self
    }

    /// Adds files that are already compressed: the name of each, its bytes, and its bytes in brotli.
    pub(crate) fn with_compressed(mut self, files: &[(&'static str, &'static [u8], &'static [u8])]) -> Self {
        Arc::make_mut(&mut self.embedded).extend(files.iter().map(|&(name, plain, brotli)| {
            let file = File::compressed(name, Bytes::from_static(plain), Bytes::from_static(brotli));
            (name, Arc::new(file))
        }));
        self
    }

    /// Reads files from `folder` at each request. If a file is not there, the embedded one is used.
    #[must_use]
    pub fn overlay(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(Arc::new(Folder {
            path: folder.into(),
            last: Mutex::default(),
            failures: FailureLog::new(),
        }));
        self
    }

    /// Returns the names of the embedded files.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.embedded.keys().copied()
    }

    /// Answers a request for the file `name`: 404 if there is none; otherwise 200 or 304 to `GET` and `HEAD`, 412
    /// if `If-Match` names only other versions, 204 to `OPTIONS`, and 405 to any other method.
    ///
    /// `name` is the path after the mount's slash, percent-encoded. It never leads out of the folder: its parts
    /// have only letters, digits, `-`, `_` and `.`, and none begins with a dot.
    ///
    /// # Cancel safety
    /// It only reads, so the future may be dropped.
    pub async fn answer(&self, method: &Method, headers: &HeaderMap, name: &str) -> Response<Body> {
        match self.file(name).await {
            Ok(Some(file)) => match *method {
                Method::GET | Method::HEAD => file.answer(method, headers).await,
                Method::OPTIONS => {
                    let mut response = no_content();
                    response.headers_mut().insert(ALLOW, allowed(METHODS));
                    response
                }
                _ => HttpError::method_not_allowed(METHODS).into_response(),
            },
            Ok(None) => HttpError::not_found().into_response(),
            Err(error) => {
                if let Some(folder) = &self.folder {
                    folder.failures.failed("a page's file could not be read", name, &error);
                }
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                HttpError::new(status, "internal", "the file can't be read").into_response()
            }
        }
    }

    async fn file(&self, name: &str) -> io::Result<Option<Arc<File>>> {
        let Some(name) = plain(name) else { return Ok(None) };
        let name = &*name;
        if let Some(folder) = &self.folder {
            match folder.read(name).await {
                Ok(file) => return Ok(Some(file)),
                Err(error) if is_missing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.embedded.get(name).cloned())
    }
}

/// The most texts of a folder that are remembered. If one more is read, all others are forgotten: a folder may get files
/// with new names again and again.
const REMEMBERED: usize = 1_024;

/// A folder with files that may change at any time.
struct Folder {
    path: PathBuf,
    /// Texts as they were last read, so that an unchanged text is not compressed again. At most [`REMEMBERED`].
    last: Mutex<HashMap<String, Arc<File>>>,
    failures: FailureLog,
}

impl Folder {
    async fn read(&self, name: &str) -> io::Result<Arc<File>> {
        let bytes = Bytes::from(tokio::fs::read(self.path.join(name)).await?);
        // Held for a comparison of bytes in memory.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = last.get(name).filter(|file| file.has(&bytes)) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(File::new(name, bytes));
        if file.is_compressible() {
            if last.len() >= REMEMBERED && !last.contains_key(name) {
                last.clear();
            }
            last.insert(name.to_owned(), Arc::clone(&file));
        } else {
            last.remove(name);
        }
        Ok(file)
    }
}

impl fmt::Debug for StaticFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticFiles")
            .field("embedded", &self.embedded.len())
            .field("folder", &self.folder.as_ref().map(|folder| &folder.path))
            .finish()
    }
}

/// Decodes a name once. Returns it only if it has plain parts, so that it stays in its folder on every system.
fn plain(name: &str) -> Option<Cow<'_, str>> {
    let is_plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    let decoded = percent_decode_str(name).decode_utf8().ok()?;
    // An encoded slash belongs to a part, and does not end it.
    let parts = decoded.split('/').count() == name.split('/').count();
    (parts && decoded.split('/').all(is_plain)).then_some(decoded)
}

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory
    )
}

#[cfg(test)]
mod tests {
    use http::header::{
        ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, ETAG, HeaderValue, IF_NONE_MATCH, VARY,
    };
    use http_body_util::BodyExt;

    use super::*;

    const BROTLI: (http::HeaderName, HeaderValue) = (ACCEPT_ENCODING, HeaderValue::from_static("gzip, br"));

    async fn get_brotli(files: &StaticFiles, name: &str) -> Response<Body> {
        files.answer(&Method::GET, &HeaderMap::from_iter([BROTLI]), name).await
    }

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
            "..%2fsecret.txt",
            "%252e%252e/secret.txt",
            "a%00b",
            "a%ff",
            "%",
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

    #[tokio::test]
    async fn text_is_compressed_for_who_takes_it_and_caches_can_tell() {
        let text: &[u8] = &[b'a'; 1000];
        let files = StaticFiles::embedded(&[("a.js", text), ("b.png", text), ("c.js", b"1")]);
        let (plain, brotli) = (get(&files, "a.js").await, get_brotli(&files, "a.js").await);
        assert_eq!(plain.headers()[CONTENT_LENGTH], "1000");
        assert!(!plain.headers().contains_key(CONTENT_ENCODING));
        assert_eq!(brotli.headers()[CONTENT_ENCODING], "br");
        assert_ne!(plain.headers()[ETAG], brotli.headers()[ETAG], "a cache never mixes the two");
        for answer in [&plain, &brotli] {
            assert_eq!(answer.headers()[VARY], "accept-encoding");
            assert_eq!(answer.headers()["content-type"], "text/javascript; charset=utf-8");
        }
        for (answer, accepts) in [(&plain, None), (&brotli, Some(BROTLI))] {
            let known = (IF_NONE_MATCH, answer.headers()[ETAG].clone());
            let again = HeaderMap::from_iter(accepts.into_iter().chain([known]));
            let again = files.answer(&Method::GET, &again, "a.js").await;
            assert_eq!((again.status().as_u16(), &again.headers()[VARY]), (304, &answer.headers()[VARY]));
            assert_eq!(again.headers()[ETAG], answer.headers()[ETAG]);
        }
        let length = brotli.headers()[CONTENT_LENGTH].clone();
        let body = brotli.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(length, body.len().to_string());
        let mut back = Vec::new();
        std::io::Read::read_to_end(&mut brotli::Decompressor::new(&body[..], 4096), &mut back).unwrap();
        assert_eq!(back, text);
        let head = files.answer(&Method::HEAD, &HeaderMap::from_iter([BROTLI]), "a.js").await;
        assert_eq!(head.headers()[CONTENT_LENGTH], length);
        for (name, varies) in [("b.png", false), ("c.js", true)] {
            let answer = get_brotli(&files, name).await;
            assert!(!answer.headers().contains_key(CONTENT_ENCODING), "{name}");
            assert_eq!(answer.headers().contains_key(VARY), varies, "{name}");
        }
    }

    #[tokio::test]
    async fn a_folders_file_is_compressed_once_for_each_content() {
        let folder = tempfile::tempdir().unwrap();
        let files = StaticFiles::default().overlay(folder.path());
        let bytes =
            async || get_brotli(&files, "a.css").await.into_body().collect().await.unwrap().to_bytes();
        std::fs::write(folder.path().join("a.css"), "a".repeat(1000)).unwrap();
        let (first, again) = (bytes().await, bytes().await);
        assert_eq!(first.as_ptr(), again.as_ptr(), "the very bytes");
        std::fs::write(folder.path().join("a.css"), "b".repeat(1000)).unwrap();
        assert_ne!(bytes().await, first);
    }

    #[tokio::test]
    async fn so_many_texts_of_a_folder_are_remembered_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let files = StaticFiles::embedded(&[]).overlay(folder.path());
        let remembered = || files.folder.as_ref().unwrap().last.lock().unwrap().len();
        for n in 0..=REMEMBERED {
            assert_eq!(remembered(), n);
            let name = format!("{n}.txt");
            std::fs::write(folder.path().join(&name), "text").unwrap();
            get(&files, &name).await;
        }
        assert_eq!(remembered(), 1);
    }

    #[tokio::test]
    async fn a_file_that_the_program_made_replaces_an_embedded_one() {
        let files = StaticFiles::embedded(&[("a.js", b"old")]).with("a.js", "newer").with("b.js", "");
        assert_eq!(get(&files, "a.js").await.headers()[CONTENT_LENGTH], "5");
        assert_eq!(get(&files, "b.js").await.status(), 200);
        assert_eq!(files.names().count(), 2);
    }
}
