//! Where a person's picture is.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Where the picture of a person is: a URL that begins with `https://`, or a path of the page's own site.
///
/// It has at most [`MAX_BYTES`](Self::MAX_BYTES) of the characters that a URL can have. Others must be percent-encoded.
/// Whether there is a picture is not checked.
///
/// ```
/// use chatcore::Avatar;
///
/// assert!(Avatar::new("https://example.com/ann.png").is_ok());
/// assert!(Avatar::new("/pictures/ann.png?v=2").is_ok());
/// assert!(Avatar::new("javascript:alert(1)").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Arc<str>", into = "Arc<str>")]
pub struct Avatar(Arc<str>);

/// Why a text is no [`Avatar`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidAvatar {
    /// It is too long.
    #[error("the URL of a picture can have at most 1024 bytes")]
    TooLong,
    /// It has a character that a URL can't have.
    #[error("the URL of a picture can't have the character {0:?}: percent-encode it")]
    Character(char),
    /// It is neither a URL of HTTPS with a host nor a path of the site.
    #[error("a picture must be at 'https://' and a host, or at a path of the site that begins with one '/'")]
    Place,
}

impl Avatar {
    /// The most bytes of a URL.
    pub const MAX_BYTES: usize = 1_024;

    /// Checks `url` and returns it, unchanged.
    ///
    /// # Errors
    /// [`InvalidAvatar`] if it is too long, has a character that a URL can't have, or leads elsewhere than to a host by
    /// HTTPS or to a path of the site.
    pub fn new(url: impl Into<Arc<str>>) -> Result<Self, InvalidAvatar> {
        let url = url.into();
        if url.len() > Self::MAX_BYTES {
            return Err(InvalidAvatar::TooLong);
        }
        // Browsers take a backslash for a slash.
        let is_allowed = |c: &char| c.is_ascii_graphic() && !r#""<>\^`{|}"#.contains(*c);
        if let Some(other) = url.chars().find(|c| !is_allowed(c)) {
            return Err(InvalidAvatar::Character(other));
        }
        let is_remote = url.strip_prefix("https://").is_some_and(has_host);
        let is_local = url.starts_with('/') && !url.starts_with("//");
        if is_remote || is_local { Ok(Self(url)) } else { Err(InvalidAvatar::Place) }
    }

    /// Returns the URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns whether what follows `https://` begins with a host, and with no name or password before it.
fn has_host(rest: &str) -> bool {
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    !host.is_empty() && !host.starts_with(':') && !host.contains('@')
}

impl fmt::Display for Avatar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<Arc<str>> for Avatar {
    type Error = InvalidAvatar;

    fn try_from(url: Arc<str>) -> Result<Self, InvalidAvatar> {
        Self::new(url)
    }
}

impl From<Avatar> for Arc<str> {
    fn from(avatar: Avatar) -> Self {
        avatar.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_at_https_or_on_the_site() {
        for url in ["https://a", "https://a:8443/b?c=d#e", "https://[::1]/x", "/", "/a/b.png", "/a?b=//c@d"] {
            assert_eq!(Avatar::new(url).as_ref().map(Avatar::as_str), Ok(url));
        }
        for url in [
            "",
            "a.png",
            "//evil.example/a.png",
            "http://a/b.png",
            "HTTPS://a/b.png",
            "https:/a",
            "https://",
            "https:///a",
            "https://?a",
            "https://:443/a",
            "https://ann:secret@a/b.png",
            "javascript:alert(1)",
            "data:image/png,x",
        ] {
            assert_eq!(Avatar::new(url), Err(InvalidAvatar::Place), "{url}");
        }
        for (url, c) in [
            ("/\\evil.example", '\\'),
            ("/a b", ' '),
            ("/a\nb", '\n'),
            ("/\u{0}", '\u{0}'),
            ("/ä", 'ä'),
            ("/\"onerror=", '"'),
            ("/<", '<'),
        ] {
            assert_eq!(Avatar::new(url), Err(InvalidAvatar::Character(c)), "{url}");
        }
    }

    #[test]
    fn a_url_has_a_longest_form() {
        let url = |bytes: usize| format!("/{}", "a".repeat(bytes - 1));
        assert!(Avatar::new(url(Avatar::MAX_BYTES)).is_ok());
        assert_eq!(Avatar::new(url(Avatar::MAX_BYTES + 1)), Err(InvalidAvatar::TooLong));
    }
}
