//! Tests that reach behind the public API.

mod plan;
