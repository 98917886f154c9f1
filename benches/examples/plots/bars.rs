//! A panel with bars for each server.

use crate::figures::SERVERS;
use crate::scale::{Linear, Point};
use crate::svg::{Anchor, Svg};
use crate::values::Values;

/// A panel with metrics of one row, with a bar for each metric and server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bars {
    pub(crate) title: &'static str,
    /// Indexes into the list of servers.
    pub(crate) servers: &'static [usize],
    pub(crate) row: &'static str,
    /// The metrics, and the text after the value of each.
    pub(crate) metrics: &'static [(&'static str, &'static str)],
    pub(crate) digits: usize,
}

/// Space next to the bars for the servers' names, and for the values.
const NAMES: f64 = 134.0;
const VALUES: f64 = 90.0;

impl Bars {
    pub(crate) fn shown(&self, values: &Values) -> Vec<usize> {
        let all = self.servers.iter().copied();
        all.filter(|&n| self.bars(values, SERVERS[n].0).next().is_some()).collect()
    }

    fn bars<'a>(
        &'a self,
        values: &'a Values,
        server: &'a str,
    ) -> impl Iterator<Item = (f64, &'static str)> + 'a {
        let metrics = self.metrics.iter();
        metrics.filter_map(move |&(metric, label)| Some((values.median(self.row, server, metric)?, label)))
    }

    /// Draws the panel at a corner.
    pub(crate) fn draw(&self, svg: &mut Svg, values: &Values, corner: Point, width: f64, height: f64) {
        let shown = self.shown(values);
        let all = shown.iter().flat_map(|&n| self.bars(values, SERVERS[n].0));
        let upward = Linear::up_to(all.map(|(value, _)| value).fold(0.0, f64::max));
        let left = corner.x + NAMES;
        let long = width - NAMES - VALUES;
        svg.text("head", Point { x: corner.x, y: corner.y + 8.0 }, Anchor::Start, self.title);
        let each = (height - 40.0) / shown.len().max(1) as f64;
        for (place, &n) in shown.iter().enumerate() {
            let (server, name) = SERVERS[n];
            let top = corner.y + 30.0 + each * place as f64;
            let bar = (each - 12.0) / self.metrics.len() as f64;
            let middle = top + bar * self.metrics.len() as f64 / 2.0;
            svg.text("", Point { x: left - 10.0, y: middle + 4.5 }, Anchor::End, name);
            for (m, (value, label)) in self.bars(values, server).enumerate() {
                let pale = if m + 1 < self.metrics.len() { " pale" } else { "" };
                let top = top + bar * m as f64;
                let width = (upward.part(value) * long).max(2.0);
                svg.rectangle(&format!("s{n}{pale}"), Point { x: left, y: top }, width, bar - 3.0);
                let value = format!("{value:.*} {label}", self.digits);
                let at = Point { x: left + width + 8.0, y: top + bar / 2.0 + 3.0 };
                svg.text("small", at, Anchor::Start, value.trim_end());
            }
        }
        let bottom = corner.y + height - 16.0;
        svg.line("axis", Point { x: left, y: corner.y + 24.0 }, Point { x: left, y: bottom });
    }
}
