//! The program: its options, its signals and its exit.

use std::error::Error;
use std::fmt::Arguments;
use std::io::{self, Write, stdout};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Parser;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::app::App;
use crate::backup::{Command, backup, restore};
use crate::files::move_files;
use crate::log::in_one_line;
use crate::options::Options;
use crate::signals::{Signals, Stop};

/// The longest drain after Ctrl-C: a person waits at the terminal.
const INTERRUPTED: Duration = Duration::from_secs(1);

/// How much longer than the grace time the server may take if a disk hangs.
const OVERTIME: Duration = Duration::from_secs(1);

/// The number of threads for blocking work. The allocator reserves 64 MiB of address space per thread, most of
/// which is never used. Where address space is limited, many threads would end the process.
const BLOCKING_THREADS: usize = 8;

/// Runs the service, or the command in the arguments of the process. Returns the exit code.
#[must_use]
pub fn run() -> ExitCode {
    let mut options = Options::parse();
    if options.print_schema {
        print!("{}", options.schema());
        return ExitCode::SUCCESS;
    }
    options.start_log();
    let ended = runtime().map_err(Into::into).and_then(|runtime| {
        let ended = match options.command.take() {
            None => {
                options.raise_open_files();
                runtime.block_on(serve(options))
            }
            Some(command) => runtime.block_on(carry_out(command, &options)),
        };
        // Work that still hangs, such as a call to the disk, does not keep the process alive.
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("web_chat: {}", in_one_line(&*error));
            ExitCode::FAILURE
        }
    }
}

/// Creates the runtime, with a worker per core and [`BLOCKING_THREADS`].
fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().enable_all().max_blocking_threads(BLOCKING_THREADS).build()
}

/// Runs a command instead of the service, until a signal ends it.
async fn carry_out(command: Command, options: &Options) -> Result<(), Box<dyn Error>> {
    let mut signals = Signals::listen()?;
    let told = match command {
        Command::Backup { file } => tokio::select! {
            told = backup(options, &file) => told?,
            stop = signals.stop() => return Err(format!("{stop}: no backup was made").into()),
        },
        Command::MoveFiles => tokio::select! {
            told = move_files(options) => told?,
            stop = signals.stop() => return Err(format!("{stop}: run it again to move the rest").into()),
        },
        Command::Restore { file } => {
            let stopped = Arc::new(AtomicBool::new(false));
            let mut restoring = Box::pin(restore(options, &file, Arc::clone(&stopped)));
            tokio::select! {
                told = &mut restoring => told?,
                _ = signals.stop() => {
                    stopped.store(true, Ordering::Relaxed);
                    restoring.await?
                }
            }
        }
    };
    say(format_args!("{told}"));
    Ok(())
}

async fn serve(options: Options) -> Result<(), Box<dyn Error>> {
    let mut signals = Signals::listen()?;
    let app = tokio::select! {
        app = App::open(&options) => app?,
        // Nobody has connected yet.
        _ = signals.stop() => return Ok(()),
    };
    let listener = bind(&options.listen).await?;
    let at = format!("http://{}", listener.local_addr()?);
    say(format_args!("The chat is at {at}"));
    if options.owner_link {
        let why = "nobody is the owner yet: --owner-link needs --owner with a name that is free";
        let code = app.owner_link().await?.ok_or(why)?;
        let at = options.origin.first().map_or(at, ToString::to_string);
        say(format_args!("The owner signs in, once and within ten minutes, at {at}/#link={code}"));
    }
    if let Some(address) = &options.metrics_listen {
        let listener = bind(address).await?;
        say(format_args!("The metrics are at http://{}/metrics", listener.local_addr()?));
        // It also answers while the chat drains, and ends with the process.
        tokio::spawn(app.operations().serve(listener));
    }
    let chat = app.chat().clone();
    let (drain, draining) = oneshot::channel::<()>();
    let mut serving = tokio::spawn(app.serve(listener, async {
        let _ = draining.await;
    }));
    let stop = tokio::select! {
        served = &mut serving => return Ok(served??),
        stop = signals.stop() => stop,
    };
    let grace = options.grace();
    let longest = if stop == Stop::Interrupt { grace.min(INTERRUPTED) } else { grace };
    tracing::info!(
        "{stop}: draining {} connections for at most {} s; another SIGTERM or Ctrl-C ends at once",
        chat.connections(),
        longest.as_secs(),
    );
    let _ = drain.send(());
    let longest = if longest < grace { longest } else { grace + OVERTIME };
    tokio::select! {
        served = &mut serving => {
            served??;
            tracing::info!("drained");
        }
        again = signals.stop() => tracing::info!("{again}: ended at once"),
        () = sleep(longest) => tracing::info!("stopped before everything was drained"),
    }
    Ok(())
}

async fn bind(address: &str) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| format!("can't listen on {address}: {error}"))
}

/// Prints a line to standard output, and ignores that nobody reads it.
fn say(line: Arguments<'_>) {
    let _ = writeln!(stdout(), "{line}");
}
