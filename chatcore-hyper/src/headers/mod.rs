//! Parsers and writers of HTTP headers.

pub(crate) mod accept_encoding;
pub(crate) mod cookie;
pub(crate) mod disposition;
pub(crate) mod etag;
pub(crate) mod extensions;
pub(crate) mod range;
