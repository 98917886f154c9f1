//! Used by every layer: counters, the log of failures, panics of the app's code, a steady clock.

pub(crate) mod bell;
pub(crate) mod failures;
pub(crate) mod panics;
pub(crate) mod stats;
mod steady;
