//! Previews of pictures: decoded within bounds, rotated as their camera says, scaled down, and written without
//! other data about their author.

use std::io::Cursor;

use chatcore::Attachment;
use chatcore::attachments::{PREVIEW_SIDES, Preview, PreviewMaker, PreviewType};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::imageops::FilterType::CatmullRom;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageEncoder, ImageFormat, ImageReader, Limits};

use crate::attachments::kind::{PIXELS, SIDE};

/// The quality of a JPEG, of 100.
const QUALITY: u8 = 82;

/// A picture is first averaged down to this multiple of a preview's side, and then resampled.
const COARSE: u32 = 2;

/// The bytes for resampling, after the picture itself is dropped: three pictures of [`COARSE`] times the largest
/// side.
const RESAMPLING: u64 = 32 << 20;

/// The most bytes of a colour profile that a preview keeps. Without it, the colours of most phones' pictures are
/// pale.
const PROFILE: usize = 4 << 10;

/// Makes previews of PNG, JPEG, GIF and WebP.
#[derive(Debug)]
pub(crate) struct Pictures;

impl PreviewMaker for Pictures {
    fn memory(&self, picture: &Attachment, head: &[u8]) -> Option<u64> {
        let (width, height) = (picture.width?, picture.height?);
        // A JPEG decoder works on blocks of up to 32 pixels.
        let pixels = u64::from(width.next_multiple_of(32)) * u64::from(height.next_multiple_of(32));
        let per_pixel = match format_of(picture)? {
            ImageFormat::Jpeg => jpeg_bytes(head),
            ImageFormat::Png => png_bytes(head),
            // A frame may be decoded separately from the canvas.
            ImageFormat::Gif => 8,
            _ => 12,
        };
        // Everything but a PNG of 16 bits has been decoded to four bytes or less.
        let depth = if per_pixel == 8 { 8 } else { per_pixel.min(4) };
        let coarse = PREVIEW_SIDES.iter().max().map_or(0, |&side| u64::from(COARSE * side).pow(2) * depth);
        // A JPEG decoder copies the file before it decodes. The file is dropped before the picture is averaged.
        Some((pixels * per_pixel + coarse.max(picture.size)).max(2 * picture.size).max(RESAMPLING))
    }

    fn make(&self, picture: &Attachment, file: Vec<u8>) -> Option<[Preview; PREVIEW_SIDES.len()]> {
        let format = format_of(picture)?;
        let memory = self.memory(picture, &file)?;
        let pixels = pixels_of((picture.width?, picture.height?));
        let (mut smaller, profile) = decode(file, format, pixels, memory)?;
        let mut previews = PREVIEW_SIDES.iter().rev().map(|&side| {
            smaller = fit(&smaller, side);
            encode(&smaller, format != ImageFormat::Jpeg, profile.as_deref())
        });
        let (large, small) = (previews.next()??, previews.next()??);
        Some([small, large])
    }
}

/// Returns the format of a file, if previews are made of its type and it is not too large to be shown.
pub(crate) fn format_of(file: &Attachment) -> Option<ImageFormat> {
    let (width, height) = (file.width?, file.height?);
    let is_small = pixels_of((width, height)) <= PIXELS && u64::from(width.max(height)) <= SIDE;
    match &*file.content_type {
        _ if !is_small => None,
        "image/gif" => Some(ImageFormat::Gif),
        "image/jpeg" => Some(ImageFormat::Jpeg),
        "image/png" => Some(ImageFormat::Png),
        "image/webp" => Some(ImageFormat::WebP),
        _ => None,
    }
}

fn pixels_of((width, height): (u32, u32)) -> u64 {
    u64::from(width) * u64::from(height)
}

/// Decodes a picture, scales it down and rotates it. Also returns its colour profile.
fn decode(
    file: Vec<u8>,
    format: ImageFormat,
    pixels: u64,
    memory: u64,
) -> Option<(DynamicImage, Option<Vec<u8>>)> {
    let mut reader = ImageReader::with_format(Cursor::new(file), format);
    let mut limits = Limits::default();
    limits.max_image_width = u32::try_from(SIDE).ok();
    limits.max_image_height = limits.max_image_width;
    limits.max_alloc = Some(memory);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().ok()?;
    // A file with two different sizes has no preview.
    if pixels_of(decoder.dimensions()) != pixels {
        return None;
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let profile = decoder.icc_profile().ok().flatten();
    // A picture in CMYK or in grey is decoded to other colours than its profile's.
    let profile = profile.filter(|profile| profile.len() <= PROFILE && profile.get(16..20) == Some(b"RGB "));
    let picture = DynamicImage::from_decoder(decoder).ok()?;
    let coarse = COARSE * PREVIEW_SIDES.into_iter().max()?;
    let mut picture = if picture.width().max(picture.height()) > coarse {
        picture.thumbnail(coarse, coarse)
    } else {
        picture
    };
    picture.apply_orientation(orientation);
    let has_alpha =
        picture.color().has_alpha() && picture.to_rgba8().pixels().any(|pixel| pixel[3] < u8::MAX);
    let picture = if has_alpha { picture.to_rgba8().into() } else { picture.to_rgb8().into() };
    Some((picture, profile))
}

fn fit(picture: &DynamicImage, side: u32) -> DynamicImage {
    if picture.width().max(picture.height()) <= side {
        return picture.clone();
    }
    picture.resize(side, side, CatmullRom)
}

/// Encodes a picture as JPEG, or as PNG if it is transparent, or drawn rather than photographed.
fn encode(picture: &DynamicImage, may_be_drawn: bool, profile: Option<&[u8]>) -> Option<Preview> {
    let color = picture.color();
    let (width, height) = (picture.width(), picture.height());
    let jpeg = (!color.has_alpha()).then(|| {
        let mut bytes = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut bytes, QUALITY);
        if let Some(profile) = profile {
            encoder.set_icc_profile(profile.to_vec()).ok()?;
        }
        encoder.write_image(picture.as_bytes(), width, height, color.into()).ok()?;
        Some(Preview::new(PreviewType::Jpeg, bytes))
    });
    let jpeg = jpeg.flatten();
    if jpeg.is_some() && !may_be_drawn {
        return jpeg;
    }
    let mut bytes = Vec::new();
    let mut encoder =
        PngEncoder::new_with_quality(&mut bytes, CompressionType::Default, FilterType::Adaptive);
    if let Some(profile) = profile {
        encoder.set_icc_profile(profile.to_vec()).ok()?;
    }
    encoder.write_image(picture.as_bytes(), width, height, color.into()).ok()?;
    match jpeg {
        // A drawing has few colours, and PNG keeps its lines sharp.
        Some(jpeg) if bytes.len() > 2 * jpeg.bytes.len() => Some(jpeg),
        _ => Some(Preview::new(PreviewType::Png, bytes)),
    }
}

/// Returns how many bytes per pixel a PNG decoder takes.
fn png_bytes(head: &[u8]) -> u64 {
    let channels = if head.get(25) == Some(&0) { 2 } else { 4 };
    if head.get(24) == Some(&16) { 2 * channels } else { channels }
}

/// Returns how many bytes per pixel a JPEG decoder takes: three for the picture, and two per component if the file
/// is not decoded line by line.
fn jpeg_bytes(head: &[u8]) -> u64 {
    const WORST: u64 = 3 + 2 * 4;
    let mut rest = head.get(2..).unwrap_or_default();
    let mut components = None;
    while let [0xff, marker, high, low, ..] = *rest {
        let length = usize::from(u16::from_be_bytes([high, low]));
        match marker {
            0xff => {
                rest = &rest[1..];
                continue;
            }
            // A frame that is decoded line by line, if all its components are in one scan.
            0xc0 | 0xc1 if components.is_none() => components = rest.get(9).copied(),
            0xc4 | 0xc8 | 0xcc => {}
            0xc0..=0xcf => return WORST,
            0xda if components.is_some() && rest.get(4).copied() == components => return 3,
            0xda => return WORST,
            _ => {}
        }
        rest = rest.get(2 + length..).unwrap_or_default();
    }
    WORST
}

#[cfg(test)]
mod tests {
    use image::RgbImage;
    use image::codecs::jpeg::JpegDecoder;

    use chatcore::attachments::FileKind;

    use super::*;

    fn jpeg() -> Vec<u8> {
        let mut bytes = Vec::new();
        let picture = RgbImage::from_pixel(64, 32, image::Rgb([9, 99, 199]));
        picture.write_with_encoder(JpegEncoder::new(&mut bytes)).unwrap();
        bytes
    }

    fn picture(content_type: &str, width: u32, height: u32, size: u64) -> Attachment {
        let kind = FileKind::new(content_type).with_pixels(width, height);
        Attachment::new(chatcore::AttachmentId::random(), "x", size, kind)
    }

    #[test]
    fn a_jpeg_counts_with_all_that_its_decoder_holds() {
        let baseline = jpeg();
        assert_eq!(jpeg_bytes(&baseline), 3);
        let at = baseline.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
        let with = |at: usize, byte: u8| {
            let mut other = baseline.clone();
            other[at] = byte;
            other
        };
        assert_eq!(jpeg_bytes(&with(at + 1, 0xc2)), 11, "progressive");
        let scan = baseline.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
        assert_eq!(jpeg_bytes(&with(scan + 4, 1)), 11, "one colour after the other");
        let frame = &baseline[at..at + 19];
        let twice = [&baseline[..at], frame, &baseline[at..]].concat();
        assert_eq!(jpeg_bytes(&twice), 11, "two frames");
        assert_eq!(jpeg_bytes(&baseline[..at]), 11, "none in the head");
        assert_eq!(jpeg_bytes(b""), 11);
    }

    #[test]
    fn a_camera_of_48_megapixels_has_previews_by_default() {
        let memory = chatcore::Limits::default().preview_memory;
        let needed = |picture: &Attachment, head: &[u8]| Pictures.memory(picture, head).unwrap();
        assert!(needed(&picture("image/jpeg", 8_064, 6_048, 12 << 20), &jpeg()) <= memory);
        assert!(needed(&picture("image/jpeg", 4_000, 3_000, 5 << 20), b"\xff\xd8") <= memory, "progressive");
        assert!(needed(&picture("image/png", 3_840, 2_160, 8 << 20), b"") <= memory);
        assert!(needed(&picture("image/webp", 4_000, 3_000, 5 << 20), b"") <= memory);
        // One pixel wide, and a block of 32 for each of its lines.
        assert!(needed(&picture("image/jpeg", 1, 16_384, 100), b"") > 16_384 * 32 * 11);
    }

    #[test]
    fn a_picture_of_another_size_than_it_said_has_no_preview() {
        let file = jpeg();
        let size = file.len() as u64;
        assert!(Pictures.make(&picture("image/jpeg", 64, 32, size), file.clone()).is_some());
        assert!(Pictures.make(&picture("image/jpeg", 32, 64, size), file.clone()).is_some(), "on its side");
        assert!(Pictures.make(&picture("image/jpeg", 64, 31, size), file).is_none());
    }

    #[test]
    fn a_preview_keeps_the_colours_of_a_phone() {
        let mut profile = vec![7; 600];
        profile[16..20].copy_from_slice(b"RGB ");
        for (space, is_kept) in [(b"RGB ", true), (b"CMYK", false)] {
            profile[16..20].copy_from_slice(space);
            let mut file = Vec::new();
            let mut encoder = JpegEncoder::new(&mut file);
            encoder.set_icc_profile(profile.clone()).unwrap();
            RgbImage::new(64, 32).write_with_encoder(encoder).unwrap();
            let size = file.len() as u64;
            let [small, _] = Pictures.make(&picture("image/jpeg", 64, 32, size), file).unwrap();
            let mut decoder = JpegDecoder::new(Cursor::new(&small.bytes)).unwrap();
            assert_eq!(decoder.icc_profile().unwrap().is_some(), is_kept);
        }
    }
}
