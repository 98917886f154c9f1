//! The time of an event: milliseconds since 1970 in UTC, RFC 3339 on the wire.

use std::cell::Cell;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A moment, to the millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 9999-12-30T21:59:59.999Z: up to here, every moment has a four-digit year in every time zone.
    const MAX_MILLIS: i64 = 253_402_207_199_999;

    /// How far the last event of a log may be ahead of the clock before the next event ignores its time.
    const AHEAD: Duration = Duration::from_secs(60);

    /// Returns the moment this many milliseconds after 1970-01-01T00:00:00Z, clamped to the years 1970 to 9999.
    #[must_use]
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(0, Self::MAX_MILLIS))
    }

    /// Returns the milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn as_millis(self) -> i64 {
        self.0
    }

    /// Returns the system's time.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = since.as_secs().saturating_mul(1_000).saturating_add(since.subsec_millis().into());
        Self::from_millis(i64::try_from(millis).unwrap_or(Self::MAX_MILLIS))
    }

    /// Returns the time of an event that a store accepts at this moment, in a log whose last event has the time
    /// `last`.
    ///
    /// Times in a log do not decrease, so it is the later of the two. But a clock that was once wrong must not
    /// stop the log: if `last` is more than a minute ahead, the event has this moment's time.
    #[must_use]
    pub fn following(self, last: Self) -> Self {
        if last.minus(Self::AHEAD) > self { self } else { self.max(last) }
    }

    /// Returns the moment `by` before this one.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis(self.0.saturating_sub(by))
    }

    /// Returns the moment `by` after this one.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis(self.0.saturating_add(by))
    }
}

impl Timestamp {
    /// Returns it in RFC 3339, in ASCII. An event has it twice, and the general formatter takes ten times as long.
    pub(crate) fn to_text(self) -> [u8; 24] {
        thread_local! {
            /// The last second that was written here, and its text: mostly the one of the next event too.
            static LAST: Cell<(i64, [u8; 24])> = const { Cell::new((-1, [0; 24])) };
        }
        let (second, millis) = (self.0 / 1_000, (self.0 % 1_000) as u32);
        let (last, mut text) = LAST.get();
        if last != second {
            text = second_text(second);
            LAST.set((second, text));
        }
        let digit = |number: u32| b'0' + (number % 10) as u8;
        (text[20], text[21], text[22]) = (digit(millis / 100), digit(millis / 10), digit(millis));
        text
    }
}

/// Returns the text of a second without its milliseconds.
fn second_text(second: i64) -> [u8; 24] {
    let moment = jiff::Timestamp::from_second(second)
        .expect("invariant: the constructor holds the years between 1970 and 9999");
    let moment = jiff::tz::Offset::UTC.to_datetime(moment);
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let mut write = |at: usize, number: u32| {
        let digit = |number: u32| b'0' + (number % 10) as u8;
        (text[at], text[at + 1]) = (digit(number / 10), digit(number));
    };
    let year = u32::from(moment.year().unsigned_abs());
    write(0, year / 100);
    write(2, year);
    write(5, moment.month().unsigned_abs().into());
    write(8, moment.day().unsigned_abs().into());
    write(11, moment.hour().unsigned_abs().into());
    write(14, moment.minute().unsigned_abs().into());
    write(17, moment.second().unsigned_abs().into());
    text
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.to_text();
        f.write_str(std::str::from_utf8(&text).expect("invariant: ASCII"))
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        let moment: jiff::Timestamp = text.parse().map_err(|_| InvalidTimestamp)?;
        Ok(Self::from_millis(moment.as_millisecond()))
    }
}

/// The clock of a store: the system's, or a given one for tests and simulations.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// Returns a clock that calls `now`.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Returns the clock's time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl Default for Clock {
    /// Returns the system's clock.
    fn default() -> Self {
        Self::new(Timestamp::now)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// An invalid RFC 3339 time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid time: it must be in the RFC 3339 format")]
pub struct InvalidTimestamp;

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_utc_with_milliseconds_and_reads_it_back() {
        let moment = Timestamp::from_millis(1_700_000_000_007);
        assert_eq!(moment.to_string(), "2023-11-14T22:13:20.007Z");
        assert_eq!("2023-11-14T22:13:20.007Z".parse(), Ok(moment));
        assert_eq!("yesterday".parse::<Timestamp>(), Err(InvalidTimestamp));
    }

    #[test]
    fn is_written_as_the_general_formatter_writes_it() {
        for millis in (0..Timestamp::MAX_MILLIS).step_by(25_340_220_719) {
            let moment = Timestamp::from_millis(millis);
            let expected = jiff::Timestamp::from_millisecond(millis).unwrap();
            assert_eq!(moment.to_string(), format!("{expected:.3}"));
        }
    }

    #[test]
    fn time_follows_the_last_event_unless_that_is_a_minute_ahead() {
        let at = Timestamp::from_millis;
        assert_eq!(at(1_000_000).following(at(999_999)), at(1_000_000));
        assert_eq!(at(1_000_000).following(at(1_060_000)), at(1_060_000), "at the limit");
        assert_eq!(at(1_000_000).following(at(1_060_001)), at(1_000_000), "past it");
    }

    #[test]
    fn stays_within_what_rfc_3339_can_say() {
        assert_eq!(Timestamp::from_millis(i64::MAX).to_string(), "9999-12-30T21:59:59.999Z");
        assert_eq!(Timestamp::from_millis(-5).as_millis(), 0);
    }
}
