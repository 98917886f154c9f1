//! Runs a target on its corpus and on mutations of it.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{fs, io};

use chatcore::testkit::Random;

use crate::failure::{Failure, execute};
use crate::mutate::mutated;
use crate::targets::Target;

/// The most inputs that are kept because they had a new outcome.
const KEPT: usize = 4_096;

/// After this time, an input has hung.
const HUNG: Duration = Duration::from_secs(20);

/// The result of a run.
#[derive(Debug)]
pub struct Report {
    /// The number of inputs.
    pub executions: u64,
    /// The number of different outcomes, as far as there was room to keep them.
    pub outcomes: usize,
}

/// Runs all files of the target's corpus, then `mutations` inputs made from them.
///
/// # Errors
/// The first [`Failure`].
///
/// # Panics
/// If the corpus can't be read.
pub fn replay(target: &'static Target, random: &Random, mutations: u64) -> Result<Report, Failure> {
    go(target, random, |executions, _| executions < mutations)
}

/// Runs the target's corpus, then inputs made from it, for `time`.
///
/// # Errors
/// The first [`Failure`].
///
/// # Panics
/// If the corpus can't be read.
pub fn run(target: &'static Target, random: &Random, time: Duration) -> Result<Report, Failure> {
    go(target, random, |_, began| began.elapsed() < time)
}

fn go(
    target: &'static Target,
    random: &Random,
    more: impl Fn(u64, Instant) -> bool,
) -> Result<Report, Failure> {
    let mut pool = corpus(target).expect("a folder with the target's corpus");
    let mut outcomes = HashSet::new();
    for input in &pool {
        outcomes.insert(execute(target, input)?);
    }
    let (began, mut executions) = (Instant::now(), 0);
    let watch = Watch::begin(target, random.seed());
    while more(executions, began) {
        let input = mutated(random, &pool, target.words);
        executions += 1;
        watch.count.store(executions, Ordering::Relaxed);
        // An input with a new outcome is a better base than one like the others.
        let outcome = execute(target, &input)?;
        if pool.len() < KEPT && outcomes.insert(outcome) {
            pool.push(input);
        }
    }
    Ok(Report { executions: executions + pool.len() as u64, outcomes: outcomes.len() })
}

/// Returns the inputs in the target's folder, sorted by name.
fn corpus(target: &Target) -> io::Result<Vec<Vec<u8>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        paths.push(entry?.path());
    }
    paths.sort();
    paths.into_iter().map(fs::read).collect()
}

/// Ends the process if one input takes too long, since a hang can't be caught.
struct Watch {
    count: Arc<AtomicU64>,
}

impl Watch {
    fn begin(target: &'static Target, seed: u64) -> Self {
        let count = Arc::new(AtomicU64::new(0));
        let watched = Arc::downgrade(&count);
        std::thread::spawn(move || {
            let mut last = u64::MAX;
            while let Some(count) = watched.upgrade().map(|count| count.load(Ordering::Relaxed)) {
                if count == last {
                    eprintln!("{} hangs at input {count} of CHATCORE_SEED={seed}", target.name);
                    std::process::exit(1);
                }
                last = count;
                std::thread::sleep(HUNG);
            }
        });
        Self { count }
    }
}
