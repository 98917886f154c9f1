//! The first bytes of an uploaded file.

use chatcore_hyper::testkit::inspect;

use super::outcome;

pub(super) const WORDS: &[&str] = &[
    "GIF89a", "RIFF", "WEBP", "VP8 ", "VP8L", "VP8X", "IHDR", "ftypavif", "ftypheic", "ftypmp42", "meta",
    "iprp", "ispe", "II*\0", "MM\0*", "BM", "JXL ", "ID3", "OggS", "<svg", "<html", "%PDF-",
];

/// A file with a size has both sides, and is a picture or too large to be shown as one. Its type can't run in a
/// browser.
pub(super) fn run(input: &[u8]) -> u64 {
    let kind = inspect(input);
    assert_eq!(kind.width.is_some(), kind.height.is_some());
    let pixels = kind.width.zip(kind.height).map(|(width, height)| u64::from(width) * u64::from(height));
    let is_large = kind.width.max(kind.height) > Some(16_384) || pixels > Some(50_000_000);
    assert_eq!(kind.content_type.starts_with("image/"), pixels.is_some() && !is_large, "{kind:?}");
    for bad in ["svg", "html", "xml", "pdf", "javascript", "text/"] {
        assert!(!kind.content_type.contains(bad), "{kind:?}");
    }
    outcome((kind.content_type.clone(), magnitude(kind.width), magnitude(kind.height)))
}

fn magnitude(side: Option<u32>) -> Option<u32> {
    side?.checked_ilog2()
}
