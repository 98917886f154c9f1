//! The values of the bench, as medians.

use std::collections::{BTreeMap, HashMap};

use chatcore_benches::median;

/// The values of all runs, by the row, the server and the metric.
pub(crate) struct Values {
    values: HashMap<(String, String, String), BTreeMap<usize, f64>>,
}

impl Values {
    /// Parses lines with the row, the server, the run, the metric and the value, below a header.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let mut values: HashMap<_, BTreeMap<_, _>> = HashMap::new();
        for (number, line) in text.lines().enumerate().skip(1) {
            let fields: Vec<&str> = line.split('\t').collect();
            let read = match fields[..] {
                [row, server, run, metric, value] => run
                    .parse()
                    .ok()
                    .zip(value.parse().ok())
                    .map(|(run, value)| ((row, server, metric), run, value)),
                _ => None,
            };
            let Some(((row, server, metric), run, value)) = read else {
                return Err(format!("line {}: not a row, a server, a run, a metric and a value", number + 1));
            };
            let runs = values.entry((row.to_owned(), server.to_owned(), metric.to_owned())).or_default();
            runs.insert(run, value);
        }
        Ok(Self { values })
    }

    fn runs(&self, row: &str, server: &str, metric: &str) -> Option<&BTreeMap<usize, f64>> {
        self.values.get(&(row.to_owned(), server.to_owned(), metric.to_owned()))
    }

    /// Returns the median of a row's runs.
    pub(crate) fn median(&self, row: &str, server: &str, metric: &str) -> Option<f64> {
        median(self.runs(row, server, metric)?.values().copied().collect())
    }

    /// Returns the median over the runs of the ratio between two servers in the same run.
    pub(crate) fn ratio(&self, row: &str, server: &str, base: &str, metric: &str) -> Option<f64> {
        let base = self.runs(row, base, metric)?;
        let own = self.runs(row, server, metric)?.iter();
        median(own.filter_map(|(run, value)| Some(value / base.get(run)?)).collect())
    }
}
