//! A panel with a line per server.

use crate::figures::SERVERS;
use crate::scale::{Linear, Logarithmic, Point, count};
use crate::svg::{Anchor, Svg};
use crate::values::Values;

/// A panel with one metric, over rows at positions on the horizontal axis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lines {
    pub(crate) title: &'static str,
    pub(crate) metric: &'static str,
    /// Indexes into the list of servers.
    pub(crate) servers: &'static [usize],
    pub(crate) below: &'static str,
    pub(crate) rows: &'static [(f64, &'static str)],
}

/// Space next to and below the field for its axes.
const LEFT: f64 = 46.0;
const BELOW: f64 = 62.0;

impl Lines {
    /// Returns the points of each server that has any.
    fn series(&self, values: &Values) -> Vec<(usize, Vec<(f64, f64)>)> {
        let of = |server| {
            let points = self.rows.iter();
            points.filter_map(|&(at, row)| Some((at, values.median(row, server, self.metric)?))).collect()
        };
        let all = self.servers.iter().map(|&n| (n, of(SERVERS[n].0)));
        all.filter(|(_, points): &(usize, Vec<_>)| !points.is_empty()).collect()
    }

    /// Returns the servers that it shows.
    pub(crate) fn shown(&self, values: &Values) -> Vec<usize> {
        self.series(values).into_iter().map(|(n, _)| n).collect()
    }

    /// Draws the panel at a corner.
    pub(crate) fn draw(&self, svg: &mut Svg, values: &Values, corner: Point, width: f64, height: f64) {
        let series = self.series(values);
        let max = series.iter().flat_map(|(_, points)| points).map(|&(_, value)| value).fold(0.0, f64::max);
        let upward = Linear::up_to(max);
        let (first, last) = (self.rows[0].0, self.rows[self.rows.len() - 1].0);
        let along = Logarithmic::new(first, last);
        let (left, right) = (corner.x + LEFT, corner.x + width);
        let (top, bottom) = (corner.y + 30.0, corner.y + height - BELOW);
        // The outermost points keep a distance from the edges, so that their marks and labels have space.
        let inset = 26.0;
        let x = |at| left + inset + along.part(at) * (right - left - 2.0 * inset);
        let y = |value| bottom - upward.part(value) * (bottom - top);

        svg.text("head", Point { x: corner.x, y: corner.y + 8.0 }, Anchor::Start, self.title);
        for (tick, label) in upward.ticks() {
            let class = if tick == 0.0 { "axis" } else { "grid" };
            svg.line(class, Point { x: left, y: y(tick) }, Point { x: right, y: y(tick) });
            svg.text("", Point { x: left - 8.0, y: y(tick) + 4.5 }, Anchor::End, &label);
        }
        for &(at, row) in self.rows {
            svg.line("axis", Point { x: x(at), y: bottom }, Point { x: x(at), y: bottom + 5.0 });
            svg.text("", Point { x: x(at), y: bottom + 19.0 }, Anchor::Middle, &count(at));
            let [own, floor] = [0, 1].map(|server| SERVERS[server].0);
            if let Some(ratio) = values.ratio(row, own, floor, self.metric) {
                let at = Point { x: x(at), y: bottom + 36.0 };
                svg.text("small s0", at, Anchor::Middle, &format!("{ratio:.2} ×"));
            }
        }
        let middle = Point { x: (left + right) / 2.0, y: corner.y + height - 6.0 };
        svg.text("small", middle, Anchor::Middle, self.below);
        // chatcore, the first, is drawn last, on top of the others.
        for (n, points) in series.iter().rev() {
            let points: Vec<Point> =
                points.iter().map(|&(at, value)| Point { x: x(at), y: y(value) }).collect();
            svg.path(&format!("line l{n}"), &points);
            points.into_iter().for_each(|point| svg.mark(*n, point));
        }
    }
}
