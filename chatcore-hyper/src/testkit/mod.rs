//! Access to this crate's connection and parsers without a chat, for conformance suites and fuzzers.
//!
//! It exists with the feature `testkit` only, and is not part of the stable API: it changes with the code that it
//! tests.

mod echo;
mod parsers;

pub use self::echo::Echo;
pub use self::parsers::{
    ReadFrame, accepts_deflate, accepts_socket, content_disposition, deflate, file_name, inflate, inspect,
    is_current, prefers_brotli, range, read_frames,
};
