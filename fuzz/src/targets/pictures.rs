//! The first bytes of an uploaded file.

use chatcore_hyper::testkit::inspect;

use super::outcome;

pub(super) const WORDS: &[&str] = &[
    "GIF89a", "RIFF", "WEBP", "VP8 ", "VP8L", "VP8X", "IHDR", "ftypavif", "ftypheic", "ftypmp42", "meta",
    "iprp", "ispe", "II*\0", "MM\0*", "BM", "JXL ", "ID3", "OggS", "<svg", "<html", "%PDF-",
];

/// Only a picture has a size, and it has both sides of it. The type is one that can't run in a browser.
pub(super) fn run(input: &[u8]) -> u64 {
    let kind = inspect(input);
    assert_eq!(kind.width.is_some(), kind.height.is_some());
    assert!(kind.width.is_none() || kind.content_type.starts_with("image/"), "{kind:?}");
    for bad in ["svg", "html", "xml", "pdf", "javascript", "text/"] {
        assert!(!kind.content_type.contains(bad), "{kind:?}");
    }
    outcome((kind.content_type.clone(), magnitude(kind.width), magnitude(kind.height)))
}

fn magnitude(side: Option<u32>) -> Option<u32> {
    side?.checked_ilog2()
}
