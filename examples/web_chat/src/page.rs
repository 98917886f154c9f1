//! The page's own files, and the headers that every answer carries.

use std::fmt::Write as _;

use bytes::Bytes;
use chatcore_hyper::{Body, StaticFiles, Ui};
use http::Response;
use http::header::{
    CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};

/// The files of `ui/` but the page itself.
const FILES: &[(&str, &[u8])] = &[
    ("app.js", include_bytes!("../ui/app.js")),
    ("app.css", include_bytes!("../ui/app.css")),
    ("icon.svg", include_bytes!("../ui/icon.svg")),
    ("icon-mentions.svg", include_bytes!("../ui/icon-mentions.svg")),
];

/// Everything from this host, nothing inline, nothing from anywhere else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
     media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

const INDEX: &str = include_str!("../ui/index.html");

/// Returns the page's files. `ui` is what is served below `base`.
pub(crate) fn files(ui: &Ui, base: &str) -> StaticFiles {
    StaticFiles::embedded(FILES).with("index.html", index(ui, base))
}

/// Returns the page with a link to every module and style, so that a browser asks for all of them at once
/// rather than for each when it has read the one before.
fn index(ui: &Ui, base: &str) -> Bytes {
    let mut names: Vec<&str> = ui.names().collect();
    names.sort_unstable();
    let mut links = String::new();
    for name in names {
        let kind = match name.rsplit_once('.') {
            Some((_, "js")) => "rel=\"modulepreload\"",
            Some((_, "css")) => "rel=\"preload\" as=\"style\"",
            _ => continue,
        };
        writeln!(links, "    <link {kind} href=\"{base}/ui/{name}\">")
            .expect("invariant: a string takes all");
    }
    let (head, rest) = INDEX.split_once("  </head>").expect("invariant: the page has a head");
    format!("{head}{links}  </head>{rest}").into()
}

/// Returns the file that a path names.
pub(crate) fn file_of(path: &str) -> &str {
    match path.strip_prefix('/').unwrap_or(path) {
        "" => "index.html",
        name => name,
    }
}

/// Adds what protects the page; an answer that brings a policy of its own, as attachments do, keeps it.
pub(crate) fn protect(response: &mut Response<Body>) {
    let headers = response.headers_mut();
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    let opener = HeaderName::from_static("cross-origin-opener-policy");
    headers.insert(opener, HeaderValue::from_static("same-origin"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_embedded() {
        let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/ui")).unwrap();
        let mut there: Vec<_> = folder.map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
        let mut embedded: Vec<_> = files(&Ui::none(), "").names().map(ToOwned::to_owned).collect();
        there.sort();
        embedded.sort();
        assert_eq!(there, embedded);
    }
}
