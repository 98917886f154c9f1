//! The times when clients come back to a server that shuts down: one after the other.

use std::time::Duration;

/// The time between two clients that come back, if they are few.
const APART: Duration = Duration::from_millis(10);

/// Returns for each of `count` clients after how many milliseconds it connects again, beginning at `first`: each
/// at a random moment in its own part of the window, which is at most `longest`.
pub(crate) fn returns(count: usize, first: Duration, longest: Duration) -> Vec<u64> {
    let window = longest.min(APART.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX)));
    let part = window.as_secs_f64() * 1_000.0 / count.max(1) as f64;
    let mut random = vec![0; count * size_of::<u32>()];
    getrandom::fill(&mut random).expect("invariant: the system has a source of randomness");
    let (moments, _) = random.as_chunks();
    let after = moments.iter().enumerate().map(|(at, moment)| {
        let within = f64::from(u32::from_le_bytes(*moment)) / (f64::from(u32::MAX) + 1.0);
        first + Duration::from_secs_f64((at as f64 + within) * part / 1_000.0)
    });
    after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_secs(1);

    #[test]
    fn clients_come_back_one_after_the_other() {
        for (count, window) in [(1, 10), (50, 500), (1_000, 10_000), (20_000, 10_000)] {
            let returns = returns(count, FIRST, Duration::from_secs(10));
            assert_eq!(returns.len(), count);
            assert!(returns.is_sorted() && returns[0] >= 1_000 && returns[count - 1] < 1_000 + window);
            // No tenth of the window has more than its share, except for rounding at its ends.
            let tenth = |at: &u64| (at - 1_000) * 10 / window;
            let most = (0..10).map(|part| returns.iter().filter(|at| tenth(at) == part).count()).max();
            assert!(most <= Some(count.div_ceil(10) + 2), "{count}: {most:?}");
        }
    }

    #[test]
    fn two_drains_give_other_times_and_none_is_none() {
        let longest = Duration::from_secs(10);
        assert_ne!(returns(50, FIRST, longest), returns(50, FIRST, longest));
        assert!(returns(0, FIRST, longest).is_empty());
        assert_eq!(returns(2, FIRST, Duration::ZERO), [1_000, 1_000]);
    }
}
