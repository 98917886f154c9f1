//! `Range`, RFC 9110, section 14: the requested bytes of a file.

use std::ops::Range;

/// What to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The whole file.
    Whole,
    /// These bytes of the file, at least one.
    Part(Range<u64>),
    /// The file has no such bytes.
    Unsatisfiable,
}

/// Parses a `Range` header for a file of `size` bytes.
///
/// A header that is malformed or in another unit is ignored. If it has several ranges and the file has one of
/// them, that is sent. If the file has more of them, the answer is the whole file, as the standard allows.
pub(crate) fn wanted(header: &str, size: u64) -> Wanted {
    let Some((unit, ranges)) = header.split_once('=') else { return Wanted::Whole };
    if !unit.eq_ignore_ascii_case("bytes") {
        return Wanted::Whole;
    }
    let mut found = None;
    // Empty list elements are skipped: RFC 9110, section 5.6.1.
    for range in ranges.split(',').map(str::trim).filter(|range| !range.is_empty()) {
        found = Some(match (one(range, size), found) {
            (Wanted::Whole, _) | (Wanted::Part(_), Some(Wanted::Part(_))) => return Wanted::Whole,
            (Wanted::Unsatisfiable, Some(before)) => before,
            (range, _) => range,
        });
    }
    found.unwrap_or(Wanted::Whole)
}

/// Parses one range. A malformed range means the whole file.
fn one(range: &str, size: u64) -> Wanted {
    let Some((first, last)) = range.split_once('-') else { return Wanted::Whole };
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first > last => Wanted::Whole,
        (Some(first), _) if first >= size && (last.is_empty() || number(last).is_some()) => {
            Wanted::Unsatisfiable
        }
        (Some(first), Some(last)) => Wanted::Part(first..size.min(last.saturating_add(1))),
        (Some(first), None) if last.is_empty() => Wanted::Part(first..size),
        (None, Some(count)) if first.is_empty() => {
            if count == 0 || size == 0 {
                Wanted::Unsatisfiable
            } else {
                Wanted::Part(size.saturating_sub(count)..size)
            }
        }
        _ => Wanted::Whole,
    }
}

/// Parses digits. A number that is too large for `u64` becomes its largest value.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::Wanted::{Part, Unsatisfiable, Whole};
    use super::*;

    #[test]
    fn a_single_range_is_cut_to_the_file() {
        assert_eq!(wanted("bytes=0-0", 10), Part(0..1));
        assert_eq!(wanted("bytes=2-5", 10), Part(2..6));
        assert_eq!(wanted("Bytes=2-5", 10), Part(2..6));
        assert_eq!(wanted("bytes=2-", 10), Part(2..10));
        assert_eq!(wanted("bytes=2-99", 10), Part(2..10));
        assert_eq!(wanted("bytes=-3", 10), Part(7..10));
        assert_eq!(wanted("bytes=-99", 10), Part(0..10));
        assert_eq!(wanted("bytes=9-99999999999999999999999", 10), Part(9..10));
    }

    #[test]
    fn what_the_file_does_not_have_is_unsatisfiable() {
        for header in ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(wanted(header, 10), Unsatisfiable, "{header}");
        }
        assert_eq!(wanted("bytes=0-", 0), Unsatisfiable);
        assert_eq!(wanted("bytes=-1", 0), Unsatisfiable);
    }

    #[test]
    fn of_several_ranges_the_only_one_there_is_is_sent() {
        assert_eq!(wanted("bytes= 2-5 ,", 10), Part(2..6));
        assert_eq!(wanted("bytes=,,2-5", 10), Part(2..6));
        assert_eq!(wanted("bytes=2-5, 10-20", 10), Part(2..6));
        assert_eq!(wanted("bytes=10-20,-0,2-5", 10), Part(2..6));
        assert_eq!(wanted("bytes=10-20, 30-40", 10), Unsatisfiable);
    }

    #[test]
    fn what_is_not_one_range_of_bytes_gives_the_whole() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=5-2",
            "bytes=,",
            "bytes=0-1,3-4",
            "bytes=0-1,0-1",
            "bytes=0-1,a-b",
            "bytes=10-,a-b",
            "bytes=0-1 3-4",
            "bytes =0-1",
            "items=0-1",
            "bytes=+1-2",
            "bytes=1-x",
            "bytes=99-x",
        ] {
            assert_eq!(wanted(header, 10), Whole, "{header:?}");
        }
    }
}
