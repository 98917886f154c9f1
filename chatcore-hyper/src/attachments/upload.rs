//! An upload: its name, its bytes, and the answer.

use chatcore::{Chat, Identity};
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    LOCATION, TRANSFER_ENCODING,
};
use http::request::Parts;
use http::{Response, StatusCode};

use crate::attachments::kind::inspect;
use crate::attachments::upload_body::UploadBody;
use crate::body::Body;
use crate::error::HttpError;

/// Stores the body as a file that the user can attach to a message.
pub(crate) async fn upload<B>(
    chat: &Chat,
    identity: &Identity,
    channel: &str,
    parts: &Parts,
    body: UploadBody<B>,
) -> Result<Response<Body>, HttpError>
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let limit = chat.limits().attachment_bytes;
    refuse_codings(&parts.headers)?;
    let name = file_name(parts.uri.query().unwrap_or_default()).map_err(HttpError::closing)?;
    // The announced size is only used to refuse early. The received bytes are counted.
    if body.announced() > limit || announced(&parts.headers).is_some_and(|length| length > limit) {
        return Err(HttpError::too_large(limit).closing());
    }
    let refused = body.refused();
    let uploaded = chat.upload(identity, channel, &name, body.into_stream(), inspect).await;
    let attachment = uploaded.map_err(|error| match refused.get() {
        Some(too_many) => HttpError::from(*too_many).closing(),
        None => HttpError::from(error).closing(),
    })?;
    let mut response = Response::new(Body::from(chat.attachment_json(&attachment)));
    *response.status_mut() = StatusCode::CREATED;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(location) = HeaderValue::try_from(&attachment.url) {
        headers.insert(LOCATION, location);
    }
    Ok(response)
}

/// Refuses an encoded body: its bytes are not the file's.
fn refuse_codings(headers: &HeaderMap) -> Result<(), HttpError> {
    let has_other_than = |name: HeaderName, plain: &str| {
        let values = headers.get_all(name).iter();
        values.map(|value| value.to_str().unwrap_or_default()).any(|value| !value.eq_ignore_ascii_case(plain))
    };
    if has_other_than(TRANSFER_ENCODING, "chunked") {
        let message = "unsupported transfer coding: an upload can be 'chunked' and nothing else";
        return Err(HttpError::new(StatusCode::NOT_IMPLEMENTED, "bad_coding", message).closing());
    }
    if has_other_than(CONTENT_ENCODING, "identity") {
        let message = "unsupported content coding: send the file's bytes as they are";
        let error = HttpError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "bad_coding", message);
        return Err(error.with_header(ACCEPT_ENCODING, HeaderValue::from_static("identity")).closing());
    }
    Ok(())
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Returns the file's name from the query, in any script.
pub(crate) fn file_name(query: &str) -> Result<String, HttpError> {
    let value = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("name="))
        .ok_or_else(|| HttpError::bad_name("the query must have the file's 'name', as in ?name=photo.jpg"))?;
    // In a query, unlike in a path, a plus is a space. A real plus comes as %2B.
    let value = value.replace('+', " ");
    let name = percent_encoding::percent_decode_str(&value)
        .decode_utf8()
        .map_err(|_| HttpError::bad_name("the file's name must be UTF-8"))?;
    Ok(name.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_name_comes_in_any_script() {
        assert_eq!(file_name("x=1&name=%D0%BF%D0%BB%D0%B0%D0%BD+1%2B.txt").unwrap(), "план 1+.txt");
        assert!(file_name("").is_err());
        assert!(file_name("filename=a").is_err());
        assert!(file_name("name=%ff").is_err());
    }
}
