//! The protocol on real sockets: every command, event, error and close, and the guarantees of a channel's log.

mod answers;
mod closes;
mod commands;
mod errors;
mod events;
mod membership;
mod names;
mod order;
mod websocket;
