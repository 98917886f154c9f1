//! Converts values to positions in the picture.

/// A position in a picture, from its upper left corner.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
}

/// An axis from zero, with round steps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Linear {
    step: f64,
    steps: usize,
}

impl Linear {
    /// Chooses three to six steps of 1, 2 or 5 times a power of ten that reach `max`.
    pub(crate) fn up_to(max: f64) -> Self {
        let power = 10_f64.powf((max / 5.0).log10().floor());
        let step =
            [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| max / step <= 5.0);
        let step = step.unwrap_or(10.0 * power);
        Self { step, steps: (max / step).ceil() as usize }
    }

    /// Returns the fraction of the axis below a value.
    pub(crate) fn part(self, value: f64) -> f64 {
        value / (self.step * self.steps as f64)
    }

    pub(crate) fn ticks(self) -> impl Iterator<Item = (f64, String)> {
        let digits = (-self.step.log10().floor()).max(0.0) as usize;
        (0..=self.steps)
            .map(move |n| n as f64 * self.step)
            .map(move |tick| (tick, format!("{tick:.digits$}")))
    }
}

/// A logarithmic axis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Logarithmic {
    first: f64,
    last: f64,
}

impl Logarithmic {
    pub(crate) fn new(first: f64, last: f64) -> Self {
        Self { first: first.ln(), last: last.ln() }
    }

    /// Returns the fraction of the axis before a value.
    pub(crate) fn part(self, value: f64) -> f64 {
        (value.ln() - self.first) / (self.last - self.first)
    }
}

/// Formats a count with separators of thousands.
pub(crate) fn count(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
