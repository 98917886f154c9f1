//! Files in and out: streamed both ways, typed by their first bytes, served so that no browser runs them.

pub(crate) mod preview;
pub(crate) mod received;

use std::ops::Range;
use std::sync::Arc;

use chatcore::blob::ByteStream;
use chatcore::{Attachment, Chat, FileKind, Identity, PreviewFile, PreviewType};
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_RANGE,
    LOCATION, RANGE, TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{Method, Response, StatusCode};

use crate::attachments::preview::{Pictures, format_of, is_turned};
use crate::attachments::received::Received;
use crate::body::Body;
use crate::error::HttpError;
use crate::headers::disposition::{Disposition, content_disposition};
use crate::headers::etag;
use crate::headers::range::{Wanted, wanted};

const OCTET_STREAM: &str = "application/octet-stream";

/// The types that a browser may show where they stand: pictures of pixels, sound and moving pictures. SVG,
/// HTML and PDF can hold programs, and are not among them.
const SHOWN: [&str; 26] = [
    "audio/aac",
    "audio/amr",
    "audio/m4a",
    "audio/midi",
    "audio/mpeg",
    "audio/ogg",
    "audio/opus",
    "audio/x-aiff",
    "audio/x-flac",
    "audio/x-wav",
    "image/avif",
    "image/bmp",
    "image/gif",
    "image/heif",
    "image/jpeg",
    "image/jxl",
    "image/png",
    "image/tiff",
    "image/webp",
    "video/mp4",
    "video/mpeg",
    "video/quicktime",
    "video/webm",
    "video/x-m4v",
    "video/x-matroska",
    "video/x-msvideo",
];

/// The most pixels of a picture. A browser holds four bytes for each, so this is 200 MB of every viewer's memory.
pub(crate) const PIXELS: u64 = 50_000_000;

/// The longest side of a picture. Browsers paint none that is longer, and one of 1 by 60,000 would be a page of
/// nothing in a list of messages.
pub(crate) const SIDE: u64 = 16_384;

/// Says what a file is, by its first bytes alone: neither its name nor the uploader's word counts.
///
/// A picture that says no size, or one beyond [`PIXELS`] or [`SIDE`], is a plain file, which nobody's browser decodes.
/// Width and height are as it is shown: those of a photograph on its side are exchanged.
pub(crate) fn inspect(head: &[u8]) -> FileKind {
    let plain = FileKind { content_type: OCTET_STREAM.to_owned(), width: None, height: None };
    let found = infer::get(head).map(|kind| kind.mime_type()).filter(|kind| SHOWN.contains(kind));
    let Some(content_type) = found else { return plain };
    if !content_type.starts_with("image/") {
        return FileKind { content_type: content_type.to_owned(), ..plain };
    }
    let side = |pixels: usize| u32::try_from(pixels).ok().filter(|&side| side > 0);
    let sides =
        imagesize::blob_size(head).ok().and_then(|size| Some((side(size.width)?, side(size.height)?)));
    let Some((width, height)) = sides else { return plain };
    let is_shown = u64::from(width) * u64::from(height) <= PIXELS && u64::from(width.max(height)) <= SIDE;
    let content_type = if is_shown { content_type } else { OCTET_STREAM };
    let (width, height) = if is_turned(head) { (height, width) } else { (width, height) };
    FileKind { content_type: content_type.to_owned(), width: Some(width), height: Some(height) }
}

/// Stores the body as a file that the caller may attach to a message.
pub(crate) async fn upload<B>(
    chat: &Chat,
    identity: &Identity,
    channel: &str,
    parts: &Parts,
    body: Received<B>,
) -> Result<Response<Body>, HttpError>
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let limit = chat.limits().attachment_bytes;
    refuse_codings(&parts.headers)?;
    let name = file_name(parts.uri.query().unwrap_or_default()).map_err(HttpError::closing)?;
    // What the client announces is believed only where that spares reading it; what comes is counted.
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

/// Refuses a body that would have to be decoded first: its bytes are not the file's.
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

/// Reads `name` out of the query: the file's name, in any script.
pub(crate) fn file_name(query: &str) -> Result<String, HttpError> {
    let value = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("name="))
        .ok_or_else(|| HttpError::bad_name("the query must have the file's 'name', as in ?name=photo.jpg"))?;
    // In a query, unlike in a path, a plus is a space; one that is meant comes as %2B.
    let value = value.replace('+', " ");
    let name = percent_encoding::percent_decode_str(&value)
        .decode_utf8()
        .map_err(|_| HttpError::bad_name("the file's name must be UTF-8"))?;
    Ok(name.into_owned())
}

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

/// Reads `preview` out of the query: the longest side of the preview that is asked for in place of the file.
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
        // A 304 has the headers of the 200 less those that describe a body.
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
    // A range is of GET alone: RFC 9110, section 14.2.
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
    // Neither header is a list that may be over several lines: with more than one it is malformed.
    let mut ranges = headers.get_all(RANGE).iter();
    let (Some(range), None) = (ranges.next(), ranges.next()) else { return Wanted::Whole };
    // An `If-Range` with a date never matches: a file's time is not served. Nor does a weak tag.
    let mut conditions = headers.get_all(IF_RANGE).iter();
    match (conditions.next(), conditions.next()) {
        (None, _) => {}
        (Some(condition), None) if condition == etag => {}
        _ => return Wanted::Whole,
    }
    range.to_str().map_or(Wanted::Whole, |range| wanted(range, size))
}

/// Writes the headers that every answer about a file has.
fn describe(attachment: &Attachment, preview: Option<u32>, headers: &mut HeaderMap) {
    let shown = SHOWN.iter().find(|&&kind| kind == attachment.content_type);
    let disposition = if shown.is_some() { Disposition::Inline } else { Disposition::Attachment };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(shown.copied().unwrap_or(OCTET_STREAM)));
    headers.insert(CONTENT_DISPOSITION, content_disposition(disposition, &attachment.name));
    // The bytes under an id never change.
    let etag = match preview {
        Some(side) => format!("\"{}-{side}\"", attachment.id),
        None => format!("\"{}\"", attachment.id),
    };
    headers.insert(ETAG, ascii(etag));
    // A browser may keep them, but asks before each use whether it still may: rights end.
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

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\x80\0\0\x01\x68\x08\x06\0\0\0";

    #[test]
    fn a_picture_has_its_type_and_size() {
        let kind = inspect(PNG);
        assert_eq!(
            (kind.content_type.as_str(), kind.width, kind.height),
            ("image/png", Some(640), Some(360))
        );
    }

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut head = PNG.to_vec();
        head[16..20].copy_from_slice(&width.to_be_bytes());
        head[20..24].copy_from_slice(&height.to_be_bytes());
        head
    }

    fn gif(width: u16, height: u16) -> Vec<u8> {
        [b"GIF89a".as_slice(), &width.to_le_bytes(), &height.to_le_bytes(), &[0; 20]].concat()
    }

    #[test]
    fn a_picture_that_would_fill_the_memory_is_a_plain_file() {
        let (png_type, gif_type) = ("image/png", "image/gif");
        for (head, content_type, has_size) in [
            (png(10_000, 5_000), png_type, true),
            (png(10_000, 5_001), OCTET_STREAM, true),
            (png(16_384, 1), png_type, true),
            (png(16_385, 1), OCTET_STREAM, true),
            (png(1, 60_000), OCTET_STREAM, true),
            (png(u32::MAX, u32::MAX), OCTET_STREAM, true),
            (png(0, 10), OCTET_STREAM, false),
            (b"GIF89a\x01\0\x01\0\0\0\0;".to_vec(), gif_type, true),
            (gif(7_000, 7_000), gif_type, true),
            (gif(60_000, 60_000), OCTET_STREAM, true),
            // Cut off before its size.
            (PNG[..16].to_vec(), OCTET_STREAM, false),
        ] {
            let kind = inspect(&head);
            assert_eq!(kind.content_type, content_type, "{:?}", &head[..24.min(head.len())]);
            assert_eq!((kind.width.is_some(), kind.height.is_some()), (has_size, has_size));
        }
    }

    #[test]
    fn what_a_browser_could_run_is_only_bytes() {
        for head in [
            &b"<!DOCTYPE html><script>alert(1)</script>"[..],
            b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
            b"<?xml version='1.0'?><svg/>",
            b"%PDF-1.7 ",
            b"#!/bin/sh",
            b"just text",
            b"",
        ] {
            let kind = inspect(head);
            assert_eq!((kind.content_type.as_str(), kind.width), (OCTET_STREAM, None), "{head:?}");
        }
    }

    #[test]
    fn the_file_name_comes_in_any_script() {
        assert_eq!(file_name("x=1&name=%D0%BF%D0%BB%D0%B0%D0%BD+1%2B.txt").unwrap(), "план 1+.txt");
        assert!(file_name("").is_err());
        assert!(file_name("filename=a").is_err());
        assert!(file_name("name=%ff").is_err());
    }
}
