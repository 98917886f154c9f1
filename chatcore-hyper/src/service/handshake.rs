//! The HTTP half of a WebSocket: RFC 6455, section 4.2.

use chatcore::protocol::Form;
use http::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{Method, Response, StatusCode, Version};
use tungstenite::handshake::derive_accept_key;

use crate::body::Body;
use crate::error::HttpError;

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// The value of `Connection` that RFC 9110, section 7.8, requires in addition to `Upgrade`.
const UPGRADES: HeaderValue = HeaderValue::from_static("upgrade");

/// Checks a request for a WebSocket, and returns the answer that switches to it, and the form of its messages.
pub(crate) fn accept(
    method: &Method,
    version: Version,
    headers: &HeaderMap,
) -> Result<(Response<Body>, Form), HttpError> {
    // HTTP/1.0 has no upgrades. By RFC 9110, section 7.8, a server ignores the header there.
    let upgrades = method == Method::GET && version >= Version::HTTP_11;
    if !upgrades || !has_token(headers, &UPGRADE, "websocket") || !has_token(headers, &CONNECTION, "upgrade")
    {
        return Err(upgrade_required(
            "this path is a WebSocket: request it with GET and Upgrade over HTTP/1.1",
        ));
    }
    if only(headers, &SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(upgrade_required("the WebSocket version must be 13")
            .with_header(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")));
    }
    let key = only(headers, &SEC_WEBSOCKET_KEY)
        .filter(|key| is_key(key.as_bytes()))
        .ok_or_else(|| bad("the request must have a Sec-WebSocket-Key of 16 bytes in base64"))?;
    let chosen = chosen_form(headers)?;

    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let answer = response.headers_mut();
    answer.insert(UPGRADE, WEBSOCKET);
    answer.insert(CONNECTION, UPGRADES);
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes()))
        .expect("invariant: base64 is a header value");
    answer.insert(SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(form) = chosen {
        answer.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(form.subprotocol()));
    }
    Ok((response, chosen.unwrap_or_default()))
}

fn upgrade_required(message: &'static str) -> HttpError {
    HttpError::new(StatusCode::UPGRADE_REQUIRED, "bad_handshake", message)
        .with_header(UPGRADE, WEBSOCKET)
        .with_header(CONNECTION, UPGRADES)
}

fn bad(message: impl Into<std::borrow::Cow<'static, str>>) -> HttpError {
    HttpError::new(StatusCode::BAD_REQUEST, "bad_handshake", message)
}

/// The forms of messages, in the order in which they are chosen.
const FORMS: [Form; 2] = [Form::Lean, Form::Full];

/// Returns the form whose subprotocol is to be echoed, if the client offers any.
fn chosen_form(headers: &HeaderMap) -> Result<Option<Form>, HttpError> {
    if !headers.contains_key(SEC_WEBSOCKET_PROTOCOL) {
        return Ok(None);
    }
    // Unlike other tokens of a handshake, subprotocols are case-sensitive.
    let is_offered =
        |form: &Form| tokens(headers, &SEC_WEBSOCKET_PROTOCOL).any(|offer| offer == form.subprotocol());
    let served = || {
        bad(format!("no offered subprotocol is supported: use {}", FORMS.map(Form::subprotocol).join(" or ")))
    };
    FORMS.into_iter().find(is_offered).map(Some).ok_or_else(served)
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|found| found.eq_ignore_ascii_case(token))
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim)
}

/// Returns a header's value if the header occurs exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Returns whether `key` has the form of 16 bytes in base64.
fn is_key(key: &[u8]) -> bool {
    key.len() == 24
        && key.ends_with(b"==")
        && key[..22].iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 4] = [
        ("upgrade", "WebSocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    fn answer(changes: &[(&str, Option<&str>)]) -> Response<Body> {
        let mut headers = HeaderMap::new();
        for (name, value) in GOOD {
            headers.insert(HeaderName::try_from(name).unwrap(), HeaderValue::from_static(value));
        }
        for (name, value) in changes {
            let name = HeaderName::try_from(*name).unwrap();
            match value {
                Some(value) => drop(headers.insert(name, value.parse().unwrap())),
                None => drop(headers.remove(name)),
            }
        }
        match accept(&Method::GET, Version::HTTP_11, &headers) {
            Ok((response, form)) => {
                let echoed = response.headers().get(SEC_WEBSOCKET_PROTOCOL);
                let read = echoed.map_or(Form::Full.subprotocol(), |echoed| echoed.to_str().unwrap());
                assert_eq!(form.subprotocol(), read);
                response
            }
            Err(error) => error.into_response(),
        }
    }

    #[test]
    fn a_good_request_switches_with_the_key_of_the_rfc() {
        let response = answer(&[]);
        assert_eq!(response.status(), 101);
        assert_eq!(response.headers()[SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(!response.headers().contains_key(SEC_WEBSOCKET_PROTOCOL));
    }

    #[test]
    fn an_offered_subprotocol_is_echoed_and_others_alone_are_refused() {
        for (offered, echoed) in [
            ("soap, chatcore.v1", "chatcore.v1"),
            ("chatcore.v1.lean", "chatcore.v1.lean"),
            ("chatcore.v1,soap , chatcore.v1.lean", "chatcore.v1.lean"),
            ("chatcore.v1, chatcore.v1.LEAN, chatcore.v1.lean.x", "chatcore.v1"),
        ] {
            let answer = answer(&[("sec-websocket-protocol", Some(offered))]);
            assert_eq!(answer.headers()[SEC_WEBSOCKET_PROTOCOL], echoed, "{offered}");
        }
        assert_eq!(answer(&[("sec-websocket-protocol", Some("chatcore.v2"))]).status(), 400);
        assert_eq!(answer(&[("sec-websocket-protocol", Some(""))]).status(), 400);
    }

    #[test]
    fn what_is_missing_or_wrong_is_refused() {
        let old = answer(&[("sec-websocket-version", Some("8"))]);
        assert_eq!(
            (old.status().as_u16(), &old.headers()[SEC_WEBSOCKET_VERSION]),
            (426, &"13".parse().unwrap())
        );
        assert_eq!((&old.headers()[UPGRADE], &old.headers()[CONNECTION]), (&WEBSOCKET, &UPGRADES));
        let plain = answer(&[("upgrade", None)]);
        assert_eq!((plain.status().as_u16(), &plain.headers()[UPGRADE]), (426, &WEBSOCKET));
        assert_eq!(answer(&[("connection", Some("keep-alive"))]).status(), 426);
        assert_eq!(answer(&[("sec-websocket-key", None)]).status(), 400);
        assert_eq!(answer(&[("sec-websocket-key", Some("c2hvcnQ="))]).status(), 400);
        assert_eq!(answer(&[("sec-websocket-key", Some("!!!!!!!!!!!!!!!!!!!!!!=="))]).status(), 400);
    }
}
