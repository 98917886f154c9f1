//! Repeatable randomness: a small generator that prints its seed when a test fails.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A deterministic source of randomness for tests. Many tasks can share it.
///
/// It is splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014). If it is
/// dropped while its thread panics, it prints its seed, so that the failure can be repeated.
#[derive(Debug)]
pub struct Random {
    seed: u64,
    state: AtomicU64,
}

impl Random {
    /// Starts from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, state: AtomicU64::new(seed) }
    }

    /// Starts from the environment variable `CHATCORE_SEED`, a decimal number, or from the clock if it is not set.
    ///
    /// # Panics
    /// Panics if the variable is not a number.
    #[must_use]
    pub fn from_env() -> Self {
        let seed = match std::env::var("CHATCORE_SEED") {
            Ok(text) => text.parse().expect("CHATCORE_SEED is a decimal number"),
            Err(_) => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                since.as_secs() ^ (u64::from(since.subsec_nanos()) << 32)
            }
        };
        Self::new(seed)
    }

    /// Returns the seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns the next 64 bits.
    pub fn bits(&self) -> u64 {
        const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.state.fetch_add(GAMMA, Ordering::Relaxed).wrapping_add(GAMMA);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number less than `end`, or 0 if `end` is 0.
    pub fn below(&self, end: u64) -> u64 {
        // The bias of the remainder is below 2⁻⁴⁰ for every `end` that a test uses.
        self.bits().checked_rem(end).unwrap_or(0)
    }

    /// Returns true with this probability, between 0 and 1.
    pub fn chance(&self, probability: f64) -> bool {
        // A float holds exactly 53 bits.
        #[allow(clippy::cast_precision_loss)]
        let unit = (self.bits() >> 11) as f64 / (1_u64 << 53) as f64;
        unit < probability
    }
}

impl Drop for Random {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("chance began with CHATCORE_SEED={}", self.seed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_chance() {
        let (a, b) = (Random::new(7), Random::new(7));
        assert!((0..100).all(|_| a.bits() == b.bits()));
        assert_ne!(Random::new(1).bits(), Random::new(2).bits());
    }

    #[test]
    fn the_first_numbers_are_those_of_the_reference() {
        let random = Random::new(1_234_567);
        assert_eq!(random.bits(), 6_457_827_717_110_365_317);
        assert_eq!(random.bits(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn never_and_always_are_exact() {
        let random = Random::new(3);
        assert!((0..1_000).all(|_| !random.chance(0.0) && random.chance(1.0)));
        assert_eq!(random.below(0), 0);
    }
}
