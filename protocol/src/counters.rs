//! Counters of calls: how many, how they ended, how long they took. Plain figures that can be added up over nodes; who counts
//! what is the worker's business.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::code::{self, Code};

/// Parts of a histogram. The first takes all up to [`SHORTEST`], the last all from about a quarter of an hour on.
pub const PARTS: usize = 104;
/// The largest time of the first part.
pub const SHORTEST: Duration = Duration::from_micros(16);
/// Parts to each doubling of time. A figure is off by at most half a part: a factor of 2^(1/8), less than 10 %.
const PER_DOUBLING: f64 = 4.0;

/// How many calls took how long, in parts that grow with the time: about 400 bytes, whatever is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    parts: [u32; PARTS],
    longest: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self { parts: [0; PARTS], longest: Duration::ZERO }
    }
}

impl Times {
    /// Counts one more call. Nothing is allocated.
    pub fn note(&mut self, took: Duration) {
        if let Some(part) = self.parts.get_mut(part_of(took)) {
            *part = part.saturating_add(1);
        }
        self.longest = self.longest.max(took);
    }

    /// The time within which `share` of the calls ended, from 0 to 1; nothing where nothing was counted.
    ///
    /// Off by less than 10 %, for times between 16 µs and a quarter of an hour.
    #[must_use]
    pub fn within(&self, share: f64) -> Option<Duration> {
        let all: u64 = self.parts.iter().map(|count| u64::from(*count)).sum();
        let wanted = (all as f64 * share.clamp(0.0, 1.0)).ceil().max(1.0);
        let mut passed = 0_u64;
        let reached = self.parts.iter().position(|count| {
            passed += u64::from(*count);
            passed as f64 >= wanted
        })?;
        Some(middle_of(reached).min(self.longest))
    }

    /// The longest time, exactly.
    #[must_use]
    pub const fn longest(&self) -> Duration {
        self.longest
    }

    /// The parts that are not empty, with their places: what goes to another node.
    #[must_use]
    pub fn filled(&self) -> Vec<(u8, u32)> {
        let places = self.parts.iter().zip(0_u8..).filter(|(count, _)| **count > 0);
        places.map(|(count, place)| (place, *count)).collect()
    }

    /// Adds what another node has counted. Parts that there are not are passed over.
    pub fn add(&mut self, filled: &[(u8, u32)], longest: Duration) {
        for (place, count) in filled {
            if let Some(part) = self.parts.get_mut(usize::from(*place)) {
                *part = part.saturating_add(*count);
            }
        }
        self.longest = self.longest.max(longest);
    }
}

/// The part that a time belongs to.
fn part_of(took: Duration) -> usize {
    let doublings = (took.as_secs_f64() / SHORTEST.as_secs_f64()).log2();
    // A float that is negative, or none, becomes 0.
    ((doublings * PER_DOUBLING).ceil() as usize).min(PARTS - 1)
}

/// What is said of a call in that part: as far from its shortest time as from its longest.
fn middle_of(part: usize) -> Duration {
    let steps = part as f64 - 0.5;
    if part == 0 { SHORTEST } else { SHORTEST.mul_f64((steps / PER_DOUBLING).exp2()) }
}

/// What is counted of a script, or of all of a kind.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Counter {
    /// Calls, however they ended.
    pub calls: u64,
    /// Those that failed, by the place of their code in [`code::ALL`].
    errors: [u64; code::ALL.len()],
    /// Those that ended with their process.
    deaths: u64,
    /// How long those took that were begun.
    times: Times,
    /// Bytes of input.
    bytes_in: u64,
    /// Bytes of results.
    bytes_out: u64,
    /// The last failure and its time, in ms since the epoch.
    last_error: Option<(Code, u64)>,
}

/// One call, as it is counted.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// How long it took.
    pub took: Duration,
    /// Bytes of its input.
    pub bytes_in: usize,
    /// Bytes of its result.
    pub bytes_out: usize,
    /// How it failed, if it did.
    pub error: Option<Code>,
    /// Whether its process ended under it by itself.
    pub died: bool,
    /// Whether anything of it may have run: what was turned away at once says nothing about how long a script takes.
    pub ran: bool,
    /// Now, in ms since the epoch; looked at only where it failed.
    pub at: u64,
}

impl Counter {
    /// Counts a call. Nothing is allocated.
    pub fn note(&mut self, ended: Ended) {
        self.calls += 1;
        self.bytes_in += ended.bytes_in as u64;
        self.bytes_out += ended.bytes_out as u64;
        self.deaths += u64::from(ended.died);
        if ended.ran {
            self.times.note(ended.took);
        }
        if let Some(code) = ended.error {
            let place = code::ALL.iter().position(|known| *known == code);
            if let Some(count) = place.and_then(|place| self.errors.get_mut(place)) {
                *count += 1;
            }
            self.last_error = Some((code, ended.at));
        }
    }

    /// The figures as they go over the wire. `parts` asks for the histogram too, which others need to add it to theirs.
    #[must_use]
    pub fn figures(&self, parts: bool) -> Figures {
        let errors = code::ALL.iter().zip(self.errors).filter(|(_, count)| *count > 0);
        let errors: BTreeMap<String, u64> =
            errors.map(|(code, count)| (code.as_str().to_owned(), count)).collect();
        let within = |share| self.times.within(share).map(millis);
        Figures {
            calls: self.calls,
            timeouts: errors.get(Code::PyTimeout.as_str()).copied().unwrap_or(0),
            errors,
            deaths: self.deaths,
            p50_ms: within(0.50),
            p95_ms: within(0.95),
            p99_ms: within(0.99),
            longest_ms: within(1.0).map(|_| millis(self.times.longest())),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            last_error: self.last_error.map(|(code, at)| LastError { code: code.as_str().to_owned(), at }),
            times: if parts { self.times.filled() } else { Vec::new() },
        }
    }

    /// Adds figures that bear their histogram. Codes that are not known here are passed over.
    pub fn add(&mut self, figures: &Figures) {
        self.calls = self.calls.saturating_add(figures.calls);
        for (code, sum) in code::ALL.iter().zip(&mut self.errors) {
            *sum = sum.saturating_add(figures.errors.get(code.as_str()).copied().unwrap_or(0));
        }
        self.deaths = self.deaths.saturating_add(figures.deaths);
        self.bytes_in = self.bytes_in.saturating_add(figures.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(figures.bytes_out);
        let longest = Duration::try_from_secs_f64(figures.longest_ms.unwrap_or(0.0) / 1e3);
        self.times.add(&figures.times, longest.unwrap_or_default());
        let known = |last: &LastError| {
            let code = code::ALL.iter().find(|code| code.as_str() == last.code)?;
            Some((*code, last.at))
        };
        let theirs = figures.last_error.as_ref().and_then(known);
        self.last_error = self.last_error.into_iter().chain(theirs).max_by_key(|(_, at)| *at);
    }
}

/// Milliseconds with three places.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// What was counted since a worker's start.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ScriptFigures")]
pub struct Figures {
    /// Calls of the script's functions, however they ended. A `render_many` over many contexts is one.
    pub calls: u64,
    /// Those that failed, by code.
    #[serde(default)]
    pub errors: BTreeMap<String, u64>,
    /// Those of them that were past their deadline.
    pub timeouts: u64,
    /// Those of them whose process ended by itself.
    pub deaths: u64,
    /// The time within which half of the calls ended, in ms; less than 10 % off, like the next two. From where a worker
    /// took the call, waiting for a cell included. Calls that were turned away do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<f64>,
    /// The time within which 95 % of them ended, in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95_ms: Option<f64>,
    /// The time within which 99 % of them ended, in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<f64>,
    /// The longest time, in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_ms: Option<f64>,
    /// Bytes of input.
    pub bytes_in: u64,
    /// Bytes of results.
    pub bytes_out: u64,
    /// The last failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
    /// The histogram: parts and how many calls are in each. Only between nodes, which add them up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub times: Vec<(u8, u32)>,
}

impl Figures {
    /// Failures of all codes together.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.errors.values().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

/// A failure, without anything that it said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "ScriptLastError")]
pub struct LastError {
    /// Its code.
    pub code: String,
    /// When it was, in ms since the epoch.
    pub at: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDED: Ended =
        Ended { took: Duration::ZERO, bytes_in: 3, bytes_out: 5, error: None, died: false, ran: true, at: 7 };

    #[test]
    fn every_time_is_told_with_less_than_a_tenth_of_error() {
        let mut micros = 16.0_f64;
        while micros < 890e6 {
            let took = Duration::from_secs_f64(micros / 1e6);
            let mut times = Times::default();
            times.note(took);
            // A longer one beside it, so that the longest of all does not correct the figure.
            times.note(Duration::from_secs(100_000));
            let told = times.within(0.5).unwrap().as_secs_f64() * 1e6;
            assert!((told / micros - 1.0).abs() < 0.1, "{micros} µs is told as {told} µs");
            micros *= 1.013;
        }
    }

    #[test]
    fn percentiles_are_those_of_all_calls_in_any_order() {
        let mut times = Times::default();
        assert_eq!(times.within(0.5), None);
        for ms in (1..=1_000_u64).rev() {
            times.note(Duration::from_millis(ms));
        }
        for (share, ms) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0), (1.0, 1_000.0)] {
            let told = times.within(share).unwrap().as_secs_f64() * 1e3;
            assert!((told / ms - 1.0).abs() < 0.1, "{share}: {told}");
        }
        assert_eq!(times.longest(), Duration::from_secs(1));
    }

    #[test]
    fn no_time_is_too_short_or_too_long() {
        let mut times = Times::default();
        for took in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            times.note(took);
        }
        assert_eq!(times.filled(), [(0, 2), (u8::try_from(PARTS - 1).unwrap(), 1)]);
    }

    #[test]
    fn the_sum_over_nodes_is_what_one_node_would_have_counted() {
        let (mut all, mut parts) = (Counter::default(), [Counter::default(), Counter::default()]);
        for number in 0..500_u64 {
            let error = (number % 7 == 0).then_some(Code::PyTimeout);
            let took = Duration::from_micros(number * number);
            let ended =
                Ended { took, error, died: number % 50 == 0, ran: number % 3 > 0, at: number, ..ENDED };
            all.note(ended);
            parts[usize::from(number % 2 == 0)].note(ended);
        }
        let mut sum = Counter::default();
        parts.iter().for_each(|part| {
            let text = serde_json::to_string(&part.figures(true)).unwrap();
            sum.add(&serde_json::from_str(&text).unwrap());
        });
        assert_eq!(sum.figures(true), all.figures(true));
        assert_eq!((sum.figures(false).timeouts, sum.figures(false).failed()), (72, 72));
    }

    #[test]
    fn figures_of_a_stranger_break_nothing() {
        let mut sum = Counter::default();
        let figures = Figures {
            calls: u64::MAX,
            errors: BTreeMap::from([("FROM_THE_FUTURE".to_owned(), 1), ("PY_TIMEOUT".to_owned(), u64::MAX)]),
            longest_ms: Some(f64::NAN),
            last_error: Some(LastError { code: "FROM_THE_FUTURE".to_owned(), at: 1 }),
            times: vec![(255, 1), (3, u32::MAX), (3, 1)],
            ..Figures::default()
        };
        sum.add(&figures);
        sum.add(&Figures { longest_ms: Some(-1e300), ..figures });
        let told = sum.figures(true);
        assert_eq!((told.calls, told.timeouts, told.last_error), (u64::MAX, u64::MAX, None));
        assert_eq!(told.times, [(3, u32::MAX)]);
    }

    #[test]
    fn what_was_turned_away_at_once_does_not_make_a_script_look_fast() {
        let mut counter = Counter::default();
        counter.note(Ended { took: Duration::from_secs(1), ..ENDED });
        for _ in 0..100 {
            counter.note(Ended { error: Some(Code::Overloaded), ran: false, ..ENDED });
        }
        let figures = counter.figures(false);
        assert_eq!((figures.calls, figures.errors["OVERLOADED"]), (101, 100));
        assert!(figures.p50_ms > Some(900.0), "{figures:?}");
    }
}
