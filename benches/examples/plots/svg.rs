//! A picture in SVG with its own background: light, or dark if the reader's system is.

use std::fmt::Write;

use crate::scale::Point;

/// The colours for light and dark mode: each element has a class, and each series its number. Plain properties,
/// since not every SVG viewer supports variables.
const STYLE: &str = "
text{font:13px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;fill:#424a53}
.small{font-size:12px}
.title{font-size:16px;font-weight:600;fill:#1f2328}
.head{font-weight:600;fill:#1f2328}
.paper{fill:#fff;stroke:#d1d9e0}
.grid{stroke:#e6eaef}
.axis{stroke:#818b98}
.line{fill:none;stroke-width:2.5;stroke-linejoin:round;stroke-linecap:round}
.mark{stroke:#fff;stroke-width:1.5}
.pale{fill-opacity:.5}
.s0{fill:#0969da}.s1{fill:#6e7781}.s2{fill:#bc4c00}.s3{fill:#8250df}
.l0{stroke:#0969da}.l1{stroke:#6e7781}.l2{stroke:#bc4c00}.l3{stroke:#8250df}
@media (prefers-color-scheme:dark){
text{fill:#b7bdc8}
.title,.head{fill:#f0f6fc}
.paper{fill:#0d1117;stroke:#3d444d}
.grid{stroke:#262c36}
.axis{stroke:#656c76}
.mark{stroke:#0d1117}
.s0{fill:#58a6ff}.s1{fill:#9198a1}.s2{fill:#f0883e}.s3{fill:#bc8cff}
.l0{stroke:#58a6ff}.l1{stroke:#9198a1}.l2{stroke:#f0883e}.l3{stroke:#bc8cff}
}
";

/// The position of a text relative to its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// A drawing in progress.
pub(crate) struct Svg {
    out: String,
}

impl Svg {
    /// Begins a picture; `title` is visible in it, and is read aloud.
    pub(crate) fn new(width: f64, height: f64, title: &str) -> Self {
        let title = escape(title);
        let out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{title}\">\n<style>{STYLE}</style>\n\
             <rect class=\"paper\" x=\".5\" y=\".5\" width=\"{}\" height=\"{}\" rx=\"6\"/>\n\
             <text class=\"title\" x=\"20\" y=\"32\">{title}</text>\n",
            width - 1.0,
            height - 1.0,
        );
        Self { out }
    }

    pub(crate) fn text(&mut self, class: &str, at: Point, anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let Point { x, y } = at;
        let text = escape(text);
        self.element(&format!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\"{anchor}>{text}</text>"));
    }

    pub(crate) fn line(&mut self, class: &str, from: Point, to: Point) {
        self.path(class, &[from, to]);
    }

    pub(crate) fn path(&mut self, class: &str, points: &[Point]) {
        let mut way = String::new();
        for (n, Point { x, y }) in points.iter().enumerate() {
            write!(way, "{}{x:.1} {y:.1}", if n == 0 { "M" } else { "L" }).unwrap();
        }
        self.element(&format!("<path class=\"{class}\" d=\"{way}\"/>"));
    }

    pub(crate) fn rectangle(&mut self, class: &str, corner: Point, width: f64, height: f64) {
        let Point { x, y } = corner;
        self.element(&format!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"2\"/>"
        ));
    }

    /// Draws the mark of a series, which has its own shape in addition to its colour.
    pub(crate) fn mark(&mut self, series: usize, Point { x, y }: Point) {
        self.element(&match series {
            0 => format!("<circle class=\"mark s0\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\"/>"),
            1 => format!("<path class=\"mark s1\" d=\"M{:.1} {:.1}h9v9h-9z\"/>", x - 4.5, y - 4.5),
            2 => format!("<path class=\"mark s2\" d=\"M{x:.1} {:.1}l5.5 9.5h-11z\"/>", y - 6.0),
            _ => format!("<path class=\"mark s{series}\" d=\"M{x:.1} {:.1}l6 6l-6 6l-6 -6z\"/>", y - 6.0),
        });
    }

    pub(crate) fn end(mut self) -> String {
        self.out.push_str("</svg>\n");
        self.out
    }

    fn element(&mut self, element: &str) {
        self.out.push_str(element);
        self.out.push('\n');
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
