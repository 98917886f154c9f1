//! Soaks the release build of `web_chat`:
//! `cargo build --release -p web_chat --example web_chat && cargo run --release -p chatcore-tests --bin soak`.

use std::process::ExitCode;
use std::time::Duration;

use chatcore::Limits;
use chatcore::testkit::Random;
use chatcore_tests::BusKind;
use chatcore_tests::soak::nodes::soak_nodes;
use chatcore_tests::soak::{Plan, Row, soak};
use clap::{Parser, ValueEnum};

/// Connects many sockets to the real service, which is killed at intervals. No message may be lost or duplicated,
/// and the memory must stay flat. The limit of open files must be above the number of sockets, for both the soak
/// and the service. CHATCORE_SEED repeats the random choices.
#[derive(Debug, Parser)]
#[command(name = "soak")]
struct Options {
    /// How long the load lasts.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Seconds between two kills.
    #[arg(long, default_value_t = 60.0)]
    life: f64,
    /// Sockets; at most 64 per user.
    #[arg(long, default_value_t = 2_000)]
    sockets: usize,
    /// People who share the sockets.
    #[arg(long, default_value_t = 40)]
    users: usize,
    /// Channels; each socket follows three.
    #[arg(long, default_value_t = 100)]
    channels: usize,
    /// The number of messages that each channel starts with; by default, as many as the service keeps in memory
    /// per channel.
    #[arg(long, default_value_t = Limits::default().ring_events)]
    history: usize,
    /// The publishes per second of all sockets.
    #[arg(long, default_value_t = 100.0)]
    publishes: f64,
    /// Three services on PostgreSQL with this bus instead of one, with faults of all kinds in turn: --life is the time
    /// between two of them.
    #[arg(long, value_enum)]
    nodes: Option<Bus>,
    /// Seconds that a fault lasts with --nodes.
    #[arg(long, default_value_t = 20.0)]
    outage: f64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Bus {
    Postgres,
    Nats,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let plan = Plan {
        users: options.users.max(1),
        sockets: options.sockets,
        channels: options.channels.max(1),
        history: options.history,
        followed: options.channels.clamp(1, 3),
        publishes: options.publishes.max(0.1),
        stay: Duration::from_secs(120),
        time: Duration::from_secs_f64(options.minutes.clamp(0.0, 1e6) * 60.0),
        life: Duration::from_secs_f64(options.life.clamp(1.0, 1e6)),
        settle: Duration::from_secs(120),
    };
    let random = Random::from_env();
    println!("CHATCORE_SEED={}\n{}", random.seed(), Row::HEAD);
    let report = match options.nodes {
        None => soak(&plan, &random, |row| println!("{row}")).await,
        Some(bus) => {
            let kind = match bus {
                Bus::Postgres => BusKind::Postgres,
                Bus::Nats => BusKind::Nats,
            };
            let outage = Duration::from_secs_f64(options.outage.clamp(0.1, 1e6));
            soak_nodes(&plan, kind, outage, &random, |fault, row| println!("{row}  {fault:?}")).await
        }
    };
    println!("the logs of {} channels hold every acknowledged message once, without a gap", report.checked);
    // The memory of a group is that of the services that run just then.
    let memory = if options.nodes.is_some() { Ok(()) } else { report.check_memory() };
    let wrong: Vec<String> = [report.check(), memory].into_iter().filter_map(Result::err).collect();
    if !wrong.is_empty() {
        println!("FAILED: {}", wrong.join("; "));
        return ExitCode::FAILURE;
    }
    println!(
        "0 lost, 0 doubled{}",
        if options.nodes.is_some() { "" } else { ", memory flat after the second life" }
    );
    ExitCode::SUCCESS
}
