//! Attacks the release build of `web_chat`:
//! `cargo build --release -p web_chat --example web_chat && cargo run --release -p chatcore-tests --bin attack`.

use std::process::ExitCode;
use std::time::Duration;

use chatcore_tests::attack::{ATTACKS, Outcome, attack};
use clap::Parser;

/// Attacks the real service with one attack after another, while a second client publishes and measures the time
/// to its own event. Exits with 1 if the process dies, if its memory and that of the system's sockets grow by more
/// than 200 MiB, or if the second client's p99 is more than five times its p99 before the attack and more than 50
/// ms.
#[derive(Debug, Parser)]
#[command(name = "attack")]
struct Options {
    /// Runs these attacks only.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// The seconds of each attack, and of the measurement before it.
    #[arg(long, default_value_t = 15.0)]
    seconds: f64,
    /// Lists the attacks.
    #[arg(long)]
    list: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    if options.list {
        ATTACKS.iter().for_each(|attack| println!("{:<12} {}", attack.name, attack.what));
        return ExitCode::SUCCESS;
    }
    if let Some(unknown) = options.only.iter().find(|name| ATTACKS.iter().all(|attack| attack.name != **name))
    {
        eprintln!("there is no attack '{unknown}': --list says which there are");
        return ExitCode::FAILURE;
    }
    let time = Duration::from_secs_f64(options.seconds.clamp(0.1, 1e6));
    println!("{}", Outcome::HEAD);
    let mut missed = 0;
    for one in ATTACKS {
        if options.only.is_empty() || options.only.iter().any(|name| name == one.name) {
            let outcome = attack(*one, time).await;
            println!("{outcome}");
            missed += usize::from(!outcome.is_good());
        }
    }
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
