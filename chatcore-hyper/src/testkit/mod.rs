//! What conformance suites and fuzzers drive: this crate's own connection and parsers, without a chat.
//!
//! It is here with the feature `testkit` only, and is no part of the API: it changes with what it tests.

mod echo;
mod parsers;

pub use self::echo::Echo;
pub use self::parsers::{
    ReadFrame, accepts_socket, content_disposition, file_name, inspect, is_current, prefers_brotli, range,
    read_frames,
};
