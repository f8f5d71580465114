//! What was measured: each figure with its rounds and its ratio to another figure of the same rounds; printed as a
//! list, written as JSON lines. What a figure may be is in `thresholds`.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

/// What a megabyte is here: as `/proc` counts, in powers of two.
pub(crate) const MEGABYTE: f64 = 1_048_576.0;

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Seconds.
    Time,
    /// A second.
    Rate,
    /// Bytes.
    Memory,
    /// Of one.
    Share,
}

#[derive(Debug)]
struct Figure {
    name: String,
    unit: Unit,
    rounds: Vec<f64>,
    against: Option<String>,
}

/// All figures of a run, in the order in which they were first met.
#[derive(Debug, Default)]
pub(crate) struct Report {
    figures: Vec<Figure>,
    printed: usize,
}

/// The middle of some numbers, and between which they lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    /// Of some numbers; none if there are none.
    pub(crate) fn of(numbers: &[f64]) -> Option<Self> {
        let mut sorted = numbers.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = match sorted.len() {
            0 => return None,
            even if even.is_multiple_of(2) => f64::midpoint(sorted[middle - 1], sorted[middle]),
            _ => sorted[middle],
        };
        Some(Self { median, least: sorted[0], most: sorted[sorted.len() - 1] })
    }
}

impl Report {
    /// Adds what a round gave.
    pub(crate) fn add(&mut self, name: &str, unit: Unit, number: f64) {
        match self.figures.iter_mut().find(|figure| figure.name == name) {
            Some(figure) => figure.rounds.push(number),
            None => {
                self.figures.push(Figure { name: name.to_owned(), unit, rounds: vec![number], against: None })
            }
        }
    }

    /// Adds a time of a round.
    pub(crate) fn time(&mut self, name: &str, time: Duration) {
        self.add(name, Unit::Time, time.as_secs_f64());
    }

    /// Says that each round of `name` is compared with the same round of `reference`.
    pub(crate) fn against(&mut self, name: &str, reference: &str) {
        if let Some(figure) = self.figures.iter_mut().find(|figure| figure.name == name) {
            figure.against = Some(reference.to_owned());
        }
    }

    /// The figure of that name.
    pub(crate) fn figure(&self, name: &str) -> Option<Spread> {
        Spread::of(&self.of(name)?.rounds)
    }

    /// Its ratio to what it is compared with.
    pub(crate) fn ratio(&self, name: &str) -> Option<Spread> {
        let figure = self.of(name)?;
        let reference = self.of(figure.against.as_deref()?)?;
        let ratios: Vec<f64> =
            figure.rounds.iter().zip(&reference.rounds).map(|(figure, other)| figure / other).collect();
        Spread::of(&ratios)
    }

    fn of(&self, name: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.name == name)
    }

    /// What the number of a figure counts.
    pub(crate) fn unit(&self, name: &str) -> Option<Unit> {
        self.of(name).map(|figure| figure.unit)
    }

    /// Prints the figures that came since the last time, with a line of text above.
    pub(crate) fn print(&mut self, heading: &str) {
        let mut text = format!("\n{heading}\n");
        for figure in self.figures.get(self.printed..).unwrap_or_default() {
            let Some(spread) = Spread::of(&figure.rounds) else { continue };
            let unit = figure.unit;
            let line = format!("  {:<52} {:>12}", figure.name, show(unit, spread.median));
            text.push_str(&line);
            if figure.rounds.len() > 1 {
                let between = format!("{} – {}", show(unit, spread.least), show(unit, spread.most));
                let _infallible = write!(text, "  {between:>25}");
            }
            if let (Some(ratio), Some(against)) = (self.ratio(&figure.name), &figure.against) {
                let short = against.rsplit_once(" / ").map_or(against.as_str(), |(row, _)| row);
                let between = format!("({:.2} – {:.2})", ratio.least, ratio.most);
                let _infallible = write!(text, "  = {:>5.2} × {between:<15} {short}", ratio.median);
            }
            text.push('\n');
        }
        self.printed = self.figures.len();
        print!("{text}");
    }

    /// Writes every figure as one line of JSON, `more` in each of them.
    pub(crate) fn write(&self, path: &Path, more: &HashMap<&str, String>) {
        let mut text = String::new();
        for figure in &self.figures {
            let Some(spread) = Spread::of(&figure.rounds) else { continue };
            let mut line = json!({
                "name": figure.name, "unit": figure.unit.name(), "rounds": figure.rounds,
                "median": spread.median, "min": spread.least, "max": spread.most,
            });
            if let (Some(ratio), Some(against)) = (self.ratio(&figure.name), &figure.against) {
                line["against"] = json!(against);
                line["ratio"] = json!({"median": ratio.median, "min": ratio.least, "max": ratio.most});
            }
            for (key, value) in more {
                line[*key] = json!(value);
            }
            let _infallible = writeln!(text, "{line}");
        }
        std::fs::write(path, text).expect("the file of figures can be written");
    }
}

impl Unit {
    const fn name(self) -> &'static str {
        match self {
            Self::Time => "seconds",
            Self::Rate => "per second",
            Self::Memory => "bytes",
            Self::Share => "share",
        }
    }
}

/// A number as people read it.
pub(crate) fn show(unit: Unit, number: f64) -> String {
    match unit {
        Unit::Time if number < 1e-6 => format!("{:.0} ns", number * 1e9),
        Unit::Time if number < 99.95e-6 => format!("{:.1} µs", number * 1e6),
        Unit::Time if number < 9.9995e-3 => format!("{:.0} µs", number * 1e6),
        Unit::Time if number < 0.99995 => format!("{:.1} ms", number * 1e3),
        Unit::Time => format!("{number:.2} s"),
        Unit::Rate => format!("{number:.0}/s"),
        Unit::Memory => format!("{:.1} MB", number / MEGABYTE),
        Unit::Share => format!("{:.1} %", number * 1e2),
    }
}
