//! Steady rates with a burst, stored as one moment: the generic cell rate algorithm (ITU-T I.371). It has no
//! clock.

use std::time::Duration;

use crate::model::moment::Moment;

/// The length of a day, for bounds per day.
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The most nanoseconds that a pace falls behind. More would still punish a user long after a flood has ended.
const MOST_DEBT: u64 = 5_000_000_000;

/// A burst, and a rate after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Nanoseconds until one unit is available again.
    unit: u64,
    /// Nanoseconds until the whole burst is available again.
    burst: u64,
}

impl Rate {
    /// Returns a rate of `burst` units at once, and `count` units per `period` after that. Each is at least one.
    pub(crate) fn new(burst: u64, count: u64, period: Duration) -> Self {
        let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
        let unit = (period / count.max(1)).max(1);
        Self { unit, burst: unit.saturating_mul(burst.max(1)) }
    }

    /// Returns the rate of `count` participants together.
    pub(crate) fn times(self, count: u32) -> Self {
        Self { unit: (self.unit / u64::from(count.max(1))).max(1), ..self }
    }

    /// Returns the nanoseconds of so many units.
    fn time(self, units: u64) -> u64 {
        self.unit.saturating_mul(units)
    }

    /// Returns the nanoseconds of so many units, or of the whole burst if that is less: more would never be
    /// available.
    fn price(self, units: u64) -> u64 {
        self.time(units).min(self.burst)
    }
}

/// What was taken at a [`Rate`], as the moment at which all of it is available again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    full_at: Moment,
}

impl Pace {
    pub(crate) fn new(now: Moment) -> Self {
        Self { full_at: now }
    }

    /// Takes `units` if they are available.
    ///
    /// # Errors
    /// Returns the time until they are.
    pub(crate) fn take(&mut self, rate: Rate, now: Moment, units: u64) -> Result<(), Duration> {
        let next = self.full_at.max(now).plus_nanos(rate.price(units));
        let ahead = next.nanos_since(now);
        if ahead > rate.burst {
            return Err(Duration::from_nanos(ahead - rate.burst));
        }
        self.full_at = next;
        Ok(())
    }

    /// Takes `units`, whether or not they are available. What is missing is a debt of at most [`MOST_DEBT`].
    pub(crate) fn spend(&mut self, rate: Rate, now: Moment, units: u64) {
        let most = rate.burst.saturating_add(MOST_DEBT);
        self.full_at = self.full_at.max(now).plus_nanos(rate.time(units).min(most)).min(now.plus_nanos(most));
    }

    /// Gives back `units` that were not used.
    pub(crate) fn give_back(&mut self, rate: Rate, units: u64) {
        self.full_at = self.full_at.minus_nanos(rate.price(units));
    }

    /// Returns the time until a debt is paid, or zero if there is none.
    pub(crate) fn debt(&self, rate: Rate, now: Moment) -> Duration {
        match self.full_at.nanos_since(now).saturating_sub(rate.burst) {
            0 => Duration::ZERO,
            nanos => Duration::from_nanos(nanos),
        }
    }

    /// Returns whether the whole burst is available.
    pub(crate) fn is_rested(&self, now: Moment) -> bool {
        self.full_at <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_burst_is_there_at_once_and_then_the_rate_holds() {
        let rate = Rate::new(3, 10, SECOND);
        let now = Moment::now();
        let mut pace = Pace::new(now);
        assert_eq!(pace.take(rate, now, 2), Ok(()));
        assert_eq!(pace.take(rate, now, 1), Ok(()));
        let wait = pace.take(rate, now, 1).unwrap_err();
        assert_eq!(wait, Duration::from_millis(100));
        assert_eq!(pace.take(rate, now + wait, 1), Ok(()));
        assert!(pace.take(rate, now + wait, 1).is_err());
    }

    #[test]
    fn what_costs_more_than_the_burst_passes_with_all_of_it() {
        let rate = Rate::new(3, 10, SECOND);
        let now = Moment::now();
        let mut pace = Pace::new(now);
        assert_eq!(pace.take(rate, now, 100), Ok(()));
        assert_eq!(pace.take(rate, now, 100), Err(Duration::from_millis(300)));
    }

    #[test]
    fn a_debt_is_named_bounded_and_paid() {
        let rate = Rate::new(3, 10, SECOND);
        let now = Moment::now();
        let mut pace = Pace::new(now);
        pace.spend(rate, now, 3);
        assert_eq!(pace.debt(rate, now), Duration::ZERO);
        pace.spend(rate, now, 1);
        assert_eq!(pace.debt(rate, now), Duration::from_millis(100));
        pace.spend(rate, now, 4);
        assert_eq!(pace.debt(rate, now), Duration::from_millis(500), "more at once than the burst");
        pace.spend(rate, now, u64::MAX);
        assert_eq!(pace.debt(rate, now), Duration::from_nanos(MOST_DEBT));
        assert!(pace.is_rested(now + Duration::from_nanos(MOST_DEBT) + Duration::from_millis(300)));
    }

    #[test]
    fn what_is_given_back_is_there_again() {
        let rate = Rate::new(1, 1, SECOND);
        let now = Moment::now();
        let mut pace = Pace::new(now);
        assert_eq!(pace.take(rate, now, 1), Ok(()));
        pace.give_back(rate, 1);
        assert_eq!(pace.take(rate, now, 1), Ok(()));
    }

    #[test]
    fn a_rate_of_many_is_as_many_times_the_rate_of_one() {
        let rate = Rate::new(3, 10, SECOND).times(4);
        let now = Moment::now();
        let mut pace = Pace::new(now);
        (0..12).for_each(|_| assert_eq!(pace.take(rate, now, 1), Ok(())));
        assert_eq!(pace.take(rate, now, 1), Err(Duration::from_millis(25)));
    }
}
