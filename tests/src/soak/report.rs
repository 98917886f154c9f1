//! The table of a soak.

use std::fmt;

/// The counts at the end of one life of the service, since the soak began.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Which life, from 1.
    pub life: usize,
    /// The memory that the service held at its end.
    pub resident_bytes: u64,
    /// Publishes that were acknowledged.
    pub publishes: u64,
    /// Events that came to sockets.
    pub deliveries: u64,
    /// Connections that were made.
    pub connects: u64,
    /// Subscriptions that went on from a position.
    pub resumes: u64,
    /// Subscriptions that were told to start over.
    pub resets: u64,
    /// Events that a socket was not given.
    pub lost: u64,
    /// Events that a socket was given twice.
    pub doubled: u64,
}

impl Row {
    /// The heads of the columns.
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

/// What a soak came to.
#[derive(Debug, Default)]
pub struct Report {
    /// A row per life of the service.
    pub rows: Vec<Row>,
    /// Channels whose whole log was held against the acknowledgements.
    pub checked: usize,
}

impl Report {
    /// How much more the service may hold at the end of a later life than at the end of the second, if that is more
    /// than a quarter: lives of 2,000 sockets differ by some megabytes.
    const NOISE_BYTES: u64 = 16 << 20;

    /// Checks that nothing was lost or doubled, and that no socket had to start over.
    ///
    /// # Errors
    /// What is wrong, in words.
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

    /// Checks that the service held no more memory at the end of each life than at the end of the second, and a
    /// quarter or 16 MiB.
    ///
    /// # Errors
    /// What is wrong, in words.
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
