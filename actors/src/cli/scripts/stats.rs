//! `callboard scripts list --stats`: what the workers have counted of scripts, as a table.

use protocol::channels::script_list::Listed;
use protocol::channels::supervisor_counters::Sources;
use protocol::counters::Figures;

use super::{out, table};

const HEADINGS: [&str; 11] = [
    "SLUG",
    "KIND",
    "VERSION",
    "CALLS",
    "ERRORS",
    "TIMEOUTS",
    "DEATHS",
    "P50 MS",
    "P95 MS",
    "P99 MS",
    "LAST ERROR",
];

/// The lines of the table.
pub(super) fn table(scripts: &[Listed]) -> String {
    let rows: Vec<_> = scripts.iter().map(row).collect();
    table::lay_out(HEADINGS, &rows)
}

fn row(Listed { record, stats }: &Listed) -> [String; 11] {
    let none = Figures::default();
    let figures = stats.as_ref().unwrap_or(&none);
    let time = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.2}"));
    let last = figures.last_error.as_ref().map_or_else(
        || "-".to_owned(),
        |last| {
            let at = i64::try_from(last.at).ok().and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
            let at = at.map(|at| at.strftime(" %Y-%m-%d %H:%M:%SZ").to_string());
            format!("{}{}", last.code, at.unwrap_or_default())
        },
    );
    [
        record.slug.clone(),
        record.kind.as_str().to_owned(),
        record.version.to_string(),
        figures.calls.to_string(),
        figures.failed().to_string(),
        figures.timeouts.to_string(),
        figures.deaths.to_string(),
        time(figures.p50_ms),
        time(figures.p95_ms),
        time(figures.p99_ms),
        last,
    ]
}

/// Says whose figures these are, if that is not all.
pub(super) fn sources(sources: &Sources) {
    if !sources.partial {
        return;
    }
    let names = |names: &[String]| if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
    out::talk(&format!(
        "callboard: these are not the figures of all: {} answered, {} did not",
        names(&sources.nodes),
        names(&sources.missing)
    ));
}

/// Adds the sources of another page.
pub(super) fn join(all: &mut Option<Sources>, page: Option<Sources>) {
    match (all.as_mut(), page) {
        (Some(all), Some(page)) => {
            all.partial |= page.partial;
            for (names, more) in [(&mut all.nodes, page.nodes), (&mut all.missing, page.missing)] {
                names.extend(more);
                names.sort();
                names.dedup();
            }
        }
        (None, page) => *all = page,
        (Some(_), None) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use callboard::scripts::file;
    use protocol::Id;
    use protocol::counters::LastError;

    use super::*;

    #[test]
    fn a_script_that_was_never_called_has_a_line_too() {
        let listed = |slug: &str, stats| {
            let record = file::describe("default", slug, Id::generate(), &file::parts(""), None);
            Listed { record, stats }
        };
        let busy = Figures {
            calls: 12,
            errors: BTreeMap::from([("PY_TIMEOUT".to_owned(), 2), ("PY_ACTION_FAILED".to_owned(), 1)]),
            timeouts: 2,
            p50_ms: Some(1.2345),
            last_error: Some(LastError { code: "PY_TIMEOUT".to_owned(), at: 0 }),
            ..Figures::default()
        };
        let table = table(&[listed("busy", Some(busy)), listed("idle", None)]);
        let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        let busy = ["busy", "utility", "1", "12", "3", "2", "0", "1.23", "-", "-", "PY_TIMEOUT"];
        assert_eq!(lines[1], [&busy[..], &["1970-01-01", "00:00:00Z"]].concat());
        assert_eq!(lines[2], ["idle", "utility", "1", "0", "0", "0", "0", "-", "-", "-", "-"]);
    }
}
