//! Latencies, counted without allocations.

use std::time::Duration;

/// Buckets per power of two: a value is exact to 1.6 %.
const STEPS: u32 = 64;

/// A histogram of times up to hours.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: u64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { buckets: vec![0; (STEPS * 48) as usize], count: 0, max: 0 }
    }

    pub(crate) fn record(&mut self, time: Duration) {
        let nanos = time.as_nanos() as u64;
        self.buckets[Self::bucket(nanos)] += 1;
        self.count += 1;
        self.max = self.max.max(nanos);
    }

    fn bucket(nanos: u64) -> usize {
        // Below STEPS, each nanosecond has a bucket. Above, the highest bits select the bucket.
        let shift = (u64::BITS - nanos.leading_zeros()).saturating_sub(STEPS.ilog2() + 1);
        (shift * STEPS) as usize + (nanos >> shift) as usize
    }

    /// Returns the time that a share of `share` of all values does not exceed.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let rank = (self.count as f64 * share).ceil() as u64;
        let mut seen = 0;
        let found = self.buckets.iter().position(|count| {
            seen += count;
            seen >= rank.max(1)
        });
        let bucket = found.unwrap_or_default() as u64;
        let shift = (bucket / u64::from(STEPS)).saturating_sub(1);
        Duration::from_nanos(((bucket - shift * u64::from(STEPS)) << shift).min(self.max))
    }

    pub(crate) fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }
}
