//! What does it cost to deliver one message to many clients, and how close is that to the cost of the kernel
//! alone?
//!
//! Each server is a separate process on its own core. One light client on another core drives all of them over
//! real sockets with the same bytes: chatcore on its memory store and on redb, and two floors that know only a
//! member list per channel. Prints tables of medians; a ratio is the median of the ratios of each run.
//!
//! `RUNS` is how often each row is measured (5), `SECONDS_EACH` for how long (2). `ROWS` and `SERVERS` select
//! those whose names contain the text, and `OUT` names a file for every single value, separated by tabs. It fails
//! if a message was lost or arrived out of order.
//!
//! `SERVER_CORES` gives the server more than one core. On a machine with two, the client then shares the second, which
//! makes sense for the rows at a steady rate only.
//!
//! It does not show a network between machines or TLS.
#![allow(missing_docs, clippy::unwrap_used)]

mod client;
mod floor;
mod floor_epoll;
mod floor_tokio;
mod histogram;
mod process;
mod report;
mod run;
mod scenarios;
mod servers;
mod wire;

use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use process::{Cores, SERVE};
use report::Report;
use run::Setup;
use scenarios::{SCENARIOS, Scenario};
use servers::Kind;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == SERVE) {
        servers::run(&arguments[1..]);
        return ExitCode::SUCCESS;
    }
    let runs: usize = option("RUNS").unwrap_or(5);
    let rows: String = option("ROWS").unwrap_or_default();
    let asked: String = option("SERVERS").unwrap_or_default();
    let cores = Cores::find(option("SERVER_CORES").unwrap_or(1));
    match &cores {
        Some(cores) => process::pin(&[cores.client]),
        None => eprintln!("only one core: server and client share it, and figures say little"),
    }
    let files = process::raise_open_files();
    eprintln!("{runs} runs, cores {cores:?}, {files} open files");
    let setup = Setup { cores, long: Duration::from_secs_f64(option("SECONDS_EACH").unwrap_or(2.0)) };
    let mut report = Report::new(option("OUT"));
    let scenarios: Vec<&Scenario> =
        SCENARIOS.iter().filter(|scenario| scenario.name.contains(&rows)).collect();
    // All rows once, then all again, so that a machine that becomes slower makes no row look more expensive than
    // another.
    for run in 0..runs {
        for &scenario in &scenarios {
            let servers = scenario.servers.iter().copied();
            let mut servers: Vec<Kind> = servers.filter(|kind| kind.name().contains(&asked)).collect();
            // Each server gets its turn to be first.
            let first = run % servers.len().max(1);
            servers.rotate_left(first);
            for kind in servers {
                eprintln!("{}: {}, run {}", scenario.name, kind.name(), run + 1);
                report.add(scenario, kind, run, scenario.measure(kind, &setup));
            }
        }
    }
    scenarios.into_iter().for_each(|scenario| report.print(scenario));
    report.end()
}

fn option<T: FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().ok().unwrap_or_else(|| panic!("{name} is not as it should be: {text}")))
}
