//! The tables, and the file with all values.

use std::fs::File;
use std::io::Write;
use std::process::ExitCode;

use chatcore_benches::median;

use crate::scenarios::{FEW_CHANNELS, Scenario};
use crate::servers::Kind;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    FrameBytes,
    Deliveries,
    Cpu,
    P50,
    P99,
    Max,
    JoinedKib,
    UsedKib,
    Joins,
    JoinCpu,
    PublishCpu,
    ChannelKib,
}

impl Metric {
    fn title(self) -> &'static str {
        match self {
            Self::FrameBytes => "bytes per frame",
            Self::Deliveries => "deliveries per second",
            Self::Cpu => "server CPU µs per delivery",
            Self::P50 => "p50 ms",
            Self::P99 => "p99 ms",
            Self::Max => "max ms",
            Self::JoinedKib => "KiB per connection, just joined",
            Self::UsedKib => "KiB per connection, used",
            Self::Joins => "connects with join per second",
            Self::JoinCpu => "server CPU µs per join",
            Self::PublishCpu => "server CPU µs per publish",
            Self::ChannelKib => "KiB per channel",
        }
    }

    fn digits(self) -> usize {
        match self {
            Self::FrameBytes | Self::Deliveries | Self::Joins => 0,
            Self::JoinCpu | Self::PublishCpu | Self::JoinedKib | Self::UsedKib | Self::ChannelKib => 2,
            Self::Cpu | Self::P50 | Self::P99 | Self::Max => 3,
        }
    }
}

/// Rows with the same columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    FanOut,
    Paced,
    Idle,
    Joins,
    Publishes,
    Channels,
}

impl Table {
    fn columns(self) -> &'static [Metric] {
        match self {
            Self::FanOut => &[Metric::FrameBytes, Metric::Deliveries, Metric::Cpu],
            Self::Paced => &[Metric::Cpu, Metric::P50, Metric::P99, Metric::Max],
            Self::Idle => &[Metric::JoinedKib, Metric::UsedKib],
            Self::Joins => &[Metric::JoinCpu, Metric::Joins],
            Self::Publishes => &[Metric::PublishCpu],
            Self::Channels => &[Metric::ChannelKib],
        }
    }

    /// What the columns are compared with.
    fn bases(self) -> &'static [Base] {
        match self {
            Self::Publishes => &[Base::Row(FEW_CHANNELS)],
            _ => &[
                Base::Server { kind: Kind::Epoll, title: "the floor" },
                Base::Server { kind: Kind::Tokio, title: "the tokio floor" },
            ],
        }
    }

    /// The columns that are compared.
    fn compared(self) -> &'static [Metric] {
        match self {
            Self::FanOut => &[Metric::Cpu],
            Self::Paced => &[Metric::Cpu, Metric::P99],
            Self::Joins => &[Metric::JoinCpu, Metric::Joins],
            Self::Publishes => &[Metric::PublishCpu],
            Self::Idle | Self::Channels => &[],
        }
    }

    fn head(self) -> Vec<String> {
        let mut head = vec!["what".to_owned(), "server".to_owned()];
        head.extend(self.columns().iter().map(|metric| metric.title().to_owned()));
        for metric in self.compared() {
            let short = metric.title().split(' ').find(|word| *word != "server").unwrap_or_default();
            head.extend(self.bases().iter().map(|base| format!("{short} to {}", base.title())));
        }
        head.extend(["lost".to_owned(), "out of order".to_owned()]);
        head
    }
}

/// The base of a ratio, in the same run.
#[derive(Clone, Copy, Debug)]
enum Base {
    /// The value of this server in the same row.
    Server { kind: Kind, title: &'static str },
    /// The value of the same server in this row.
    Row(&'static str),
}

impl Base {
    fn title(self) -> String {
        match self {
            Self::Server { title, .. } => title.to_owned(),
            Self::Row(name) => format!("where {name}"),
        }
    }
}

/// The results of one measurement.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    pub(crate) values: Vec<(Metric, f64)>,
    pub(crate) lost: u64,
    pub(crate) out_of_order: u64,
    pub(crate) complaints: Vec<String>,
}

/// All results.
pub(crate) struct Report {
    out: Option<File>,
    samples: Vec<(&'static str, Kind, Sample)>,
    table: Option<Table>,
    faults: Vec<String>,
}

impl Report {
    pub(crate) fn new(out: Option<String>) -> Self {
        let mut out = out.map(|path| File::create(path).unwrap());
        if let Some(out) = &mut out {
            writeln!(out, "what\tserver\trun\tmetric\tvalue").unwrap();
        }
        Self { out, samples: Vec::new(), table: None, faults: Vec::new() }
    }

    /// Adds a sample, and records its faults.
    pub(crate) fn add(&mut self, scenario: &Scenario, kind: Kind, run: usize, sample: Sample) {
        let (what, server) = (scenario.name, kind.name());
        if let Some(out) = &mut self.out {
            for (metric, value) in &sample.values {
                writeln!(out, "{what}\t{server}\t{run}\t{metric:?}\t{value}").unwrap();
            }
        }
        let Sample { lost, out_of_order, complaints, .. } = &sample;
        if (*lost, *out_of_order) != (0, 0) || !complaints.is_empty() {
            let fault = format!("{what}, {server}: {lost} lost, {out_of_order} out of order, {complaints:?}");
            eprintln!("{fault}");
            self.faults.push(fault);
        }
        self.samples.push((what, kind, sample));
    }

    /// Prints a scenario's rows, and the header of the table before its first row.
    pub(crate) fn print(&mut self, scenario: &Scenario) {
        if self.table != Some(scenario.table) {
            self.table = Some(scenario.table);
            let head = scenario.table.head();
            println!("\n{}\n|{}", row(&head), "---|".repeat(head.len()));
        }
        for kind in Kind::ALL {
            let Some(cells) = self.cells(scenario, kind) else { continue };
            println!("{}", row(&cells));
        }
    }

    fn cells(&self, scenario: &Scenario, kind: Kind) -> Option<Vec<String>> {
        let columns = scenario.table.columns();
        let mut cells = vec![scenario.name.to_owned(), kind.title().to_owned()];
        for &metric in columns {
            cells.push(format!("{:.*}", metric.digits(), median(self.values(scenario.name, kind, metric))?));
        }
        for &metric in scenario.table.compared() {
            let own = self.values(scenario.name, kind, metric);
            for base in scenario.table.bases() {
                let base = match base {
                    Base::Server { kind: floor, .. } => self.values(scenario.name, *floor, metric),
                    Base::Row(name) => self.values(name, kind, metric),
                };
                let ratios = own.iter().zip(base).map(|(own, base)| own / base).collect();
                cells.push(median(ratios).map_or_else(String::new, |ratio| format!("{ratio:.2}")));
            }
        }
        let (lost, out_of_order) = self.faults_of(scenario, kind);
        cells.extend([lost.to_string(), out_of_order.to_string()]);
        Some(cells)
    }

    /// Returns the number of lost deliveries and of those out of order, over all runs.
    fn faults_of(&self, scenario: &Scenario, kind: Kind) -> (u64, u64) {
        let samples = self.of(scenario.name, kind);
        samples.fold((0, 0), |(lost, disorder), sample| (lost + sample.lost, disorder + sample.out_of_order))
    }

    fn of(&self, name: &'static str, kind: Kind) -> impl Iterator<Item = &Sample> {
        let samples = self.samples.iter().filter(move |(what, of, _)| *what == name && *of == kind);
        samples.map(|(_, _, sample)| sample)
    }

    /// The values of all runs, in order.
    fn values(&self, name: &'static str, kind: Kind, metric: Metric) -> Vec<f64> {
        let values = self.of(name, kind).flat_map(|sample| &sample.values);
        values.filter(|(of, _)| *of == metric).map(|&(_, value)| value).collect()
    }

    /// Succeeds if everything that was sent arrived in order.
    pub(crate) fn end(self) -> ExitCode {
        if self.faults.is_empty() {
            println!("\nNothing was lost, and nothing came out of order.");
            return ExitCode::SUCCESS;
        }
        println!("\n{} measurements went wrong:", self.faults.len());
        self.faults.iter().for_each(|fault| println!("- {fault}"));
        ExitCode::FAILURE
    }
}

fn row(cells: &[String]) -> String {
    format!("| {} |", cells.join(" | "))
}
