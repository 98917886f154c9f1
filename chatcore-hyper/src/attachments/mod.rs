//! Files in and out: streamed both ways, typed by their first bytes, served so that no browser runs them.

pub(crate) mod download;
pub(crate) mod kind;
mod preview;
pub(crate) mod upload;
pub(crate) mod upload_body;
