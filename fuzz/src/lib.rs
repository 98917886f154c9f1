//! Fuzzers of what chatcore's crates read from outside: each target takes any bytes, and panics if what it drives
//! panics or breaks a property that the target states.
//!
//! `cargo run --release -p chatcore-fuzz -- --minutes 10` runs all of them; `cargo test -p chatcore-fuzz` replays the
//! corpus with some thousand mutations. A target is a plain function of its input, so a failing input repeats.

mod failure;
mod mutate;
mod run;
mod targets;

pub use self::failure::Failure;
pub use self::run::{Report, replay, run};
pub use self::targets::{TARGETS, Target};
