//! CORS: lets pages of allowed origins read the answers, by the Fetch standard.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, ALLOW, HeaderMap, HeaderName, HeaderValue, ORIGIN, VARY,
};
use http::request::Parts;
use http::{Method, Response, StatusCode};

use crate::body::{Body, no_content};
use crate::error::{HttpError, allowed};
use crate::origins::Origins;

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The request headers that a page may send, beyond those of any form.
const REQUEST_HEADERS: HeaderValue =
    HeaderValue::from_static("authorization, content-type, if-match, if-none-match, if-range, range");

/// The response headers that a page may read, beyond those that the standard always allows.
const ANSWER_HEADERS: HeaderValue = HeaderValue::from_static(
    "accept-ranges, content-disposition, content-range, etag, location, retry-after",
);

/// The seconds for which a browser may reuse a preflight answer.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

impl Origins {
    /// Answers `OPTIONS` for a path that supports `methods`, such as `"GET, POST"`: 204 with them in `Allow`.
    /// Returns `None` for any other method.
    ///
    /// A browser sends `OPTIONS` to ask whether a page may send a request (a *preflight*). Pages of allowed
    /// origins and of the service's own may. Others are refused with 403.
    #[must_use]
    pub fn preflight(&self, parts: &Parts, methods: &'static str) -> Option<Response<Body>> {
        if parts.method != Method::OPTIONS {
            return None;
        }
        let mut response = no_content();
        response.headers_mut().insert(ALLOW, allowed(methods));
        let asked =
            parts.headers.contains_key(ORIGIN) && parts.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if !asked {
            return Some(response);
        }
        let mut response = match self.shares_with(&parts.headers) {
            Ok(()) => {
                let headers = response.headers_mut();
                headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
                headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
                headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
                response
            }
            Err(foreign) => HttpError::from(foreign).into_response(),
        };
        self.share(&parts.headers, &mut response);
        Some(response)
    }

    /// Adds headers to an answer that let the page read it, if the origin of the request with these headers is
    /// allowed or the service's own. An answer that has them already stays as it is.
    pub fn share<B>(&self, request: &HeaderMap, response: &mut Response<B>) {
        if !self.are_any() || response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return;
        }
        let shared = self.shares_with(request).is_ok();
        let headers = response.headers_mut();
        if !headers.get_all(VARY).iter().any(|value| value == "origin") {
            headers.append(VARY, HeaderValue::from_static("origin"));
        }
        let Some(origin) = request.get(ORIGIN).filter(|_| shared) else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, ANSWER_HEADERS);
        if let Some(policy) = headers.get_mut(CROSS_ORIGIN_RESOURCE_POLICY) {
            *policy = HeaderValue::from_static("cross-origin");
        }
    }
}
