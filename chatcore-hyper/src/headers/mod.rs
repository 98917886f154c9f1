//! Headers of HTTP: what a client asks for by them, and how an answer spells them.

pub(crate) mod accept_encoding;
pub(crate) mod cookie;
pub(crate) mod disposition;
pub(crate) mod etag;
pub(crate) mod range;
