//! What the figures may be: the table under a heading of docs/benchmarks.md is read, not repeated. A run that misses a
//! line of it fails and says which.

use harness::tools;

use crate::report::{self, MEGABYTE, Report};

/// One line of the table.
#[derive(Debug, Clone, PartialEq)]
struct Threshold {
    /// The figure.
    name: String,
    /// Whether its ratio is meant, not itself.
    ratio: bool,
    /// Whether the limit is the least, not the most.
    least: bool,
    /// In seconds, a second, or bytes.
    limit: f64,
}

/// Prints every line under `heading` that this run can judge, and says whether all of them are kept. A `whole` run must know
/// every figure.
///
/// # Panics
/// The table cannot be read.
pub(crate) fn judge(report: &Report, heading: &str, whole: bool) -> bool {
    let path = tools::repository().join("docs/benchmarks.md");
    let text = std::fs::read_to_string(&path).expect("docs/benchmarks.md");
    let thresholds = read(&text, heading);
    assert!(!thresholds.is_empty(), "docs/benchmarks.md has no thresholds");
    println!("\nthresholds");
    let mut kept = true;
    for threshold in &thresholds {
        let spread =
            if threshold.ratio { report.ratio(&threshold.name) } else { report.figure(&threshold.name) };
        let Some(spread) = spread else {
            if whole {
                println!("  {:<52} NOT MEASURED", threshold.name);
                kept = false;
            }
            continue;
        };
        let fits =
            if threshold.least { spread.median >= threshold.limit } else { spread.median <= threshold.limit };
        kept &= fits;
        let unit = report.unit(&threshold.name).filter(|_| !threshold.ratio);
        let show =
            |number: f64| unit.map_or_else(|| format!("{number:.2} ×"), |unit| report::show(unit, number));
        println!(
            "  {:<52} {:>10}  {} {:>8}  {}",
            threshold.name,
            show(spread.median),
            if threshold.least { "≥" } else { "≤" },
            show(threshold.limit),
            if fits { "kept" } else { "MISSED" },
        );
    }
    kept
}

/// The table's lines: `` | `figure` | ≤ 1.15 × | why | ``.
fn read(text: &str, heading: &str) -> Vec<Threshold> {
    let mut sections = text.split("\n## ").map(|section| section.split_once('\n').unwrap_or_default());
    let wanted = heading.trim_start_matches("## ");
    let (_, section) = sections.find(|(title, _)| *title == wanted).expect("the heading of the thresholds");
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| of_row(row).unwrap_or_else(|| panic!("docs/benchmarks.md: not a threshold: {row}")))
        .collect()
}

fn of_row(row: &str) -> Option<Threshold> {
    let (name, rest) = row.split_once("` | ")?;
    let (limit, _) = rest.split_once(" |")?;
    let words: Vec<&str> = limit.split_whitespace().collect();
    let [sign, number, unit] = words.as_slice() else { return None };
    let least = match *sign {
        "≥" => true,
        "≤" => false,
        _ => return None,
    };
    let scale = match *unit {
        "×" => 1.0,
        "ns" => 1e-9,
        "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "MB" => MEGABYTE,
        _ => return None,
    };
    let limit = number.parse::<f64>().ok()? * scale;
    Some(Threshold { name: name.to_owned(), ratio: *unit == "×", least, limit })
}

/// Says how far two echoes lay apart: what lies within that says nothing.
pub(crate) fn print_noise(report: &Report) {
    let columns = ["p50", "p95", "64 outstanding"];
    let ratios: Vec<String> = columns
        .iter()
        .filter_map(|column| {
            Some(format!("{column} {:.2} ×", report.ratio(&format!("echo again / {column}"))?.median))
        })
        .collect();
    if !ratios.is_empty() {
        println!("\nnull test, an echo beside itself: {}", ratios.join(", "));
    }
    let off = |column: &str| {
        report.ratio(&format!("echo again / {column}")).is_some_and(|ratio| (ratio.median - 1.0).abs() > 0.1)
    };
    if columns.iter().any(|column| off(column)) {
        println!(
            "the null test is off by more than 10 %: the machine was busy, and this run settles nothing"
        );
    }
}
