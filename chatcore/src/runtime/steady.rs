//! A clock that ignores jumps, for ages: a wrong system clock must not make things expire early or stay for ever.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::time::{Clock, Timestamp};

/// How far a correct clock may be from the expected time, since clocks are adjusted.
const SLACK: Duration = Duration::from_secs(60);

/// The state of a steady clock.
#[derive(Debug)]
struct Steady {
    /// When the clock was last right, and the time it showed.
    right: (Instant, Timestamp),
    /// Since when no jump was followed.
    settled: Instant,
    /// When the jump was noticed that is not followed yet.
    jumped: Option<Instant>,
}

impl Steady {
    fn new(now: Instant, said: Timestamp) -> Self {
        Self { right: (now, said), settled: now, jumped: None }
    }

    fn read(&mut self, patience: Duration, now: Instant, says: Timestamp) -> Timestamp {
        let (at, said) = self.right;
        let expected = said.plus(now - at);
        if says.minus(SLACK) <= expected && expected <= says.plus(SLACK) {
            self.right = (now, says);
            self.jumped = None;
            return says;
        }
        let jumped = *self.jumped.get_or_insert(now);
        if now - self.settled >= patience && now - jumped < patience {
            return expected;
        }
        *self = Self::new(now, says);
        says
    }
}

impl Clock {
    /// Returns a clock that goes on at its pace if this one jumps by more than a minute, forward or back. It
    /// follows the jump after `patience`. Time is measured by the process's own monotonic clock. In the first
    /// `patience` after the start, or after a jump that it has followed, it follows at once: a machine may start
    /// with a wrong clock and correct it soon.
    ///
    /// Use it for things that expire by age. A machine that sleeps is a jump, too.
    #[must_use]
    pub fn steady(self, patience: Duration) -> Self {
        let steady = Mutex::new(Steady::new(Instant::now(), self.now()));
        Self::new(move || {
            let says = self.now();
            // Held for a comparison.
            let mut steady = steady.lock().expect("invariant: nothing panics under this lock");
            steady.read(patience, Instant::now(), says)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);
    const MINUTE: Duration = Duration::from_secs(60);

    /// Reads a clock that is steady for an hour. `clock` has moments in seconds after the start, each with the
    /// clock's time.
    fn read(clock: &[(u64, i64)]) -> Vec<i64> {
        const START: i64 = 1_700_000_000;
        let begin = Instant::now();
        let moment = |seconds: i64| Timestamp::from_millis((START + seconds) * 1_000);
        let mut steady = Steady::new(begin, moment(0));
        let mut read = |&(at, says): &(u64, i64)| {
            let now = begin + Duration::from_secs(at);
            steady.read(HOUR, now, moment(says)).as_millis() / 1_000 - START
        };
        clock.iter().map(&mut read).collect()
    }

    #[test]
    fn a_clock_that_is_adjusted_is_followed() {
        assert_eq!(read(&[(10, 10), (4_000, 4_060), (4_100, 4_100)]), [10, 4_060, 4_100]);
    }

    #[test]
    fn a_jump_that_comes_back_is_passed_over() {
        for jumped in [1_000_000_000, 4_300, -4_000, -1_000_000_000] {
            let clock = [(4_000, 4_000), (4_010, jumped), (7_000, jumped + 2_990), (7_010, 7_010)];
            assert_eq!(read(&clock), [4_000, 4_010, 7_000, 7_010], "{jumped}");
        }
    }

    #[test]
    fn a_jump_that_lasts_is_followed() {
        let clock = [(4_000, 4_000), (4_010, 9_010), (7_609, 12_609), (7_610, 12_610), (7_620, 12_620)];
        assert_eq!(read(&clock), [4_000, 4_010, 7_609, 12_610, 12_620]);
    }

    #[test]
    fn soon_after_the_start_a_jump_is_followed_at_once() {
        assert_eq!(read(&[(10, 10), (20, 90_000), (4_000, 93_980)]), [10, 90_000, 93_980]);
        // And soon after a jump that was followed.
        let followed = [(4_000, 4_000), (4_010, 90_000), (7_610, 93_600), (7_700, 7_700)];
        assert_eq!(read(&followed), [4_000, 4_010, 93_600, 7_700]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_steady_clock_goes_on_by_the_processs_own() {
        let clock = Clock::new(|| Timestamp::from_millis(1_700_000_000_000)).steady(MINUTE * 10);
        tokio::time::advance(MINUTE * 2).await;
        assert_eq!(clock.now().as_millis(), 1_700_000_000_000, "not settled yet");
        tokio::time::advance(MINUTE * 12).await;
        assert_eq!(clock.now().as_millis(), 1_700_000_000_000 + 12 * 60_000);
    }
}
