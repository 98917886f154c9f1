//! Runs the fuzzers for a while: `cargo run --release -p chatcore-fuzz -- --minutes 10 frames`.

use std::process::ExitCode;
use std::time::Duration;

use chatcore::testkit::Random;
use chatcore_fuzz::{TARGETS, run};
use clap::Parser;

/// Runs the fuzzers one after another, each for the same time. `CHATCORE_SEED` repeats a run.
#[derive(Debug, Parser)]
struct Options {
    /// The time for each target.
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,

    /// The targets; by default all.
    targets: Vec<String>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(unknown) = options.targets.iter().find(|name| TARGETS.iter().all(|t| t.name != **name)) {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("there is no target {unknown:?}; the targets are: {}", names.join(", "));
        return ExitCode::FAILURE;
    }
    let time = Duration::from_secs_f64(options.minutes.clamp(0.0, 1e6) * 60.0);
    let mut failed = false;
    for target in
        TARGETS.iter().filter(|t| options.targets.is_empty() || options.targets.iter().any(|n| n == t.name))
    {
        let random = Random::from_env();
        println!("{}: CHATCORE_SEED={}", target.name, random.seed());
        match run(target, &random, time) {
            Ok(report) => {
                println!(
                    "{}: {} executions, {} outcomes, 0 panics",
                    target.name, report.executions, report.outcomes
                );
            }
            Err(failure) => {
                failed = true;
                let saved =
                    failure.save().map_or_else(|error| error.to_string(), |path| path.display().to_string());
                println!("{failure}\nThe input is in {saved}");
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
