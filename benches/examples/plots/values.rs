//! The values of the bench, as medians.

use std::collections::HashMap;

/// What was measured: the row, the server and the metric of each value.
pub(crate) struct Values {
    values: HashMap<(String, String, String), Vec<f64>>,
}

impl Values {
    /// Reads lines of the row, the server, the run, the metric and the value, below a head.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let mut values: HashMap<_, Vec<f64>> = HashMap::new();
        for (number, line) in text.lines().enumerate().skip(1) {
            let fields: Vec<&str> = line.split('\t').collect();
            let value = match fields[..] {
                [row, server, _, metric, value] => {
                    value.parse().ok().map(|value| (row, server, metric, value))
                }
                _ => None,
            };
            let Some((row, server, metric, value)) = value else {
                return Err(format!("line {}: not a row, a server, a run, a metric and a value", number + 1));
            };
            values.entry((row.to_owned(), server.to_owned(), metric.to_owned())).or_default().push(value);
        }
        values.values_mut().for_each(|runs| runs.sort_by(f64::total_cmp));
        Ok(Self { values })
    }

    /// Returns the median of a row's runs.
    pub(crate) fn median(&self, row: &str, server: &str, metric: &str) -> Option<f64> {
        let runs = self.values.get(&(row.to_owned(), server.to_owned(), metric.to_owned()))?;
        runs.get(runs.len() / 2).copied()
    }
}
