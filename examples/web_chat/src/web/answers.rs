//! Answers in JSON, and what is wrong with a request.

use std::fmt::Display;

use bytes::Bytes;
use chatcore_hyper::Body;
use chatcore_hyper::web::TooManyRequests;
use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use serde_json::json;

/// Answers with JSON that no cache keeps.
pub(crate) fn answer(status: StatusCode, body: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub(crate) fn ok(body: &serde_json::Value) -> Response<Body> {
    answer(StatusCode::OK, body)
}

pub(crate) fn no_content() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

pub(crate) fn refusal(status: StatusCode, code: &str, why: impl Display) -> Response<Body> {
    answer(status, &json!({ "code": code, "message": why.to_string() }))
}

pub(crate) fn not_found(why: impl Display) -> Response<Body> {
    refusal(StatusCode::NOT_FOUND, "not_found", why)
}

pub(crate) fn not_allowed(why: impl Display) -> Response<Body> {
    refusal(StatusCode::FORBIDDEN, "not_allowed", why)
}

pub(crate) fn bad_frame(why: impl Display) -> Response<Body> {
    refusal(StatusCode::UNPROCESSABLE_ENTITY, "bad_frame", why)
}

/// Refuses a method that a path does not have.
pub(crate) fn method_not_allowed(methods: &str) -> Response<Body> {
    let why = format!("this path supports only {methods}");
    let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", why);
    let allow = HeaderValue::try_from(format!("{methods}, OPTIONS")).expect("invariant: methods are ASCII");
    response.headers_mut().insert(ALLOW, allow);
    response
}

/// Answers an address that has used up its allowance.
pub(crate) fn too_many(error: TooManyRequests) -> Response<Body> {
    let mut response = closing(refusal(StatusCode::TOO_MANY_REQUESTS, "rate_limited", error));
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(error.retry_after()));
    response
}

/// Closes the connection after the response: the rest of the request's body is not read.
pub(crate) fn closing(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Makes the browser clear its cache, so that the next user of the browser finds no files. Browsers do this over
/// HTTPS and on localhost. The page removes its own storage, which may include unsent messages.
pub(crate) fn clear_cache(response: &mut Response<Body>) {
    let header = HeaderName::from_static("clear-site-data");
    response.headers_mut().insert(header, HeaderValue::from_static("\"cache\""));
}
