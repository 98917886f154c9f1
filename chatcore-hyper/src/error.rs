//! A refused request as an HTTP answer `{"code","message"}`.

use std::borrow::Cow;
use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use chatcore::ErrorCode;
use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};

use crate::body::Body;

/// Returns the value of `Allow` for a path that supports these methods and `OPTIONS`.
pub(crate) fn allowed(methods: &str) -> HeaderValue {
    HeaderValue::try_from(format!("{methods}, OPTIONS")).expect("invariant: methods are tokens")
}

/// A refused request.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct HttpError {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    headers: Vec<(HeaderName, HeaderValue)>,
    close: bool,
    /// The failure in the server, for the log. The client is not told.
    #[source]
    cause: Option<Box<chatcore::Error>>,
}

impl HttpError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, message: message.into(), headers: Vec::new(), close: false, cause: None }
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Closes the connection after the answer, since the rest of the request's body is not read.
    pub(crate) fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// Returns the failure in the server that caused this error.
    pub(crate) fn cause(&self) -> Option<&chatcore::Error> {
        self.cause.as_deref()
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "there is nothing here")
    }

    pub(crate) fn method_not_allowed(methods: &str) -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            format!("this path supports only {methods}"),
        )
        .with_header(ALLOW, allowed(methods))
    }

    pub(crate) fn precondition_failed() -> Self {
        let message = "the current version is not one that If-Match names: leave If-Match out to get it";
        Self::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", message)
    }

    pub(crate) fn too_large(limit: u64) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            format!("a file can have at most {limit} bytes"),
        )
    }

    pub(crate) fn bad_name(message: &'static str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_name", message)
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        let body = serde_json::json!({ "code": self.code, "message": self.message }).to_string();
        let mut response = Response::new(Body::from(Bytes::from(body)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // Otherwise a cache might keep a 404 or a 405.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(self.headers);
        if self.close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl From<chatcore::Error> for HttpError {
    fn from(error: chatcore::Error) -> Self {
        let status = match error.code() {
            ErrorCode::NotAllowed => StatusCode::FORBIDDEN,
            ErrorCode::NoSuchChannel | ErrorCode::NoSuchMessage | ErrorCode::NoSuchAttachment => {
                StatusCode::NOT_FOUND
            }
            ErrorCode::NameTaken => StatusCode::CONFLICT,
            ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorCode::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
            ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            ErrorCode::Unavailable | ErrorCode::Draining => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let answer = Self::new(status, error.code().as_str(), error.to_string());
        if !matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            return answer;
        }
        let wait = error.retry_after().unwrap_or(Duration::from_secs(1));
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let cause = error.source().is_some().then(|| Box::new(error));
        Self { cause, ..answer }.with_header(RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: ErrorCode) -> Response<Body> {
        let error = chatcore::Error::new(code, "no").with_retry_after(Duration::from_millis(1_200));
        HttpError::from(error).into_response()
    }

    #[test]
    fn error_codes_have_their_status() {
        for (code, status) in [
            (ErrorCode::NotAllowed, 403),
            (ErrorCode::NoSuchChannel, 404),
            (ErrorCode::NoSuchAttachment, 404),
            (ErrorCode::NameTaken, 409),
            (ErrorCode::TooLarge, 413),
            (ErrorCode::BadName, 422),
            (ErrorCode::Empty, 422),
            (ErrorCode::BadFrame, 422),
            (ErrorCode::RateLimited, 429),
            (ErrorCode::Unavailable, 503),
            (ErrorCode::Draining, 503),
            (ErrorCode::StorageFull, 507),
        ] {
            assert_eq!(answer(code).status(), status, "{code}");
        }
    }

    #[test]
    fn what_may_be_tried_again_says_when() {
        assert_eq!(answer(ErrorCode::Unavailable).headers()[RETRY_AFTER], "2");
        assert_eq!(answer(ErrorCode::RateLimited).headers()[RETRY_AFTER], "2");
        assert!(!answer(ErrorCode::TooLarge).headers().contains_key(RETRY_AFTER));
    }
}
