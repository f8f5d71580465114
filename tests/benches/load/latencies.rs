//! Times of one kind, and the share of them that a limit covers; and what machine they were taken on.

use std::time::Duration;

use crate::report::Report;

/// Times of one kind.
#[derive(Debug, Default)]
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(crate) fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// The time that this share of all does not exceed.
    pub(crate) fn at(&self, share: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let place = ((sorted.len() - 1) as f64 * share).round() as usize;
        sorted[place]
    }

    /// Puts these shares into the report, in percent.
    pub(crate) fn into_report(self, report: &mut Report, row: &str, shares: &[u32]) {
        for share in shares {
            report.time(&format!("{row} / p{share}"), self.at(f64::from(*share) / 100.0));
        }
    }
}

/// What machine this is.
pub(crate) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let system = rustix::system::uname();
    let model = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        model.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(" unknown processor");
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!(
        "{cores} cores, {}, Linux {}, load before {}",
        model.trim_start_matches([' ', '\t', ':']),
        system.release().to_string_lossy(),
        load.split(' ').next().unwrap_or("unknown")
    )
}
