//! Runs the chat service: `cargo run --release --example web_chat`.

use std::error::Error;
use std::io::{IsTerminal, stderr};
use std::process::ExitCode;

use clap::Parser;
use tokio::net::TcpListener;
use tracing_subscriber::filter::LevelFilter;
use web_chat::{App, Options};

#[tokio::main]
async fn main() -> ExitCode {
    log();
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("web_chat: {}", in_one_line(&*error));
            ExitCode::FAILURE
        }
    }
}

/// Writes what goes wrong to the standard error stream, in colour where a person looks at it.
fn log() {
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::INFO)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .init();
}

async fn run(options: Options) -> Result<(), Box<dyn Error>> {
    let app = App::open(&options).await?;
    let listener = TcpListener::bind(&options.listen)
        .await
        .map_err(|error| format!("can't listen on {}: {error}", options.listen))?;
    println!("The chat is at http://{}", listener.local_addr()?);
    app.serve(listener, signalled()).await?;
    Ok(())
}

/// Waits for Ctrl-C, or for what a service manager sends.
async fn signalled() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

fn in_one_line(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line = format!("{line}: {cause}");
        source = cause.source();
    }
    line
}
