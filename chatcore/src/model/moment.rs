//! A moment of this process in eight bytes: half of an `Instant`, since each connection stores several.

use std::ops::{Add, Sub};
use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::Instant;

/// How long before the first moment the count begins, so that earlier moments differ too.
const BEFORE: Duration = Duration::from_secs(24 * 60 * 60);

/// Nanoseconds since a day before the first moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    pub(crate) fn now() -> Self {
        Self::of(Instant::now())
    }

    pub(crate) fn of(instant: Instant) -> Self {
        Self(nanos(instant.into_std().saturating_duration_since(begin(instant).into_std())))
    }

    /// Returns the same moment as an `Instant`.
    pub(crate) fn instant(self) -> Instant {
        let now = Instant::now();
        begin(now).checked_add(Duration::from_nanos(self.0)).unwrap_or(now)
    }

    pub(crate) const fn plus_nanos(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    pub(crate) fn minus(self, time: Duration) -> Self {
        self.minus_nanos(nanos(time))
    }

    pub(crate) const fn minus_nanos(self, nanos: u64) -> Self {
        Self(self.0.saturating_sub(nanos))
    }

    /// Returns the nanoseconds after `earlier`, or 0 if it is not earlier.
    pub(crate) const fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        self.plus_nanos(nanos(time))
    }
}

/// The time after another moment, or zero if it is not later.
impl Sub for Moment {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos_since(earlier))
    }
}

fn nanos(time: Duration) -> u64 {
    time.as_secs().saturating_mul(1_000_000_000).saturating_add(time.subsec_nanos().into())
}

fn begin(first: Instant) -> Instant {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    *BEGIN.get_or_init(|| first.checked_sub(BEFORE).unwrap_or(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_the_instant_that_it_was_made_of() {
        let now = Instant::now();
        let earlier = now - Duration::from_millis(20);
        for instant in [now, earlier, now + Duration::from_secs(3_600)] {
            assert_eq!(Moment::of(instant).instant(), instant);
        }
        assert_eq!(Moment::of(now) - Moment::of(earlier), Duration::from_millis(20));
        assert_eq!(Moment::of(earlier) - Moment::of(now), Duration::ZERO);
        assert_eq!(Moment::of(earlier) + Duration::from_millis(20), Moment::of(now));
    }
}
