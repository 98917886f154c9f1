//! The protocol on real sockets: every command, event, error and close, and the guarantees of a channel's log.

mod answers;
mod closes;
mod commands;
mod deflate;
mod erasure;
mod errors;
mod events;
mod forms;
mod history;
mod membership;
mod names;
mod order;
mod profiles;
mod review;
mod websocket;

/// For a test whose loops may send more commands than a person's pace allows.
fn unlimited(setup: &mut chatcore_tests::Setup) {
    setup.limits.commands_per_second = 1_000_000;
    setup.limits.command_burst = 1_000_000;
}
