//! Files that belong to messages.

use serde::{Deserialize, Serialize};

use crate::model::id::AttachmentId;

/// A file that belongs to a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Attachment {
    /// Its key.
    pub id: AttachmentId,
    /// The file's name, in any script, as its author gave it.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// The type found in its first bytes, or `application/octet-stream` if none was found.
    pub content_type: String,
    /// An image's width in pixels.
    pub width: Option<u32>,
    /// An image's height in pixels.
    pub height: Option<u32>,
    /// The URL where it is served. The protocol's encoder sets it; a store does not keep it.
    #[serde(default, skip_serializing)]
    pub url: String,
}

impl Attachment {
    /// Returns a file of `size` bytes.
    #[must_use]
    pub fn new(id: AttachmentId, name: impl Into<String>, size: u64, kind: FileKind) -> Self {
        let FileKind { content_type, width, height } = kind;
        Self { id, name: name.into(), size, content_type, width, height, url: String::new() }
    }

    /// Returns the weight, about its bytes in memory: 256, and the UTF-8 bytes of its name and type.
    #[must_use]
    pub fn weight(&self) -> usize {
        FIXED_WEIGHT + self.name.len() + self.content_type.len()
    }
}

/// What a file's first bytes say it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileKind {
    /// The media type.
    pub content_type: String,
    /// An image's width in pixels.
    pub width: Option<u32>,
    /// An image's height in pixels.
    pub height: Option<u32>,
}

impl FileKind {
    /// Returns the kind of a file that is no image.
    #[must_use]
    pub fn new(content_type: impl Into<String>) -> Self {
        Self { content_type: content_type.into(), width: None, height: None }
    }

    /// Sets an image's width and height in pixels.
    #[must_use]
    pub fn with_pixels(self, width: u32, height: u32) -> Self {
        Self { width: Some(width), height: Some(height), ..self }
    }
}

/// The weight of a message, an event or an attachment without its texts.
pub(crate) const FIXED_WEIGHT: usize = 256;
