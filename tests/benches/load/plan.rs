//! How much is measured: all of it, or what `BENCH` names, in `ROUNDS` rounds. Nothing here says what is right.

use std::path::PathBuf;

/// What a run does.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Interleaved rounds; medians are taken over them.
    pub(crate) rounds: usize,
    /// The parts that run; empty is all.
    parts: Vec<String>,
    /// Whether this is the short form, to steer by.
    pub(crate) quick: bool,
    /// Where figures go as JSON lines.
    pub(crate) json: Option<PathBuf>,
}

/// A part that only runs by itself: it needs programs of others.
const PEERS: &str = "peers";

/// Every other part, in the order in which they run.
pub(crate) const PARTS: [&str; 7] = ["calls", "page", "pipe", "starts", "neighbours", "thousand", "memory"];

impl Plan {
    /// Reads the environment: `BENCH` holds names of parts, or `quick` for fewer requests of the first three.
    ///
    /// # Panics
    /// There is no such part, or `ROUNDS` is no number.
    pub(crate) fn of_environment() -> Self {
        let words: Vec<String> =
            variable("BENCH").unwrap_or_default().split([' ', ',']).map(str::to_owned).collect();
        let words: Vec<String> = words.into_iter().filter(|word| !word.is_empty()).collect();
        let quick = words.iter().any(|word| word == "quick");
        let mut parts: Vec<String> = words.into_iter().filter(|word| word != "quick").collect();
        for part in &parts {
            assert!(
                part == PEERS || PARTS.contains(&part.as_str()),
                "BENCH: no part {part}; there are quick, {}",
                PARTS.join(", ")
            );
        }
        if quick && parts.is_empty() {
            parts = PARTS.iter().take(3).map(|part| (*part).to_owned()).collect();
        }
        let rounds = variable("ROUNDS").map(|text| text.parse().expect("ROUNDS is a whole number"));
        let rounds = rounds.unwrap_or(if quick { 3 } else { 5 });
        assert!(rounds > 0, "ROUNDS is at least 1");
        Self { rounds, parts, quick, json: variable("BENCH_JSON").map(PathBuf::from) }
    }

    /// Whether a part runs.
    pub(crate) fn has(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|wanted| wanted == part)
    }

    /// Whether the peers are measured, and nothing else.
    pub(crate) fn peers(&self) -> bool {
        self.parts.iter().any(|wanted| wanted == PEERS)
    }

    /// Whether every part runs with all its requests.
    pub(crate) fn whole(&self) -> bool {
        self.parts.is_empty() && !self.quick
    }

    /// So many requests of `count` as this run makes.
    pub(crate) fn some(&self, count: usize) -> usize {
        if self.quick { count.div_ceil(3) } else { count }
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.trim().is_empty())
}
