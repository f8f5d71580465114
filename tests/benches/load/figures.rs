//! Medians, percentiles and the table of ratios.

use std::fmt;
use std::time::Duration;

/// Times of one kind.
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

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
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {} p99 {}", micros(self.at(0.5)), micros(self.at(0.99)))
    }
}

pub(crate) fn micros(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    if micros < 10_000.0 { format!("{micros:.0} µs") } else { format!("{:.1} ms", micros / 1e3) }
}

/// What one system did in one round.
pub(crate) struct Round {
    pub(crate) sequential: Latencies,
    pub(crate) at_64: f64,
}

/// All rounds of all systems; the first system is the reference.
pub(crate) struct Table(Vec<(&'static str, Vec<Round>)>);

impl Table {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn add(&mut self, name: &'static str, round: Round) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, rounds)) => rounds.push(round),
            None => self.0.push((name, vec![round])),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n{:<14} {:>22} {:>22} {:>26}",
            "one at a time", "p50", "p99", "64 outstanding, a second"
        )?;
        let Some((_, reference)) = self.0.first() else { return Ok(()) };
        for (name, rounds) in &self.0 {
            let column = |of: &dyn Fn(&Round) -> f64| {
                let ratios = rounds.iter().zip(reference).map(|(round, echo)| of(round) / of(echo));
                (median(rounds.iter().map(of).collect()), median(ratios.collect()))
            };
            let (p50, p50_ratio) = column(&|round| round.sequential.at(0.5).as_secs_f64());
            let (p99, p99_ratio) = column(&|round| round.sequential.at(0.99).as_secs_f64());
            let (many, many_ratio) = column(&|round| round.at_64);
            let time = |seconds: f64, ratio: f64| {
                format!("{} = {ratio:.2} ×", micros(Duration::from_secs_f64(seconds)))
            };
            let rate = format!("{many:.0} = {many_ratio:.2} ×");
            writeln!(f, "{name:<14} {:>22} {:>22} {rate:>26}", time(p50, p50_ratio), time(p99, p99_ratio))?;
        }
        writeln!(
            f,
            "medians of {} interleaved rounds; × is the median of each round's ratio to the echo",
            reference.len()
        )
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// What machine this is.
pub(crate) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let system = rustix::system::uname();
    let model = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        model.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(" unknown processor");
    format!(
        "{cores} cores, {}, Linux {}",
        model.trim_start_matches([' ', '\t', ':']),
        system.release().to_string_lossy()
    )
}
