//! The log of failures: one line at once for each kind, then a count.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::{self, Display, Write};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The shortest time between two lines of one kind.
const INTERVAL: Duration = Duration::from_secs(10);

/// The most bytes per line of an error's text, and of `about`.
const TEXT_BYTES: usize = 1_024;

/// Writes failures to the log, limited by kind.
///
/// The first failure of a kind is a line at once, with every source of its error. Failures that follow within ten
/// seconds are counted. At the end of the ten seconds their count is a line, with the last of them: `append
/// failed: … and 1,234 more`. So a flood of one kind costs six lines per minute, and hides no other kind.
///
/// The lines are [`tracing`] events with the target `chatcore::failures` and the fields `about` and `error`.
/// Control characters in the fields are escaped, and each field is cut at 1,024 bytes, since parts of them come
/// from outside. A caller must not put a message's text, a token or a file's content into a line.
///
/// A [`Chat`](crate::Chat) has [one](crate::Chat::failures), which transports and the app's own code share. Clones
/// are handles to the same log. Outside of a tokio runtime, a count waits for the next failure of its kind, or for
/// the last handle to be dropped.
#[derive(Clone, Debug, Default)]
pub struct FailureLog {
    kinds: Arc<Kinds>,
}

/// The severity, which decides the level of its lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Severity {
    /// ERROR: an operator has something to fix.
    Failure,
    /// WARN: a limit was reached.
    Limit,
    /// INFO: a client misbehaved.
    Client,
}

#[derive(Debug, Default)]
struct Kinds(Mutex<BTreeMap<&'static str, Kind>>);

/// A kind with a line within the interval.
#[derive(Debug)]
struct Kind {
    severity: Severity,
    /// When the next line may be written.
    due: Instant,
    /// The number of failures since the last line.
    more: u64,
    /// The last failure.
    last: Texts,
    /// Whether a task waits for `due`.
    timed: bool,
}

#[derive(Debug, Default)]
struct Texts {
    about: String,
    error: String,
}

impl FailureLog {
    /// Returns a log for a part of a program without a [`Chat`](crate::Chat).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reports a failure that an operator may have to fix, of a store, a disk or a task, at level ERROR. `kind`
    /// says what failed. `about` says for what, such as `channel general`, and may be empty.
    pub fn failed(&self, kind: &'static str, about: impl Display, error: &(dyn Error + 'static)) {
        self.report(Severity::Failure, kind, Texts { about: text(about), error: text(Chain(error)) });
    }

    /// Reports that a limit was reached, at level WARN.
    pub fn limited(&self, kind: &'static str, about: impl Display) {
        self.report(Severity::Limit, kind, Texts { about: text(about), error: String::new() });
    }

    /// Reports a misbehaving client, such as one that breaks the protocol, at level INFO.
    pub fn misused(&self, kind: &'static str, about: impl Display) {
        self.report(Severity::Client, kind, Texts { about: text(about), error: String::new() });
    }

    fn report(&self, severity: Severity, kind: &'static str, texts: Texts) {
        let now = Instant::now();
        let mut kinds = self.kinds.lock();
        let Some(known) = kinds.get_mut(kind) else {
            let last = Texts::default();
            kinds.insert(kind, Kind { severity, due: now + INTERVAL, more: 0, last, timed: false });
            drop(kinds);
            return write(severity, kind, None, &texts);
        };
        if now < known.due {
            known.more += 1;
            known.last = texts;
            if !known.timed {
                known.timed = self.start_timer(kind, known.due);
            }
            return;
        }
        let more = mem::take(&mut known.more);
        known.due = now + INTERVAL;
        drop(kinds);
        write(severity, kind, (more > 0).then_some(more + 1), &texts);
    }

    /// Starts a task that writes the count at `due`. Returns whether there is a runtime for it.
    fn start_timer(&self, kind: &'static str, due: Instant) -> bool {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return false };
        runtime.spawn(count_when_due(Arc::downgrade(&self.kinds), kind, due));
        true
    }
}

async fn count_when_due(kinds: Weak<Kinds>, kind: &'static str, mut due: Instant) {
    loop {
        sleep_until(due).await;
        let Some(kinds) = kinds.upgrade() else { return };
        match kinds.count(kind) {
            Some(next) => due = next,
            None => return,
        }
    }
}

impl Kinds {
    // Held for a look into a map with as many entries as there are kinds in the program.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Kind>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the count of a kind whose interval is over, and returns when the next one ends. Removes a kind
    /// without further failures.
    fn count(&self, kind: &'static str) -> Option<Instant> {
        let mut kinds = self.lock();
        let known = kinds.get_mut(kind)?;
        let now = Instant::now();
        if now < known.due {
            return Some(known.due);
        }
        if known.more == 0 {
            kinds.remove(kind);
            return None;
        }
        known.due = now + INTERVAL;
        let (due, severity) = (known.due, known.severity);
        let (more, last) = (mem::take(&mut known.more), mem::take(&mut known.last));
        drop(kinds);
        write(severity, kind, Some(more), &last);
        Some(due)
    }
}

impl Drop for Kinds {
    fn drop(&mut self) {
        let kinds = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (kind, known) in mem::take(kinds) {
            if known.more > 0 {
                write(known.severity, kind, Some(known.more), &known.last);
            }
        }
    }
}

fn write(severity: Severity, kind: &'static str, more: Option<u64>, texts: &Texts) {
    let line = Line { kind, more };
    let about = (!texts.about.is_empty()).then_some(texts.about.as_str());
    let error = (!texts.error.is_empty()).then_some(texts.error.as_str());
    match severity {
        Severity::Failure => tracing::error!(about, error, "{line}"),
        Severity::Limit => tracing::warn!(about, error, "{line}"),
        Severity::Client => tracing::info!(about, error, "{line}"),
    }
}

struct Line {
    kind: &'static str,
    more: Option<u64>,
}

impl Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind)?;
        let Some(more) = self.more else { return Ok(()) };
        f.write_str(": … and ")?;
        let digits = more.to_string();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                f.write_char(',')?;
            }
            f.write_char(digit)?;
        }
        f.write_str(" more")
    }
}

/// An error with all its sources.
struct Chain<'a>(&'a (dyn Error + 'static));

impl Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

/// Formats a value without control characters, cut at [`TEXT_BYTES`].
fn text(shown: impl Display) -> String {
    let mut safe = Safe(String::new());
    // The only possible error is that the text was cut.
    if write!(safe, "{shown}").is_err() {
        safe.0.push('…');
    }
    safe.0
}

struct Safe(String);

impl Write for Safe {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if self.0.len() >= TEXT_BYTES {
                return Err(fmt::Error);
            }
            match c {
                // They end a line, or reverse its direction.
                '\u{2028}'
                | '\u{2029}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}' => {
                    self.0.extend(c.escape_unicode());
                }
                c if c.is_control() => self.0.extend(c.escape_default()),
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::CapturedLog;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Failed(String, #[source] Option<Box<Failed>>);

    fn failed(text: &str) -> Failed {
        Failed(text.to_owned(), None)
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_one_kind_is_a_line_and_then_a_count() {
        let (log, failures) = (CapturedLog::begin(), FailureLog::new());
        for n in 0..1_235 {
            failures.failed("append failed", "", &failed(&format!("number {n}")));
        }
        assert_eq!(log.take(), ["ERROR append failed error=number 0"]);
        tokio::time::sleep(INTERVAL + Duration::from_secs(1)).await;
        assert_eq!(log.take(), ["ERROR append failed: … and 1,234 more error=number 1234"]);
        tokio::time::sleep(2 * INTERVAL).await;
        failures.failed("append failed", "channel a", &failed("again"));
        assert_eq!(log.take(), ["ERROR append failed about=channel a error=again"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_that_goes_on_is_counted_every_ten_seconds() {
        let (log, failures) = (CapturedLog::begin(), FailureLog::new());
        for _ in 0..30 {
            failures.limited("too many", "");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let lines = log.take();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[1..].iter().all(|line| line.starts_with("WARN too many: … and ")), "{lines:?}");
    }

    #[tokio::test]
    async fn one_kind_hides_no_other() {
        let (log, failures) = (CapturedLog::begin(), FailureLog::new());
        failures.failed("a", "", &failed("x"));
        failures.failed("a", "", &failed("x"));
        failures.misused("b", "user u_1");
        assert_eq!(log.take(), ["ERROR a error=x", "INFO b about=user u_1"]);
    }

    #[test]
    fn what_was_not_written_is_counted_at_the_end() {
        let (log, failures) = (CapturedLog::begin(), FailureLog::new());
        for _ in 0..3 {
            failures.failed("a", "", &failed("x"));
        }
        assert_eq!(log.take().len(), 1);
        drop(failures);
        assert_eq!(log.take(), ["ERROR a: … and 2 more error=x"]);
    }

    #[test]
    fn a_line_has_every_source_and_is_one_line() {
        let (log, failures) = (CapturedLog::begin(), FailureLog::new());
        let cause = Failed("disk\nfull\u{1b}[31m\u{202e}".to_owned(), Some(Box::new(failed("os error 28"))));
        failures.failed("a", "channel x\r", &Failed("not written".to_owned(), Some(Box::new(cause))));
        let expected =
            r"ERROR a about=channel x\r error=not written: disk\nfull\u{1b}[31m\u{202e}: os error 28";
        assert_eq!(log.take(), [expected]);
    }

    #[test]
    fn a_text_is_cut_at_its_bound() {
        assert_eq!(text("x".repeat(TEXT_BYTES)), "x".repeat(TEXT_BYTES));
        assert_eq!(text("x".repeat(TEXT_BYTES + 1)), "x".repeat(TEXT_BYTES) + "…");
    }
}
