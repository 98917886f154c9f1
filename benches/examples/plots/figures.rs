//! The plots and their layouts.

use crate::bars::Bars;
use crate::lines::Lines;
use crate::scale::Point;
use crate::svg::{Anchor, Svg};
use crate::values::Values;

/// The servers by their names in the values and in the legend. Ratios are of the first to the second.
pub(crate) const SERVERS: &[(&str, &str)] = &[
    ("chatcore-memory", "chatcore (memory)"),
    ("epoll", "the epoll floor"),
    ("tokio", "the tokio floor"),
    ("chatcore-redb", "chatcore (redb)"),
];

/// Indexes into the list above: the servers that are compared, and chatcore on each of its stores.
const COMPARED: &[usize] = &[0, 1, 2];
const STORES: &[usize] = &[0, 3];

const WIDTH: f64 = 880.0;
const MARGIN: f64 = 20.0;
const BETWEEN: f64 = 28.0;
/// The position of the panels, below the title and the legend.
const HEAD: f64 = 84.0;

/// A file to write.
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) svg: String,
}

struct Plot {
    name: &'static str,
    title: &'static str,
    height: f64,
    panels: [Panel; 2],
}

enum Panel {
    Lines(Lines),
    Bars(Bars),
}

const RATIO: &str = "subscribers; below them, chatcore to the epoll floor";
const SIZE: &str = "bytes of text; below them, chatcore to the epoll floor";
const RATE: &str = "messages per second; below them, chatcore to the epoll floor";

const PLOTS: &[Plot] = &[
    Plot {
        name: "subscribers",
        title: "One channel grows: server CPU per delivery",
        height: 400.0,
        panels: [
            Panel::Lines(Lines {
                title: "W1, one message in flight: µs",
                metric: "Cpu",
                servers: COMPARED,
                below: RATIO,
                rows: &[
                    (100.0, "100 members, W1"),
                    (500.0, "500 members, W1"),
                    (2_000.0, "2,000 members, W1"),
                    (10_000.0, "10,000 members, W1"),
                ],
            }),
            Panel::Lines(Lines {
                title: "W32, bursts of 32 messages: µs",
                metric: "Cpu",
                servers: COMPARED,
                below: RATIO,
                rows: &[
                    (100.0, "100 members, W32"),
                    (500.0, "500 members, W32"),
                    (2_000.0, "2,000 members, W32"),
                    (10_000.0, "10,000 members, W32"),
                ],
            }),
        ],
    },
    Plot {
        name: "rate",
        title: "The rate grows: 1,000 subscribers, messages at a steady pace",
        height: 400.0,
        panels: [
            Panel::Lines(Lines {
                title: "Server CPU per delivery: µs",
                metric: "Cpu",
                servers: COMPARED,
                below: RATE,
                rows: RATES,
            }),
            Panel::Lines(Lines {
                title: "99th percentile, from publish to delivery: ms",
                metric: "P99",
                servers: COMPARED,
                below: RATE,
                rows: RATES,
            }),
        ],
    },
    Plot {
        name: "size",
        title: "Messages grow: server CPU per delivery to 500 subscribers",
        height: 400.0,
        panels: [
            Panel::Lines(Lines {
                title: "W1, one message in flight: µs",
                metric: "Cpu",
                servers: COMPARED,
                below: SIZE,
                rows: &[
                    (80.0, "500 members, texts of 80 B, W1"),
                    (800.0, "500 members, texts of 800 B, W1"),
                    (8_000.0, "500 members, texts of 8 KB, W1"),
                ],
            }),
            Panel::Lines(Lines {
                title: "W8, bursts of 8 messages: µs",
                metric: "Cpu",
                servers: COMPARED,
                below: SIZE,
                rows: &[
                    (80.0, "500 members, texts of 80 B, W8"),
                    (800.0, "500 members, texts of 800 B, W8"),
                    (8_000.0, "500 members, texts of 8 KB, W8"),
                ],
            }),
        ],
    },
    Plot {
        name: "channels",
        title: "Channels grow in number",
        height: 400.0,
        panels: [
            Panel::Lines(Lines {
                title: "Server CPU per delivery, all of 10 members publish: µs",
                metric: "Cpu",
                servers: COMPARED,
                below: "channels; below them, chatcore to the epoll floor",
                rows: &[
                    (10.0, "10 channels × 10 members, each with one message in flight"),
                    (200.0, "200 channels × 10 members, each with one message in flight"),
                ],
            }),
            Panel::Lines(Lines {
                title: "Server CPU per publish, 10 of the channels in use: µs",
                metric: "PublishCpu",
                servers: STORES,
                below: "channels that exist",
                rows: &[
                    (10.0, "10 channels exist"),
                    (1_000.0, "1,000 channels exist"),
                    (100_000.0, "100,000 channels exist"),
                ],
            }),
        ],
    },
    Plot {
        name: "connections",
        title: "What a connection costs",
        height: 320.0,
        panels: [
            Panel::Bars(Bars {
                title: "Memory of an idle one: KiB, just joined and after use",
                servers: COMPARED,
                row: "5,000 idle, 100 per channel",
                metrics: &[("JoinedKib", "joined"), ("UsedKib", "used")],
                digits: 1,
            }),
            Panel::Bars(Bars {
                title: "Server CPU of a join with 100 messages: µs",
                servers: COMPARED,
                row: "storm on a ring of 100 messages",
                metrics: &[("JoinCpu", "")],
                digits: 0,
            }),
        ],
    },
];

const RATES: &[(f64, &str)] = &[
    (5.0, "1,000 members, 5 messages per second"),
    (20.0, "1,000 members, 20 messages per second"),
    (80.0, "1,000 members, 80 messages per second"),
];

/// Draws each plot that has values.
pub(crate) fn draw(values: &Values) -> impl Iterator<Item = Figure> {
    PLOTS.iter().filter_map(|plot| plot.draw(values))
}

impl Plot {
    fn draw(&self, values: &Values) -> Option<Figure> {
        let mut shown: Vec<usize> = self.panels.iter().flat_map(|panel| panel.shown(values)).collect();
        shown.sort_unstable();
        shown.dedup();
        if shown.is_empty() {
            return None;
        }
        let mut svg = Svg::new(WIDTH, self.height, self.title);
        if self.panels.iter().any(|panel| matches!(panel, Panel::Lines(_))) {
            draw_legend(&mut svg, &shown);
        }
        let head = if matches!(self.panels[0], Panel::Bars(_)) { HEAD - 22.0 } else { HEAD };
        let width = (WIDTH - 2.0 * MARGIN - BETWEEN) / 2.0;
        for (n, panel) in self.panels.iter().enumerate() {
            let corner = Point { x: MARGIN + n as f64 * (width + BETWEEN), y: head };
            panel.draw(&mut svg, values, corner, width, self.height - head - MARGIN + 8.0);
        }
        Some(Figure { name: self.name, svg: svg.end() })
    }
}

impl Panel {
    fn shown(&self, values: &Values) -> Vec<usize> {
        match self {
            Self::Lines(lines) => lines.shown(values),
            Self::Bars(bars) => bars.shown(values),
        }
    }

    /// Draws the plot, or nothing if there are no values.
    fn draw(&self, svg: &mut Svg, values: &Values, corner: Point, width: f64, height: f64) {
        match self {
            _ if self.shown(values).is_empty() => {}
            Self::Lines(lines) => lines.draw(svg, values, corner, width, height),
            Self::Bars(bars) => bars.draw(svg, values, corner, width, height),
        }
    }
}

fn draw_legend(svg: &mut Svg, shown: &[usize]) {
    for (place, &n) in shown.iter().enumerate() {
        let (x, y) = (MARGIN + 185.0 * place as f64, 54.0);
        svg.line(&format!("line l{n}"), Point { x, y }, Point { x: x + 26.0, y });
        svg.mark(n, Point { x: x + 13.0, y });
        svg.text("", Point { x: x + 34.0, y: y + 4.5 }, Anchor::Start, SERVERS[n].1);
    }
}
