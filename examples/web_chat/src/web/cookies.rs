//! The cookies of a sign-in.

use chatcore_hyper::Body;
use chatcore_hyper::web::{Origins, cookie};
use http::header::{HeaderValue, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, Response};

use crate::accounts::{TOKEN_LIFE, Token};

/// The name of the sign-in cookie over HTTPS. No other host can set it.
const SECURE_COOKIE_NAME: &str = "__Host-chat_session";

/// The name of the sign-in cookie without TLS.
const COOKIE_NAME: &str = "chat_session";

/// Tells the page, which can't read the sign-in cookie, whether to request the current user.
const MARKER_COOKIE_NAME: &str = "chat_signed_in";

/// How the cookies are sent.
#[derive(Clone)]
pub(crate) struct Cookies {
    /// Whether to send the cookie over HTTPS only, for requests of every origin.
    pub(crate) secure: bool,
    pub(crate) origins: Origins,
}

impl Cookies {
    /// Sets the cookies of a sign-in, or renews them.
    pub(crate) fn set(&self, parts: &Parts, response: &mut Response<Body>, token: &Token) {
        self.put(parts, response, token.as_str(), TOKEN_LIFE.as_secs());
    }

    /// Removes the cookies.
    pub(crate) fn remove(&self, parts: &Parts, response: &mut Response<Body>) {
        self.put(parts, response, "", 0);
    }

    /// Sets the cookies for the scheme of the request and removes those of the other scheme, since two different
    /// cookies count as none.
    fn put(&self, parts: &Parts, response: &mut Response<Body>, value: &str, seconds: u64) {
        let secure = self.is_secure(parts);
        let (name, other) =
            if secure { (SECURE_COOKIE_NAME, COOKIE_NAME) } else { (COOKIE_NAME, SECURE_COOKIE_NAME) };
        let attribute = |name: &str| if secure || name == SECURE_COOKIE_NAME { "; Secure" } else { "" };
        let mut set = |name: &str, value: &str, seconds: u64, more: &str| {
            let secure = attribute(name);
            let cookie = format!("{name}={value}; Path=/; Max-Age={seconds}; SameSite=Lax{secure}{more}");
            let cookie = HeaderValue::try_from(cookie).expect("invariant: a token is hex");
            response.headers_mut().append(SET_COOKIE, cookie);
        };
        set(name, value, seconds, "; HttpOnly");
        set(MARKER_COOKIE_NAME, "1", seconds, "");
        // Over HTTP, a browser accepts the removal of the secure cookie from localhost only.
        if secure || cookie(&parts.headers, &[SECURE_COOKIE_NAME]).is_some() {
            set(other, "", 0, "; HttpOnly");
        }
    }

    pub(crate) fn is_secure(&self, parts: &Parts) -> bool {
        self.secure || self.origins.is_https(parts)
    }
}

/// Returns the token in the cookies of a request.
pub(crate) fn token(headers: &HeaderMap) -> Option<Token> {
    cookie(headers, &[SECURE_COOKIE_NAME, COOKIE_NAME]).and_then(Token::new)
}
