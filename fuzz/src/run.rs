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

/// Inputs that are kept because the target said something new of them.
const KEPT: usize = 4_096;

/// An input that takes this long has hung.
const HUNG: Duration = Duration::from_secs(20);

/// What a run came to.
#[derive(Debug)]
pub struct Report {
    /// Inputs that were run.
    pub executions: u64,
    /// Different things that the target said of its inputs, as long as there was room to keep them.
    pub outcomes: usize,
}

/// Runs each file of the target's corpus, then `mutations` inputs made of them.
///
/// # Errors
/// The first [`Failure`].
///
/// # Panics
/// Panics if the corpus can't be read.
pub fn replay(target: &'static Target, random: &Random, mutations: u64) -> Result<Report, Failure> {
    go(target, random, |executions, _| executions < mutations)
}

/// Runs the target's corpus, then inputs made of them, for as long as `time`.
///
/// # Errors
/// The first [`Failure`].
///
/// # Panics
/// Panics if the corpus can't be read.
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
        // An input of which the target says something new leads further than one like the others.
        let outcome = execute(target, &input)?;
        if pool.len() < KEPT && outcomes.insert(outcome) {
            pool.push(input);
        }
    }
    Ok(Report { executions: executions + pool.len() as u64, outcomes: outcomes.len() })
}

/// Returns the inputs of the target's folder, in the order of their names.
fn corpus(target: &Target) -> io::Result<Vec<Vec<u8>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        paths.push(entry?.path());
    }
    paths.sort();
    paths.into_iter().map(fs::read).collect()
}

/// Ends the process if one input takes too long: a hang can't be caught.
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
