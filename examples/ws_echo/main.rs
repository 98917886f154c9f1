//! Sends back every WebSocket message, with the code of a chat's connections: `cargo run --release --example
//! ws_echo -- 127.0.0.1:9001`. `docs/reliability.md` says how to run Autobahn's test suite against it.

use std::error::Error;

use chatcore_hyper::testkit::Echo;
use chatcore_hyper::{Config, serve};
use tokio::net::TcpListener;

/// The largest messages of Autobahn's suite have 16 MiB.
const MESSAGE_BYTES: usize = 16 << 20;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    let listener =
        TcpListener::bind(&address).await.map_err(|error| format!("can't listen on {address}: {error}"))?;
    println!("WebSocket messages come back from ws://{}", listener.local_addr()?);
    let interrupted = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    let echo = Echo::new(MESSAGE_BYTES, Config::default());
    serve(listener, echo).with_graceful_shutdown(interrupted).await?;
    Ok(())
}
