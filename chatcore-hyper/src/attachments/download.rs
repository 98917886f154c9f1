//! A download: a file, a part of it or a preview, served so that no browser runs it.

use std::ops::Range;
use std::sync::Arc;

use chatcore::attachments::{PreviewFile, PreviewType};
use chatcore::blob::ByteStream;
use chatcore::{Attachment, Chat, Identity};
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_RANGE, RANGE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{Method, Response, StatusCode};

use crate::attachments::kind::{OCTET_STREAM, SHOWN};
use crate::attachments::preview::{Pictures, format_of};
use crate::body::Body;
use crate::error::HttpError;
use crate::headers::disposition::{Disposition, content_disposition};
use crate::headers::etag;
use crate::headers::range::{Wanted, wanted};

/// What an answer is about: a file, or a preview of it.
enum Served {
    File(Attachment),
    Preview(PreviewFile),
}

impl Served {
    fn size(&self) -> u64 {
        match self {
            Self::File(file) => file.size,
            Self::Preview(preview) => preview.size,
        }
    }

    async fn bytes(
        &self,
        chat: &Chat,
        identity: &Identity,
        range: Range<u64>,
    ) -> Result<ByteStream, chatcore::Error> {
        match self {
            Self::File(file) => chat.attachment_bytes(identity, &file.id, range).await,
            Self::Preview(preview) => chat.preview_bytes(identity, preview, range).await,
        }
    }
}

/// Returns `preview` of the query: the longest side of the requested preview.
fn preview_side(query: &str) -> Option<u32> {
    let side = query.split('&').find_map(|pair| pair.strip_prefix("preview="))?;
    Some(side.parse().unwrap_or(0))
}

/// Finds or makes a preview.
async fn preview(
    chat: &Chat,
    identity: &Identity,
    file: &Attachment,
    side: u32,
) -> Result<PreviewFile, HttpError> {
    let preview = match format_of(file) {
        Some(_) => chat.preview(identity, file.id.as_str(), side, Arc::new(Pictures)).await?,
        None => None,
    };
    preview.ok_or_else(|| {
        let why =
            "this file has no such preview: PNG, JPEG, GIF and WebP have one of 360 and one of 720 pixels";
        HttpError::new(StatusCode::NOT_FOUND, "no_such_attachment", why)
    })
}

/// Answers with a file, with a preview of it, or with a part of either.
pub(crate) async fn download(
    chat: &Chat,
    identity: &Identity,
    id: &str,
    parts: &Parts,
) -> Result<Response<Body>, HttpError> {
    let file = chat.attachment(identity, id).await?;
    let side = preview_side(parts.uri.query().unwrap_or_default());
    let mut response = Response::new(Body::empty());
    describe(&file, side, response.headers_mut());
    if etag::is_another(&parts.headers, &response.headers()[ETAG]) {
        return Err(HttpError::precondition_failed());
    }
    if etag::is_current(&parts.headers, &response.headers()[ETAG]) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        // A 304 has the headers of the 200, except those that describe a body.
        response.headers_mut().remove(CONTENT_TYPE);
        return Ok(response);
    }
    let served = match side {
        Some(side) => Served::Preview(preview(chat, identity, &file, side).await?),
        None => Served::File(file),
    };
    if let Served::Preview(preview) = &served {
        let encoding = match preview.encoding {
            PreviewType::Png => "image/png",
            _ => "image/jpeg",
        };
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(encoding));
    }
    let size = served.size();
    // Only GET has ranges: RFC 9110, section 14.2.
    let wanted = match parts.method {
        Method::GET => range_of(&parts.headers, &response.headers()[ETAG], size),
        _ => Wanted::Whole,
    };
    let range = match wanted {
        Wanted::Whole => 0..size,
        Wanted::Part(range) => {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let content_range = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            response.headers_mut().insert(CONTENT_RANGE, ascii(content_range));
            range
        }
        Wanted::Unsatisfiable => {
            let error = HttpError::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                "bad_range",
                "the range is outside of the file",
            );
            return Err(error.with_header(CONTENT_RANGE, ascii(format!("bytes */{size}"))));
        }
    };
    let length = range.end - range.start;
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    if parts.method != Method::HEAD {
        let bytes = served.bytes(chat, identity, range).await?;
        *response.body_mut() = Body::stream(bytes, length);
    }
    Ok(response)
}

fn range_of(headers: &HeaderMap, etag: &HeaderValue, size: u64) -> Wanted {
    // Neither header is a list that may have several lines. More than one is malformed.
    let mut ranges = headers.get_all(RANGE).iter();
    let (Some(range), None) = (ranges.next(), ranges.next()) else { return Wanted::Whole };
    // An `If-Range` with a date never matches, since a file's time is not served. Nor does a weak tag.
    let mut conditions = headers.get_all(IF_RANGE).iter();
    match (conditions.next(), conditions.next()) {
        (None, _) => {}
        (Some(condition), None) if condition == etag => {}
        _ => return Wanted::Whole,
    }
    range.to_str().map_or(Wanted::Whole, |range| wanted(range, size))
}

/// Writes the headers of every answer about a file.
fn describe(attachment: &Attachment, preview: Option<u32>, headers: &mut HeaderMap) {
    let shown = SHOWN.iter().find(|&&kind| kind == attachment.content_type);
    let disposition = if shown.is_some() { Disposition::Inline } else { Disposition::Attachment };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(shown.copied().unwrap_or(OCTET_STREAM)));
    headers.insert(CONTENT_DISPOSITION, content_disposition(disposition, &attachment.name));
    // The bytes of an id never change.
    let etag = match preview {
        Some(side) => format!("\"{}-{side}\"", attachment.id),
        None => format!("\"{}\"", attachment.id),
    };
    headers.insert(ETAG, ascii(etag));
    // A browser may keep the file, but asks before each use whether it still may: rights end.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'"));
    let policy = HeaderName::from_static("cross-origin-resource-policy");
    headers.insert(policy, HeaderValue::from_static("same-origin"));
}

fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("invariant: ids and numbers are printable ASCII")
}
