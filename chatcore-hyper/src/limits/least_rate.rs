//! The least rate at which a peer must read.

use std::time::Duration;

use tokio::time::Instant;

/// The least rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeastRate {
    pub(crate) period: Duration,
    pub(crate) bytes_per_second: u32,
}

impl LeastRate {
    /// Returns the bytes per period, at least one.
    fn bytes(self) -> u64 {
        let bytes = u128::from(self.bytes_per_second) * self.period.as_millis() / 1_000;
        u64::try_from(bytes).unwrap_or(u64::MAX).max(1)
    }
}

/// What a peer has read since something began to wait for it.
#[derive(Debug)]
pub(crate) struct Stall {
    since: Instant,
    taken: u64,
}

impl Stall {
    pub(crate) fn begin(now: Instant) -> Self {
        Self { since: now, taken: 0 }
    }

    pub(crate) fn take(&mut self, bytes: usize) {
        self.taken += bytes as u64;
    }

    /// Returns the end of the period.
    pub(crate) fn due(&self, rate: LeastRate) -> Instant {
        self.since + rate.period
    }

    /// Returns whether a period is over in which the peer read too little. After a good period the next one
    /// begins.
    pub(crate) fn is_too_slow(&mut self, rate: LeastRate, now: Instant) -> bool {
        if now < self.due(rate) {
            return false;
        }
        if self.taken < rate.bytes() {
            return true;
        }
        *self = Self::begin(now);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: LeastRate = LeastRate { period: Duration::from_secs(10), bytes_per_second: 100 };

    #[test]
    fn the_least_rate_is_enough_and_a_byte_less_is_not() {
        let begun = Instant::now();
        let over = begun + RATE.period;
        for (taken, too_slow) in [(0, true), (999, true), (1_000, false)] {
            let mut stall = Stall::begin(begun);
            stall.take(taken);
            assert!(!stall.is_too_slow(RATE, over - Duration::from_millis(1)), "the period is not over");
            assert_eq!(stall.is_too_slow(RATE, over), too_slow, "{taken}");
        }
    }

    #[test]
    fn each_period_is_judged_by_itself() {
        let mut now = Instant::now();
        let mut stall = Stall::begin(now);
        stall.take(1_000_000);
        now += RATE.period;
        assert!(!stall.is_too_slow(RATE, now));
        stall.take(1);
        now += RATE.period;
        assert!(stall.is_too_slow(RATE, now), "what was taken before counts once");
    }

    #[test]
    fn without_a_rate_one_byte_is_enough() {
        let rate = LeastRate { bytes_per_second: 0, ..RATE };
        let now = Instant::now();
        let mut stall = Stall::begin(now);
        assert!(stall.is_too_slow(rate, now + rate.period));
        stall.take(1);
        assert!(!stall.is_too_slow(rate, now + rate.period));
    }
}
