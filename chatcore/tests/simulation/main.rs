//! Several nodes on one store, with a bus that loses, repeats, reorders and delays, and that is cut: after it heals,
//! every subscriber of every node has every event once and in order, and everyone knows every channel.
//!
//! Each simulation has a seed, and runs on paused time. `CHATCORE_SEEDS` sets their number, and `CHATCORE_SEED` the first.
#![allow(missing_docs, clippy::unwrap_used)]

mod bus;
mod reader;
mod run;
mod script;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use script::Script;

const SEEDS: u64 = 10_000;

#[test]
fn every_subscriber_has_every_event_once_and_in_order() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let first = number("CHATCORE_SEED").unwrap_or(1);
    let seeds = first..first + number("CHATCORE_SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(seeds.start);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let seed = next.fetch_add(1, Ordering::Relaxed)
                    && seeds.contains(&seed)
                {
                    let script = Script::new(seed);
                    if let Err(why) = outcome(&script) {
                        // The others end too.
                        next.store(seeds.end, Ordering::Relaxed);
                        fail(script, &why);
                    }
                }
            });
        }
    });
}

/// Runs a script. Returns what is wrong afterwards.
fn outcome(script: &Script) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| run::run(script))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        Err(text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned())
    })
}

/// Leaves out steps as long as the rest fails, and panics with what is left.
fn fail(mut script: Script, why: &str) {
    let mut size = script.steps.len();
    while size > 0 {
        let mut at = 0;
        while at < script.steps.len() {
            let mut shorter = script.clone();
            shorter.steps.drain(at..(at + size).min(script.steps.len()));
            if outcome(&shorter).is_err() { script = shorter } else { at += size }
        }
        size /= 2;
    }
    panic!(
        "CHATCORE_SEED={} CHATCORE_SEEDS=1: {why}\nA shorter script that fails:\n{script:#?}",
        script.seed
    );
}
