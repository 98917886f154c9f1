//! The chat service as a program: `cargo install --path examples/web_chat`.

use std::process::ExitCode;

fn main() -> ExitCode {
    web_chat::run()
}
