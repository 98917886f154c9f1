//! Tests that reach behind the public API.

mod failing_disk;
mod publish;
