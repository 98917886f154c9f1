//! Links with a secret, and their pictures for a camera.

use http::header::HOST;
use http::request::Parts;
use qrcodegen::{QrCode, QrCodeEcc};
use serde_json::{Value, json};

use super::Sessions;
use crate::accounts::Code;

/// A new link, as it is shown once.
pub(super) struct Made {
    /// The code alone, to be typed.
    pub(super) link: String,
    pub(super) url: String,
    /// The URL as a QR code: `{"size": modules per side, "path": an SVG path of the dark ones}`.
    pub(super) qr: Option<Value>,
}

impl Sessions {
    /// Returns the link for a code, at the address by which the request came. The code is in the fragment, which
    /// browsers send neither to a server nor in a `Referer`.
    pub(super) fn made(&self, parts: &Parts, code: &Code) -> Made {
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = host.or_else(|| parts.uri.authority().map(http::uri::Authority::as_str));
        let scheme = if self.cookies.is_secure(parts) { "https" } else { "http" };
        let link = code.to_string();
        let url = format!("{scheme}://{}/#link={link}", host.unwrap_or("localhost"));
        let qr = qr(&url);
        Made { link, url, qr }
    }
}

fn qr(url: &str) -> Option<Value> {
    let code = QrCode::encode_text(url, QrCodeEcc::Medium).ok()?;
    let mut path = String::new();
    for y in 0..code.size() {
        let mut x = 0;
        while x < code.size() {
            let start = x;
            while code.get_module(x, y) {
                x += 1;
            }
            if x > start {
                let width = x - start;
                path.push_str(&format!("M{start} {y}h{width}v1h-{width}z"));
            }
            x += 1;
        }
    }
    Some(json!({ "size": code.size(), "path": path }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws an SVG path of horizontal bars.
    fn draw(size: usize, path: &str) -> Vec<Vec<bool>> {
        let mut modules = vec![vec![false; size]; size];
        for bar in path.split('M').skip(1) {
            let (at, rest) = bar.split_once('h').unwrap();
            let (x, y) = at.split_once(' ').unwrap();
            let (x, y): (usize, usize) = (x.parse().unwrap(), y.parse().unwrap());
            let width: usize = rest.split_once('v').unwrap().0.parse().unwrap();
            modules[y][x..x + width].fill(true);
        }
        modules
    }

    #[test]
    fn the_picture_has_each_dark_module_once() {
        let url = "https://chat.example/#link=0123-4567-89AB-CDEF-GHJK-MNPQ-RSTV";
        let qr = qr(url).unwrap();
        let code = QrCode::encode_text(url, QrCodeEcc::Medium).unwrap();
        let size = usize::try_from(qr["size"].as_u64().unwrap()).unwrap();
        let modules = draw(size, qr["path"].as_str().unwrap());
        for (y, row) in (0..).zip(&modules) {
            for (x, dark) in (0..).zip(row) {
                assert_eq!(*dark, code.get_module(x, y), "{x} {y}");
            }
        }
        assert!(modules[0][..7].iter().all(|dark| *dark), "a corner mark");
    }
}
