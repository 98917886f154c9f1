//! The filter and the format of the log.

use std::error::Error;
use std::io::{IsTerminal, stderr};
use std::str::FromStr;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

use crate::options::Options;

/// A filter of log lines: a level, or levels per part of the program, separated by commas.
#[derive(Clone, Debug)]
pub struct LogFilter(Targets);

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[non_exhaustive]
pub enum LogFormat {
    /// For people, with colours in a terminal.
    Text,
    /// A JSON object per line, with its spans.
    Json,
}

/// The text is not a valid filter of log lines.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid log filter {0:?}: write a level (off, error, warn, info, debug, trace), or part=level, as in info,chatcore=debug"
)]
pub struct InvalidFilter(String);

impl FromStr for LogFilter {
    type Err = InvalidFilter;

    fn from_str(text: &str) -> Result<Self, InvalidFilter> {
        let invalid = || InvalidFilter(text.to_owned());
        for directive in text.split(',') {
            // A single word that is not a level would enable a part that does not exist.
            let (part, level) = directive.rsplit_once('=').unwrap_or(("", directive));
            if !part.trim().chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':')) {
                return Err(invalid());
            }
            // The parser reads an empty level as `error`.
            if level.trim().is_empty() || level.trim().parse::<LevelFilter>().is_err() {
                return Err(invalid());
            }
        }
        let targets: Targets = text.parse().map_err(|_| invalid())?;
        // It has a line per attempt to connect. The bus has one when something changes.
        let part = "async_nats";
        Ok(Self(if text.contains(part) { targets } else { targets.with_target(part, LevelFilter::OFF) }))
    }
}

impl Options {
    /// Starts logging to standard error, as the options say.
    ///
    /// # Panics
    /// If the process has another logger already.
    pub fn start_log(&self) {
        let format = tracing_subscriber::fmt::layer().with_writer(stderr);
        let registry = tracing_subscriber::registry();
        match self.log_format {
            LogFormat::Text => {
                let format = format.with_ansi(stderr().is_terminal());
                registry.with(format.with_filter(self.log.0.clone())).init();
            }
            LogFormat::Json => registry.with(format.json().with_filter(self.log.0.clone())).init(),
        }
    }
}

/// Returns an error and its causes in one line.
#[must_use]
pub fn in_one_line(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line = format!("{line}: {cause}");
        source = cause.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn the_client_of_nats_is_quiet_unless_named() {
        let logs = |filter: &str| {
            let LogFilter(targets) = filter.parse().unwrap();
            [Level::ERROR, Level::WARN, Level::INFO].map(|level| targets.would_enable("async_nats", &level))
        };
        assert_eq!(logs("info"), [false; 3]);
        assert_eq!(logs("error,chatcore=debug"), [false; 3]);
        assert_eq!(logs("off,async_nats=info"), [true; 3]);
    }

    #[test]
    fn a_filter_consists_of_levels_only() {
        for good in ["info", "off", "WARN", "info,chatcore=debug", "chatcore::failures=off,error"] {
            good.parse::<LogFilter>().unwrap();
        }
        for bad in ["", "loud", "info,", "chatcore", "chatcore=loud", "info;chatcore=debug"] {
            let error = bad.parse::<LogFilter>().unwrap_err().to_string();
            assert!(error.contains("chatcore=debug"), "says how one is written: {error}");
        }
    }
}
