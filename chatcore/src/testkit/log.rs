//! The log of one thread, captured for a test.

use std::fmt::{self, Write};
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

/// Captures what the calling thread logs with `tracing`, until it is dropped. If a test's runtime runs on the
/// test's thread, as for `#[tokio::test]`, this includes its tasks.
///
/// An event is `LEVEL message field=value …`, a new span `span name field=value …`.
#[derive(Debug)]
pub struct CapturedLog {
    lines: Arc<Mutex<Vec<String>>>,
    _guard: DefaultGuard,
}

impl CapturedLog {
    /// Starts to capture what the calling thread logs at INFO and above.
    #[must_use]
    pub fn begin() -> Self {
        Self::at(Level::INFO)
    }

    /// Starts to capture what the calling thread logs at `level` and above.
    #[must_use]
    pub fn at(level: Level) -> Self {
        // While there is only one subscriber, `tracing` asks that of the thread that first comes to a log statement
        // whether anybody is interested. If that thread captures nothing, no other thread would see the statement.
        static SECOND: OnceLock<Dispatch> = OnceLock::new();
        SECOND.get_or_init(|| Dispatch::new(NoSubscriber::new()));
        let lines = Arc::default();
        let subscriber = Capture { lines: Arc::clone(&lines), level, spans: AtomicU64::new(1) };
        Self { lines, _guard: tracing::subscriber::set_default(subscriber) }
    }

    /// Returns the lines that were captured since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<String> {
        mem::take(&mut *lock(&self.lines))
    }
}

struct Capture {
    lines: Arc<Mutex<Vec<String>>>,
    level: Level,
    spans: AtomicU64,
}

fn lock(lines: &Mutex<Vec<String>>) -> MutexGuard<'_, Vec<String>> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Subscriber for Capture {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::from_level(self.level))
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields::default();
        span.record(&mut fields);
        lock(&self.lines).push(format!("span {}{}", span.metadata().name(), fields.rest));
        Id::from_u64(self.spans.fetch_add(1, Ordering::Relaxed))
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let line = format!("{} {}{}", event.metadata().level(), fields.message, fields.rest);
        lock(&self.lines).push(line);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Fields {
    message: String,
    rest: String,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.rest, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say() {
        tracing::info!("said");
    }

    #[test]
    fn a_statement_reached_elsewhere_first_is_captured() {
        let log = CapturedLog::begin();
        std::thread::spawn(say).join().expect("a thread");
        say();
        assert_eq!(log.take(), ["INFO said"]);
    }
}
