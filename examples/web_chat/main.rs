//! Runs the chat service: `cargo run --release --example web_chat`.

use std::process::ExitCode;

fn main() -> ExitCode {
    web_chat::run()
}
