//! A moment of this process's life in eight bytes: half of an `Instant`, for what each connection keeps several of.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::Instant;

/// How long before the first moment the count begins, so that earlier ones can be told apart too.
const BEFORE: Duration = Duration::from_secs(24 * 60 * 60);

/// Nanoseconds since a day before the first moment that was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    pub(crate) fn of(instant: Instant) -> Self {
        Self(nanos(instant.saturating_duration_since(begin(instant))))
    }

    /// Returns the same moment as the clock names it.
    pub(crate) fn instant(self) -> Instant {
        let now = Instant::now();
        let begin = begin(now);
        begin.checked_add(Duration::from_nanos(self.0)).unwrap_or(now)
    }

    pub(crate) fn plus(self, time: Duration) -> Self {
        Self(self.0.saturating_add(nanos(time)))
    }

    pub(crate) fn minus(self, time: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(time)))
    }

    /// Returns how long it is after `earlier`; zero if it is not.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
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
        assert_eq!(Moment::of(now).since(Moment::of(earlier)), Duration::from_millis(20));
        assert_eq!(Moment::of(earlier).since(Moment::of(now)), Duration::ZERO);
        assert_eq!(Moment::of(earlier).plus(Duration::from_millis(20)), Moment::of(now));
    }
}
