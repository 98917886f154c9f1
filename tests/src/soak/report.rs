//! The table of a soak.

use std::fmt;

/// The counts since the beginning of the soak, at the end of one life of the service.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The number of the life, from 1.
    pub life: usize,
    /// The resident memory of the service at its end.
    pub resident_bytes: u64,
    /// The number of acknowledged publishes.
    pub publishes: u64,
    /// The number of events received by sockets.
    pub deliveries: u64,
    /// The number of connections.
    pub connects: u64,
    /// The number of subscriptions resumed from a position.
    pub resumes: u64,
    /// The number of subscriptions that were reset.
    pub resets: u64,
    /// The number of events that a socket missed.
    pub lost: u64,
    /// The number of events that a socket received twice.
    pub doubled: u64,
}

impl Row {
    /// The header of the table.
    pub const HEAD: &str =
        " life  MiB held  publishes  deliveries  connects   resumes  resets  lost  doubled";
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:5}{:10}{:11}{:12}{:10}{:10}{:8}{:6}{:9}",
            self.life,
            self.resident_bytes >> 20,
            self.publishes,
            self.deliveries,
            self.connects,
            self.resumes,
            self.resets,
            self.lost,
            self.doubled
        )
    }
}

/// The result of a soak.
#[derive(Debug, Default)]
pub struct Report {
    /// A row per life of the service.
    pub rows: Vec<Row>,
    /// The number of channels whose whole log was compared with the acknowledgements.
    pub checked: usize,
}

impl Report {
    /// How much memory the service may use at the end of a later life beyond that of the second, if that is more
    /// than a quarter: lives with 2,000 sockets differ by some megabytes.
    const NOISE_BYTES: u64 = 16 << 20;

    /// Checks that nothing was lost or duplicated, and that no socket was reset.
    ///
    /// # Errors
    /// A description of the fault.
    pub fn check(&self) -> Result<(), String> {
        let last = self.rows.last().ok_or("no life of the service was long enough for a row")?;
        if last.publishes == 0 || last.deliveries == 0 || last.resumes == 0 {
            return Err(format!("nothing happened: {last:?}"));
        }
        if last.lost + last.doubled + last.resets > 0 {
            return Err(format!("{} lost, {} doubled, {} resets", last.lost, last.doubled, last.resets));
        }
        Ok(())
    }

    /// Checks that the memory at the end of each life is at most that of the second life plus a quarter or 16 MiB,
    /// whichever is more.
    ///
    /// # Errors
    /// A description of the fault.
    pub fn check_memory(&self) -> Result<(), String> {
        let Some((second, later)) = self.rows.get(1..).and_then(<[Row]>::split_first) else { return Ok(()) };
        let most = second.resident_bytes + Self::NOISE_BYTES.max(second.resident_bytes / 4);
        let grew = later.iter().find(|row| row.resident_bytes > most);
        match grew {
            None => Ok(()),
            Some(row) => Err(format!(
                "the service held {} MiB in life 2 and {} MiB in life {}",
                second.resident_bytes >> 20,
                row.resident_bytes >> 20,
                row.life
            )),
        }
    }
}
