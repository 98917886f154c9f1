//! The type of a file, found in its first bytes, and whether a browser may show it.

use std::io::Cursor;

use chatcore::attachments::FileKind;
use image::ImageDecoder;
use image::codecs::jpeg::JpegDecoder;
use image::metadata::Orientation;

pub(crate) const OCTET_STREAM: &str = "application/octet-stream";

/// The types that a browser may show inline: raster pictures, sound and video. SVG, HTML and PDF can contain
/// programs, and are not among them.
pub(crate) const SHOWN: [&str; 26] = [
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

/// The most pixels of a picture. A browser needs four bytes per pixel, so this is 200 MB of every viewer's memory.
pub(crate) const PIXELS: u64 = 50_000_000;

/// The longest side of a picture. Browsers paint no longer one, and a picture of 1 by 60,000 would be a page of
/// nothing in a list of messages.
pub(crate) const SIDE: u64 = 16_384;

/// Returns the type of a file, found in its first bytes alone. Its name and the uploader's claim do not count.
///
/// A picture without a size, or with one beyond [`PIXELS`] or [`SIDE`], is a plain file, which no browser decodes.
/// Width and height are those of the picture as it is shown: a photograph on its side has them exchanged.
pub(crate) fn inspect(head: &[u8]) -> FileKind {
    let plain = || FileKind::new(OCTET_STREAM);
    let found = infer::get(head).map(|kind| kind.mime_type()).filter(|kind| SHOWN.contains(kind));
    let Some(content_type) = found else { return plain() };
    if !content_type.starts_with("image/") {
        return FileKind::new(content_type);
    }
    let side = |pixels: usize| u32::try_from(pixels).ok().filter(|&side| side > 0);
    let sides =
        imagesize::blob_size(head).ok().and_then(|size| Some((side(size.width)?, side(size.height)?)));
    let Some((width, height)) = sides else { return plain() };
    let is_shown = u64::from(width) * u64::from(height) <= PIXELS && u64::from(width.max(height)) <= SIDE;
    let content_type = if is_shown { content_type } else { OCTET_STREAM };
    let (width, height) = if is_turned(head) { (height, width) } else { (width, height) };
    FileKind::new(content_type).with_pixels(width, height)
}

/// Returns whether a picture is shown on its side, so that its width is its height.
fn is_turned(head: &[u8]) -> bool {
    // The other formats say it after their pixels, or never.
    let decoder = head.starts_with(b"\xff\xd8").then(|| JpegDecoder::new(Cursor::new(head)).ok()).flatten();
    let orientation = decoder.and_then(|mut decoder| decoder.orientation().ok());
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Some(Rotate90 | Rotate90FlipH | Rotate270 | Rotate270FlipH))
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
}
