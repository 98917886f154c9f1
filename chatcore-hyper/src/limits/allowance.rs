//! How often one address may do something.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER};

use crate::error::HttpError;
use crate::limits::address::{ClientAddress, Slots};

/// A number at once, and one more after each interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Allowance {
    /// The number at once, at least one.
    pub at_once: u32,
    /// The time until one more is allowed.
    pub interval: Duration,
}

impl Allowance {
    /// Allows `at_once`, and then one more after each `interval`.
    #[must_use]
    pub const fn new(at_once: u32, interval: Duration) -> Self {
        Self { at_once, interval }
    }

    /// Allows this many kibibytes at once, which become available again over a day.
    pub(crate) fn kibibytes_per_day(bytes: u64) -> Self {
        let count = u32::try_from(bytes >> 10).unwrap_or(u32::MAX).max(1);
        Self::new(count, Duration::from_secs(86_400) / count)
    }
}

/// Limits each address to an [`Allowance`]. Its memory is bounded for any number of addresses.
///
/// ```
/// use std::time::Duration;
///
/// use chatcore_hyper::ClientAddress;
/// use chatcore_hyper::web::{Allowance, PerAddress};
///
/// # fn main() -> Result<(), std::net::AddrParseError> {
/// // Two at once, and one more each minute.
/// let sign_ins = PerAddress::new(Allowance::new(2, Duration::from_secs(60)));
/// let address = ClientAddress::new("192.0.2.1".parse()?);
/// assert!(sign_ins.take(address).is_ok() && sign_ins.take(address).is_ok());
/// let refused = sign_ins.take(address).unwrap_err();
/// assert!(refused.retry_after() <= 60);
/// # Ok(())
/// # }
/// ```
pub struct PerAddress {
    allowance: Allowance,
    slots: Slots,
    limiter: RateLimiter<u16, HashMapStateStore<u16>, MonotonicClock>,
}

impl PerAddress {
    /// Starts with a full allowance for every address.
    #[must_use]
    pub fn new(allowance: Allowance) -> Self {
        let at_once = NonZeroU32::new(allowance.at_once).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(allowance.interval.max(Duration::from_nanos(1)))
            .expect("invariant: the interval is not zero")
            .allow_burst(at_once);
        let limiter = RateLimiter::new(quota, HashMapStateStore::default(), MonotonicClock);
        Self { allowance, slots: Slots::default(), limiter }
    }

    /// Takes one of the address's allowance.
    ///
    /// # Errors
    /// [`TooManyRequests`] if none is left. Then nothing is taken.
    pub fn take(&self, address: ClientAddress) -> Result<(), TooManyRequests> {
        self.take_many(address, NonZeroU32::MIN)
    }

    pub(crate) fn take_many(&self, address: ClientAddress, count: NonZeroU32) -> Result<(), TooManyRequests> {
        match self.limiter.check_key_n(&self.slots.of(address), count) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(later)) => Err(TooManyRequests { retry: later.wait_time_from(MonotonicClock.now()) }),
            // More than the allowance ever has.
            Err(_) => Err(TooManyRequests { retry: self.allowance.interval.saturating_mul(count.get()) }),
        }
    }
}

impl fmt::Debug for PerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerAddress").field("allowance", &self.allowance).finish_non_exhaustive()
    }
}

/// An address has used up its allowance: HTTP 429.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests from this address; try again in {} s", self.retry_after())]
pub struct TooManyRequests {
    retry: Duration,
}

impl TooManyRequests {
    /// Returns the seconds until the next try, at least one: the value of `Retry-After`.
    #[must_use]
    pub fn retry_after(&self) -> u64 {
        (self.retry.as_secs() + u64::from(self.retry.subsec_nanos() > 0)).max(1)
    }
}

impl From<TooManyRequests> for HttpError {
    fn from(error: TooManyRequests) -> Self {
        let answer = Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", error.to_string());
        answer.with_header(RETRY_AFTER, HeaderValue::from(error.retry_after()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> ClientAddress {
        ClientAddress::new(text.parse().unwrap())
    }

    #[test]
    fn an_address_has_so_many_at_once_and_then_one_an_interval() {
        let limit = PerAddress::new(Allowance::new(3, Duration::from_secs(3_600)));
        for _ in 0..3 {
            assert_eq!(limit.take(address("192.0.2.1")), Ok(()));
        }
        let wait = limit.take(address("192.0.2.1")).unwrap_err().retry_after();
        assert!((3_500..=3_600).contains(&wait), "{wait}");
        assert_eq!(limit.take(address("192.0.2.2")), Ok(()), "another address");
    }

    #[test]
    fn more_addresses_than_are_told_apart_cost_no_more_memory() {
        let limit = PerAddress::new(Allowance::new(1, Duration::from_secs(3_600)));
        for n in 0..200_000_u32 {
            let _ = limit.take(ClientAddress::new(std::net::Ipv4Addr::from(n).into()));
        }
        assert!(limit.limiter.len() <= crate::limits::address::SLOTS);
    }

    #[test]
    fn a_days_bytes_are_there_at_once() {
        let limit = PerAddress::new(Allowance::kibibytes_per_day(10 << 10));
        let take = |count| limit.take_many(address("192.0.2.1"), NonZeroU32::new(count).unwrap());
        assert_eq!(take(10), Ok(()));
        let wait = take(1).unwrap_err().retry_after();
        assert!((8_000..=8_640).contains(&wait), "{wait}");
        assert!(take(11).is_err(), "more than there is at any time");
    }
}
