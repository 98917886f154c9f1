//! The files of the page, and the headers of every response.

use chatcore_hyper::Body;
use http::Response;
use http::header::{
    CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};

/// The files in `ui/`.
pub(crate) const FILES: &[(&str, &[u8])] = &[
    ("index.html", include_bytes!("../ui/index.html")),
    ("app.js", include_bytes!("../ui/app.js")),
    ("app.css", include_bytes!("../ui/app.css")),
    ("requests.js", include_bytes!("../ui/requests.js")),
    ("sign-in.js", include_bytes!("../ui/sign-in.js")),
    ("leaving.js", include_bytes!("../ui/leaving.js")),
    ("dialogs.js", include_bytes!("../ui/dialogs.js")),
    ("panel.js", include_bytes!("../ui/panel.js")),
    ("panel.css", include_bytes!("../ui/panel.css")),
    ("account.html", include_bytes!("../ui/account.html")),
    ("account.js", include_bytes!("../ui/account.js")),
    ("admin.html", include_bytes!("../ui/admin.html")),
    ("admin.js", include_bytes!("../ui/admin.js")),
    ("embed.html", include_bytes!("../ui/embed.html")),
    ("embed.css", include_bytes!("../ui/embed.css")),
    ("embed.js", include_bytes!("../ui/embed.js")),
    ("icon.svg", include_bytes!("../ui/icon.svg")),
    ("icon-mentions.svg", include_bytes!("../ui/icon-mentions.svg")),
];

/// Everything from this host, nothing inline, nothing from other hosts.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
     media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

/// Returns the file for a path.
pub(crate) fn file_of(path: &str) -> &str {
    match path.strip_prefix('/').unwrap_or(path) {
        "" => "index.html",
        name => name,
    }
}

/// Adds the headers that protect the page. A response with its own policy, as for attachments, keeps that policy.
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
    use super::FILES;

    #[test]
    fn every_file_of_the_folder_is_embedded() {
        let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/ui")).unwrap();
        let mut there: Vec<_> = folder.map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
        let mut embedded: Vec<_> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        there.sort();
        embedded.sort();
        assert_eq!(there, embedded);
    }
}
