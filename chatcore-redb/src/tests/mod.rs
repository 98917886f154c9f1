//! Tests that reach behind the public API.

mod failing_disk;
mod journal;
mod publish;
